/* Bench of lesson 11: what looking for changes costs in hits, and what a hit
 * saves in time.
 *
 *     11-database counts label=q.so...   hits and stale answers, as TSV
 *     11-database speed label=q.so...    time per query, as TSV
 *     11-database one label=q.so...      the hits that callgrind counts
 *
 * counts and one play the database themselves; speed asks a SQLite file, and a
 * PostgreSQL server where there is one. The back ends come from the shared
 * object of the first implementation. */
#include "measure.h"

#include "query_cache.h"
#include "users.h"

#include "support/postgres.h"
#include "support/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 42
#define ZIPF_PERCENT 99

typedef struct implementation {
    const char *label;
    status (*open)(const db *source, const query_cache_options *options,
                   query_cache **out);
    status (*get)(query_cache *c, const char *sql, const db_value *parameters,
                  size_t count, const rows **out);
    query_cache_stats (*statistics)(const query_cache *c);
    void (*close)(query_cache *c);
    size_t (*rows_count)(const rows *r);
    bool (*rows_next)(const rows *r, size_t *cursor, db_value *values,
                      size_t count);

    status (*sqlite_open)(const char *path, int timeout_ms, db *out);
    status (*postgres_open)(const char *address, int timeout_ms, db *out);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "query_cache_open", &i.open);
    measure_function(handle, "query_cache_get", &i.get);
    measure_function(handle, "query_cache_statistics", &i.statistics);
    measure_function(handle, "query_cache_close", &i.close);
    measure_function(handle, "rows_count", &i.rows_count);
    measure_function(handle, "rows_next", &i.rows_next);
    measure_function(handle, "db_sqlite_open", &i.sqlite_open);
    measure_function(handle, "db_postgres_open", &i.postgres_open);
    return i;
}

static query_cache *open_cache(const implementation *i, const db *d,
                               query_cache_options options) {
    query_cache *c;
    options.seed = SEED;
    if (i->open(d, &options, &c) != STATUS_OK) {
        measure_die("%s: query_cache_open failed", i->label);
    }
    return c;
}

static const rows *get(const implementation *i, query_cache *c, const char *sql,
                       const db_value *parameters, size_t count) {
    const rows *r;
    status s = i->get(c, sql, parameters, count, &r);
    if (s != STATUS_OK) {
        measure_die("%s: %s: %s", i->label, sql, status_name(s));
    }
    return r;
}

/* -- a database that is played --------------------------------------------- */

enum { USERS = 10000 };

/* Its query gives one row: how often the user with that number was changed. */
typedef struct played {
    int64_t changed[USERS];
    uint64_t token;
} played;

static status played_query(void *self, const char *sql,
                           const db_value *parameters, size_t count,
                           const db_sink *sink) {
    (void)sql, (void)count;
    const played *p = self;
    bytes name = {"changed", 7};
    db_value row = db_int(p->changed[parameters[0].integer]);
    status s = sink->columns(sink->context, &name, 1);
    return s == STATUS_OK ? sink->row(sink->context, &row) : s;
}

static status played_changes(void *self, uint64_t *token) {
    *token = ((played *)self)->token;
    return STATUS_OK;
}

static db db_of(played *p) {
    return (db){.self = p, .query = played_query, .changes = played_changes};
}

/* -- hits and stale answers ------------------------------------------------ */

/* One get each millisecond, of a popular user or another; now and then one of
 * them is changed. */
enum { GETS = 100000, TTL_MS = 10000 };

#define ONE "SELECT changed FROM users WHERE id = $1"

