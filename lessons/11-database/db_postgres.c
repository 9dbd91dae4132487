/* db_postgres: a PostgreSQL server behind db.h. Given, for you to read. */
#include "db.h"

#include <limits.h>
#include <poll.h>
#include <postgresql/libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Triggers tell of changes with NOTIFY, and this connection LISTENs. The server
 * sends the news along the same line as the rows, so there is no moment when
 * queries are answered and news are lost: the connection stands or falls with
 * both. */
struct postgres {
    PGconn *line; /* NULL: lost */
    bool dying;   /* the server has said that it will hang up */
    char *address;
    int timeout_ms;
    uint64_t token; /* counts news, own statements, and lost connections */
    char error[256];
};

/* A slow statement is ended by the server, which then says so; only when it
 * does not, we give the line up. */
enum { GRACE_MS = 500 };

/* The types whose binary form we read, by their numbers in pg_type. */
enum {
    BOOL = 16,
    BYTEA = 17,
    NAME = 19,
    INT8 = 20,
    INT2 = 21,
    INT4 = 23,
    TEXT = 25,
    FLOAT4 = 700,
    FLOAT8 = 701,
    BPCHAR = 1042,
    VARCHAR = 1043,
};

#define SET_UP                                                      \
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; "        \
    "SET statement_timeout = %d; SET client_min_messages = error; " \
    "LISTEN query_cache"

#define TELL                                                             \
    "BEGIN READ WRITE; "                                                 \
    "SELECT pg_advisory_xact_lock(hashtext('query_cache')); "            \
    "CREATE OR REPLACE FUNCTION query_cache_tell() RETURNS trigger "     \
    "LANGUAGE plpgsql AS 'BEGIN NOTIFY query_cache; RETURN NULL; END'; " \
    "CREATE OR REPLACE TRIGGER query_cache_tell "                        \
    "AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s "                \
    "FOR EACH STATEMENT EXECUTE FUNCTION query_cache_tell(); COMMIT"

/* -- what went wrong ------------------------------------------------------ */

/* The first line of the server's words. */
static void note_error(struct postgres *p, const char *text) {
    snprintf(p->error, sizeof p->error, "%.*s", (int)strcspn(text, "\n"), text);
}

static status refused(struct postgres *p, const char *why) {
    note_error(p, why);
    return STATUS_INVALID;
}

static bool is_class(const char *state, const char *class) {
    return strncmp(state, class, strlen(class)) == 0;
}

/* SQLSTATE: five characters, of which the first two are a class. */
static status status_of(const char *state) {
    if (strcmp(state, "57014") == 0 || strcmp(state, "55P03") == 0) {
        return STATUS_TIMEOUT; /* statement_timeout, lock_timeout */
    }
    if (strcmp(state, "40P01") == 0) {
        return STATUS_DEADLOCK;
    }
    static const char *const own_faults[] = {"08P01", "0A", "22", "23",
                                             "25",    "42", "54"};
    for (size_t i = 0; i < sizeof own_faults / sizeof own_faults[0]; i++) {
        if (is_class(state, own_faults[i])) {
            return STATUS_INVALID;
        }
    }
    return STATUS_BACKEND;
}

/* -- the line -------------------------------------------------------------- */

/* What was missed from now on is not known, hence a new number. */
static void lose(struct postgres *p) {
    if (p->line) {
        PQfinish(p->line);
        p->line = NULL;
        p->token++;
    }
}

/* What the server says unasked. Of its notices, those of class 57P announce
 * that it hangs up. */
static void hear_notice(void *context, const PGresult *notice) {
    struct postgres *p = context;
    const char *state = PQresultErrorField(notice, PG_DIAG_SQLSTATE);
    p->dying = p->dying || (state && is_class(state, "57P"));
}

