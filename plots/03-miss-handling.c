/* Bench of lesson 03: what misses cost, and what a hit costs.
 *
 *     03-miss-handling counts label=rt.so...  mean latency by hit ratio, TSV
 *     03-miss-handling speed label=rt.so...   time per hit, as TSV
 *     03-miss-handling one label=rt.so...     the hits that callgrind counts
 *
 * The peer is the dict of lesson 2, bare: keys as here, and as values pointers
 * to blocks of a length and so many bytes. A hit reads the value that it got,
 * for nobody gets a value to look away. The dict comes from the shared object
 * of the first implementation, which is linked with it. */
#include "measure.h"

#include "dict.h"
#include "readthrough.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 42
#define HIT_US 0.1 /* what a hit is taken to cost in the chart */

enum { TURN = 2048, TURNS = 199, ASKS = TURNS * TURN };
enum { COUNTED_GETS = 1024, COUNTED_MAX = 1 << 16 };

typedef struct implementation {
    const char *label;
    status (*create)(readthrough_source *source, void *context,
                     const readthrough_options *options, readthrough **out);
    status (*get)(readthrough *r, bytes key, bytes *value);
    status (*give)(readthrough_reply *reply, bytes value);
    readthrough_stats (*statistics)(const readthrough *r);
    void (*destroy)(readthrough *r);

    dict *(*dict_create)(void (*destroy_value)(void *value), uint64_t seed);
    status (*dict_set)(dict *d, bytes key, void *value);
    bool (*dict_get)(const dict *d, bytes key, void **value);
    void (*dict_destroy)(dict *d);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "readthrough_create", &i.create);
    measure_function(handle, "readthrough_get", &i.get);
    measure_function(handle, "readthrough_give", &i.give);
    measure_function(handle, "readthrough_statistics", &i.statistics);
    measure_function(handle, "readthrough_destroy", &i.destroy);
    measure_function(handle, "dict_create", &i.dict_create);
    measure_function(handle, "dict_set", &i.dict_set);
    measure_function(handle, "dict_get", &i.dict_get);
    measure_function(handle, "dict_destroy", &i.dict_destroy);
    return i;
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

static readthrough *create(const implementation *i, readthrough_source *source,
                           void *context, readthrough_options options) {
    readthrough *r;
    options.seed = SEED;
    if (i->create(source, context, &options, &r) != STATUS_OK) {
        measure_die("%s: readthrough_create failed", i->label);
    }
    return r;
}

/* -- latency against hit ratio ------------------------------------------ */

/* A source that takes 1 ms, on a clock that stands still otherwise. */
typedef struct slow {
    const implementation *implementation;
    int64_t now_ms;
} slow;

static status slow_source(void *context, bytes asked,
                          readthrough_reply *reply) {
    slow *s = context;
    s->now_ms++;
    return s->implementation->give(reply, asked);
}

/* Of every 1,000 gets so many ask for a key that is known; the others ask for
 * one that nobody has asked for before.
 * Returns: microseconds per get. */
static double mean_latency_us(const implementation *i, size_t known,
                              size_t gets) {
    slow s = {.implementation = i};
    readthrough_options options = {.clock = ms_clock_frozen(&s.now_ms)};
    readthrough *r = create(i, slow_source, &s, options);
    uint64_t state = SEED;
    bench_key popular = bench_random_key(&state);
    i->get(r, key_bytes(&popular), NULL); /* loaded before the count starts */
    int64_t start_ms = s.now_ms;
    for (size_t g = 0; g < gets; g++) {
        bench_key k = g % 1000 < known ? popular : bench_random_key(&state);
        i->get(r, key_bytes(&k), NULL);
    }
    double us = (double)(s.now_ms - start_ms) * 1000
                + (double)i->statistics(r).hits * HIT_US;
    i->destroy(r);
    return us / (double)gets;
}

static void counts(const implementation *impls, size_t count) {
    static const size_t known[] = {0,   100, 200, 300, 400, 500, 600, 700,
                                   800, 850, 900, 925, 950, 960, 970, 980,
                                   985, 990, 993, 995, 997, 998, 999, 1000};
    bench_report *r = measure_report();
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
            measure_add(r, impls[i].label, "mean", known[k],
                        mean_latency_us(&impls[i], known[k], 100000));
        }
    }
    measure_print_counts(r, "make plot-3: microseconds per get with n hits in "
                            "1,000 gets; a load takes 1 ms, a hit 0.1 us");
    bench_report_destroy(r);
}

