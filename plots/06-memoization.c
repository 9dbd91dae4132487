/* Bench of lesson 06: naive recursion against memoized, and what a hit costs.
 *
 *     06-memoization counts label=memo.so...  runs of the function, as TSV
 *     06-memoization speed label=memo.so...   times, as TSV
 *     06-memoization one label=memo.so...     the hits that callgrind counts
 *
 * fibonacci(n) for n up to 40 is computed in 64 bits by both, so that what
 * differs is the memo and not the arithmetic; the memoized one starts with an
 * empty memo each time. fibonacci(10,000) is computed in GMP's integers.
 *
 * The peer of a hit is the lru of lesson 5, bare, with pointers to numbers as
 * values. A hit reads the number that it got. The lru comes from the shared
 * object of the first implementation, which is linked with it. */
#include "measure.h"

#include "lru.h"
#include "memo.h"

#include <gmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 42

enum { LAST_N = 40, BIG_N = 10000, ASKS = 200000 };
enum { COUNTED_GETS = 1024, COUNTED_MAX = 1 << 16 };

typedef struct implementation {
    const char *label;
    status (*create)(size_t capacity, memo_function *function, void *context,
                     void (*destroy_result)(void *result), uint64_t seed,
                     memo **out);
    status (*get)(memo *m, bytes argument, memo_result **out);
    void *(*value)(const memo_result *result);
    void (*release)(memo_result *result);
    memo_stats (*statistics)(const memo *m);
    void (*destroy)(memo *m);

    status (*lru_create)(size_t capacity, void (*destroy_value)(void *value),
                         uint64_t seed, lru **out);
    status (*lru_set)(lru *l, bytes key, void *value);
    bool (*lru_get)(lru *l, bytes key, void **value);
    void (*lru_destroy)(lru *l);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "memo_create", &i.create);
    measure_function(handle, "memo_get", &i.get);
    measure_function(handle, "memo_value", &i.value);
    measure_function(handle, "memo_release", &i.release);
    measure_function(handle, "memo_statistics", &i.statistics);
    measure_function(handle, "memo_destroy", &i.destroy);
    measure_function(handle, "lru_create", &i.lru_create);
    measure_function(handle, "lru_set", &i.lru_set);
    measure_function(handle, "lru_get", &i.lru_get);
    measure_function(handle, "lru_destroy", &i.lru_destroy);
    return i;
}

static memo *create(const implementation *i, size_t capacity,
                    memo_function *function,
                    void (*destroy_result)(void *result)) {
    memo *m;
    /* The functions know by their context who runs them. */
    if (i->create(capacity, function, (void *)(uintptr_t)i, destroy_result,
                  SEED, &m)
        != STATUS_OK) {
        measure_die("%s: memo_create failed", i->label);
    }
    return m;
}

static memo_result *get(const implementation *i, memo *m, bytes argument) {
    memo_result *result;
    if (i->get(m, argument, &result) != STATUS_OK) {
        measure_die("%s: memo_get failed", i->label);
    }
    return result;
}

static bytes number(const uint64_t *n) {
    return (bytes){n, sizeof *n};
}

static uint64_t number_in(bytes argument) {
    uint64_t n;
    memcpy(&n, argument.data, sizeof n);
    return n;
}

/* -- fibonacci in 64 bits ------------------------------------------------ */

static uint64_t naive_runs;

/* Not inlined into itself: each run of the function is a call. */
__attribute__((noinline)) static uint64_t naive(uint64_t n) {
    naive_runs++;
    return n < 2 ? n : naive(n - 1) + naive(n - 2);
}

static uint64_t term(const implementation *i, memo *m, uint64_t n) {
    memo_result *result = get(i, m, number(&n));
    uint64_t value = (uintptr_t)i->value(result);
    i->release(result);
    return value;
}

static status fibonacci(void *context, memo *m, bytes argument, void **result) {
    const implementation *i = context;
    uint64_t n = number_in(argument);
    uint64_t sum = n < 2 ? n : term(i, m, n - 1) + term(i, m, n - 2);
    *result = (void *)(uintptr_t)sum;
    return STATUS_OK;
}

/* From an empty memo to the result. Returns: the runs. */
static uint64_t memoized(const implementation *i, uint64_t n, uint64_t *sum) {
    memo *m = create(i, (size_t)n + 1, fibonacci, NULL);
    *sum = term(i, m, n);
    uint64_t runs = i->statistics(m).runs;
    i->destroy(m);
    return runs;
}

