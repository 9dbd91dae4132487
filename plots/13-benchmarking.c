/* Bench of lesson 13: who sees a source that stalls, and the slide's table.
 *
 *     13-benchmarking counts label=bench.so...  latencies by share, as TSV
 *     13-benchmarking speed label=bench.so...   time per operation, as TSV
 *     13-benchmarking one label=bench.so...     the records callgrind counts
 *
 * The simulation turns a clock by hand and draws from a seed, so its times are
 * the same everywhere. The slide's table is that of the dict inside the first
 * bench.so, timed by each bench in turn, beside the slide's own program in
 * Python, and beside that program without its two flaws (13-peers.py). */
#include "measure.h"

#include "dict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 42

typedef struct implementation {
    const char *label;
    uint64_t (*random)(uint64_t *state);
    status (*zipf_create)(size_t n, unsigned exponent_percent,
                          bench_zipf **out);
    size_t (*zipf_next)(const bench_zipf *z, uint64_t *state);
    void (*zipf_destroy)(bench_zipf *z);
    bench_histogram *(*create)(void);
    status (*record)(bench_histogram *h, int64_t ns);
    bench_summary (*summary)(const bench_histogram *h);
    int64_t (*percentile)(const bench_histogram *h, uint32_t per_million);
    void (*destroy)(bench_histogram *h);
    status (*run)(const bench_work *work, uint64_t count,
                  const bench_options *options, bench_histogram *h,
                  uint64_t *sum);
    status (*cost)(const bench_clock *clock, double *ns);

    dict *(*dict_create)(void (*destroy_value)(void *value), uint64_t seed);
    status (*dict_set)(dict *d, bytes key, void *value);
    bool (*dict_get)(const dict *d, bytes key, void **value);
    bool (*dict_delete)(dict *d, bytes key);
    size_t (*dict_count)(const dict *d);
    void (*dict_destroy)(dict *d);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "bench_random", &i.random);
    measure_function(handle, "bench_zipf_create", &i.zipf_create);
    measure_function(handle, "bench_zipf_next", &i.zipf_next);
    measure_function(handle, "bench_zipf_destroy", &i.zipf_destroy);
    measure_function(handle, "bench_histogram_create", &i.create);
    measure_function(handle, "bench_histogram_record", &i.record);
    measure_function(handle, "bench_histogram_summary", &i.summary);
    measure_function(handle, "bench_histogram_percentile", &i.percentile);
    measure_function(handle, "bench_histogram_destroy", &i.destroy);
    measure_function(handle, "bench_run", &i.run);
    measure_function(handle, "bench_cost", &i.cost);
    measure_function(handle, "dict_create", &i.dict_create);
    measure_function(handle, "dict_set", &i.dict_set);
    measure_function(handle, "dict_get", &i.dict_get);
    measure_function(handle, "dict_delete", &i.dict_delete);
    measure_function(handle, "dict_count", &i.dict_count);
    measure_function(handle, "dict_destroy", &i.dict_destroy);
    return i;
}

static bench_histogram *histogram(const implementation *i) {
    bench_histogram *h = i->create();
    if (!h) {
        measure_die("%s: bench_histogram_create failed", i->label);
    }
    return h;
}

static uint64_t run(const implementation *i, const bench_work *work,
                    uint64_t count, bench_options options, bench_histogram *h) {
    uint64_t sum;
    if (i->run(work, count, &options, h, &sum) != STATUS_OK) {
        measure_die("%s: bench_run failed", i->label);
    }
    return sum;
}

/* -- a source that stalls -------------------------------------------------- */

#define MICROSECOND INT64_C(1000)
#define MILLISECOND (1000 * MICROSECOND)
#define SECOND (1000 * MILLISECOND)

enum { OPEN_REQUESTS = 100000, CLOSED_REQUESTS = 900000 }; /* 100 s of each */

/* Answers within 50 to 150 us, but not during the last second of every ten. */
typedef struct source {
    int64_t now;
    uint64_t random;
    const implementation *impl;
    bench_histogram *from_send;
} source;

static int64_t source_now(void *context) {
    return ((source *)context)->now;
}

static void source_wait(void *context, int64_t until) {
    source *s = context;
    s->now = s->now < until ? until : s->now;
}

static uint64_t request(void *context, uint64_t number) {
    source *s = context;
    int64_t sent = s->now;
    int64_t since = s->now % (10 * SECOND);
    if (since >= 9 * SECOND) {
        s->now += 10 * SECOND - since;
    }
    s->now += 50 * MICROSECOND
              + (int64_t)(s->impl->random(&s->random) % (100 * MICROSECOND));
    s->impl->record(s->from_send, s->now - sent);
    return number;
}

