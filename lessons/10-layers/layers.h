/* layers: a small fast cache over a larger slow one, over a source.
 *
 *   get "b"                                                      set "b"
 *      |      holds     what it is            state                 ^
 *      |    +---------+---------------------+-------------------+   |
 *      |  1 | a       | an lru, in memory   | in use            |   | third
 *      |    +---------+---------------------+-------------------+   |
 *      |  2 | a b c   | a Redis server      | out; missed: "b"  |   | second
 *      |    +---------+---------------------+-------------------+   |
 *      v  3 | a b c d | the source of truth | in use            |   | first
 *           +---------+---------------------+-------------------+
 *
 * Each level is a `layer`: a few functions and a context. The hierarchy knows
 * nothing else of it, so a level may be memory, a server or a database, and
 * there may be any number of them. A get walks down to the first level that
 * has the key, and copies what it found to all faster ones: promotion. A level
 * is a cache, which may lose what it likes, or a source, which is right by
 * definition; a source can only be the last.
 *
 * Why changes walk up. Values move by themselves in one direction only: up, by
 * promotion. Say a delete begins at the fast end. Before it gets to the slow
 * one, another program gets the key, finds the dead value there and promotes
 * it into a level that the delete has passed: it is back, for ever. A delete
 * that begins at the slow end leaves nothing below itself that could be
 * promoted. The same holds for a set, whose old value is what must not rise;
 * and if a set ends halfway, the level that keeps the value longest has the
 * new one. So both walk from the slowest level up.
 *
 * Why a level that failed is not trusted. A server that does not answer has
 * not lost its entries. While it is out, changes pass it by; when it is back,
 * it still holds what they replaced. And what timed out may be done all the
 * same, later. So the hierarchy notes the key of each change that a level
 * missed, and deletes these keys from it before it is used again.
 *
 * For one thread at a time. The slower levels may be shared with other
 * programs; that their level 1 does not hear of our changes is the matter of
 * lesson 9.
 *
 * Source: inclusive cache hierarchies as in Baer and Wang, "On the inclusion
 * properties for multi-level cache hierarchies", ISCA 1988; a level that fails
 * is left alone as by the circuit breaker of Nygard, "Release It!", 2007.
 *
 * Promises
 * [P1] A get asks the levels from the fastest to the slowest, and ends with the
 *      first that has the key: its value, and its number. No level below is
 *      asked, and each at most once.
 * [P2] What a slower level had is set on every faster one that is in use, and
 *      on no other: the next get finds it on level 1.
 * [P3] set and delete change every level, the slowest first. A source without
 *      set and del is only ever asked.
 * [P4] Keys and values are any bytes, also none, on every level. The value of a
 *      get is lent until the next call of the hierarchy.
 * [P5] A level made by layer_lru holds at most its capacity, keeps copies, and
 *      gives up the least recent entry when it is full, for a promotion too.
 * [P6] STATUS_MISS says that no level has the key. If one that may have it
 * could not say, the get ends with the failure of that level; a source that
 *      says "no" settles it.
 * [P7] A level that fails is skipped and the others serve. It is then out: left
 *      alone for retry_ms, and tried again by the first call after that which
 *      needs it. Each call tells which level it had to do without.
 * [P8] What a level holds of a change that it missed is never read: before a
 *      level is used again, each key whose change it missed is deleted from
 *      it, or all keys, if it missed more than missed_max. If that fails it
 *      stays out. What it did not miss it keeps.
 * [P9] STATUS_NO_MEMORY, STATUS_TOO_LARGE, STATUS_INVALID and STATUS_STALE are
 *      refusals of one value, not failures of the level: it stays in use. A
 *      cache that refuses a new value does not keep the old one; one that
 *      refuses a delete or a clear has failed.
 * [P10] What the source did not take, no cache holds: the key is deleted from
 *      all of them. A source is never cleared or cleaned.
 * [P11] Each get that comes to a level is one of its hits, misses or failures,
 *      counted exactly: misses and failures of one level are the gets that come
 *      to the next.
 * [P12] No levels (NULL or none), too many, a negative retry_ms, or a level
 *      that lacks a function: create answers STATUS_INVALID and does nothing
 *      else. So does a source above others.
 * [P13] When memory runs out, create says so and the levels stay the caller's.
 *      A level that runs out of it refuses. Without memory to note what a level
 *      missed, it is as if it had missed too much.
 * [P14] A hit on level 1 allocates nothing, and asks nobody for the time.
 * [P15] Destroy ends every level once and gives back every byte; destroy(NULL)
 *      does nothing.
 * [P16] A level made by layer_redis keeps its entries in Redis, where other
 *      programs find them under the same keys, for ttl_ms. */
#ifndef LESSON_LAYERS_H
#define LESSON_LAYERS_H

#include "common/bytes.h"
#include "common/clock.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

/* The most levels of one hierarchy. */
#define LAYERS_MAX ((size_t)8)

/* The defaults of layers_options. */
#define LAYERS_RETRY_MS ((int64_t)1000)
#define LAYERS_MISSED_MAX ((size_t)1000)

/* What a level can do. A cache has all four of get, set, del and clear. A
 * source has no clear, and set and del both or neither. Keys and values are
 * lent for the call. A function that fails gives the status that says why. A
 * call that succeeds must take effect after all that were made before it, also
 * after those that failed.
 * get: STATUS_OK, and in *value what is lent until the next call of this level;
 * STATUS_MISS: not there. Otherwise *value is not written.
 * set: inserts, or replaces; copies what it keeps.
 * del: deletes; STATUS_OK whether the key was there or not: it is not now. A
 * cache that will not delete is of no use: there a refusal is a failure.
 * clear: deletes every key. A refusal is a failure here too.
 * destroy: ends the level; NULL when there is nothing to end.
 * context: passed to each, never followed. */
