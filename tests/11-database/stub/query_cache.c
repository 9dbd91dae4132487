/* query_cache: results as runs of bytes, in a ttl cache, each with the token
 * of its load. */
#include "query_cache.h"

#include "common/todo.h"
#include "ttl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TTL_MS = 10000, SWEPT = 2, FIRST_ROOM = 64 };

/* Bytes that grow. */
struct buffer {
    unsigned char *data;
    size_t used;
    size_t room;
};

struct rows {
    uint64_t token; /* that of the database before the query ran */
    size_t columns;
    size_t count;
    size_t first;         /* where the names end and the rows begin */
    struct buffer buffer; /* the names as values, then row by row */
};

struct query_cache {
    db db;
    ttl *kept;         /* key to struct rows */
    rows *loose;       /* what was given last and not kept */
    struct buffer key; /* of the get under way; its room stays */
    ms_clock clock;
    int64_t check_ms;
    int64_t asked_ms; /* when the database was last asked for changes */
    uint64_t token;   /* what it said */
    bool told;        /* it did say something */
    query_cache_stats stats;
};

/* -- results --------------------------------------------------------------- */

size_t rows_count(const rows *r) {
    TODO("11.2: how many rows there are");
}

size_t rows_columns(const rows *r) {
    TODO("11.2: how many columns there are");
}

bytes rows_name(const rows *r, size_t column) {
    TODO("11.3: the name of one column");
}

bool rows_next(const rows *r, size_t *cursor, db_value *values, size_t count) {
    TODO("11.3: the next row, and where it ends");
}

/* -- the cache ------------------------------------------------------------- */

status query_cache_open(const db *source, const query_cache_options *options,
                        query_cache **out) {
    TODO("11.1: check the options, make the cache and its ttl");
}

status query_cache_get(query_cache *c, const char *sql,
                       const db_value *parameters, size_t count,
                       const rows **out) {
    TODO("11.2: ask the database, gather its rows");
}

query_cache_stats query_cache_statistics(const query_cache *c) {
    TODO("11.1: what has been counted");
}

void query_cache_close(query_cache *c) {
    TODO("11.1: free the results and the cache");
}
