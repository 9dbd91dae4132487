/* Bench of lesson 08: what a round trip costs, and how many there are.
 *
 *     08-redis counts label=redis_cache.so...  round trips by depth, as TSV
 *     08-redis speed label=redis_cache.so...   keys per second by depth, as TSV
 *     08-redis one label=redis_cache.so...     the gets that callgrind counts
 *
 * The depth is the number of keys in one call of get_many, and so of commands
 * that travel together. All ask one private server for the same 1,000 keys of
 * 16 bytes, with values of 100. The peers are redis-benchmark, the tool that
 * comes with Redis, with one connection and the same depth, and hiredis bare:
 * append that many commands, then read that many answers, without a deadline.
 * A round trip is one read by the server, by its own count.
 *
 * Client and server share one processor while the clock runs. Else a round trip
 * takes several times longer whenever the system has put them on two, and one
 * has to wake the other: which of the two it is changes from run to run. */
#include "measure.h"

#include "redis_cache.h"

#include "support/redis.h"

#include <hiredis/hiredis.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 42

enum { KEYS = 1000, KEY_TEXT = 16, VALUE_LEN = 100, TIMEOUT_MS = 10000 };
enum { DEPTH_MAX = 256, COUNTED = 1024, COUNTED_GETS = 64 };

typedef struct implementation {
    const char *label;
    status (*create)(const char *address, int timeout_ms, redis_cache **out);
    status (*set)(redis_cache *r, bytes key, bytes value);
    status (*get)(redis_cache *r, bytes key, bytes *value);
    status (*get_many)(redis_cache *r, const bytes *keys, size_t n,
                       void (*found)(void *context, size_t i, bytes value),
                       void *context, status *results);
    void (*destroy)(redis_cache *r);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "redis_cache_create", &i.create);
    measure_function(handle, "redis_cache_set", &i.set);
    measure_function(handle, "redis_cache_get", &i.get);
    measure_function(handle, "redis_cache_get_many", &i.get_many);
    measure_function(handle, "redis_cache_destroy", &i.destroy);
    return i;
}

static redis_cache *create(const implementation *i, const char *address) {
    redis_cache *r;
    if (i->create(address, TIMEOUT_MS, &r) != STATUS_OK) {
        measure_die("%s: no cache for %s", i->label, address);
    }
    return r;
}

/* Keeps this process, and those that it starts, on the last processor. */
static void stay_on_one_processor(void) {
    cpu_set_t all, one;
    sched_getaffinity(0, sizeof all, &all);
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &all)) {
            CPU_ZERO(&one);
            CPU_SET(i, &one);
        }
    }
    sched_setaffinity(0, sizeof one, &one);
}

static redisContext *ready(redisContext *c) {
    if (!c || c->err) {
        measure_die("hiredis: no connection");
    }
    return c;
}

static redisContext *connect_bare(const redis *server) {
    return ready(redisConnectUnix(redis_path(server)));
}

/* -- the keys ---------------------------------------------------------------
 */

/* As redis-benchmark -r names them. */
static char names[KEYS][KEY_TEXT + 16];
static bytes asked[COUNTED * 64];
enum { ASKED = sizeof asked / sizeof asked[0] };

static void choose_keys(void) {
    uint64_t random = SEED;
    for (size_t k = 0; k < KEYS; k++) {
        snprintf(names[k], sizeof names[k], "key:%012zu", k);
    }
    for (size_t a = 0; a < ASKED; a++) {
        asked[a] = (bytes){names[bench_random_below(&random, KEYS)], KEY_TEXT};
    }
}

static void fill(const redis *server) {
    static const char value[VALUE_LEN];
    redisContext *c = connect_bare(server);
    for (size_t k = 0; k < KEYS; k++) {
        freeReplyObject(
            redisCommand(c, "SET %s %b", names[k], value, (size_t)VALUE_LEN));
    }
    redisFree(c);
}

/* The keys that are asked for from the at-th on, `depth` of them. */
static const bytes *keys_at(size_t at, size_t depth) {
    return &asked[at % (ASKED - depth + 1)];
}

/* -- asking -----------------------------------------------------------------
 */

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

