/* The runner with Criterion: each test in a process of its own, and a report
 * that other programs can read.
 *
 * The report goes to the file that TEST_REPORT names, one line per test:
 * name, line, promise, step, outcome, message (newlines as \n), tab-separated,
 * and a last line "done". Criterion's own formats do not do: its JSON breaks
 * on a quote in a message. A report without "done" is an unfinished run. */
#include "support/check.h"
#include "support/crash.h"

#include <criterion/hooks.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *report;

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

static void put_escaped(const char *message) {
    for (; *message; message++) {
        switch (*message) {
        case '\n': fputs("\\n", report); break;
        case '\t': fputc(' ', report); break;
        default: fputc(*message, report);
        }
    }
}

/* What the dying process wrote about itself (crash.c), if it did. */
static bool put_event(const char *name) {
    const char *path = getenv("TEST_EVENTS");
    FILE *events = path ? fopen(path, "r") : NULL;
    char line[1200];
    bool found = false;
    size_t len = strlen(name);
    while (events && !found && fgets(line, sizeof line, events)) {
        found = strncmp(line, name, len) == 0 && line[len] == '\t';
    }
    if (events) {
        fclose(events);
    }
    if (found) {
        line[strcspn(line, "\n")] = '\0';
        fputs(line + len + 1, report);
    }
    return found;
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

/* A message starts with its kind and two blanks: "LEAK  all that ...". */
static void put_outcome(const struct criterion_test_stats *stats) {
    const char *message = failed_message(stats);
    if (stats->test_status == CR_STATUS_PASSED) {
        fputs("OK\t", report);
    } else if (stats->test_status == CR_STATUS_SKIPPED) {
        fputs("SKIP\t", report);
        put_escaped(stats->message ? stats->message : "");
    } else if (message) {
        const char *gap = strstr(message, "  ");
        fprintf(report, "%.*s\t", (int)(gap - message), message);
        put_escaped(gap + 2);
    } else if (!put_event(stats->test->name)) {
        fputs("CRASH\tit ended before its test did (exit, or a signal)",
              report);
    }
}

ReportHook(PRE_ALL)(struct criterion_test_set *set) {
    (void)set;
    const char *path = getenv("TEST_REPORT");
    report = path ? fopen(path, "w") : NULL;
    if (test_prepare) {
        test_prepare();
    }
}

static void put_test(struct criterion_test_stats *stats) {
    const test *t = named(stats->test->name);
    if (report && t) {
        fprintf(report, "%s\t%d\t%s\t%s\t", t->name, t->line, t->promise,
                t->step);
        put_outcome(stats);
        fputc('\n', report);
        fflush(report);
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
    if (report) {
        fprintf(report, "done\t%zu\n", stats->nb_tests);
        fclose(report);
    }
}
