/* Bench of lesson 04: what expired entries cost in memory and in time.
 *
 *     04-expiration counts label=ttl.so...   two simulations, as TSV
 *     04-expiration speed label=ttl.so...    time per operation, as TSV
 *     04-expiration one label=ttl.so...      the gets that callgrind counts
 *
 * The simulations turn a clock by hand and draw from a seed, so their counts
 * are the same everywhere. The bare dict, beside which a hit is timed, is the
 * one inside the first ttl.so. */
#include "measure.h"

#include "dict.h"
#include "ttl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 42

enum { SECOND = 1000, MINUTE = 60 * SECOND };

typedef struct implementation {
    const char *label;
    status (*create)(int64_t default_ttl_ms, ms_clock clock,
                     void (*destroy_value)(void *value), uint64_t seed,
                     ttl **out);
    status (*jitter)(ttl *t, unsigned percent);
    status (*set_for)(ttl *t, bytes key, void *value, int64_t ttl_ms);
    bool (*get)(ttl *t, bytes key, void **value);
    size_t (*sweep)(ttl *t, size_t max);
    size_t (*count)(const ttl *t);
    void (*destroy)(ttl *t);

    dict *(*dict_create)(void (*destroy_value)(void *value), uint64_t seed);
    status (*dict_set)(dict *d, bytes key, void *value);
    bool (*dict_get)(const dict *d, bytes key, void **value);
    void (*dict_destroy)(dict *d);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "ttl_create", &i.create);
    measure_function(handle, "ttl_jitter", &i.jitter);
    measure_function(handle, "ttl_set_for", &i.set_for);
    measure_function(handle, "ttl_get", &i.get);
    measure_function(handle, "ttl_sweep", &i.sweep);
    measure_function(handle, "ttl_count", &i.count);
    measure_function(handle, "ttl_destroy", &i.destroy);
    measure_function(handle, "dict_create", &i.dict_create);
    measure_function(handle, "dict_set", &i.dict_set);
    measure_function(handle, "dict_get", &i.dict_get);
    measure_function(handle, "dict_destroy", &i.dict_destroy);
    return i;
}

static ttl *create(const implementation *i, ms_clock clock) {
    ttl *t;
    if (i->create(MINUTE, clock, NULL, SEED, &t) != STATUS_OK) {
        measure_die("%s: ttl_create failed", i->label);
    }
    return t;
}

static bytes key_bytes(const bench_key *k) {
    return (bytes){k->text, BENCH_KEY_LEN};
}

static void set_for(const implementation *i, ttl *t, const bench_key *k,
                    int64_t ttl_ms) {
    if (i->set_for(t, key_bytes(k), (void *)k, ttl_ms) != STATUS_OK) {
        measure_die("%s: ttl_set_for failed", i->label);
    }
}

static bench_key *random_keys(size_t n, uint64_t *state) {
    bench_key *keys = measure_alloc(n, sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        keys[i] = bench_random_key(state);
    }
    return keys;
}

/* -- memory over time ----------------------------------------------------- */

enum {
    LASTS_MS = 10 * MINUTE,
    STEP_MS = 10,
    SAMPLE_MS = 10 * SECOND,
    EACH_STEP = 5, /* requests of each kind */
    POPULAR = 10000,
};

/* When, and how much at most, one of the caches is swept. */
typedef struct sweeping {
    const char *name;
    int64_t every_ms;
    size_t max;
} sweeping;

static const sweeping lazy = {"lazy", INT64_MAX, 0};
static const sweeping seldom = {"swept-each-minute", MINUTE, SIZE_MAX};
static const sweeping often = {"swept-each-10-ms", STEP_MS, 100};

static void request(const implementation *i, ttl *t, const bench_key *k) {
    if (!i->get(t, key_bytes(k), NULL)) {
        set_for(i, t, k, MINUTE);
    }
}

/* Half of the requests ask for popular keys over and over, the other half for
 * keys that nobody asks for again: sessions, say, or searches. */