/* Who asks: when, and what is taken for the time of a request. */
typedef enum view { FROM_DUE, FROM_SEND, CLOSED } view;

static const char *const views[] = {"open loop, from when due",
                                    "open loop, from the send", "closed loop"};

/* The time that one request in n takes, or exceeds. */
static void add_shares(bench_report *r, const implementation *i, view v,
                       const bench_histogram *h) {
    static const uint32_t one_in[] = {2,    5,     10,    20,    50,
                                      100,  200,   500,   1000,  2000,
                                      5000, 10000, 20000, 50000, 100000};
    for (size_t k = 0; k < sizeof one_in / sizeof one_in[0]; k++) {
        uint32_t per_million = 1000000 - 1000000 / one_in[k];
        measure_add(r, i->label, views[v], one_in[k],
                    (double)i->percentile(h, per_million) / MILLISECOND);
    }
}

static void simulate(bench_report *r, const implementation *i, view v) {
    source s = {.random = SEED, .impl = i, .from_send = histogram(i)};
    bench_histogram *h = histogram(i);
    bench_work work = {.operation = request, .context = &s};
    bench_options options = {.interval_ns = v == CLOSED ? 0 : MILLISECOND,
                             .cold = true,
                             .clock = {source_now, source_wait, &s}};
    run(i, &work, v == CLOSED ? CLOSED_REQUESTS : OPEN_REQUESTS, options, h);
    add_shares(r, i, v, v == FROM_SEND ? s.from_send : h);
    i->destroy(s.from_send);
    i->destroy(h);
}

static void counts(const implementation *impls, size_t count) {
    bench_report *r = measure_report();
    for (view v = FROM_DUE; v <= CLOSED; v++) {
        simulate(r, &impls[0], v);
    }
    for (size_t i = 1; i < count; i++) {
        simulate(r, &impls[i], FROM_DUE);
    }
    measure_print_counts(r, "make plot-13: milliseconds that one request in n "
                            "takes, or exceeds, at a source that stalls for "
                            "1 s in every 10");
    bench_report_destroy(r);
}

/* -- the slide's table --------------------------------------------------------
 */

/* One operation of bench_run is a batch, or most of what it times would be its
 * own reading of the clock. */
enum { OPERATIONS = 100000, BATCH = 100, VALUE_LEN = 100 };

typedef struct trial {
    const implementation *impl;
    const implementation *tables; /* whose dict it is */
    dict *cache;
    size_t size;
    uint64_t random;
    bench_key keys[OPERATIONS];
    bench_key asked[OPERATIONS];
    char value[VALUE_LEN];
} trial;

static bytes key_bytes(const bench_key *k) {
    return (bytes){k->text, BENCH_KEY_LEN};
}

static status draw_keys(void *context, uint64_t batches) {
    trial *t = context;
    for (uint64_t i = 0; i < batches * BATCH; i++) {
        t->keys[i] = bench_random_key(&t->random);
    }
    return STATUS_OK;
}

static status draw_questions(void *context, uint64_t batches) {
    trial *t = context;
    for (uint64_t i = 0; i < batches * BATCH; i++) {
        size_t back = bench_random_below(&t->random, t->size);
        t->asked[i] = t->keys[OPERATIONS - 1 - back];
    }
    return STATUS_OK;
}

/* Keys come in the order of their numbers, so the oldest is `size` back. */
static void set_one(trial *t, size_t number) {
    char *copy = malloc(VALUE_LEN);
    bytes k = key_bytes(&t->keys[number]);
    if (!copy || t->tables->dict_set(t->cache, k, copy) != STATUS_OK) {
        measure_die("dict: no memory");
    }
    memcpy(copy, t->value, VALUE_LEN);
    if (number >= t->size) {
        t->tables->dict_delete(t->cache, key_bytes(&t->keys[number - t->size]));
    }
}

static uint64_t set_batch(void *context, uint64_t batch) {
    trial *t = context;
    for (size_t i = batch * BATCH; i < (batch + 1) * BATCH; i++) {
        set_one(t, i);
    }
    return t->tables->dict_count(t->cache);
}

static uint64_t get_batch(void *context, uint64_t batch) {
    const trial *t = context;
    uint64_t found = 0;
    for (size_t i = batch * BATCH; i < (batch + 1) * BATCH; i++) {
        void *value;
        found += t->tables->dict_get(t->cache, key_bytes(&t->asked[i]), &value);
    }
    return found;
}

