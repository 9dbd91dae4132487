/* The runner that forks: each test in a process of its own, as with Criterion,
 * and the same report.
 *
 * `make test` runs the tests of a lesson some hundred times, once for each
 * mutant. Criterion starts its program anew for each test, with its many
 * libraries; a fork costs a tenth of that. What the two report is the same:
 * the proof of the solution and of the stub stay Criterion's.
 *
 *     PROGRAM [-jN]    N tests at once; 1 if it is not said */
#include "support/check.h"
#include "support/crash.h"
#include "support/report.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 4096, JOBS_MAX = 64 };

/* A test's process, and where it leaves its outcome: nothing if it died. */
static struct job {
    pid_t process; /* 0: this place is free */
    const test *test;
    char *message;
} jobs[JOBS_MAX];

static char *told; /* in a test's own process: its message */

void runner_begin(const char *test_name) {
    crash_watch(test_name);
}

void runner_end(void) {
    crash_unwatch();
}

static _Noreturn void tell(const char *message) {
    crash_unwatch(); /* what follows leaves the test on purpose */
    snprintf(told, MOST, "%s", message);
    fflush(NULL);
    _exit(0); /* threads of the test may still run: nothing is ended for them */
}

_Noreturn void runner_fail(const char *message) {
    tell(message);
}

_Noreturn void runner_skip(const char *message) {
    tell(text("SKIP  %s", message));
}

static void begin(struct job *j, test *t) {
    j->test = t;
    j->message[0] = '\0';
    fflush(NULL); /* or the child would print it once more */
    pid_t runner = getpid();
    j->process = fork();
    if (j->process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != runner) { /* it died before the line above */
            _exit(1);
        }
        told = j->message;
        test_run(t);
        tell("OK  ");
    }
    if (j->process < 0) {
        perror("fork");
        exit(2);
    }
}

static struct job *job_of(pid_t process, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (jobs[i].process == process) {
            return &jobs[i];
        }
    }
    return NULL;
}

/* Waits until the next test ends, and reports it. Returns: its place, free. */
static struct job *end_next(size_t count) {
    int how;
    struct job *j;
    do { /* what test_prepare started is no test */
        j = job_of(wait(&how), count);
    } while (!j);
    bool ended_well = WIFEXITED(how) && WEXITSTATUS(how) == 0;
    report_test(j->test, ended_well && j->message[0] ? j->message : NULL);
    j->process = 0;
    return j;
}

static size_t jobs_wanted(int count, char **arguments) {
    long n = 1;
    for (int i = 1; i < count; i++) {
        if (strncmp(arguments[i], "-j", 2) == 0) {
            n = strtol(arguments[i] + 2, NULL, 10);
        }
    }
    return n < 1 ? 1 : n > JOBS_MAX ? JOBS_MAX : (size_t)n;
}

/* The messages are memory that the children share with us. */
static void make_room(size_t count) {
    char *messages = mmap(NULL, count * MOST, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (messages == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    for (size_t i = 0; i < count; i++) {
        jobs[i].message = messages + i * MOST;
    }
}

int main(int argc, char **argv) {
    size_t count = jobs_wanted(argc, argv);
    size_t begun = 0;
    make_room(count);
    report_begin();
    if (test_prepare) {
        test_prepare();
    }
    for (test *t = test_first(); t; t = t->next, begun++) {
        begin(begun < count ? &jobs[begun] : end_next(count), t);
    }
    for (size_t left = begun < count ? begun : count; left > 0; left--) {
        end_next(count);
    }
    report_end(begun);
    return 0;
}
