/* cache: the production cache, with all that the lessons before have taught.
 *
 *   hash(key), upper half: which shard;  lower half: the tag, and its home
 *        |
 *        v
 *   shard: a lock, counters, loads that are running, and in one block of memory
 *
 *   index   | tag, where | empty | tag, where | ...       8 bytes a slot, at
 *                  |                      |               most 3/4 in use
 *               .--'                      `--------.
 *               v                                  v
 *   ring    | C | D |         free         | A | x | B | unused |
 *           '-------'----------------------'-----------'--------'
 *                   ^ head: written here   ^ tail: the oldest
 *
 *   entry   | ends, cost | value length, key length, hit? | key | value | pad |
 *             8 bytes      8 bytes                              to 8 bytes
 *
 * A set writes its entry at the head of the ring. When the head meets the
 * tail, the oldest entry makes room: it is dropped, unless it was hit since it
 * was written; then it moves to the head and has a second chance. What was
 * deleted or replaced (x) stays where it is until the tail comes by. So nothing
 * is ever allocated or freed for an entry, and all memory is of one block that
 * is asked for once, when the cache is made.
 *
 * Sources: the ring that is a log is that of Rosenblum and Ousterhout, "The
 * Design and Implementation of a Log-Structured File System", SOSP 1991, and
 * Rumble et al., "Log-structured Memory for DRAM-based Storage", FAST 2014; the
 * second chance is Corbató, "A Paging Experiment with the Multics System",
 * 1968. The early refresh is XFetch of Vattani, Chierichetti and Lowenstein,
 * "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015.
 *
 * Promises
 * [P1] After a set, a get of the same key copies out exactly those bytes, until
 *      the entry is replaced, deleted, evicted or expired. Keys are any bytes
 *      up to CACHE_KEY_MAX, values any bytes; the cache keeps copies. A value
 *      that does not fit into the buffer is not cut: the call says how long.
 * [P2] Any thread may make any call but destroy at any time; a value read is
 *      always one that was set, whole. What happens in one shard does not hold
 *      up another, and no way out of a call leaves a lock locked. A cache for
 *      one thread takes no lock at all.
 * [P3] The cache holds no more than budget_bytes, all counted: entries, index,
 *      locks, counters, free room. Besides that there are what malloc needs
 *      for a block (CACHE_BEYOND_BYTES), and while loads run, their values.
 *      No call but create, a load and those of JSON allocates anything.
 * [P4] Key and value of an entry may be an eighth of its shard's part of the
 *      budget (budget_bytes / shards / 8); more is refused, and nothing is
 *      evicted or changed for it.
 * [P5] Memory is used: while the entries of a shard, of entry_bytes or more on
 *      average and with CACHE_ENTRY_OVERHEAD_MAX for each, take less than half
 *      of its part, nothing is evicted, whatever was set, replaced and deleted
 *      before, and of whatever mix of sizes.
 * [P6] What goes is among the oldest and was not asked for: an entry that is
 *      got again and again stays while others come and go, and one that nobody
 *      gets goes.
 * [P7] An entry set for t milliseconds is there for exactly t. A clock that
 *      steps back costs nobody anything: the step counts as no time.
 * [P8] Every get is counted once, as a hit or as a miss; all other counters
 *      are exact, too, with any number of threads.
 * [P9] A hit never loads, unless as [P13] says; a miss loads once and keeps
 *      what it brings. What fails is not kept.
 * [P10] Of the threads that miss the same key together one loads, with no lock
 *      held; the others wait, no longer than they said, and get what it
 *      brought. A loader may use the cache; one that asks for its own key is
 *      told that this is a deadlock.
 * [P11] A set, delete or clear that comes while a load of its key is running
 *      wins: what that load brings goes to those who waited, and is not kept.
 * [P12] For stale_ms after its time an entry stands in for a load that fails
 *      or takes longer than the caller waits, and is marked STATUS_STALE. After
 *      that, and when the source says that there is no such key, it is gone.
 * [P13] With a refresh_beta, a get_or_load that hits may load early, as XFetch
 *      draws it: with probability e^(-r / (beta * c)), r milliseconds before
 *      the end of an entry whose load took c. Never do two load a key at once,
 *      and while one does all others are given what is there, at once. If the
 *      load fails, what was there stays.
 * [P14] The log hook is told what the table below says, and nothing below its
 *      level. It is told keys, never values.
 * [P15] A JSON text has one key whatever the order of its members, its blanks,
 *      its escapes and the way its numbers are written; texts of different
 *      content have different ones. What is not JSON is refused: NaN, invalid
 *      UTF-8, a member twice, more than CACHE_JSON_DEPTH_MAX levels.
 * [P16] Numbers out of range are refused, and nothing happens.
 * [P17] When memory runs out the call says so, and nothing that was there is
 *      lost; a create that fails leaves nothing behind.
 * [P18] A get costs O(1) expected at any size, a set O(1) expected and
 *      amortised, and neither allocates.
 * [P19] Destroy gives back every byte; destroy(NULL) does nothing.
 * [P20] To say which keys will be asked for changes nothing that any call could
 *      tell: nothing is counted, marked, dropped, loaded or told to the log,
 *      and the clock is not asked. */
