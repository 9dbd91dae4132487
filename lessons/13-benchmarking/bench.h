/* bench: the instrument that every other lesson was measured with.
 *
 *   seed --> random --> below, keys, Zipf ranks      before the clock starts
 *                          |
 *   prepare, warm-up       v
 *   ----------------|--op--|--op--|-----op------|--op--|    one reading of the
 *                   t0     t1     t2            t3     t4   clock between two
 *                          |
 *                          v  t1 - t0, t2 - t1, ...
 *             0   1 ..  2 ..  4 ..  8 ..           2^35 ..  60 s
 *           +---+-----+-----+-----+-----+--     --+-----------+
 *           | 1 | 64  | 64  | 64  | 64  |   ...   | 64 buckets|   histogram
 *           +---+-----+-----+-----+-----+--     --+-----------+
 *                          |
 *   run 1: A B C           v                      what was run, on what size:
 *   run 2: B C A    --> report -----------------> median, min and max of the
 *   run 3: C A B                                  runs, and the cost of bench
 *
 * It draws the work before it times it, warms up, times each operation by
 * itself, keeps all of the times in little memory, lets rivals take turns, and
 * says with each table what it costs itself.
 *
 * Sources: G. L. Steele, D. Lea and C. H. Flood, "Fast splittable pseudorandom
 * number generators", OOPSLA 2014 (the generator); H.-C. Chen and Y. Asau, "On
 * generating random variates from an empirical distribution", AIIE Transactions
 * 6(2), 1974 (the guide for Zipf); G. Tene's HdrHistogram (buckets whose width
 * grows with the value) and his talk "How NOT to measure latency", 2013 (the
 * open loop).
 *
 * Promises
 * [P1] bench_now_ns never goes back, whatever is done to the wall clock.
 * [P2] A seed gives the same numbers, keys and ranks on every machine, to the
 *      last bit: how each is made is stated below, in whole numbers.
 * [P3] bench_random_below gives each number equally often, for any n.
 * [P4] Zipf ranks follow the law: a draw from n ranks gives rank r (from 0)
 *      with a share of 1 / (r + 1)^s among all n, off by less than one part in
 *      10^6 of that share and 2^-35.
 * [P5] A draw allocates nothing, and costs no more among many ranks than
 *      among few, but for a logarithm.
 * [P6] A percentile is within 1 % of the exact one (the nearest rank), from
 *      1 ns to 60 s; whole numbers up to 100 ns are exact. Count, least and
 *      greatest are exact, and so is the mean, but for rounding.
 * [P7] No value is lost: one beyond 60 s counts as 60 s in percentiles, and
 *      as itself in the summary. A negative one is refused and not counted.
 * [P8] Recording takes the same work for any value and allocates nothing; a
 *      histogram takes less than 64 KiB whatever is recorded.
 * [P9] A histogram added to another gives what recording all into one gives.
 * [P10] A figure is the median of its runs, of an even number the mean of the
 *      middle two, with the least and the greatest beside it; figures come in
 *      the order in which they were first named.
 * [P11] Rivals take turns: each has one in every run, and each run begins with
 *      another one. The warm-up comes first and leaves no figure.
 * [P12] What is timed is the operation: not its preparation, not the warm-up.
 * [P13] Each operation of a run is called once, in order; the results of all
 *      are added up and handed back, so no compiler can leave one out, and the
 *      caller can check that the work was done.
 * [P14] In an open loop operation i is due i intervals after the start, however
 *      long others took; its time counts from there, and it never starts
 *      before.
 * [P15] What bench itself costs per operation is measured with the loop that
 *      measures, and stands in every table of times.
 * [P16] Without memory a call says so, and nothing has changed.
 * [P17] Bad arguments are refused, and nothing has changed; what a callback or
 *      a clock does wrong ends the run with a status. */
#ifndef LESSON_BENCH_H
#define LESSON_BENCH_H

#include "common/bytes.h"
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* -- time --------------------------------------------------------------- */

/* Nanoseconds since an arbitrary start, by the machine's monotonic clock. */
int64_t bench_now_ns(void);

/* Where a run gets its time from. Zero: the machine's monotonic clock, which
 * waits by asking for the time over and over: a sleep wakes up too late, by
 * more than many an operation takes. */
typedef struct bench_clock {
    int64_t (*now_ns)(void *context);
    /* Returns when it is `until`; at once if that has passed. */
    void (*wait_until)(void *context, int64_t until);
    void *context;
} bench_clock;

/* -- chance, with a seed -------------------------------------------------- */

/* The next number of a reproducible stream: SplitMix64.
 * state: any seed to start with. Each call adds 0x9e3779b97f4a7c15 to it; the
 * number is then made from the sum x, modulo 2^64, by
 *     x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
 *     x = (x ^ (x >> 27)) * 0x94d049bb133111eb
 *     x = x ^ (x >> 31) */
