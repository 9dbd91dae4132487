/* Tests of the query cache. Most use a database that the test itself plays (a
 * stage): it counts what it is asked, and answers as it is told. The others use
 * a real one: a SQLite file, or with DB=postgres a PostgreSQL server. */
#include "query_cache.h"

#include "support/check.h"
#include "support/crash.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/pause.h"
#include "support/postgres.h"
#include "support/process.h"
#include "support/work.h"

#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TIMEOUT_MS = 3000, TTL_MS = 100 };

#define TEXT(literal) db_text((bytes){literal, sizeof literal - 1})
#define BLOB(literal) db_blob((bytes){literal, sizeof literal - 1})
#define COUNT(array) (sizeof(array) / sizeof *(array))

static int64_t now_ms; /* of the frozen clock */

/* --- a database that the test plays ------------------------------------ */

enum { SEEN = 128, SCRATCH = 1 << 16, COLUMNS_MAX = 64 };

/* Without rows of its own, a stage gives one: how many queries there were, and
 * its data. */
typedef struct stage {
    const bytes *names;
    size_t columns;
    const db_value *values; /* row by row; NULL: the one row above */
    size_t count;
    bool same_row; /* `values` is one row, to be given count times */
    int64_t data;

    status fails;    /* how queries end, unless STATUS_OK */
    size_t after;    /* so many rows */
    bool lost;       /* it cannot tell of changes */
    int64_t slow_ms; /* how long that takes */
    uint64_t token;
    void (*during)(struct stage *s); /* called in the middle of a query */

    size_t queries, asked, closed; /* how often it was called */
    char sql[SEEN];                /* what the last query was */
    size_t parameters;
    db_value first;
    char first_data[SEEN];
} stage;

static char scratch[SCRATCH];
static size_t scratched;

/* What a database lends is gone after the call; so is this. */
static db_value lend(db_value v) {
    bool has_bytes = v.type == DB_TEXT || v.type == DB_BLOB;
    if (has_bytes && v.data.len > 0 && v.data.len <= SCRATCH - scratched) {
        memcpy(scratch + scratched, v.data.data, v.data.len);
        v.data.data = scratch + scratched;
        scratched += v.data.len;
    }
    return v;
}

static void take_back(void) {
    memset(scratch, 0x77, scratched);
    scratched = 0;
}

static void note_call(stage *s, const char *sql, const db_value *parameters,
                      size_t count) {
    s->queries++;
    snprintf(s->sql, sizeof s->sql, "%s", sql);
    s->parameters = count;
    s->first = count > 0 ? parameters[0] : db_null();
    if (s->first.type == DB_TEXT && s->first.data.len < SEEN) {
        memcpy(s->first_data, s->first.data.data, s->first.data.len);
        s->first.data.data = s->first_data;
    }
}

static status give_columns(const bytes *names, size_t count,
                           const db_sink *sink) {
    bytes lent[COLUMNS_MAX];
    for (size_t i = 0; i < count; i++) {
        lent[i] = lend(db_text(names[i])).data;
    }
    status done = sink->columns(sink->context, lent, count);
    memset(lent, 0, sizeof lent);
    take_back();
    return done;
}

static status give_row(const db_value *values, size_t count,
                       const db_sink *sink) {
    db_value lent[COLUMNS_MAX];
    for (size_t i = 0; i < count; i++) {
        lent[i] = lend(values[i]);
    }
    status done = sink->row(sink->context, lent);
    memset(lent, 0, sizeof lent);
    take_back();
    return done;
}

static status give_one_row(stage *s, const db_sink *sink) {
    const bytes names[] = {bytes_of("query"), bytes_of("data")};
    db_value row[] = {db_int((int64_t)s->queries), db_int(s->data)};
    status done = give_columns(names, 2, sink);
    if (s->during) {
        s->during(s);
    }
    return done == STATUS_OK ? give_row(row, 2, sink) : done;
}

static status give_all(stage *s, const db_sink *sink) {
    status done = give_columns(s->names, s->columns, sink);
    for (size_t i = 0; i < s->count && done == STATUS_OK; i++) {
        if (s->fails != STATUS_OK && i == s->after) {
            return s->fails;
        }
        done = give_row(&s->values[s->same_row ? 0 : i * s->columns],
                        s->columns, sink);
    }
    return done == STATUS_OK ? s->fails : done;
}

static status stage_query(void *self, const char *sql,
                          const db_value *parameters, size_t count,
                          const db_sink *sink) {
    stage *s = self;
    note_call(s, sql, parameters, count);
    if (s->fails != STATUS_OK && s->after == 0) {
        return s->fails;
    }
    return s->names ? give_all(s, sink) : give_one_row(s, sink);
}

static status stage_execute(void *self, const char *sql,
                            const db_value *parameters, size_t count) {
    (void)self, (void)sql, (void)parameters, (void)count;
    return STATUS_INVALID;
}

static status stage_watch(void *self, const char *table) {
    (void)self, (void)table;
    return STATUS_OK;
}

static status stage_changes(void *self, uint64_t *token) {
    stage *s = self;
    s->asked++;
    now_ms += s->slow_ms;
    if (s->lost) {
        return STATUS_BACKEND;
    }
    *token = s->token;
    return STATUS_OK;
}

static const char *stage_error(void *self) {
    (void)self;
    return "";
}

static void stage_close(void *self) {
    ((stage *)self)->closed++;
}

static db db_of(stage *s) {
    return (db){s,           stage_query,   stage_execute,
                stage_watch, stage_changes, stage_error,
                stage_close};
}

/* --- what the tests take for granted ------------------------------------ */

static query_cache *open_with(const db *d, query_cache_options options) {
    query_cache *c = NULL;
    options.clock = ms_clock_frozen(&now_ms);
    want_status(query_cache_open(d, &options, &c), STATUS_OK,
                "query_cache_open(&db, &options, &c)",
                "open fails though there is memory");
    want_true(c != NULL, "query_cache_open(&db, &options, &c)",
              "open says ok and does not write the cache to *out");
    return c;
}

static query_cache *open_on(stage *s, query_cache_options options) {
    db d = db_of(s);
    return open_with(&d, options);
}

static query_cache *fresh(stage *s) {
    now_ms = 1000;
    return open_on(s, (query_cache_options){.ttl_ms = TTL_MS});
}

static const rows *get_with(query_cache *c, const char *sql,
                            const db_value *parameters, size_t count) {
    const rows *r = NULL;
    want_status(query_cache_get(c, sql, parameters, count, &r), STATUS_OK,
                text("get %s", sql), "the database gives this query its rows");
    want_true(r != NULL, text("get %s", sql),
              "get says ok and does not write the rows to *out");
    return r;
}

static const rows *get(query_cache *c, const char *sql) {
    return get_with(c, sql, NULL, 0);
}

/* The status of a get that should fail, and that it then writes nothing. */
static status failing(query_cache *c, const char *sql) {
    static const char mark;
    const rows *r = (const void *)&mark;
    status s = query_cache_get(c, sql, NULL, 0, &r);
    want_true(s == STATUS_OK || r == (const void *)&mark,
              text("get %s, which fails; look at *out", sql),
              "*out is written on STATUS_OK only");
    return s;
}

/* The value in the first row. */
static db_value value_in(const rows *r, size_t column) {
    db_value values[COLUMNS_MAX];
    size_t cursor = 0;
    want_true(rows_next(r, &cursor, values, COLUMNS_MAX),
              "get, rows_next of the first row", "the database gave a row");
    return values[column];
}

static int64_t number_in(const rows *r, size_t column) {
    db_value v = value_in(r, column);
    want_int(v.type, DB_INT, "get, rows_next; look at the type of a number",
             "the type of a value is part of it");
    return v.integer;
}

/* A stage's rows say from which query they are, and what its data was. */
static int64_t query_of(query_cache *c, const char *sql) {
    return number_in(get(c, sql), 0);
}

static int64_t data_of(query_cache *c, const char *sql) {
    return number_in(get(c, sql), 1);
}

static const char *shown(db_value v) {
    uint64_t bits;
    memcpy(&bits, &v.real, sizeof bits);
    switch (v.type) {
    case DB_NULL: return "NULL";
    case DB_INT: return text("the integer %lld", (long long)v.integer);
    case DB_DOUBLE:
        return text("the double %.17g, bits %016llx", v.real,
                    (unsigned long long)bits);
    case DB_TEXT: return text("a text of %zu bytes", v.data.len);
    case DB_BLOB: return text("a blob of %zu bytes", v.data.len);
    }
    return text("something of type %d", (int)v.type);
}

static bool is_same(db_value a, db_value b) {
    if (a.type != b.type) {
        return false;
    }
    switch (a.type) {
    case DB_NULL: return true;
    case DB_INT: return a.integer == b.integer;
    case DB_DOUBLE: return memcmp(&a.real, &b.real, sizeof a.real) == 0;
    case DB_TEXT:
    case DB_BLOB: return bytes_equal(a.data, b.data);
    }
    return false;
}

static void want_value(db_value got, db_value want, const char *did) {
    if (!is_same(got, want)) {
        want_that(false,
                  "%s\nwanted  %s\ngot     %s\nlikely  a value comes back with "
                  "its type and with all of its bits and bytes%s",
                  did, shown(want), shown(got),
                  got.type == want.type
                          && (got.type == DB_TEXT || got.type == DB_BLOB)
                          && got.data.len == want.data.len
                      ? " (here its bytes are others: is the database's memory "
                        "copied?)"
                      : "");
    }
}

/* --- 11.1: open, statistics, close --------------------------------------- */

TEST(a_fresh_cache_has_counted_nothing, "P13", "11.1") {
    stage s = {0};
    query_cache *c = fresh(&s);
    query_cache_stats got = query_cache_statistics(c);
    want_true(got.hits == 0 && got.misses == 0 && got.stale == 0
                  && got.failures == 0,
              "open, statistics", "nothing has been asked for yet");
    query_cache_close(c);
    want_int(s.queries, 0, "open, close; count the queries",
             "opening a cache asks for no rows");
}

