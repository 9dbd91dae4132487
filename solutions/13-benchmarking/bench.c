/* bench: an instrument out of a clock, a generator, a histogram and a table. */
#include "bench.h"

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

/* -- time --------------------------------------------------------------- */

int64_t bench_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t now_on(const bench_clock *clock) {
    return clock->now_ns ? clock->now_ns(clock->context) : bench_now_ns();
}

static void wait_on(const bench_clock *clock, int64_t until) {
    if (clock->wait_until) {
        clock->wait_until(clock->context, until);
        return;
    }
    while (now_on(clock) < until) { /* time passes by itself */
    }
}

/* -- chance --------------------------------------------------------------- */

uint64_t bench_random(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

/* A remainder is fair if all of its stretch, the n numbers from a multiple of n
 * on, lies below 2^64. For any n more than half of all numbers lie in such a
 * stretch, so the loop ends. */
uint64_t bench_random_below(uint64_t *state, uint64_t n) {
    assert(n > 0);
    uint64_t x;
    uint64_t remainder;
    do {
        x = bench_random(state);
        remainder = x % n;
    } while (x - remainder > UINT64_MAX - (n - 1));
    return remainder;
}

bench_key bench_random_key(uint64_t *state) {
    uint64_t bits = bench_random(state);
    bench_key key = {{0}};
    for (size_t i = 0; i < BENCH_KEY_LEN; i++, bits >>= 6) {
        key.text[i] = BENCH_KEY_ALPHABET[bits & 63];
    }
    return key;
}

/* The most bits a weight can have, so that n of them fit into 63. */
static unsigned weight_bits(size_t n) {
    unsigned bits = 63;
    for (size_t reach = 1; reach < n; reach *= 2) {
        bits--;
    }
    return bits;
}

static void sum_weights(bench_zipf *z, unsigned exponent_percent) {
    unsigned bits = weight_bits(z->n);
    uint64_t sum = 0;
    for (size_t rank = 0; rank < z->n; rank++) {
        sum += exact_power(rank + 1, exponent_percent, bits);
        z->below[rank] = sum;
    }
}

/* As many cells as ranks: on average, a cell begins one or two ranks before
 * the one that is looked for. Rounded up, the last cells may begin beyond the
 * line's end; no draw gets there. */
static void build_guide(bench_zipf *z) {
    z->cell = z->below[z->n - 1] / z->n + 1;
    uint32_t rank = 0;
    for (size_t i = 0; i < z->n; i++) {
        while (rank < z->n - 1 && z->below[rank] <= i * z->cell) {
            rank++;
        }
        z->guide[i] = rank;
    }
}

status bench_zipf_create(size_t n, unsigned exponent_percent,
                         bench_zipf **out) {
    if (n < 1 || n > BENCH_ZIPF_MAX
        || exponent_percent > BENCH_EXPONENT_PERCENT_MAX) {
        return STATUS_INVALID;
    }
    bench_zipf *z = malloc(sizeof *z + n * sizeof z->below[0]);
    if (!z) {
        return STATUS_NO_MEMORY;
    }
    z->guide = malloc(n * sizeof *z->guide);
    if (!z->guide) {
        free(z);
        return STATUS_NO_MEMORY;
    }
    z->n = n;
    sum_weights(z, exponent_percent);
    build_guide(z);
    *out = z;
    return STATUS_OK;
}

/* The point lies before the end of the last rank, so the walk ends. */
size_t bench_zipf_next(const bench_zipf *z, uint64_t *state) {
    uint64_t point = exact_scale(bench_random(state), z->below[z->n - 1]);
    size_t rank = z->guide[point / z->cell];
    while (z->below[rank] <= point) {
        rank++;
    }
    return rank;
}

void bench_zipf_destroy(bench_zipf *z) {
    if (z) {
        free(z->guide);
        free(z);
    }
}

/* -- all times in little memory ------------------------------------------- */

/* A double is a histogram's bucket number already. Its exponent stands above
 * its fraction, so the upper bits of both, taken as one whole number, count up
 * through the powers of two and through 64 steps within each. */
_Static_assert(DBL_MANT_DIG == 53, "doubles of 64 bits, as in IEEE 754");
enum { CUT_BITS = DBL_MANT_DIG - 1 - FINE_BITS };
#define BITS_OF_ONE ((uint64_t)(DBL_MAX_EXP - 1) << FINE_BITS) /* of 1.0 */

static size_t bucket_of(int64_t ns) {
    double value = (double)ns;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return ns == 0 ? 0 : 1 + (size_t)((bits >> CUT_BITS) - BITS_OF_ONE);
}

/* The least number in a bucket. */
static double edge_of(size_t bucket) {
    uint64_t bits = (bucket - 1 + BITS_OF_ONE) << CUT_BITS;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* At most half a bucket, or 1/128, from all that is in it. */
static int64_t middle_of(size_t bucket) {
    return bucket == 0 ? 0
                       : (int64_t)((edge_of(bucket) + edge_of(bucket + 1)) / 2);
}

bench_histogram *bench_histogram_create(void) {
    bench_histogram *h = calloc(1, sizeof *h);
    if (h) {
        h->least = INT64_MAX;
    }
    return h;
}

status bench_histogram_record(bench_histogram *h, int64_t ns) {
    if (ns < 0) {
        return STATUS_INVALID;
    }
    h->buckets[bucket_of(ns < BENCH_NS_MAX ? ns : BENCH_NS_MAX)]++;
    h->count++;
    h->sum += (double)ns;
    h->least = ns < h->least ? ns : h->least;
    h->most = ns > h->most ? ns : h->most;
    return STATUS_OK;
}

void bench_histogram_add(bench_histogram *h, const bench_histogram *from) {
    for (size_t i = 0; i < BUCKETS; i++) {
        h->buckets[i] += from->buckets[i];
    }
    h->count += from->count;
    h->sum += from->sum;
    h->least = from->least < h->least ? from->least : h->least;
    h->most = from->most > h->most ? from->most : h->most;
}

bench_summary bench_histogram_summary(const bench_histogram *h) {
    if (h->count == 0) {
        return (bench_summary){0};
    }
    return (bench_summary){
        .count = h->count,
        .least_ns = h->least,
        .most_ns = h->most,
        .mean_ns = h->sum / (double)h->count,
    };
}

/* count * per_million / 10^6, rounded up. Whole millions are divided before
 * they are multiplied: the product of all could be beyond 64 bits. */
static uint64_t rank_of(uint64_t count, uint32_t per_million) {
    return count / 1000000 * per_million
           + (count % 1000000 * per_million + 999999) / 1000000;
}

int64_t bench_histogram_percentile(const bench_histogram *h,
                                   uint32_t per_million) {
    assert(per_million <= 1000000);
    uint64_t wanted = rank_of(h->count, per_million);
    if (wanted == h->count) {
        return h->most;
    }
    size_t bucket = 0;
    uint64_t seen = h->buckets[0];
    while (seen < wanted || seen == 0) { /* wanted is less than all there are */
        seen += h->buckets[++bucket];
    }
    int64_t middle = middle_of(bucket);
    return middle < h->least ? h->least : middle > h->most ? h->most : middle;
}

void bench_histogram_destroy(bench_histogram *h) {
    free(h);
}

/* -- results -------------------------------------------------------------- */

static bool is_label(const char *text) {
    size_t len = strlen(text);
    return len >= 1 && len <= BENCH_LABEL_MAX && strcspn(text, "\t\r\n") == len;
}

static struct point *find(const bench_report *r, const char *implementation,
                          const char *operation, size_t size) {
    for (size_t i = 0; i < r->count; i++) {
        struct point *p = &r->points[i];
        if (p->size == size && strcmp(p->operation, operation) == 0
            && strcmp(p->implementation, implementation) == 0) {
            return p;
        }
    }
    return NULL;
}

/* Returns: a point without values; NULL without memory. */
static struct point *append(bench_report *r, const char *implementation,
                            const char *operation, size_t size) {
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 16;
        struct point *points = realloc(r->points, capacity * sizeof *points);
        if (!points) {
            return NULL;
        }
        r->points = points;
        r->capacity = capacity;
    }
    struct point *p = &r->points[r->count++];
    memcpy(p->implementation, implementation, strlen(implementation) + 1);
    memcpy(p->operation, operation, strlen(operation) + 1);
    p->size = size;
    p->runs = 0;
    return p;
}

bench_report *bench_report_create(void) {
    return calloc(1, sizeof(bench_report));
}

status bench_report_add(bench_report *r, const char *implementation,
                        const char *operation, size_t size, double value) {
    if (!is_label(implementation) || !is_label(operation) || !isfinite(value)) {
        return STATUS_INVALID;
    }
    if (!r) {
        return STATUS_OK;
    }
    struct point *p = find(r, implementation, operation, size);
    if (!p) {
        p = append(r, implementation, operation, size);
    }
    if (!p) {
        return STATUS_NO_MEMORY;
    }
    if (p->runs == BENCH_RUNS_MAX) {
        return STATUS_TOO_LARGE;
    }
    p->values[p->runs++] = value;
    return STATUS_OK;
}

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median_of_sorted(const double *values, size_t count) {
    double upper = values[count / 2];
    return count % 2 ? upper : (values[count / 2 - 1] + upper) / 2;
}

bool bench_report_next(const bench_report *r, size_t *cursor,
                       bench_figure *figure) {
    if (*cursor >= r->count) {
        return false;
    }
    struct point sorted = r->points[*cursor];
    qsort(sorted.values, sorted.runs, sizeof sorted.values[0], by_value);
    *figure = (bench_figure){
        .implementation = r->points[*cursor].implementation,
        .operation = r->points[*cursor].operation,
        .size = sorted.size,
        .runs = sorted.runs,
        .median = median_of_sorted(sorted.values, sorted.runs),
        .least = sorted.values[0],
        .most = sorted.values[sorted.runs - 1],
    };
    ++*cursor;
    return true;
}

typedef struct sink {
    void (*write)(void *context, bytes text);
    void *context;
} sink;

/* Longer than any row: two labels and four numbers. */
enum { LINE_MAX_BYTES = 256 };

static void print(const sink *out, const char *format, ...) {
    char line[LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    out->write(out->context, bytes_of(line));
}

/* A comment of any length. */
static void print_comment(const sink *out, const char *start,
                          const char *text) {
    if (text) {
        out->write(out->context, bytes_of(start));
        out->write(out->context, bytes_of(text));
        out->write(out->context, bytes_of("\n"));
    }
}

static void print_figures(const bench_report *r, const sink *out, bool counts) {
    bench_figure f;
    for (size_t cursor = 0; bench_report_next(r, &cursor, &f);) {
        print(out, "%s\t%s\t%zu\t%.6g", f.implementation, f.operation, f.size,
              f.median);
        if (!counts) {
            print(out, "\t%.6g\t%.6g", f.least, f.most);
        }
        print(out, "\n");
    }
}

/* The cost comes first: it can fail, and then nothing has been written. */
status bench_report_write(const bench_report *r, const bench_table *table,
                          void (*write)(void *context, bytes text),
                          void *context) {
    sink out = {write, context};
    double cost_ns = 0;
    status s = table->counts ? STATUS_OK : bench_cost(&table->clock, &cost_ns);
    if (s != STATUS_OK) {
        return s;
    }
    print_comment(&out, "# ", table->title);
    print_comment(&out, "# machine: ", table->machine);
    if (!table->counts) {
        print(&out, "# harness: %.1f ns per operation\n", cost_ns);
    }
    print(&out, "implementation\toperation\tsize\t%s\n",
          table->counts ? "value" : "median\tmin\tmax");
    print_figures(r, &out, table->counts);
    return STATUS_OK;
}

void bench_report_destroy(bench_report *r) {
    if (r) {
        free(r->points);
        free(r);
    }
}

/* -- runs -------------------------------------------------------------------
 */

/* One round of all, begun by contender `first`. */
static status take_turns(bench_report *report, size_t contenders, size_t first,
                         bench_turn *turn, void *context) {
    for (size_t i = 0; i < contenders; i++) {
        status s = turn(context, (first + i) % contenders, report);
        if (s != STATUS_OK) {
            return s;
        }
    }
    return STATUS_OK;
}

status bench_interleave(bench_report *report, bench_plan plan, bench_turn *turn,
                        void *context) {
    size_t runs = plan.runs ? plan.runs : DEFAULT_RUNS;
    if (plan.contenders == 0 || runs > BENCH_RUNS_MAX) {
        return STATUS_INVALID;
    }
    status s = STATUS_OK;
    if (!plan.cold) {
        s = take_turns(NULL, plan.contenders, 0, turn, context);
    }
    for (size_t run = 0; s == STATUS_OK && run < runs; run++) {
        s = take_turns(report, plan.contenders, run, turn, context);
    }
    return s;
}

/* The results go nowhere, and are computed nevertheless: what a function
 * behind a pointer does, the compiler cannot know. */
static void warm_up(const bench_work *work, uint64_t count) {
    uint64_t first_tenth = count / 10 + (count % 10 != 0);
    for (uint64_t i = 0; i < first_tenth; i++) {
        work->operation(work->context, i);
    }
}

/* The end of one operation is the start of the next: one reading for each,
 * where two would double the cost. */
static status closed_loop(const bench_work *work, uint64_t count,
                          const bench_clock *clock, bench_histogram *h,
                          uint64_t *sum) {
    uint64_t total = 0;
    int64_t start = now_on(clock);
    for (uint64_t i = 0; i < count; i++) {
        total += work->operation(work->context, i);
        int64_t end = now_on(clock);
        if (bench_histogram_record(h, end - start) != STATUS_OK) {
            return STATUS_BACKEND;
        }
        start = end;
    }
    *sum = total;
    return STATUS_OK;
}

/* When an operation is due depends on the start alone. One that begins late,
 * because another was slow, has been waiting, and the wait counts. */
static status open_loop(const bench_work *work, uint64_t count,
                        const bench_options *options, bench_histogram *h,
                        uint64_t *sum) {
    uint64_t total = 0;
    int64_t due = now_on(&options->clock);
    for (uint64_t i = 0; i < count; i++, due += options->interval_ns) {
        wait_on(&options->clock, due);
        total += work->operation(work->context, i);
        int64_t end = now_on(&options->clock);
        if (bench_histogram_record(h, end - due) != STATUS_OK) {
            return STATUS_BACKEND;
        }
    }
    *sum = total;
    return STATUS_OK;
}

/* Half of the range is for the run, half for where the clock stands. */
static bool in_range(uint64_t count, int64_t interval_ns) {
    return count > 0 && interval_ns >= 0
           && (interval_ns == 0
               || count <= (uint64_t)(INT64_MAX / 2 / interval_ns));
}

status bench_run(const bench_work *work, uint64_t count,
                 const bench_options *options, bench_histogram *h,
                 uint64_t *sum) {
    static const bench_options defaults = {0};
    const bench_options *o = options ? options : &defaults;
    if (!in_range(count, o->interval_ns)) {
        return STATUS_INVALID;
    }
    status s = work->prepare ? work->prepare(work->context, count) : STATUS_OK;
    if (s != STATUS_OK) {
        return s;
    }
    if (!o->cold) {
        warm_up(work, count);
    }
    return o->interval_ns > 0 ? open_loop(work, count, o, h, sum)
                              : closed_loop(work, count, &o->clock, h, sum);
}

static uint64_t do_nothing(void *context, uint64_t number) {
    (void)context;
    return number;
}

/* Only operations that do nothing: what is left of each time is the loop. */
static status mean_of_nothing(const bench_options *options, double *ns) {
    bench_work nothing = {.operation = do_nothing};
    bench_histogram *h = bench_histogram_create();
    if (!h) {
        return STATUS_NO_MEMORY;
    }
    uint64_t sum;
    status s = bench_run(&nothing, COST_OPERATIONS, options, h, &sum);
    *ns = bench_histogram_summary(h).mean_ns;
    bench_histogram_destroy(h);
    return s;
}

status bench_cost(const bench_clock *clock, double *ns) {
    bench_options options = {.clock = clock ? *clock : (bench_clock){0}};
    double means[COST_ROUNDS];
    for (size_t i = 0; i < COST_ROUNDS; i++) {
        status s = mean_of_nothing(&options, &means[i]);
        if (s != STATUS_OK) {
            return s;
        }
    }
    qsort(means, COST_ROUNDS, sizeof means[0], by_value);
    *ns = median_of_sorted(means, COST_ROUNDS);
    return STATUS_OK;
}
