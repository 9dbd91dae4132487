/* measure: clock, chance, loading and results for the benches. */
#include "measure.h"

#include <dlfcn.h>
#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RUNS_MAX = 99, WORD_MAX = 24 };

typedef struct point {
    char implementation[WORD_MAX];
    char operation[WORD_MAX];
    size_t size;
    size_t runs;
    double values[RUNS_MAX];
} point;

struct report {
    point *points;
    size_t count, capacity;
};

void measure_die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void *measure_alloc(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) {
        measure_die("bench: no memory for %zu times %zu bytes", count, size);
    }
    return memory;
}

bool measure_quick(void) {
    const char *text = getenv("BENCH_QUICK");
    return text && strcmp(text, "1") == 0;
}

size_t measure_runs(void) {
    const char *text = getenv("BENCH_RUNS");
    if (!text) {
        return measure_quick() ? 3 : 5;
    }
    long runs = strtol(text, NULL, 10);
    if (runs < 1 || runs > RUNS_MAX) {
        measure_die("BENCH_RUNS: give a number from 1 to %d", RUNS_MAX);
    }
    return (size_t)runs;
}

int64_t measure_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* mallopt is GNU; with another C library the page faults stay in the figures
 * of whoever meets them. */
void measure_keep_memory(void) {
#ifdef M_MMAP_MAX
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, INT32_MAX);
    mallopt(M_TOP_PAD, 1 << 26);
#endif
}

/* Freed blocks of up to 128 bytes wait unjoined in glibc's fast bins, until
 * somebody frees a large one. */
void measure_tidy_memory(void) {
    free(measure_alloc(1, (size_t)1 << 20));
}

uint64_t measure_random(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

size_t measure_random_below(uint64_t *state, size_t n) {
    return (size_t)(measure_random(state) % n);
}

/* 60 random bits: among five million keys a pair of equal ones is as likely
 * as 1 in 100,000. */
key measure_random_key(uint64_t *state) {
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    uint64_t bits = measure_random(state);
    key k = {{0}};
    for (size_t i = 0; i < KEY_LEN; i++, bits >>= 6) {
        k.text[i] = alphabet[bits & 63];
    }
    return k;
}

zipf zipf_create(size_t n, double exponent) {
    zipf z = {measure_alloc(n, sizeof *z.below), n};
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += pow((double)(i + 1), -exponent);
        z.below[i] = sum;
    }
    return z;
}

