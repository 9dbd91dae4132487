/* The runner with Criterion: each test in a process of its own, and a report
 * that other programs can read. Criterion's own formats do not do: its JSON
 * breaks on a quote in a message. */
#include "support/check.h"
#include "support/crash.h"
#include "support/guard.h"
#include "support/report.h"

#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void runner_begin(const char *test_name) {
    crash_watch(test_name);
}

void runner_end(void) {
    crash_unwatch();
}

_Noreturn void runner_fail(const char *message) {
    crash_unwatch(); /* what follows leaves the test on purpose */
    cr_assert_fail("%s", message);
    abort();
}

_Noreturn void runner_skip(const char *message) {
    crash_unwatch();
    cr_skip_test("%s", message);
    abort();
}

static const test *named(const char *name) {
    const test *t = test_first();
    while (t && strcmp(t->name, name) != 0) {
        t = t->next;
    }
    return t;
}

static const char *failed_message(const struct criterion_test_stats *stats) {
    for (const struct criterion_assert_stats *a = stats->asserts; a;
         a = a->next) {
        if (!a->passed && a->message) {
            return a->message;
        }
    }
    return NULL;
}

ReportHook(PRE_ALL)(struct criterion_test_set *set) {
    (void)set;
    report_begin();
    if (test_prepare) {
        test_prepare();
    }
}

static void put_test(struct criterion_test_stats *stats) {
    const test *t = named(stats->test->name);
    if (!t) {
        return;
    }
    switch (stats->test_status) {
    case CR_STATUS_PASSED: report_test(t, "OK  "); break;
    case CR_STATUS_SKIPPED:
        report_test(t, text("SKIP  %s", stats->message ? stats->message : ""));
        break;
    default: report_test(t, failed_message(stats));
    }
}

/* A test that dies has a hook of its own. */
ReportHook(POST_TEST)(struct criterion_test_stats *stats) {
    put_test(stats);
}

ReportHook(TEST_CRASH)(struct criterion_test_stats *stats) {
    put_test(stats);
}

ReportHook(POST_ALL)(struct criterion_global_stats *stats) {
    report_end(stats->nb_tests);
}

/* Criterion's own, but for the guard: it must be there before Criterion makes
 * the socket that it shall remove. */
int main(int argc, char *argv[]) {
    struct criterion_test_set *tests = criterion_initialize();
    bool passed = true;
    if (criterion_handle_args(argc, argv, true)) {
        guard_begin();
        passed = criterion_run_all_tests(tests);
    }
    criterion_finalize(tests);
    return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}