static void count_news(struct postgres *p) {
    PGnotify *news;
    while ((news = PQnotifies(p->line))) {
        p->token++;
        PQfreemem(news);
    }
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Sends what is still to be sent, and waits until a result is there.
 * Returns: false when the time is up, or the line is lost. */
static bool wait_for_result(struct postgres *p, int64_t until_ms) {
    int unsent;
    while ((unsent = PQflush(p->line)) > 0 || PQisBusy(p->line)) {
        short events = unsent > 0 ? POLLIN | POLLOUT : POLLIN;
        struct pollfd line = {.fd = PQsocket(p->line), .events = events};
        int64_t left_ms = until_ms - now_ms();
        if (left_ms <= 0 || poll(&line, 1, (int)left_ms) < 0) {
            return false;
        }
        if (line.revents & POLLIN && !PQconsumeInput(p->line)) {
            return false;
        }
    }
    return unsent == 0;
}

/* COPY leaves the line in a state of its own, which never ends by itself. */
static bool is_copy(const PGresult *result) {
    ExecStatusType how = PQresultStatus(result);
    return how == PGRES_COPY_IN || how == PGRES_COPY_OUT
           || how == PGRES_COPY_BOTH;
}

/* Waits for the end of what was sent.
 * out: the last result, which the caller clears; NULL without one.
 * Returns: STATUS_OK; STATUS_TIMEOUT; STATUS_BACKEND: the line is lost. */
static status receive(struct postgres *p, PGresult **out) {
    int64_t until_ms = now_ms() + p->timeout_ms + GRACE_MS;
    PGresult *next;
    *out = NULL;
    do {
        if (!wait_for_result(p, until_ms)) {
            bool late = PQstatus(p->line) == CONNECTION_OK;
            note_error(p, late ? "no answer in time" : PQerrorMessage(p->line));
            PQclear(*out);
            *out = NULL;
            lose(p);
            return late ? STATUS_TIMEOUT : STATUS_BACKEND;
        }
        next = PQgetResult(p->line);
        if (next) {
            PQclear(*out);
            *out = next;
        }
    } while (next && !is_copy(next));
    count_news(p);
    return STATUS_OK;
}

/* Whether a result is a good one; if not, what it is. */
static status judge(struct postgres *p, const PGresult *result) {
    switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK: return STATUS_OK;
    case PGRES_EMPTY_QUERY:
        return refused(p, "give one statement, no more and no less");
    case PGRES_FATAL_ERROR: break;
    default: /* COPY, and what is yet to be invented */
        lose(p);
        return refused(p, "a statement like this does not go through db.h");
    }
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    note_error(p, words ? words : PQerrorMessage(p->line));
    if (PQstatus(p->line) != CONNECTION_OK) {
        lose(p);
    }
    return state ? status_of(state) : STATUS_BACKEND;
}

/* Runs text of our own. */
static status run(struct postgres *p, const char *sql) {
    PGresult *result = NULL;
    PQsendQuery(p->line, sql);
    status done = receive(p, &result);
    if (done == STATUS_OK) {
        done = judge(p, result);
    }
    PQclear(result);
    return done;
}

static status connect_again(struct postgres *p) {
    char seconds[24], sql[256];
    snprintf(seconds, sizeof seconds, "%d", p->timeout_ms / 1000 + 2);
    snprintf(sql, sizeof sql, SET_UP, p->timeout_ms);
    p->dying = false;
    p->line = PQconnectdbParams(
        (const char *[]){"dbname", "client_encoding", "connect_timeout", NULL},
        (const char *[]){p->address, "UTF8", seconds, NULL}, 1);
    if (PQstatus(p->line) != CONNECTION_OK) {
        note_error(p, p->line ? PQerrorMessage(p->line) : "no memory");
        lose(p);
        return STATUS_BACKEND;
    }
    PQsetNoticeReceiver(p->line, hear_notice, p);
    PQsetnonblocking(p->line, 1);
    status done = run(p, sql);
    if (done != STATUS_OK) {
        lose(p);
    }
    return done;
}

static status be_connected(struct postgres *p) {
    return p->line ? STATUS_OK : connect_again(p);
}

/* -- parameters ------------------------------------------------------------ */

/* As libpq wants them: side by side, each kind in an array. */
struct binding {
    Oid types[DB_PARAMETERS_MAX];
    const char *values[DB_PARAMETERS_MAX];
    int lengths[DB_PARAMETERS_MAX];
    int formats[DB_PARAMETERS_MAX];
    char numbers[DB_PARAMETERS_MAX][8];
};

/* On the wire the highest byte comes first. */
static void pack(char *out, uint64_t number) {
    for (int i = 7; i >= 0; i--, number >>= 8) {
        out[i] = (char)(number & 0xff);
    }
}

