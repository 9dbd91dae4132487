/* check: how the tests of this workbook are written.
 *
 *     TEST(a_second_set_replaces_the_value, "P3", "1.3") {
 *         kv *kv = ...;
 *         want_text(kv_get(kv, "name"), "Bob",
 *                   "set name=Alice, set name=Bob, get name",
 *                   "the second set must look for the key first");
 *         kv_destroy(kv);
 *     }
 *
 * The same file is built twice: with runner_criterion.c every test is a
 * Criterion test in a process of its own; with runner_plain.c all run in one
 * process, which is what Valgrind, Helgrind and ThreadSanitizer need. (The
 * grader has a third one, tests/grade/runner_fork.c.)
 *
 * Around each body the runner counts the heap: what the test allocated and
 * nobody freed makes that very test fail, with the line that allocated it. */
#ifndef SUPPORT_CHECK_H
#define SUPPORT_CHECK_H

#include "common/bytes.h"
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One test: its name is a sentence, `promise` the number of the promise in
 * the lesson's header that it holds the code to, `step` the TODO step that
 * makes it pass. Tests stand in the order of the steps. */
typedef struct test {
    const char *name;
    const char *promise;
    const char *step;
    const char *file;
    int line;
    void (*body)(void);
    struct test *next;
} test;

#if defined(PLAIN_RUNNER) || defined(FORK_RUNNER)
#define CHECK_RUNNER_TEST(test_name)
#else
#include <criterion/criterion.h>
#define CHECK_RUNNER_TEST(test_name) \
    Test(lesson, test_name) {        \
        test_run(&test_name##_test); \
    }
#endif

#define TEST(test_name, promise_number, step_number)                      \
    static void test_name##_body(void);                                   \
    static test test_name##_test = {                                      \
        #test_name, promise_number,   step_number, __FILE__,              \
        __LINE__,   test_name##_body, NULL};                              \
    __attribute__((constructor)) static void test_name##_register(void) { \
        test_register(&test_name##_test);                                 \
    }                                                                     \
    CHECK_RUNNER_TEST(test_name)                                          \
    static void test_name##_body(void)

/* Expectations. Each takes what came, what was wanted, what was done to get
 * there, and the likely cause; each fails the running test when they differ.
 * `did` and `likely` are printf formats in want_that only. */
#define want_int(got, want, did, likely) \
    check_int((long long)(got), (long long)(want), CHECK_HERE, did, likely)
#define want_true(got, did, likely) \
    check_bool(got, true, CHECK_HERE, did, likely)
#define want_false(got, did, likely) \
    check_bool(got, false, CHECK_HERE, did, likely)
#define want_status(got, want, did, likely) \
    check_status(got, want, CHECK_HERE, did, likely)
#define want_text(got, want, did, likely) \
    check_text(got, want, CHECK_HERE, did, likely)
#define want_pointer(got, want, did, likely) \
    check_pointer(got, want, CHECK_HERE, did, likely)
#define want_bytes(got, want, did, likely) \
    check_bytes(got, want, CHECK_HERE, did, likely)
/* got <= limit, for counts of work and memory. */
#define want_at_most(got, limit, did, likely)                             \
    check_at_most((unsigned long long)(got), (unsigned long long)(limit), \
                  CHECK_HERE, did, likely)
/* Anything else: fails with a message of your own unless `holds`. */
#define want_that(holds, ...) check_that(holds, CHECK_HERE, __VA_ARGS__)

/* Ends the running test as skipped: something that it needs is not here. A
 * skipped test never counts as passed. */
_Noreturn void test_skip(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Lets the running test take so many seconds, if that is more than others
 * may: for one that starts what is slow to start. */
void test_allow(unsigned seconds);

/* A seed for this run's random choices: TEST_SEED from the environment, or a
 * fixed one. A failure prints it. */
uint64_t test_seed(void);

/* The next of a reproducible stream of random numbers (SplitMix64). */
uint64_t test_random(uint64_t *state);

/* Runs of a size that takes a moment natively take minutes under Valgrind:
 * `full` natively, `less` where every instruction costs more. */
size_t test_scale(size_t full, size_t less);

/* For a process that a test has forked: it will end with the test, however
 * that ends, also if that was a moment ago. */
void test_ends_us(void);

/* A text made by printf, in one of eight buffers used in turn. */
const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A fixture may bring this: called once for all tests of a run, in the process
 * that starts them, before the first. What it starts lives as long as that
 * process, and what it puts into the environment reaches every test. */
void test_prepare(void) __attribute__((weak));

/* --- for the runners -------------------------------------------------- */

typedef struct check_here {
    const char *file;
    int line;
} check_here;

#define CHECK_HERE ((check_here){__FILE__, __LINE__})

void test_register(test *t);
test *test_first(void); /* all tests, in the order of their lines */
void test_run(test *t); /* a test's body between two counts of the heap */

/* Ends the running test as failed, from any of its threads or children.
 * message: its kind, two blanks, and the rest. */
_Noreturn void test_end(const char *message);

/* Says that this process is a child of the test's: its failure goes to `why`,
 * memory shared with the parent, and ends it with status 1. */
void test_is_child(char *why, size_t size);

/* Each runner brings these: what it does around a body, and two ways to end
 * the running test. */
void runner_begin(const char *test_name);
void runner_end(void);
_Noreturn void runner_fail(const char *message);
_Noreturn void runner_skip(const char *message);

void check_int(long long got, long long want, check_here at, const char *did,
               const char *likely);
void check_bool(bool got, bool want, check_here at, const char *did,
                const char *likely);
void check_status(status got, status want, check_here at, const char *did,
                  const char *likely);
void check_text(const char *got, const char *want, check_here at,
                const char *did, const char *likely);
void check_pointer(const void *got, const void *want, check_here at,
                   const char *did, const char *likely);
void check_bytes(bytes got, bytes want, check_here at, const char *did,
                 const char *likely);
void check_at_most(unsigned long long got, unsigned long long limit,
                   check_here at, const char *did, const char *likely);
void check_that(bool holds, check_here at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