uint64_t bench_random(uint64_t *state);

/* A number from 0 to n - 1, each equally likely: the remainder by n of the
 * first random number that lies below the greatest multiple of n, up to 2^64.
 * n: not 0. Cost: fewer than two random numbers on average. */
uint64_t bench_random_below(uint64_t *state, uint64_t n);

#define BENCH_KEY_LEN 10

/* 10 characters and zero bytes: a text, and bytes of a fixed length. */
typedef struct bench_key {
    char text[16];
} bench_key;

/* A random key. Its characters are those of BENCH_KEY_ALPHABET whose places
 * the 60 lowest bits of one random number name, 6 bits each, lowest first. */
bench_key bench_random_key(uint64_t *state);

#define BENCH_KEY_ALPHABET                 \
    "abcdefghijklmnopqrstuvwxyz0123456789" \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_"

/* The most ranks, and the greatest exponent. */
#define BENCH_ZIPF_MAX ((size_t)1 << 27)
#define BENCH_EXPONENT_PERCENT_MAX 1000

/* Zipf's law over n ranks: few are asked for often, many seldom. */
typedef struct bench_zipf bench_zipf;

/* Makes a law. Its weights come from exact_power (exact.h), so they are the
 * same on every machine, which libm's pow does not promise. Their bits are as
 * many as n of the greatest weight allow: the most for which n * 2^bits is no
 * more than 2^63.
 * n: 1 to BENCH_ZIPF_MAX.
 * exponent_percent: 100 times the exponent s: 99 for the 0.99 that caches are
 * commonly measured with, 0 for ranks that are all equally likely; at most
 * BENCH_EXPONENT_PERCENT_MAX.
 * out: written on success; the caller ends it with bench_zipf_destroy.
 * Returns: STATUS_OK; STATUS_INVALID; STATUS_NO_MEMORY.
 * Cost: O(n) time, at most 16 bytes for each rank. */
status bench_zipf_create(size_t n, unsigned exponent_percent, bench_zipf **out);

/* Draws a rank, 0 to n - 1, by inverting the distribution. All weights in a row
 * make a line. Of one random number x the line's point (x / 2^64) of the way
 * is taken, rounded down (exact_scale); the rank is the one in whose weight it
 * lies.
 * Cost: O(1) expected, or O(log n); no allocation. */
size_t bench_zipf_next(const bench_zipf *z, uint64_t *state);

/* Ends the law; NULL is fine. */
void bench_zipf_destroy(bench_zipf *z);

/* -- all times in little memory ------------------------------------------- */

#define BENCH_NS_MAX INT64_C(60000000000)

typedef struct bench_histogram bench_histogram;

/* What is known exactly; all zero when nothing was recorded. */
typedef struct bench_summary {
    uint64_t count;
    int64_t least_ns, most_ns;
    double mean_ns;
} bench_summary;

/* Makes an empty histogram. Returns: NULL without memory. */
bench_histogram *bench_histogram_create(void);

/* Counts one time.
 * Returns: STATUS_OK; STATUS_INVALID for a negative time, which is not counted:
 * the clock went back, or somebody subtracted the wrong way round.
 * Cost: O(1), a few instructions, no allocation. */
status bench_histogram_record(bench_histogram *h, int64_t ns);

/* Adds all that `from` holds to h; from stays as it is. This, and not a mean
 * of percentiles, is how several runs become one. */
void bench_histogram_add(bench_histogram *h, const bench_histogram *from);

bench_summary bench_histogram_summary(const bench_histogram *h);

/* The least time that so many millionths of all times do not exceed: 500000
 * is the median, 999000 the 99.9th percentile. For n times that is the k-th in
 * order, k = n * per_million / 10^6 rounded up, or 1 if that is 0.
 * per_million: at most 1000000, which gives the greatest time exactly.
 * Returns: within 1 %, and never below the least or above the greatest; 0 when
 * nothing was recorded. Right for any count that fits into 64 bits. */
int64_t bench_histogram_percentile(const bench_histogram *h,
                                   uint32_t per_million);

/* Ends the histogram; NULL is fine. */
void bench_histogram_destroy(bench_histogram *h);

/* -- results ----------------------------------------------------------------
 */

#define BENCH_LABEL_MAX 31
#define BENCH_RUNS_MAX 99

typedef struct bench_report bench_report;

/* What all runs of one operation gave. Texts are lent until the report ends or
 * a figure is added. */
typedef struct bench_figure {
    const char *implementation, *operation;
    size_t size;
    size_t runs;
    double median, least, most;
} bench_figure;

/* How a table is written; zero is a table of times. */
typedef struct bench_table {
    const char *title;   /* one line, however long; NULL: none */
    const char *machine; /* which, and when; one line too; NULL: none */
    bool counts;         /* counted, not timed: no spread, no cost */
    bench_clock clock;   /* what the cost is measured by */
} bench_table;