static void bind_number(struct binding *b, size_t i, Oid type,
                        uint64_t number) {
    pack(b->numbers[i], number);
    b->types[i] = type;
    b->values[i] = b->numbers[i];
    b->lengths[i] = 8;
}

/* An address of NULL would mean the value NULL. */
static void bind_bytes(struct binding *b, size_t i, Oid type, bytes data) {
    b->types[i] = type;
    b->values[i] = data.len > 0 ? data.data : "";
    b->lengths[i] = (int)data.len;
}

static void bind(struct binding *b, size_t i, const db_value *v) {
    uint64_t bits;
    b->types[i] = 0;
    b->values[i] = NULL;
    b->formats[i] = 1; /* binary */
    switch (v->type) {
    case DB_NULL: break;
    case DB_INT: bind_number(b, i, INT8, (uint64_t)v->integer); break;
    case DB_DOUBLE:
        memcpy(&bits, &v->real, sizeof bits);
        bind_number(b, i, FLOAT8, bits);
        break;
    case DB_TEXT: bind_bytes(b, i, TEXT, v->data); break;
    case DB_BLOB: bind_bytes(b, i, BYTEA, v->data); break;
    }
}

/* Runs one statement.
 * out: its result, which the caller clears; on STATUS_OK only. */
static status ask(struct postgres *p, const char *sql,
                  const db_value *parameters, size_t count, PGresult **out) {
    struct binding b;
    if (count > DB_PARAMETERS_MAX) {
        return refused(p, "too many parameters");
    }
    for (size_t i = 0; i < count; i++) {
        if (parameters[i].data.len > INT_MAX) {
            note_error(p, "a parameter is too large");
            return STATUS_TOO_LARGE;
        }
        bind(&b, i, &parameters[i]);
    }
    PQsendQueryParams(p->line, sql, (int)count, b.types, b.values, b.lengths,
                      b.formats, 1);
    status done = receive(p, out);
    if (done == STATUS_OK) {
        done = judge(p, *out);
    }
    if (done != STATUS_OK) {
        PQclear(*out);
    }
    return done;
}

/* -- rows ------------------------------------------------------------------ */

static uint64_t unpack(const char *in, int len) {
    uint64_t number = 0;
    for (int i = 0; i < len; i++) {
        number = number << 8 | (unsigned char)in[i];
    }
    return number;
}

static db_value float_of(const char *in, int len) {
    uint64_t bits = unpack(in, len);
    uint32_t half = (uint32_t)bits;
    float single;
    double whole;
    memcpy(&single, &half, sizeof single);
    memcpy(&whole, &bits, sizeof whole);
    return db_double(len == 4 ? (double)single : whole);
}

/* Out: a value. Returns: whether it has a type that we know. */
static bool decode(Oid type, const char *in, int len, db_value *out) {
    bytes data = {in, (size_t)len};
    switch (type) {
    case BOOL: *out = db_int(in[0]); return true;
    case INT2: *out = db_int((int16_t)unpack(in, len)); return true;
    case INT4: *out = db_int((int32_t)unpack(in, len)); return true;
    case INT8: *out = db_int((int64_t)unpack(in, len)); return true;
    case FLOAT4:
    case FLOAT8: *out = float_of(in, len); return true;
    case BYTEA: *out = db_blob(data); return true;
    case NAME:
    case TEXT:
    case BPCHAR:
    case VARCHAR: *out = db_text(data); return true;
    default: return false;
    }
}

static status give_columns(const PGresult *r, const db_sink *sink) {
    size_t count = (size_t)PQnfields(r);
    bytes *names = calloc(count + 1, sizeof *names);
    if (!names) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = bytes_of(PQfname(r, (int)i));
    }
    status done = sink->columns(sink->context, names, count);
    free(names);
    return done;
}

static status value_of(struct postgres *p, const PGresult *r, int row,
                       int column, db_value *out) {
    *out = db_null();
    if (PQgetisnull(r, row, column)
        || decode(PQftype(r, column), PQgetvalue(r, row, column),
                  PQgetlength(r, row, column), out)) {
        return STATUS_OK;
    }
    snprintf(p->error, sizeof p->error,
             "column %s has a type of PostgreSQL's own: CAST it AS text",
             PQfname(r, column));
    return STATUS_INVALID;
}

