/* db_sqlite: a SQLite file behind db.h. Given, for you to read. */
#include "db.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Whoever writes is seen in one of two ways. `PRAGMA data_version` gives
 * another number when another connection, of whatever process, has committed.
 * What this connection does itself goes through execute, which counts. (SQLite
 * also has an update hook. It names table and row, but is silent when a DELETE
 * without WHERE empties a table, when REPLACE removes a row, and for tables
 * WITHOUT ROWID. A cache may not miss any of them.) */
struct sqlite {
    sqlite3 *handle;
    sqlite3_stmt *version; /* PRAGMA data_version */
    int64_t version_seen;
    uint64_t token; /* counts changes of both kinds */
    char error[256];
};

/* -- what went wrong ----------------------------------------------------- */

static status status_of(int code) {
    switch (code & 0xff) { /* the rest says more than a status can */
    case SQLITE_NOMEM: return STATUS_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return STATUS_TIMEOUT;
    case SQLITE_TOOBIG: return STATUS_TOO_LARGE;
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE: return STATUS_INVALID;
    default: return STATUS_BACKEND;
    }
}

/* SQLite's own words. */
static status failed(struct sqlite *s, int code) {
    snprintf(s->error, sizeof s->error, "%s", sqlite3_errmsg(s->handle));
    return status_of(code);
}

static status refused(struct sqlite *s, const char *why) {
    snprintf(s->error, sizeof s->error, "%s", why);
    return STATUS_INVALID;
}

/* -- statements ---------------------------------------------------------- */

/* SQLite takes $1 for a name, and numbers names as they come. */
static int place_of(sqlite3_stmt *statement, size_t i) {
    char name[24];
    snprintf(name, sizeof name, "$%zu", i + 1);
    int place = sqlite3_bind_parameter_index(statement, name);
    return place > 0 ? place : (int)i + 1;
}

/* Where there are no bytes there may be no address, and SQLite would take that
 * for NULL. */
static const void *start_of(bytes b) {
    return b.len > 0 ? b.data : "";
}

static int bind(sqlite3_stmt *statement, int at, const db_value *v) {
    switch (v->type) {
    case DB_NULL: break;
    case DB_INT: return sqlite3_bind_int64(statement, at, v->integer);
    case DB_DOUBLE: return sqlite3_bind_double(statement, at, v->real);
    case DB_TEXT:
        return sqlite3_bind_text64(statement, at, start_of(v->data),
                                   v->data.len, SQLITE_STATIC, SQLITE_UTF8);
    case DB_BLOB:
        return sqlite3_bind_blob64(statement, at, start_of(v->data),
                                   v->data.len, SQLITE_STATIC);
    }
    return sqlite3_bind_null(statement, at);
}

static status bind_all(struct sqlite *s, sqlite3_stmt *statement,
                       const db_value *parameters, size_t count) {
    int wanted = sqlite3_bind_parameter_count(statement);
    if (count > DB_PARAMETERS_MAX || (int)count != wanted) {
        snprintf(s->error, sizeof s->error,
                 "the statement has %d parameters, and %zu were given", wanted,
                 count);
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        int code = bind(statement, place_of(statement, i), &parameters[i]);
        if (code != SQLITE_OK) {
            return failed(s, code);
        }
    }
    return STATUS_OK;
}

/* Whether another statement follows; blanks and comments are none. */
static bool has_statement(struct sqlite *s, const char *sql) {
    sqlite3_stmt *more = NULL;
    bool is_error = sqlite3_prepare_v2(s->handle, sql, -1, &more, NULL);
    sqlite3_finalize(more);
    return is_error || more;
}

/* Out: a statement, bound, that the caller finalizes. */
static status prepare(struct sqlite *s, const char *sql,
                      const db_value *parameters, size_t count,
                      sqlite3_stmt **out) {
    const char *rest;
    int code = sqlite3_prepare_v2(s->handle, sql, -1, out, &rest);
    if (code != SQLITE_OK) {
        return failed(s, code);
    }
    status done = STATUS_OK;
    if (!*out || has_statement(s, rest)) {
        done = refused(s, "give one statement, no more and no less");
    } else {
        done = bind_all(s, *out, parameters, count);
    }
    if (done != STATUS_OK) {
        sqlite3_finalize(*out);
    }
    return done;
}

/* -- rows ----------------------------------------------------------------- */

static db_value value_of(sqlite3_stmt *statement, int column) {
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER: return db_int(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT:
        return db_double(sqlite3_column_double(statement, column));
    case SQLITE_NULL: return db_null();
    case SQLITE_TEXT: {
        const void *text = sqlite3_column_text(statement, column);
        size_t len = (size_t)sqlite3_column_bytes(statement, column);
        return db_text((bytes){text, len});
    }
    default: {
        const void *blob = sqlite3_column_blob(statement, column);
        size_t len = (size_t)sqlite3_column_bytes(statement, column);
        return db_blob((bytes){blob, len});
    }
    }
}