typedef struct layer {
    status (*get)(void *context, bytes key, bytes *value);
    status (*set)(void *context, bytes key, bytes value);
    status (*del)(void *context, bytes key);
    status (*clear)(void *context);
    void (*destroy)(void *context);
    void *context;
} layer;

typedef struct layers layers;

/* All zero is the default. */
typedef struct layers_options {
    int64_t retry_ms;  /* how long a level that failed is left alone; 0:
                          LAYERS_RETRY_MS */
    size_t missed_max; /* keys to note for each level that is out; 0:
                          LAYERS_MISSED_MAX */
    ms_clock clock;    /* without now_ms: the machine's monotonic clock */
    uint64_t seed;     /* start of the hash, as in lesson 2 */
} layers_options;

/* What became of the gets that came to one level. */
typedef struct layers_stats {
    uint64_t hits;     /* it had the key */
    uint64_t misses;   /* it said that it has not */
    uint64_t failures; /* it failed or refused, or was out and not asked */
} layers_stats;

/* -- levels ---------------------------------------------------------------- */

/* Makes a level in memory: the lru of lesson 5, with values that it copies.
 * capacity: entries, as for lru_create.
 * seed: as for lru_create.
 * out: the level, which the caller or its hierarchy ends by its destroy.
 * Returns: STATUS_OK; STATUS_INVALID for the capacity; STATUS_NO_MEMORY. *out
 * is written on STATUS_OK only.
 * Cost: O(capacity). Of its functions: get and del O(1) expected, without
 * allocation; set O(1) expected besides the copy; clear O(capacity), and it
 * needs memory. */
status layer_lru(size_t capacity, uint64_t seed, layer *out);

/* Makes a level of a Redis server, through the redis_cache of lesson 8. Nobody
 * need be there yet. Its clear empties the whole database of the server
 * (FLUSHDB), so that should be used for nothing else.
 * path: of the server's unix socket, with a '/' in it; copied.
 * timeout_ms: the longest time for each call, 1 or more; clear may take it
 * twice, to connect and to empty.
 * ttl_ms: how long an entry is kept, 1 or more. A level that outlives the
 * program needs this bound: what a program noted as missed ends with it.
 * out: as for layer_lru.
 * Returns: STATUS_OK; STATUS_INVALID: an argument, or the path is NULL or none;
 * STATUS_NO_MEMORY. *out is written on STATUS_OK only. Its get, set and del
 * say what redis_cache says, but a del of what is not there is STATUS_OK; its
 * clear says STATUS_OK if Redis has said so, otherwise STATUS_BACKEND, or
 * STATUS_TIMEOUT if it can tell.
 * Cost: of each of its functions, one round trip; of clear, a connection. */
status layer_redis(const char *path, int timeout_ms, int64_t ttl_ms,
                   layer *out);

/* -- the hierarchy --------------------------------------------------------- */

/* Joins levels to a hierarchy.
 * levels: count of them, the fastest first; the structs are copied. On
 * STATUS_OK they belong to the hierarchy, which ends them.
 * count: 1 to LAYERS_MAX.
 * options: copied; NULL: the default. retry_ms may not be negative.
 * out: the hierarchy, which the caller ends with layers_destroy.
 * Returns: STATUS_OK; STATUS_INVALID, see [P12]; STATUS_NO_MEMORY. *out is
 * written on STATUS_OK only; otherwise the levels are still the caller's. */
status layers_create(const layer *levels, size_t count,
                     const layers_options *options, layers **out);

/* Looks a key up, and promotes what it finds.
 * key: any bytes.
 * value: out, may be NULL; lent until the next call of the hierarchy.
 * level: out, may be NULL; the number of the level that had it, from 1.
 * Returns: STATUS_OK; STATUS_MISS; otherwise the failure of the slowest level
 * that could not say, see [P6]. Both out-parameters are written on STATUS_OK
 * only. A promotion that fails is no failure of the get.
 * Cost: one get of each level down to the one that has it, and one set of each
 * above. For a level that is to be used again, the cleaning. */
status layers_get(layers *l, bytes key, bytes *value, size_t *level);

/* Sets a key on every level.
 * value: any bytes; copied. It may not be one that this hierarchy has lent.
 * Returns: STATUS_OK: every level holds it. Otherwise what the slowest level
 * said that does not: if that is the source, no level holds it, and nothing is
 * known of the source; if it is a cache, all levels hold it that could, and no
 * get will see an older value.
 * Cost: one set of each level, and a delete where it is refused. */
status layers_set(layers *l, bytes key, bytes value);

/* Deletes a key from every level.
 * Returns: STATUS_OK: no level holds it, whether one did or not. Otherwise what
 * the slowest level said that may still hold it; if that is a cache, no get
 * will see the value.
 * Cost: one delete of each level. */
status layers_delete(layers *l, bytes key);

/* The slowest level that failed or refused in the last get, set or delete, or
 * was passed by because it is out; 0: there was none. Cost: O(1). */
size_t layers_failed(const layers *l);

/* What became of the gets that came to a level.
 * level: its number, 1 to the number of levels. Cost: O(1). */
layers_stats layers_statistics(const layers *l, size_t level);

/* Ends the hierarchy and its levels; NULL is fine. */
void layers_destroy(layers *l);

#endif
