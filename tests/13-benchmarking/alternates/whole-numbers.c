/* bench, built otherwise: buckets by shifting whole numbers, two readings of
 * the clock for each operation, Zipf by halving, figures in a linked list. */
#include "bench.h"

#include "exact.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Times below 128 have a bucket each. Above, each power of two has 64, told
 * apart by the six bits behind the leading one. */
enum { FINE = 64, BUCKETS = 30 * FINE + 2 * FINE };

struct bench_zipf {
    size_t n;
    uint64_t below[];
};

struct bench_histogram {
    bench_summary ends; /* mean_ns: the sum */
    uint64_t buckets[BUCKETS];
};

struct figure {
    struct figure *next;
    char names[2][BENCH_LABEL_MAX + 1];
    size_t size, runs;
    double values[BENCH_RUNS_MAX]; /* sorted */
};

struct bench_report {
    struct figure *first;
};

int64_t bench_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint64_t bench_random(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

/* 2^64 has `rest` numbers too many for whole stretches of n; the last ones are
 * not taken. At least half of all numbers are, so the loop ends. */
uint64_t bench_random_below(uint64_t *state, uint64_t n) {
    assert(n > 0);
    uint64_t rest = (UINT64_MAX % n + 1) % n;
    uint64_t x = bench_random(state);
    while (x > UINT64_MAX - rest) {
        x = bench_random(state);
    }
    return x % n;
}

bench_key bench_random_key(uint64_t *state) {
    bench_key key = {{0}};
    uint64_t bits = bench_random(state);
    for (unsigned i = 0; i < BENCH_KEY_LEN; i++) {
        key.text[i] = BENCH_KEY_ALPHABET[(bits >> 6 * i) % 64];
    }
    return key;
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
    z->n = n;
    unsigned bits = 63;
    while (n > (uint64_t)1 << (63 - bits)) { /* down to 36 at most */
        bits--;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += exact_power(i + 1, exponent_percent, bits);
        z->below[i] = sum;
    }
    *out = z;
    return STATUS_OK;
}

size_t bench_zipf_next(const bench_zipf *z, uint64_t *state) {
    uint64_t point = exact_scale(bench_random(state), z->below[z->n - 1]);
    size_t low = 0;
    size_t high = z->n - 1;
    while (low < high) { /* each turn halves what is left */
        size_t middle = low + (high - low) / 2;
        if (z->below[middle] <= point) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void bench_zipf_destroy(bench_zipf *z) {
    free(z);
}

static size_t bucket_of(uint64_t ns) {
    unsigned shift = 0;
    for (unsigned step = 32; step > 0; step /= 2) {
        if (ns >> shift >> step >= FINE) {
            shift += step;
        }
    }
    return shift * FINE + (size_t)(ns >> shift);
}

/* Bucket b counts the times from (b - shift * 64) << shift on. */
static int64_t middle_of(size_t bucket) {
    unsigned shift = bucket < 2 * FINE ? 0 : (unsigned)(bucket / FINE) - 1;
    int64_t width = INT64_C(1) << shift;
    return ((int64_t)(bucket - shift * FINE)) * width + width / 2;
}

bench_histogram *bench_histogram_create(void) {
    return calloc(1, sizeof(bench_histogram));
}

static void widen(bench_summary *ends, bench_summary by) {
    if (ends->count == 0 || (by.count > 0 && by.least_ns < ends->least_ns)) {
        ends->least_ns = by.least_ns;
    }
    if (by.most_ns > ends->most_ns) {
        ends->most_ns = by.most_ns;
    }
    ends->mean_ns += by.mean_ns;
    ends->count += by.count;
}

status bench_histogram_record(bench_histogram *h, int64_t ns) {
    if (ns < 0) {
        return STATUS_INVALID;
    }
    int64_t kept = ns < BENCH_NS_MAX ? ns : BENCH_NS_MAX;
    h->buckets[bucket_of((uint64_t)kept)]++;
    widen(&h->ends, (bench_summary){1, ns, ns, (double)ns});
    return STATUS_OK;
}

void bench_histogram_add(bench_histogram *h, const bench_histogram *from) {
    for (size_t i = 0; i < BUCKETS; i++) {
        h->buckets[i] += from->buckets[i];
    }
    widen(&h->ends, from->ends);
}

bench_summary bench_histogram_summary(const bench_histogram *h) {
    bench_summary s = h->ends;
    s.mean_ns = s.count > 0 ? s.mean_ns / (double)s.count : 0;
    return s;
}

/* From the other end: so many may exceed what is looked for. */
int64_t bench_histogram_percentile(const bench_histogram *h,
                                   uint32_t per_million) {
    assert(per_million <= 1000000);
    uint64_t count = h->ends.count;
    uint64_t rest = count % 1000000 * per_million;
    uint64_t wanted =
        count / 1000000 * per_million + rest / 1000000 + (rest % 1000000 > 0);
    uint64_t may_exceed = count - (wanted > 0 || count == 0 ? wanted : 1);
    if (may_exceed == 0) {
        return h->ends.most_ns;
    }
    size_t bucket = BUCKETS - 1;
    uint64_t seen = h->buckets[bucket];
    while (seen <= may_exceed) { /* all together are more than may */
        seen += h->buckets[--bucket];
    }
    int64_t middle = middle_of(bucket);
    if (middle > h->ends.most_ns) {
        return h->ends.most_ns;
    }
    return middle < h->ends.least_ns ? h->ends.least_ns : middle;
}

void bench_histogram_destroy(bench_histogram *h) {
    free(h);
}

bench_report *bench_report_create(void) {
    return calloc(1, sizeof(bench_report));
}

static bool fits(const char *name) {
    return *name != '\0' && strlen(name) <= BENCH_LABEL_MAX
           && !strpbrk(name, "\t\r\n");
}

static bool is_named(const struct figure *f, const char *implementation,
                     const char *operation, size_t size) {
    return f->size == size && strcmp(f->names[0], implementation) == 0
           && strcmp(f->names[1], operation) == 0;
}

static void insert(struct figure *f, double value) {
    size_t at = f->runs++;
    for (; at > 0 && f->values[at - 1] > value; at--) {
        f->values[at] = f->values[at - 1];
    }
    f->values[at] = value;
}

status bench_report_add(bench_report *r, const char *implementation,
                        const char *operation, size_t size, double value) {
    if (!fits(implementation) || !fits(operation) || isnan(value)
        || isinf(value)) {
        return STATUS_INVALID;
    }
    struct figure **at = r ? &r->first : NULL;
    while (at && *at && !is_named(*at, implementation, operation, size)) {
        at = &(*at)->next;
    }
    if (at && !*at) {
        *at = calloc(1, sizeof **at);
        if (!*at) {
            return STATUS_NO_MEMORY;
        }
        (*at)->size = size;
        memcpy((*at)->names[0], implementation, strlen(implementation));
        memcpy((*at)->names[1], operation, strlen(operation));
    }
    if (at && (*at)->runs == BENCH_RUNS_MAX) {
        return STATUS_TOO_LARGE;
    }
    if (at) {
        insert(*at, value);
    }
    return STATUS_OK;
}

bool bench_report_next(const bench_report *r, size_t *cursor,
                       bench_figure *figure) {
    const struct figure *f = r->first;
    for (size_t i = 0; f && i < *cursor; i++) {
        f = f->next;
    }
    if (!f) {
        return false;
    }
    double low = f->values[(f->runs - 1) / 2];
    double high = f->values[f->runs / 2];
    *figure = (bench_figure){
        f->names[0],  f->names[1],           f->size, f->runs, (low + high) / 2,
        f->values[0], f->values[f->runs - 1]};
    ++*cursor;
    return true;
}

status bench_report_write(const bench_report *r, const bench_table *table,
                          void (*write)(void *context, bytes text),
                          void *context) {
    char line[256];
    double cost_ns;
    if (!table->counts) {
        status s = bench_cost(&table->clock, &cost_ns);
        if (s != STATUS_OK) {
            return s;
        }
    }
    const char *comments[] = {"# ", table->title,
                              "# machine: ", table->machine};
    for (size_t i = 1; i < 4; i += 2) {
        if (comments[i]) {
            write(context, bytes_of(comments[i - 1]));
            write(context, bytes_of(comments[i]));
            write(context, bytes_of("\n"));
        }
    }
    if (!table->counts) {
        snprintf(line, sizeof line, "# harness: %.1f ns per operation\n",
                 cost_ns);
        write(context, bytes_of(line));
    }
    write(context, bytes_of("implementation\toperation\tsize\t"));
    write(context, bytes_of(table->counts ? "value\n" : "median\tmin\tmax\n"));
    bench_figure f;
    for (size_t cursor = 0; bench_report_next(r, &cursor, &f);) {
        int used = snprintf(line, sizeof line, "%s\t%s\t%zu\t%.6g",
                            f.implementation, f.operation, f.size, f.median);
        if (!table->counts) {
            snprintf(line + used, sizeof line - (size_t)used, "\t%.6g\t%.6g",
                     f.least, f.most);
        }
        write(context, bytes_of(line));
        write(context, bytes_of("\n"));
    }
    return STATUS_OK;
}

void bench_report_destroy(bench_report *r) {
    while (r && r->first) {
        struct figure *f = r->first;
        r->first = f->next;
        free(f);
    }
    free(r);
}

/* All turns in one count, the warm-up's too. */
status bench_interleave(bench_report *report, bench_plan plan, bench_turn *turn,
                        void *context) {
    size_t n = plan.contenders;
    size_t runs = plan.runs ? plan.runs : 5;
    if (n == 0 || runs > BENCH_RUNS_MAX) {
        return STATUS_INVALID;
    }
    status s = STATUS_OK;
    for (size_t t = plan.cold ? n : 0; s == STATUS_OK && t < (runs + 1) * n;
         t++) {
        size_t run = t / n;
        size_t first = run ? run - 1 : 0;
        s = turn(context, (t + first) % n, run ? report : NULL);
    }
    return s;
}

static int64_t read_machine(void *context) {
    (void)context;
    return bench_now_ns();
}

static void wait_for_machine(void *context, int64_t until) {
    (void)context;
    while (bench_now_ns() < until) { /* it goes on by itself */
    }
}

static bench_clock clock_or_machine(bench_clock clock) {
    bench_clock machine = {read_machine, wait_for_machine, NULL};
    return clock.now_ns ? clock : machine;
}

status bench_run(const bench_work *work, uint64_t count,
                 const bench_options *options, bench_histogram *h,
                 uint64_t *sum) {
    bench_options o = options ? *options : (bench_options){0};
    bench_clock clock = clock_or_machine(o.clock);
    if (count == 0 || o.interval_ns < 0
        || (o.interval_ns > 0
            && count > (uint64_t)(INT64_MAX / 2 / o.interval_ns))) {
        return STATUS_INVALID;
    }
    status s = STATUS_OK;
    if (work->prepare) {
        s = work->prepare(work->context, count);
    }
    for (uint64_t i = 0; s == STATUS_OK && !o.cold && i < (count + 9) / 10;
         i++) {
        work->operation(work->context, i);
    }
    uint64_t total = 0;
    int64_t start = s == STATUS_OK ? clock.now_ns(clock.context) : 0;
    for (uint64_t i = 0; s == STATUS_OK && i < count; i++) {
        int64_t from = start + (int64_t)i * o.interval_ns;
        if (o.interval_ns > 0) {
            clock.wait_until(clock.context, from);
        } else {
            from = clock.now_ns(clock.context);
        }
        total += work->operation(work->context, i);
        int64_t took = clock.now_ns(clock.context) - from;
        s = bench_histogram_record(h, took) == STATUS_OK ? STATUS_OK
                                                         : STATUS_BACKEND;
    }
    if (s == STATUS_OK) {
        *sum = total;
    }
    return s;
}

static uint64_t nothing(void *context, uint64_t number) {
    (void)context;
    return number;
}

/* By its own two readings around a whole run of nothing. */
status bench_cost(const bench_clock *clock, double *ns) {
    enum { RUNS = 7, COUNT = 2000 };
    bench_work work = {.operation = nothing};
    bench_options o = {.clock =
                           clock_or_machine(clock ? *clock : (bench_clock){0})};
    struct figure runs = {.size = 0};
    for (size_t i = 0; i < RUNS; i++) {
        uint64_t sum;
        bench_histogram *h = bench_histogram_create();
        if (!h) {
            return STATUS_NO_MEMORY;
        }
        int64_t start = o.clock.now_ns(o.clock.context);
        status s = bench_run(&work, COUNT, &o, h, &sum);
        int64_t end = o.clock.now_ns(o.clock.context);
        bench_histogram_destroy(h);
        if (s != STATUS_OK) {
            return s;
        }
        insert(&runs, (double)(end - start) / COUNT);
    }
    *ns = runs.values[RUNS / 2];
    return STATUS_OK;
}