static void counts(const implementation *impls, size_t count) {
    bench_report *r = measure_report();
    for (uint64_t n = 5; n <= LAST_N; n += 5) {
        naive_runs = 0;
        uint64_t right = naive(n);
        for (size_t i = 0; i < count; i++) {
            uint64_t sum;
            uint64_t runs = memoized(&impls[i], n, &sum);
            if (sum != right) {
                measure_die("%s: fibonacci is wrong", impls[i].label);
            }
            measure_add(r, impls[i].label, "runs", n, (double)runs);
        }
        measure_add(r, "naive", "runs", n, (double)naive_runs);
    }
    measure_print_counts(r, "make plot-6: runs of the function for "
                            "fibonacci(n)");
    bench_report_destroy(r);
}

/* -- times --------------------------------------------------------------- */

/* Short ones are repeated: the clock is too coarse for one. */
static void time_naive(bench_report *r, uint64_t n) {
    size_t rounds = n < 25 ? 2000 : 1;
    static volatile uint64_t sink; /* keeps the compiler from leaving it out */
    int64_t start = bench_now_ns();
    for (size_t i = 0; i < rounds; i++) {
        sink = naive(n);
    }
    measure_add(r, "naive", "fibonacci", n,
                (double)(bench_now_ns() - start) / (double)rounds);
    (void)sink;
}

static void time_memoized(bench_report *r, const implementation *i,
                          uint64_t n) {
    enum { ROUNDS = 500 };
    uint64_t sum = 0;
    int64_t start = bench_now_ns();
    for (size_t round = 0; round < ROUNDS; round++) {
        memoized(i, n, &sum);
    }
    measure_add(r, i->label, "fibonacci", n,
                (double)(bench_now_ns() - start) / ROUNDS);
}

static void destroy_big(void *value) {
    mpz_clear(value);
    free(value);
}

static void add_big(const implementation *i, memo *m, uint64_t n, mpz_ptr sum) {
    memo_result *result = get(i, m, number(&n));
    mpz_add(sum, sum, i->value(result));
    i->release(result);
}

static status big_fibonacci(void *context, memo *m, bytes argument,
                            void **result) {
    uint64_t n = number_in(argument);
    mpz_ptr sum = measure_alloc(1, sizeof(mpz_t));
    mpz_init_set_ui(sum, n < 2 ? n : 0);
    if (n >= 2) {
        add_big(context, m, n - 1, sum);
        add_big(context, m, n - 2, sum);
    }
    *result = sum;
    return STATUS_OK;
}

static void time_big(bench_report *r, const implementation *i) {
    uint64_t n = BIG_N;
    int64_t start = bench_now_ns();
    memo *m = create(i, BIG_N + 1, big_fibonacci, destroy_big);
    memo_result *result = get(i, m, number(&n));
    double spent = (double)(bench_now_ns() - start);
    mpz_t right;
    mpz_init(right);
    mpz_fib_ui(right, BIG_N);
    if (mpz_cmp(right, i->value(result)) != 0) {
        measure_die("%s: fibonacci(%d) is wrong", i->label, BIG_N);
    }
    mpz_clear(right);
    i->release(result);
    i->destroy(m);
    measure_add(r, i->label, "big", BIG_N, spent);
}

/* -- hits ---------------------------------------------------------------- */

static status itself(void *context, memo *m, bytes argument, void **result) {
    (void)context, (void)m;
    *result = (void *)(uintptr_t)number_in(argument);
    return STATUS_OK;
}

/* Numbers that are known, in the order of asking. */
static uint64_t *questions(size_t known, size_t asks) {
    uint64_t state = SEED;
    uint64_t *numbers = measure_alloc(asks, sizeof *numbers);
    for (size_t i = 0; i < asks; i++) {
        numbers[i] = bench_random_below(&state, known);
    }
    return numbers;
}

static uint64_t hit_memo(const implementation *i, memo *m,
                         const uint64_t *asked, size_t asks) {
    uint64_t sum = 0;
    for (size_t a = 0; a < asks; a++) {
        memo_result *result;
        if (i->get(m, number(&asked[a]), &result) == STATUS_OK) {
            sum += (uintptr_t)i->value(result);
            i->release(result);
        }
    }
    return sum;
}

static uint64_t hit_lru(const implementation *i, lru *l, const uint64_t *asked,
                        size_t asks) {
    uint64_t sum = 0;
    for (size_t a = 0; a < asks; a++) {
        void *value;
        if (i->lru_get(l, number(&asked[a]), &value)) {
            sum += *(const uint64_t *)value;
        }
    }
    return sum;
}

static memo *filled_memo(const implementation *i, size_t known) {
    memo *m = create(i, known, itself, NULL);
    for (uint64_t n = 0; n < known; n++) {
        i->release(get(i, m, number(&n)));
    }
    return m;
}