TEST(options_are_optional, "P14", "11.1") {
    stage s = {0};
    db d = db_of(&s);
    query_cache *c = NULL;
    want_status(query_cache_open(&d, NULL, &c), STATUS_OK,
                "query_cache_open(&db, NULL, &c)",
                "no options are the default options");
    query_cache_close(c);
    query_cache_options zero = {0};
    want_status(query_cache_open(&d, &zero, &c), STATUS_OK,
                "query_cache_open with options that are all 0",
                "0 is the default of each option, a clock without now_ms too");
    query_cache_close(c);
}

TEST(negative_times_are_refused, "P14", "11.1") {
    stage s = {0};
    db d = db_of(&s);
    query_cache_options wrong[] = {{.ttl_ms = -1}, {.check_ms = -1}};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        static const char mark;
        query_cache *c = (void *)(uintptr_t)&mark;
        want_status(query_cache_open(&d, &wrong[i], &c), STATUS_INVALID,
                    i == 0 ? "open with a ttl_ms of -1"
                           : "open with a check_ms of -1",
                    "no time may be negative");
        want_true(c == (const void *)&mark, "the same; look at *out",
                  "*out is written on STATUS_OK only");
    }
}

TEST(close_leaves_the_database_open, "P14", "11.1") {
    stage s = {0};
    query_cache_close(fresh(&s));
    want_int(s.closed, 0, "open, close; was the database closed?",
             "the database is the caller's, who may have another use for it");
    query_cache_close(NULL);
}

static void attempt_open(void *context) {
    db d = db_of(context);
    query_cache *c = NULL;
    status s = query_cache_open(&d, NULL, &c);
    if (heap_has_failed()) {
        want_status(s, STATUS_NO_MEMORY, "open while an allocation fails",
                    "every allocation can fail: look at each result");
        want_pointer(c, NULL, "the same; look at *out",
                     "*out is written on STATUS_OK only");
        want_int(heap_live_blocks(), 0, "the same; count the live blocks",
                 "what was made before the failure must be given back");
    } else {
        want_status(s, STATUS_OK, "open with memory", "nothing failed");
        query_cache_close(c);
    }
}

TEST(without_memory_open_says_so, "P11", "11.1") {
    stage s = {0};
    want_true(heap_fail_each(attempt_open, &s) > 0, "open, count allocations",
              "a cache takes memory");
}

/* --- 11.2: ask the database ------------------------------------------------
 */

static const bytes user_names[] = {{"id", 2}, {"name", 4}};

TEST(a_get_asks_the_database, "P1", "11.2") {
    db_value values[] = {db_int(1),   TEXT("Ann"), db_int(2),
                         TEXT("Bob"), db_int(3),   TEXT("Eve")};
    stage s = {.names = user_names, .columns = 2, .values = values, .count = 3};
    query_cache *c = fresh(&s);
    const rows *r = get(c, "SELECT id, name FROM users");
    want_int(s.queries, 1, "get; count the queries",
             "nothing is held yet, so the database must be asked, once");
    want_int(rows_count(r), 3, "get; count the rows",
             "the database calls `row` for each row");
    want_int(rows_columns(r), 2, "get; count the columns",
             "the database tells their number with their names");
    query_cache_close(c);
}

TEST(the_database_gets_the_statement_as_it_is, "P3", "11.2") {
    stage s = {0};
    query_cache *c = fresh(&s);
    db_value name = TEXT("Robert'); DROP TABLE users; --");
    const char *sql = "SELECT 'a''b', $1 -- %s ? \\";
    get_with(c, sql, &name, 1);
    want_text(s.sql, sql,
              "get a statement; look at what the database was given",
              "no byte of it may change");
    want_int(s.parameters, 1, "the same, with 1 parameter; count those given",
             "the parameters go beside the statement");
    want_value(s.first, name, "the same; look at the first parameter");
    query_cache_close(c);
}

TEST(no_rows_and_no_columns_are_results, "P2", "11.2") {
    stage s = {.names = user_names, .columns = 2};
    query_cache *c = fresh(&s);
    const rows *none = get(c, "SELECT id, name FROM users WHERE false");
    want_int(rows_count(none), 0, "get a query that finds nothing; count rows",
             "it has no rows");
    want_int(rows_columns(none), 2, "the same; count the columns",
             "columns are there without rows too");
    s.columns = 0;
    s.count = 3;
    s.values = &(db_value){.type = DB_NULL};
    const rows *bare = get(c, "SELECT FROM users");
    want_int(rows_count(bare), 3, "get 3 rows without columns; count rows",
             "a row without columns is a row");
    want_int(rows_columns(bare), 0, "the same; count the columns",
             "there are none");
    query_cache_close(c);
}

TEST(a_failure_is_handed_on, "P6", "11.2") {
    static const status failures[] = {STATUS_BACKEND, STATUS_INVALID,
                                      STATUS_TIMEOUT, STATUS_TOO_LARGE,
                                      STATUS_NO_MEMORY};
    stage s = {0};
    query_cache *c = fresh(&s);
    for (size_t i = 0; i < COUNT(failures); i++) {
        const char *says = status_name(failures[i]);
        s.fails = failures[i];
        want_status(failing(c, text("SELEC %s", says)), failures[i],
                    text("get, while the database says: %s", says),
                    "the caller must learn what went wrong");
    }
    query_cache_close(c);
}

TEST(rows_before_a_failure_are_not_given, "P6", "11.2") {
    db_value row[] = {db_int(1), TEXT("Ann")};
    stage s = {.names = user_names,
               .columns = 2,
               .values = row,
               .count = 5,
               .same_row = true,
               .fails = STATUS_BACKEND,
               .after = 2};
    query_cache *c = fresh(&s);
    want_status(failing(c, "SELECT id, name FROM users"), STATUS_BACKEND,
                "get, while the database fails after two rows",
                "two rows of five are no answer");
    query_cache_close(c);
}

TEST(failures_are_counted_among_the_misses, "P13", "11.2") {
    stage s = {0};
    query_cache *c = fresh(&s);
    get(c, "a");
    s.fails = STATUS_BACKEND;
    failing(c, "b");
    failing(c, "c");
    query_cache_stats got = query_cache_statistics(c);
    want_int(got.misses, 3,
             "three gets of three queries, the last two fail; "
             "the misses",
             "a get that is not answered from memory is a miss, also if it "
             "fails");
    want_int(got.failures, 2, "the same; the failures",
             "two of the three gave no rows");
    want_int(got.hits, 0, "the same; the hits", "nothing was held");
    query_cache_close(c);
}

struct memory_test {
    query_cache *cache;
    stage *stage;
    size_t turn, given; /* gets; of these, with rows and without memory */
};

static void attempt_get(void *context) {
    struct memory_test *m = context;
    char sql[32];
    const rows *r = NULL;
    snprintf(sql, sizeof sql, "query %zu", m->turn++);
    status s = query_cache_get(m->cache, sql, NULL, 0, &r);
    want_that(s == STATUS_OK || (heap_has_failed() && s == STATUS_NO_MEMORY),
              "get a result of 200 rows while an allocation fails\n"
              "wanted  no memory, or ok and the rows\ngot     %s\n"
              "likely  the status of a full buffer is lost on its way through "
              "the database",
              status_name(s));
    if (s == STATUS_OK) {
        want_int(rows_count(r), 200, "the same, with status ok; count the rows",
                 "a row was lost when memory ran out, and the status is ok");
    }
    if (heap_has_failed()) {
        want_int(
            rows_count(get(m->cache, sql)), 200,
            "the same, then get it with memory; count the rows",
            "a get that failed for want of memory must leave no half result");
    }
}

TEST(without_memory_get_says_so, "P11", "11.2") {
    db_value row[] = {db_int(1), TEXT("a name of some length")};
    stage s = {.names = user_names,
               .columns = 2,
               .values = row,
               .count = 200,
               .same_row = true};
    query_cache *c = fresh(&s);
    size_t failed =
        heap_fail_each(attempt_get, &(struct memory_test){c, &s, 0, 0});
    want_true(failed > 0, "get 200 rows, count allocations",
              "a result takes memory");
    query_cache_close(c);
}

/* --- a real database ------------------------------------------------------ */

/* A place for one: a file in a directory of its own, or a database on the
 * server of the run. */
struct place {
    process *directory;
    char file[96];
    char *address;
};

static bool on_postgres(void) {
    const char *name = getenv("DB");
    bool is_known =
        !name || strcmp(name, "sqlite") == 0 || strcmp(name, "postgres") == 0;
    want_true(is_known, text("make ... DB=%s", name ? name : ""),
              "there are DB=sqlite, which is the default, and DB=postgres");
    return name && strcmp(name, "postgres") == 0;
}

/* A file that never waits for the disk. Once it is in WAL mode, opening it
 * writes nothing. */
static void make_file(const char *path) {
    sqlite3 *file;
    bool made = sqlite3_open(path, &file) == SQLITE_OK
                && sqlite3_exec(file,
                                "PRAGMA synchronous = OFF;"
                                "PRAGMA journal_mode = WAL;"
                                "PRAGMA user_version = 1",
                                NULL, NULL, NULL)
                       == SQLITE_OK;
    sqlite3_close(file);
    want_true(made, "make a SQLite file", "there is no room in /tmp?");
}

static struct place make_place(void) {
    struct place p = {0};
    if (on_postgres()) {
        p.address = postgres_database();
    } else {
        p.directory = process_create(NULL, NULL);
        snprintf(p.file, sizeof p.file, "%s/test.db",
                 process_directory(p.directory));
        make_file(p.file);
    }
    return p;
}

