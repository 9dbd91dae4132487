/* Bench of lesson 05: what LRU hits, what it could have hit, and how fast.
 *
 *     05-lru counts label=lru.so...   hit ratio against capacity, as TSV
 *     05-lru speed label=lru.so...    time per request, as TSV
 *     05-lru one label=lru.so...      the gets that callgrind counts
 *
 * A request is a get, and after a miss a set. Above the hit ratios stands
 * Belady's optimum: the cache that knows the future and gives up what will not
 * be asked for the longest (Belady, "A study of replacement algorithms for a
 * virtual-storage computer", IBM Systems Journal 5(2), 1966). */
#include "measure.h"

#include "lru.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SEED 42
#define HASH_FUNCTION(data, len, hash) \
    ((hash) = (unsigned)XXH3_64bits_withSeed((data), (len), SEED))
#include <uthash.h>

#define ZIPF_PERCENT 99

enum { COUNTED_GETS = 1024, COUNTED_MAX = 1 << 16 };

typedef struct implementation {
    const char *label;
    status (*create)(size_t capacity, void (*destroy_value)(void *value),
                     uint64_t seed, lru **out);
    status (*set)(lru *l, bytes key, void *value);
    bool (*get)(lru *l, bytes key, void **value);
    void (*destroy)(lru *l);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "lru_create", &i.create);
    measure_function(handle, "lru_set", &i.set);
    measure_function(handle, "lru_get", &i.get);
    measure_function(handle, "lru_destroy", &i.destroy);
    return i;
}

static lru *create(const implementation *i, size_t capacity) {
    lru *l;
    if (i->create(capacity, NULL, SEED, &l) != STATUS_OK) {
        measure_die("%s: lru_create failed", i->label);
    }
    return l;
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

/* Returns: the hits. */
static size_t replay(const implementation *impl, lru *l,
                     const bench_key *requests, size_t n) {
    size_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        bytes k = key_bytes(&requests[i]);
        void *value = NULL;
        if (impl->get(l, k, &value)) {
            hits += value != NULL;
        } else if (impl->set(l, k, (void *)(uintptr_t)(i + 1)) != STATUS_OK) {
            measure_die("%s: lru_set failed at request %zu", impl->label, i);
        }
    }
    return hits;
}

/* -- workloads: which key each request asks for, by number -------------- */

enum {
    ZIPF_KEYS = 100000, /* the keys of the users */
    SCAN_EVERY = 20000, /* after so many of their requests comes a scan, */
    SCAN_KEYS = 20000,  /* which reads the same so many other keys once */
    LOOP_KEYS = 20000,
};

typedef struct workload {
    const char *name;
    size_t n;    /* requests */
    size_t keys; /* all key numbers are below this */
    uint32_t *stream;
} workload;

static uint32_t popular(const bench_zipf *z, uint64_t *state) {
    return (uint32_t)bench_zipf_next(z, state);
}

static workload zipf_workload(size_t n) {
    uint64_t state = SEED;
    bench_zipf *z = measure_zipf(ZIPF_KEYS, ZIPF_PERCENT);
    workload w = {"zipf", n, ZIPF_KEYS, measure_alloc(n, sizeof(uint32_t))};
    for (size_t i = 0; i < n; i++) {
        w.stream[i] = popular(z, &state);
    }
    bench_zipf_destroy(z);
    return w;
}

static workload scan_workload(size_t n) {
    uint64_t state = SEED;
    bench_zipf *z = measure_zipf(ZIPF_KEYS, ZIPF_PERCENT);
    workload w = {"scan", n, ZIPF_KEYS + SCAN_KEYS,
                  measure_alloc(n, sizeof(uint32_t))};
    for (size_t i = 0; i < n; i++) {
        size_t turn = i % (SCAN_EVERY + SCAN_KEYS);
        w.stream[i] = turn < SCAN_EVERY
                          ? popular(z, &state)
                          : (uint32_t)(ZIPF_KEYS + turn - SCAN_EVERY);
    }
    bench_zipf_destroy(z);
    return w;
}

