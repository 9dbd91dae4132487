/* The slide's program: how long 100,000 sets and gets take, at three sizes.
 *
 * Times differ from run to run. On a terminal they are printed; into a file or
 * a pipe go question marks in their place, so that two transcripts can be
 * compared. */
#include "bench.h"
#include "dict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPERATIONS = 100000, VALUE_LEN = 100, SEED = 42 };

/* A cache of `size` entries whose oldest goes when it is full, and what will
 * be asked of it. Keys are set in the order of their numbers, so the oldest
 * entry is the one set `size` numbers ago. */
typedef struct trial {
    dict *cache;
    size_t size;
    uint64_t random;
    bench_key keys[OPERATIONS];
    bench_key asked[OPERATIONS];
    char value[VALUE_LEN];
} trial;

static void must(status s, const char *what) {
    if (s != STATUS_OK) {
        fprintf(stderr, "%s: %s\n", what, status_name(s));
        exit(EXIT_FAILURE);
    }
}

static bytes key_bytes(const bench_key *key) {
    return (bytes){key->text, BENCH_KEY_LEN};
}

static status draw_keys(void *context, uint64_t count) {
    trial *t = context;
    for (uint64_t i = 0; i < count; i++) {
        t->keys[i] = bench_random_key(&t->random);
    }
    return STATUS_OK;
}

static uint64_t set_one(void *context, uint64_t number) {
    trial *t = context;
    char *copy = malloc(VALUE_LEN);
    if (!copy
        || dict_set(t->cache, key_bytes(&t->keys[number]), copy) != STATUS_OK) {
        must(STATUS_NO_MEMORY, "set");
    }
    memcpy(copy, t->value, VALUE_LEN);
    if (number >= t->size) {
        dict_delete(t->cache, key_bytes(&t->keys[number - t->size]));
    }
    return dict_count(t->cache);
}

/* Keys that are in the cache, laid out in the order of asking. */
static status draw_questions(void *context, uint64_t count) {
    trial *t = context;
    for (uint64_t i = 0; i < count; i++) {
        size_t back = bench_random_below(&t->random, t->size);
        t->asked[i] = t->keys[OPERATIONS - 1 - back];
    }
    return STATUS_OK;
}

static uint64_t get_one(void *context, uint64_t number) {
    const trial *t = context;
    void *value;
    return dict_get(t->cache, key_bytes(&t->asked[number]), &value);
}

/* Returns: seconds for all operations together. */
static double time_all(const bench_work *work, bool cold, uint64_t *sum) {
    bench_options options = {.cold = cold};
    bench_histogram *times = bench_histogram_create();
    if (!times) {
        must(STATUS_NO_MEMORY, "histogram");
    }
    must(bench_run(work, OPERATIONS, &options, times, sum), "run");
    double mean_ns = bench_histogram_summary(times).mean_ns;
    bench_histogram_destroy(times);
    return mean_ns * OPERATIONS / 1e9;
}

static void print_time(const char *what, double seconds) {
    if (isatty(STDOUT_FILENO)) {
        printf("%s time: %.4f seconds\n", what, seconds);
    } else {
        printf("%s time: ?.???? seconds\n", what);
    }
}

static void try_size(size_t size) {
    static trial t;
    t = (trial){.size = size, .random = SEED, .value = "100 bytes"};
    t.cache = dict_create(free, SEED);
    if (!t.cache) {
        must(STATUS_NO_MEMORY, "cache");
    }
    bench_work sets = {draw_keys, set_one, &t};
    bench_work gets = {draw_questions, get_one, &t};
    uint64_t sum;
    printf("Cache size: %zu\n", size);
    print_time("Set", time_all(&sets, true, &sum));
    print_time("Get", time_all(&gets, false, &sum));
    printf("\n");
    dict_destroy(t.cache);
    if (sum != OPERATIONS) {
        must(STATUS_MISS, "get");
    }
}

int main(void) {
    try_size(100);
    try_size(1000);
    try_size(10000);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