static void simulate_memory(bench_report *r, const implementation *impl,
                            const sweeping *s, const char *name) {
    uint64_t state = SEED;
    bench_key *popular = random_keys(POPULAR, &state);
    int64_t now = 0;
    ttl *t = create(impl, ms_clock_frozen(&now));
    for (; now <= LASTS_MS; now += STEP_MS) {
        for (size_t i = 0; i < EACH_STEP; i++) {
            bench_key once = bench_random_key(&state);
            request(impl, t, &popular[bench_random_below(&state, POPULAR)]);
            request(impl, t, &once);
        }
        if (now % s->every_ms == 0) {
            impl->sweep(t, s->max);
        }
        if (now % SAMPLE_MS == 0) {
            measure_add(r, name, "held", (size_t)(now / SECOND),
                        (double)impl->count(t));
        }
    }
    impl->destroy(t);
    free(popular);
}

/* -- the stampede ---------------------------------------------------------- */

enum { SAMPLE_LOADS_MS = 50, STAMPEDE_MS = MINUTE + SECOND };

/* Every key is asked for all the time, so each is loaded anew in the very
 * millisecond in which it expires: the loads are what a sweep finds. Noted is
 * the busiest millisecond out of each fifty. */
static void simulate_stampede(bench_report *r, const implementation *impl,
                              unsigned percent, const char *name) {
    size_t n = measure_quick() ? 100000 : 1000000;
    uint64_t state = SEED;
    int64_t now = 0;
    ttl *t = create(impl, ms_clock_frozen(&now));
    impl->jitter(t, percent);
    for (size_t i = 0; i < n; i++) {
        bench_key k = bench_random_key(&state);
        set_for(impl, t, &k, MINUTE);
    }
    size_t most = 0;
    for (now = 1; now <= STAMPEDE_MS; now++) {
        size_t loads = impl->sweep(t, SIZE_MAX);
        most = loads > most ? loads : most;
        if (now % SAMPLE_LOADS_MS == 0) {
            if (most > 0) {
                measure_add(r, name, "loads", (size_t)now, (double)most);
            }
            most = 0;
        }
    }
    impl->destroy(t);
}

static void counts(const implementation *impls, size_t count) {
    bench_report *r = measure_report();
    const implementation *reference = &impls[0];
    simulate_memory(r, reference, &lazy, lazy.name);
    simulate_memory(r, reference, &seldom, seldom.name);
    simulate_memory(r, reference, &often, often.name);
    simulate_stampede(r, reference, 0, "no-jitter");
    simulate_stampede(r, reference, 1, "jitter-1%");
    simulate_stampede(r, reference, 10, "jitter-10%");
    for (size_t i = 1; i < count; i++) {
        simulate_memory(r, &impls[i], &often, impls[i].label);
        simulate_stampede(r, &impls[i], 10, impls[i].label);
    }
    measure_print_counts(r, "make plot-4: entries held after so many seconds; "
                            "most loads in one millisecond, after so many");
    bench_report_destroy(r);
}

/* -- the time of a hit ----------------------------------------------------- */

typedef struct questions {
    size_t n;
    bench_key *keys;
    size_t asks;
    bench_key
        *asked; /* in the order of asking, so that fetching them is cheap */
} questions;

static questions questions_create(size_t n) {
    uint64_t state = SEED + n;
    size_t asks = n < 200000 ? 200000 : n;
    bench_key *keys = random_keys(n, &state);
    bench_key *asked = measure_alloc(asks, sizeof *asked);
    for (size_t i = 0; i < asks; i++) {
        asked[i] = keys[bench_random_below(&state, n)];
    }
    return (questions){n, keys, asks, asked};
}

static void questions_destroy(questions *q) {
    free(q->keys);
    free(q->asked);
}

static void note_hits(bench_report *r, const char *label, const char *operation,
                      const questions *q, int64_t time, size_t found) {
    if (found != q->asks) {
        measure_die("%s: found %zu of %zu", label, found, q->asks);
    }
    measure_add(r, label, operation, q->n, (double)time / (double)q->asks);
}

static void time_dict(bench_report *r, const implementation *i, const dict *d,
                      const questions *q, const char *operation) {
    size_t found = 0;
    int64_t start = bench_now_ns();
    for (size_t k = 0; k < q->asks; k++) {
        void *value = NULL;
        i->dict_get(d, key_bytes(&q->asked[k]), &value);
        found += value != NULL;
    }
    note_hits(r, "dict", operation, q, bench_now_ns() - start, found);
}

