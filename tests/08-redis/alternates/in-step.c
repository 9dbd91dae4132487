/* redis_cache on a socket that blocks: it sends a window of commands, reads all
 * of their answers, and sends the next. A window is so small that the kernel
 * holds it while the server is busy with an answer, unless it is one command,
 * which the server reads before it answers. Values are copied. */
#include "redis_cache.h"

#include "common/clock.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

enum { WINDOW = 128, WINDOW_BYTES = 16 << 10 };

struct redis_cache {
    redisContext *line;
    char *copy;
    int64_t deadline_ms;
    int timeout_ms;
    char why[400];
    char address[];
};

static status failed(redis_cache *r, status s, const char *why) {
    snprintf(r->why, sizeof r->why, "%s at %s: %s", status_name(s), r->address,
             why);
    redisFree(r->line);
    r->line = NULL;
    return s;
}

/* The connection, if there is one, is as good as before. */
static status refuse(redis_cache *r) {
    snprintf(r->why, sizeof r->why, "an argument is no good");
    return STATUS_INVALID;
}

static status late(redis_cache *r) {
    return failed(r, STATUS_TIMEOUT, "no answer in time");
}

static status broken(redis_cache *r) {
    bool stranger = r->line->err == REDIS_ERR_PROTOCOL;
    return stranger ? failed(r, STATUS_BACKEND, "this is no Redis")
                    : failed(r, STATUS_LOST, r->line->errstr);
}

static int64_t left_ms(const redis_cache *r) {
    return r->deadline_ms - ms_clock_now(ms_clock_monotonic());
}

static struct timeval as_timeval(int64_t ms) {
    return (struct timeval){ms / 1000, ms % 1000 * 1000};
}

static status dial(redis_cache *r) {
    char host[256];
    const char *colon = strrchr(r->address, ':');
    struct timeval patience = as_timeval(r->timeout_ms);
    if (strchr(r->address, '/')) {
        r->line = redisConnectUnixWithTimeout(r->address, patience);
    } else {
        snprintf(host, sizeof host, "%.*s", (int)(colon - r->address),
                 r->address);
        r->line = redisConnectWithTimeout(host, atoi(colon + 1), patience);
    }
    if (!r->line) {
        return STATUS_NO_MEMORY;
    }
    if (r->line->err) {
        return errno == ETIMEDOUT ? late(r)
                                  : failed(r, STATUS_BACKEND, r->line->errstr);
    }
    return STATUS_OK;
}

static status begin(redis_cache *r) {
    r->why[0] = '\0';
    r->deadline_ms = ms_clock_now(ms_clock_monotonic()) + r->timeout_ms;
    struct pollfd p = {.fd = r->line ? r->line->fd : -1, .events = POLLIN};
    if (r->line && poll(&p, 1, 0) == 0) {
        return STATUS_OK;
    }
    redisFree(r->line);
    return dial(r);
}

/* A send that blocks gives up after SO_SNDTIMEO, having sent a part or nothing
 * at all. */
static status flush(redis_cache *r) {
    while (sdslen(r->line->obuf) > 0) {
        int64_t left = left_ms(r);
        struct timeval patience = as_timeval(left);
        if (left <= 0) {
            return late(r);
        }
        setsockopt(r->line->fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
                   sizeof patience);
        ssize_t sent = send(r->line->fd, r->line->obuf, sdslen(r->line->obuf),
                            MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EAGAIN ? late(r)
                                   : failed(r, STATUS_LOST, strerror(errno));
        }
        sdsrange(r->line->obuf, (int)sent, -1);
    }
    return STATUS_OK;
}

static status read_reply(redis_cache *r, redisReply **reply) {
    void *got = NULL;
    while (redisGetReplyFromReader(r->line, &got) == REDIS_OK && !got) {
        struct pollfd p = {.fd = r->line->fd, .events = POLLIN};
        int64_t left = left_ms(r);
        if (left <= 0 || poll(&p, 1, (int)left) == 0) {
            return late(r);
        }
        if (redisBufferRead(r->line) != REDIS_OK) {
            return broken(r);
        }
    }
    *reply = got;
    return got ? STATUS_OK : broken(r);
}

