/* Private Redis servers, on a unix socket and a port. */
#include "support/redis.h"

#include "support/check.h"
#include "support/process.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 5, ATTEMPTS = 8 };
enum { FIRST_PORT = 10000, PORTS = 10000, BUS = 10000 };

#define CLAIM "workbook-port-"

struct redis {
    process *process;
    char path[96];
    char host_port[32];
    const char *port; /* the end of host_port */
    int at;           /* the same, less FIRST_PORT; -1: none yet */
    int claim;        /* a socket that keeps other tests from the port */
    bool is_node;
};

static bool is_free(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    a.sin_port = htons((uint16_t)port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken = bind(s, (struct sockaddr *)&a, sizeof a) != 0;
    close(s);
    return !taken;
}

/* A port is ours as long as we hold a socket of its name, in the namespace
 * that Linux keeps beside the file system: one process can have it, it is gone
 * when that process is, and it is seen from where the port itself is.
 * Returns: the socket; -1: somebody else's server has the port, or will. */
static int claim(int port) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int len = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "%s%d",
                       CLAIM, port);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    if (s >= 0 && bind(s, (struct sockaddr *)&name, size) != 0) {
        close(s);
        s = -1;
    }
    return s;
}

/* Claims a port that nobody else has, and its bus. */
static bool claim_free(redis *r, int at) {
    r->claim = claim(FIRST_PORT + at);
    if (r->claim >= 0
        && !(is_free(FIRST_PORT + at) && is_free(FIRST_PORT + at + BUS))) {
        close(r->claim);
        r->claim = -1;
    }
    return r->claim >= 0;
}

/* The kernel gives out ports from 32768 on, and ours lie below; each process
 * looks from a place of its own, or from behind the port that it had before. A
 * node of a cluster takes a second port for its bus. */
static void choose_port(redis *r) {
    int at = r->at < 0 ? (int)(getpid() % PORTS) : (r->at + 1) % PORTS;
    int tried = 1;
    while (!claim_free(r, at) && tried < PORTS) {
        at = (at + 1) % PORTS;
        tried++;
    }
    r->at = at;
    snprintf(r->host_port, sizeof r->host_port, "127.0.0.1:%d",
             FIRST_PORT + at);
    r->port = strchr(r->host_port, ':') + 1;
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

static bool answers(const void *context) {
    char line[64];
    ask(context, "PING", line, sizeof line);
    return strcmp(line, "+PONG") == 0;
}

/* Returns: false if the server has ended at once. */
static bool begins(redis *r) {
    return process_begins(
        r->process,
        (const char *[]){"redis-server", "--save", "", "--appendonly", "no",
                         "--bind", "127.0.0.1", "--port", r->port,
                         "--unixsocket", r->path, "--dir",
                         process_directory(r->process), "--cluster-enabled",
                         r->is_node ? "yes" : "no", NULL},
        answers, r);
}

/* Who knows nothing of claims may have taken the port since we looked: then
 * the server ends at once, and the next port will do. */
static void begin_somewhere(redis *r) {
    choose_port(r);
    for (int attempt = 1; !begins(r); attempt++) {
        want_true(attempt < ATTEMPTS, "start redis-server on a free port",
                  "this machine cannot run a server for the test");
        close(r->claim);
        choose_port(r);
    }
}

static redis *start_as(bool is_node) {
    process *s = process_create("redis-server", "redis-server");
    redis *r = calloc(1, sizeof *r);
    if (!r) {
        abort();
    }
    r->process = s;
    r->is_node = is_node;
    r->at = -1;
    snprintf(r->path, sizeof r->path, "%s/redis.sock", process_directory(s));
    begin_somewhere(r);
    return r;
}

redis *redis_start(void) {
    return start_as(false);
}

redis *redis_start_node(void) {
    return start_as(true);
}

const char *redis_path(const redis *r) {
    return r->path;
}

const char *redis_host_port(const redis *r) {
    return r->host_port;
}

void redis_stop(redis *r) {
    process_destroy(r->process);
    close(r->claim);
    free(r);
}

void redis_kill(redis *r) {
    process_kill(r->process);
}

void redis_restart(redis *r) {
    process_kill(r->process);
    want_true(begins(r), "restart redis-server on its port",
              "this machine cannot run a server for the test");
}

void redis_pause(redis *r) {
    process_pause(r->process);
}

void redis_continue(redis *r) {
    process_continue(r->process);
}

const char *redis_ask(const redis *r, const char *command) {
    static char line[256];
    ask(r, command, line, sizeof line);
    want_true(line[0] != '\0', text("ask the server: %s", command),
              "the server does not answer");
    return line;
}
