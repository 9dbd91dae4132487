/* Bench of lesson 02: dict against GLib's GHashTable, uthash and Python's dict.
 *
 *     02-basic-operations speed label=dict.so...   time per operation, as TSV
 *     02-basic-operations one label=dict.so...     the gets callgrind counts
 *
 * All tables hold the same keys of 10 random bytes under the same hash, and
 * each owns a copy of its keys. The keys that are asked for lie in memory in
 * the order of asking, so what is measured is the table and not the fetching
 * of the question. Peers are used as their manuals show: uthash is compiled
 * into the loop, the others are called through a pointer. */
#include "measure.h"

#include "dict.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SEED 42
#define HASH_FUNCTION(data, len, hash) \
    ((hash) = (unsigned)XXH3_64bits_withSeed((data), (len), SEED))
#include <uthash.h>

enum { COUNTED_GETS = 1024, COUNTED_MAX = 1 << 18, PYTHON_MAX = 1000000 };

/* One table in the race. Each function works through a whole list of keys, so
 * that choosing the table costs nothing per key. */
typedef struct contender contender;
struct contender {
    const char *label;
    void *(*create)(const contender *self);
    void (*set_all)(const contender *self, void *table, const key *keys,
                    size_t n);
    /* Returns: how many were found. */
    size_t (*find_all)(const contender *self, void *table, const key *keys,
                       size_t n);
    void (*delete_all)(const contender *self, void *table, const key *keys,
                       size_t n);
    void (*destroy)(const contender *self, void *table);

    /* The functions of dict.h, if it is one that was loaded. */
    dict *(*dict_create)(void (*destroy_value)(void *value), uint64_t seed);
    status (*dict_set)(dict *d, bytes key, void *value);
    bool (*dict_get)(const dict *d, bytes key, void **value);
    bool (*dict_delete)(dict *d, bytes key);
    void (*dict_destroy)(dict *d);
};

typedef struct questions {
    size_t n;     /* entries */
    key *keys;    /* n, in the order of insertion */
    key *leaving; /* the same, in the order of deletion */
    size_t asks;
    key *asked;  /* keys that are there, drawn at random */
    key *absent; /* keys that are not */
} questions;

/* -- dict --------------------------------------------------------------- */

static bytes key_bytes(const key *k) {
    return (bytes){k->text, KEY_LEN};
}

static void *dict_begin(const contender *self) {
    return self->dict_create(NULL, SEED);
}

static void dict_set_all(const contender *self, void *table, const key *keys,
                         size_t n) {
    for (size_t i = 0; i < n; i++) {
        void *value = (void *)(uintptr_t)(i + 1);
        if (self->dict_set(table, key_bytes(&keys[i]), value) != STATUS_OK) {
            measure_die("%s: dict_set failed at key %zu", self->label, i);
        }
    }
}

static size_t dict_find_all(const contender *self, void *table, const key *keys,
                            size_t n) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        void *value = NULL;
        self->dict_get(table, key_bytes(&keys[i]), &value);
        found += value != NULL;
    }
    return found;
}

static void dict_delete_all(const contender *self, void *table, const key *keys,
                            size_t n) {
    for (size_t i = 0; i < n; i++) {
        self->dict_delete(table, key_bytes(&keys[i]));
    }
}

static void dict_end(const contender *self, void *table) {
    self->dict_destroy(table);
}

static contender load(char *argument) {
    void *handle = measure_open(argument);
    contender c = {
        .label = argument,
        .create = dict_begin,
        .set_all = dict_set_all,
        .find_all = dict_find_all,
        .delete_all = dict_delete_all,
        .destroy = dict_end,
    };
    measure_function(handle, "dict_create", &c.dict_create);
    measure_function(handle, "dict_set", &c.dict_set);
    measure_function(handle, "dict_get", &c.dict_get);
    measure_function(handle, "dict_delete", &c.dict_delete);
    measure_function(handle, "dict_destroy", &c.dict_destroy);
    return c;
}

/* -- GHashTable --------------------------------------------------------- */

static guint glib_hash(gconstpointer k) {
    return (guint)XXH3_64bits_withSeed(k, KEY_LEN, SEED);
}

static gboolean glib_equal(gconstpointer a, gconstpointer b) {
    return memcmp(a, b, KEY_LEN) == 0;
}

static void *glib_begin(const contender *self) {
    (void)self;
    return g_hash_table_new_full(glib_hash, glib_equal, g_free, NULL);
}

static void glib_set_all(const contender *self, void *table, const key *keys,
                         size_t n) {
    (void)self;
    for (size_t i = 0; i < n; i++) {
        char *copy = g_malloc(KEY_LEN);
        memcpy(copy, keys[i].text, KEY_LEN);
        g_hash_table_insert(table, copy, (void *)(uintptr_t)(i + 1));
    }
}

static size_t glib_find_all(const contender *self, void *table, const key *keys,
                            size_t n) {
    (void)self;
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        found += g_hash_table_lookup(table, keys[i].text) != NULL;
    }
    return found;
}