/* Returns: the sum of the results. */
static uint64_t time_batches(bench_report *r, const trial *t,
                             const char *operation, const bench_work *work,
                             bool cold) {
    bench_histogram *h = histogram(t->impl);
    uint64_t sum = run(t->impl, work, OPERATIONS / BATCH,
                       (bench_options){.cold = cold}, h);
    measure_add(r, t->impl->label, operation, t->size,
                t->impl->summary(h).mean_ns / BATCH);
    t->impl->destroy(h);
    return sum;
}

static void time_cell(bench_report *r, const implementation *impl,
                      const implementation *tables, size_t size) {
    static trial t;
    t = (trial){.impl = impl, .tables = tables, .size = size, .random = SEED};
    measure_tidy_memory();
    t.cache = tables->dict_create(free, SEED);
    bench_work sets = {draw_keys, set_batch, &t};
    bench_work gets = {draw_questions, get_batch, &t};
    time_batches(r, &t, "set", &sets, true);
    if (time_batches(r, &t, "get", &gets, false) != OPERATIONS) {
        measure_die("%s: a key is missing", impl->label);
    }
    tables->dict_destroy(t.cache);
}

/* What the lesson's own functions cost. */
static void time_own(bench_report *r, const implementation *i) {
    enum { RANKS = 1000000, DRAWS = 1000000 };
    double ns;
    bench_zipf *z;
    if (i->cost(NULL, &ns) != STATUS_OK
        || i->zipf_create(RANKS, 99, &z) != STATUS_OK) {
        measure_die("%s: no memory", i->label);
    }
    measure_add(r, i->label, "record", 1, ns);
    uint64_t state = SEED;
    uint64_t sum = 0;
    int64_t start = bench_now_ns();
    for (size_t d = 0; d < DRAWS; d++) {
        sum += i->zipf_next(z, &state);
    }
    measure_add(r, i->label, "zipf", RANKS,
                (double)(bench_now_ns() - start) / DRAWS);
    if (sum == 0) {
        measure_die("%s: draws nothing but rank 0", i->label);
    }
    i->zipf_destroy(z);
}

typedef struct contest {
    const implementation *impls;
    size_t count; /* after them comes Python */
    size_t size;  /* 0: what the lesson's own functions cost */
} contest;

static void time_python(bench_report *r, size_t size) {
    char command[96];
    snprintf(command, sizeof command, "python3 plots/13-peers.py %zu %d %d",
             size, measure_quick() ? OPERATIONS / 5 : OPERATIONS, SEED);
    if (r && !measure_add_from(r, command)) {
        fprintf(stderr, "python3 does not run: left out\n");
    }
}

static status take_turn(void *context, size_t contender, bench_report *r) {
    const contest *c = context;
    if (contender == c->count) {
        time_python(r, c->size);
    } else if (c->size == 0) {
        time_own(r, &c->impls[contender]);
    } else {
        time_cell(r, &c->impls[contender], &c->impls[0], c->size);
    }
    return STATUS_OK;
}

static void speed(implementation *impls, size_t count) {
    static const size_t sizes[] = {100, 1000, 10000};
    bench_report *r = measure_report();
    measure_keep_memory();
    impls[0].label = "C"; /* the dict of lesson 2, as the reference times it */
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        fprintf(stderr, "cache size %zu\n", sizes[i]);
        contest c = {impls, count, sizes[i]};
        measure_interleave(r, count + 1, take_turn, &c);
    }
    contest own = {impls, count, 0};
    measure_interleave(r, count, take_turn, &own);
    measure_print_times(r, "make bench-13: ns per operation, 100,000 of each "
                           "on a cache of n entries; and per record, and per "
                           "draw from n ranks");
    bench_report_destroy(r);
}

/* -- counts of instructions ---------------------------------------------------
 */

enum { COUNTED_RECORDS = 1024 };

typedef struct ask {
    const implementation *impl;
    bench_histogram *h;
    int64_t ns;
} ask;

static void ask_all(void *context) {
    const ask *a = context;
    for (int64_t i = 0; i < COUNTED_RECORDS; i++) {
        a->impl->record(a->h, a->ns + i);
    }
}

/* Times of all magnitudes: each must cost the same. */
static void one(const implementation *impls, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (int64_t ns = 1; ns <= SECOND; ns *= 8) {
            ask a = {&impls[i], histogram(&impls[i]), ns};
            measure_ask(ask_all, &a);
            printf("%s\trecord\t%lld\t%d\n", impls[i].label, (long long)ns,
                   COUNTED_RECORDS);
            impls[i].destroy(a.h);
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed|one label=bench.so...", argv[0]);
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
