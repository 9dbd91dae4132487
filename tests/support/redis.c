/* Private Redis servers: two child processes each, the server and a guardian
 * of its directory. */
#include "support/redis.h"

#include "support/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_MS = 8000, ANSWER_SECONDS = 5, DESCRIPTORS = 1024 };

struct redis {
    char directory[64];
    char path[96];
    pid_t server; /* 0: it does not run */
    pid_t guardian;
    int life; /* the guardian reads its other end until we are gone */
};

static bool in_path(const char *program) {
    char paths[4096], file[4352];
    const char *all = getenv("PATH");
    snprintf(paths, sizeof paths, "%s", all ? all : "/usr/bin:/bin");
    char *rest = NULL;
    for (char *p = strtok_r(paths, ":", &rest); p;
         p = strtok_r(NULL, ":", &rest)) {
        snprintf(file, sizeof file, "%s/%s", p, program);
        if (access(file, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

static void must(bool holds, const char *did) {
    want_true(holds, did, "this machine cannot run a server for the test");
}

/* Ends as soon as nobody holds the other end of the pipe: the test has called
 * redis_stop, or died. The other descriptors are closed so that nobody waits
 * for us; an interrupt at the terminal must not end us before our work. */
static _Noreturn void guard(const redis *r, int end) {
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    for (int other = 0; other < DESCRIPTORS; other++) {
        if (other != end) {
            close(other);
        }
    }
    char byte;
    while (read(end, &byte, 1) > 0) {
    }
    unlink(r->path);
    rmdir(r->directory);
    kill(getpid(), SIGKILL); /* Valgrind need not judge what a copy left */
    _exit(0);
}

static void begin_guardian(redis *r) {
    int ends[2];
    must(pipe(ends) == 0, "make a pipe");
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    r->guardian = fork();
    if (r->guardian == 0) {
        guard(r, ends[0]);
    }
    close(ends[0]);
    r->life = ends[1];
    must(r->guardian > 0, "start a process");
}

static _Noreturn void be_server(const redis *r, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) { /* it died before the line above */
        _exit(1);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++) {
        dup2(null, i);
    }
    for (int other = 3; other < DESCRIPTORS; other++) {
        close(other);
    }
    execlp("redis-server", "redis-server", "--save", "", "--appendonly", "no",
           "--port", "0", "--unixsocket", r->path, "--dir", r->directory,
           (char *)NULL);
    _exit(127);
}

/* Returns: a connected socket, or -1. */
static int dial(const redis *r) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", r->path);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (s >= 0
        && connect(s, (struct sockaddr *)&address, sizeof address) != 0) {
        close(s);
        s = -1;
    }
    return s;
}

/* The first line of the answer; an empty one when there is none. */
static void ask(const redis *r, const char *command, char *line, size_t size) {
    size_t used = 0;
    int s = dial(r);
    if (s >= 0) {
        send(s, command, strlen(command), MSG_NOSIGNAL);
        send(s, "\r\n", 2, MSG_NOSIGNAL);
        while (used < size - 1 && recv(s, line + used, 1, 0) == 1
               && line[used] != '\r') {
            used++;
        }
        close(s);
    }
    line[used] = '\0';
}

static bool answers(const redis *r) {
    char line[64];
    ask(r, "PING", line, sizeof line);
    return strcmp(line, "+PONG") == 0;
}

static void begin_server(redis *r) {
    pid_t parent = getpid();
    r->server = fork();
    if (r->server == 0) {
        be_server(r, parent);
    }
    must(r->server > 0, "start a process");
    for (int ms = 0; ms < START_MS && !answers(r); ms++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        must(waitpid(r->server, NULL, WNOHANG) == 0, "start redis-server");
    }
    must(answers(r), "start redis-server, wait until PING answers");
}

redis *redis_start(void) {
    if (!in_path("redis-server")) {
        test_skip("redis-server is not installed: make doctor says how");
    }
    redis *r = calloc(1, sizeof *r);
    if (!r) {
        abort();
    }
    snprintf(r->directory, sizeof r->directory, "/tmp/redis-test-XXXXXX");
    must(mkdtemp(r->directory) != NULL, "make a directory in /tmp");
    snprintf(r->path, sizeof r->path, "%s/redis.sock", r->directory);
    begin_guardian(r);
    begin_server(r);
    return r;
}

const char *redis_path(const redis *r) {
    return r->path;
}

void redis_stop(redis *r) {
    redis_kill(r);
    close(r->life);
    waitpid(r->guardian, NULL, 0);
    free(r);
}

void redis_kill(redis *r) {
    if (r->server > 0) {
        kill(r->server, SIGKILL);
        waitpid(r->server, NULL, 0);
        r->server = 0;
    }
}

void redis_restart(redis *r) {
    redis_kill(r);
    begin_server(r);
}

void redis_pause(redis *r) {
    kill(r->server, SIGSTOP);
    waitpid(r->server, NULL, WUNTRACED);
}

void redis_continue(redis *r) {
    kill(r->server, SIGCONT);
}

const char *redis_ask(const redis *r, const char *command) {
    static char line[256];
    ask(r, command, line, sizeof line);
    must(line[0] != '\0', text("ask the server: %s", command));
    return line;
}
