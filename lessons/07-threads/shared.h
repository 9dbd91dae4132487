/* shared: a cache for many threads, in shards that are locked one by one.
 *
 *   hash(key), upper half:  which shard
 *        |
 *        v
 *   +----------+----------+----------+----------+
 *   | shard 0  | shard 1  | shard 2  | shard 3  |    each with a lock
 *   | lru      | lru      | lru      | lru      |    and an lru of its own
 *   | flights  | flights  | flights  | flights  |
 *   +----------+----|-----+----------+----------+
 *                   v
 *              +--------------------+
 *              | flight: "user:17"  |    a load that is running now:
 *              | loaded by thread A |    who loads, and who waits for it
 *              | waiting: B, C, D   |
 *              +--------------------+
 *
 * Two threads meet only when their keys lie in one shard. A lock is held for
 * as long as it takes to find a key and to copy a value, never while a loader
 * runs; no thread ever holds two.
 *
 * A get copies the value out, into the caller's own buffer. A pointer into the
 * cache would be right for as long as nobody else sets, deletes or evicts, and
 * another thread may do so before the pointer is even returned. The buffer
 * comes with its size; a value that does not fit is not cut: the call says how
 * long it is, and the caller asks again. So a hit allocates nothing, and no
 * code of the caller's runs under a lock.
 *
 * Sources: one lock per part of a table is lock striping, as in Java's first
 * ConcurrentHashMap; one load per key is "single flight", as groupcache and
 * Go's x/sync/singleflight have it.
 *
 * Promises
 * [P1] After a set, a get of the same key copies out exactly those bytes. Keys
 *      and values are any bytes of any length; the cache keeps copies.
 * [P2] Any thread may make any call but destroy at any time. A value read is
 *      always one that was set, whole; an update is never lost.
 * [P3] A value that does not fit is not cut and not given in part: the call
 *      says too large and how long the value is.
 * [P4] The cache never holds more than `capacity` entries. Each shard has its
 *      part, and gives up its own least recent entry; with one shard that is
 *      lesson 5's order. Keys are spread evenly over the shards.
 * [P5] What happens in one shard does not hold up another. Every call leaves
 *      every lock open, whichever way it ends.
 * [P6] hits + misses = gets, loading ones too; loads, failures, joins and
 *      evictions are counted exactly, whatever number of threads work.
 * [P7] A hit never calls the loader. A miss calls it once and keeps what it
 *      brings. What fails is not kept, and its status comes back as it is.
 * [P8] A loader may use the cache. While it runs, every other key can be used,
 *      also those of its shard.
 * [P9] Of the threads that miss the same key together one loads; the others
 *      wait, and get what it brought, value or failure, even if the cache does
 *      not hold it any more.
 * [P10] Nobody waits longer than he said, or less long while there is
 *      something to wait for. A jump of the wall clock changes no wait.
 * [P11] A loader that asks the cache for the key that its own thread is loading
 *      into it is told so, at once. Once that key was set or deleted there is
 *      nothing left to wait for, and asking for it is a get like any other.
 * [P12] A set or a delete that comes while a load of its key is running wins:
 *      what that load brings goes to those who waited for it, and is not kept.
 * [P13] A capacity, a number of shards or of milliseconds out of range and a
 *      loader of NULL are refused, and nothing happens.
 * [P14] When memory runs out the call says so, and so does that of everybody
 *      who waited for it; nothing that was there is lost.
 * [P15] Looking a key up costs O(1) expected at any capacity, and a hit
 *      allocates nothing.
 * [P16] Destroy gives back every byte; destroy(NULL) does nothing. */
#ifndef LESSON_SHARED_H
#define LESSON_SHARED_H

#include "common/bytes.h"
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most shards one cache can have. */
#define SHARED_SHARDS_MAX ((size_t)4096)

typedef struct shared shared;

typedef struct shared_stats {
    uint64_t hits;      /* gets, loading ones too, that found their key */
    uint64_t misses;    /* those that did not */
    uint64_t loads;     /* loaders called, */
    uint64_t failures;  /* and those that ended without a value: there was
                           none, or no memory for it */
    uint64_t joins;     /* misses that found another thread's load running */
    uint64_t evictions; /* entries given up for a new one */
    uint64_t entries;   /* entries in the cache now */
} shared_stats;