static void simulate(bench_report *r, const implementation *i, int64_t check_ms,
                     size_t gets_per_write) {
    static played p;
    p = (played){.token = 0};
    int64_t now_ms = 0;
    db d = db_of(&p);
    query_cache *c = open_cache(
        i, &d,
        (query_cache_options){TTL_MS, check_ms, ms_clock_frozen(&now_ms), 0});
    bench_zipf *popularity = measure_zipf(USERS, ZIPF_PERCENT);
    uint64_t random = SEED;
    size_t stale = 0;
    for (; now_ms < GETS; now_ms++) {
        if (bench_random_below(&random, gets_per_write) == 0) {
            p.changed[bench_zipf_next(popularity, &random)]++;
            p.token++;
        }
        db_value id = db_int((int64_t)bench_zipf_next(popularity, &random));
        size_t cursor = 0;
        db_value changed;
        i->rows_next(get(i, c, ONE, &id, 1), &cursor, &changed, 1);
        stale += changed.integer != p.changed[id.integer];
    }
    char operation[24];
    snprintf(operation, sizeof operation, "hits %lld", (long long)check_ms);
    measure_add(r, i->label, operation, gets_per_write,
                100 * (double)i->statistics(c).hits / GETS);
    snprintf(operation, sizeof operation, "stale %lld", (long long)check_ms);
    measure_add(r, i->label, operation, gets_per_write,
                100 * (double)stale / GETS);
    bench_zipf_destroy(popularity);
    i->close(c);
}

static void counts(const implementation *impls, size_t count) {
    static const int64_t checks_ms[] = {0, 100, 1000, TTL_MS};
    static const size_t gets_per_write[] = {10,   30,   100,  300,
                                            1000, 3000, 10000};
    bench_report *r = measure_report();
    for (size_t i = 0; i < count; i++) {
        for (size_t check = 0; check < 4; check++) {
            for (size_t g = 0; g < 7; g++) {
                simulate(r, &impls[i], checks_ms[check], gets_per_write[g]);
            }
        }
    }
    measure_print_counts(r, "make plot-11: hits, and stale answers, % of all "
                            "gets, by check_ms, at n gets per write");
    bench_report_destroy(r);
}

/* -- time per query ---------------------------------------------------------
 */

enum { TABLE = 100000, FIRST_TURNS = 400, HIT_TURNS = 20000 };

#define SOME "SELECT * FROM users WHERE id > $1 AND id <= $2"

typedef struct database {
    const char *name; /* also the start of the operations' names */
    db db;
    process *directory;
    postgres *server;
} database;

static void fill(database *d) {
    if (users_create(&d->db, TABLE, SEED) != STATUS_OK) {
        measure_die("%s: %s", d->name, d->db.error(d->db.self));
    }
    /* So that the planner knows the table. */
    d->db.execute(d->db.self, "ANALYZE users", NULL, 0);
}

static database begin_sqlite(const implementation *i) {
    database d = {.name = "sqlite", .directory = process_create(NULL, NULL)};
    char path[128];
    snprintf(path, sizeof path, "%s/users.db", process_directory(d.directory));
    if (i->sqlite_open(path, 1000, &d.db) != STATUS_OK) {
        measure_die("%s: cannot be opened", path);
    }
    fill(&d);
    return d;
}

static database begin_postgres(const implementation *i) {
    database d = {.name = "pg"};
    if (!postgres_is_installed()) {
        fprintf(stderr, "PostgreSQL is not installed, so it is left out.\n");
        return d;
    }
    d.server = postgres_start();
    if (i->postgres_open(postgres_address(d.server), 10000, &d.db)
        != STATUS_OK) {
        measure_die("PostgreSQL: no connection");
    }
    fill(&d);
    return d;
}

static void database_end(database *d) {
    d->db.close(d->db.self);
    if (d->directory) {
        process_destroy(d->directory);
    }
    if (d->server) {
        postgres_stop(d->server);
    }
}

/* Gets `size` rows from somewhere in the table: another place each turn, and
 * another query therefore. */
static void get_some(const implementation *i, query_cache *c, size_t size,
                     size_t turn) {
    int64_t after = (int64_t)(turn * 7919 % (TABLE - size + 1));
    db_value range[] = {db_int(after), db_int(after + (int64_t)size)};
    if (i->rows_count(get(i, c, SOME, range, 2)) != size) {
        measure_die("%s: not %zu rows", i->label, size);
    }
}

