/* ttl: a cache whose entries end by themselves, each at its own millisecond.
 *
 *   values: a dict               ends: a dict          heap: soonest on top
 *   +--------------------+      +-------------+       +------+---+
 *   | "menu"  -> value   |      | "menu"  -> -+------>| 5000 | * |
 *   | "logo"  -> value   |      | "offer" -> -+---.   +------+---+
 *   | "offer" -> value   |      +-------------+   `-->| 9000 | * |
 *   +--------------------+                            +------+---+
 *     "logo" never expires,
 *     so it has no end
 *
 * One dict holds the values, another one the ends: a key stands in `ends` only
 * if its time will come. A heap orders the ends by time, so its top answers
 * two questions at once. Is anything due at all? If not, a get is one look
 * into `values` and nothing else. And if so, what goes first?
 *
 * An entry that was set at `stored` for `ttl` milliseconds is valid while
 * now - stored < ttl, and gone at exactly stored + ttl.
 *
 * Source: Redis, which keeps its keys and their times of expiry in two hash
 * tables (src/db.c, src/expire.c); the heap is that of Williams, "Algorithm
 * 232: Heapsort", Communications of the ACM 7(6), 1964.
 *
 * Promises
 * [P1] While it is valid, a get of a key gives the value set last. Keys are
 *      any bytes of any length; the cache keeps its own copy.
 * [P2] From the millisecond stored + ttl on, the entry is a miss: for get, for
 *      remaining and for delete.
 * [P3] A set renews: the new value gets its whole ttl from now on. A get and a
 *      remaining renew nothing.
 * [P4] A set_for gives its entry a ttl of its own; a set gives the default.
 * [P5] An entry set for TTL_NEVER never expires, and no ttl is too large: an
 *      end at or past the clock's last millisecond, INT64_MAX, is never.
 * [P6] A ttl of 0 or less, a jitter of 100 percent or more, and a clock that
 *      cannot be read are refused, and have no effect.
 * [P7] A value is destroyed exactly once: when it is replaced, deleted, found
 *      expired, swept, or when the cache is destroyed.
 * [P8] A get, remaining or delete that meets an expired entry gives its memory
 *      back at once.
 * [P9] A sweep frees at most max entries, all of them expired, and says how
 *      many; if that is fewer than max, no expired entry is left.
 * [P10] A sweep costs O(log n) for each entry that it frees, on average, and
 *      O(1) for nothing, however many entries are still valid. get, set and
 *      delete never walk through the entries either. A hit and a renewal
 *      allocate nothing.
 * [P11] Time is what the clock handed in shows, in milliseconds: nothing else
 *      is asked for the time.
 * [P12] A jitter of p percent shortens each later ttl by a random share of 0
 *      to p percent; never lengthens one, and leaves TTL_NEVER alone. The same
 *      seed and the same calls give the same ends.
 * [P13] When memory runs out, create and set say so and change nothing.
 * [P14] The count is that of the entries held, and destroy gives back every
 *      byte; destroy(NULL) does nothing. */
#ifndef LESSON_TTL_H
#define LESSON_TTL_H

#include "common/bytes.h"
#include "common/clock.h"
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The ttl of an entry that does not expire. */
#define TTL_NEVER INT64_MAX

typedef struct ttl ttl;

/* Makes an empty cache.
 * default_ttl_ms: how long an entry is valid, 1 to TTL_NEVER.
 * clock: asked for the time by every call that needs it. It may stand still
 * and it may leap ahead; it may not go back, as a wall clock does.
 * destroy_value: called once for each value that leaves; NULL when the values
 * need no end of their own. It may not call the cache.
 * seed: start of the hash, as in lesson 2, and of the jitter.
 * out: the cache, which the caller ends with ttl_destroy.
 * Returns: STATUS_OK; STATUS_INVALID: the ttl is 0 or less, or clock.now_ms is
 * NULL; STATUS_NO_MEMORY. *out is written on STATUS_OK only.
 * Cost: O(1). */
status ttl_create(int64_t default_ttl_ms, ms_clock clock,
                  void (*destroy_value)(void *value), uint64_t seed, ttl **out);

/* Shortens the ttl of every later set, by a share drawn anew for each: entries
 * that are set together then do not expire together.
 * percent: the largest share, 0 (no jitter, as after create) to 99. An entry
 * set for d milliseconds is given d - r, where r is a whole number drawn
 * evenly from 0 to d * percent / 100.
 * Returns: STATUS_OK; STATUS_INVALID: percent is 100 or more. Cost: O(1). */
status ttl_jitter(ttl *t, unsigned percent);

/* Inserts, or replaces value and end of a key that is there, for the default
 * ttl.
 * key: any bytes; copied.
 * value: any pointer, NULL too; owned by the cache from now on if there is a
 * destroy_value.
 * Returns: STATUS_OK; STATUS_NO_MEMORY: nothing was changed, and the value is
 * still the caller's.
 * Cost: O(1) expected for the dicts and O(log n) at most for the heap, O(1)
 * where later sets end later; a renewal allocates nothing. */
status ttl_set(ttl *t, bytes key, void *value);

/* The same with a ttl of its own.
 * ttl_ms: 1 to TTL_NEVER.
 * Returns: as ttl_set; STATUS_INVALID: ttl_ms is 0 or less, nothing was
 * changed, and the value is still the caller's. */
status ttl_set_for(ttl *t, bytes key, void *value, int64_t ttl_ms);

/* Looks a key up; frees its entry if that has expired.
 * value: out, may be NULL; lent until the entry is set anew, deleted, swept,
 * or met after its end.
 * Returns: whether the key is there and valid; if not, *value is not written.
 * Cost: O(1) expected, no allocation; O(log n) when it frees the entry. */
bool ttl_get(ttl *t, bytes key, void **value);

/* How long an entry is still valid; frees it if it has expired.
 * remaining_ms: out, not NULL; 1 or more, TTL_NEVER if it does not expire.
 * Returns: whether the key is there and valid; if not, nothing is written.
 * Cost: as ttl_get. */
bool ttl_remaining_ms(ttl *t, bytes key, int64_t *remaining_ms);

/* Removes a key and destroys its value.
 * Returns: whether the key was there and valid. Cost: O(log n) at most. */
bool ttl_delete(ttl *t, bytes key);

/* Frees expired entries that nobody has asked for, in no stated order.
 * max: how many at most; 0 frees none.
 * Returns: how many it freed; fewer than max: no expired entry is left.
 * Cost: O(log n) for each entry freed, O(1) if none is due. */
size_t ttl_sweep(ttl *t, size_t max);

/* The number of entries held, those too that have expired and that neither a
 * call nor a sweep has met yet. Cost: O(1). */
size_t ttl_count(const ttl *t);

/* Ends the cache and destroys all values; NULL is fine. Cost: O(slots). */
void ttl_destroy(ttl *t);

#endif
