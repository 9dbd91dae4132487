/* lru: a bounded cache that gives up what was not asked for the longest.
 *
 *   buckets                     nodes (one array, allocated once)
 *   +---+                       +--------------------------------------+
 *   | - |                       | 0: the ring's head  newer 2  older 3 |
 *   | 1 |--.                    +--------------------------------------+
 *   | - |  `------------------->| 1: "a"  next 2      newer 3  older 2 |
 *   | 3 |--.      chain: 1, 2   +--------------------------------------+
 *   +---+  |                    | 2: "b"  next -      newer 1  older 0 |
 *          |                    +--------------------------------------+
 *          `------------------->| 3: "c"  next -      newer 0  older 1 |
 *                               +--------------------------------------+
 *
 *   by age:   0 head --> 3 "c" --> 1 "a" --> 2 "b" --> 0 head
 *                        newest              oldest
 *
 * Each node stands in two lists at once: the chain of its bucket, which finds
 * it by key, and the ring by age, where the oldest is the next to go. Both are
 * linked by the node's number in the array, 4 bytes where a pointer takes 8.
 * Node 0 holds no entry: it joins the ring's two ends, so that no node of the
 * ring is ever without neighbours, and as `next` it means "nothing follows".
 *
 * Source: the LRU stack of Mattson, Gecsei, Slutz and Traiger, "Evaluation
 * techniques for storage hierarchies", IBM Systems Journal 9(2), 1970.
 *
 * Promises
 * [P1] After a set, a get of the same key gives that value. Keys are any bytes
 *      of any length; the cache keeps its own copy.
 * [P2] A get makes its entry the most recent; so does a set, of a new key and
 *      of one that is there. A peek and a miss change nothing.
 * [P3] A set of a new key in a full cache evicts exactly one entry, the least
 *      recent. Nothing else evicts: not an update, not a get.
 * [P4] The cache holds at most `capacity` entries, and that many; 1 works.
 * [P5] A capacity of 0, or beyond LRU_CAPACITY_MAX, is refused.
 * [P6] A delete removes the entry, and the order of the others stays.
 * [P7] The eviction callback sees every evicted pair once, while key and value
 *      are still whole; a value is destroyed once when it leaves the cache.
 * [P8] Any value may be stored, also one that looks like "missing".
 * [P9] get, peek, set and delete cost O(1) expected at any capacity, also when
 *      strangers who do not know the seed choose the keys. A hit and an update
 *      allocate nothing.
 * [P10] When memory runs out, create and set say so and change nothing: no
 *      entry is lost, none is evicted, and the order stays.
 * [P11] hits + misses = gets, and evictions are counted exactly.
 * [P12] Destroy destroys every value once and gives back every byte;
 *      destroy(NULL) does nothing.
 * [P13] A get that is given the hash is the same get. The hash depends on the
 *      seed and on every byte of the key, and spreads keys over all its 64
 *      bits. */
#ifndef LESSON_LRU_H
#define LESSON_LRU_H

#include "common/bytes.h"
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most entries one cache can hold. */
#define LRU_CAPACITY_MAX ((size_t)1 << 30)

typedef struct lru lru;

typedef struct lru_stats {
    uint64_t hits;      /* gets that found their key */
    uint64_t misses;    /* gets that did not */
    uint64_t evictions; /* entries given up for a new one */
} lru_stats;

/* Makes an empty cache.
 * capacity: entries, 1 to LRU_CAPACITY_MAX.
 * destroy_value: called once for each value that leaves by eviction, update,
 * delete or destroy; NULL when the values need no end of their own. It may
 * not call the cache.
 * seed: start of the hash, as in lesson 2.
 * out: the cache, which the caller ends with lru_destroy.
 * Returns: STATUS_OK; STATUS_INVALID for the capacity; STATUS_NO_MEMORY. *out
 * is written on STATUS_OK only.
 * Cost: O(capacity). The layout above takes the memory for all entries now:
 * 48 bytes for each node and 4 to 8 for its share of the buckets. */
status lru_create(size_t capacity, void (*destroy_value)(void *value),
                  uint64_t seed, lru **out);

/* Calls `evicted` for each pair that the policy gives up from now on: after
 * it was chosen, before its value is destroyed. Not for updates, deletes and
 * destroy.
 * evicted: NULL for none; key and value are lent for the call. It may not call
 * the cache.
 * context: passed on, never followed. */
void lru_on_evict(lru *l,
                  void (*evicted)(void *context, bytes key, void *value),
                  void *context);

/* The hash by which a cache of this seed finds a key, for callers who need it
 * before they know in which cache to look: lesson 7 chooses one of many by it.
 * They choose by the upper half, as a cache finds its bucket by the lower.
 * Returns: 64 bits, each of them as likely 0 as 1.
 * Cost: O(length of the key), no allocation. */
uint64_t lru_hash(bytes key, uint64_t seed);

/* Inserts, or replaces the value of a key that is there; either way the entry
 * is now the most recent.
 * key: any bytes; copied.
 * value: any pointer, NULL too; owned by the cache from now on if there is a
 * destroy_value.
 * Returns: STATUS_OK; STATUS_NO_MEMORY: nothing was changed, and the value is
 * still the caller's.
 * Cost: O(1) expected. An update allocates nothing; in the layout above a new
 * key does so only if it has more than 16 bytes. */
status lru_set(lru *l, bytes key, void *value);

/* Looks a key up and makes its entry the most recent.
 * value: out, may be NULL; lent until the next set, delete or destroy.
 * Returns: whether the key is there; if not, *value is not written.
 * Cost: O(1) expected, no allocation. */
bool lru_get(lru *l, bytes key, void **value);

/* As lru_get, for callers who have the hash already: it is not computed again.
 * hash: lru_hash of this key and the seed that the cache was made with. With
 * any other the key may seem to be missing.
 * value, returns, cost: as lru_get. */
bool lru_get_hashed(lru *l, bytes key, uint64_t hash, void **value);

/* Looks a key up and leaves order and statistics as they are.
 * value, returns, cost: as lru_get. */
bool lru_peek(const lru *l, bytes key, void **value);

/* Removes a key and destroys its value.
 * Returns: whether the key was there.
 * Cost: O(1) expected, no allocation. */
bool lru_delete(lru *l, bytes key);

/* The number of entries. Cost: O(1). */
size_t lru_count(const lru *l);

/* What the cache has counted since it was made. Cost: O(1). */
lru_stats lru_statistics(const lru *l);

/* Ends the cache and destroys all values; NULL is fine. Cost: O(capacity). */
void lru_destroy(lru *l);

#endif
