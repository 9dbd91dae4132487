/* Bench of lesson 15b: what a moved slot costs, and how fast many keys travel.
 *
 *     15b-cluster counts label=cluster.so...   commands for 1,000 keys, as TSV
 *     15b-cluster speed label=cluster.so...    keys per second, as TSV
 *     15b-cluster one label=cluster.so...      the gets that callgrind counts
 *
 * The nodes are three masters of the bench's own. The peers: a client that
 * follows redirects and learns nothing from them, one that has no map at all,
 * and, for speed, three pipelines of hiredis, one for each node, whose keys
 * were sorted by node before the clock started. */
#include "measure.h"

#include "cluster.h"
#include "support/cluster.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 42

enum { NODES = 3, TAGS = 250, KEYS_PER_TAG = 4, KEYS = TAGS * KEYS_PER_TAG };
enum { STEPS = 10, ASKED = 1 << 14, VALUE_LEN = 100, COUNTED_GETS = 256 };

typedef struct implementation {
    const char *label;
    unsigned (*slot)(bytes key);
    status (*create)(const char *seeds, cluster_options options, cluster **out);
    status (*set)(cluster *c, bytes key, bytes value);
    status (*get)(cluster *c, bytes key, bytes *value);
    status (*get_many)(cluster *c, const bytes *keys, size_t n,
                       void (*found)(void *context, size_t i, bytes value),
                       void *context, status *results);
    cluster_stats (*statistics)(const cluster *c);
    void (*destroy)(cluster *c);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "cluster_slot", &i.slot);
    measure_function(handle, "cluster_create", &i.create);
    measure_function(handle, "cluster_set", &i.set);
    measure_function(handle, "cluster_get", &i.get);
    measure_function(handle, "cluster_get_many", &i.get_many);
    measure_function(handle, "cluster_statistics", &i.statistics);
    measure_function(handle, "cluster_destroy", &i.destroy);
    return i;
}

static cluster *join(const implementation *i, const redis_cluster *nodes) {
    cluster *c = NULL;
    status s =
        i->create(redis_cluster_address(nodes, 0), (cluster_options){0}, &c);
    if (s != STATUS_OK) {
        measure_die("%s: cluster_create: %s", i->label, status_name(s));
    }
    return c;
}

/* -- the keys --------------------------------------------------------------
 * Four to a slot, and 250 slots, in a shuffled order. */

static char texts[KEYS][24];
static bytes keys[KEYS];

static void choose_keys(void) {
    uint64_t random = SEED;
    for (size_t i = 0; i < KEYS; i++) {
        snprintf(texts[i], sizeof texts[i], "{tag %zu}%zu", i % TAGS, i / TAGS);
    }
    for (size_t i = KEYS; i-- > 0;) {
        size_t other = bench_random_below(&random, i + 1);
        char swap[sizeof texts[0]];
        memcpy(swap, texts[i], sizeof swap);
        memcpy(texts[i], texts[other], sizeof swap);
        memcpy(texts[other], swap, sizeof swap);
        keys[i] = bytes_of(texts[i]);
    }
}

static void fill(const implementation *i, const redis_cluster *nodes) {
    static const char value[VALUE_LEN];
    cluster *c = join(i, nodes);
    for (size_t k = 0; k < KEYS; k++) {
        if (i->set(c, keys[k], (bytes){value, sizeof value}) != STATUS_OK) {
            measure_die("%s: cluster_set failed", i->label);
        }
    }
    i->destroy(c);
}

/* -- commands while slots move --------------------------------------------- */

/* A client with a map that never changes, or without one: then it asks node 0.
 * What it costs follows from who owns the slot, so nobody need be asked. */
static double commands_of_peer(const implementation *i,
                               const redis_cluster *nodes,
                               const unsigned char *map) {
    double commands = 0;
    for (size_t k = 0; k < KEYS; k++) {
        unsigned slot = i->slot(keys[k]);
        unsigned asked = map ? map[slot] : 0;
        commands += 1 + (asked != redis_cluster_owner(nodes, slot));
    }
    return commands;
}

static double commands_of(const implementation *i, cluster *c) {
    uint64_t before = i->statistics(c).commands;
    for (size_t k = 0; k < KEYS; k++) {
        bytes value;
        if (i->get(c, keys[k], &value) != STATUS_OK) {
            measure_die("%s: cluster_get failed", i->label);
        }
    }
    return (double)(i->statistics(c).commands - before);
}

