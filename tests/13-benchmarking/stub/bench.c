/* bench: an instrument out of a clock, a generator, a histogram and a table. */
#include "bench.h"

#include "common/todo.h"
#include "exact.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEFAULT_RUNS = 5, COST_ROUNDS = 5, COST_OPERATIONS = 2000 };

/* Bucket 0 counts zeros. After it stand 64 for each power of two: as many as
 * the six uppermost bits behind a number's leading one can tell apart. */
enum { FINE_BITS = 6, BUCKETS = 1 + (36 << FINE_BITS) };

struct bench_zipf {
    size_t n;
    uint32_t *guide;  /* n cells of the line: the rank where each begins */
    uint64_t cell;    /* the width of a cell */
    uint64_t below[]; /* [r]: the weights of ranks 0 to r together */
};

struct bench_histogram {
    uint64_t count;
    int64_t least, most;
    double sum;
    uint64_t buckets[BUCKETS];
};

struct point {
    char implementation[BENCH_LABEL_MAX + 1];
    char operation[BENCH_LABEL_MAX + 1];
    size_t size;
    size_t runs;
    double values[BENCH_RUNS_MAX];
};

struct bench_report {
    struct point *points;
    size_t count, capacity;
};

int64_t bench_now_ns(void) {
    TODO("13.1: read the monotonic clock, in nanoseconds");
}

uint64_t bench_random(uint64_t *state) {
    TODO("13.1: move the state on, mix it, return the number");
}

uint64_t bench_random_below(uint64_t *state, uint64_t n) {
    TODO("13.1: draw again in the last, incomplete stretch of n");
}

bench_key bench_random_key(uint64_t *state) {
    TODO("13.1: turn 60 bits of one number into 10 characters");
}

status bench_zipf_create(size_t n, unsigned exponent_percent,
                         bench_zipf **out) {
    TODO("13.2: add the weights up rank by rank, build the guide");
}

size_t bench_zipf_next(const bench_zipf *z, uint64_t *state) {
    TODO("13.2: take a point of the line, find the rank it lies in");
}

void bench_zipf_destroy(bench_zipf *z) {
    TODO("13.2: free what create allocated; NULL is fine");
}

bench_histogram *bench_histogram_create(void) {
    TODO("13.3: take zeroed memory, set the least so that any is less");
}

status bench_histogram_record(bench_histogram *h, int64_t ns) {
    TODO("13.3: find the bucket, count, keep sum, least and most");
}

void bench_histogram_add(bench_histogram *h, const bench_histogram *from) {
    TODO("13.4: add all buckets, count and sum; least and most too");
}

bench_summary bench_histogram_summary(const bench_histogram *h) {
    TODO("13.3: return count, least, most and mean; zeros if empty");
}

int64_t bench_histogram_percentile(const bench_histogram *h,
                                   uint32_t per_million) {
    TODO("13.4: count through the buckets up to the wanted rank");
}

void bench_histogram_destroy(bench_histogram *h) {
    TODO("13.3: free it; NULL is fine");
}

bench_report *bench_report_create(void) {
    TODO("13.5: take zeroed memory");
}

status bench_report_add(bench_report *r, const char *implementation,
                        const char *operation, size_t size, double value) {
    TODO("13.5: check, find or append the point, add the value to it");
}

bool bench_report_next(const bench_report *r, size_t *cursor,
                       bench_figure *figure) {
    TODO("13.5: sort a copy of the values, fill in the figure");
}

status bench_report_write(const bench_report *r, const bench_table *table,
                          void (*write)(void *context, bytes text),
                          void *context) {
    TODO("13.9: measure the cost, write the comments, then the rows");
}

void bench_report_destroy(bench_report *r) {
    TODO("13.5: free points and report; NULL is fine");
}

status bench_interleave(bench_report *report, bench_plan plan, bench_turn *turn,
                        void *context) {
    TODO("13.6: a round without a report, then the runs, rotated");
}

status bench_run(const bench_work *work, uint64_t count,
                 const bench_options *options, bench_histogram *h,
                 uint64_t *sum) {
    TODO("13.7: prepare, warm up, then time operation by operation");
}

status bench_cost(const bench_clock *clock, double *ns) {
    TODO("13.9: run operations that do nothing, take the mean time");
}
