/* Bench of lesson 07: what shards cost in hits, and what they bring in speed.
 *
 *     07-threads counts label=shared.so...  hit ratio against shards, as TSV
 *     07-threads speed label=shared.so...   calls per second by threads, as TSV
 *     07-threads one label=shared.so...     the gets that callgrind counts
 *
 * Shared has 32 shards, and as the peer shared-1024 far more. The other peers
 * are one lru behind one mutex (the slide's program in C), one lru behind a
 * read-write lock, and an lru for each thread, which shares nothing: that is
 * all the machine can give. All copy values in and out, as shared does.
 * Behind a read-write lock a get may not move its entry, so it peeks, and what
 * goes is no longer the least recent. The lru comes from the shared object of
 * the first implementation, which is linked with it. */
#include "measure.h"

#include "lru.h"
#include "shared.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 42
#define ZIPF_PERCENT 99

enum {
    SHARDS = 32,
    MANY_SHARDS = 1024,
    ENTRIES = 100000,
    VALUE_LEN = 32,
    THREADS_MAX = 8
};
enum { COUNTED_GETS = 1024, COUNTED_MAX = 1 << 16 };
enum { ASKS = 1 << 16 };

typedef struct implementation {
    const char *label;
    status (*create)(size_t capacity, size_t shards, uint64_t seed,
                     shared **out);
    status (*set)(shared *s, bytes key, bytes value);
    status (*get)(shared *s, bytes key, void *buffer, size_t size, size_t *len);
    void (*destroy)(shared *s);

    status (*lru_create)(size_t capacity, void (*destroy_value)(void *value),
                         uint64_t seed, lru **out);
    status (*lru_set)(lru *l, bytes key, void *value);
    bool (*lru_get)(lru *l, bytes key, void **value);
    bool (*lru_peek)(const lru *l, bytes key, void **value);
    void (*lru_destroy)(lru *l);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "shared_create", &i.create);
    measure_function(handle, "shared_set", &i.set);
    measure_function(handle, "shared_get", &i.get);
    measure_function(handle, "shared_destroy", &i.destroy);
    measure_function(handle, "lru_create", &i.lru_create);
    measure_function(handle, "lru_set", &i.lru_set);
    measure_function(handle, "lru_get", &i.lru_get);
    measure_function(handle, "lru_peek", &i.lru_peek);
    measure_function(handle, "lru_destroy", &i.lru_destroy);
    return i;
}

static shared *create(const implementation *i, size_t capacity, size_t shards) {
    shared *s;
    if (i->create(capacity, shards, SEED, &s) != STATUS_OK) {
        measure_die("%s: shared_create failed", i->label);
    }
    return s;
}

static bytes key_bytes(const bench_key *k) {
    return (bytes){k->text, BENCH_KEY_LEN};
}

static bench_key *random_keys(size_t n, uint64_t *state) {
    bench_key *keys = measure_alloc(n, sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        keys[i] = bench_random_key(state);
    }
    return keys;
}

/* -- hit ratio against shards -------------------------------------------- */

static double hit_ratio(const implementation *i, size_t capacity, size_t shards,
                        const bench_key *requests, size_t n) {
    shared *s = create(i, capacity, shards);
    size_t hits = 0;
    for (size_t r = 0; r < n; r++) {
        char buffer[1];
        size_t len;
        bytes k = key_bytes(&requests[r]);
        if (i->get(s, k, buffer, sizeof buffer, &len) == STATUS_OK) {
            hits++;
        } else if (i->set(s, k, (bytes){"v", 1}) != STATUS_OK) {
            measure_die("%s: shared_set failed", i->label);
        }
    }
    i->destroy(s);
    return (double)hits / (double)n;
}