/* Moves a tenth of the slots, each to the node behind its owner. */
static void move_some(const implementation *i, redis_cluster *nodes,
                      size_t step) {
    for (size_t t = step * TAGS / STEPS; t < (step + 1) * TAGS / STEPS; t++) {
        char tag[24];
        snprintf(tag, sizeof tag, "{tag %zu}", t);
        unsigned slot = i->slot(bytes_of(tag));
        redis_cluster_move(nodes, slot,
                           (redis_cluster_owner(nodes, slot) + 1) % NODES);
    }
}

static void counts(const implementation *impls, size_t count,
                   redis_cluster *nodes) {
    static unsigned char map[CLUSTER_SLOTS];
    bench_report *r = measure_report();
    cluster **clusters = measure_alloc(count, sizeof(cluster *));
    for (unsigned slot = 0; slot < CLUSTER_SLOTS; slot++) {
        map[slot] = (unsigned char)redis_cluster_owner(nodes, slot);
    }
    for (size_t i = 0; i < count; i++) {
        clusters[i] = join(&impls[i], nodes);
    }
    for (size_t step = 0; step <= STEPS; step++) {
        size_t moved = step * 100 / STEPS;
        for (size_t i = 0; i < count; i++) {
            measure_add(r, impls[i].label, "get", moved,
                        commands_of(&impls[i], clusters[i]));
        }
        measure_add(r, "forgets", "get", moved,
                    commands_of_peer(&impls[0], nodes, map));
        measure_add(r, "mapless", "get", moved,
                    commands_of_peer(&impls[0], nodes, NULL));
        if (step < STEPS) {
            move_some(&impls[0], nodes, step);
        }
    }
    for (size_t i = 0; i < count; i++) {
        impls[i].destroy(clusters[i]);
    }
    measure_print_counts(r, "make plot-15b: commands for 1,000 keys, when n % "
                            "of their slots have moved, a tenth between two "
                            "rounds");
    free(clusters);
    bench_report_destroy(r);
}

/* -- keys per second ------------------------------------------------------- */

static void sum(void *context, size_t i, bytes value) {
    (void)i;
    *(size_t *)context += value.len;
}

static void must_have_all(const char *label, size_t got, size_t n) {
    if (got != n * VALUE_LEN) {
        measure_die("%s: %zu bytes of values, not %zu", label, got,
                    n * VALUE_LEN);
    }
}

/* Keys asked for, `depth` in each call; and the owner of each. */
typedef struct race {
    const implementation *impls;
    size_t count; /* hiredis comes behind them */
    cluster **clusters;
    redisContext *lines[NODES];
    size_t depth;
    bytes *asked;
    unsigned char *owners;
} race;

static void ask_cluster(const race *r, size_t who) {
    static status results[ASKED];
    size_t got = 0;
    for (size_t at = 0; at < ASKED; at += r->depth) {
        r->impls[who].get_many(r->clusters[who], r->asked + at, r->depth, sum,
                               &got, results);
    }
    must_have_all(r->impls[who].label, got, ASKED);
}

/* Three pipelines: all are sent before the first answer is waited for. */
static void ask_lines(const race *r) {
    size_t got = 0;
    for (size_t at = 0; at < ASKED; at += r->depth) {
        for (size_t k = at; k < at + r->depth; k++) {
            const char *words[] = {"GET", r->asked[k].data};
            const size_t lens[] = {3, r->asked[k].len};
            redisAppendCommandArgv(r->lines[r->owners[k]], 2, words, lens);
        }
        for (size_t n = 0; n < NODES; n++) {
            int done = 0;
            while (!done && redisBufferWrite(r->lines[n], &done) == REDIS_OK) {
            } /* until all is sent */
        }
        for (size_t k = at; k < at + r->depth; k++) {
            void *reply = NULL;
            redisContext *line = r->lines[r->owners[k]];
            if (redisGetReply(line, &reply) != REDIS_OK) {
                measure_die("hiredis: %s", line->errstr);
            }
            got += ((redisReply *)reply)->len;
            freeReplyObject(reply);
        }
    }
    must_have_all("hiredis", got, ASKED);
}

