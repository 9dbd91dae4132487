/* The runner without Criterion: all tests in this process, one after another.
 *
 * Valgrind, Helgrind and ThreadSanitizer follow one process best, and
 * Criterion's many libraries slow them down or stop them. */
#include "support/check.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

static jmp_buf after_test;
static char why[4096];

/* Signals are left to the tool that runs us: it reports crashes better. */
void runner_begin(const char *test_name) {
    (void)test_name;
}

void runner_end(void) {
}

_Noreturn void runner_fail(const char *message) {
    snprintf(why, sizeof why, "%s", message);
    longjmp(after_test, 1);
}

_Noreturn void runner_skip(const char *message) {
    snprintf(why, sizeof why, "SKIP  %s", message);
    longjmp(after_test, 1);
}

/* Arguments: the tests to run; none: all of them. */
static bool chosen(const test *t, int count, char **names) {
    for (int i = 1; i < count; i++) {
        if (strcmp(names[i], t->name) == 0) {
            return true;
        }
    }
    return count < 2;
}

int main(int count, char **names) {
    volatile int failed = 0, ran = 0;
    if (test_prepare) {
        test_prepare();
    }
    for (test *volatile t = test_first(); t; t = t->next) {
        if (!chosen(t, count, names)) {
            continue;
        }
        ran++;
        if (setjmp(after_test) == 0) {
            test_run(t);
        } else {
            failed++;
            printf("%s\n%s\n", t->name, why);
            fflush(stdout); /* who never ends is killed */
        }
    }
    printf("%d passed, %d failed\n", ran - failed, failed);
    return failed != 0 || ran == 0;
}
