/* readthrough: a cache that asks the source itself when it misses.
 *
 *        get("a")                                     the source
 *           |                                       .-----------.
 *     .-----v------------------------------.        |           |
 *     | held and fresh?                    |  load  |  a file,  |
 *     |   yes: a hit                       |------->|  a query, |
 *     |   no:  a miss, ask the source      |        |  a server |
 *     |          it gave:    keep a copy   |<-------|           |
 *     |          it has not: keep that     |  give  '-----------'
 *     |          it failed:  keep nothing  |
 *     '------------------------------------'
 *
 *     dict                    entries, each a block of its own
 *     +-----+---------+       +-----------------+---------------+-----+
 *     | "a" | value ----------> asked at 100 ms | length 1      | "1" |
 *     | "z" | value ------.   +-----------------+---------------+-----+
 *     +-----+---------+   `---> asked at 170 ms | absent        |
 *                             +-----------------+---------------+
 *
 * Callers ask the cache alone, and the cache knows the source. A value is
 * fresh for fresh_ms; that a key is absent holds for absent_ms; and where a
 * reload fails, the old value may stand in for stale_ms more. For one thread
 * at a time: several are the matter of lesson 7.
 *
 * Source: negative caching as the DNS does it (RFC 2308), and stale answers
 * in place of errors as in HTTP (RFC 5861, stale-if-error).
 *
 * Promises
 * [P1] A hit never calls the source. A value that was loaded answers every get
 *      of its key while it is fresh: for ever, unless fresh_ms bounds it.
 * [P2] A miss calls the source exactly once, with the context of the cache and
 *      the key of that get, and keeps what it gives under that key. Keys and
 *      values are any bytes, also none.
 * [P3] "Not there" and "the source failed" are different results: a get ends
 *      with STATUS_MISS when the source says so, and with the failure that the
 *      source reported when it failed. Only STATUS_OK writes *value.
 * [P4] A failure is never kept: the next get asks the source again. A source
 *      that says STATUS_OK and gives nothing has failed: STATUS_BACKEND. What
 *      it gives before it fails is dropped.
 * [P5] With absent_ms an absent key is asked for once, and again by the first
 *      get that comes absent_ms or more after that load began. Without it the
 *      source is asked every time. What the source says later replaces it.
 * [P6] With fresh_ms a value is loaded anew by the first get that comes
 *      fresh_ms or more after its load began. No bound is too large.
 * [P7] With stale_ms a reload that fails is answered with the old value, if
 *      that is less than fresh_ms + stale_ms old when the failure is in; later
 *      the failure shows. An absence is no failure: it ends the old value.
 * [P8] The source may get other keys from the cache that asks it, to any
 *      depth. A get of a key that is being loaded ends with STATUS_DEADLOCK,
 *      at once and without a load.
 * [P9] The cache keeps copies. What a get lent stays whole, and stays where it
 *      is, until a get of its own key loads anew or the cache ends, whatever
 *      other keys are loaded.
 * [P10] hits + misses = gets. Loads, failures and stale answers are counted
 *      exactly, whatever the source does.
 * [P11] No source, a negative time, or stale_ms without fresh_ms: create
 *      answers STATUS_INVALID and does nothing else.
 * [P12] When memory runs out, create and give say so; a load whose value finds
 *      no room has failed with STATUS_NO_MEMORY. Nothing that was held is
 *      lost, and an absence is told even if it cannot be kept.
 * [P13] A hit allocates nothing and takes the same number of steps however
 *      many keys are held; so does a miss, on average and besides its load.
 * [P14] A step through the values meets each that is held once, and no
 *      absence.
 * [P15] Destroy gives back every byte; destroy(NULL) does nothing. */
#ifndef LESSON_READTHROUGH_H
#define LESSON_READTHROUGH_H

#include "common/bytes.h"
#include "common/clock.h"
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct readthrough readthrough;

/* Where a source puts the value that it was asked for. */
typedef struct readthrough_reply readthrough_reply;

/* A source: loads one key.
 * context: as given to readthrough_create.
 * key: lent for the call.
 * reply: to be handed to readthrough_give, and of no use after the call.
 * Returns: STATUS_OK when it gave a value; STATUS_MISS when there is no such
 * key; any other status when it failed, and with it what went wrong.
 * It may call readthrough_get and readthrough_statistics of the cache that
 * asks, and of its other functions none. */
typedef status readthrough_source(void *context, bytes key,
                                  readthrough_reply *reply);

/* All zero is the default: values are kept for ever, absences are not. */
typedef struct readthrough_options {
    int64_t fresh_ms;  /* how long a value is fresh; 0: for ever */
    int64_t stale_ms;  /* how long after that it may stand in for a failure */
    int64_t absent_ms; /* how long an absence holds; 0: not at all */
    ms_clock clock;    /* without now_ms: the machine's monotonic clock */
    uint64_t seed;     /* start of the hash, as in lesson 2 */
} readthrough_options;

typedef struct readthrough_stats {
    uint64_t hits;     /* gets answered without the source, absences too */
    uint64_t misses;   /* all other gets, refused ones (DEADLOCK) too */
    uint64_t loads;    /* calls of the source */
    uint64_t failures; /* loads that ended with neither a value nor a miss */
    uint64_t stale;    /* failures that an old value stood in for */
} readthrough_stats;

/* Makes an empty cache in front of a source.
 * source: not NULL.
 * context: handed to the source, never followed.
 * options: copied; NULL: the default. No time may be negative, and stale_ms
 * needs fresh_ms.
 * out: the cache, which the caller ends with readthrough_destroy.
 * Returns: STATUS_OK; STATUS_INVALID; STATUS_NO_MEMORY. *out is written on
 * STATUS_OK only.
 * Cost: O(1). */
status readthrough_create(readthrough_source *source, void *context,
                          const readthrough_options *options,
                          readthrough **out);

/* Looks a key up, and loads it on a miss.
 * key: any bytes; copied if it is kept.
 * value: out, may be NULL; lent as [P9] says.
 * Returns: STATUS_OK; STATUS_MISS: the source has no such key;
 * STATUS_DEADLOCK: this key is being loaded right now, further up the stack;
 * STATUS_NO_MEMORY: no room for what was given. Otherwise, the source failed:
 * its own status.
 * Cost: a hit O(1) expected, no allocation; it reads the clock only if what it
 * finds holds for a limited time. A miss O(1) expected and amortised, besides
 * the load and a look at each load in progress. */
status readthrough_get(readthrough *r, bytes key, bytes *value);

/* Gives the value that was asked for; for a source, during its load. Another
 * give in the same load replaces the value.
 * value: any bytes; copied, so it may be freed at once.
 * Returns: STATUS_OK; STATUS_NO_MEMORY: the load has failed, and the source
 * may end.
 * Cost: O(length), one allocation. */
status readthrough_give(readthrough_reply *reply, bytes value);

/* Steps through the values that are held, fresh or not, as dict_next does:
 * the cursor starts at 0, and nothing may be loaded on the way.
 * key, value: out, not NULL; lent until the next get that loads.
 * Returns: whether there was another value; if not, neither is written.
 * Cost: as dict_next, no allocation. */
bool readthrough_next(const readthrough *r, size_t *cursor, bytes *key,
                      bytes *value);

/* What the cache has counted since it was made. Cost: O(1). */
readthrough_stats readthrough_statistics(const readthrough *r);

/* Ends the cache and frees all that it holds; NULL is fine. The source may not
 * call it. Cost: O(keys held). */
void readthrough_destroy(readthrough *r);

#endif