static void time_ttl(bench_report *r, const implementation *i, ttl *t,
                     const questions *q, const char *operation) {
    size_t found = 0;
    int64_t start = bench_now_ns();
    for (size_t k = 0; k < q->asks; k++) {
        void *value = NULL;
        i->get(t, key_bytes(&q->asked[k]), &value);
        found += value != NULL;
    }
    note_hits(r, i->label, operation, q, bench_now_ns() - start, found);
}

static dict *filled_dict(const implementation *i, const questions *q) {
    dict *d = i->dict_create(NULL, SEED);
    for (size_t k = 0; d && k < q->n; k++) {
        if (i->dict_set(d, key_bytes(&q->keys[k]), &q->keys[k]) != STATUS_OK) {
            measure_die("dict_set failed");
        }
    }
    return d;
}

/* How the cache under test differs from one with a clock that stands still
 * and nothing due. */
typedef enum circumstance { NOTHING_DUE, SOME_DUE, REAL_CLOCK } circumstance;

static const char *const hit_names[] = {"hit", "hit,some-due",
                                        "hit,real-clock"};

static ttl *filled_ttl(const implementation *i, const questions *q,
                       circumstance c, int64_t *now) {
    static const bench_key due = {"is due"};
    ms_clock frozen = ms_clock_frozen(now);
    *now = 0;
    ttl *t = create(i, c == REAL_CLOCK ? ms_clock_monotonic() : frozen);
    for (size_t k = 0; k < q->n; k++) {
        set_for(i, t, &q->keys[k], 60 * MINUTE);
    }
    if (c == SOME_DUE) {
        set_for(i, t, &due, 1);
    }
    *now = 1;
    return t;
}

/* All are asked twice: the first time brings the table back into the
 * processor's caches, and does not count. */
static void hit_dict(bench_report *r, const implementation *i,
                     const questions *q, circumstance c) {
    dict *d = filled_dict(i, q);
    time_dict(NULL, i, d, q, hit_names[c]);
    time_dict(r, i, d, q, hit_names[c]);
    i->dict_destroy(d);
}

static void hit_ttl(bench_report *r, const implementation *i,
                    const questions *q, circumstance c) {
    int64_t now;
    ttl *t = filled_ttl(i, q, c, &now);
    time_ttl(NULL, i, t, q, hit_names[c]);
    time_ttl(r, i, t, q, hit_names[c]);
    i->destroy(t);
}

/* Who takes turns: contender 0 is the bare dict. */
typedef struct contest {
    const implementation *impls;
    const questions *q;
    circumstance c;
} contest;

/* Each run fills new tables: how fast one is depends a little on where in
 * memory it comes to lie. */
static status hit_turn(void *context, size_t contender, bench_report *r) {
    const contest *c = context;
    measure_tidy_memory();
    if (contender == 0) {
        hit_dict(r, &c->impls[0], c->q, c->c);
    } else {
        hit_ttl(r, &c->impls[contender - 1], c->q, c->c);
    }
    return STATUS_OK;
}

static void time_hits(bench_report *r, const implementation *impls,
                      size_t count, size_t n, circumstance c) {
    questions q = questions_create(n);
    contest all = {impls, &q, c};
    measure_interleave(r, count + 1, hit_turn, &all);
    questions_destroy(&q);
}

/* -- the time of a sweep ----------------------------------------------------
 */

enum { SWEEP_MAX = 1000 };

/* When a million entries expire: all in one millisecond, in the order of
 * setting, or at random within a minute. */
typedef enum ending { TOGETHER, IN_ORDER, AT_RANDOM } ending;

static const char *const sweep_names[] = {"sweep,together", "sweep,in-order",
                                          "sweep,at-random"};
static const char *const longest_names[] = {
    "longest,together", "longest,in-order", "longest,at-random"};

static int64_t ttl_of(ending e, size_t i, size_t n, uint64_t *state) {
    switch (e) {
    case IN_ORDER: return 1 + (int64_t)(i * (MINUTE - 1) / n);
    case AT_RANDOM: return 1 + (int64_t)bench_random_below(state, MINUTE);
    default: return MINUTE;
    }
}

