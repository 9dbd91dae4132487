/* redis_cache without a redisContext: a socket and two buffers of its own; of
 * hiredis only the reader, which makes answers out of bytes. */
#include "redis_cache.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WINDOW = 100, UNSENT_MAX = 1 << 16, NUMBER = 24 };

struct redis_cache {
    int socket; /* -1: no connection */
    redisReader *reader;
    redisReply *answer; /* the last one */
    char *unsent;
    size_t unsent_len, unsent_room;
    int64_t deadline_ms;
    int timeout_ms;
    char *address;
    char why[400];
};

static status fail(redis_cache *r, status s, const char *what,
                   const char *more) {
    snprintf(r->why, sizeof r->why, "%s: %s: %s", r->address, what, more);
    return s;
}

static void hang_up(redis_cache *r) {
    if (r->socket >= 0) {
        close(r->socket);
    }
    if (r->reader) {
        redisReaderFree(r->reader);
    }
    r->socket = -1;
    r->reader = NULL;
    r->unsent_len = 0;
}

/* -- connect -------------------------------------------------------------- */

static bool try_connect(redis_cache *r, int family, const struct sockaddr *a,
                        socklen_t len) {
    r->socket = socket(family, SOCK_STREAM, 0);
    if (r->socket < 0 || fcntl(r->socket, F_SETFL, O_NONBLOCK) != 0) {
        return false;
    }
    return connect(r->socket, a, len) == 0 || errno == EINPROGRESS;
}

static bool connect_unix(redis_cache *r) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, r->address, strlen(r->address));
    return try_connect(r, AF_UNIX, (struct sockaddr *)&a, sizeof a);
}

static bool connect_tcp(redis_cache *r) {
    struct addrinfo hint = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char *colon = strrchr(r->address, ':');
    *colon = '\0';
    int error = getaddrinfo(r->address, colon + 1, &hint, &found);
    *colon = ':';
    bool good =
        error == 0
        && try_connect(r, found->ai_family, found->ai_addr, found->ai_addrlen);
    if (found) {
        freeaddrinfo(found);
    }
    return good;
}

static status wait_for(redis_cache *r, short events) {
    struct pollfd p = {.fd = r->socket, .events = events};
    int64_t left = r->deadline_ms - ms_clock_now(ms_clock_monotonic());
    if (left <= 0 || poll(&p, 1, (int)left) == 0) {
        return fail(r, STATUS_TIMEOUT, "no answer in time", "is it stopped?");
    }
    return STATUS_OK;
}

