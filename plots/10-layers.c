/* Bench of lesson 10: which level answers, and what an answer costs.
 *
 *     10-layers counts label=layers.so...   gets answered by each level, as TSV
 *     10-layers speed label=layers.so...    time per get, as TSV
 *     10-layers one label=layers.so...      the hits that callgrind counts
 *
 * The peers are what stands behind the levels: the bare lru of lesson 5, from
 * the shared object of the first implementation, and a bare GET by hiredis. A
 * hit reads the value that it got. */
#include "measure.h"

#include "layers.h"
#include "lru.h"
#include "support/redis.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEED 42
#define ZIPF_PERCENT 99

enum { COUNTED_GETS = 1024, COUNTED_MAX = 1 << 16, VALUE_LEN = 100 };
enum { TIMEOUT_MS = 5000, DAY_MS = 86400000 };

typedef struct implementation {
    const char *label;
    status (*layer_lru)(size_t capacity, uint64_t seed, layer *out);
    status (*layer_redis)(const char *path, int timeout_ms, int64_t ttl_ms,
                          layer *out);
    status (*create)(const layer *levels, size_t count,
                     const layers_options *options, layers **out);
    status (*get)(layers *l, bytes key, bytes *value, size_t *level);
    status (*set)(layers *l, bytes key, bytes value);
    layers_stats (*statistics)(const layers *l, size_t level);
    void (*destroy)(layers *l);

    status (*lru_create)(size_t capacity, void (*destroy_value)(void *value),
                         uint64_t seed, lru **out);
    status (*lru_set)(lru *l, bytes key, void *value);
    bool (*lru_get)(lru *l, bytes key, void **value);
    void (*lru_destroy)(lru *l);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "layer_lru", &i.layer_lru);
    measure_function(handle, "layer_redis", &i.layer_redis);
    measure_function(handle, "layers_create", &i.create);
    measure_function(handle, "layers_get", &i.get);
    measure_function(handle, "layers_set", &i.set);
    measure_function(handle, "layers_statistics", &i.statistics);
    measure_function(handle, "layers_destroy", &i.destroy);
    measure_function(handle, "lru_create", &i.lru_create);
    measure_function(handle, "lru_set", &i.lru_set);
    measure_function(handle, "lru_get", &i.lru_get);
    measure_function(handle, "lru_destroy", &i.lru_destroy);
    return i;
}

static void must(status s, const char *did) {
    if (s != STATUS_OK) {
        measure_die("%s: %s", did, status_name(s));
    }
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

/* The value of a key: the key itself, at the head of 100 bytes. */
static bytes value_of(const bench_key *k) {
    static char value[VALUE_LEN];
    memcpy(value, k->text, BENCH_KEY_LEN);
    return (bytes){value, VALUE_LEN};
}

static status load_one(void *context, bytes k, bytes *value) {
    (void)context;
    bench_key asked;
    memcpy(asked.text, k.data, BENCH_KEY_LEN);
    *value = value_of(&asked);
    return STATUS_OK;
}

/* -- levels and hierarchies ----------------------------------------------- */

static layer memory(const implementation *i, size_t capacity) {
    layer y;
    must(i->layer_lru(capacity, SEED, &y), "layer_lru");
    return y;
}

static layer redis_level(const implementation *i, const redis *server) {
    layer y;
    must(i->layer_redis(redis_path(server), TIMEOUT_MS, DAY_MS, &y),
         "layer_redis");
    return y;
}

static layers *join(const implementation *i, const layer *levels,
                    size_t count) {
    layers *l;
    must(i->create(levels, count, NULL, &l), "layers_create");
    return l;
}

/* -- which level answers -------------------------------------------------- */

enum { SIM_KEYS = 100000, SIM_LEVEL_2 = 20000, SIM_GETS = 400000 };

static void count_size(bench_report *r, const implementation *i,
                       const bench_key *keys, size_t capacity) {
    static const char *const names[] = {"L1", "L2", "source"};
    layer source = {.get = load_one};
    layers *l = join(
        i, (const layer[]){memory(i, capacity), memory(i, SIM_LEVEL_2), source},
        3);
    uint64_t random = SEED;
    bench_zipf *z = measure_zipf(SIM_KEYS, ZIPF_PERCENT);
    for (size_t n = 0; n < SIM_GETS; n++) {
        bytes k = key_bytes(&keys[bench_zipf_next(z, &random)]);
        must(i->get(l, k, NULL, NULL), "layers_get");
    }
    bench_zipf_destroy(z);
    for (size_t level = 1; level <= 3; level++) {
        measure_add(r, i->label, names[level - 1], capacity,
                    100 * (double)i->statistics(l, level).hits / SIM_GETS);
    }
    i->destroy(l);
}

static void counts(const implementation *impls, size_t count) {
    static const size_t sizes[] = {10,   30,   100,   300,  1000,
                                   3000, 6000, 10000, 20000};
    uint64_t state = SEED;
    bench_key *keys = random_keys(SIM_KEYS, &state);
    bench_report *r = measure_report();
    for (size_t i = 0; i < count; i++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            count_size(r, &impls[i], keys, sizes[s]);
        }
    }
    measure_print_counts(r, "make plot-10: gets answered by each level, % of "
                            "all, against entries of level 1");
    bench_report_destroy(r);
    free(keys);
}

