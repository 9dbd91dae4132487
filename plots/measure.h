/* measure: what the benches of the workbook share beside bench (lesson 13),
 * which is what they measure with.
 *
 * A bench program loads implementations of a lesson's header (the reference,
 * yours) from shared objects, so that both run in one process, are called in
 * the same way, and take turns with their peers.
 *
 * A bench program has nobody to hand an error to: what goes wrong ends it with
 * one line on stderr. */
#ifndef PLOTS_MEASURE_H
#define PLOTS_MEASURE_H

#include "bench.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* -- ending ------------------------------------------------------------- */

/* Prints the line, made as by printf, and ends the program with status 1. */
_Noreturn void measure_die(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Memory full of zeros, or the end of the program. */
void *measure_alloc(size_t count, size_t size);

/* -- how much to measure ------------------------------------------------ */

/* BENCH_QUICK=1 in the environment: smaller sizes and three runs. */
bool measure_quick(void);

/* BENCH_RUNS in the environment, or 5; 3 when quick. */
size_t measure_runs(void);

/* -- memory ------------------------------------------------------------- */

/* Makes malloc keep what it was given. Blocks come from the heap alone and
 * the heap never shrinks, so after one warm-up round nobody pays for page
 * faults that another one did not. */
void measure_keep_memory(void);

/* Joins the small blocks that were freed into large ones again, so that the
 * next to run does not inherit the holes of the one before. */
void measure_tidy_memory(void);

/* -- implementations ---------------------------------------------------- */

/* Opens "label=path.so" and cuts the label off in place.
 * Returns: a handle for measure_function. */
void *measure_open(char *argument);

/* Fetches one function of the lesson.
 * function: out, a pointer to a function pointer. */
void measure_function(void *handle, const char *name, void *function);

/* Calls ask(context). A function of its own, in a file of its own, because
 * callgrind counts from its start to its end (instructions.sh). */
void measure_ask(void (*ask)(void *context), void *context);

/* -- bench (lesson 13), whose failures end the program ------------------ */

bench_report *measure_report(void);

bench_zipf *measure_zipf(size_t n, unsigned exponent_percent);

/* Notes what one run gave. r: NULL in a warm-up. */
void measure_add(bench_report *r, const char *implementation,
                 const char *operation, size_t size, double value);

/* Runs a command that prints lines of implementation, operation, size and
 * value, and adds them.
 * Returns: whether the command ended well. */
bool measure_add_from(bench_report *r, const char *command);

/* A round to warm up, then measure_runs() runs. */
void measure_interleave(bench_report *r, size_t contenders, bench_turn *turn,
                        void *context);

/* Writes median, min and max per point to stdout. what: the make target and
 * the units. */
void measure_print_times(const bench_report *r, const char *what);

/* Writes one value per point to stdout: for counts, which do not vary. */
void measure_print_counts(const bench_report *r, const char *what);

#endif