#ifndef LESSON_CACHE_H
#define LESSON_CACHE_H

#include "common/bytes.h"
#include "common/clock.h"
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest key, 64 KiB. */
#define CACHE_KEY_MAX ((size_t)65536)

/* The most shards one cache can have, and the least and most memory of one. */
#define CACHE_SHARDS_MAX ((size_t)4096)
#define CACHE_SHARD_BYTES_MIN ((size_t)4096)
#define CACHE_SHARD_BYTES_MAX ((size_t)16 << 30)

/* What the cache takes over its budget: malloc's own account of one block,
 * rounded up to pages. */
#define CACHE_BEYOND_BYTES ((size_t)8192)

/* What an entry takes besides its key and value: its header and at most seven
 * bytes of padding in the ring, and 4/3 of a slot in the index; 30 bytes on
 * average. */
#define CACHE_ENTRY_OVERHEAD_MAX ((size_t)34)

/* How deep JSON may be nested: [[1]] has two levels. */
#define CACHE_JSON_DEPTH_MAX 100

/* The longest name of a cache for Prometheus. */
#define CACHE_NAME_MAX ((size_t)64)

/* The remaining time of an entry that does not expire. */
#define CACHE_NEVER INT64_MAX

typedef struct cache cache;

typedef enum cache_level {
    CACHE_DEBUG,
    CACHE_INFO,
    CACHE_WARNING,
    CACHE_ERROR,
} cache_level;

/* Is told what happens, with a lock held: it must be quick, and may not call
 * the cache.
 *
 *     level    event    reason           when
 *     DEBUG    evict    budget           an entry made room for another one
 *     DEBUG    expire   ttl              an entry was met after its time
 *     INFO     load     miss             a loader is about to be called
 *     INFO     load     early refresh    the same, though the entry is fresh
 *     WARNING  refuse   too large        a value or key does not fit
 *     WARNING  stale    status_name()    an old value was given; why
 *     DEBUG    invalidate status_name()  the source has no such key any more,
 *                                        or a value that is too large
 *     ERROR    fail     status_name()    a load failed; how. A MISS is none
 *
 * context: from the options.
 * event, reason: texts that live for ever.
 * key: lent for the call; of one that is too long, its first CACHE_KEY_MAX
 * bytes. */
typedef void (*cache_log)(void *context, cache_level level, const char *event,
                          bytes key, const char *reason);

/* All zero is the default. */
typedef struct cache_options {
    int64_t default_ttl_ms; /* of set and of what is loaded; 0: never ends */
    int64_t stale_ms;       /* how long after its time an entry may stand in */
    double refresh_beta;    /* how early to refresh: 0: never, 1: as is best for
                               most, more: earlier */
    size_t entry_bytes;     /* about how long key and value together are; 0:
                               64. Smaller ones leave memory unused */
    ms_clock clock;         /* without now_ms: the machine's monotonic clock.
                               Called with a lock held: it may not call the
                               cache */
    uint64_t seed;          /* start of the hash and of the refresh's chance */
    cache_log log;          /* NULL: nobody listens */
    void *log_context;
    cache_level log_level; /* the least that the hook is told */
    bool one_thread;       /* only one thread ever calls: no lock is taken */
} cache_options;

