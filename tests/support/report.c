/* The report, and what crash.c wrote about tests that died. */
#include "support/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *report;

void report_begin(void) {
    const char *path = getenv("TEST_REPORT");
    report = path ? fopen(path, "we") : NULL;
}

static void put_escaped(const char *message) {
    for (; *message; message++) {
        switch (*message) {
        case '\n': fputs("\\n", report); break;
        case '\\': fputs("\\\\", report); break;
        case '\t': fputc(' ', report); break;
        default: fputc(*message, report);
        }
    }
}

/* What the dying process wrote about itself (crash.c), if it did. */
static bool put_event(const char *name) {
    const char *path = getenv("TEST_EVENTS");
    FILE *events = path ? fopen(path, "re") : NULL;
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

static void put_outcome(const char *name, const char *message) {
    if (message) {
        const char *gap = strstr(message, "  ");
        fprintf(report, "%.*s\t", (int)(gap - message), message);
        put_escaped(gap + 2);
    } else if (!put_event(name)) {
        fputs("CRASH\tit ended before its test did (exit, or a signal)",
              report);
    }
}

void report_test(const test *t, const char *message) {
    if (report) {
        fprintf(report, "%s\t%d\t%s\t%s\t", t->name, t->line, t->promise,
                t->step);
        put_outcome(t->name, message);
        fputc('\n', report);
        fflush(report);
    }
}

void report_end(size_t tests) {
    if (report) {
        fprintf(report, "done\t%zu\n", tests);
        fclose(report);
    }
}