static void leave(struct place *p) {
    if (p->address) {
        postgres_drop(p->address);
    } else {
        process_destroy(p->directory);
    }
}

static void run_with(const db *d, const char *sql, const db_value *parameters,
                     size_t count) {
    status s = d->execute(d->self, sql, parameters, count);
    want_that(s == STATUS_OK,
              "execute %s\nwanted  ok\ngot     %s: %s\n"
              "likely  this is a fault of the test",
              sql, status_name(s), d->error(d->self));
}

static void run(const db *d, const char *sql) {
    run_with(d, sql, NULL, 0);
}

static db connect_for(const struct place *p, int timeout_ms) {
    db d = {0};
    status s = p->address ? db_postgres_open(p->address, timeout_ms, &d)
                          : db_sqlite_open(p->file, timeout_ms, &d);
    want_status(s, STATUS_OK, "open the test's database",
                "this machine has no room for one");
    if (!p->address) {
        run(&d, "PRAGMA synchronous = OFF");
    }
    return d;
}

static db connect_to(const struct place *p) {
    return connect_for(p, TIMEOUT_MS);
}

static void make_users(const db *d) {
    run(d, "CREATE TABLE users (id bigint PRIMARY KEY, name text, "
           "score double precision, photo bytea)");
    want_status(d->watch(d->self, "users"), STATUS_OK, "watch the table users",
                "this is a fault of the test");
}

static void add_user(const db *d, int64_t id, const char *name) {
    db_value user[] = {db_int(id), db_text(bytes_of(name)), db_double(0.5),
                       BLOB("\0\1")};
    run_with(d, "INSERT INTO users VALUES ($1, $2, $3, $4)", user, 4);
}

static void end_db(const db *d) {
    d->close(d->self);
}

TEST(faults_of_a_statement_are_told_apart, "P6", "11.2") {
    static const struct {
        const char *sql;
        const char *what;
        size_t count;
    } wrong[] = {
        {"SELEC 1", "with a syntax error", 0},
        {"SELECT * FROM nobody", "of a table that is not there", 0},
        {"SELECT $1, $2", "of two parameters, with one given", 1},
        {"DELETE FROM users", "that writes", 0},
        {"SELECT 1; DELETE FROM users", "followed by another one", 0},
        {"BEGIN", "that begins a transaction", 0},
        {"", "that is empty", 0},
    };
    struct place place = make_place();
    db d = connect_to(&place);
    make_users(&d);
    add_user(&d, 1, "Ann");
    query_cache *c = open_with(&d, (query_cache_options){0});
    for (size_t i = 0; i < COUNT(wrong); i++) {
        db_value one = db_int(1);
        const rows *r;
        want_status(query_cache_get(c, wrong[i].sql, &one, wrong[i].count, &r),
                    STATUS_INVALID, text("get a statement %s", wrong[i].what),
                    "the database says that the statement is at fault, and so "
                    "must the cache");
        want_true(d.error(d.self)[0] != '\0',
                  text("the same; ask the database for the error"),
                  "the database has words for it");
    }
    want_int(rows_count(get(c, "SELECT * FROM users")), 1,
             "then get all users; count them",
             "after a failure the database goes on");
    query_cache_close(c);
    end_db(&d);
    leave(&place);
}

/* --- 11.3: every value -----------------------------------------------------
 */

