/* Private Redis servers, on a unix socket. */
#include "support/redis.h"

#include "support/check.h"
#include "support/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 5 };

struct redis {
    server *server;
    char path[96];
};

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
    server_begin(r->server,
                 (const char *[]){"redis-server", "--save", "", "--appendonly",
                                  "no", "--port", "0", "--unixsocket", r->path,
                                  "--dir", server_directory(r->server), NULL},
                 answers, r);
}

redis *redis_start(void) {
    server *s = server_create("redis-server", "redis-server");
    redis *r = calloc(1, sizeof *r);
    if (!r) {
        abort();
    }
    r->server = s;
    snprintf(r->path, sizeof r->path, "%s/redis.sock", server_directory(s));
    begin(r);
    return r;
}

const char *redis_path(const redis *r) {
    return r->path;
}

void redis_stop(redis *r) {
    server_destroy(r->server);
    free(r);
}

void redis_kill(redis *r) {
    server_kill(r->server);
}

void redis_restart(redis *r) {
    server_kill(r->server);
    begin(r);
}

void redis_pause(redis *r) {
    server_pause(r->server);
}

void redis_continue(redis *r) {
    server_continue(r->server);
}

const char *redis_ask(const redis *r, const char *command) {
    static char line[256];
    ask(r, command, line, sizeof line);
    want_true(line[0] != '\0', text("ask the server: %s", command),
              "the server does not answer");
    return line;
}
