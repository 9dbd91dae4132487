/* measure: memory, loading, and bench for programs that end when it fails. */
#include "measure.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
    if (runs < 1 || runs > BENCH_RUNS_MAX) {
        measure_die("BENCH_RUNS: give a number from 1 to %d", BENCH_RUNS_MAX);
    }
    return (size_t)runs;
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