static workload loop_workload(size_t n) {
    workload w = {"loop", n, LOOP_KEYS, measure_alloc(n, sizeof(uint32_t))};
    for (size_t i = 0; i < n; i++) {
        w.stream[i] = (uint32_t)(i % LOOP_KEYS);
    }
    return w;
}

/* The stream with the keys spelled out. */
static bench_key *spelled(const workload *w) {
    uint64_t state = SEED;
    bench_key *names = random_keys(w->keys, &state);
    bench_key *requests = measure_alloc(w->n, sizeof *requests);
    for (size_t i = 0; i < w->n; i++) {
        requests[i] = names[w->stream[i]];
    }
    free(names);
    return requests;
}

/* -- Belady's optimum --------------------------------------------------- */

/* A heap of times with the latest on top. */
typedef struct heap {
    uint32_t *times;
    size_t count;
} heap;

static void heap_push(heap *h, uint32_t time) {
    size_t at = h->count++;
    while (at > 0 && h->times[(at - 1) / 2] < time) { /* at only shrinks */
        h->times[at] = h->times[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    h->times[at] = time;
}

static uint32_t heap_pop(heap *h) {
    uint32_t top = h->times[0];
    uint32_t last = h->times[--h->count];
    size_t at = 0;
    for (size_t child = 1; child < h->count; child = 2 * at + 1) {
        if (child + 1 < h->count && h->times[child + 1] > h->times[child]) {
            child++;
        }
        if (h->times[child] <= last) {
            break;
        }
        h->times[at] = h->times[child];
        at = child;
    }
    h->times[at] = last;
    return top;
}

/* For each request the time of the next one of its key. A key that is not
 * asked for again gets a time of its own after the end: n + key. */
static uint32_t *next_uses(const workload *w) {
    uint32_t *next = measure_alloc(w->n, sizeof *next);
    uint32_t *seen = measure_alloc(w->keys, sizeof *seen);
    for (size_t k = 0; k < w->keys; k++) {
        seen[k] = (uint32_t)(w->n + k);
    }
    for (size_t i = w->n; i-- > 0;) {
        next[i] = seen[w->stream[i]];
        seen[w->stream[i]] = (uint32_t)i;
    }
    free(seen);
    return next;
}

/* Each key in the cache has its next use in the heap. A hit leaves the time it
 * was due behind in there, harmless: that lies in the past, so every key in
 * the cache is due later, and the top of the heap is always one of those.
 * Returns: the hits. */
static size_t optimum(const workload *w, const uint32_t *next,
                      size_t capacity) {
    heap h = {measure_alloc(w->n, sizeof(uint32_t)), 0};
    bool *cached = measure_alloc(w->keys, sizeof *cached);
    size_t count = 0;
    size_t hits = 0;
    for (size_t i = 0; i < w->n; i++) {
        uint32_t asked = w->stream[i];
        if (cached[asked]) {
            hits++;
        } else if (count < capacity) {
            count++;
        } else {
            uint32_t due = heap_pop(&h);
            cached[due < w->n ? w->stream[due] : due - w->n] = false;
        }
        cached[asked] = true;
        heap_push(&h, next[i]);
    }
    free(cached);
    free(h.times);
    return hits;
}

/* -- hit ratios --------------------------------------------------------- */

static void count_workload(bench_report *r, const implementation *impls,
                           size_t impl_count, workload w) {
    static const size_t capacities[] = {
        1000,  2000,  4000,  8000,  12000, 16000,  19000,
        20000, 24000, 30000, 40000, 60000, 100000,
    };
    uint32_t *next = next_uses(&w);
    bench_key *requests = spelled(&w);
    for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
        size_t capacity = capacities[c];
        for (size_t i = 0; i < impl_count; i++) {
            lru *l = create(&impls[i], capacity);
            size_t hits = replay(&impls[i], l, requests, w.n);
            measure_add(r, impls[i].label, w.name, capacity,
                        (double)hits / (double)w.n);
            impls[i].destroy(l);
        }
        size_t hits = optimum(&w, next, capacity);
        measure_add(r, "optimum", w.name, capacity, (double)hits / (double)w.n);
    }
    free(requests);
    free(next);
    free(w.stream);
}

static void counts(const implementation *impls, size_t count) {
    size_t n = measure_quick() ? 200000 : 1000000;
    bench_report *r = measure_report();
    count_workload(r, impls, count, zipf_workload(n));
    count_workload(r, impls, count, scan_workload(n));
    count_workload(r, impls, count, loop_workload(n));
    measure_print_counts(r, "make plot-5: hits per request, against capacity "
                            "in entries");
    bench_report_destroy(r);
}

/* -- the peer in C: uthash as an LRU ------------------------------------ */

/* uthash keeps its elements in the order of adding: taken out and added again,
 * an element is the newest, and the head of the list is the next to go. */
typedef struct element {
    UT_hash_handle hh;
    void *value;
    char key[BENCH_KEY_LEN];
} element;

typedef struct uthash_lru {
    element *head;
    size_t capacity;
} uthash_lru;

static bool uthash_get(uthash_lru *u, const bench_key *k, void **value) {
    element *e;
    HASH_FIND(hh, u->head, k->text, BENCH_KEY_LEN, e);
    if (!e) {
        return false;
    }
    HASH_DEL(u->head, e);
    HASH_ADD(hh, u->head, key, BENCH_KEY_LEN, e);
    *value = e->value;
    return true;
}

static void uthash_evict(uthash_lru *u) {
    element *oldest = u->head;
    HASH_DEL(u->head, oldest);
    free(oldest);
}

static element *element_create(const bench_key *k) {
    element *e = malloc(sizeof *e);
    if (!e) {
        abort();
    }
    memcpy(e->key, k->text, BENCH_KEY_LEN);
    return e;
}

static void uthash_clear(uthash_lru *u) {
    element *e = u->head;
    HASH_CLEAR(hh, u->head); /* the table; the elements stay linked */
    while (e) {
        element *next = e->hh.next;
        free(e);
        e = next;
    }
}

static void uthash_set(uthash_lru *u, const bench_key *k, void *value) {
    element *e;
    HASH_FIND(hh, u->head, k->text, BENCH_KEY_LEN, e);
    if (e) {
        HASH_DEL(u->head, e);
    } else {
        if (HASH_COUNT(u->head) >= u->capacity) {
            uthash_evict(u);
        }
        e = element_create(k);
    }
    e->value = value;
    HASH_ADD(hh, u->head, key, BENCH_KEY_LEN, e);
}

static size_t uthash_replay(uthash_lru *u, const bench_key *requests,
                            size_t n) {
    size_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        void *value = NULL;
        if (uthash_get(u, &requests[i], &value)) {
            hits += value != NULL;
        } else {
            uthash_set(u, &requests[i], (void *)(uintptr_t)(i + 1));
        }
    }
    return hits;
}

