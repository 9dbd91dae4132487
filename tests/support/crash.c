/* Signal handlers that find the student's line with addr2line.
 *
 * A handler may do little, since the heap may be broken: here everything is
 * in static buffers and plain system calls. */
#include "support/crash.h"

#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAMES = 64 };

extern const char __executable_start[]; /* the linker's: where we are loaded */

static const char *watched;
static unsigned limit;   /* of the seconds that it may take */
static char event[1024]; /* what is written about the test that dies */
static char alternate_stack[64 * 1024]; /* for a stack that overflowed */

/* Asks addr2line for all frames at once; its answer goes to `out`. */
static void ask(void *const frames[], int count, char *out, size_t size) {
    static char offsets[FRAMES][20];
    static char *arguments[FRAMES + 4];
    static char self[256];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len < 0 ? 0 : len] = '\0';
    int n = 0;
    arguments[n++] = "addr2line";
    arguments[n++] = "-e";
    arguments[n++] = self;
    for (int i = 0; i < count; i++) {
        /* A return address is behind its call: one back names the call. */
        uintptr_t at = (uintptr_t)frames[i] - (uintptr_t)__executable_start - 1;
        snprintf(offsets[i], sizeof offsets[i], "%lx", (unsigned long)at);
        arguments[n++] = offsets[i];
    }
    arguments[n] = NULL;
    int ends[2];
    size_t used = 0;
    if (pipe(ends) == 0) {
        /* Not fork: that would wait for locks of the heap, and who crashed
         * may hold them. */
        pid_t child = vfork();
        if (child == 0) {
            dup2(ends[1], STDOUT_FILENO);
            dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
            execvp(arguments[0], arguments);
            _exit(127);
        }
        close(ends[1]);
        ssize_t got;
        while (used < size - 1
               && (got = read(ends[0], out + used, size - 1 - used)) > 0) {
            used += (size_t)got;
        }
        close(ends[0]);
        waitpid(child, NULL, 0);
    }
    out[used] = '\0';
}

/* Where a line of the answer lies in one of these folders. Returns: NULL if it
 * does not. */
static char *within(char *line, const char *const folders[]) {
    for (size_t i = 0; folders[i]; i++) {
        char *place = strstr(line, folders[i]);
        if (place && !strstr(place, "/common/") && !strstr(place, ":?")) {
            return place;
        }
    }
    return NULL;
}

/* The first line of the answer that lies in the code under test; or, when
 * there is none, in a solution: the one under test, or one that it calls. */
static const char *own_line(char *answer) {
    static const char *const own[] = {"lessons/", "alternates/", "/mutants/",
                                      NULL};
    static const char *const reference[] = {"solutions/", NULL};
    char *best = NULL;
    bool found = false;
    for (char *line = strtok(answer, "\n"); line && !found;
         line = strtok(NULL, "\n")) {
        char *place = within(line, own);
        found = place != NULL;
        if (found || (!best && (place = within(line, reference)))) {
            best = place;
        }
    }
    char *note = best ? strchr(best, ' ') : NULL; /* " (discriminator 2)" */
    if (note) {
        *note = '\0';
    }
    return best;
}

const char *crash_line_of(const void *instruction) {
    static char answer[1024];
    void *frame = (void *)(uintptr_t)instruction;
    ask(&frame, 1, answer, sizeof answer);
    const char *line = own_line(answer);
    return line ? line : "an unknown line";
}

static const char *meaning(int signal_number) {
    switch (signal_number) {
    case SIGSEGV:
        return "it touched memory that is not its own: NULL, a "
               "block already freed, or past an array's end";
    case SIGBUS: return "it touched memory that is not there";
    case SIGFPE: return "it divided by zero";
    case SIGILL: return "it ran into an instruction that does not exist";
    case SIGABRT: return "it aborted: an assert failed, or the heap is damaged";
    default: return "it was ended by a signal";
    }
}

static unsigned limit_seconds(void) {
    const char *seconds = getenv("TEST_SECONDS");
    return seconds ? (unsigned)atoi(seconds) : 2;
}

static const char nowhere[] = "a place outside the lesson's code";

/* The line of the student's code that is running now. */
static const char *current_line(void) {
    static void *frames[FRAMES];
    static char answer[16 * 1024];
    ask(frames, backtrace(frames, FRAMES), answer, sizeof answer);
    const char *line = own_line(answer);
    return line ? line : nowhere;
}

/* One write, so that the events of parallel tests do not mix. */
static void put_event(void) {
    const char *path = getenv("TEST_EVENTS");
    int out = path ? open(path, O_WRONLY | O_APPEND | O_CREAT, 0644) : -1;
    if (write(out < 0 ? STDERR_FILENO : out, event, strlen(event)) < 0) {
        _exit(98);
    }
}

_Noreturn void crash_fail(const char *message) {
    const char *gap = strstr(message, "  ");
    size_t used = (size_t)snprintf(event, sizeof event, "%s\t%.*s\t",
                                   watched ? watched : "a test",
                                   (int)(gap - message), message);
    for (const char *at = gap + 2; *at && used < sizeof event - 4; at++) {
        if (*at == '\n') {
            event[used++] = '\\';
            event[used++] = 'n';
        } else {
            event[used++] = *at;
        }
    }
    event[used++] = '\n';
    event[used] = '\0';
    put_event();
    _exit(95);
}

static void on_signal(int signal_number) {
    const char *line = current_line();
    snprintf(event, sizeof event, "%s\tCRASH\t%s\\n%sat      %s\n", watched,
             meaning(signal_number),
             line == nowhere ? "likely  a call through a function pointer that "
                               "is NULL or damaged\\n"
                             : "",
             line);
    put_event();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void on_alarm(int signal_number) {
    (void)signal_number;
    snprintf(event, sizeof event,
             "%s\tTIMEOUT\tstill running after %u s\\n"
             "likely  a loop that never ends, a list that leads back into "
             "itself, or a wait for what never comes\\nat      %s\n",
             watched, limit, current_line());
    put_event();
    _exit(97);
}

/* Criterion takes exit(0) in a test for a pass; it is none. */
static void on_exit_inside_test(void) {
    if (watched) {
        snprintf(event, sizeof event,
                 "%s\tCRASH\tit called exit in the middle of the test\n",
                 watched);
        put_event();
        _exit(96);
    }
}

static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { DEADLY = sizeof deadly / sizeof deadly[0] };

static void handle_signals(void) {
    void *frame[1];
    backtrace(frame, 1); /* loads what backtrace needs while malloc works */
    sigaltstack(
        &(stack_t){.ss_sp = alternate_stack, .ss_size = sizeof alternate_stack},
        NULL);
    struct sigaction crash = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    for (size_t i = 0; i < DEADLY; i++) {
        sigaction(deadly[i], &crash, NULL);
    }
    struct sigaction late = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK};
    sigaction(SIGALRM, &late, NULL);
    sigset_t unblocked;
    sigemptyset(&unblocked);
    sigaddset(&unblocked, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &unblocked, NULL);
}

void crash_watch(const char *test_name) {
    watched = test_name;
    handle_signals();
    atexit(on_exit_inside_test);
    limit = limit_seconds();
    alarm(limit);
}

void crash_allow(unsigned seconds) {
    if (watched && seconds > limit) {
        limit = seconds;
        alarm(limit);
    }
}

void crash_unwatch(void) {
    watched = NULL;
    alarm(0);
}

void crash_ignore(void) {
    for (size_t i = 0; i < DEADLY; i++) {
        signal(deadly[i], SIG_DFL);
    }
    signal(SIGALRM, SIG_DFL);
}
