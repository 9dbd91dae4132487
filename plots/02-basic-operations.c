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
    void (*set_all)(const contender *self, void *table, const bench_key *keys,
                    size_t n);
    /* Returns: how many were found. */
    size_t (*find_all)(const contender *self, void *table,
                       const bench_key *keys, size_t n);
    void (*delete_all)(const contender *self, void *table,
                       const bench_key *keys, size_t n);
    void (*destroy)(const contender *self, void *table);

    /* The functions of dict.h, if it is one that was loaded. */
    dict *(*dict_create)(void (*destroy_value)(void *value), uint64_t seed);
    status (*dict_set)(dict *d, bytes key, void *value);
    bool (*dict_get)(const dict *d, bytes key, void **value);
    bool (*dict_delete)(dict *d, bytes key);
    void (*dict_destroy)(dict *d);
};

typedef struct questions {
    size_t n;           /* entries */
    bench_key *keys;    /* n, in the order of insertion */
    bench_key *leaving; /* the same, in the order of deletion */
    size_t asks;
    bench_key *asked;  /* keys that are there, drawn at random */
    bench_key *absent; /* keys that are not */
} questions;

/* -- dict --------------------------------------------------------------- */

static bytes key_bytes(const bench_key *k) {
    return (bytes){k->text, BENCH_KEY_LEN};
}

static void *dict_begin(const contender *self) {
    return self->dict_create(NULL, SEED);
}

static void dict_set_all(const contender *self, void *table,
                         const bench_key *keys, size_t n) {
    for (size_t i = 0; i < n; i++) {
        void *value = (void *)(uintptr_t)(i + 1);
        if (self->dict_set(table, key_bytes(&keys[i]), value) != STATUS_OK) {
            measure_die("%s: dict_set failed at key %zu", self->label, i);
        }
    }
}

static size_t dict_find_all(const contender *self, void *table,
                            const bench_key *keys, size_t n) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        void *value = NULL;
        self->dict_get(table, key_bytes(&keys[i]), &value);
        found += value != NULL;
    }
    return found;
}

static void dict_delete_all(const contender *self, void *table,
                            const bench_key *keys, size_t n) {
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
    return (guint)XXH3_64bits_withSeed(k, BENCH_KEY_LEN, SEED);
}

static gboolean glib_equal(gconstpointer a, gconstpointer b) {
    return memcmp(a, b, BENCH_KEY_LEN) == 0;
}

static void *glib_begin(const contender *self) {
    (void)self;
    return g_hash_table_new_full(glib_hash, glib_equal, g_free, NULL);
}

static void glib_set_all(const contender *self, void *table,
                         const bench_key *keys, size_t n) {
    (void)self;
    for (size_t i = 0; i < n; i++) {
        char *copy = g_malloc(BENCH_KEY_LEN);
        memcpy(copy, keys[i].text, BENCH_KEY_LEN);
        g_hash_table_insert(table, copy, (void *)(uintptr_t)(i + 1));
    }
}

static size_t glib_find_all(const contender *self, void *table,
                            const bench_key *keys, size_t n) {
    (void)self;
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        found += g_hash_table_lookup(table, keys[i].text) != NULL;
    }
    return found;
}

static void glib_delete_all(const contender *self, void *table,
                            const bench_key *keys, size_t n) {
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
    char key[BENCH_KEY_LEN];
} element;

typedef struct uthash {
    element *head;
} uthash;

static void *uthash_begin(const contender *self) {
    (void)self;
    return measure_alloc(1, sizeof(uthash));
}

static element *uthash_add(uthash *u, const bench_key *k) {
    element *e = malloc(sizeof *e);
    if (!e) {
        abort();
    }
    memcpy(e->key, k->text, BENCH_KEY_LEN);
    HASH_ADD(hh, u->head, key, BENCH_KEY_LEN, e);
    return e;
}

static void uthash_set_all(const contender *self, void *table,
                           const bench_key *keys, size_t n) {
    (void)self;
    uthash *u = table;
    for (size_t i = 0; i < n; i++) {
        element *e;
        HASH_FIND(hh, u->head, keys[i].text, BENCH_KEY_LEN, e);
        if (!e) {
            e = uthash_add(u, &keys[i]);
        }
        e->value = (void *)(uintptr_t)(i + 1);
    }
}

static size_t uthash_find_all(const contender *self, void *table,
                              const bench_key *keys, size_t n) {
    (void)self;
    const uthash *u = table;
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        element *e;
        HASH_FIND(hh, u->head, keys[i].text, BENCH_KEY_LEN, e);
        found += e && e->value;
    }
    return found;
}

