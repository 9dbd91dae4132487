/* kv: the smallest cache. Text in, text out, in an array that grows.
 *
 *     kv
 *     +---------+      entries (capacity 4)
 *     | entries |----> +-----+-------+      the cache's own copies
 *     | count 2 |      | key | value |----> "key1\0"  "value1\0"
 *     | cap   4 |      | key | value |----> "key2\0"  "value2\0"
 *     +---------+      |  -  |   -   |
 *                      |  -  |   -   |
 *                      +-----+-------+
 *
 * A lookup walks the entries from the front and compares text, so it costs
 * O(n): fine for a dozen entries, and the reason for lesson 2.
 *
 * Source: the association list of Lisp (McCarthy, "Recursive functions of
 * symbolic expressions and their computation by machine, part I", 1960).
 *
 * Promises
 * [P1] After a set, a get of an equal key gives an equal value.
 * [P2] A key that was never set reads as NULL, and reading changes nothing,
 *      not even what an earlier get lent.
 * [P3] A second set of a key replaces its value; the count stays.
 * [P4] The cache keeps its own copies: the caller may overwrite or free what
 *      it passed as soon as set returns, and may pass what a get lent.
 * [P5] Keys are compared as whole texts: not by address, not by prefix.
 * [P6] Any number of entries fit; growing keeps every one of them.
 * [P7] When memory runs out set says so, and all that was there still is.
 * [P8] Destroy gives back every byte, and destroy(NULL) does nothing.
 * [P9] A get looks at each entry at most once and allocates nothing; a count
 *      looks at none. */
#ifndef LESSON_KV_H
#define LESSON_KV_H

#include "common/status.h"

#include <stddef.h>

typedef struct kv kv;

/* Makes an empty cache.
 * Returns: a cache that the caller ends with kv_destroy; NULL without memory.
 * Cost: O(1). */
kv *kv_create(void);

/* Inserts, or replaces the value of a key that is there.
 * key, value: texts that end in a zero byte, not NULL; copied. Any length, the
 * empty text too. They may be texts that this cache lent.
 * Returns: STATUS_OK; STATUS_NO_MEMORY: the cache is as it was before.
 * common/status.h lists the names of all statuses.
 * Cost: O(n) to look for the key; allocations for the copies, and now and then
 * for a larger array. */
status kv_set(kv *cache, const char *key, const char *value);

/* Looks a key up.
 * key: a text, not NULL.
 * Returns: the value, lent by the cache until the next kv_set or kv_destroy;
 * NULL when the key is not there.
 * Cost: O(n), no allocation. */
const char *kv_get(const kv *cache, const char *key);

/* The number of keys in the cache. Cost: O(1). */
size_t kv_count(const kv *cache);

/* Ends the cache and frees all that it holds; NULL is fine. Cost: O(n). */
void kv_destroy(kv *cache);

#endif
