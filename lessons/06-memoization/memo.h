/* memo: remembers what a pure function answered, so that it need not run again.
 *
 *   memo_get(m, "4")
 *     |
 *     |  is it known?     results: an lru of `capacity` entries
 *     |                   +-----+-----+-----+
 *     +-----------------> | "1" | "2" | "3" |
 *     |                   +--+--+--+--+--+--+
 *     |                      v     v     v
 *     |            value     1     1     2
 *     |            holders   1     2     1     the memo, and one caller of "2"
 *     |
 *     |  is it being      running: an lru that is never full
 *     |  computed?        +-----+-----+
 *     +-----------------> | "6" | "5" |
 *     |                   +-----+-----+
 *     v
 *   function(context, m, "4")     which may call memo_get(m, "3"), a hit
 *
 * The picture: fibonacci(3) is known, and fibonacci(6) has asked for 5, which
 * asks for 4. What is known stands in one lru, which gives up what was not
 * asked for the longest. What is being computed stands in another, which is
 * made larger before it is full, so that it gives up nothing: an argument that
 * is found there would wait for itself for ever.
 *
 * A pure function gives the same result for the same argument, whenever it is
 * asked, and does nothing else that anybody could notice. Only such a function
 * may be remembered; the memo cannot check it.
 *
 * Why a result has holders. lru_get lends its value until the next set. Here
 * every call may be a set: while fibonacci(n) holds the result for n - 1 it
 * asks for n - 2, and that call may evict what it holds. Handing out copies
 * instead would need to know how large a result is, and would cost as much on
 * every hit. So a result counts its holders: the memo while it remembers it,
 * and each caller until its memo_release. The last to let go ends it.
 *
 * Source: D. Michie, "'Memo' functions and machine learning", Nature 218, 1968.
 *
 * Promises
 * [P1] A call gives the function's result for that argument. While the result
 *      is remembered no call runs the function again: without evictions it
 *      runs once per distinct argument.
 * [P2] The key is the argument's bytes, all of them, and nothing else: any
 *      bytes of any length, wherever they lie. The bytes between the fields of
 *      a struct count too: two structs of equal fields may be two keys.
 * [P3] The key is what the bytes were when the call was made; the function may
 *      reuse the memory they lie in.
 * [P4] Recursion goes through the memo: fibonacci(100) runs 101 times. A call
 *      costs the same at any depth of recursion.
 * [P5] Any pointer is a result, NULL too. It is handed on and never followed.
 * [P6] A run that fails is not remembered. Its status comes through, and the
 *      next call runs the function again.
 * [P7] A result stays whole while anybody holds it: a caller's is not touched
 *      by evictions, nor by the end of the memo. It is destroyed exactly once,
 *      when the last holder lets go.
 * [P8] The memo remembers at most `capacity` results, and that many; the one
 *      not asked for the longest makes way. Any capacity gives right results,
 *      1 too: a small one only costs more runs.
 * [P9] A call for an argument that is being computed is refused with
 *      STATUS_DEADLOCK, at any depth and any capacity, and runs nothing.
 * [P10] A capacity of 0, or one that an lru refuses, and a NULL function are
 *      refused.
 * [P11] A hit costs O(1) expected at any capacity and allocates nothing.
 * [P12] When memory runs out before the function could run, the call says so
 *      and changes nothing. When it runs out after that, the result is handed
 *      out all the same, and is merely not remembered.
 * [P13] Hits, runs and evictions are counted exactly; a call that is refused,
 *      or fails before its run, is none of them.
 * [P14] Destroy gives back every byte but the results that callers hold;
 *      destroy(NULL) and release(NULL) do nothing. */
#ifndef LESSON_MEMO_H
#define LESSON_MEMO_H

#include "common/bytes.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct memo memo;
typedef struct memo_result memo_result;

/* A function to be remembered.
 * context: as given to memo_create.
 * m: the memo that runs it, to ask for other arguments. It may not be ended
 * here.
 * argument: the memo's own copy, lent until the function returns. Its address
 * is a multiple of nothing: memcpy it into a variable of its type.
 * result: out, written on success. The memo owns it from then on.
 * Returns: STATUS_OK, or any other status for "no result". */
typedef status memo_function(void *context, memo *m, bytes argument,
                             void **result);

typedef struct memo_stats {
    uint64_t hits;      /* calls that found their result */
    uint64_t runs;      /* times that the function was run, failures too */
    uint64_t evictions; /* results given up for a new one */
} memo_stats;

/* Makes a memo that remembers nothing yet.
 * capacity: results, 1 to LRU_CAPACITY_MAX (lru.h).
 * function: what to remember; not NULL.
 * context: passed on to the function, never followed.
 * destroy_result: called once for each result when its last holder lets go;
 * NULL when results need no end of their own. It may call memo_release, for
 * results that are built of others, and nothing else of the memo.
 * seed: start of the hash, as in lesson 2.
 * out: the memo, which the caller ends with memo_destroy.
 * Returns: STATUS_OK; STATUS_INVALID for capacity or function;
 * STATUS_NO_MEMORY. *out is written on STATUS_OK only.
 * Cost: O(capacity): the lru takes the memory for all its entries now. */
status memo_create(size_t capacity, memo_function *function, void *context,
                   void (*destroy_result)(void *result), uint64_t seed,
                   memo **out);

/* Gives the result for an argument: the remembered one, or else what the
 * function answers now.
 * argument: any bytes; copied before the function runs. What they should be:
 * the fields of the argument one after another, without gaps (see [P2]).
 * out: the result; the caller holds it until memo_release.
 * Returns: STATUS_OK; STATUS_DEADLOCK: this argument is being computed
 * further out, so the answer would need itself; STATUS_NO_MEMORY; or what the
 * function returned. *out is written on STATUS_OK only.
 * Cost: a hit O(1) expected, no allocation. A miss the function's own cost, a
 * few allocations, and O(1) expected and amortised. Each level of recursion
 * takes a frame of memo_get and one of the function from the stack; how many
 * levels fit is for the function to know. */
status memo_get(memo *m, bytes argument, memo_result **out);

/* What the function gave: lent while the result is held. Cost: O(1). */
void *memo_value(const memo_result *result);

/* Lets go of a result, once for each memo_get that gave it. The memo need not
 * exist any more; NULL is fine. Cost: O(1), and destroy_result's if nobody
 * else holds it. */
void memo_release(memo_result *result);

/* The number of results remembered. Cost: O(1). */
size_t memo_count(const memo *m);

/* What the memo has counted since it was made. Cost: O(1). */
memo_stats memo_statistics(const memo *m);

/* Ends the memo and lets go of all its results; NULL is fine. No call may be
 * running. Cost: O(capacity). */
void memo_destroy(memo *m);

#endif
