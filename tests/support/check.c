/* Expectations, the list of tests, and what surrounds each test's body. */
#include "support/check.h"

#include "common/todo.h"
#include "support/crash.h"
#include "support/heap.h"
#include "support/work.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static test *first_test;
static pthread_t test_thread; /* the one that runs the body */

/* Constructors run in no order that C promises, so sort by line. */
void test_register(test *t) {
    test **at = &first_test;
    while (*at && (*at)->line < t->line) {
        at = &(*at)->next;
    }
    t->next = *at;
    *at = t;
}

test *test_first(void) {
    return first_test;
}

static pid_t test_process; /* of the test that runs */

void test_run(test *t) {
    test_thread = pthread_self();
    test_process = getpid();
    runner_begin(t->name);
    heap_begin();
    work_begin();
    t->body();
    heap_check_guards();
    runner_end();
    heap_block left;
    if (heap_leaked(&left)) {
        check_that(
            false, (check_here){t->file, t->line},
            "LEAK  all that the test made was destroyed\n"
            "wanted  no block left on the heap\n"
            "got     %zu left; the first has %zu bytes, allocated at %s\n"
            "likely  something is made there that nothing frees",
            heap_live_blocks(), left.size, crash_line_of(left.caller));
    }
}

void test_ends_us(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != test_process) { /* it died before the line above */
        _exit(1);
    }
}

const char *text(const char *format, ...) {
    static char buffers[8][512];
    static unsigned turn;
    char *buffer = buffers[turn++ % 8];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(buffer, sizeof buffers[0], format, arguments);
    va_end(arguments);
    return buffer;
}

uint64_t test_seed(void) {
    const char *seed = getenv("TEST_SEED");
    return seed ? strtoull(seed, NULL, 0) : 42;
}

uint64_t test_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

size_t test_scale(size_t full, size_t less) {
    return getenv("TEST_LESS") ? less : full;
}

void test_allow(unsigned seconds) {
    crash_allow(seconds);
}

static char *child_why; /* in a child process: where its parent reads */
static size_t child_why_size;

void test_is_child(char *why, size_t size) {
    child_why = why;
    child_why_size = size;
}

/* A child may not talk to the runner, whose connection is its parent's. */
_Noreturn void test_end(const char *message) {
    if (child_why) {
        snprintf(child_why, child_why_size, "%s", message);
        _exit(1);
    }
    if (!pthread_equal(test_thread, pthread_self())) {
        crash_fail(message);
    }
    runner_fail(message);
}

_Noreturn void test_skip(const char *format, ...) {
    char why[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    runner_skip(why);
}

_Noreturn void todo_reached(const char *step, const char *file, int line) {
    test_end(text("TODO  not written yet: step %s\n"
                  "at      %s:%d",
                  step, file, line));
}

/* The message of a failure: its kind, then one line per part. */
static _Noreturn void fail(check_here at, const char *did, const char *want,
                           const char *got, const char *likely) {
    char message[2048];
    snprintf(message, sizeof message,
             "FAIL  %s\nwanted  %s\ngot     %s\nlikely  %s\nat      %s:%d", did,
             want, got, likely, at.file, at.line);
    test_end(message);
}

void check_int(long long got, long long want, check_here at, const char *did,
               const char *likely) {
    if (got != want) {
        fail(at, did, text("%lld", want), text("%lld", got), likely);
    }
}

void check_bool(bool got, bool want, check_here at, const char *did,
                const char *likely) {
    if (got != want) {
        fail(at, did, want ? "true" : "false", got ? "true" : "false", likely);
    }
}

void check_status(status got, status want, check_here at, const char *did,
                  const char *likely) {
    if (got != want) {
        fail(at, did, status_name(want), status_name(got), likely);
    }
}

/* Bytes for a reader: what prints as itself, the rest as \x41. */
static const char *printed(bytes b) {
    char shown[200];
    size_t used = 0;
    for (size_t i = 0; i < b.len && used < sizeof shown - 8; i++) {
        unsigned char c = ((const unsigned char *)b.data)[i];
        bool plain = c >= ' ' && c <= '~' && c != '\\';
        used += (size_t)snprintf(shown + used, sizeof shown - used,
                                 plain ? "%c" : "\\x%02x", c);
    }
    shown[used] = '\0';
    return text("\"%s\"%s", shown, used < b.len ? "..." : "");
}

void check_text(const char *got, const char *want, check_here at,
                const char *did, const char *likely) {
    if (got && want ? strcmp(got, want) != 0 : got != want) {
        fail(at, did, want ? printed(bytes_of(want)) : "NULL",
             got ? printed(bytes_of(got)) : "NULL", likely);
    }
}

void check_pointer(const void *got, const void *want, check_here at,
                   const char *did, const char *likely) {
    if (got != want) {
        fail(at, did, text("%p", want), text("%p", got), likely);
    }
}

void check_bytes(bytes got, bytes want, check_here at, const char *did,
                 const char *likely) {
    if (!bytes_equal(got, want)) {
        fail(at, did, printed(want), printed(got), likely);
    }
}

void check_at_most(unsigned long long got, unsigned long long limit,
                   check_here at, const char *did, const char *likely) {
    if (got > limit) {
        fail(at, did, text("at most %llu", limit), text("%llu", got), likely);
    }
}

void check_that(bool holds, check_here at, const char *format, ...) {
    if (holds) {
        return;
    }
    char message[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    bool has_kind = strncmp(message, "LEAK  ", 6) == 0;
    char whole[2304];
    snprintf(whole, sizeof whole, "%s%s\nat      %s:%d",
             has_kind ? "" : "FAIL  ", message, at.file, at.line);
    test_end(whole);
}