static void time_sweep(bench_report *r, const implementation *impl,
                       const bench_key *keys, size_t n, ending e) {
    uint64_t state = SEED;
    int64_t now = 0;
    measure_tidy_memory();
    ttl *t = create(impl, ms_clock_frozen(&now));
    for (size_t i = 0; i < n; i++) {
        set_for(impl, t, &keys[i], ttl_of(e, i, n, &state));
    }
    now = MINUTE;
    size_t freed = 0;
    int64_t total = 0;
    int64_t longest = 0;
    while (freed < n) {
        int64_t start = bench_now_ns();
        size_t got = impl->sweep(t, SWEEP_MAX);
        int64_t took = bench_now_ns() - start;
        if (got == 0) {
            measure_die("%s: swept %zu entries of %zu", impl->label, freed, n);
        }
        freed += got;
        total += took;
        longest = took > longest ? took : longest;
    }
    impl->destroy(t);
    measure_add(r, impl->label, sweep_names[e], n, (double)total / (double)n);
    measure_add(r, impl->label, longest_names[e], n, (double)longest);
}

typedef struct sweepers {
    const implementation *impls;
    const bench_key *keys;
    size_t n;
} sweepers;

static status sweep_turn(void *context, size_t contender, bench_report *r) {
    const sweepers *s = context;
    for (ending e = TOGETHER; e <= AT_RANDOM; e++) {
        time_sweep(r, &s->impls[contender], s->keys, s->n, e);
    }
    return STATUS_OK;
}

static void time_sweeps(bench_report *r, const implementation *impls,
                        size_t count) {
    size_t n = measure_quick() ? 100000 : 1000000;
    uint64_t state = SEED;
    bench_key *keys = random_keys(n, &state);
    sweepers s = {impls, keys, n};
    fprintf(stderr, "sweeps\n");
    measure_interleave(r, count, sweep_turn, &s);
    free(keys);
}

static void speed(const implementation *impls, size_t count) {
    static const size_t sizes[] = {1000, 10000, 100000, 1000000};
    size_t size_count = measure_quick() ? 3 : sizeof sizes / sizeof sizes[0];
    bench_report *r = measure_report();
    measure_keep_memory();
    for (circumstance c = NOTHING_DUE; c <= REAL_CLOCK; c++) {
        for (size_t i = 0; i < size_count; i++) {
            fprintf(stderr, "%s, %zu entries\n", hit_names[c], sizes[i]);
            time_hits(r, impls, count, sizes[i], c);
        }
    }
    time_sweeps(r, impls, count);
    measure_print_times(r, "make bench-4: ns per hit and per entry swept, "
                           "among n; and of the longest sweep of 1000");
    bench_report_destroy(r);
}

/* -- counts of instructions --------------------------------------------------
 */

enum { COUNTED_GETS = 1024, COUNTED_MAX = 1 << 16 };

typedef struct ask {
    const implementation *impl;
    ttl *ttl;
    bench_key asked[COUNTED_GETS];
} ask;

static void ask_all(void *context) {
    ask *a = context;
    for (size_t i = 0; i < COUNTED_GETS; i++) {
        if (!a->impl->get(a->ttl, key_bytes(&a->asked[i]), NULL)) {
            measure_die("%s: does not find all of its keys", a->impl->label);
        }
    }
}

/* The same number of hits at each size, evenly spread over the keys. */
static void count_gets(const implementation *impl, const bench_key *keys,
                       size_t n) {
    static ask a;
    int64_t now = 0;
    a.impl = impl;
    a.ttl = create(impl, ms_clock_frozen(&now));
    for (size_t i = 0; i < n; i++) {
        set_for(impl, a.ttl, &keys[i], MINUTE);
    }
    for (size_t i = 0; i < COUNTED_GETS; i++) {
        a.asked[i] = keys[(2 * i + 1) * n / (2 * COUNTED_GETS)];
    }
    measure_ask(ask_all, &a);
    printf("%s\tget\t%zu\t%d\n", impl->label, n, COUNTED_GETS);
    impl->destroy(a.ttl);
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
        measure_die("usage: %s counts|speed|one label=ttl.so...", argv[0]);
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