static double ns_per_first(const implementation *i, const database *d,
                           size_t size) {
    size_t turns = 1 + FIRST_TURNS / size;
    query_cache *c = open_cache(i, &d->db, (query_cache_options){0});
    int64_t start = bench_now_ns();
    for (size_t turn = 0; turn < turns; turn++) {
        get_some(i, c, size, turn);
    }
    int64_t ns = bench_now_ns() - start;
    if (i->statistics(c).misses != turns) {
        measure_die("%s: a first query is a hit", i->label);
    }
    i->close(c);
    return (double)ns / (double)turns;
}

static double ns_per_second(const implementation *i, const database *d,
                            size_t size) {
    query_cache *c =
        open_cache(i, &d->db, (query_cache_options){.ttl_ms = INT64_MAX});
    get_some(i, c, size, 1);
    int64_t start = bench_now_ns();
    for (size_t turn = 0; turn < HIT_TURNS; turn++) {
        get_some(i, c, size, 1);
    }
    int64_t ns = bench_now_ns() - start;
    if (i->statistics(c).hits != HIT_TURNS) {
        measure_die("%s: a second query is a miss", i->label);
    }
    i->close(c);
    return (double)ns / HIT_TURNS;
}

/* Who takes turns: each implementation on each database. */
typedef struct contest {
    const implementation *impls;
    const database *databases;
    size_t database_count;
} contest;

static void time_size(bench_report *r, const implementation *i,
                      const database *d, size_t size) {
    char operation[24];
    snprintf(operation, sizeof operation, "%s 1st", d->name);
    measure_add(r, i->label, operation, size, ns_per_first(i, d, size));
    snprintf(operation, sizeof operation, "%s 2nd", d->name);
    measure_add(r, i->label, operation, size, ns_per_second(i, d, size));
}

static status take_turn(void *context, size_t who, bench_report *r) {
    const contest *c = context;
    const implementation *i = &c->impls[who / c->database_count];
    const database *d = &c->databases[who % c->database_count];
    for (size_t size = 1; size <= TABLE; size *= 10) {
        time_size(r, i, d, size);
    }
    return STATUS_OK;
}

static void speed(const implementation *impls, size_t count) {
    bench_report *r = measure_report();
    database databases[] = {begin_sqlite(&impls[0]), begin_postgres(&impls[0])};
    contest c = {impls, databases, databases[1].server ? 2 : 1};
    measure_keep_memory();
    measure_interleave(r, count * c.database_count, take_turn, &c);
    measure_print_times(r,
                        "make bench-11: ns per query that gives n rows, asked "
                        "for the 1st and for the 2nd time");
    bench_report_destroy(r);
    for (size_t i = 0; i < c.database_count; i++) {
        database_end(&databases[i]);
    }
}

/* -- counts of instructions -------------------------------------------------
 */

enum { COUNTED_GETS = 1024 };

typedef struct ask {
    const implementation *implementation;
    query_cache *cache;
    size_t n;
} ask;

static void ask_all(void *context) {
    const ask *a = context;
    for (size_t k = 0; k < COUNTED_GETS; k++) {
        db_value id =
            db_int((int64_t)((2 * k + 1) * a->n / (2 * COUNTED_GETS)));
        get(a->implementation, a->cache, ONE, &id, 1);
    }
}

static void count_one(const implementation *i, size_t n) {
    static played p;
    int64_t now_ms = 0;
    db d = db_of(&p);
    query_cache_options options = {.ttl_ms = INT64_MAX,
                                   .clock = ms_clock_frozen(&now_ms)};
    ask a = {i, open_cache(i, &d, options), n};
    for (size_t k = 0; k < n; k++) {
        db_value id = db_int((int64_t)k);
        get(i, a.cache, ONE, &id, 1);
    }
    measure_ask(ask_all, &a);
    printf("%s\thit\t%zu\t%d\n", i->label, n, COUNTED_GETS);
    i->close(a.cache);
}

static void one(const implementation *impls, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 1; n <= USERS; n *= 10) {
            count_one(&impls[i], n);
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed|one label=query_cache.so...",
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