/* -- times -------------------------------------------------------------- */

enum { SPEED_KEYS = 1000000 };

/* All who take turns at one capacity; after the C contenders comes Python. */
typedef struct race {
    const implementation *impls;
    size_t count; /* the uthash LRU comes behind them */
    const bench_key *requests;
    size_t n;
    size_t capacity;
    size_t hits; /* what all must agree on; 0: not known yet */
    size_t run;  /* of Python */
} race;

static void note(bench_report *out, race *r, const char *label, int64_t time,
                 size_t hits) {
    if (r->hits == 0) {
        r->hits = hits;
    }
    if (r->hits != hits) {
        measure_die("%s: %zu hits, the first had %zu", label, hits, r->hits);
    }
    measure_add(out, label, "request", r->capacity,
                (double)time / (double)r->n);
}

static void time_lru(bench_report *out, race *r, const implementation *i) {
    measure_tidy_memory();
    lru *l = create(i, r->capacity);
    int64_t start = bench_now_ns();
    size_t hits = replay(i, l, r->requests, r->n);
    int64_t end = bench_now_ns();
    i->destroy(l);
    note(out, r, i->label, end - start, hits);
}

static void time_uthash(bench_report *out, race *r) {
    measure_tidy_memory();
    uthash_lru u = {NULL, r->capacity};
    int64_t start = bench_now_ns();
    size_t hits = uthash_replay(&u, r->requests, r->n);
    int64_t end = bench_now_ns();
    uthash_clear(&u);
    note(out, r, "uthash", end - start, hits);
}

