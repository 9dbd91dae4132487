/* db: a database, whichever it is. Given to you ready-made, with two back
 * ends: db_sqlite.c for a file, db_postgres.c for a server.
 *
 *   your program --> db { self, query, execute, watch, changes, ... }
 *                          |
 *             .------------+-------------.
 *             v                          v
 *      struct sqlite (a file)    struct postgres (a connection)
 *
 * A struct of function pointers is how C writes an interface. Whoever holds
 * one calls d.query(d.self, ...) and need not know what stands behind it; a
 * test puts something there that counts the calls, or fails on purpose.
 *
 * A db serves one thread at a time.
 *
 * SQL is written so that both understand it: parameters are $1, $2, ..., and a
 * type that only one of them knows is given with CAST.
 *
 * Whatever is not STATUS_OK is one of
 *   STATUS_INVALID    the statement's own fault: syntax, no such table, a
 *                     parameter missing, a value that does not fit
 *   STATUS_BACKEND    the database failed: disk full, server gone
 *   STATUS_TIMEOUT    no answer in time, or others hold a lock
 *   STATUS_DEADLOCK   it and others wait for each other, and it must give way
 *   STATUS_TOO_LARGE  a value beyond what the database can hold
 *   STATUS_NO_MEMORY
 * and `error` then says more. */
#ifndef LESSON_DB_H
#define LESSON_DB_H

#include "common/bytes.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

/* -- values ------------------------------------------------------------- */

typedef enum db_type { DB_NULL, DB_INT, DB_DOUBLE, DB_TEXT, DB_BLOB } db_type;

/* One value of a row, or one parameter. Only what the type names means
 * anything. */
typedef struct db_value {
    db_type type;
    int64_t integer; /* DB_INT */
    double real;     /* DB_DOUBLE */
    bytes data;      /* DB_TEXT, in UTF-8, and DB_BLOB; borrowed */
} db_value;

static inline db_value db_null(void) {
    return (db_value){.type = DB_NULL};
}

static inline db_value db_int(int64_t integer) {
    return (db_value){.type = DB_INT, .integer = integer};
}

static inline db_value db_double(double real) {
    return (db_value){.type = DB_DOUBLE, .real = real};
}

static inline db_value db_text(bytes text) {
    return (db_value){.type = DB_TEXT, .data = text};
}

static inline db_value db_blob(bytes blob) {
    return (db_value){.type = DB_BLOB, .data = blob};
}

/* -- what receives the rows ---------------------------------------------- */

/* The database calls `columns` once, then `row` once for each row. All that
 * they are given is lent for that call; they may not call the database.
 * count: of the columns, perhaps 0; every row has as many values.
 * Returns: STATUS_OK to go on; anything else ends the query, with that. */
typedef struct db_sink {
    status (*columns)(void *context, const bytes *names, size_t count);
    status (*row)(void *context, const db_value *values);
    void *context;
} db_sink;

/* -- the interface ------------------------------------------------------- */

enum { DB_PARAMETERS_MAX = 256 };

typedef struct db {
    void *self; /* passed to each function, never followed */

    /* Runs one statement that only reads; one that writes is refused. A query
     * may fail when some rows have come already.
     * sql: the statement. parameters: for $1, $2, ..., bound with their types
     * and never made part of the text; lent for the call.
     * sink: gets the rows. */
    status (*query)(void *self, const char *sql, const db_value *parameters,
                    size_t count, const db_sink *sink);

    /* Runs one statement, in a transaction of its own. Rows are not shown. */
    status (*execute)(void *self, const char *sql, const db_value *parameters,
                      size_t count);

    /* Lets `changes` take in the rows of a table. SQLite needs no telling: it
     * watches all tables at all times. PostgreSQL gets a trigger, for good,
     * and notices nothing in tables without one. */
    status (*watch)(void *self, const char *table);

    /* Says whether something may have changed since an earlier call, by anyone,
     * in this process or in another. Costs a system call or a few, and asks no
     * server anything.
     * token: out, written on STATUS_OK only. The same number as before: nothing
     * has changed, as far as the database has told. Any other number: something
     * may have.
     * Returns: STATUS_OK; STATUS_BACKEND: nobody knows, for the database or the
     * connection to it is gone. Once there is one again, the number is a new
     * one, for changes may have been missed. */
    status (*changes)(void *self, uint64_t *token);

    /* What went wrong last, in one line; "" if nothing has. Lent until the next
     * call. */
    const char *(*error)(void *self);

    /* Ends the database's connection and frees all. */
    void (*close)(void *self);
} db;

/* Opens a SQLite database.
 * path: of the file, which is made if there is none.
 * timeout_ms: how long to wait for the locks of others; more than 0.
 * out: the caller ends it with out->close(out->self).
 * Returns: STATUS_OK; STATUS_INVALID: the timeout; STATUS_BACKEND: the file
 * cannot be opened; STATUS_NO_MEMORY. *out is written on STATUS_OK only. */
status db_sqlite_open(const char *path, int timeout_ms, db *out);

/* Opens a PostgreSQL database. When the connection is lost, later queries
 * connect again.
 * address: such as "host=/run/postgresql dbname=shop user=me"; copied.
 * timeout_ms: how long to wait for an answer; more than 0. A server that hangs
 * costs half a second more, and to connect may take two.
 * Returns: as above; STATUS_BACKEND: no server answers, or it refuses. */
status db_postgres_open(const char *address, int timeout_ms, db *out);

#endif
