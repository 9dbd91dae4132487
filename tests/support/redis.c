/* Private Redis servers, on a unix socket and a port. */
#include "support/redis.h"

#include "support/check.h"
#include "support/process.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 5, FIRST_PORT = 10000, PORTS = 10000, BUS = 10000 };

struct redis {
    process *process;
    char path[96];
    char host_port[32];
    const char *port; /* the end of host_port */
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

/* The kernel gives out ports from 32768 on. Ours lie below, and each process
 * looks from a place of its own, so nobody takes the port before Redis does. A
 * node of a cluster takes a second one for its bus. */
static void choose_port(redis *r) {
    int at = (int)(getpid() % PORTS), tried = 0;
    while (tried < PORTS
           && !(is_free(FIRST_PORT + at) && is_free(FIRST_PORT + at + BUS))) {
        at = (at + 1) % PORTS;
        tried++;
    }
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

static void begin(redis *r) {
    process_begin(r->process,
                  (const char *[]){
                      "redis-server", "--save", "", "--appendonly", "no",
                      "--bind", "127.0.0.1", "--port", r->port, "--unixsocket",
                      r->path, "--dir", process_directory(r->process),
                      "--cluster-enabled", r->is_node ? "yes" : "no", NULL},
                  answers, r);
}

static redis *start_as(bool is_node) {
    process *s = process_create("redis-server", "redis-server");
    redis *r = calloc(1, sizeof *r);
    if (!r) {
        abort();
    }
    r->process = s;
    r->is_node = is_node;
    snprintf(r->path, sizeof r->path, "%s/redis.sock", process_directory(s));
    choose_port(r);
    begin(r);
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
    free(r);
}

void redis_kill(redis *r) {
    process_kill(r->process);
}

void redis_restart(redis *r) {
    process_kill(r->process);
    begin(r);
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
