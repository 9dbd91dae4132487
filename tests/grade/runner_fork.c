/* The grader's runner: each test in a process of its own, one after another.
 *
 * It does what Criterion does, for a program that holds no student's code:
 * without a new program for each test, and without anything that two runs side
 * by side would share. A test tells its outcome through a pipe; one that does
 * not, within its time, is an error of the grader, or has run into its limit.
 *
 * For a slow tool, and tests that have passed before, GRADE_TOGETHER runs all
 * in this one process, until one fails.
 *
 * The report is that of runner_criterion.c: one line per test in the file that
 * TEST_REPORT names, and "done" behind the last. */
#include "grade/client.h"
#include "support/check.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 8192 };

static int told = -1; /* where the running test tells its outcome */
static int limit_ms;
static test *together; /* the running one, if all run in this process */
static FILE *report;

static int setting(const char *name, int otherwise) {
    const char *set = getenv(name);
    return set ? atoi(set) : otherwise;
}

int runner_limit_ms(void) {
    return limit_ms;
}

void runner_begin(const char *test_name) {
    (void)test_name;
}

void runner_end(void) {
}

static void put(const test *t, const char *message) {
    const char *gap = strstr(message, "  ");
    fprintf(report, "%s\t%d\t%s\t%s\t%.*s\t", t->name, t->line, t->promise,
            t->step, (int)(gap - message), message);
    for (const char *at = gap + 2; *at; at++) {
        if (*at == '\n') {
            fputs("\\n", report);
        } else {
            fputc(*at == '\t' ? ' ' : *at, report);
        }
    }
    fputc('\n', report);
    fflush(report);
}

static _Noreturn void tell(const char *message) {
    if (together) { /* nobody listens */
        put(together, message);
        fprintf(report, "done\t1\n");
        fflush(report);
        _exit(1);
    }
    size_t len = strlen(message);
    fflush(NULL);
    _exit(write(told, message, len) == (ssize_t)len ? 0 : 1);
}

_Noreturn void runner_fail(const char *message) {
    tell(message);
}

_Noreturn void runner_skip(const char *message) {
    tell(text("SKIP  %s", message));
}

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads until the test has ended or its time is up. Returns: how much. */
static size_t listen_to(int from, char *message, long long until) {
    size_t used = 0;
    for (;;) {
        long long left = until - now_ms();
        struct pollfd p = {.fd = from, .events = POLLIN};
        if (left <= 0 || poll(&p, 1, (int)left) <= 0) {
            if (left > 0 && errno == EINTR) {
                continue;
            }
            break;
        }
        ssize_t got = read(from, message + used, MOST - 1 - used);
        if (got <= 0) {
            break;
        }
        used += (size_t)got;
    }
    message[used] = '\0';
    return used;
}

/* Runs a test. One that ends without a word has died of what the code gave
 * it: a NULL, say, where the test needs a value. */
static void run(test *t, char *message) {
    int ends[2];
    if (pipe(ends) != 0) {
        abort();
    }
    pid_t child = fork();
    if (child < 0) {
        abort(); /* below, it would stand for everybody */
    }
    if (child == 0) {
        setpgid(0, 0);
        close(ends[0]);
        told = ends[1];
        test_run(t);
        tell("OK  ");
    }
    close(ends[1]);
    /* The limit is the code's; this is for a test that hangs by itself. */
    long long until = now_ms() + 3LL * limit_ms + 4000;
    size_t used = listen_to(ends[0], message, until);
    bool late = used == 0 && now_ms() >= until;
    kill(-child, SIGKILL); /* and what it has started */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ends[0]);
    if (late) {
        snprintf(message, MOST, "TIMEOUT  still running after its time");
    } else if (!strstr(message, "  ")) {
        snprintf(message, MOST,
                 "CRASH  the test could not use what the code gave it\n"
                 "likely  NULL, or another value, where there must be one");
    }
}

static bool chosen(const test *t, int count, char **names) {
    for (int i = 1; i < count; i++) {
        if (strcmp(names[i], t->name) == 0) {
            return true;
        }
    }
    return count < 2;
}

/* A program that loops in one test will loop in others, and would hold up the
 * class: after each time it is given less, down to what every test of a right
 * program needs many times over. */
static int after(int ms) {
    int least_ms = setting("GRADE_LEAST_MS", 100);
    ms /= 4;
    return ms < least_ms ? least_ms : ms;
}

int main(int count, char **names) {
    static char message[MOST];
    const char *path = getenv("TEST_REPORT");
    report = path ? fopen(path, "we") : stdout;
    size_t ran = 0;
    limit_ms = setting("GRADE_LIMIT_MS", 2000);
    for (test *t = test_first(); t && report; t = t->next) {
        if (!chosen(t, count, names)) {
            continue;
        }
        if (getenv("GRADE_TOGETHER")) {
            together = t;
            test_run(t);
            put(t, "OK  ");
            ran++;
            continue;
        }
        run(t, message);
        put(t, message);
        ran++;
        if (strncmp(message, "TIMEOUT", 7) == 0) {
            limit_ms = after(limit_ms);
        }
    }
    if (report) {
        fprintf(report, "done\t%zu\n", ran);
    }
    return report && fclose(report) == 0 ? 0 : 3;
}