size_t zipf_next(const zipf *z, uint64_t *state) {
    double unit = (double)(measure_random(state) >> 11) * 0x1p-53;
    double wanted = unit * z->below[z->n - 1];
    size_t low = 0;
    size_t high = z->n - 1;
    while (low < high) { /* each turn halves what is left */
        size_t middle = low + (high - low) / 2;
        if (z->below[middle] <= wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void zipf_destroy(zipf *z) {
    free(z->below);
    *z = (zipf){NULL, 0};
}

/* RTLD_LOCAL keeps two builds of one lesson apart, though their functions
 * bear the same names. RTLD_NOW resolves calls before the clock runs. */
void *measure_open(char *argument) {
    char *equals = strchr(argument, '=');
    if (!equals || equals == argument) {
        measure_die("bench: '%s' is not label=path.so", argument);
    }
    *equals = '\0';
    void *handle = dlopen(equals + 1, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        measure_die("bench: %s", dlerror());
    }
    return handle;
}

/* C has no conversion from object to function pointer; POSIX promises that
 * the bytes are the same. */
void measure_function(void *handle, const char *name, void *function) {
    void *symbol = dlsym(handle, name);
    if (!symbol) {
        measure_die("bench: %s", dlerror());
    }
    memcpy(function, &symbol, sizeof symbol);
}

void measure_ask(void (*ask)(void *context), void *context) {
    ask(context);
}

report *report_create(void) {
    return measure_alloc(1, sizeof(report));
}

static point *report_find(const report *r, const char *implementation,
                          const char *operation, size_t size) {
    for (size_t i = 0; i < r->count; i++) {
        point *p = &r->points[i];
        if (p->size == size && strcmp(p->operation, operation) == 0
            && strcmp(p->implementation, implementation) == 0) {
            return p;
        }
    }
    return NULL;
}

static point *report_append(report *r) {
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 64;
        point *points = realloc(r->points, capacity * sizeof *points);
        if (!points) {
            measure_die("bench: no memory for %zu results", capacity);
        }
        r->points = points;
        r->capacity = capacity;
    }
    point *p = &r->points[r->count++];
    *p = (point){.runs = 0};
    return p;
}

void report_add(report *r, const char *implementation, const char *operation,
                size_t size, double value) {
    point *p = report_find(r, implementation, operation, size);
    if (!p) {
        p = report_append(r);
        snprintf(p->implementation, WORD_MAX, "%s", implementation);
        snprintf(p->operation, WORD_MAX, "%s", operation);
        p->size = size;
    }
    if (p->runs == RUNS_MAX) {
        measure_die("bench: more than %d runs of %s", RUNS_MAX, operation);
    }
    p->values[p->runs++] = value;
}

bool report_add_from(report *r, const char *command) {
    FILE *lines = popen(command, "r");
    if (!lines) {
        return false;
    }
    char implementation[WORD_MAX];
    char operation[WORD_MAX];
    size_t size;
    double value;
    while (fscanf(lines, "%23s %23s %zu %lf", implementation, operation, &size,
                  &value)
           == 4) {
        report_add(r, implementation, operation, size, value);
    }
    return pclose(lines) == 0;
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

static void print_machine(void) {
    char line[256];
    char model[128] = "unknown processor";
    FILE *info = fopen("/proc/cpuinfo", "r");
    while (info && fgets(line, sizeof line, info)) {
        if (sscanf(line, "model name : %127[^\n]", model) == 1) {
            break;
        }
    }
    if (info) {
        fclose(info);
    }
    time_t now = time(NULL);
    char date[16];
    strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
    printf("# machine: %s, %ld cores, %s\n", model,
           sysconf(_SC_NPROCESSORS_ONLN), date);
}

void report_print_times(report *r, const char *what) {
    printf("# %s; median, min and max of %zu runs\n", what, measure_runs());
    print_machine();
    printf("implementation\toperation\tsize\tmedian\tmin\tmax\n");
    for (size_t i = 0; i < r->count; i++) {
        point *p = &r->points[i];
        qsort(p->values, p->runs, sizeof p->values[0], by_value);
        printf("%s\t%s\t%zu\t%.2f\t%.2f\t%.2f\n", p->implementation,
               p->operation, p->size, median_of_sorted(p->values, p->runs),
               p->values[0], p->values[p->runs - 1]);
    }
}

void report_print_counts(const report *r, const char *what) {
    printf("# %s\n", what);
    printf("implementation\toperation\tsize\tvalue\n");
    for (size_t i = 0; i < r->count; i++) {
        const point *p = &r->points[i];
        printf("%s\t%s\t%zu\t%.6g\n", p->implementation, p->operation, p->size,
               p->values[0]);
    }
}

void report_destroy(report *r) {
    free(r->points);
    free(r);
}

static void must(status s, const char *what) {
    if (s != STATUS_OK) {
        measure_die("bench: %s: %s", what, status_name(s));
    }
}

bench_report *measure_report(void) {
    bench_report *r = bench_report_create();
    must(r ? STATUS_OK : STATUS_NO_MEMORY, "report");
    return r;
}

bench_zipf *measure_zipf(size_t n, unsigned exponent_percent) {
    bench_zipf *z;
    must(bench_zipf_create(n, exponent_percent, &z), "zipf");
    return z;
}

void measure_add(bench_report *r, const char *implementation,
                 const char *operation, size_t size, double value) {
    must(bench_report_add(r, implementation, operation, size, value),
         operation);
}

bool measure_add_from(bench_report *r, const char *command) {
    FILE *lines = popen(command, "r");
    if (!lines) {
        return false;
    }
    char implementation[BENCH_LABEL_MAX + 1];
    char operation[BENCH_LABEL_MAX + 1];
    size_t size;
    double value;
    while (fscanf(lines, "%31s %31s %zu %lf", implementation, operation, &size,
                  &value)
           == 4) {
        measure_add(r, implementation, operation, size, value);
    }
    return pclose(lines) == 0;
}

void measure_interleave(bench_report *r, size_t contenders, bench_turn *turn,
                        void *context) {
    bench_plan plan = {.contenders = contenders, .runs = measure_runs()};
    must(bench_interleave(r, plan, turn, context), "interleave");
}

/* "Intel(R) Xeon(R) Processor, 2 cores, 2026-11-23" */
static void describe_machine(char *out, size_t size) {
    char line[256];
    char model[128] = "unknown processor";
    FILE *info = fopen("/proc/cpuinfo", "r");
    while (info && fgets(line, sizeof line, info)) {
        if (sscanf(line, "model name : %127[^\n]", model) == 1) {
            break;
        }
    }
    if (info) {
        fclose(info);
    }
    time_t now = time(NULL);
    char date[16];
    strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
    snprintf(out, size, "%s, %ld cores, %s", model,
             sysconf(_SC_NPROCESSORS_ONLN), date);
}

static void write_out(void *context, bytes text) {
    fwrite(text.data, 1, text.len, context);
}

void measure_print_times(const bench_report *r, const char *what) {
    char title[256];
    char machine[256];
    snprintf(title, sizeof title, "%s; median, min and max of %zu runs", what,
             measure_runs());
    describe_machine(machine, sizeof machine);
    bench_table table = {.title = title, .machine = machine};
    must(bench_report_write(r, &table, write_out, stdout), "table");
}

void measure_print_counts(const bench_report *r, const char *what) {
    bench_table table = {.title = what, .counts = true};
    must(bench_report_write(r, &table, write_out, stdout), "table");
}