/* -- time per hit ------------------------------------------------------- */

typedef struct questions {
    size_t n, asks;
    bench_key *keys;  /* n, in the order of loading */
    bench_key *asked; /* drawn from them, in the order of asking */
} questions;

static questions questions_create(size_t n) {
    uint64_t state = SEED + n;
    questions q = {.n = n, .asks = ASKS};
    q.keys = random_keys(n, &state);
    q.asked = measure_alloc(q.asks, sizeof *q.asked);
    for (size_t i = 0; i < q.asks; i++) {
        q.asked[i] = q.keys[bench_random_below(&state, n)];
    }
    return q;
}

static void questions_destroy(questions *q) {
    free(q->keys);
    free(q->asked);
}

/* The value of a key: the key itself, at the head of 32 bytes. */
typedef struct payload {
    char text[32];
} payload;

static payload payload_of(bytes k) {
    payload p = {{0}};
    memcpy(p.text, k.data, k.len);
    return p;
}

/* A value as who uses a bare dict would keep it. */
typedef struct block {
    size_t len;
    char data[sizeof(payload)];
} block;

static size_t matches(bytes value, const bench_key *k) {
    return memcmp(value.data, k->text, 8) == 0;
}

static void must_be(const char *label, size_t found, size_t wanted) {
    if (found != wanted) {
        measure_die("%s: found %zu keys, not %zu", label, found, wanted);
    }
}

static dict *dict_filled(const implementation *i, const bench_key *keys,
                         size_t n) {
    dict *d = i->dict_create(free, SEED);
    for (size_t k = 0; k < n; k++) {
        payload p = payload_of(key_bytes(&keys[k]));
        block *b = malloc(sizeof *b);
        if (!b || i->dict_set(d, key_bytes(&keys[k]), b) != STATUS_OK) {
            measure_die("dict: no memory");
        }
        b->len = sizeof p;
        memcpy(b->data, p.text, sizeof p);
    }
    return d;
}

static size_t dict_find_all(const implementation *i, const dict *d,
                            const bench_key *asked, size_t n) {
    size_t found = 0;
    for (size_t a = 0; a < n; a++) {
        void *value = NULL;
        if (i->dict_get(d, key_bytes(&asked[a]), &value)) {
            const block *b = value;
            found += matches((bytes){b->data, b->len}, &asked[a]);
        }
    }
    return found;
}

typedef struct quick {
    const implementation *implementation;
    size_t loads;
} quick;

static status quick_source(void *context, bytes asked,
                           readthrough_reply *reply) {
    quick *q = context;
    payload p = payload_of(asked);
    q->loads++;
    return q->implementation->give(reply, (bytes){p.text, sizeof p});
}

static readthrough *cache_filled(quick *q, readthrough_options options,
                                 const bench_key *keys, size_t n) {
    const implementation *i = q->implementation;
    readthrough *r = create(i, quick_source, q, options);
    for (size_t k = 0; k < n; k++) {
        i->get(r, key_bytes(&keys[k]), NULL);
    }
    return r;
}

static size_t cache_find_all(const implementation *i, readthrough *r,
                             const bench_key *asked, size_t n) {
    size_t found = 0;
    for (size_t a = 0; a < n; a++) {
        bytes value;
        if (i->get(r, key_bytes(&asked[a]), &value) == STATUS_OK) {
            found += matches(value, &asked[a]);
        }
    }
    return found;
}

/* One who takes turns: the bare dict, or a cache with or without a bound. */
typedef struct contender {
    const implementation *implementation;
    const char *label, *operation;
    quick source;
    dict *dict; /* NULL: it is a cache */
    readthrough *cache;
    int64_t ns[TURNS]; /* per turn */
} contender;

static void take_turn(contender *c, size_t turn, const bench_key *asked) {
    int64_t start = bench_now_ns();
    size_t found =
        c->dict ? dict_find_all(c->implementation, c->dict, asked, TURN)
                : cache_find_all(c->implementation, c->cache, asked, TURN);
    c->ns[turn] = bench_now_ns() - start;
    must_be(c->label, found, TURN);
}