static void counts(const implementation *impls, size_t count) {
    static const size_t capacities[] = {1024, 4096, 16384};
    size_t n = measure_quick() ? 200000 : 500000;
    uint64_t state = SEED;
    bench_key *names = random_keys(ENTRIES, &state);
    bench_key *requests = measure_alloc(n, sizeof *requests);
    bench_zipf *z = measure_zipf(ENTRIES, ZIPF_PERCENT);
    for (size_t r = 0; r < n; r++) {
        requests[r] = names[bench_zipf_next(z, &state)];
    }
    bench_report *out = measure_report();
    for (size_t c = 0; c < 3; c++) {
        char operation[16];
        snprintf(operation, sizeof operation, "%zu", capacities[c]);
        for (size_t shards = 1; shards <= 1024; shards *= 4) {
            for (size_t i = 0; i < count; i++) {
                measure_add(
                    out, impls[i].label, operation, shards,
                    hit_ratio(&impls[i], capacities[c], shards, requests, n));
            }
        }
    }
    measure_print_counts(out, "make plot-7: hits per request, by capacity, "
                              "against shards");
    bench_report_destroy(out);
    bench_zipf_destroy(z);
    free(requests);
    free(names);
}

/* -- the contenders ------------------------------------------------------- */

typedef enum style { SHARED, MANY, MUTEX, RWLOCK, PRIVATE, STYLES } style;

static const char *const style_names[] = {NULL, "shared-1024", "mutex",
                                          "rwlock", "private"};

/* What one round works on. */
typedef struct table {
    const implementation *impl;
    style style;
    shared *shared;
    lru *lrus[THREADS_MAX]; /* PRIVATE: one for each thread; else the first */
    pthread_mutex_t mutex;
    pthread_rwlock_t rwlock;
} table;

typedef struct value {
    size_t len;
    char data[];
} value;

static void lru_put(const implementation *i, lru *l, bytes k, bytes v) {
    value *copy = measure_alloc(1, sizeof *copy + v.len);
    copy->len = v.len;
    memcpy(copy->data, v.data, v.len);
    if (i->lru_set(l, k, copy) != STATUS_OK) {
        measure_die("%s: lru_set failed", i->label);
    }
}

static size_t copy_out(const value *v, char *buffer) {
    memcpy(buffer, v->data, v->len);
    return v->len;
}

static void table_set(table *t, size_t thread, bytes k, bytes v) {
    switch (t->style) {
    case SHARED:
    case MANY:
        if (t->impl->set(t->shared, k, v) != STATUS_OK) {
            measure_die("%s: shared_set failed", t->impl->label);
        }
        break;
    case MUTEX:
        pthread_mutex_lock(&t->mutex);
        lru_put(t->impl, t->lrus[0], k, v);
        pthread_mutex_unlock(&t->mutex);
        break;
    case RWLOCK:
        pthread_rwlock_wrlock(&t->rwlock);
        lru_put(t->impl, t->lrus[0], k, v);
        pthread_rwlock_unlock(&t->rwlock);
        break;
    default: lru_put(t->impl, t->lrus[thread], k, v);
    }
}

/* Returns: the length of the value; 0 if the key is not there. */
static size_t table_get(table *t, size_t thread, bytes k, char *buffer) {
    size_t len = 0;
    void *found;
    switch (t->style) {
    case SHARED:
    case MANY: t->impl->get(t->shared, k, buffer, VALUE_LEN, &len); break;
    case MUTEX:
        pthread_mutex_lock(&t->mutex);
        if (t->impl->lru_get(t->lrus[0], k, &found)) {
            len = copy_out(found, buffer);
        }
        pthread_mutex_unlock(&t->mutex);
        break;
    case RWLOCK:
        pthread_rwlock_rdlock(&t->rwlock);
        if (t->impl->lru_peek(t->lrus[0], k, &found)) {
            len = copy_out(found, buffer);
        }
        pthread_rwlock_unlock(&t->rwlock);
        break;
    default:
        if (t->impl->lru_get(t->lrus[thread], k, &found)) {
            len = copy_out(found, buffer);
        }
    }
    return len;
}