/* -- contenders ----------------------------------------------------------- */

/* One who takes turns: a hierarchy, a bare lru, or a bare connection. */
typedef struct contender {
    const implementation *implementation;
    const char *label;
    layers *cache;
    lru *lru;
    redisContext *line;
    int64_t ns;
} contender;

static void check(const contender *c, const bench_key *asked,
                  const void *value) {
    if (!value || memcmp(value, asked->text, 8) != 0) {
        measure_die("%s: not the value of its key", c->label);
    }
}

/* An lru keeps pointers, so a program that has bytes must keep their length. */
typedef struct sized {
    size_t len;
    char data[VALUE_LEN];
} sized;

static void find_in_lru(const contender *c, const bench_key *asked, size_t n) {
    for (size_t a = 0; a < n; a++) {
        void *value = NULL;
        c->implementation->lru_get(c->lru, key_bytes(&asked[a]), &value);
        check(c, &asked[a], value ? ((sized *)value)->data : NULL);
    }
}

static void find_in_layers(const contender *c, const bench_key *asked,
                           size_t n) {
    for (size_t a = 0; a < n; a++) {
        bytes value = {NULL, 0};
        c->implementation->get(c->cache, key_bytes(&asked[a]), &value, NULL);
        check(c, &asked[a], value.data);
    }
}

static void find_in_redis(const contender *c, const bench_key *asked,
                          size_t n) {
    static const size_t len[] = {3, BENCH_KEY_LEN};
    for (size_t a = 0; a < n; a++) {
        const char *word[] = {"GET", asked[a].text};
        redisReply *reply = redisCommandArgv(c->line, 2, word, len);
        check(c, &asked[a], reply ? reply->str : NULL);
        freeReplyObject(reply);
    }
}

static void find_all(const contender *c, const bench_key *asked, size_t n) {
    if (c->cache) {
        find_in_layers(c, asked, n);
    } else if (c->lru) {
        find_in_lru(c, asked, n);
    } else {
        find_in_redis(c, asked, n);
    }
}

/* Turns are short, so that whatever else the machine does befalls all alike. */
static void run_once(bench_report *r, contender *cs, size_t count,
                     const bench_key *asked, size_t asks, size_t turn,
                     const char *operation, size_t size) {
    for (size_t i = 0; i < count; i++) {
        cs[i].ns = 0;
    }
    for (size_t at = 0; at < asks; at += turn) {
        for (size_t i = 0; i < count; i++) {
            contender *c = &cs[(i + at / turn) % count];
            int64_t start = bench_now_ns();
            find_all(c, &asked[at], turn);
            c->ns += bench_now_ns() - start;
        }
    }
    for (size_t i = 0; r && i < count; i++) {
        measure_add(r, cs[i].label, operation, size,
                    (double)cs[i].ns / (double)asks);
    }
}

static void contender_end(contender *c) {
    c->implementation->destroy(c->cache);
    c->implementation->lru_destroy(c->lru);
    if (c->line) {
        redisFree(c->line);
    }
}

/* -- hits of level 1: beside the bare lru --------------------------------- */

enum { L1_TURN = 4096, L1_ASKS = 100 * L1_TURN };