/* Fetches a value from the source, in the thread that missed it and with no
 * lock held.
 * context: what the caller of shared_get_or_load passed.
 * key: lent for the call.
 * value: out; lent to the cache until shared_get_or_load returns: keep it in
 * the context, not in a local variable.
 * Returns: STATUS_OK, and only then *value is looked at; STATUS_MISS when the
 * source has no such key; any other for a failure. */
typedef status (*shared_load)(void *context, bytes key, bytes *value);

/* Makes an empty cache.
 * capacity: entries in all, at least one per shard, at most LRU_CAPACITY_MAX
 * (lesson 5). Each shard has room for capacity / shards of them; of what is
 * left over, the first shards have one each.
 * shards: 1 to SHARED_SHARDS_MAX; some sixteen per processor let threads meet
 * seldom.
 * seed: start of the hash, as in lesson 2.
 * out: the cache, which the caller ends with shared_destroy.
 * Returns: STATUS_OK; STATUS_INVALID for a number out of range;
 * STATUS_NO_MEMORY. *out is written on STATUS_OK only.
 * Cost: O(capacity). */
status shared_create(size_t capacity, size_t shards, uint64_t seed,
                     shared **out);

/* Inserts, or replaces the value of a key that is there; either way the entry
 * is now the most recent of its shard. A load of this key that is running will
 * not be kept.
 * key, value: any bytes; copied.
 * Returns: STATUS_OK; STATUS_NO_MEMORY: nothing was changed.
 * Cost: O(1) expected and one copy of the value. */
status shared_set(shared *s, bytes key, bytes value);

/* Looks a key up, copies its value out, and makes the entry the most recent of
 * its shard.
 * buffer: out, `size` bytes of the caller's; may be NULL when size is 0.
 * Written on STATUS_OK only.
 * len: out, not NULL; the value's length. Written on STATUS_OK and on
 * STATUS_TOO_LARGE.
 * Returns: STATUS_OK; STATUS_MISS; STATUS_TOO_LARGE: the key is there, but its
 * value has more than `size` bytes. Another thread may set a longer one before
 * the second try, so the retry is a loop.
 * Cost: O(1) expected and one copy of the value; no allocation. */
status shared_get(shared *s, bytes key, void *buffer, size_t size, size_t *len);

/* Removes a key. A load of this key that is running will not be kept.
 * Returns: whether the key was there.
 * Cost: O(1) expected. */
bool shared_delete(shared *s, bytes key);

/* Looks a key up, and after a miss has it loaded: by this thread, or, if one
 * is loading that key already, by that one, for which this thread then waits.
 * load: calls the source; not NULL. Only one of several callers' loaders runs.
 * context: passed to load, never followed.
 * wait_ms: the longest time to wait for another thread's load, 0 or more;
 * INT64_MAX is as good as for ever. The own loader is not hurried by it.
 * buffer, size, len: as shared_get.
 * Returns: STATUS_OK, STATUS_TOO_LARGE: as shared_get, loaded or not;
 * STATUS_INVALID: load is NULL or wait_ms negative, nothing was done;
 * STATUS_TIMEOUT: the other thread's load is still running, and goes on;
 * STATUS_DEADLOCK: this thread itself is loading this key into this cache,
 * further up its stack, and nobody has set or deleted it since;
 * STATUS_NO_MEMORY: nothing was kept; else the loader's own status.
 * Two threads whose loaders wait for each other's keys are not found out: the
 * time ends them. */
status shared_get_or_load(shared *s, bytes key, shared_load load, void *context,
                          int64_t wait_ms, void *buffer, size_t size,
                          size_t *len);

/* What was counted since the cache was made. A call is counted before it
 * waits: a thread in `joins` has its place in the load. Shards are read one
 * after the other, so while threads work the sum is of no single moment.
 * Cost: O(shards). */
shared_stats shared_statistics(shared *s);

/* Ends the cache; NULL is fine. No other call may be running, or come later:
 * join the threads first. Cost: O(capacity). */
void shared_destroy(shared *s);

#endif