static status dial(redis_cache *r) {
    bool begun = strchr(r->address, '/') ? connect_unix(r) : connect_tcp(r);
    int error = begun ? 0 : errno;
    socklen_t size = sizeof error;
    status s = begun ? wait_for(r, POLLOUT) : STATUS_OK;
    if (s == STATUS_OK && begun) {
        getsockopt(r->socket, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (!begun || error) {
        return fail(r, STATUS_BACKEND, "no connection", strerror(error));
    }
    r->reader = redisReaderCreate();
    return r->reader ? s : STATUS_NO_MEMORY;
}

static status begin(redis_cache *r) {
    char byte;
    r->why[0] = '\0';
    r->deadline_ms = ms_clock_now(ms_clock_monotonic()) + r->timeout_ms;
    if (r->socket >= 0 && recv(r->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0
        && errno == EAGAIN) {
        return STATUS_OK;
    }
    hang_up(r);
    return dial(r);
}

/* -- bytes out, answers in --------------------------------------------------
 */

static bool add(redis_cache *r, const void *data, size_t len) {
    if (r->unsent_len + len > r->unsent_room) {
        size_t room = 2 * (r->unsent_len + len);
        char *more = realloc(r->unsent, room);
        if (!more) {
            return false;
        }
        r->unsent = more;
        r->unsent_room = room;
    }
    if (len > 0) {
        memcpy(r->unsent + r->unsent_len, data, len);
    }
    r->unsent_len += len;
    return true;
}

static bool add_head(redis_cache *r, char kind, size_t number) {
    char head[NUMBER + 3];
    int len = snprintf(head, sizeof head, "%c%zu\r\n", kind, number);
    return add(r, head, (size_t)len);
}

/* Writes one command behind what is not sent yet. */
static status say(redis_cache *r, size_t count, const bytes *words) {
    bool good = add_head(r, '*', count);
    for (size_t i = 0; i < count && good; i++) {
        good = add_head(r, '$', words[i].len)
               && add(r, words[i].data, words[i].len) && add(r, "\r\n", 2);
    }
    return good ? STATUS_OK : STATUS_NO_MEMORY;
}

static status lost(redis_cache *r) {
    return fail(r, STATUS_LOST, "connection lost", strerror(errno));
}

static status send_some(redis_cache *r) {
    ssize_t sent = send(r->socket, r->unsent, r->unsent_len, MSG_NOSIGNAL);
    if (sent < 0) {
        return errno == EAGAIN || errno == EINTR ? STATUS_OK : lost(r);
    }
    r->unsent_len -= (size_t)sent;
    memmove(r->unsent, r->unsent + sent, r->unsent_len);
    return STATUS_OK;
}

static status receive_some(redis_cache *r) {
    char in[1 << 14];
    ssize_t got = recv(r->socket, in, sizeof in, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return STATUS_OK;
    }
    if (got <= 0) {
        return lost(r);
    }
    redisReaderFeed(r->reader, in, (size_t)got);
    return STATUS_OK;
}

/* Waits for the next answer; what there was to send goes out meanwhile. */
static status answer(redis_cache *r) {
    freeReplyObject(r->answer);
    r->answer = NULL;
    for (;;) {
        void *got = NULL;
        if (redisReaderGetReply(r->reader, &got) != REDIS_OK) {
            return fail(r, STATUS_BACKEND, "this is no Redis",
                        r->reader->errstr);
        }
        if (got) {
            r->answer = got;
            return STATUS_OK;
        }
        status s = r->unsent_len > 0 ? send_some(r) : STATUS_OK;
        if (s == STATUS_OK) {
            s = wait_for(r, r->unsent_len > 0 ? POLLIN | POLLOUT : POLLIN);
        }
        if (s == STATUS_OK) {
            s = receive_some(r);
        }
        if (s != STATUS_OK) {
            return s;
        }
    }
}

/* -- what answers mean ------------------------------------------------------
 */

static status meaning(redis_cache *r) {
    switch (r->answer->type) {
    case REDIS_REPLY_NIL: return STATUS_MISS;
    case REDIS_REPLY_ERROR:
        return fail(r,
                    strncmp(r->answer->str, "WRONGTYPE", 9) == 0
                        ? STATUS_INVALID
                        : STATUS_BACKEND,
                    "refused", r->answer->str);
    default: return STATUS_OK;
    }
}

static status ask(redis_cache *r, size_t count, const bytes *words) {
    status s = begin(r);
    if (s == STATUS_OK) {
        s = say(r, count, words);
    }
    if (s == STATUS_OK) {
        s = answer(r);
    }
    if (s != STATUS_OK) {
        hang_up(r);
        return s;
    }
    return meaning(r);
}

#define ASK(r, ...)                                        \
    ask(r, sizeof((bytes[]){__VA_ARGS__}) / sizeof(bytes), \
        (bytes[]){__VA_ARGS__})

struct many {
    const bytes *keys, *values; /* values: NULL for gets */
    size_t n;
    void (*found)(void *context, size_t i, bytes value);
    void *context;
    status *results;
};

static status say_one(redis_cache *r, const struct many *m, size_t i) {
    if (m->values) {
        return say(r, 3, (bytes[]){bytes_of("SET"), m->keys[i], m->values[i]});
    }
    return say(r, 2, (bytes[]){bytes_of("GET"), m->keys[i]});
}

static void take_one(redis_cache *r, const struct many *m, size_t i) {
    int wanted = m->values ? REDIS_REPLY_STATUS : REDIS_REPLY_STRING;
    m->results[i] = meaning(r);
    if (m->results[i] == STATUS_OK && r->answer->type != wanted) {
        m->results[i] = fail(r, STATUS_BACKEND, "odd", "another kind");
    }
    if (m->results[i] == STATUS_OK && m->found) {
        m->found(m->context, i, (bytes){r->answer->str, r->answer->len});
    }
}

static status ask_many(redis_cache *r, const struct many *m) {
    size_t said = 0, taken = 0;
    status s = m->n > 0 ? begin(r) : STATUS_OK;
    while (s == STATUS_OK && taken < m->n) {
        while (s == STATUS_OK && said < m->n && said - taken < WINDOW
               && r->unsent_len < UNSENT_MAX) {
            s = say_one(r, m, said++);
        }
        if (s == STATUS_OK) {
            s = answer(r);
        }
        if (s == STATUS_OK) {
            take_one(r, m, taken++);
        }
    }
    for (size_t i = taken; i < m->n; i++) {
        m->results[i] = s;
    }
    if (s != STATUS_OK) {
        hang_up(r);
    }
    return s;
}

/* -- the cache --------------------------------------------------------------
 */

static bool is_address(const char *a) {
    struct sockaddr_un name;
    const char *colon = a ? strrchr(a, ':') : NULL;
    if (a && strchr(a, '/')) {
        return strlen(a) < sizeof name.sun_path;
    }
    if (!colon || colon == a || strspn(colon + 1, "0123456789") == 0
        || colon[1 + strspn(colon + 1, "0123456789")] != '\0') {
        return false;
    }
    long port = strtol(colon + 1, NULL, 10);
    return port >= 1 && port <= 65535;
}

status redis_cache_create(const char *address, int timeout_ms,
                          redis_cache **out) {
    if (!is_address(address) || timeout_ms <= 0) {
        return STATUS_INVALID;
    }
    redis_cache *r = calloc(1, sizeof *r);
    char *copy = strdup(address);
    if (!r || !copy) {
        free(r);
        free(copy);
        return STATUS_NO_MEMORY;
    }
    r->address = copy;
    r->socket = -1;
    r->timeout_ms = timeout_ms;
    *out = r;
    return STATUS_OK;
}

status redis_cache_connect(redis_cache *r) {
    return ASK(r, bytes_of("PING"));
}

const char *redis_cache_error(const redis_cache *r) {
    return r->why;
}

status redis_cache_set(redis_cache *r, bytes key, bytes value) {
    return ASK(r, bytes_of("SET"), key, value);
}

status redis_cache_get(redis_cache *r, bytes key, bytes *value) {
    status s = ASK(r, bytes_of("GET"), key);
    if (s == STATUS_OK) {
        *value = (bytes){r->answer->str, r->answer->len};
    }
    return s;
}

status redis_cache_exists(redis_cache *r, bytes key) {
    status s = ASK(r, bytes_of("EXISTS"), key);
    return s == STATUS_OK && r->answer->integer == 0 ? STATUS_MISS : s;
}

status redis_cache_delete(redis_cache *r, bytes key) {
    status s = ASK(r, bytes_of("DEL"), key);
    return s == STATUS_OK && r->answer->integer == 0 ? STATUS_MISS : s;
}

status redis_cache_set_for(redis_cache *r, bytes key, bytes value,
                           int64_t ttl_ms) {
    char number[NUMBER];
    if (ttl_ms <= 0) {
        return fail(r, STATUS_INVALID, "refused", "an argument is no good");
    }
    if (ttl_ms >= REDIS_CACHE_NEVER / 2) {
        return redis_cache_set(r, key, value);
    }
    snprintf(number, sizeof number, "%lld", (long long)ttl_ms);
    return ASK(r, bytes_of("PSETEX"), key, bytes_of(number), value);
}

status redis_cache_remaining_ms(redis_cache *r, bytes key,
                                int64_t *remaining_ms) {
    status s = ASK(r, bytes_of("PTTL"), key);
    if (s == STATUS_OK && r->answer->integer == -2) {
        return STATUS_MISS;
    }
    if (s == STATUS_OK) {
        *remaining_ms =
            r->answer->integer == -1 ? REDIS_CACHE_NEVER : r->answer->integer;
    }
    return s;
}

status redis_cache_get_many(redis_cache *r, const bytes *keys, size_t n,
                            void (*found)(void *context, size_t i, bytes value),
                            void *context, status *results) {
    if (!found || (n > 0 && (!keys || !results))) {
        return fail(r, STATUS_INVALID, "refused", "an argument is no good");
    }
    struct many m = {keys, NULL, n, found, context, results};
    return ask_many(r, &m);
}

status redis_cache_set_many(redis_cache *r, const bytes *keys,
                            const bytes *values, size_t n, status *results) {
    if (n > 0 && (!keys || !values || !results)) {
        return fail(r, STATUS_INVALID, "refused", "an argument is no good");
    }
    struct many m = {keys, values, n, NULL, NULL, results};
    return ask_many(r, &m);
}

void redis_cache_destroy(redis_cache *r) {
    if (r) {
        hang_up(r);
        freeReplyObject(r->answer);
        free(r->unsent);
        free(r->address);
        free(r);
    }
}