static void glib_delete_all(const contender *self, void *table, const key *keys,
                            size_t n) {
    (void)self;
    for (size_t i = 0; i < n; i++) {
        g_hash_table_remove(table, keys[i].text);
    }
}

static void glib_end(const contender *self, void *table) {
    (void)self;
    g_hash_table_destroy(table);
}

/* -- uthash ------------------------------------------------------------- */

typedef struct element {
    UT_hash_handle hh;
    void *value;
    char key[KEY_LEN];
} element;

typedef struct uthash {
    element *head;
} uthash;

static void *uthash_begin(const contender *self) {
    (void)self;
    return measure_alloc(1, sizeof(uthash));
}

static element *uthash_add(uthash *u, const key *k) {
    element *e = malloc(sizeof *e);
    if (!e) {
        abort();
    }
    memcpy(e->key, k->text, KEY_LEN);
    HASH_ADD(hh, u->head, key, KEY_LEN, e);
    return e;
}

static void uthash_set_all(const contender *self, void *table, const key *keys,
                           size_t n) {
    (void)self;
    uthash *u = table;
    for (size_t i = 0; i < n; i++) {
        element *e;
        HASH_FIND(hh, u->head, keys[i].text, KEY_LEN, e);
        if (!e) {
            e = uthash_add(u, &keys[i]);
        }
        e->value = (void *)(uintptr_t)(i + 1);
    }
}

static size_t uthash_find_all(const contender *self, void *table,
                              const key *keys, size_t n) {
    (void)self;
    const uthash *u = table;
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        element *e;
        HASH_FIND(hh, u->head, keys[i].text, KEY_LEN, e);
        found += e && e->value;
    }
    return found;
}

static void uthash_delete_all(const contender *self, void *table,
                              const key *keys, size_t n) {
    (void)self;
    uthash *u = table;
    for (size_t i = 0; i < n; i++) {
        element *e;
        HASH_FIND(hh, u->head, keys[i].text, KEY_LEN, e);
        if (e) {
            HASH_DEL(u->head, e);
            free(e);
        }
    }
}

static void uthash_end(const contender *self, void *table) {
    (void)self;
    uthash *u = table;
    element *e = u->head;
    HASH_CLEAR(hh, u->head); /* the table; the elements stay linked */
    while (e) {
        element *next = e->hh.next;
        free(e);
        e = next;
    }
    free(u);
}

static const contender glib = {
    .label = "GHashTable",
    .create = glib_begin,
    .set_all = glib_set_all,
    .find_all = glib_find_all,
    .delete_all = glib_delete_all,
    .destroy = glib_end,
};

static const contender uthash_table = {
    .label = "uthash",
    .create = uthash_begin,
    .set_all = uthash_set_all,
    .find_all = uthash_find_all,
    .delete_all = uthash_delete_all,
    .destroy = uthash_end,
};

/* -- questions ---------------------------------------------------------- */

static key *random_keys(size_t n, uint64_t *state) {
    key *keys = measure_alloc(n, sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        keys[i] = measure_random_key(state);
    }
    return keys;
}

static key *shuffled(const key *keys, size_t n, uint64_t *state) {
    key *mixed = measure_alloc(n, sizeof *mixed);
    memcpy(mixed, keys, n * sizeof *mixed);
    for (size_t i = n; i > 1; i--) { /* Fisher and Yates */
        size_t j = measure_random_below(state, i);
        key moved = mixed[i - 1];
        mixed[i - 1] = mixed[j];
        mixed[j] = moved;
    }
    return mixed;
}

static questions questions_create(size_t n) {
    uint64_t state = SEED + n;
    size_t asks = n < 200000 ? 200000 : n > 1000000 ? 1000000 : n;
    key *keys = random_keys(n, &state);
    key *asked = measure_alloc(asks, sizeof *asked);
    for (size_t i = 0; i < asks; i++) {
        asked[i] = keys[measure_random_below(&state, n)];
    }
    return (questions){
        n,    keys,  shuffled(keys, n, &state),
        asks, asked, random_keys(asks, &state),
    };
}

static void questions_destroy(questions *q) {
    free(q->keys);
    free(q->leaving);
    free(q->asked);
    free(q->absent);
}

/* -- times -------------------------------------------------------------- */

typedef struct times {
    int64_t insert, hit, miss, update, delete;
} times;

static int64_t time_set(const contender *c, void *table, const key *keys,
                        size_t n) {
    int64_t start = measure_now_ns();
    c->set_all(c, table, keys, n);
    return measure_now_ns() - start;
}

static int64_t time_find(const contender *c, void *table, const key *keys,
                         size_t n, size_t expected) {
    int64_t start = measure_now_ns();
    size_t found = c->find_all(c, table, keys, n);
    int64_t end = measure_now_ns();
    if (found != expected) {
        measure_die("%s: found %zu keys, not %zu", c->label, found, expected);
    }
    return end - start;
}

static int64_t time_delete(const contender *c, void *table, const key *keys,
                           size_t n) {
    int64_t start = measure_now_ns();
    c->delete_all(c, table, keys, n);
    return measure_now_ns() - start;
}