static double from_bits(uint64_t bits) {
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

TEST(every_type_comes_back, "P2", "11.3") {
    db_value values[] = {
        db_null(),
        db_int(0),
        db_int(-1),
        db_int(INT64_MAX),
        db_int(INT64_MIN),
        db_int((INT64_C(1) << 53) + 1),
        db_double(0.1),
        db_double(-0.0),
        db_double(5e-324),
        db_double(from_bits(0x7fefffffffffffff)),
        db_double(-INFINITY),
        db_double(from_bits(0x7ff8000000abcdef)),
        TEXT("Bob"),
        TEXT(""),
        TEXT("a\0b"),
        TEXT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
        BLOB(""),
        BLOB("\0\0\1\xff\0"),
        BLOB("Bob"),
        db_text((bytes){NULL, 0}),
        db_blob((bytes){NULL, 0}),
        db_null(),
    };
    bytes names[COUNT(values)] = {{"v", 1}};
    stage s = {
        .names = names, .columns = COUNT(values), .values = values, .count = 1};
    query_cache *c = fresh(&s);
    const rows *r = get(c, "SELECT everything");
    for (size_t i = 0; i < COUNT(values); i++) {
        want_value(
            value_in(r, i), values[i],
            text("get a row with %s in column %zu", shown(values[i]), i));
    }
    query_cache_close(c);
}

TEST(columns_have_their_names, "P1", "11.3") {
    bytes names[] = {{"id", 2}, {"", 0}, {"name", 4}, {"id", 2}};
    stage s = {.names = names, .columns = 4};
    query_cache *c = fresh(&s);
    const rows *r = get(c, "SELECT id, '' AS \"\", name, id FROM users");
    for (size_t i = 0; i < 4; i++) {
        want_bytes(rows_name(r, i), names[i],
                   text("get four columns, ask for the name of number %zu", i),
                   "names come in the order of the columns, copied");
    }
    query_cache_close(c);
}

TEST(rows_come_in_order_and_end, "P1", "11.3") {
    db_value values[] = {db_int(3),   TEXT("Eve"), db_int(1),
                         TEXT("Ann"), db_int(2),   TEXT("Bob")};
    stage s = {.names = user_names, .columns = 2, .values = values, .count = 3};
    query_cache *c = fresh(&s);
    const rows *r = get(c, "SELECT id, name FROM users");
    for (size_t pass = 0; pass < 2; pass++) {
        size_t cursor = 0;
        db_value user[2];
        for (size_t i = 0; i < 3; i++) {
            want_true(rows_next(r, &cursor, user, 2),
                      text("get 3 rows, rows_next number %zu", i + 1),
                      "each call gives one row more");
            want_value(user[0], values[2 * i],
                       text("the same; the first value of row %zu", i + 1));
            want_value(user[1], values[2 * i + 1],
                       text("the same; the second value of row %zu", i + 1));
        }
        user[0] = db_int(77);
        want_false(rows_next(r, &cursor, user, 2),
                   "get 3 rows, rows_next a 4th", "there are three");
        want_value(user[0], db_int(77), "the same; look at the values");
        want_false(rows_next(r, &cursor, user, 2), "the same once more",
                   "the end stays the end");
    }
    query_cache_close(c);
}

TEST(cursors_do_not_meet, "P1", "11.3") {
    db_value values[] = {db_int(1), TEXT("Ann"), db_int(2), TEXT("Bob")};
    stage s = {.names = user_names, .columns = 2, .values = values, .count = 2};
    query_cache *c = fresh(&s);
    const rows *r = get(c, "SELECT id, name FROM users");
    size_t here = 0, there = 0, pairs = 0;
    db_value one[2], other[2];
    while (rows_next(r, &here, one, 2) && pairs < 100) {
        there = 0;
        while (rows_next(r, &there, other, 2) && pairs < 100) {
            pairs++;
        }
    }
    want_int(pairs, 4,
             "get 2 rows, go through them within a loop through "
             "them; count the turns of the inner one",
             "where a walk stands is in its cursor, and nowhere else");
    query_cache_close(c);
}

TEST(rows_without_rows_or_columns_end_in_time, "P2", "11.3") {
    stage s = {.names = user_names, .columns = 2};
    query_cache *c = fresh(&s);
    db_value values[2] = {db_int(77), db_int(77)};
    size_t cursor = 0, count = 0;
    want_false(rows_next(get(c, "nothing"), &cursor, values, 2),
               "get a query that finds nothing, rows_next", "it has no rows");
    want_value(values[0], db_int(77), "the same; look at the values");
    s.columns = 0;
    s.count = 3;
    s.values = &(db_value){.type = DB_NULL};
    const rows *bare = get(c, "SELECT FROM users");
    for (cursor = 0; count < 10 && rows_next(bare, &cursor, values, 2);) {
        count++;
    }
    want_int(count, 3,
             "get 3 rows without columns; count the rows_next that "
             "say true",
             "a row without columns is a row: it must leave a trace");
    query_cache_close(c);
}

static void attempt_walk(void *context) {
    struct memory_test *m = context;
    char sql[32];
    const rows *r = NULL;
    snprintf(sql, sizeof sql, "walk %zu", m->turn++);
    size_t cursor = 0, count = 0;
    db_value row[2];
    if (query_cache_get(m->cache, sql, NULL, 0, &r) != STATUS_OK) {
        return;
    }
    want_bytes(rows_name(r, 0), m->stage->names[0],
               "get 200 rows while an allocation fails, with status ok; the "
               "name of column 0",
               "what did not fit was left out, and the status is ok");
    for (; count < m->stage->count && rows_next(r, &cursor, row, 2); count++) {
        want_value(row[0], m->stage->values[0],
                   text("get 200 rows while an allocation fails, with status "
                        "ok; the first value of row %zu",
                        count + 1));
        want_value(row[1], m->stage->values[1],
                   text("the same; the second value of row %zu", count + 1));
    }
    want_int(count, m->stage->count, "the same; count the rows",
             "what did not fit was left out, and the status is ok");
}

TEST(without_memory_no_value_is_lost, "P11", "11.3") {
    db_value row[] = {db_int(1), TEXT("a name of some length")};
    stage s = {.names = user_names,
               .columns = 2,
               .values = row,
               .count = 200,
               .same_row = true};
    query_cache *c = fresh(&s);
    get(c, "walks"); /* from now on the key needs no room of its own */
    size_t failed =
        heap_fail_each(attempt_walk, &(struct memory_test){c, &s, 0, 0});
    want_true(failed > 0, "get 200 rows, count allocations",
              "a result takes memory");
    query_cache_close(c);
}

static char long_text[SCRATCH];

TEST(large_results_come_back, "P2", "11.3") {
    enum { ROWS = 300 };
    static db_value values[2 * ROWS];
    for (size_t i = 0; i < sizeof long_text; i++) {
        long_text[i] = (char)(i * 7 % 251);
    }
    for (size_t i = 0; i < ROWS; i++) {
        values[2 * i] = db_int((int64_t)i);
        values[2 * i + 1] = db_blob((bytes){long_text, i * i % 8999});
    }
    values[1] = db_blob((bytes){long_text, sizeof long_text});
    stage s = {
        .names = user_names, .columns = 2, .values = values, .count = ROWS};
    query_cache *c = fresh(&s);
    const rows *r = get(c, "SELECT id, photo FROM users");
    size_t cursor = 0, i = 0;
    for (db_value row[2]; i < ROWS && rows_next(r, &cursor, row, 2); i++) {
        want_value(
            row[0], values[2 * i],
            text("get 300 rows with blobs; the first value of row %zu", i + 1));
        want_value(row[1], values[2 * i + 1],
                   text("get 300 rows with blobs; the blob of row %zu", i + 1));
    }
    want_int(i, ROWS, "get 300 rows with blobs; count them", "some are lost");
    query_cache_close(c);
}

static size_t steps_through(query_cache *c, stage *s, size_t count) {
    s->count = count;
    const rows *r = get(c, text("%zu rows", count));
    size_t cursor = 0;
    db_value row[2];
    work_begin();
    while (rows_next(r, &cursor, row, 2)) {
    }
    return work_steps();
}

TEST(a_walk_takes_the_same_few_steps_per_row, "P1", "11.3") {
    db_value row[] = {db_int(1), TEXT("Ann")};
    stage s = {
        .names = user_names, .columns = 2, .values = row, .same_row = true};
    query_cache *c = fresh(&s);
    size_t few = steps_through(c, &s, 100), many = steps_through(c, &s, 2000);
    want_at_most(
        many, 25 * few,
        text("walk through 100 rows: %zu steps; walk through 2,000", few),
        "rows_next must go on where the cursor stands, not count from "
        "the first row");
    query_cache_close(c);
}

TEST(every_value_survives_the_database, "P2", "11.3") {
    static const char *const names[] = {
        "plain",
        "",
        "two words, it's \"quoted\"; -- no comment",
        "\xc3\x84rger \xe2\x82\xac 5",
        "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
        "\xf0\x9f\x98\x80 \xcc\x81\xe2\x80\x8d",
        "\x01\x7f\t\r\n%s\\0"};
    static const double scores[] = {0.1,     -1.5, 1e308,   5e-324,
                                    1.0 / 3, 1e15, INFINITY};
    static const int64_t ids[] = {0,         -1,  INT64_MAX,      INT64_MIN,
                                  1ll << 53, 255, (1ll << 53) + 1};
    struct place place = make_place();
    db d = connect_to(&place);
    query_cache *c = open_with(&d, (query_cache_options){0});
    make_users(&d);
    for (size_t i = 0; i < COUNT(ids); i++) {
        db_value user[] = {
            db_int(ids[i]), i == 6 ? db_null() : db_text(bytes_of(names[i])),
            db_double(scores[i]),
            i == 1 ? db_null() : db_blob((bytes){"\0\xff\0a\0\0\0", i})};
        run_with(&d, "INSERT INTO users VALUES ($1, $2, $3, $4)", user, 4);
        const rows *r =
            get_with(c, "SELECT * FROM users WHERE id = $1", user, 1);
        want_int(rows_columns(r), 4, "get a user; count the columns",
                 "the table has four");
        for (size_t column = 0; column < 4; column++) {
            want_value(value_in(r, column), user[column],
                       text("insert user %zu, get it; column %zu", i, column));
        }
    }
    want_bytes(rows_name(get(c, "SELECT id, score FROM users"), 1),
               bytes_of("score"), "get id and score; the name of the second",
               "names come in the order of the columns");
    query_cache_close(c);
    end_db(&d);
    leave(&place);
}

TEST(parameters_are_bound_and_never_pasted, "P3", "11.3") {
    static const char evil[] = "Robert'); DELETE FROM users; --";
    struct place place = make_place();
    db d = connect_to(&place);
    query_cache *c = open_with(&d, (query_cache_options){0});
    make_users(&d);
    add_user(&d, 1, "Ann");
    add_user(&d, 2, evil);
    const char *sql = "SELECT name FROM users WHERE name = $1";
    db_value name = TEXT("' OR '1' = '1");
    want_int(rows_count(get_with(c, sql, &name, 1)), 0,
             "ask for the user called ' OR '1' = '1; count the rows",
             "nobody is called so: the name has become part of the SQL");
    name = TEXT("Robert'); DELETE FROM users; --");
    const rows *r = get_with(c, sql, &name, 1);
    want_int(rows_count(r), 1,
             "ask for a user with a quote in the name; count "
             "the rows",
             "the name must reach the database as it is");
    want_value(value_in(r, 0), name, "the same; the name");
    want_int(rows_count(get(c, "SELECT name FROM users")), 2,
             "then count all users", "a parameter was run as SQL");
    query_cache_close(c);
    end_db(&d);
    leave(&place);
}

/* --- 11.4: a second get ----------------------------------------------------
 */

TEST(a_second_get_asks_for_no_rows, "P4", "11.4") {
    stage s = {.data = 5};
    query_cache *c = fresh(&s);
    want_int(query_of(c, "SELECT 1"), 1, "get a query: its first value",
             "the first query of the database");
    want_int(data_of(c, "SELECT 1"), 5, "get the same query again: its data",
             "the rows held must be the rows that were loaded");
    want_int(s.queries, 1, "get a query twice; count the queries",
             "the second get finds the rows of the first");
    query_cache_close(c);
}

TEST(no_rows_are_a_hit_too, "P4", "11.4") {
    stage s = {.names = user_names, .columns = 2};
    query_cache *c = fresh(&s);
    get(c, "SELECT id, name FROM users WHERE false");
    const rows *r = get(c, "SELECT id, name FROM users WHERE false");
    want_int(s.queries, 1,
             "get a query that finds nothing, twice; count the "
             "queries",
             "that nothing was found is an answer, and worth keeping");
    want_int(rows_count(r), 0, "the same; count the rows", "there are none");
    query_cache_close(c);
}

TEST(a_failure_is_not_kept, "P6", "11.4") {
    stage s = {.fails = STATUS_BACKEND};
    query_cache *c = fresh(&s);
    failing(c, "SELECT 1");
    s.fails = STATUS_OK;
    want_int(query_of(c, "SELECT 1"), 2,
             "get a query that fails, get it again when the database is back",
             "a failure is not the answer: ask again");
    want_int(query_of(c, "SELECT 1"), 2, "then get it a third time",
             "the second get was a success, and that is kept");
    query_cache_close(c);
}

/* clang-format off */
#define ASK(what, sql, ...)                                         \
    {what, sql, COUNT(((db_value[]){__VA_ARGS__})), {__VA_ARGS__}}
#define T(literal) {.type = DB_TEXT, .data = {literal, sizeof literal - 1}}
#define B(literal) {.type = DB_BLOB, .data = {literal, sizeof literal - 1}}
#define I(number) {.type = DB_INT, .integer = number}
#define D(number) {.type = DB_DOUBLE, .real = number}
#define N {.type = DB_NULL}

static const struct question {
    const char *what;
    const char *sql;
    size_t count;
    db_value parameters[2];
} questions[] = {
    {"no parameters", "q", 0, {N}},
    {"no parameters, in the statement Q", "Q", 0, {N}},
    {"no parameters, in the statement q and a blank", "q ", 0, {N}},
    {"no parameters, in the empty statement", "", 0, {N}},
    ASK("NULL", "q", N),
    ASK("NULL, NULL", "q", N, N),
    ASK("the text ''", "q", T("")),
    ASK("the blob ''", "q", B("")),
    ASK("'ab', 'c'", "q", T("ab"), T("c")),
    ASK("'a', 'bc'", "q", T("a"), T("bc")),
    ASK("'abc'", "q", T("abc")),
    ASK("'abc', ''", "q", T("abc"), T("")),
    ASK("'', 'abc'", "q", T(""), T("abc")),
    ASK("'a,b'", "q", T("a,b")),
    ASK("'a', 'b'", "q", T("a"), T("b")),
    ASK("'a', 'b' in the statement qa", "qa", T("a"), T("b")),
    ASK("'c' in the statement qab", "qab", T("c")),
    ASK("the text 'a'", "q", T("a")),
    ASK("the blob 'a'", "q", B("a")),
    ASK("the text 'a', zero byte, 'b'", "q", T("a\0b")),
    ASK("the text 'a', zero byte, 'c'", "q", T("a\0c")),
    ASK("the integer 0", "q", I(0)),
    ASK("the integer 1", "q", I(1)),
    ASK("the integer 2^32", "q", I(1ll << 32)),
    ASK("the integer 2^53", "q", I(1ll << 53)),
    ASK("the integer 2^53 + 1", "q", I((1ll << 53) + 1)),
    ASK("the text '1'", "q", T("1")),
    ASK("the 8 bytes of the integer 1", "q", B("\1\0\0\0\0\0\0\0")),
    ASK("the double 0", "q", D(0)),
    ASK("the double -0", "q", D(-0.0)),
    ASK("the double 1", "q", D(1)),
    ASK("the double with the bits of the integer 1", "q", D(5e-324)),
    ASK("the double 0.1", "q", D(0.1)),
    ASK("the double after 0.1", "q", D(0.10000000000000002)),
};
/* clang-format on */

TEST(no_two_questions_share_an_answer, "P5", "11.4") {
    stage s = {0};
    query_cache *c = fresh(&s);
    for (size_t i = 0; i < COUNT(questions); i++) {
        const struct question *q = &questions[i];
        int64_t from =
            number_in(get_with(c, q->sql, q->parameters, q->count), 0);
        want_that(from == (int64_t)i + 1,
                  "get the statement q with %s, then with %s\n"
                  "wanted  two answers\n"
                  "got     the first one again\n"
                  "likely  the key leaves something out: each part goes in "
                  "with its type, and with its length or in a fixed size",
                  questions[from - 1].what, q->what);
    }
    for (size_t i = 0; i < COUNT(questions); i++) {
        const struct question *q = &questions[i];
        int64_t from =
            number_in(get_with(c, q->sql, q->parameters, q->count), 0);
        want_int(from, i + 1,
                 text("get %zu queries, then get the one with %s: which query "
                      "its rows are from",
                      COUNT(questions), q->what),
                 "the same question finds its answer again");
    }
    query_cache_close(c);
}

/* Asks with two texts or blobs. Returns: which query the answer is from. */
static int64_t from_pair(query_cache *c, db_type type, bytes first,
                         bytes second) {
    db_value pair[] = {{.type = type, .data = first},
                       {.type = type, .data = second}};
    return number_in(get_with(c, "q", pair, 2), 0);
}

TEST(no_byte_within_a_value_can_end_it, "P5", "11.4") {
    static const db_type types[] = {DB_TEXT, DB_BLOB};
    for (size_t t = 0; t < COUNT(types); t++) {
        for (int between = 0; between < 256; between++) {
            stage s = {0};
            query_cache *c = fresh(&s);
            char whole[] = {'a', '\0', (char)between, 'b'};
            from_pair(c, types[t], (bytes){whole, 4}, bytes_of("c"));
            char rest[] = {'b', '\0', (char)between, 'c'};
            int64_t from =
                from_pair(c, types[t], bytes_of("a"), (bytes){rest, 4});
            want_that(
                from == 2,
                "get with ('a', zero byte, byte %d, 'b') and ('c'), then "
                "with ('a') and ('b', zero byte, byte %d, 'c')\n"
                "wanted  two answers\n"
                "got     the first one again\n"
                "likely  a zero byte ends a value in the key, and a value "
                "may hold one: its length must go in",
                between, between);
            query_cache_close(c);
        }
    }
}

/* Whether two questions, of which the first has two parts or more, share an
 * answer. */
static bool is_shared(const struct question *parts,
                      const struct question *one) {
    stage s = {0};
    query_cache *c = fresh(&s);
    get_with(c, parts->sql, parts->parameters, parts->count);
    get_with(c, one->sql, one->parameters, one->count);
    bool shared = s.queries == 1;
    query_cache_close(c);
    return shared;
}

TEST(no_byte_within_a_value_can_begin_another, "P5", "11.4") {
    static const db_type types[] = {DB_TEXT, DB_BLOB};
    for (size_t t = 0; t < COUNT(types); t++) {
        db_value a = {.type = types[t], .data = {"a", 1}},
                 b = {.type = types[t], .data = {"b", 1}};
        for (int between = 0; between < 256; between++) {
            char whole[] = {'a', (char)between, 'b'};
            db_value both = {.type = types[t], .data = {whole, 3}};
            want_false(is_shared(&(struct question){"", "q", 2, {a, b}},
                                 &(struct question){"", "q", 1, {both}}),
                       text("get with ('a', 'b'), then with 'a', byte %d and "
                            "'b' in one; is the answer the same one?",
                            between),
                       "whatever the key puts between two values, a value may "
                       "hold too: its length must go in");
        }
    }
}

TEST(no_byte_within_a_statement_can_begin_a_value, "P5", "11.4") {
    db_value letters = {.type = DB_INT};
    memcpy(&letters.integer, "-- abcde", 8);
    for (int between = 1; between < 256; between++) {
        char sql[] = {'q', (char)between, '-', '-', ' ', 'a',
                      'b', 'c',           'd', 'e', '\0'};
        want_false(is_shared(&(struct question){"", "q", 1, {letters}},
                             &(struct question){"", sql, 0, {{0}}}),
                   text("get the statement q with an integer, then a statement "
                        "of q, byte %d and the bytes of that integer, with "
                        "none; is the answer the same one?",
                        between),
                   "the length of the statement must go into the key, too");
    }
}

TEST(what_the_caller_owns_may_change, "P5", "11.4") {
    stage s = {0};
    query_cache *c = fresh(&s);
    char sql[] = "SELECT $1", name[] = "Bob";
    db_value parameter = db_text((bytes){name, 3});
    get_with(c, sql, &parameter, 1);
    name[0] = 'R';
    want_int(number_in(get_with(c, sql, &parameter, 1), 0), 2,
             "get with the parameter Bob, write Rob over it, get again",
             "the key must be made of the bytes themselves, and copied: a "
             "db_value holds only a pointer to them");
    name[0] = 'B';
    memset(sql, 'x', strlen(sql));
    want_int(number_in(get_with(c, "SELECT $1", &parameter, 1), 0), 1,
             "write over the statement too, get with Bob again",
             "the first answer is still held under the first question");
    query_cache_close(c);
}

TEST(a_hit_costs_the_same_for_any_result, "P4", "11.4") {
    db_value row[] = {db_int(1), TEXT("Ann")};
    stage s = {
        .names = user_names, .columns = 2, .values = row, .same_row = true};
    query_cache *c = fresh(&s);
    size_t steps[2], counts[] = {1, 5000};
    for (size_t i = 0; i < 2; i++) {
        s.count = counts[i];
        const char *sql = i == 0 ? "SELECT one row" : "SELECT all rows";
        get(c, sql);
        get(c, sql);
        const rows *r;
        size_t before = heap_allocations();
        work_begin();
        query_cache_get(c, sql, NULL, 0, &r);
        steps[i] = work_steps();
        want_int(heap_allocations() - before, 0,
                 text("get a result of %zu rows for the third time; count "
                      "allocations",
                      counts[i]),
                 "a hit lends what is there; room for the key can be kept");
    }
    want_at_most(
        steps[1], steps[0] + 60,
        text("a hit on a result of 1 row takes %zu steps; one on 5,000 "
             "rows",
             steps[0]),
        "a hit lends the rows as they are, without looking at each");
    query_cache_close(c);
}

TEST(a_result_expires_to_the_millisecond, "P7", "11.4") {
    stage s = {0};
    query_cache *c = fresh(&s);
    query_of(c, "SELECT 1");
    now_ms += TTL_MS - 1;
    want_int(query_of(c, "SELECT 1"), 1,
             "get with a ttl of 100 ms, get again 99 ms later",
             "it is still valid, and units are milliseconds");
    now_ms += 1;
    want_int(query_of(c, "SELECT 1"), 2, "the same, and again 1 ms later",
             "it ends 100 ms after it was loaded; a hit does not renew it");
    now_ms += TTL_MS - 1;
    want_int(query_of(c, "SELECT 1"), 2, "the same, and again 99 ms later",
             "the reload begins a ttl of its own");
    query_cache_close(c);
}

TEST(the_default_ttl_is_ten_seconds, "P7", "11.4") {
    stage s = {0};
    now_ms = 0;
    query_cache *c = open_on(&s, (query_cache_options){0});
    query_of(c, "SELECT 1");
    now_ms = 9999;
    want_int(query_of(c, "SELECT 1"), 1,
             "open with a ttl_ms of 0, get, get again 9,999 ms later",
             "0 stands for 10,000 ms");
    now_ms = 10000;
    want_int(query_of(c, "SELECT 1"), 2, "the same, and again 1 ms later",
             "0 stands for 10,000 ms");
    query_cache_close(c);
}

TEST(expired_results_give_their_memory_back, "P12", "11.4") {
    enum { QUERIES = 200 };
    db_value row[] = {db_int(1), TEXT("a name of some length, for all users")};
    stage s = {.names = user_names,
               .columns = 2,
               .values = row,
               .count = 20,
               .same_row = true};
    query_cache *c = fresh(&s);
    size_t bytes_held[2];
    for (size_t turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < QUERIES; i++) {
            get(c, text("turn %zu, query %zu", turn, i));
        }
        bytes_held[turn] = heap_live_bytes();
        now_ms += TTL_MS;
    }
    get(c, "one query more");
    want_at_most(bytes_held[1] - heap_live_bytes(), bytes_held[1] / 20,
                 text("get 200 queries, wait for their end, get one other: %zu "
                      "bytes held before; bytes given back",
                      bytes_held[1]),
                 "one get must not pay for all: a miss frees two at most");
    want_at_most(bytes_held[1], bytes_held[0] + bytes_held[0] / 4,
                 text("get 200 queries: %zu bytes; wait for their end, get 200 "
                      "others: bytes",
                      bytes_held[0]),
                 "nobody asks for the first 200 again: each miss must sweep "
                 "two of them away");
    query_cache_close(c);
}