static status judge(redis_cache *r, const redisReply *reply) {
    if (reply->type == REDIS_REPLY_ERROR) {
        snprintf(r->why, sizeof r->why, "%s", reply->str);
        return strncmp(reply->str, "WRONGTYPE", 9) == 0 ? STATUS_INVALID
                                                        : STATUS_BACKEND;
    }
    return reply->type == REDIS_REPLY_NIL ? STATUS_MISS : STATUS_OK;
}

static void append(redis_cache *r, int count, const bytes *words) {
    const char *word[5] = {0};
    size_t len[5] = {0};
    for (int i = 0; i < count; i++) {
        word[i] = words[i].data;
        len[i] = words[i].len;
    }
    redisAppendCommandArgv(r->line, count, word, len);
}

/* Asks one thing; the caller frees the reply, which may be NULL. */
static status ask(redis_cache *r, int count, const bytes *words,
                  redisReply **reply) {
    *reply = NULL;
    status s = begin(r);
    if (s == STATUS_OK) {
        append(r, count, words);
        s = flush(r);
    }
    if (s == STATUS_OK) {
        s = read_reply(r, reply);
    }
    return s == STATUS_OK ? judge(r, *reply) : s;
}

static status command(redis_cache *r, int count, const bytes *words) {
    redisReply *reply;
    status s = ask(r, count, words, &reply);
    freeReplyObject(reply);
    return s;
}

static status number(redis_cache *r, const char *verb, bytes key,
                     long long *n) {
    redisReply *reply;
    status s = ask(r, 2, (bytes[]){bytes_of(verb), key}, &reply);
    if (s == STATUS_OK) {
        *n = reply->integer;
    }
    freeReplyObject(reply);
    return s;
}

/* -- the cache --------------------------------------------------------------
 */

status redis_cache_create(const char *address, int timeout_ms,
                          redis_cache **out) {
    struct sockaddr_un name;
    const char *colon = address ? strrchr(address, ':') : NULL;
    char *rest = NULL;
    if (!address || timeout_ms <= 0) {
        return STATUS_INVALID;
    }
    if (strchr(address, '/')) {
        if (strlen(address) >= sizeof name.sun_path) {
            return STATUS_INVALID;
        }
    } else if (!colon || colon == address || colon[1] < '0' || colon[1] > '9'
               || strtol(colon + 1, &rest, 10) < 1 || *rest
               || strtol(colon + 1, NULL, 10) > 65535) {
        return STATUS_INVALID;
    }
    redis_cache *r = calloc(1, sizeof *r + strlen(address) + 1);
    if (!r) {
        return STATUS_NO_MEMORY;
    }
    memcpy(r->address, address, strlen(address));
    r->timeout_ms = timeout_ms;
    *out = r;
    return STATUS_OK;
}

status redis_cache_connect(redis_cache *r) {
    return command(r, 1, (bytes[]){bytes_of("PING")});
}

const char *redis_cache_error(const redis_cache *r) {
    return r->why;
}

status redis_cache_set(redis_cache *r, bytes key, bytes value) {
    return command(r, 3, (bytes[]){bytes_of("SET"), key, value});
}

status redis_cache_get(redis_cache *r, bytes key, bytes *value) {
    redisReply *reply;
    status s = ask(r, 2, (bytes[]){bytes_of("GET"), key}, &reply);
    if (s == STATUS_OK) {
        char *copy = realloc(r->copy, reply->len + 1);
        s = copy ? STATUS_OK : STATUS_NO_MEMORY;
        if (copy) {
            r->copy = memcpy(copy, reply->str, reply->len);
            *value = (bytes){copy, reply->len};
        }
    }
    freeReplyObject(reply);
    return s;
}

status redis_cache_exists(redis_cache *r, bytes key) {
    long long n = 0;
    status s = number(r, "EXISTS", key, &n);
    return s == STATUS_OK && n == 0 ? STATUS_MISS : s;
}

