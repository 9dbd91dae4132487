/* query_cache: answers of a database, kept for as long as they are right.
 *
 *   "SELECT name FROM users WHERE id = $1", 7
 *        |
 *        v key: every part with its type and length
 *   t 36 SELECT name FROM users WHERE id = $1 | i 7
 *        |
 *        v ttl (lesson 4)            rows: one run of bytes, no pointers
 *   +---------+----------+          +--------+------------+---------+--------+
 *   |  key    |  rows  --+--------> | names  | row, value | row,    | row,   |
 *   +---------+----------+          | t4name | t3 Bob     | null    | t0     |
 *   |  key    |  rows  --+---.      +--------+------------+---------+--------+
 *   +---------+----------+   |        token 41: loaded before change 42
 *                            v
 *            db.changes -> 42: so these rows count no more
 *
 * A get first asks the database whether anything has changed, which costs far
 * less than a query: the answer is a number, the token. Each result notes the
 * token that held before its query ran. Once the token is another one, none of
 * the results held is served; none is visited either. That is coarse (a change
 * of one table voids the results of all), and it is never wrong.
 *
 * Source: MySQL's query cache (4.0 to 5.7), which held the bytes of a statement
 * against the bytes of its answer; PRAGMA data_version of SQLite; LISTEN and
 * NOTIFY of PostgreSQL.
 *
 * Promises
 * [P1] A get gives the names and rows that the database gave for this statement
 *      with these parameters, in their order.
 * [P2] Every value comes back as the database gave it: NULL, integers of 64
 *      bits, doubles bit for bit, text and blobs of any bytes. NULL, an empty
 *      text and an empty blob are three things. No rows are a result, and so
 *      are rows without columns.
 * [P3] The database is handed the caller's statement, byte for byte, and the
 *      parameters beside it: no parameter ever becomes part of the SQL.
 * [P4] A get of what is held asks for no rows, also if none were found. It
 *      allocates nothing, and takes the same few steps for a large result as
 *      for a small one.
 * [P5] Two gets share a result only if their statements are the same bytes, and
 *      their parameters the same in number, types and bits.
 * [P6] When the query fails, its status is handed on and nothing is given: not
 *      the rows that came before the failure, and no older result. A failure is
 *      not kept.
 * [P7] A result is held for ttl_ms from the end of its query, and not longer.
 * [P8] A get serves no result of before a change that the database has told of,
 *      whoever made it; also when the change came while the query ran.
 * [P9] The database is asked for changes by the first get, and by each later
 *      one, but not within check_ms of when it was asked last: a question that
 *      failed is asked again by the next get.
 * [P10] As long as the database cannot tell of changes, nothing that is held is
 *      served, nothing is kept, every get asks again, and the rows come from
 *      the database.
 * [P11] When memory runs out, a get says so, and what is held stays. A result
 *      for which there is memory, but none to keep it, is given and not kept.
 * [P12] A result that is no longer right is freed when its query comes again.
 *      One that has expired need not be asked for: each load frees up to two.
 * [P13] hits + misses = gets. Failures and stale are among the misses.
 * [P14] Options are checked, and what is wrong has no effect. Close gives back
 *      every byte, and leaves the database open; close(NULL) does nothing. */
#ifndef LESSON_QUERY_CACHE_H
#define LESSON_QUERY_CACHE_H

#include "common/bytes.h"
#include "common/clock.h"
#include "common/status.h"
#include "db.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct query_cache query_cache;

typedef struct query_cache_options {
    int64_t ttl_ms;   /* how long a result is held; 0: 10,000 */
    int64_t check_ms; /* how long changes may go unnoticed; 0: not at all */
    ms_clock clock;   /* without now_ms: the machine's monotonic clock */
    uint64_t seed;    /* start of the hash, as in lesson 2 */
} query_cache_options;

typedef struct query_cache_stats {
    uint64_t hits;     /* gets answered from memory */
    uint64_t misses;   /* all others */
    uint64_t stale;    /* misses that met a result of before a change; none is
                          counted while the database cannot tell */
    uint64_t failures; /* misses that ended without rows */
} query_cache_stats;

/* -- results ------------------------------------------------------------ */

typedef struct rows rows;

/* The number of rows, and that of columns. Cost: O(1). */
size_t rows_count(const rows *r);
size_t rows_columns(const rows *r);

/* The name of a column, lent as the rows are.
 * column: less than rows_columns. Cost: O(columns). */
bytes rows_name(const rows *r, size_t column);

/* Steps through the rows:
 *
 *     size_t cursor = 0;
 *     db_value user[2];
 *     while (rows_next(r, &cursor, user, 2)) { ... }
 *
 * cursor: in and out; 0 starts. Several may be under way at once.
 * values: out; what they point to is lent as the rows are.
 * count: how many there is room for; rows_columns or more.
 * Returns: whether there was another row; if not, nothing is written.
 * Cost: O(columns), no allocation. */
bool rows_next(const rows *r, size_t *cursor, db_value *values, size_t count);

/* -- the cache ---------------------------------------------------------- */

/* Opens an empty cache in front of a database.
 * source: copied; what it stands for is borrowed until query_cache_close.
 * options: copied; NULL: the default. No time may be negative.
 * out: the cache, which the caller ends with query_cache_close.
 * Returns: STATUS_OK; STATUS_INVALID; STATUS_NO_MEMORY. *out is written on
 * STATUS_OK only.
 * Cost: O(1). */
status query_cache_open(const db *source, const query_cache_options *options,
                        query_cache **out);

/* The rows of a query, from memory or from the database.
 * sql: one statement that only reads, with $1, $2, ... for the parameters;
 * copied. What gives another answer each time (random(), the time) does not
 * belong into a cache.
 * parameters, count: lent for the call; they may not lie in rows that this
 * cache has lent. NULL for none.
 * out: the rows, lent until the next call that takes the cache without const.
 * Returns: STATUS_OK; STATUS_NO_MEMORY; otherwise the query's own failure, and
 * the database's `error` says more. *out is written on STATUS_OK only.
 * Cost: a hit O(bytes of sql and parameters), one call of db.changes, and one
 * look at the clock or two; a miss besides that the query, and O(bytes of the
 * result). */
status query_cache_get(query_cache *c, const char *sql,
                       const db_value *parameters, size_t count,
                       const rows **out);

/* What has been counted since open. Cost: O(1). */
query_cache_stats query_cache_statistics(const query_cache *c);

/* Ends the cache and frees all results; NULL is fine. Cost: O(results). */
void query_cache_close(query_cache *c);

#endif