/* Asks for n keys, `depth` in each call. */
static void get_many(const implementation *i, redis_cache *r, size_t n,
                     size_t depth) {
    status results[DEPTH_MAX];
    size_t got = 0;
    for (size_t at = 0; at < n; at += depth) {
        i->get_many(r, keys_at(at, depth), depth, sum, &got, results);
    }
    must_have_all(i->label, got, n);
}

static void get_one_by_one(const implementation *i, redis_cache *r, size_t n) {
    size_t got = 0;
    for (size_t at = 0; at < n; at++) {
        bytes value = {0};
        i->get(r, asked[at % ASKED], &value);
        got += value.len;
    }
    must_have_all(i->label, got, n);
}

static void ask_bare(redisContext *c, size_t n, size_t depth) {
    size_t got = 0;
    for (size_t at = 0; at < n; at += depth) {
        const bytes *keys = keys_at(at, depth);
        for (size_t k = 0; k < depth; k++) {
            redisAppendCommand(c, "GET %b", keys[k].data, keys[k].len);
        }
        for (size_t k = 0; k < depth; k++) {
            void *reply = NULL;
            if (redisGetReply(c, &reply) != REDIS_OK) {
                measure_die("hiredis: %s", c->errstr);
            }
            got += ((redisReply *)reply)->len;
            freeReplyObject(reply);
        }
    }
    must_have_all("hiredis", got, n);
}

/* -- round trips ------------------------------------------------------------
 */

/* How often the server has read from a socket. */
static double reads(redisContext *info) {
    static const char name[] = "total_reads_processed:";
    redisReply *reply = redisCommand(info, "INFO stats");
    const char *line = reply && reply->str ? strstr(reply->str, name) : NULL;
    if (!line) {
        measure_die("INFO stats does not say how often Redis reads");
    }
    double count = strtod(line + sizeof name - 1, NULL);
    freeReplyObject(reply);
    return count;
}

static void count_trips(bench_report *r, const implementation *i,
                        const redis *server) {
    redisContext *info = connect_bare(server);
    redis_cache *cache = create(i, redis_path(server));
    get_one_by_one(i, cache, 1); /* connects */
    for (size_t depth = 1; depth <= DEPTH_MAX; depth *= 2) {
        double before = reads(info) + 1; /* the question itself is a read */
        get_one_by_one(i, cache, COUNTED);
        double single = reads(info) + 1;
        get_many(i, cache, COUNTED, depth);
        double many = reads(info);
        measure_add(r, i->label, "get", depth,
                    1000 * (single - 1 - before) / COUNTED);
        measure_add(r, i->label, "get_many", depth,
                    1000 * (many - single) / COUNTED);
    }
    i->destroy(cache);
    redisFree(info);
}

static void counts(const implementation *impls, size_t count,
                   const redis *server) {
    bench_report *r = measure_report();
    for (size_t i = 0; i < count; i++) {
        count_trips(r, &impls[i], server);
    }
    measure_print_counts(r, "make plot-8: round trips for 1,000 keys, by the "
                            "number of keys in each call of get_many");
    bench_report_destroy(r);
}

/* -- keys per second --------------------------------------------------------
 */

/* Who takes turns: the implementations, redis-benchmark, and bare hiredis, each
 * first on the unix socket and then over TCP. */
enum { PEERS = 2 };

typedef struct contest {
    const implementation *impls;
    size_t count;
    const redis *server;
    size_t depth;
    size_t n; /* keys in a turn */
} contest;

static void add_rate(bench_report *r, const char *label, const char *how,
                     const contest *c, int64_t start) {
    double us = (double)(bench_now_ns() - start) / 1e3;
    measure_add(r, label, how, c->depth, (double)c->n / us * 1e3);
}

static void time_cache(bench_report *r, const implementation *i, bool tcp,
                       const contest *c) {
    redis_cache *cache =
        create(i, tcp ? redis_host_port(c->server) : redis_path(c->server));
    get_many(i, cache, DEPTH_MAX, c->depth); /* connects */
    int64_t start = bench_now_ns();
    get_many(i, cache, c->n, c->depth);
    add_rate(r, i->label, tcp ? "tcp" : "unix", c, start);
    i->destroy(cache);
}

static const char *port_of(const redis *server) {
    return strchr(redis_host_port(server), ':') + 1;
}