static status give_columns(sqlite3_stmt *statement, const db_sink *sink) {
    int count = sqlite3_column_count(statement);
    bytes *names = calloc((size_t)count + 1, sizeof *names);
    if (!names) {
        return STATUS_NO_MEMORY;
    }
    for (int i = 0; i < count; i++) {
        names[i] = bytes_of(sqlite3_column_name(statement, i));
    }
    status done = sink->columns(sink->context, names, (size_t)count);
    free(names);
    return done;
}

static status give_rows(struct sqlite *s, sqlite3_stmt *statement,
                        const db_sink *sink) {
    int count = sqlite3_column_count(statement);
    db_value *values = calloc((size_t)count + 1, sizeof *values);
    if (!values) {
        return STATUS_NO_MEMORY;
    }
    status done = STATUS_OK;
    int code = SQLITE_DONE;
    while (done == STATUS_OK
           && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < count; i++) {
            values[i] = value_of(statement, i);
        }
        done = sink->row(sink->context, values);
    }
    if (done == STATUS_OK && code != SQLITE_DONE) {
        done = failed(s, code);
    }
    free(values);
    return done;
}

/* -- the interface -------------------------------------------------------- */

/* What a statement has begun ends with it. */
static status end_transaction(struct sqlite *s, status done) {
    if (sqlite3_get_autocommit(s->handle)) {
        return done;
    }
    sqlite3_exec(s->handle, "ROLLBACK", NULL, NULL, NULL);
    return refused(s, "each statement is a transaction of its own");
}

static status sqlite_query(void *self, const char *sql,
                           const db_value *parameters, size_t count,
                           const db_sink *sink) {
    struct sqlite *s = self;
    sqlite3_stmt *statement;
    status done = prepare(s, sql, parameters, count, &statement);
    if (done != STATUS_OK) {
        return done;
    }
    if (!sqlite3_stmt_readonly(statement)) {
        done = refused(s, "a query may not write: use execute");
    } else {
        done = give_columns(statement, sink);
    }
    if (done == STATUS_OK) {
        done = give_rows(s, statement, sink);
    }
    sqlite3_finalize(statement);
    return end_transaction(s, done);
}

static status sqlite_execute(void *self, const char *sql,
                             const db_value *parameters, size_t count) {
    struct sqlite *s = self;
    sqlite3_stmt *statement;
    status done = prepare(s, sql, parameters, count, &statement);
    if (done != STATUS_OK) {
        return done;
    }
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    }
    if (code != SQLITE_DONE) {
        done = failed(s, code);
    }
    sqlite3_finalize(statement);
    s->token++; /* also when it failed: who knows how far it got */
    return end_transaction(s, done);
}

static status sqlite_watch(void *self, const char *table) {
    (void)self;
    (void)table;
    return STATUS_OK;
}

static status sqlite_changes(void *self, uint64_t *token) {
    struct sqlite *s = self;
    int code = sqlite3_step(s->version);
    if (code != SQLITE_ROW) {
        sqlite3_reset(s->version);
        failed(s, code);
        s->version_seen = -1; /* so what comes next is a change */
        return STATUS_BACKEND;
    }
    int64_t version = sqlite3_column_int64(s->version, 0);
    sqlite3_reset(s->version);
    if (version != s->version_seen) {
        s->version_seen = version;
        s->token++;
    }
    *token = s->token;
    return STATUS_OK;
}

static const char *sqlite_error(void *self) {
    return ((struct sqlite *)self)->error;
}

static void sqlite_close(void *self) {
    struct sqlite *s = self;
    sqlite3_finalize(s->version);
    sqlite3_close(s->handle);
    free(s);
}

/* In WAL mode, readers and a writer do not wait for each other, and asking for
 * the data version takes half the time. A file keeps its mode; where the mode
 * cannot be had, all works without it. */
static status set_up(struct sqlite *s, const char *path, int timeout_ms) {
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &s->handle, flags, NULL);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(s->handle, timeout_ms);
        sqlite3_exec(s->handle, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        code = sqlite3_prepare_v2(s->handle, "PRAGMA data_version", -1,
                                  &s->version, NULL);
    }
    return code == SQLITE_OK      ? STATUS_OK
           : code == SQLITE_NOMEM ? STATUS_NO_MEMORY
                                  : STATUS_BACKEND;
}

status db_sqlite_open(const char *path, int timeout_ms, db *out) {
    if (timeout_ms <= 0) {
        return STATUS_INVALID;
    }
    struct sqlite *s = calloc(1, sizeof *s);
    if (!s) {
        return STATUS_NO_MEMORY;
    }
    status opened = set_up(s, path, timeout_ms);
    if (opened != STATUS_OK) {
        sqlite_close(s);
        return opened;
    }
    *out = (db){s,
                sqlite_query,
                sqlite_execute,
                sqlite_watch,
                sqlite_changes,
                sqlite_error,
                sqlite_close};
    return STATUS_OK;
}