TEST(hits_and_misses_add_up, "P13", "11.4") {
    stage s = {0};
    query_cache *c = fresh(&s);
    get(c, "a");
    get(c, "b");
    get(c, "a");
    get(c, "a");
    s.fails = STATUS_INVALID;
    failing(c, "c");
    get(c, "b");
    query_cache_stats got = query_cache_statistics(c);
    want_int(got.hits, 3, "get a, b, a, a, c (fails), b: the hits",
             "what is answered from memory is a hit");
    want_int(got.misses, 3, "the same: the misses", "a, b and c");
    want_int(got.failures, 1, "the same: the failures", "c");
    want_int(got.stale, 0, "the same: the stale", "nothing has changed");
    query_cache_close(c);
}

static void attempt_keep(void *context) {
    struct memory_test *m = context;
    char sql[256]; /* more than any key before it, so it needs room */
    const rows *r = NULL;
    query_cache_stats was = query_cache_statistics(m->cache);
    snprintf(sql, sizeof sql, "a statement of many bytes, number %200zu",
             m->turn++);
    status s = query_cache_get(m->cache, sql, NULL, 0, &r);
    want_true(s == STATUS_OK || s == STATUS_NO_MEMORY,
              "get while an allocation fails",
              "it ends well, or for want of memory");
    m->given += s == STATUS_OK && heap_has_failed();
    if (s == STATUS_OK) {
        want_int(number_in(r, 0), m->stage->queries,
                 "get while an allocation fails, with status ok; its rows",
                 "what cannot be kept can still be given: until the next get");
    }
    query_cache_stats is = query_cache_statistics(m->cache);
    want_int(is.misses - was.misses, 1,
             "get while an allocation fails; count the misses",
             "what is not answered from memory is a miss, also without memory "
             "for a key");
    want_int(is.failures - was.failures, s != STATUS_OK,
             "get while an allocation fails; count the failures",
             "a get that ended without rows is a failure, any other is none");
    size_t before = m->stage->queries;
    want_int(query_of(m->cache, "held"), 1,
             "the same; get what was held before", "what is held stays");
    want_int(m->stage->queries - before, 0,
             "the same; count the queries for what was held before",
             "what is held stays");
}