static void table_open(table *t, const bench_key *keys, size_t threads) {
    static const char first[VALUE_LEN];
    size_t copies = t->style == PRIVATE ? threads : 1;
    pthread_mutex_init(&t->mutex, NULL);
    pthread_rwlock_init(&t->rwlock, NULL);
    if (t->style <= MANY) {
        t->shared = create(t->impl, 2 * ENTRIES,
                           t->style == MANY ? MANY_SHARDS : SHARDS);
    }
    for (size_t c = 0; t->style > MANY && c < copies; c++) {
        if (t->impl->lru_create(2 * ENTRIES, free, SEED, &t->lrus[c])
            != STATUS_OK) {
            measure_die("%s: lru_create failed", t->impl->label);
        }
    }
    for (size_t c = 0; c < copies; c++) {
        for (size_t k = 0; k < ENTRIES; k++) {
            table_set(t, c, key_bytes(&keys[k]), (bytes){first, VALUE_LEN});
        }
    }
}

static void table_close(table *t) {
    if (t->style <= MANY) {
        t->impl->destroy(t->shared);
    }
    for (size_t c = 0; c < THREADS_MAX; c++) {
        if (t->lrus[c]) {
            t->impl->lru_destroy(t->lrus[c]);
        }
    }
    pthread_mutex_destroy(&t->mutex);
    pthread_rwlock_destroy(&t->rwlock);
}

/* -- calls per second ------------------------------------------------------ */

typedef struct worker {
    table *table;
    size_t number, calls, reads_percent;
    const bench_key *asked; /* ASKS of them, used in turn */
    pthread_barrier_t *start;
    size_t found;
    uint64_t state;
    int64_t began, ended;
} worker;

static void *work(void *argument) {
    worker *w = argument;
    char buffer[VALUE_LEN];
    memset(buffer, 'v', sizeof buffer);
    pthread_barrier_wait(w->start);
    w->began = bench_now_ns();
    for (size_t c = 0; c < w->calls; c++) {
        bytes k = key_bytes(&w->asked[c % ASKS]);
        if (bench_random_below(&w->state, 100) < w->reads_percent) {
            w->found += table_get(w->table, w->number, k, buffer) != 0;
        } else {
            table_set(w->table, w->number, k, (bytes){buffer, VALUE_LEN});
            w->found++;
        }
    }
    w->ended = bench_now_ns();
    return NULL;
}

/* Returns: million calls per second of all threads together. */
static double run(table *t, size_t threads, size_t reads_percent,
                  bench_key *const asked[], size_t calls) {
    pthread_t ids[THREADS_MAX];
    static worker workers[THREADS_MAX];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (size_t i = 0; i < threads; i++) {
        workers[i] = (worker){.table = t,
                              .number = i,
                              .calls = calls / threads,
                              .reads_percent = reads_percent,
                              .asked = asked[i],
                              .start = &start,
                              .state = SEED + i};
        if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0) {
            measure_die("bench: no thread");
        }
    }
    int64_t began = INT64_MAX;
    int64_t ended = 0;
    for (size_t i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        if (workers[i].found != workers[i].calls) {
            measure_die("%s: a key is missing", t->impl->label);
        }
        began = workers[i].began < began ? workers[i].began : began;
        ended = workers[i].ended > ended ? workers[i].ended : ended;
    }
    pthread_barrier_destroy(&start);
    return (double)(calls / threads * threads) * 1e3 / (double)(ended - began);
}

typedef struct contest {
    const implementation *impls;
    size_t count, calls;
    const bench_key *keys;
    bench_key *asked[THREADS_MAX];
    size_t threads, reads;
} contest;