typedef struct cache_stats {
    uint64_t hits;        /* gets, loading ones too, that found a fresh entry */
    uint64_t misses;      /* those that did not */
    uint64_t stale;       /* those among them that an old value was given */
    uint64_t loads;       /* loaders called, */
    uint64_t refreshes;   /* those among them that came early, */
    uint64_t failures;    /* and those that brought no value, a MISS too */
    uint64_t joins;       /* misses that found a load running and waited */
    uint64_t evictions;   /* entries given up for a new one */
    uint64_t expirations; /* entries met when their time and stale_ms were
                             over: each is dropped then */
    uint64_t refusals;    /* values and keys too large to be held */
    uint64_t entries;     /* entries held, those too that nobody has met since
                             their time was over */
    uint64_t entry_bytes; /* keys and values of these entries */
    uint64_t held_bytes;  /* what the cache has taken of its budget */
} cache_stats;

/* Fetches a value from the source, in the thread that missed it and with no
 * lock held.
 * context: what the caller of cache_get_or_load passed.
 * key: lent for the call.
 * value: out; lent to the cache until cache_get_or_load returns: keep it in
 * the context, not in a local variable.
 * Returns: STATUS_OK, and only then *value is looked at; STATUS_MISS when the
 * source has no such key; any other for a failure. */
typedef status (*cache_load)(void *context, bytes key, bytes *value);

/* Makes an empty cache.
 * budget_bytes: of memory in all, shared evenly between the shards; each must
 * get CACHE_SHARD_BYTES_MIN to CACHE_SHARD_BYTES_MAX.
 * shards: 1 to CACHE_SHARDS_MAX. Two threads that meet in one cost a sleep and
 * a wake, so take many, some 32 per processor; but each should hold thousands
 * of entries, or their spread over the shards leaves memory unused.
 * options: copied; NULL: the default. No time and no beta may be negative, nor
 * beta not a number; entry_bytes is at most CACHE_SHARD_BYTES_MAX.
 * out: the cache, which the caller ends with cache_destroy.
 * Returns: STATUS_OK; STATUS_INVALID for a number out of range;
 * STATUS_NO_MEMORY. *out is written on STATUS_OK only.
 * Cost: O(shards) and one allocation of budget_bytes; the system gives most of
 * its pages when they are first used. */
status cache_create(size_t budget_bytes, size_t shards,
                    const cache_options *options, cache **out);

/* Inserts, or replaces the value of a key that is there, for the default ttl.
 * A load of this key that is running will not be kept.
 * key, value: copied.
 * Returns: STATUS_OK; STATUS_TOO_LARGE: the key is longer than CACHE_KEY_MAX,
 * or [P4]: nothing was changed.
 * Cost: O(1) expected and amortised, one copy of key and value. */
status cache_set(cache *c, bytes key, bytes value);

/* The same with a ttl of its own.
 * ttl_ms: 1 or more, CACHE_NEVER too; one that ends 2^40 ms (34 years) or
 * more after the cache was made does not end.
 * Returns: as cache_set; STATUS_INVALID: ttl_ms is less than 1. */
status cache_set_for(cache *c, bytes key, bytes value, int64_t ttl_ms);

/* Looks a key up and copies its value out.
 * buffer: out, `size` bytes of the caller's; may be NULL when size is 0.
 * Written on STATUS_OK only.
 * len: out, not NULL; the value's length. Written on STATUS_OK and on
 * STATUS_TOO_LARGE.
 * Returns: STATUS_OK; STATUS_MISS; STATUS_TOO_LARGE: the key is there, but its
 * value has more than `size` bytes. Another thread may set a longer one before
 * the second try, so the retry is a loop.
 * Cost: O(1) expected, one copy of the value. */
status cache_get(cache *c, bytes key, void *buffer, size_t size, size_t *len);

/* Says that these keys will be asked for next. Memory is asked for all of them
 * together, where gets one after the other each wait for their own. That is
 * group prefetching, of Chen et al., "Improving Hash Join Performance through
 * Prefetching", ICDE 2004. Tell it of some 16 keys, then use them: a processor
 * keeps little, and not for long.
 * keys: n of them, any bytes, whether they are there or not; lent for the call.
 * May be NULL when n is 0.
 * Cost: O(n) expected, and a hash of each key; no allocation, no copy. */
void cache_expect(const cache *c, const bytes *keys, size_t n);

/* Removes a key. A load of this key that is running will not be kept.
 * Returns: whether the key was there, and fresh. Cost: O(1) expected. */
bool cache_delete(cache *c, bytes key);