TEST(without_memory_what_is_held_stays, "P11", "11.4") {
    stage s = {0};
    query_cache *c = fresh(&s);
    query_of(c, "held");
    struct memory_test m = {c, &s, 0, 0};
    size_t failed = heap_fail_each(attempt_keep, &m);
    failed += heap_fail_each(attempt_keep, &m); /* the key has room by now */
    want_true(failed > 0, "get, count allocations", "a result takes memory");
    want_true(m.given > 0,
              text("get %zu times, while another allocation fails each time; "
                   "was one of them ok?",
                   failed),
              "to keep the rows takes memory, too: without it they are given "
              "all the same");
    query_cache_close(c);
}

#define NAME_OF_1 "SELECT name FROM users WHERE id = 1"

static void want_name(query_cache *c, const char *name, const char *did) {
    want_value(value_in(get(c, NAME_OF_1), 0), db_text(bytes_of(name)), did);
}

/* Thirty thousand texts, of which no two are the same: to find that out takes
 * more room than the database has in memory. */
#define LARGE                                                              \
    "WITH RECURSIVE n(i) AS (SELECT CAST($1 AS bigint) UNION ALL "         \
    "SELECT i + 1 FROM n WHERE i < 30000) SELECT count(DISTINCT "          \
    "'a text that is long enough to need a file of its own when there "    \
    "are so many, for it has to be written somewhere and memory is not "   \
    "meant for it: two hundred bytes of padding, more or less, will do. '" \
    " || CAST(i AS text)) FROM n"

/* No file may grow beyond this; 0: as they like. */
static void limit_files(const db *d, bool limited) {
    if (on_postgres()) {
        run(d, limited ? "SET temp_file_limit = '64kB'"
                       : "SET temp_file_limit = -1");
    } else {
        struct rlimit limit;
        signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &limit);
        limit.rlim_cur = limited ? 65536 : limit.rlim_max;
        setrlimit(RLIMIT_FSIZE, &limit);
    }
}

TEST(a_full_disk_is_a_failure_like_any_other, "P6", "11.4") {
    struct place place = make_place();
    db d = connect_to(&place);
    make_users(&d);
    add_user(&d, 1, "Ann");
    query_cache *c = open_with(&d, (query_cache_options){0});
    db_value one = db_int(1);
    const rows *r;
    limit_files(&d, true);
    want_name(c, "Ann", "get a name while the disk is full");
    want_status(query_cache_get(c, LARGE, &one, 1, &r), STATUS_BACKEND,
                "get a query that needs a file, while the disk is full",
                "the database failed, and the statement is right");
    want_true(d.error(d.self)[0] != '\0', "the same; ask for the error",
              "the database has words for it");
    limit_files(&d, false);
    want_value(value_in(get_with(c, LARGE, &one, 1), 0), db_int(30000),
               "the same when there is room again");
    want_name(c, "Ann", "get the name once more");
    query_cache_close(c);
    end_db(&d);
    leave(&place);
}

/* --- 11.5: changes ----------------------------------------------------------
 */

TEST(a_change_is_seen_by_the_next_get, "P8", "11.5") {
    stage s = {.data = 1};
    query_cache *c = fresh(&s);
    data_of(c, "SELECT 1");
    s.data = 2;
    s.token++;
    want_int(data_of(c, "SELECT 1"), 2,
             "get; the database changes, and says so; get",
             "each get must ask for changes before it serves what is held");
    want_int(query_of(c, "SELECT 1"), 2, "then get once more",
             "what was loaded after the change is right");
    want_int(query_cache_statistics(c).stale, 1, "the same: the stale",
             "one result was met that a change had made worthless");
    query_cache_close(c);
}

TEST(any_other_token_is_a_change, "P8", "11.5") {
    static const uint64_t tokens[] = {7,          6,          0, UINT64_MAX,
                                      1ull << 32, 1ull << 63, 5};
    stage s = {.token = 8};
    query_cache *c = fresh(&s);
    data_of(c, "SELECT 1");
    for (size_t i = 0; i < COUNT(tokens); i++) {
        s.token = tokens[i];
        s.data++;
        want_int(data_of(c, "SELECT 1"), s.data,
                 text("get; the token becomes %llu; get",
                      (unsigned long long)tokens[i]),
                 "a token is not larger or smaller, but the same or another");
    }
    query_cache_close(c);
}

TEST(a_change_voids_all_results, "P8", "11.5") {
    stage s = {0};
    query_cache *c = fresh(&s);
    for (size_t i = 0; i < 5; i++) {
        get(c, text("query %zu", i));
    }
    s.token++;
    s.data = 1;
    want_int(data_of(c, "query 0"), 1, "get five queries; a change; get one",
             "it was loaded before the change");
    want_int(data_of(c, "query 0"), 1, "the same once more", "it is right now");
    for (size_t i = 1; i < 5; i++) {
        want_int(data_of(c, text("query %zu", i)), 1,
                 "get five queries; a change; get one, then another",
                 "that the change was noticed once does not make the other "
                 "results right");
    }
    query_cache_close(c);
}

static void change_now(stage *s) {
    s->data++;
    s->token++;
    s->during = NULL;
}

/* The row was read before the change, which comes before the query ends. */
TEST(a_change_during_the_query_is_not_lost, "P8", "11.5") {
    stage s = {.data = 1, .during = change_now};
    query_cache *c = fresh(&s);
    want_int(data_of(c, "SELECT 1"), 1,
             "get; while its query runs, somebody changes the data",
             "the query read what was there before");
    want_int(data_of(c, "SELECT 1"), 2, "the same; get again",
             "the token to note is that of before the query: one that is read "
             "after it hides the change for ever");
    query_cache_close(c);
}

TEST(an_old_result_never_stands_in, "P6", "11.5") {
    stage s = {0};
    query_cache *c = fresh(&s);
    query_of(c, "SELECT 1");
    s.token++;
    s.fails = STATUS_BACKEND;
    want_status(failing(c, "SELECT 1"), STATUS_BACKEND,
                "get; a change; the database fails; get",
                "what is held is wrong, and the database has no other: say so");
    s.fails = STATUS_OK;
    want_int(query_of(c, "SELECT 1"), 3, "the database is back; get",
             "the old result is still from before the change");
    query_cache_close(c);
}

TEST(each_get_asks_for_changes_once, "P9", "11.5") {
    stage s = {0};
    query_cache *c = fresh(&s);
    for (size_t i = 0; i < 10; i++) {
        get(c, i % 2 ? "a" : "b");
    }
    want_int(s.asked, 10,
             "10 gets with a check_ms of 0; count the calls of "
             "db.changes",
             "each get asks once: less is a risk, more is a waste");
    query_cache_close(c);
}

static uint64_t token_of(const db *d) {
    uint64_t token = 0;
    want_status(d->changes(d->self, &token), STATUS_OK,
                "ask the database for changes", "the test's database is gone");
    return token;
}

/* SQLite tells at once. PostgreSQL sends word, which takes a moment. */
static void wait_for_change(const db *d, uint64_t before) {
    for (size_t i = 0; i < 5000 && token_of(d) == before; i++) {
        pause_ms(1);
    }
    want_true(token_of(d) != before, "write through another connection, wait",
              "the database does not tell: this is no fault of the lesson");
}

TEST(a_write_through_another_connection_is_seen, "P8", "11.5") {
    struct place place = make_place();
    db d = connect_to(&place), other = connect_to(&place);
    make_users(&d);
    add_user(&d, 1, "Ann");
    query_cache *c = open_with(&d, (query_cache_options){0});
    want_name(c, "Ann", "insert Ann, get her name");
    uint64_t before = token_of(&d);
    run(&other, "UPDATE users SET name = 'Bob' WHERE id = 1");
    wait_for_change(&d, before);
    want_name(c, "Bob",
              "get Ann's name; another connection changes it to Bob; "
              "get it");
    query_cache_stats stats = query_cache_statistics(c);
    want_name(c, "Bob", "get it once more");
    want_int(query_cache_statistics(c).hits, stats.hits + 1,
             "the same; count the hits",
             "nothing has changed since: this is a hit");
    query_cache_close(c);
    end_db(&other);
    end_db(&d);
    leave(&place);
}