/* Small tables are filled and emptied over and over, until the sum of these
 * times is some milliseconds; one of them answers the questions. */
static times time_rounds(const contender *c, const questions *q,
                         size_t rounds) {
    times t = {0};
    for (size_t round = 0; round < rounds; round++) {
        void *table = c->create(c);
        t.insert += time_set(c, table, q->keys, q->n);
        if (round == 0) {
            t.hit = time_find(c, table, q->asked, q->asks, q->asks);
            t.miss = time_find(c, table, q->absent, q->asks, 0);
            t.update = time_set(c, table, q->asked, q->asks);
        }
        t.delete += time_delete(c, table, q->leaving, q->n);
        c->destroy(c, table);
    }
    return t;
}

static void run_contender(report *r, const contender *c, const questions *q) {
    size_t rounds = q->n < 200000 ? 200000 / q->n : 1;
    double asks = (double)q->asks;
    double entries = (double)(rounds * q->n);
    measure_tidy_memory();
    times t = time_rounds(c, q, rounds);
    if (!r) {
        return; /* a warm-up */
    }
    report_add(r, c->label, "insert", q->n, (double)t.insert / entries);
    report_add(r, c->label, "hit", q->n, (double)t.hit / asks);
    report_add(r, c->label, "miss", q->n, (double)t.miss / asks);
    report_add(r, c->label, "update", q->n, (double)t.update / asks);
    report_add(r, c->label, "delete", q->n, (double)t.delete / entries);
}

static bool run_python(report *r, size_t n, size_t run) {
    char command[64];
    snprintf(command, sizeof command, "python3 plots/02-peers.py %zu %zu", n,
             run);
    return report_add_from(r, command);
}

/* Everyone takes a turn in each run, and each run starts with another. */
static void time_size(report *r, const contender *cs, size_t count, size_t n,
                      bool *python) {
    questions q = questions_create(n);
    for (size_t i = 0; i < count; i++) {
        run_contender(NULL, &cs[i], &q);
    }
    for (size_t run = 0; run < measure_runs(); run++) {
        fprintf(stderr, "%zu entries, run %zu\n", n, run + 1);
        for (size_t i = 0; i < count; i++) {
            run_contender(r, &cs[(i + run) % count], &q);
        }
        if (*python && n <= PYTHON_MAX && !run_python(r, n, run)) {
            fprintf(stderr, "python3 does not run: left out\n");
            *python = false;
        }
    }
    questions_destroy(&q);
}

static void speed(const contender *cs, size_t count) {
    static const size_t sizes[] = {1000, 10000, 100000, 1000000, 5000000};
    size_t size_count = measure_quick() ? 3 : sizeof sizes / sizeof sizes[0];
    report *r = report_create();
    bool python = true;
    measure_keep_memory();
    for (size_t i = 0; i < size_count; i++) {
        time_size(r, cs, count, sizes[i], &python);
    }
    report_print_times(r, "make bench-2: ns per operation on n entries");
    report_destroy(r);
}

/* -- counts ------------------------------------------------------------- */

typedef struct ask {
    const contender *contender;
    void *table;
    key asked[COUNTED_GETS];
} ask;

static void ask_all(void *context) {
    ask *a = context;
    const contender *c = a->contender;
    if (c->find_all(c, a->table, a->asked, COUNTED_GETS) != COUNTED_GETS) {
        measure_die("%s: does not find all of its keys", c->label);
    }
}

/* The same number of questions at each size, evenly spread over the keys: so
 * the count has no noise, not even that of a draw. */
static void count_gets(const contender *c, const key *keys, size_t n) {
    static ask a;
    a.contender = c;
    a.table = c->create(c);
    c->set_all(c, a.table, keys, n);
    for (size_t i = 0; i < COUNTED_GETS; i++) {
        a.asked[i] = keys[(2 * i + 1) * n / (2 * COUNTED_GETS)];
    }
    measure_ask(ask_all, &a);
    printf("%s\tget\t%zu\t%d\n", c->label, n, COUNTED_GETS);
    c->destroy(c, a.table);
}

static void one(const contender *cs, size_t count) {
    uint64_t state = SEED;
    key *keys = random_keys(COUNTED_MAX, &state);
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 1; n <= COUNTED_MAX; n *= n < 4096 ? 2 : 4) {
            count_gets(&cs[i], keys, n);
        }
    }
    free(keys);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s speed|one label=dict.so...", argv[0]);
    }
    size_t count = (size_t)argc - 2;
    contender *cs = measure_alloc(count + 2, sizeof *cs);
    for (size_t i = 0; i < count; i++) {
        cs[i] = load(argv[i + 2]);
    }
    cs[count] = glib;
    cs[count + 1] = uthash_table;
    if (strcmp(argv[1], "one") == 0) {
        one(cs, count);
    } else if (strcmp(argv[1], "speed") == 0) {
        speed(cs, count + 2);
    } else {
        measure_die("%s: no mode '%s'", argv[0], argv[1]);
    }
    free(cs);
    return 0;
}