static status give_rows(struct postgres *p, const PGresult *r,
                        const db_sink *sink) {
    int count = PQnfields(r);
    db_value *values = calloc((size_t)count + 1, sizeof *values);
    if (!values) {
        return STATUS_NO_MEMORY;
    }
    status done = STATUS_OK;
    for (int row = 0; row < PQntuples(r) && done == STATUS_OK; row++) {
        for (int i = 0; i < count && done == STATUS_OK; i++) {
            done = value_of(p, r, row, i, &values[i]);
        }
        if (done == STATUS_OK) {
            done = sink->row(sink->context, values);
        }
    }
    free(values);
    return done;
}

/* -- the interface --------------------------------------------------------- */

/* What was said first went wrong first. */
static void roll_back(struct postgres *p) {
    char first[sizeof p->error];
    snprintf(first, sizeof first, "%s", p->error);
    if (p->line) {
        run(p, "ROLLBACK");
    }
    note_error(p, first);
}

static status postgres_query(void *self, const char *sql,
                             const db_value *parameters, size_t count,
                             const db_sink *sink) {
    struct postgres *p = self;
    PGresult *result = NULL;
    status done = be_connected(p);
    if (done == STATUS_OK) {
        done = ask(p, sql, parameters, count, &result);
    }
    if (done != STATUS_OK) {
        return done;
    }
    done = give_columns(result, sink);
    if (done == STATUS_OK) {
        done = give_rows(p, result, sink);
    }
    PQclear(result);
    if (PQtransactionStatus(p->line) != PQTRANS_IDLE) {
        done = refused(p, "a query may not begin a transaction");
        roll_back(p);
    }
    return done;
}

static status postgres_execute(void *self, const char *sql,
                               const db_value *parameters, size_t count) {
    struct postgres *p = self;
    PGresult *result;
    status done = be_connected(p);
    if (done != STATUS_OK || (done = run(p, "BEGIN READ WRITE")) != STATUS_OK) {
        return done;
    }
    done = ask(p, sql, parameters, count, &result);
    if (done == STATUS_OK) {
        PQclear(result);
        done = run(p, "COMMIT");
    }
    if (done != STATUS_OK) {
        roll_back(p);
    }
    p->token++; /* also when it failed: who knows how far it got */
    return done;
}

static status postgres_watch(void *self, const char *table) {
    struct postgres *p = self;
    char sql[1024];
    status done = be_connected(p);
    if (done != STATUS_OK) {
        return done;
    }
    char *name = PQescapeIdentifier(p->line, table, strlen(table));
    int len = name ? snprintf(sql, sizeof sql, TELL, name) : -1;
    PQfreemem(name);
    if (len < 0 || len >= (int)sizeof sql) {
        return refused(p, "this is no name of a table");
    }
    done = run(p, sql);
    if (done != STATUS_OK) {
        roll_back(p);
    }
    return done;
}

/* Reads what has arrived, and asks for nothing. */
static status postgres_changes(void *self, uint64_t *token) {
    struct postgres *p = self;
    bool stands = p->line && PQconsumeInput(p->line);
    if (stands) {
        count_news(p); /* and hears notices */
    }
    if (!stands || p->dying) {
        note_error(p, "the connection to the server is lost");
        lose(p);
        return STATUS_BACKEND;
    }
    *token = p->token;
    return STATUS_OK;
}

static const char *postgres_error(void *self) {
    return ((struct postgres *)self)->error;
}

static void postgres_close(void *self) {
    struct postgres *p = self;
    lose(p);
    free(p->address);
    free(p);
}

status db_postgres_open(const char *address, int timeout_ms, db *out) {
    if (timeout_ms <= 0) {
        return STATUS_INVALID;
    }
    struct postgres *p = calloc(1, sizeof *p);
    if (!p) {
        return STATUS_NO_MEMORY;
    }
    p->timeout_ms = timeout_ms;
    p->address = strdup(address);
    status opened = p->address ? connect_again(p) : STATUS_NO_MEMORY;
    if (opened != STATUS_OK) {
        postgres_close(p);
        return opened;
    }
    *out = (db){p,
                postgres_query,
                postgres_execute,
                postgres_watch,
                postgres_changes,
                postgres_error,
                postgres_close};
    return STATUS_OK;
}