TEST(every_kind_of_write_is_seen, "P8", "11.5") {
    static const char *const writes[] = {
        "INSERT INTO users (id, name) VALUES (1, 'a')",
        "UPDATE users SET name = 'b' WHERE id = 1",
        ("INSERT INTO users (id, name) VALUES (1, 'c') "
         "ON CONFLICT (id) DO UPDATE SET name = excluded.name"),
        "DELETE FROM users WHERE id = 1",
        "INSERT INTO users (id, name) VALUES (1, 'd'), (2, 'e')",
        "DELETE FROM users",
        "INSERT INTO users (id, name) VALUES (1, 'f')"};
    static const char *const names[] = {"a", "b", "c", NULL, "d", NULL, "f"};
    struct place place = make_place();
    db d = connect_to(&place), other = connect_to(&place);
    make_users(&d);
    query_cache *c = open_with(&d, (query_cache_options){0});
    for (size_t i = 0; i < 2 * COUNT(writes); i++) {
        const char *name = names[i % COUNT(writes)];
        const char *sql = writes[i % COUNT(writes)];
        if (i == COUNT(writes)) {
            run(&d, "DELETE FROM users");
        }
        get(c, NAME_OF_1);
        uint64_t before = token_of(&d);
        run(i < COUNT(writes) ? &d : &other, sql);
        wait_for_change(&d, before);
        const rows *r = get(c, NAME_OF_1);
        want_int(rows_count(r), name ? 1 : 0,
                 text("get; %s; get: count the rows", sql),
                 "a write makes what was loaded before it worthless");
        if (name) {
            want_value(value_in(r, 0), db_text(bytes_of(name)),
                       text("get; %s; get", sql));
        }
    }
    query_cache_close(c);
    end_db(&other);
    end_db(&d);
    leave(&place);
}

/* The child's part: waits for a word, writes, says so. It opens the database
 * itself, and its end is no ordinary one: it has a copy of all we have. */
static void be_other_process(const struct place *place, int hear, int say) {
    char word = '-';
    db d;
    test_ends_us();
    alarm(10);
    if (read(hear, &word, 1) == 1) {
        status s = place->address
                       ? db_postgres_open(place->address, TIMEOUT_MS, &d)
                       : db_sqlite_open(place->file, TIMEOUT_MS, &d);
        if (s == STATUS_OK && !place->address) {
            s = d.execute(d.self, "PRAGMA synchronous = OFF", NULL, 0);
        }
        if (s == STATUS_OK
            && d.execute(d.self, "UPDATE users SET name = 'Eve' WHERE id = 1",
                         NULL, 0)
                   == STATUS_OK) {
            word = '+';
        }
        if (write(say, &word, 1) == 1) {
            pause(); /* the parent ends us */
        }
    }
}