static status take_turn(void *context, size_t who, bench_report *out) {
    const race *r = context;
    int64_t start = bench_now_ns();
    if (who < r->count) {
        ask_cluster(r, who);
    } else {
        ask_lines(r);
    }
    double thousands = ASKED * 1e6 / (double)(bench_now_ns() - start);
    measure_add(out, who < r->count ? r->impls[who].label : "hiredis",
                "get_many", r->depth, thousands);
    return STATUS_OK;
}

static void begin_race(race *r, const redis_cluster *nodes) {
    uint64_t random = SEED;
    r->clusters = measure_alloc(r->count, sizeof(cluster *));
    r->asked = measure_alloc(ASKED, sizeof *r->asked);
    r->owners = measure_alloc(ASKED, 1);
    for (size_t i = 0; i < r->count; i++) {
        r->clusters[i] = join(&r->impls[i], nodes);
    }
    for (unsigned n = 0; n < NODES; n++) {
        const char *address = redis_cluster_address(nodes, n);
        r->lines[n] = redisConnect("127.0.0.1", atoi(strchr(address, ':') + 1));
        if (!r->lines[n] || r->lines[n]->err) {
            measure_die("hiredis: no connection to %s", address);
        }
    }
    for (size_t k = 0; k < ASKED; k++) {
        r->asked[k] = keys[bench_random_below(&random, KEYS)];
        unsigned slot = r->impls[0].slot(r->asked[k]);
        r->owners[k] = (unsigned char)redis_cluster_owner(nodes, slot);
    }
}

static void end_race(race *r) {
    for (size_t i = 0; i < r->count; i++) {
        r->impls[i].destroy(r->clusters[i]);
    }
    for (unsigned n = 0; n < NODES; n++) {
        redisFree(r->lines[n]);
    }
    free(r->clusters);
    free(r->asked);
    free(r->owners);
}

static void speed(const implementation *impls, size_t count,
                  redis_cluster *nodes) {
    bench_report *out = measure_report();
    race r = {.impls = impls, .count = count};
    measure_keep_memory();
    begin_race(&r, nodes);
    for (r.depth = 4; r.depth <= 1024; r.depth *= 4) {
        fprintf(stderr, "depth %zu\n", r.depth);
        measure_interleave(out, count + 1, take_turn, &r);
    }
    measure_print_times(out, "make bench-15b: thousand keys per second from "
                             "three nodes, by the number of keys in a call");
    end_race(&r);
    bench_report_destroy(out);
}

/* -- counts of instructions ------------------------------------------------ */

typedef struct ask {
    const implementation *implementation;
    cluster *cluster;
} ask;

static void ask_all(void *context) {
    const ask *a = context;
    for (size_t i = 0; i < COUNTED_GETS; i++) {
        bytes value;
        a->implementation->get(a->cluster, bytes_of("cost"), &value);
    }
}

static void one(const implementation *impls, size_t count,
                redis_cluster *nodes) {
    static const char value[1 << 14];
    for (size_t i = 0; i < count; i++) {
        ask a = {&impls[i], join(&impls[i], nodes)};
        for (size_t n = 1; n <= sizeof value; n *= 4) {
            if (impls[i].set(a.cluster, bytes_of("cost"), (bytes){value, n})
                != STATUS_OK) {
                measure_die("%s: cluster_set failed", impls[i].label);
            }
            measure_ask(ask_all, &a);
            printf("%s\tget\t%zu\t%d\n", impls[i].label, n, COUNTED_GETS);
        }
        impls[i].destroy(a.cluster);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed|one label=cluster.so...", argv[0]);
    }
    size_t count = (size_t)argc - 2;
    implementation *impls = measure_alloc(count, sizeof *impls);
    for (size_t i = 0; i < count; i++) {
        impls[i] = load(argv[i + 2]);
    }
    signal(SIGPIPE, SIG_IGN);
    redis_cluster *nodes = redis_cluster_start(NODES, 0);
    choose_keys();
    fill(&impls[0], nodes);
    if (strcmp(argv[1], "counts") == 0) {
        counts(impls, count, nodes);
    } else if (strcmp(argv[1], "speed") == 0) {
        speed(impls, count, nodes);
    } else if (strcmp(argv[1], "one") == 0) {
        one(impls, count, nodes);
    } else {
        measure_die("%s: no mode '%s'", argv[0], argv[1]);
    }
    redis_cluster_stop(nodes);
    free(impls);
    return 0;
}