static lru *filled_lru(const implementation *i, size_t known) {
    lru *l;
    if (i->lru_create(known, free, SEED, &l) != STATUS_OK) {
        measure_die("lru_create failed");
    }
    for (uint64_t n = 0; n < known; n++) {
        uint64_t *value = measure_alloc(1, sizeof *value);
        *value = n;
        if (i->lru_set(l, number(&n), value) != STATUS_OK) {
            measure_die("lru_set failed");
        }
    }
    return l;
}

static void add_hit(bench_report *r, const char *label, size_t known,
                    int64_t start, uint64_t sum, uint64_t right) {
    double spent = (double)(bench_now_ns() - start) / ASKS;
    if (sum != right) {
        measure_die("%s: a hit gives another number", label);
    }
    measure_add(r, label, "hit", known, spent);
}

/* Who takes turns at hits: the bare lru comes after all memos. */
typedef struct contest {
    const implementation *impls;
    size_t count, known;
    memo **memos;
    lru *lru;
    const uint64_t *asked;
    uint64_t right;
} contest;

static status hit_turn(void *context, size_t contender, bench_report *r) {
    const contest *c = context;
    bool bare = contender == c->count;
    const implementation *i = &c->impls[bare ? 0 : contender];
    int64_t start = bench_now_ns();
    uint64_t sum = bare ? hit_lru(i, c->lru, c->asked, ASKS)
                        : hit_memo(i, c->memos[contender], c->asked, ASKS);
    add_hit(r, bare ? "lru" : i->label, c->known, start, sum, c->right);
    return STATUS_OK;
}

static void time_hits(bench_report *r, const implementation *impls,
                      size_t count, size_t known) {
    uint64_t *asked = questions(known, ASKS);
    contest c = {impls, count, known, .asked = asked};
    for (size_t a = 0; a < ASKS; a++) {
        c.right += asked[a];
    }
    c.memos = measure_alloc(count, sizeof(memo *));
    for (size_t i = 0; i < count; i++) {
        c.memos[i] = filled_memo(&impls[i], known);
    }
    c.lru = filled_lru(&impls[0], known);
    measure_interleave(r, count + 1, hit_turn, &c);
    impls[0].lru_destroy(c.lru);
    for (size_t i = 0; i < count; i++) {
        impls[i].destroy(c.memos[i]);
    }
    free(c.memos);
    free(asked);
}

/* The naive one comes after all memos, and needs no rival for the big one. */
static status fibonacci_turn(void *context, size_t contender, bench_report *r) {
    const contest *c = context;
    for (uint64_t n = 5; n <= LAST_N; n += 5) {
        if (contender < c->count) {
            time_memoized(r, &c->impls[contender], n);
        } else {
            time_naive(r, n);
        }
    }
    if (contender < c->count) {
        time_big(r, &c->impls[contender]);
    }
    return STATUS_OK;
}

static void speed(const implementation *impls, size_t count) {
    measure_keep_memory();
    bench_report *r = measure_report();
    fprintf(stderr, "fibonacci\n");
    contest c = {.impls = impls, .count = count};
    measure_interleave(r, count + 1, fibonacci_turn, &c);
    for (size_t known = 1000; known <= 100000; known *= 10) {
        fprintf(stderr, "hits, %zu known\n", known);
        time_hits(r, impls, count, known);
    }
    measure_print_times(r, "make bench-6: ns per fibonacci(n), in GMP (big), "
                           "and per hit with n results known");
    bench_report_destroy(r);
}

/* -- counts of instructions ---------------------------------------------- */

typedef struct ask {
    const implementation *impl;
    memo *m;
    uint64_t asked[COUNTED_GETS];
} ask;

static void ask_all(void *context) {
    ask *a = context;
    hit_memo(a->impl, a->m, a->asked, COUNTED_GETS);
}

/* The same number of hits at each size, spread over all that is known. */
static void count_hits(const implementation *impl, size_t known) {
    static ask a;
    a.impl = impl;
    a.m = filled_memo(impl, known);
    for (size_t k = 0; k < COUNTED_GETS; k++) {
        size_t turn = k * 389 % COUNTED_GETS;
        a.asked[k] = (2 * turn + 1) * known / (2 * COUNTED_GETS);
    }
    printf("%s\tget\t%zu\t%d\n", impl->label, known, COUNTED_GETS);
    measure_ask(ask_all, &a);
    impl->destroy(a.m);
}

static void one(const implementation *impls, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t known = 1; known <= COUNTED_MAX; known *= 4) {
            count_hits(&impls[i], known);
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed|one label=memo.so...", argv[0]);
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