TEST(a_write_by_another_process_is_seen, "P8", "11.5") {
    struct place place = make_place();
    int down[2] = {-1, -1}, up[2] = {-1, -1};
    char word = '-';
    want_true(pipe(down) == 0 && pipe(up) == 0, "make two pipes", "no more?");
    pid_t child = fork();
    if (child == 0) {
        crash_ignore();
        be_other_process(&place, down[0], up[1]);
        kill(getpid(), SIGKILL);
    }
    close(up[1]);
    db d = connect_to(&place);
    make_users(&d);
    add_user(&d, 1, "Ann");
    query_cache *c = open_with(&d, (query_cache_options){0});
    want_name(c, "Ann", "insert Ann, get her name");
    uint64_t before = token_of(&d);
    if (write(down[1], "w", 1) != 1 || read(up[0], &word, 1) != 1) {
        word = '-';
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(up[0]), close(down[0]), close(down[1]);
    want_int(word, '+', "another process writes", "it could not");
    wait_for_change(&d, before);
    want_name(c, "Eve",
              "get a name; another process changes it to Eve; get it");
    query_cache_close(c);
    end_db(&d);
    leave(&place);
}

/* --- 11.6: within a bound ----------------------------------------------------
 */

TEST(within_the_bound_nobody_asks, "P9", "11.6") {
    stage s = {.data = 1};
    now_ms = 5;
    query_cache *c = open_on(&s, (query_cache_options){.check_ms = 50});
    data_of(c, "SELECT 1");
    want_int(s.asked, 1,
             "open with a check_ms of 50, get; count the calls of "
             "db.changes",
             "the first get must ask");
    s.data = 2;
    s.token++;
    now_ms += 49;
    want_int(data_of(c, "SELECT 1"), 1, "a change; get 49 ms later",
             "within the bound a change may go unnoticed");
    get(c, "SELECT 2");
    want_int(s.asked, 1, "the same, and a miss; count the calls of db.changes",
             "nobody asks before 50 ms have passed");
    now_ms += 1;
    want_int(data_of(c, "SELECT 1"), 2, "the same; get 1 ms later",
             "50 ms after the database was asked it must be asked again");
    want_int(s.asked, 2, "the same; count the calls of db.changes",
             "once more");
    query_cache_close(c);
}

TEST(the_bound_counts_from_the_last_question, "P9", "11.6") {
    stage s = {0};
    now_ms = 0;
    query_cache *c = open_on(&s, (query_cache_options){.check_ms = 50});
    for (size_t i = 0; i < 20; i++, now_ms += 20) {
        get(c, "SELECT 1"); /* at 0, 20, ... 380 */
    }
    want_int(s.asked, 7,
             "check_ms of 50, a get every 20 ms, 20 times; count "
             "the calls of db.changes",
             "asked at 0, 60, 120, ... 360: a get that does not ask does not "
             "begin the bound anew");
    query_cache_close(c);
}

TEST(the_bound_begins_before_the_answer, "P9", "11.6") {
    stage s = {.data = 1, .slow_ms = 20};
    now_ms = 0;
    query_cache *c = open_on(&s, (query_cache_options){.check_ms = 50});
    get(c, "SELECT 1");
    now_ms = 50;
    get(c, "SELECT 1");
    want_int(s.asked, 2,
             "check_ms of 50; get at 0 ms, when db.changes takes 20 ms to "
             "answer; get at 50 ms; count the calls of db.changes",
             "what changes right after the question is not in the answer, and "
             "may go unnoticed for 50 ms, not for 70");
    query_cache_close(c);
}

TEST(what_is_loaded_within_the_bound_is_voided_too, "P8", "11.6") {
    stage s = {.data = 1};
    now_ms = 0;
    query_cache *c = open_on(&s, (query_cache_options){.check_ms = 50});
    get(c, "SELECT 1");
    now_ms = 30;
    get(c, "SELECT 2");
    s.data = 2;
    s.token++;
    now_ms = 50;
    want_int(data_of(c, "SELECT 1"), 2,
             "get a at 0 ms, b at 30 ms; a change; "
             "get a at 50 ms",
             "the bound is over");
    want_int(data_of(c, "SELECT 2"), 2, "the same; get b",
             "it was loaded before the change, under the token of 0 ms");
    query_cache_close(c);
}

/* --- 11.7: nobody knows
 * ------------------------------------------------------- */

TEST(when_nobody_knows_nothing_held_is_served, "P10", "11.7") {
    stage s = {.data = 1};
    query_cache *c = fresh(&s);
    data_of(c, "SELECT 1");
    s.lost = true;
    s.data = 2;
    want_int(data_of(c, "SELECT 1"), 2,
             "get; the database cannot tell of changes any more; get",
             "the data may have changed: ask for the rows");
    s.data = 3;
    want_int(data_of(c, "SELECT 1"), 3, "the same; get once more",
             "what was loaded meanwhile may be wrong as well");
    want_int(query_cache_statistics(c).stale, 0, "the same; count the stale",
             "what is held may be right or wrong: nobody knows, so it is not "
             "counted");
    query_cache_close(c);
}

TEST(what_was_loaded_meanwhile_is_not_kept, "P10", "11.7") {
    stage s = {.data = 1, .lost = true};
    query_cache *c = fresh(&s);
    data_of(c, "SELECT 1");
    s.data = 2; /* and nobody heard of it */
    s.lost = false;
    want_int(data_of(c, "SELECT 1"), 2,
             "get while the database cannot tell of changes; it can again; get",
             "a change may have come in between, of which no token tells");
    want_int(query_of(c, "SELECT 1"), 2, "the same; get once more",
             "from now on, results are kept again");
    query_cache_close(c);
}

TEST(what_was_held_before_a_loss_never_comes_back, "P10", "11.7") {
    stage s = {.data = 1};
    query_cache *c = fresh(&s);
    data_of(c, "a");
    data_of(c, "b");
    s.lost = true;
    data_of(c, "a");
    s.lost = false;
    s.token++;
    s.data = 2;
    want_int(data_of(c, "a"), 2,
             "get a and b; a loss; get a; the database is back; get a",
             "its token is another one now");
    want_int(data_of(c, "b"), 2, "the same; get b",
             "its token is another one now");
    query_cache_close(c);
}

TEST(a_bound_is_no_reason_to_trust, "P10", "11.7") {
    stage s = {.data = 1};
    now_ms = 0;
    query_cache *c = open_on(&s, (query_cache_options){.check_ms = 50});
    data_of(c, "SELECT 1");
    s.lost = true;
    now_ms = 50;
    s.data = 2;
    want_int(data_of(c, "SELECT 1"), 2,
             "check_ms of 50: get; a loss; get 50 ms "
             "later",
             "the database could not tell");
    s.lost = false;
    s.token++;
    s.data = 3;
    now_ms = 60;
    want_int(data_of(c, "SELECT 1"), 3, "the database is back; get 10 ms later",
             "after a question without an answer, the next get must ask again");
    want_int(query_of(c, "SELECT 1"), 3, "the same; get once more",
             "this one is kept: the database told");
    query_cache_close(c);
}

/* A database that may be gone: PostgreSQL's server is killed; SQLite has none,
 * so there the test plays it. */
struct mortal {
    db real;
    bool gone;
    uint64_t losses;
};

static status mortal_query(void *self, const char *sql,
                           const db_value *parameters, size_t count,
                           const db_sink *sink) {
    struct mortal *m = self;
    return m->gone ? STATUS_BACKEND
                   : m->real.query(m->real.self, sql, parameters, count, sink);
}

static status mortal_changes(void *self, uint64_t *token) {
    struct mortal *m = self;
    status s = m->gone ? STATUS_BACKEND : m->real.changes(m->real.self, token);
    if (s == STATUS_OK) {
        *token += m->losses;
    }
    return s;
}

static db db_of_mortal(struct mortal *m) {
    return (db){.self = m, .query = mortal_query, .changes = mortal_changes};
}

static void take_away(struct mortal *m, postgres *own) {
    if (own) {
        postgres_kill(own);
    } else {
        m->gone = true;
        m->losses += 1000;
    }
}

static void bring_back(struct mortal *m, postgres *own) {
    if (own) {
        postgres_restart(own);
    } else {
        m->gone = false;
    }
}

static void rename_elsewhere(const struct place *place, const char *name) {
    db other = connect_to(place);
    db_value parameter = db_text(bytes_of(name));
    run_with(&other, "UPDATE users SET name = $1 WHERE id = 1", &parameter, 1);
    end_db(&other);
}

TEST(a_killed_server_is_a_clear_failure, "P10", "11.7") {
    postgres *own = on_postgres() ? postgres_start() : NULL;
    struct place place = {0};
    if (own) {
        place.address = (char *)(uintptr_t)postgres_address(own);
    } else {
        place = make_place();
    }
    struct mortal m = {.real = connect_to(&place)};
    db d = db_of_mortal(&m);
    make_users(&m.real);
    add_user(&m.real, 1, "Ann");
    query_cache *c = open_with(&d, (query_cache_options){0});
    want_name(c, "Ann", "insert Ann, get her name");
    take_away(&m, own);
    for (size_t i = 0; i < 2; i++) {
        want_status(failing(c, NAME_OF_1), STATUS_BACKEND,
                    "get a name, kill the server, get it",
                    "nobody knows whether it is still right, and nobody is "
                    "there to ask");
    }
    bring_back(&m, own);
    rename_elsewhere(&place, "Bob");
    want_name(c, "Bob",
              "get Ann's name; kill the server and start it again; "
              "somebody changes the name to Bob; get it");
    want_name(c, "Bob", "the same, once more");
    uint64_t hits = query_cache_statistics(c).hits;
    want_name(c, "Bob", "the same, a third time");
    want_int(query_cache_statistics(c).hits, hits + 1,
             "the same; count the hits",
             "once the database tells of changes again, results are kept "
             "again");
    query_cache_close(c);
    end_db(&m.real);
    if (own) {
        postgres_stop(own);
    } else {
        leave(&place);
    }
}

/* A database that does not answer until it is told to go on: a server's
 * process for this connection is stopped, a file is locked by somebody else. */
struct hung {
    pid_t process;
    sqlite3 *other;
};

static struct hung hang(const struct place *place, query_cache *c) {
    struct hung h = {0};
    if (on_postgres()) {
        const rows *r = get(c, "SELECT pg_backend_pid()");
        h.process = (pid_t)value_in(r, 0).integer;
        kill(h.process, SIGSTOP);
    } else {
        want_true(
            sqlite3_open(place->file, &h.other) == SQLITE_OK
                && sqlite3_exec(h.other, "BEGIN EXCLUSIVE", NULL, NULL, NULL)
                       == SQLITE_OK,
            "lock the file", "this is a fault of the test");
    }
    return h;
}

static void go_on(const struct hung *h) {
    if (h->process) {
        kill(h->process, SIGCONT);
    }
    sqlite3_close(h->other);
}

TEST(a_database_that_hangs_is_a_timeout, "P6", "11.7") {
    enum { SHORT_MS = 200, MUCH_LATER_S = 5 };
    struct place place = make_place();
    db d = connect_for(&place, SHORT_MS);
    if (!on_postgres()) { /* in WAL mode, who reads waits for nobody */
        run(&d, "PRAGMA journal_mode = DELETE");
    }
    make_users(&d);
    add_user(&d, 1, "Ann");
    query_cache *c = open_with(&d, (query_cache_options){0});
    struct hung h = hang(&place, c);
    time_t start = time(NULL);
    status s = failing(c, NAME_OF_1);
    time_t end = time(NULL);
    bool says_why = d.error(d.self)[0] != '\0';
    go_on(&h);
    want_status(s, STATUS_TIMEOUT, "get a name while the database hangs",
                "it gives the failure's own status: hand that on");
    want_at_most(end - start, MUCH_LATER_S, "the same: seconds",
                 "one question, and one timeout: do not ask again");
    want_true(says_why, "the same; ask the database for the error",
              "the database has words for it");
    want_name(c, "Ann", "the same when it goes on");
    query_cache_close(c);
    end_db(&d);
    leave(&place);
}

/* On PostgreSQL, ends the connection of d from another one. SQLite has none,
 * and must see the next write all the same. */
static void cut(const struct place *place, const db *d, query_cache *c) {
    if (!on_postgres()) {
        return;
    }
    db other = connect_to(place);
    const rows *r = get(c, "SELECT pg_backend_pid()");
    db_value pid = value_in(r, 0);
    uint64_t token;
    run_with(&other, "SELECT pg_terminate_backend(CAST($1 AS int))", &pid, 1);
    for (size_t i = 0; i < 5000 && d->changes(d->self, &token) == STATUS_OK;
         i++) {
        pause_ms(1);
    }
    end_db(&other);
}

TEST(a_cut_connection_voids_all, "P10", "11.7") {
    struct place place = make_place();
    db d = connect_to(&place);
    make_users(&d);
    add_user(&d, 1, "Ann");
    query_cache *c = open_with(&d, (query_cache_options){0});
    want_name(c, "Ann", "insert Ann, get her name");
    cut(&place, &d, c);
    rename_elsewhere(&place, "Bob");
    want_name(c, "Bob",
              "get Ann's name; the connection is cut; somebody "
              "changes the name to Bob; get it");
    uint64_t before = 0;
    get(c, NAME_OF_1);
    before = token_of(&d);
    rename_elsewhere(&place, "Eve");
    wait_for_change(&d, before);
    want_name(c, "Eve", "the same, changed again, to Eve; get it");
    query_cache_close(c);
    end_db(&d);
    leave(&place);
}

/* --- any mix
 * --------------------------------------------------------------------- */

enum { MODEL_KEYS = 6, MODEL_TTL = 40, MODEL_CHECK = 7 };

struct beside {
    stage stage;
    query_cache *cache;
    uint64_t token;
    bool told;
    int64_t asked_ms;
    struct {
        bool held;
        uint64_t token;
        int64_t loaded_ms, data;
    } keys[MODEL_KEYS];
};

static void *model_begin(void) {
    struct beside *b = calloc(1, sizeof *b);
    if (!b) {
        abort();
    }
    now_ms = 0;
    b->cache =
        open_on(&b->stage, (query_cache_options){.ttl_ms = MODEL_TTL,
                                                 .check_ms = MODEL_CHECK});
    return b;
}

static bool model_is_held(struct beside *b, unsigned k) {
    if (!b->told || now_ms - b->asked_ms >= MODEL_CHECK) {
        b->told = !b->stage.lost;
        b->token = b->told ? b->stage.token : b->token;
        b->asked_ms = now_ms;
    }
    return b->told && b->keys[k].held && b->keys[k].token == b->token
           && now_ms - b->keys[k].loaded_ms < MODEL_TTL;
}

static const char *model_get(struct beside *b, unsigned k) {
    bool held = model_is_held(b, k);
    size_t before = b->stage.queries;
    const rows *r;
    status s = query_cache_get(
        b->cache, "q", &(db_value){.type = DB_INT, .integer = k}, 1, &r);
    status want = held ? STATUS_OK : b->stage.fails;
    if (s != want) {
        return text("get said %s, not %s", status_name(s), status_name(want));
    }
    if (b->stage.queries - before != !held) {
        return held ? "get asked for what is held" : "get did not ask";
    }
    if (!held && s == STATUS_OK) {
        b->keys[k].held = b->told;
        b->keys[k].token = b->token;
        b->keys[k].loaded_ms = now_ms;
        b->keys[k].data = b->stage.data;
    }
    int64_t data = held ? b->keys[k].data : b->stage.data;
    if (s == STATUS_OK && number_in(r, 1) != data) {
        return "get gave other rows";
    }
    return NULL;
}

static const char *model_apply(void *state, model_step s) {
    struct beside *b = state;
    switch (s.operation) {
    case 0:
        b->stage.data++;
        b->stage.token++;
        return NULL;
    case 1: now_ms += s.value; return NULL;
    case 2:
        b->stage.lost = !b->stage.lost;
        b->stage.token++;
        return NULL;
    case 3:
        b->stage.fails = b->stage.fails ? STATUS_OK : STATUS_BACKEND;
        return NULL;
    default: return model_get(b, s.key);
    }
}

static const char *model_end(void *state) {
    struct beside *b = state;
    const char *why = NULL;
    b->stage.fails = STATUS_OK;
    for (unsigned k = 0; k < MODEL_KEYS && !why; k++) {
        why = model_get(b, k);
    }
    query_cache_close(b->cache);
    free(b);
    return why;
}

static void model_print(FILE *out, model_step s) {
    switch (s.operation) {
    case 0: fputs("a change", out); break;
    case 1: fprintf(out, "%u ms pass", s.value); break;
    case 2:
        fputs("the database stops or begins to tell of changes", out);
        break;
    case 3: fputs("queries begin or cease to fail", out); break;
    default: fprintf(out, "get(\"q\", %u)", s.key);
    }
}

TEST(any_mix_of_calls_agrees_with_a_plain_array, "P8", "11.7") {
    model_check(&(model){.operations = 16,
                         .keys = MODEL_KEYS,
                         .values = 12,
                         .lists = 300,
                         .steps = 150,
                         .begin = model_begin,
                         .apply = model_apply,
                         .end = model_end,
                         .print = model_print});
}
