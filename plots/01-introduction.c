/* Bench of lesson 01: what a get costs when the cache has n entries.
 *
 *     01-introduction speed label=kv.so...    time per get, as TSV
 *     01-introduction one label=kv.so...      the gets that callgrind counts
 *
 * Every get is a hit, and every key is asked for as often as any other. */
#include "measure.h"

#include "kv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_MAX_LOG2 = 12, COUNTED_GETS = 1024, SEED = 1 };

typedef struct implementation {
    const char *label;
    kv *(*create)(void);
    status (*set)(kv *cache, const char *key, const char *value);
    const char *(*get)(const kv *cache, const char *key);
    void (*destroy)(kv *cache);
} implementation;

typedef struct question {
    const implementation *impl;
    kv *cache;
    const bench_key *asked;
    size_t count;
} question;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "kv_create", &i.create);
    measure_function(handle, "kv_set", &i.set);
    measure_function(handle, "kv_get", &i.get);
    measure_function(handle, "kv_destroy", &i.destroy);
    return i;
}

static kv *filled(const implementation *i, const bench_key *keys, size_t n) {
    kv *cache = i->create();
    for (size_t k = 0; k < n; k++) {
        if (!cache || i->set(cache, keys[k].text, keys[k].text) != STATUS_OK) {
            measure_die("%s: no memory at entry %zu", i->label, k);
        }
    }
    return cache;
}

static void ask_all(void *context) {
    question *q = context;
    size_t found = 0;
    for (size_t i = 0; i < q->count; i++) {
        found += q->impl->get(q->cache, q->asked[i].text) != NULL;
    }
    if (found != q->count) {
        measure_die("%s: %zu of %zu keys not found", q->impl->label,
                    q->count - found, q->count);
    }
}

static bench_key *random_keys(size_t n) {
    uint64_t state = SEED;
    bench_key *keys = measure_alloc(n, sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        keys[i] = bench_random_key(&state);
    }
    return keys;
}

/* Questions laid out in the order of asking: fetching one costs nothing. */
static bench_key *random_questions(const bench_key *keys, size_t n,
                                   size_t count) {
    uint64_t state = SEED + n;
    bench_key *asked = measure_alloc(count, sizeof *asked);
    for (size_t i = 0; i < count; i++) {
        asked[i] = keys[bench_random_below(&state, n)];
    }
    return asked;
}

/* The same number of questions at each size, evenly spread over the keys: so
 * the count has no noise, not even that of a draw. */
static bench_key *even_questions(const bench_key *keys, size_t n) {
    bench_key *asked = measure_alloc(COUNTED_GETS, sizeof *asked);
    for (size_t i = 0; i < COUNTED_GETS; i++) {
        asked[i] = keys[(2 * i + 1) * n / (2 * COUNTED_GETS)];
    }
    return asked;
}

static void count_gets(const implementation *i, const bench_key *keys,
                       size_t n) {
    bench_key *asked = even_questions(keys, n);
    question q = {i, filled(i, keys, n), asked, COUNTED_GETS};
    measure_ask(ask_all, &q);
    printf("%s\tget\t%zu\t%d\n", i->label, n, COUNTED_GETS);
    i->destroy(q.cache);
    free(asked);
}

static void time_gets(bench_report *r, const implementation *i,
                      const bench_key *keys, size_t n, const bench_key *asked,
                      size_t count) {
    question q = {i, filled(i, keys, n), asked, count};
    int64_t start = bench_now_ns();
    ask_all(&q);
    int64_t end = bench_now_ns();
    measure_add(r, i->label, "get", n, (double)(end - start) / (double)count);
    i->destroy(q.cache);
}

/* As many questions as take some milliseconds at this size. */
static size_t questions_at(size_t n) {
    size_t count = ((size_t)1 << 23) / n;
    return count > 400000 ? 400000 : count;
}

/* All who take turns at one size, and what they are asked. */
typedef struct contest {
    const implementation *impls;
    const bench_key *keys, *asked;
    size_t n, count;
} contest;

static status take_turn(void *context, size_t contender, bench_report *r) {
    const contest *c = context;
    time_gets(r, &c->impls[contender], c->keys, c->n, c->asked, c->count);
    return STATUS_OK;
}

static void time_size(bench_report *r, const implementation *impls,
                      size_t impl_count, const bench_key *keys, size_t n) {
    size_t count = questions_at(n);
    bench_key *asked = random_questions(keys, n, count);
    contest c = {impls, keys, asked, n, count};
    measure_interleave(r, impl_count, take_turn, &c);
    free(asked);
}

static void speed(const implementation *impls, size_t count,
                  const bench_key *keys) {
    bench_report *r = measure_report();
    for (size_t log2 = 0; log2 <= SIZE_MAX_LOG2; log2++) {
        fprintf(stderr, "\rkv with %d entries ", 1 << log2);
        time_size(r, impls, count, keys, (size_t)1 << log2);
    }
    fprintf(stderr, "\n");
    measure_print_times(r, "make bench-1: ns per get (a hit) of n entries");
    bench_report_destroy(r);
}

static void one(const implementation *impls, size_t count,
                const bench_key *keys) {
    for (size_t i = 0; i < count; i++) {
        for (size_t log2 = 0; log2 <= SIZE_MAX_LOG2; log2++) {
            count_gets(&impls[i], keys, (size_t)1 << log2);
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s speed|one label=kv.so...", argv[0]);
    }
    size_t count = (size_t)argc - 2;
    implementation *impls = measure_alloc(count, sizeof *impls);
    for (size_t i = 0; i < count; i++) {
        impls[i] = load(argv[i + 2]);
    }
    bench_key *keys = random_keys((size_t)1 << SIZE_MAX_LOG2);
    if (strcmp(argv[1], "one") == 0) {
        one(impls, count, keys);
    } else if (strcmp(argv[1], "speed") == 0) {
        speed(impls, count, keys);
    } else {
        measure_die("%s: no mode '%s'", argv[0], argv[1]);
    }
    free(keys);
    free(impls);
    return 0;
}