/* How long an entry is still fresh. This is no get: it is not counted, and it
 * keeps nothing alive.
 * remaining_ms: out, not NULL; 1 or more, CACHE_NEVER if it does not expire.
 * Returns: whether the key is there and fresh; if not, nothing is written.
 * Cost: O(1) expected. */
bool cache_remaining_ms(cache *c, bytes key, int64_t *remaining_ms);

/* Looks a key up, and after a miss has it loaded: by this thread, or, if one
 * is loading that key already, by that one, for which this thread then waits.
 * load: calls the source; not NULL. Only one of several callers' loaders runs.
 * context: passed to load, never followed.
 * wait_ms: the longest time to wait for another thread's load, 0 or more, by
 * the machine's monotonic clock; INT64_MAX is as good as for ever. The own
 * loader is not hurried by it.
 * buffer, size, len: as cache_get, loaded or not; written on STATUS_STALE too.
 * Returns: STATUS_OK, STATUS_TOO_LARGE: as cache_get. A value that the cache
 * cannot hold is given and not kept. STATUS_STALE: the load failed or takes
 * too long, and this is the old value; if it does not fit either,
 * STATUS_TOO_LARGE. STATUS_INVALID: load is NULL or wait_ms negative, nothing
 * was done. STATUS_TIMEOUT: the other thread's load is still running, and goes
 * on. STATUS_DEADLOCK: this thread itself is loading this key, further up its
 * stack, and nobody has set or deleted it since. STATUS_NO_MEMORY; else the
 * loader's own status. */
status cache_get_or_load(cache *c, bytes key, cache_load load, void *context,
                         int64_t wait_ms, void *buffer, size_t size,
                         size_t *len);

/* Writes the one key that stands for a JSON text: members sorted by the bytes
 * of their names, no blanks, whole numbers of 64 bits without point and
 * exponent, others with 17 digits, escapes only where they must be.
 * json: any JSON value, also a number or a text alone.
 * buffer, size, len: as cache_get.
 * Returns: STATUS_OK; STATUS_TOO_LARGE: the key has more than `size` bytes,
 * *len says how many; STATUS_INVALID: [P15], or a number that is no double and
 * no 64-bit integer; STATUS_NO_MEMORY. (Where memory runs out in the midst of
 * a text, Jansson may call it invalid.)
 * Cost: O(length), and O(n log n) for n members. */
status cache_json_key(bytes json, void *buffer, size_t size, size_t *len);

/* The slide's cache_with_json: a cached call of a function with arguments. Its
 * key, which the loader is given, is the function's name and in parentheses
 * what cache_json_key makes of the arguments: add([[2,3],{"round":true}]). No
 * two calls share one, as in JSON a parenthesis stands in quotes.
 * function: its name, any bytes.
 * arguments: JSON, as for cache_json_key.
 * Returns: as cache_get_or_load; STATUS_INVALID also as cache_json_key;
 * STATUS_TOO_LARGE also when the key is longer than CACHE_KEY_MAX: then *len
 * is 0 and nothing was called. */
status cache_with_json(cache *c, bytes function, bytes arguments,
                       cache_load load, void *context, int64_t wait_ms,
                       void *buffer, size_t size, size_t *len);

/* What was counted since the cache was made. A call is counted before it
 * waits: a thread in `joins` has its place in the load. Shards are read one
 * after the other, so while threads work the sum is of no single moment.
 * Cost: O(shards). */
cache_stats cache_statistics(cache *c);

/* The statistics as Prometheus reads them (text format 0.0.4): for each field
 * of cache_stats, in its order, a line with its TYPE and one with its value,
 * named cache_hits_total and so on, the last three cache_entries,
 * cache_entry_bytes and cache_held_bytes; all with the label cache="name".
 * name: of this cache, at most CACHE_NAME_MAX bytes of UTF-8.
 * buffer, size, len: as cache_get; no zero byte is written.
 * Returns: STATUS_OK; STATUS_TOO_LARGE; STATUS_INVALID: the name is too long,
 * or has a quote, a backslash or a control character. Cost: O(shards). */
status cache_prometheus(cache *c, bytes name, void *buffer, size_t size,
                        size_t *len);

/* Removes all entries. Loads that are running will not be kept. Counters stay.
 * Cost: O(slots of the index). */
void cache_clear(cache *c);

/* Ends the cache; NULL is fine. No other call may be running, or come later:
 * join the threads first. Cost: O(shards). */
void cache_destroy(cache *c);

#endif