static lru *filled_lru(const implementation *i, const bench_key *keys,
                       size_t n) {
    lru *l;
    must(i->lru_create(n, free, SEED, &l), "lru_create");
    for (size_t k = 0; k < n; k++) {
        sized *value = measure_alloc(1, sizeof *value);
        value->len = VALUE_LEN;
        memcpy(value->data, keys[k].text, BENCH_KEY_LEN);
        must(i->lru_set(l, key_bytes(&keys[k]), value), "lru_set");
    }
    return l;
}

static layers *filled_layers(const implementation *i, const bench_key *keys,
                             size_t n) {
    layer source = {.get = load_one};
    layers *l = join(i, (const layer[]){memory(i, n), source}, 2);
    for (size_t k = 0; k < n; k++) {
        must(i->set(l, key_bytes(&keys[k]), value_of(&keys[k])), "layers_set");
    }
    return l;
}

static void time_level_1(bench_report *r, const implementation *impls,
                         size_t count, size_t n) {
    uint64_t state = SEED + n;
    bench_key *keys = random_keys(n, &state);
    bench_key *asked = measure_alloc(L1_ASKS, sizeof *asked);
    for (size_t a = 0; a < L1_ASKS; a++) {
        asked[a] = keys[bench_random_below(&state, n)];
    }
    contender *cs = measure_alloc(count + 1, sizeof *cs);
    cs[0] = (contender){impls, "bare", NULL, NULL, NULL, 0};
    cs[0].lru = filled_lru(impls, keys, n);
    for (size_t i = 0; i < count; i++) {
        cs[i + 1] = (contender){&impls[i], impls[i].label, NULL, NULL, NULL, 0};
        cs[i + 1].cache = filled_layers(&impls[i], keys, n);
    }
    run_once(NULL, cs, count + 1, asked, L1_ASKS, L1_TURN, "L1 hit", n);
    for (size_t run = 0; run < measure_runs(); run++) {
        fprintf(stderr, "level 1, %zu entries, run %zu\n", n, run + 1);
        run_once(r, cs, count + 1, asked, L1_ASKS, L1_TURN, "L1 hit", n);
    }
    for (size_t i = 0; i <= count; i++) {
        contender_end(&cs[i]);
    }
    free(cs);
    free(asked);
    free(keys);
}

/* -- hits of level 2: beside a bare GET ----------------------------------- */

enum { L2_KEYS = 20000, L2_TURN = 100, L2_ASKS = 100 * L2_TURN };

static redisContext *dial(const redis *server) {
    redisContext *line = redisConnectUnix(redis_path(server));
    if (!line || line->err) {
        measure_die("hiredis: no connection");
    }
    return line;
}

static void fill_redis(const implementation *i, const redis *server,
                       const bench_key *keys) {
    layer y = redis_level(i, server);
    for (size_t k = 0; k < L2_KEYS; k++) {
        must(y.set(y.context, key_bytes(&keys[k]), value_of(&keys[k])), "set");
    }
    y.destroy(y.context);
}

/* Every key is asked for once, so level 1 has none of them; and each answer is
 * promoted, and evicts. */
static void time_level_2(bench_report *r, const implementation *impls,
                         size_t count, const redis *server,
                         const bench_key *keys) {
    contender *cs = measure_alloc(count + 1, sizeof *cs);
    cs[0] = (contender){impls, "bare", NULL, NULL, dial(server), 0};
    for (size_t i = 0; i < count; i++) {
        cs[i + 1] = (contender){&impls[i], impls[i].label, NULL, NULL, NULL, 0};
        cs[i + 1].cache = join(&impls[i],
                               (const layer[]){memory(&impls[i], 1000),
                                               redis_level(&impls[i], server)},
                               2);
    }
    run_once(NULL, cs, count + 1, keys, L2_ASKS, L2_TURN, "L2 hit", L2_KEYS);
    for (size_t run = 0; run < measure_runs(); run++) {
        fprintf(stderr, "level 2, run %zu\n", run + 1);
        run_once(r, cs, count + 1, keys, L2_ASKS, L2_TURN, "L2 hit", L2_KEYS);
    }
    for (size_t i = 0; i <= count; i++) {
        contender_end(&cs[i]);
    }
    free(cs);
}

/* -- the source ----------------------------------------------------------- */

enum { SOURCE_ASKS = 100 };

/* A source that takes a millisecond, like a query that reads a disk. */
static status load_slowly(void *context, bytes k, bytes *value) {
    struct timespec nap = {.tv_nsec = 1000000};
    nanosleep(&nap, NULL);
    return load_one(context, k, value);
}