static void time_bare(bench_report *r, bool tcp, const contest *c) {
    redisContext *bare =
        tcp ? ready(redisConnect("127.0.0.1", atoi(port_of(c->server))))
            : connect_bare(c->server);
    ask_bare(bare, DEPTH_MAX, c->depth);
    int64_t start = bench_now_ns();
    ask_bare(bare, c->n, c->depth);
    add_rate(r, "hiredis", tcp ? "tcp" : "unix", c, start);
    redisFree(bare);
}

/* The tool says itself how many it has had per second. */
static void time_tool(bench_report *r, bool tcp, const contest *c) {
    char where[256], command[512];
    snprintf(where, sizeof where, tcp ? "-h 127.0.0.1 -p %s" : "-s %s",
             tcp ? port_of(c->server) : redis_path(c->server));
    snprintf(command, sizeof command,
             "redis-benchmark %s -c 1 -P %zu -n %zu -r %d -d %d -t get --csv |"
             " awk -F'\"' '$2 == \"GET\" { print \"redis-benchmark %s %zu\", "
             "$4 / 1000 }'",
             where, c->depth, c->n, KEYS, VALUE_LEN, tcp ? "tcp" : "unix",
             c->depth);
    if (!measure_add_from(r, command)) {
        measure_die("this failed: %s", command);
    }
}

static status take_turn(void *context, size_t who, bench_report *r) {
    const contest *c = context;
    bool tcp = who % 2;
    if (who / 2 < c->count) {
        time_cache(r, &c->impls[who / 2], tcp, c);
    } else if (who / 2 == c->count) {
        time_tool(r, tcp, c);
    } else {
        time_bare(r, tcp, c);
    }
    return STATUS_OK;
}

static void speed(const implementation *impls, size_t count,
                  const redis *server) {
    bench_report *r = measure_report();
    for (size_t depth = 1; depth <= DEPTH_MAX; depth *= 2) {
        size_t n = depth < 32 ? 8192 * depth : (size_t)1 << 18;
        contest c = {impls, count, server, depth, measure_quick() ? n / 4 : n};
        fprintf(stderr, "depth %zu\n", depth);
        measure_interleave(r, 2 * (count + PEERS), take_turn, &c);
    }
    measure_print_times(r, "make bench-8: thousand keys per second, by the "
                           "number of commands that travel together");
    bench_report_destroy(r);
}

/* -- counts of instructions -------------------------------------------------
 */

typedef struct ask {
    const implementation *implementation;
    redis_cache *cache;
} ask;

static void ask_all(void *context) {
    const ask *a = context;
    for (size_t i = 0; i < COUNTED_GETS; i++) {
        bytes value;
        a->implementation->get(a->cache, bytes_of("cost"), &value);
    }
}

static void one(const implementation *impls, size_t count,
                const redis *server) {
    static const char value[1 << 14];
    for (size_t i = 0; i < count; i++) {
        ask a = {&impls[i], create(&impls[i], redis_path(server))};
        for (size_t n = 1; n <= sizeof value; n *= 4) {
            if (impls[i].set(a.cache, bytes_of("cost"), (bytes){value, n})
                != STATUS_OK) {
                measure_die("%s: set failed", impls[i].label);
            }
            measure_ask(ask_all, &a);
            printf("%s\tget\t%zu\t%d\n", impls[i].label, n, COUNTED_GETS);
        }
        impls[i].destroy(a.cache);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed|one label=redis_cache.so...",
                    argv[0]);
    }
    size_t count = (size_t)argc - 2;
    implementation *impls = measure_alloc(count, sizeof *impls);
    for (size_t i = 0; i < count; i++) {
        impls[i] = load(argv[i + 2]);
    }
    stay_on_one_processor();
    redis *server = redis_start();
    choose_keys();
    fill(server);
    if (strcmp(argv[1], "counts") == 0) {
        counts(impls, count, server);
    } else if (strcmp(argv[1], "speed") == 0) {
        speed(impls, count, server);
    } else if (strcmp(argv[1], "one") == 0) {
        one(impls, count, server);
    } else {
        measure_die("%s: no mode '%s'", argv[0], argv[1]);
    }
    redis_stop(server);
    free(impls);
    return 0;
}