status redis_cache_delete(redis_cache *r, bytes key) {
    long long n = 0;
    status s = number(r, "UNLINK", key, &n);
    return s == STATUS_OK && n == 0 ? STATUS_MISS : s;
}

status redis_cache_set_for(redis_cache *r, bytes key, bytes value,
                           int64_t ttl_ms) {
    char digits[24];
    if (ttl_ms <= 0) {
        return refuse(r);
    }
    if (ttl_ms >= REDIS_CACHE_NEVER / 2) {
        return redis_cache_set(r, key, value);
    }
    snprintf(digits, sizeof digits, "%lld", (long long)ttl_ms);
    return command(r, 5,
                   (bytes[]){bytes_of("SET"), key, value, bytes_of("PX"),
                             bytes_of(digits)});
}

status redis_cache_remaining_ms(redis_cache *r, bytes key,
                                int64_t *remaining_ms) {
    long long n = 0;
    status s = number(r, "PTTL", key, &n);
    if (s == STATUS_OK && n == -2) {
        return STATUS_MISS;
    }
    if (s == STATUS_OK) {
        *remaining_ms = n == -1 ? REDIS_CACHE_NEVER : n;
    }
    return s;
}

struct many {
    const bytes *keys, *values; /* values: NULL for gets */
    size_t n;
    void (*found)(void *context, size_t i, bytes value);
    void *context;
    status *results;
};

/* Sends a window that starts at `from`. Returns: where the next one starts. */
static size_t append_window(redis_cache *r, const struct many *m, size_t from) {
    size_t at = from;
    while (at < m->n && at - from < WINDOW
           && sdslen(r->line->obuf) < WINDOW_BYTES) {
        bytes words[] = {bytes_of(m->values ? "SET" : "GET"), m->keys[at],
                         m->values ? m->values[at] : (bytes){0}};
        append(r, m->values ? 3 : 2, words);
        at++;
    }
    return at;
}

static status take(redis_cache *r, const struct many *m, size_t i) {
    redisReply *reply;
    status s = read_reply(r, &reply);
    if (s == STATUS_OK) {
        m->results[i] = judge(r, reply);
        int wanted = m->values ? REDIS_REPLY_STATUS : REDIS_REPLY_STRING;
        if (m->results[i] == STATUS_OK && reply->type != wanted) {
            snprintf(r->why, sizeof r->why, "an answer of another kind");
            m->results[i] = STATUS_BACKEND;
        }
        if (m->found && m->results[i] == STATUS_OK) {
            m->found(m->context, i, (bytes){reply->str, reply->len});
        }
        freeReplyObject(reply);
    }
    return s;
}

static status ask_many(redis_cache *r, const struct many *m) {
    size_t taken = 0;
    status s = m->n > 0 ? begin(r) : STATUS_OK;
    while (s == STATUS_OK && taken < m->n) {
        size_t end = append_window(r, m, taken);
        s = flush(r);
        while (s == STATUS_OK && taken < end) {
            s = take(r, m, taken);
            taken += s == STATUS_OK;
        }
    }
    for (size_t i = taken; i < m->n; i++) {
        m->results[i] = s;
    }
    return s;
}

status redis_cache_get_many(redis_cache *r, const bytes *keys, size_t n,
                            void (*found)(void *context, size_t i, bytes value),
                            void *context, status *results) {
    if (!found || (n > 0 && (!keys || !results))) {
        return refuse(r);
    }
    struct many m = {keys, NULL, n, found, context, results};
    return ask_many(r, &m);
}

status redis_cache_set_many(redis_cache *r, const bytes *keys,
                            const bytes *values, size_t n, status *results) {
    if (n > 0 && (!keys || !values || !results)) {
        return refuse(r);
    }
    struct many m = {keys, values, n, NULL, NULL, results};
    return ask_many(r, &m);
}

void redis_cache_destroy(redis_cache *r) {
    if (r) {
        redisFree(r->line);
        free(r->copy);
        free(r);
    }
}