static void run_python(bench_report *out, race *r) {
    char command[96];
    snprintf(command, sizeof command, "python3 plots/05-peers.py %zu %zu %zu",
             r->n, r->capacity, r->run++);
    if (out && !measure_add_from(out, command)) {
        fprintf(stderr, "python3 does not run: left out\n");
    }
}

static status take_turn(void *context, size_t contender, bench_report *out) {
    race *r = context;
    if (contender < r->count) {
        time_lru(out, r, &r->impls[contender]);
    } else if (contender == r->count) {
        time_uthash(out, r);
    } else {
        run_python(out, r);
    }
    return STATUS_OK;
}

static bench_key *speed_requests(size_t n) {
    uint64_t state = SEED;
    bench_zipf *z = measure_zipf(SPEED_KEYS, ZIPF_PERCENT);
    workload w = {"zipf", n, SPEED_KEYS, measure_alloc(n, sizeof(uint32_t))};
    for (size_t i = 0; i < n; i++) {
        w.stream[i] = popular(z, &state);
    }
    bench_key *requests = spelled(&w);
    bench_zipf_destroy(z);
    free(w.stream);
    return requests;
}

static void speed(const implementation *impls, size_t count) {
    static const size_t capacities[] = {1000, 10000, 100000};
    measure_keep_memory();
    size_t n = measure_quick() ? 200000 : 2000000;
    bench_report *out = measure_report();
    bench_key *requests = speed_requests(n);
    for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
        fprintf(stderr, "capacity %zu\n", capacities[c]);
        race r = {impls, count, requests, n, capacities[c], 0, 0};
        measure_interleave(out, count + 2, take_turn, &r);
    }
    measure_print_times(out, "make bench-5: ns per request (Zipf 0.99 over 1e6 "
                             "keys) at a capacity of n entries");
    free(requests);
    bench_report_destroy(out);
}

/* -- counts of instructions --------------------------------------------- */

typedef struct ask {
    const implementation *impl;
    lru *lru;
    bench_key asked[COUNTED_GETS];
} ask;

static void ask_all(void *context) {
    ask *a = context;
    if (replay(a->impl, a->lru, a->asked, COUNTED_GETS) != COUNTED_GETS) {
        measure_die("%s: does not find all of its keys", a->impl->label);
    }
}

/* The same number of hits at each size, evenly spread over a full cache, and
 * in a scattered order: asked for twice running, a key need not move. */
static void count_gets(const implementation *i, const bench_key *keys,
                       size_t n) {
    static ask a;
    a.impl = i;
    a.lru = create(i, n);
    replay(i, a.lru, keys, n);
    for (size_t k = 0; k < COUNTED_GETS; k++) {
        size_t turn = k * 389 % COUNTED_GETS;
        a.asked[k] = keys[(2 * turn + 1) * n / (2 * COUNTED_GETS)];
    }
    measure_ask(ask_all, &a);
    printf("%s\tget\t%zu\t%d\n", i->label, n, COUNTED_GETS);
    i->destroy(a.lru);
}

static void one(const implementation *impls, size_t count) {
    uint64_t state = SEED;
    bench_key *keys = random_keys(COUNTED_MAX, &state);
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 1; n <= COUNTED_MAX; n *= n < 4096 ? 2 : 4) {
            count_gets(&impls[i], keys, n);
        }
    }
    free(keys);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed|one label=lru.so...", argv[0]);
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
