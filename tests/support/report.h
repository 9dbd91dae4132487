/* report: what a run of tests tells other programs.
 *
 * It goes to the file that TEST_REPORT names, one line per test: name, line,
 * promise, step, outcome, message (newlines as \n), tab-separated, and a last
 * line "done". A report without "done" is an unfinished run. */
#ifndef SUPPORT_REPORT_H
#define SUPPORT_REPORT_H

#include "support/check.h"

void report_begin(void);

/* message: its kind, two blanks, and the rest; NULL when the test ended without
 * a word of its own: then crash.c may have one. */
void report_test(const test *t, const char *message);

void report_end(size_t tests);

#endif
