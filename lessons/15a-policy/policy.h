/* policy: which entry shall go?
 *
 *   requests: 7 3 7 9 1 7 ...        newest                     oldest
 *        |                             v                           v
 *        v                           +---+   +---+   +---+   +---+
 *   hit or miss?   node of 9: -----> | 9 |<->| 3 |<->| 8 |<->| 2 | -> out
 *   nodes[9]                         +---+   +---+   +---+   +---+
 *                                      used: 0     1       0      1
 *
 * Every cache of this workbook so far gave up the least recently used. This is
 * a laboratory for the choice itself: it holds no keys and no values, only the
 * numbers of objects, and answers hit or miss. Seven policies stand behind one
 * interface, so that one trace of requests can be put to them all. An object is
 * a number below a bound that is known from the start, so whether it is held is
 * a look into an array; a real cache puts its hash table there.
 *
 * The policies, their sources, and the parameters that those state:
 *   FIFO       the oldest goes
 *   LRU        the least recently used goes
 *   CLOCK      FIFO, but who was used since it last came to the end of the
 *              queue goes round once more (Corbato, 1968)
 *   SIEVE      CLOCK, but who is spared keeps its place, and a hand walks on
 *              from there (Zhang et al., NSDI 2024)
 *   S3-FIFO    a small queue, a tenth of the capacity (rounded down, but at
 *              least 1), that most newcomers leave soon; a main queue for those
 *              used more; and a ghost queue with as many names as the main
 *              queue has places (Yang et al., SOSP 2023)
 *   W-TINYLFU  an LRU window, a hundredth of the capacity (at least 1); a main
 *              part of two LRU segments, four fifths of it protected; between
 *              them a contest by how often each was asked for lately: counts
 *              are halved after ten requests for each place in the cache
 *              (Einziger, Friedman and Manes, arXiv 1512.00727)
 *   BELADY     who will be needed last goes; it must be told the future, and
 *              no other can miss less (Belady, 1966; Mattson et al., 1970)
 *
 * Promises
 * [P1] A request is a hit exactly if the object is held, and afterwards it is
 *      held: whoever is asked for gets in.
 * [P2] Never more than `capacity` objects are held; nothing goes while there is
 *      room; and a miss on a full cache makes exactly one object go.
 * [P3] FIFO gives up the object that came in first; a hit changes nothing.
 * [P4] LRU gives up the object whose last request is longest ago.
 * [P5] CLOCK looks at the object at the end of its queue: one that was hit
 *      since it came in, or since it was last spared, is spared and goes to the
 *      front; the first other one goes.
 * [P6] SIEVE spares too, but nobody moves: its hand walks from the oldest
 *      towards the newest, spares those that were hit, begins again at the
 *      oldest after the newest, and stays where it removed one.
 * [P7] S3-FIFO: on a miss room is made first, then the object comes into the
 *      main queue if its name is among the ghosts, else into the small queue,
 *      with no hits yet. Which queue gives is decided once, before anybody
 *      moves: the small one if it holds a tenth of the capacity or more, else
 *      the main one. Whoever was hit twice or more in the small queue moves on
 *      to the main queue at its end and takes its hits along; the next one
 *      goes and leaves a ghost; if all have moved on, the main queue gives.
 *      In the main queue each hit, up to three in all, is worth one more
 *      round.
 * [P8] W-TinyLFU: an object that is new comes into the window; whoever drops
 *      out of it enters the main part while there is room, and then only if it
 *      has been asked for more often lately than the one that would have to go,
 *      else it goes itself. A hit in the main part makes its object protected;
 *      who no longer fits among the protected is on probation again, and the
 *      oldest on probation is the one that would have to go.
 * [P9] Belady gives up the object whose next request is farthest ahead, best of
 *      all one that is never asked for again. So no policy misses less.
 * [P10] The same policy with the same seed, asked the same, answers the same.
 * [P11] A request costs O(1) amortised at any capacity; Belady's O(log
 *      capacity), and being told the future O(requests).
 * [P12] Bad arguments are refused with STATUS_INVALID and have no effect.
 * [P13] Memory is taken at creation and when the future is told, never by a
 *      request. When it runs out, nothing has changed; destroy gives back every
 *      byte, and destroy(NULL) does nothing. */
#ifndef LESSON_POLICY_H
#define LESSON_POLICY_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum policy_kind {
    POLICY_FIFO,
    POLICY_LRU,
    POLICY_CLOCK,
    POLICY_SIEVE,
    POLICY_S3_FIFO,
    POLICY_W_TINYLFU,
    POLICY_BELADY,
    POLICY_KINDS
} policy_kind;

/* The most objects that a policy can tell apart. */
#define POLICY_OBJECTS_MAX ((size_t)1 << 30)

typedef struct policy policy;

/* Makes an empty cache of this kind.
 * capacity: how many objects it holds, 1 to POLICY_OBJECTS_MAX; it may be more
 * than there are objects: then nobody ever goes.
 * objects: all objects are numbers below this; 1 to POLICY_OBJECTS_MAX.
 * seed: for W-TinyLFU, which hashes; the others do not look at it.
 * out: the policy, which the caller ends with policy_destroy.
 * Returns: STATUS_OK; STATUS_INVALID; STATUS_NO_MEMORY. *out is written on
 * STATUS_OK only. Cost: O(objects); for W-TinyLFU O(objects + capacity). */
status policy_create(policy_kind kind, size_t capacity, size_t objects,
                     uint64_t seed, policy **out);

/* Tells a Belady policy what it will be asked. It counts its requests: the
 * n-th one must be for trace[n]. Past the end of the trace, and if nothing was
 * told, it takes every object for one that is never asked for again.
 * trace: n objects; copied in what matters.
 * n: below UINT32_MAX, which is needed to say "never"; 0 is a future, too.
 * Returns: STATUS_OK; STATUS_INVALID: another kind, a request was made or the
 * future was told already, an n or an object out of range; STATUS_NO_MEMORY.
 * Cost: O(n) time, and 4 bytes for each request. */
status policy_foretell(policy *p, const uint32_t *trace, size_t n);

/* Asks for an object, and lets it in if it is not held.
 * object: below `objects`.
 * Returns: whether it was a hit. Cost: see [P11]. */
bool policy_request(policy *p, uint32_t object);

/* Whether an object is held: a question that no policy notices. Cost: O(1). */
bool policy_holds(const policy *p, uint32_t object);

/* How many objects are held. Cost: O(1). */
size_t policy_count(const policy *p);

/* Ends the policy; NULL is fine. */
void policy_destroy(policy *p);

#endif