static int by_time(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

typedef struct contest {
    contender *cs;
    size_t count;
    const questions *q;
} contest;

/* Turns are short, and the median of them counts: so what else the machine
 * does hits few of them, and all contenders alike. All tables are there at
 * once, hence nobody has the processor's cache alone. */
static status run_once(void *context, size_t all, bench_report *r) {
    const contest *c = context;
    (void)all; /* one for all: they take turns within */
    for (size_t turn = 0; turn < TURNS; turn++) {
        for (size_t i = 0; i < c->count; i++) {
            take_turn(&c->cs[(i + turn) % c->count], turn,
                      &c->q->asked[turn * TURN]);
        }
    }
    for (size_t i = 0; i < c->count; i++) {
        qsort(c->cs[i].ns, TURNS, sizeof c->cs[i].ns[0], by_time);
        measure_add(r, c->cs[i].label, c->cs[i].operation, c->q->n,
                    (double)c->cs[i].ns[TURNS / 2] / TURN);
    }
    return STATUS_OK;
}

static contender dict_contender(const implementation *i, const char *operation,
                                const questions *q) {
    return (contender){.implementation = i,
                       .label = "dict",
                       .operation = operation,
                       .dict = dict_filled(i, q->keys, q->n)};
}

static void begin_cache(contender *c, const implementation *i,
                        const char *operation, readthrough_options options,
                        const questions *q) {
    *c = (contender){.implementation = i,
                     .label = i->label,
                     .operation = operation,
                     .source = {.implementation = i}};
    c->cache = cache_filled(&c->source, options, q->keys, q->n);
}

static void contender_end(contender *c) {
    if (c->dict) {
        c->implementation->dict_destroy(c->dict);
    } else {
        c->implementation->destroy(c->cache);
    }
}

/* Without a bound, and with one: then each hit asks a clock. It is a frozen
 * one, since the machine's own costs the same in whatever reads it. */
static void time_size(bench_report *r, const implementation *impls,
                      size_t count, size_t n) {
    questions q = questions_create(n);
    contender *cs = measure_alloc(2 * (count + 1), sizeof *cs);
    int64_t now_ms = 0;
    readthrough_options options[] = {
        {0}, {.fresh_ms = 1000, .clock = ms_clock_frozen(&now_ms)}};
    const char *operations[] = {"hit", "hit, fresh_ms"};
    size_t made = 0;
    for (size_t o = 0; o < 2; o++) {
        cs[made++] = dict_contender(&impls[0], operations[o], &q);
        for (size_t i = 0; i < count; i++) {
            begin_cache(&cs[made++], &impls[i], operations[o], options[o], &q);
        }
    }
    fprintf(stderr, "%zu entries\n", n);
    contest c = {cs, made, &q};
    measure_interleave(r, 1, run_once, &c);
    for (size_t i = 0; i < made; i++) {
        contender_end(&cs[i]);
    }
    free(cs);
    questions_destroy(&q);
}

static void speed(const implementation *impls, size_t count) {
    static const size_t sizes[] = {1000, 10000, 100000};
    bench_report *r = measure_report();
    measure_keep_memory();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        time_size(r, impls, count, sizes[i]);
    }
    measure_print_times(r, "make bench-3: ns per hit among n keys");
    bench_report_destroy(r);
}

/* -- counts ------------------------------------------------------------- */

typedef struct ask {
    const implementation *implementation;
    readthrough *cache;
    bench_key asked[COUNTED_GETS];
} ask;

static void ask_all(void *context) {
    const ask *a = context;
    size_t found =
        cache_find_all(a->implementation, a->cache, a->asked, COUNTED_GETS);
    must_be(a->implementation->label, found, COUNTED_GETS);
}

/* The same number of questions at each size, evenly spread over the keys. */
static void count_hits(const implementation *i, const bench_key *keys,
                       size_t n) {
    static ask a;
    quick source = {.implementation = i};
    a.implementation = i;
    a.cache = cache_filled(&source, (readthrough_options){0}, keys, n);
    for (size_t k = 0; k < COUNTED_GETS; k++) {
        a.asked[k] = keys[(2 * k + 1) * n / (2 * COUNTED_GETS)];
    }
    measure_ask(ask_all, &a);
    printf("%s\thit\t%zu\t%d\n", i->label, n, COUNTED_GETS);
    i->destroy(a.cache);
}

static void one(const implementation *impls, size_t count) {
    uint64_t state = SEED;
    bench_key *keys = random_keys(COUNTED_MAX, &state);
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 1; n <= COUNTED_MAX; n *= 4) {
            count_hits(&impls[i], keys, n);
        }
    }
    free(keys);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed|one label=readthrough.so...",
                    argv[0]);
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