static void uthash_delete_all(const contender *self, void *table,
                              const bench_key *keys, size_t n) {
    (void)self;
    uthash *u = table;
    for (size_t i = 0; i < n; i++) {
        element *e;
        HASH_FIND(hh, u->head, keys[i].text, BENCH_KEY_LEN, e);
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

static bench_key *random_keys(size_t n, uint64_t *state) {
    bench_key *keys = measure_alloc(n, sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        keys[i] = bench_random_key(state);
    }
    return keys;
}

static bench_key *shuffled(const bench_key *keys, size_t n, uint64_t *state) {
    bench_key *mixed = measure_alloc(n, sizeof *mixed);
    memcpy(mixed, keys, n * sizeof *mixed);
    for (size_t i = n; i > 1; i--) { /* Fisher and Yates */
        size_t j = bench_random_below(state, i);
        bench_key moved = mixed[i - 1];
        mixed[i - 1] = mixed[j];
        mixed[j] = moved;
    }
    return mixed;
}

static questions questions_create(size_t n) {
    uint64_t state = SEED + n;
    size_t asks = n < 200000 ? 200000 : n > 1000000 ? 1000000 : n;
    bench_key *keys = random_keys(n, &state);
    bench_key *asked = measure_alloc(asks, sizeof *asked);
    for (size_t i = 0; i < asks; i++) {
        asked[i] = keys[bench_random_below(&state, n)];
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

static int64_t time_set(const contender *c, void *table, const bench_key *keys,
                        size_t n) {
    int64_t start = bench_now_ns();
    c->set_all(c, table, keys, n);
    return bench_now_ns() - start;
}

static int64_t time_find(const contender *c, void *table, const bench_key *keys,
                         size_t n, size_t expected) {
    int64_t start = bench_now_ns();
    size_t found = c->find_all(c, table, keys, n);
    int64_t end = bench_now_ns();
    if (found != expected) {
        measure_die("%s: found %zu keys, not %zu", c->label, found, expected);
    }
    return end - start;
}

static int64_t time_delete(const contender *c, void *table,
                           const bench_key *keys, size_t n) {
    int64_t start = bench_now_ns();
    c->delete_all(c, table, keys, n);
    return bench_now_ns() - start;
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

static void run_contender(bench_report *r, const contender *c,
                          const questions *q) {
    size_t rounds = q->n < 200000 ? 200000 / q->n : 1;
    double asks = (double)q->asks;
    double entries = (double)(rounds * q->n);
    measure_tidy_memory();
    times t = time_rounds(c, q, rounds);
    measure_add(r, c->label, "insert", q->n, (double)t.insert / entries);
    measure_add(r, c->label, "hit", q->n, (double)t.hit / asks);
    measure_add(r, c->label, "miss", q->n, (double)t.miss / asks);
    measure_add(r, c->label, "update", q->n, (double)t.update / asks);
    measure_add(r, c->label, "delete", q->n, (double)t.delete / entries);
}

/* All who take turns at one size; after the C contenders comes Python. */
typedef struct contest {
    const contender *cs;
    size_t count;
    const questions *q;
    size_t run; /* of Python */
} contest;

static void run_python(bench_report *r, size_t n, size_t run) {
    char command[64];
    snprintf(command, sizeof command, "python3 plots/02-peers.py %zu %zu", n,
             run);
    if (r && n <= PYTHON_MAX && !measure_add_from(r, command)) {
        fprintf(stderr, "python3 does not run: left out\n");
    }
}

static status take_turn(void *context, size_t who, bench_report *r) {
    contest *c = context;
    if (who < c->count) {
        run_contender(r, &c->cs[who], c->q);
    } else {
        run_python(r, c->q->n, c->run++);
    }
    return STATUS_OK;
}

static void time_size(bench_report *r, const contender *cs, size_t count,
                      size_t n) {
    fprintf(stderr, "%zu entries\n", n);
    questions q = questions_create(n);
    contest c = {cs, count, &q, 0};
    measure_interleave(r, count + 1, take_turn, &c);
    questions_destroy(&q);
}

static void speed(const contender *cs, size_t count) {
    static const size_t sizes[] = {1000, 10000, 100000, 1000000, 5000000};
    size_t size_count = measure_quick() ? 3 : sizeof sizes / sizeof sizes[0];
    bench_report *r = measure_report();
    measure_keep_memory();
    for (size_t i = 0; i < size_count; i++) {
        time_size(r, cs, count, sizes[i]);
    }
    measure_print_times(r, "make bench-2: ns per operation on n entries");
    bench_report_destroy(r);
}

/* -- counts ------------------------------------------------------------- */

typedef struct ask {
    const contender *contender;
    void *table;
    bench_key asked[COUNTED_GETS];
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
static void count_gets(const contender *c, const bench_key *keys, size_t n) {
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
    bench_key *keys = random_keys(COUNTED_MAX, &state);
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