/* Makes an empty report. Returns: NULL without memory. */
bench_report *bench_report_create(void);

/* Notes what one run gave; values of the same implementation, operation and
 * size make one figure.
 * r: NULL in a warm-up: then nothing is noted, and what is not allowed is
 * refused all the same.
 * implementation, operation: 1 to BENCH_LABEL_MAX bytes without tabs and line
 * ends; copied.
 * value: not infinite, and a number.
 * Returns: STATUS_OK; STATUS_INVALID; STATUS_TOO_LARGE after BENCH_RUNS_MAX
 * values; STATUS_NO_MEMORY. */
status bench_report_add(bench_report *r, const char *implementation,
                        const char *operation, size_t size, double value);

/* Steps through the figures, in the order in which they were first added.
 * cursor: in and out; 0 starts.
 * Returns: whether there was another; if not, nothing is written. */
bool bench_report_next(const bench_report *r, size_t *cursor,
                       bench_figure *figure);

/* Writes the figures as a table with tabs between its columns:
 *
 *     # the title
 *     # machine: the machine
 *     # harness: 24.7 ns per operation
 *     implementation  operation  size  median  min  max
 *     lru             get        1000  35.5    33   36
 *
 * Values are printed by %.6g. The third line is bench_cost, with one decimal.
 * A table of counts has no such line, and instead of the last three columns
 * one, `value`, the median.
 * write: called with one piece of the text after the other.
 * Returns: STATUS_OK, or what bench_cost says: then nothing was written. */
status bench_report_write(const bench_report *r, const bench_table *table,
                          void (*write)(void *context, bytes text),
                          void *context);

/* Ends the report; NULL is fine. */
void bench_report_destroy(bench_report *r);

/* -- runs -------------------------------------------------------------------
 */

/* One contender's part of one run: does the work and adds to the report.
 * report: NULL in the warm-up, which bench_report_add understands. */
typedef status bench_turn(void *context, size_t contender,
                          bench_report *report);

typedef struct bench_plan {
    size_t contenders; /* not 0 */
    size_t runs;       /* 0: 5; at most BENCH_RUNS_MAX */
    bool cold;         /* no warm-up: the first time is what counts */
} bench_plan;

/* Lets the contenders take turns: a round of all to warm up, then the runs.
 * The warm-up and the first run begin with contender 0, the second run with 1,
 * and so on round the circle.
 * Returns: STATUS_OK; STATUS_INVALID; the status of the first turn that
 * failed, after which there are no more turns. */
status bench_interleave(bench_report *report, bench_plan plan, bench_turn *turn,
                        void *context);

typedef struct bench_work {
    /* Lays out all that the operations will need, keys say; may be NULL.
     * Called once, before the warm-up, and also where there is none; not timed.
     * Returns: STATUS_OK, or another status, which ends the run. */
    status (*prepare)(void *context, uint64_t count);
    /* Does operation `number`. Returns: something that depends on its work. */
    uint64_t (*operation)(void *context, uint64_t number);
    void *context;
} bench_work;

typedef struct bench_options {
    /* 0: a closed loop, which starts an operation when the last one is done.
     * Above: an open loop, which starts one at each interval, like users who
     * do not wait for each other. */
    int64_t interval_ns;
    bool cold; /* no warm-up */
    bench_clock clock;
} bench_options;

/* Times `count` operations, numbers 0 to count - 1, each by itself.
 * The warm-up calls the first tenth of the numbers (rounded up) beforehand; it
 * waits for nothing and counts for nothing.
 * A closed loop reads the clock before the first operation and after each one:
 * the end of one is the start of the next, so a time holds the recording of
 * the time before it. An open loop reads it after each operation, and counts
 * from when that was due.
 * options: NULL: all zero.
 * h: the times are added to it.
 * sum: out, all results added up modulo 2^64; the warm-up's are left out.
 * Returns: STATUS_OK; STATUS_INVALID for a count of 0, a negative interval, or
 * a run beyond the range of int64_t; what prepare returned; STATUS_BACKEND if
 * an operation ended before its time began, because the clock went back behind
 * the reading before (closed) or behind when it was due (open): h then holds
 * the times before that. */
status bench_run(const bench_work *work, uint64_t count,
                 const bench_options *options, bench_histogram *h,
                 uint64_t *sum);

/* What a closed loop itself costs per operation: reading the clock, calling the
 * operation, recording. Operations that do nothing are run, several times, and
 * the median of the means is taken.
 * clock: NULL: the machine's.
 * ns: out.
 * Returns: STATUS_OK; STATUS_NO_MEMORY; STATUS_BACKEND if the clock went back.
 * Cost: some milliseconds. */
status bench_cost(const bench_clock *clock, double *ns);

#endif