/* Neither level above has the key, and both take what is promoted. */
static void time_source(bench_report *r, const implementation *i,
                        const redis *server, uint64_t *state) {
    layer source = {.get = load_slowly};
    layers *l = join(
        i, (const layer[]){memory(i, 1000), redis_level(i, server), source}, 3);
    for (size_t run = 0; run < measure_runs(); run++) {
        bench_key *keys = random_keys(SOURCE_ASKS, state);
        contender c = {i, i->label, l, NULL, NULL, 0};
        run_once(r, &c, 1, keys, SOURCE_ASKS, SOURCE_ASKS, "source", L2_KEYS);
        free(keys);
    }
    i->destroy(l);
}

/* -- the mean over popular keys ------------------------------------------- */

static void time_mean(bench_report *r, const implementation *i,
                      const redis *server, const bench_key *keys,
                      size_t capacity) {
    layers *l = join(
        i, (const layer[]){memory(i, capacity), redis_level(i, server)}, 2);
    size_t asks = measure_quick() ? 5000 : 20000;
    uint64_t random = SEED;
    bench_zipf *z = measure_zipf(L2_KEYS, ZIPF_PERCENT);
    bench_key *asked = measure_alloc(asks, sizeof *asked);
    contender c = {i, i->label, l, NULL, NULL, 0};
    fprintf(stderr, "the mean, %zu entries in level 1\n", capacity);
    for (size_t run = 0; run <= measure_runs(); run++) {
        for (size_t a = 0; a < asks; a++) {
            asked[a] = keys[bench_zipf_next(z, &random)];
        }
        run_once(run > 0 ? r : NULL, &c, 1, asked, asks, asks, "mean",
                 capacity);
    }
    bench_zipf_destroy(z);
    free(asked);
    i->destroy(l);
}

static void speed(const implementation *impls, size_t count) {
    static const size_t sizes[] = {1000, 10000, 100000};
    static const size_t capacities[] = {10, 100, 1000, 5000, 20000};
    bench_report *r = measure_report();
    signal(SIGPIPE, SIG_IGN);
    measure_keep_memory();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        time_level_1(r, impls, count, sizes[i]);
    }
    uint64_t state = SEED;
    bench_key *keys = random_keys(L2_KEYS, &state);
    redis *server = redis_start();
    fill_redis(impls, server, keys);
    time_level_2(r, impls, count, server, keys);
    for (size_t i = 0; i < count; i++) {
        for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
            time_mean(r, &impls[i], server, keys, capacities[c]);
        }
        time_source(r, &impls[i], server, &state);
    }
    redis_stop(server);
    measure_print_times(
        r, "make bench-10: ns per get; bare: an lru, a GET by hiredis; "
           "L1 hit and mean: n "
           "entries in level 1; L2 hit: n in Redis; a source "
           "of 1 ms");
    bench_report_destroy(r);
    free(keys);
}

/* -- counts of instructions ----------------------------------------------- */

typedef struct ask {
    contender contender;
    bench_key asked[COUNTED_GETS];
} ask;

static void ask_all(void *context) {
    const ask *a = context;
    find_all(&a->contender, a->asked, COUNTED_GETS);
}

/* The same number of hits at each size, evenly spread over a full level 1, and
 * in a scattered order: asked for twice running, a key need not move. */
static void one(const implementation *impls, size_t count) {
    static ask a;
    uint64_t state = SEED;
    bench_key *keys = random_keys(COUNTED_MAX, &state);
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 1; n <= COUNTED_MAX; n *= 4) {
            a.contender =
                (contender){&impls[i], impls[i].label, NULL, NULL, NULL, 0};
            a.contender.cache = filled_layers(&impls[i], keys, n);
            for (size_t k = 0; k < COUNTED_GETS; k++) {
                size_t turn = k * 389 % COUNTED_GETS;
                a.asked[k] = keys[(2 * turn + 1) * n / (2 * COUNTED_GETS)];
            }
            measure_ask(ask_all, &a);
            printf("%s\tL1-hit\t%zu\t%d\n", impls[i].label, n, COUNTED_GETS);
            contender_end(&a.contender);
        }
    }
    free(keys);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed|one label=layers.so...", argv[0]);
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
