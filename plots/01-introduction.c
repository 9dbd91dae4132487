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
    const key *asked;
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

static kv *filled(const implementation *i, const key *keys, size_t n) {
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

static key *random_keys(size_t n) {
    uint64_t state = SEED;
    key *keys = measure_alloc(n, sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        keys[i] = measure_random_key(&state);
    }
    return keys;
}

/* Questions laid out in the order of asking: fetching one costs nothing. */
static key *random_questions(const key *keys, size_t n, size_t count) {
    uint64_t state = SEED + n;
    key *asked = measure_alloc(count, sizeof *asked);
    for (size_t i = 0; i < count; i++) {
        asked[i] = keys[measure_random_below(&state, n)];
    }
    return asked;
}

/* The same number of questions at each size, evenly spread over the keys: so
 * the count has no noise, not even that of a draw. */
static key *even_questions(const key *keys, size_t n) {
    key *asked = measure_alloc(COUNTED_GETS, sizeof *asked);
    for (size_t i = 0; i < COUNTED_GETS; i++) {
        asked[i] = keys[(2 * i + 1) * n / (2 * COUNTED_GETS)];
    }
    return asked;
}

static void count_gets(const implementation *i, const key *keys, size_t n) {
    key *asked = even_questions(keys, n);
    question q = {i, filled(i, keys, n), asked, COUNTED_GETS};
    measure_ask(ask_all, &q);
    printf("%s\tget\t%zu\t%d\n", i->label, n, COUNTED_GETS);
    i->destroy(q.cache);
    free(asked);
}

static void time_gets(report *r, const implementation *i, const key *keys,
                      size_t n, const key *asked, size_t count) {
    question q = {i, filled(i, keys, n), asked, count};
    int64_t start = measure_now_ns();
    ask_all(&q);
    int64_t end = measure_now_ns();
    report_add(r, i->label, "get", n, (double)(end - start) / (double)count);
    i->destroy(q.cache);
}

/* As many questions as take some milliseconds at this size. */
static size_t questions_at(size_t n) {
    size_t count = ((size_t)1 << 23) / n;
    return count > 400000 ? 400000 : count;
}

static void time_size(report *r, const implementation *impls, size_t impl_count,
                      const key *keys, size_t n) {
    size_t count = questions_at(n);
    key *asked = random_questions(keys, n, count);
    for (size_t run = 0; run < measure_runs(); run++) {
        for (size_t i = 0; i < impl_count; i++) {
            time_gets(r, &impls[i], keys, n, asked, count);
        }
    }
    free(asked);
}

static void speed(const implementation *impls, size_t count, const key *keys) {
    report *r = report_create();
    for (size_t log2 = 0; log2 <= SIZE_MAX_LOG2; log2++) {
        fprintf(stderr, "\rkv with %d entries ", 1 << log2);
        time_size(r, impls, count, keys, (size_t)1 << log2);
    }
    fprintf(stderr, "\n");
    report_print_times(r, "make bench-1: ns per get (a hit) of n entries");
    report_destroy(r);
}

static void one(const implementation *impls, size_t count, const key *keys) {
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
    key *keys = random_keys((size_t)1 << SIZE_MAX_LOG2);
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