/* One round of one contender, on a table of its own. */
static status take_turn(void *context, size_t contender, bench_report *r) {
    contest *c = context;
    char operation[16];
    snprintf(operation, sizeof operation, "reads%zu", c->reads);
    bool is_peer = contender >= c->count;
    table t = {.impl = &c->impls[is_peer ? 0 : contender],
               .style = is_peer ? contender - c->count + 1 : SHARED};
    table_open(&t, c->keys, c->threads);
    double rate = run(&t, c->threads, c->reads, c->asked, c->calls);
    table_close(&t);
    measure_add(r, is_peer ? style_names[t.style] : t.impl->label, operation,
                c->threads, rate);
    return STATUS_OK;
}

static void rounds(bench_report *r, contest *c, size_t reads) {
    c->reads = reads;
    for (c->threads = 1; c->threads <= THREADS_MAX; c->threads++) {
        fprintf(stderr, "%zu %% reads, %zu threads\n", reads, c->threads);
        measure_interleave(r, c->count + STYLES - 1, take_turn, c);
    }
}

static void speed(const implementation *impls, size_t count) {
    measure_keep_memory();
    uint64_t state = SEED;
    bench_key *keys = random_keys(ENTRIES, &state);
    contest c = {.impls = impls,
                 .count = count,
                 .calls = measure_quick() ? 200000 : 1000000,
                 .keys = keys};
    for (size_t i = 0; i < THREADS_MAX; i++) {
        c.asked[i] = measure_alloc(ASKS, sizeof(bench_key));
        for (size_t a = 0; a < ASKS; a++) {
            c.asked[i][a] = keys[bench_random_below(&state, ENTRIES)];
        }
    }
    bench_report *r = measure_report();
    rounds(r, &c, 95);
    rounds(r, &c, 50);
    measure_print_times(r, "make bench-7: million calls per second by n "
                           "threads together (more is better), 100,000 "
                           "entries");
    bench_report_destroy(r);
    for (size_t i = 0; i < THREADS_MAX; i++) {
        free(c.asked[i]);
    }
    free(keys);
}

/* -- counts of instructions ------------------------------------------------ */

typedef struct ask {
    const implementation *impl;
    shared *shared;
    const bench_key *keys;
    size_t n;
} ask;

static void ask_all(void *context) {
    const ask *a = context;
    char buffer[VALUE_LEN];
    for (size_t k = 0; k < COUNTED_GETS; k++) {
        size_t len;
        bytes asked = key_bytes(&a->keys[k * 389 % a->n]);
        if (a->impl->get(a->shared, asked, buffer, sizeof buffer, &len)
            != STATUS_OK) {
            measure_die("%s: does not find all of its keys", a->impl->label);
        }
    }
}

static void count_gets(const implementation *i, const bench_key *keys,
                       size_t n) {
    ask a = {i, create(i, 4 * n + 4 * SHARDS, SHARDS), keys, n};
    for (size_t k = 0; k < n; k++) {
        if (i->set(a.shared, key_bytes(&keys[k]), (bytes){"value", 5})
            != STATUS_OK) {
            measure_die("%s: shared_set failed", i->label);
        }
    }
    measure_ask(ask_all, &a);
    printf("%s\tget\t%zu\t%d\n", i->label, n, COUNTED_GETS);
    i->destroy(a.shared);
}

static void one(const implementation *impls, size_t count) {
    uint64_t state = SEED;
    bench_key *keys = random_keys(COUNTED_MAX, &state);
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 1; n <= COUNTED_MAX; n *= 4) {
            count_gets(&impls[i], keys, n);
        }
    }
    free(keys);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed|one label=shared.so...", argv[0]);
    }
    size_t count = (size_t)argc - 2;
    implementation *impls = measure_alloc(count, sizeof *impls);
    for (size_t i = 0; i < count; i++) {
        impls[i] = load(argv[i + 2]);
    }
    if (strcmp(argv[1], "counts") == 0) {
        counts(impls, count);
    } else if (strcmp(argv[1], "speed") == 0) {
        speed(impls, count);
    } else if (strcmp(argv[1], "one") == 0) {
        one(impls, count);
    } else {
        measure_die("%s: no mode '%s'", argv[0], argv[1]);
    }
    free(impls);
    return 0;
}
