/* redis_cache: one socket that never blocks, and a deadline for each call. */
#include "redis_cache.h"

#include "common/clock.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    UNSENT_MAX = 64 << 10, /* bytes that wait; then no command is added */
    HEAD_MAX = 24,         /* bytes of "*3\r\n" or "$5\r\n", at most */
    DIGITS = 20,           /* of the largest number */
    ERROR_SIZE = 320,      /* of the line about a failure */
    PORT_MAX = 65535,
};

struct redis_cache {
    redisContext *context; /* NULL: no connection */
    redisReply *lent;      /* the last answer */
    char *out;             /* what is not sent yet */
    size_t out_len, out_room;
    int64_t deadline_ms; /* of the call that is running */
    int timeout_ms;
    char *address; /* as it was given */
    char *host;
    int port; /* 0: the address is the path of a unix socket */
    char error[ERROR_SIZE];
};

/* What redis_cache_get_many or redis_cache_set_many was given. */
struct batch {
    const bytes *keys;
    const bytes *values; /* NULL: these are gets */
    size_t n;
    void (*found)(void *context, size_t i, bytes value);
    void *context;
    status *results;
};

/* -- failures ------------------------------------------------------------- */

static status fail(redis_cache *r, status s, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(r->error, sizeof r->error, format, values);
    va_end(values);
    return s;
}

static status refused(redis_cache *r, const char *why) {
    return fail(r, STATUS_BACKEND,
                "no connection to %s: %s; is redis-server running, and "
                "listening there?",
                r->address, why);
}

static status no_memory(redis_cache *r) {
    return fail(r, STATUS_NO_MEMORY, "out of memory");
}

static status lost(redis_cache *r, const char *why) {
    return fail(r, STATUS_LOST,
                "the connection to %s ended in mid-call (%s): look before you "
                "repeat what changes something",
                r->address, why);
}

/* What hiredis found wrong while it read. */
static status broken(redis_cache *r) {
    const redisContext *c = r->context;
    switch (c->err) {
    case REDIS_ERR_OOM: return no_memory(r);
    case REDIS_ERR_PROTOCOL:
        return fail(r, STATUS_BACKEND, "what answers at %s is no Redis: %s",
                    r->address, c->errstr);
    default: return lost(r, c->errstr);
    }
}

/* -- the connection ------------------------------------------------------- */

static void hang_up(redis_cache *r) {
    redisFree(r->context);
    r->context = NULL;
    r->out_len = 0;
}

/* Waits until the socket can be read or written, as events say. */
static status wait_for(redis_cache *r, short events) {
    struct pollfd p = {.fd = r->context->fd, .events = events};
    for (;;) { /* interrupted by signals, and by the deadline in the end */
        int64_t left = r->deadline_ms - ms_clock_now(ms_clock_monotonic());
        int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (ready > 0) {
            return STATUS_OK;
        }
        if (ready == 0 || errno != EINTR) {
            return fail(r, STATUS_TIMEOUT,
                        "no answer from %s in %d ms: it is busy or stopped, or "
                        "the timeout is too short",
                        r->address, r->timeout_ms);
        }
    }
}

/* A connection over TCP is only begun when hiredis gives it to us. */
static status dial(redis_cache *r) {
    int error = 0;
    socklen_t size = sizeof error;
    r->context = r->port ? redisConnectNonBlock(r->host, r->port)
                         : redisConnectUnixNonBlock(r->address);
    if (!r->context) {
        return no_memory(r);
    }
    if (r->context->err) {
        return refused(r, r->context->errstr);
    }
    status s = wait_for(r, POLLOUT);
    if (s == STATUS_OK) {
        getsockopt(r->context->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    return error ? refused(r, strerror(error)) : s;
}

/* Between two calls the server owes us nothing: what can be read then is the
 * end of the connection. */
static bool is_quiet(const redisContext *c) {
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    return poll(&p, 1, 0) == 0;
}

/* Starts a call: its time runs, and there is a connection. */
static status begin(redis_cache *r) {
    r->error[0] = '\0';
    r->deadline_ms = ms_clock_now(ms_clock_monotonic()) + r->timeout_ms;
    if (r->context && is_quiet(r->context)) {
        return STATUS_OK;
    }
    hang_up(r);
    return dial(r);
}

/* Ends a call that failed. Who gives up on an answer must give up the
 * connection: the answer may still come, and would be taken for the next. */
static status give_up(redis_cache *r, status s) {
    hang_up(r);
    return s;
}

/* Sends what the socket takes now. hiredis would write() it, which raises
 * SIGPIPE when the server is gone. */
static status send_some(redis_cache *r) {
    ssize_t sent = send(r->context->fd, r->out, r->out_len, MSG_NOSIGNAL);
    if (sent < 0) {
        bool full = errno == EAGAIN || errno == EINTR;
        return full ? STATUS_OK : lost(r, strerror(errno));
    }
    r->out_len -= (size_t)sent;
    memmove(r->out, r->out + sent, r->out_len);
    return STATUS_OK;
}

/* Sends what can be sent, waits until the socket has brought something or
 * takes more, and reads what it has brought. */
static status move_bytes(redis_cache *r) {
    status s = r->out_len > 0 ? send_some(r) : STATUS_OK;
    if (s == STATUS_OK) {
        s = wait_for(r, r->out_len > 0 ? POLLIN | POLLOUT : POLLIN);
    }
    if (s == STATUS_OK && redisBufferRead(r->context) != REDIS_OK) {
        return broken(r);
    }
    return s;
}

/* Waits for the next answer, and keeps it as r->lent in place of the last. */
static status next_reply(redis_cache *r) {
    void *reply = NULL;
    freeReplyObject(r->lent);
    r->lent = NULL;
    for (;;) { /* until an answer is whole, or the deadline */
        if (redisGetReplyFromReader(r->context, &reply) != REDIS_OK) {
            return broken(r);
        }
        if (reply) {
            r->lent = reply;
            return STATUS_OK;
        }
        status s = move_bytes(r);
        if (s != STATUS_OK) {
            return s;
        }
    }
}

/* -- commands ---------------------------------------------------------------
 */

/* A command in RESP, the language of Redis: how many words there are, and each
 * word behind its length. So a word may hold any byte, and needs no quotes.
 *
 *     *2\r\n  $3\r\n GET\r\n  $6\r\n user:1\r\n                              */
static char *put_head(char *at, char kind, size_t number) {
    char digits[DIGITS];
    size_t from = DIGITS;
    do { /* one turn for each digit */
        digits[--from] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    *at++ = kind;
    memcpy(at, digits + from, DIGITS - from);
    at += DIGITS - from;
    memcpy(at, "\r\n", 2);
    return at + 2;
}

static char *put_word(char *at, bytes word) {
    at = put_head(at, '$', word.len);
    if (word.len > 0) {
        memcpy(at, word.data, word.len);
    }
    memcpy(at + word.len, "\r\n", 2);
    return at + word.len + 2;
}

/* Sees to room for so many bytes more. Returns: whether there is. */
static bool make_room(redis_cache *r, size_t more) {
    if (r->out_len + more > r->out_room) {
        size_t room = 2 * (r->out_len + more);
        char *out = realloc(r->out, room);
        if (!out) {
            return false;
        }
        r->out = out;
        r->out_room = room;
    }
    return true;
}

/* Writes a command behind what is to be sent. */
static status append(redis_cache *r, const bytes *words, size_t count) {
    size_t most = HEAD_MAX;
    for (size_t i = 0; i < count; i++) {
        most += HEAD_MAX + words[i].len + 2;
    }
    if (!make_room(r, most)) {
        return no_memory(r);
    }
    char *at = put_head(r->out + r->out_len, '*', count);
    for (size_t i = 0; i < count; i++) {
        at = put_word(at, words[i]);
    }
    r->out_len = (size_t)(at - r->out);
    return STATUS_OK;
}

/* What the answer says; wanted: the type of a good one. */
static status judge(redis_cache *r, int wanted) {
    const redisReply *reply = r->lent;
    if (reply->type == wanted) {
        return STATUS_OK;
    }
    if (reply->type == REDIS_REPLY_NIL) {
        return STATUS_MISS;
    }
    if (reply->type != REDIS_REPLY_ERROR) {
        return fail(r, STATUS_BACKEND, "an answer of another kind from %s",
                    r->address);
    }
    bool other_kind = strncmp(reply->str, "WRONGTYPE", 9) == 0;
    return fail(r, other_kind ? STATUS_INVALID : STATUS_BACKEND,
                "Redis refuses: %s", reply->str);
}

/* Asks one thing. wanted: the type of a good answer. */
static status ask(redis_cache *r, const bytes *words, size_t count,
                  int wanted) {
    status s = begin(r);
    if (s == STATUS_OK) {
        s = append(r, words, count);
    }
    if (s == STATUS_OK) {
        s = next_reply(r);
    }
    return s == STATUS_OK ? judge(r, wanted) : give_up(r, s);
}

/* Asks something about a key that has a number for an answer. */
static status ask_number(redis_cache *r, const char *verb, bytes key,
                         long long *number) {
    bytes words[] = {bytes_of(verb), key};
    status s = ask(r, words, 2, REDIS_REPLY_INTEGER);
    if (s == STATUS_OK) {
        *number = r->lent->integer;
    }
    return s;
}

static status append_one(redis_cache *r, const struct batch *b, size_t i) {
    if (b->values) {
        bytes set[] = {bytes_of("SET"), b->keys[i], b->values[i]};
        return append(r, set, 3);
    }
    bytes get[] = {bytes_of("GET"), b->keys[i]};
    return append(r, get, 2);
}

/* Asks as much as may be on its way at once. */
static status append_some(redis_cache *r, const struct batch *b, size_t *asked,
                          size_t answered) {
    status s = STATUS_OK;
    while (s == STATUS_OK && *asked < b->n
           && *asked - answered < REDIS_CACHE_WINDOW
           && r->out_len < UNSENT_MAX) {
        s = append_one(r, b, (*asked)++);
    }
    return s;
}

/* Takes the answer to the i-th command. */
static status take_one(redis_cache *r, const struct batch *b, size_t i) {
    status s = next_reply(r);
    if (s != STATUS_OK) {
        return s;
    }
    b->results[i] =
        judge(r, b->values ? REDIS_REPLY_STATUS : REDIS_REPLY_STRING);
    if (b->results[i] == STATUS_OK && b->found) {
        b->found(b->context, i, (bytes){r->lent->str, r->lent->len});
    }
    return STATUS_OK;
}

static status ask_many(redis_cache *r, const struct batch *b) {
    size_t asked = 0, answered = 0;
    status s = b->n > 0 ? begin(r) : STATUS_OK;
    while (s == STATUS_OK && answered < b->n) {
        s = append_some(r, b, &asked, answered);
        if (s == STATUS_OK) {
            s = take_one(r, b, answered);
        }
        answered += s == STATUS_OK;
    }
    for (size_t i = answered; i < b->n; i++) {
        b->results[i] = s;
    }
    return s == STATUS_OK ? s : give_up(r, s);
}

/* -- the cache ------------------------------------------------------------ */

/* Splits "host:port" in place. Returns: the port; -1 if it is none. */
static int split(char *address) {
    char *colon = strrchr(address, ':'), *rest = NULL;
    if (!colon || colon == address || colon[1] < '0' || colon[1] > '9') {
        return -1;
    }
    long port = strtol(colon + 1, &rest, 10);
    *colon = '\0';
    return *rest == '\0' && port > 0 && port <= PORT_MAX ? (int)port : -1;
}

/* Understands the address. Returns: whether it is one. */
static bool set_address(redis_cache *r) {
    struct sockaddr_un name;
    if (strchr(r->address, '/')) {
        return strlen(r->address) < sizeof name.sun_path;
    }
    r->port = split(r->host);
    return r->port > 0;
}

status redis_cache_create(const char *address, int timeout_ms,
                          redis_cache **out) {
    if (!address || timeout_ms <= 0) {
        return STATUS_INVALID;
    }
    redis_cache *r = calloc(1, sizeof *r);
    if (!r) {
        return STATUS_NO_MEMORY;
    }
    r->timeout_ms = timeout_ms;
    r->address = strdup(address);
    r->host = strdup(address);
    bool have_memory = r->address && r->host;
    if (!have_memory || !set_address(r)) {
        redis_cache_destroy(r);
        return have_memory ? STATUS_INVALID : STATUS_NO_MEMORY;
    }
    *out = r;
    return STATUS_OK;
}

status redis_cache_connect(redis_cache *r) {
    bytes ping = bytes_of("PING");
    return ask(r, &ping, 1, REDIS_REPLY_STATUS);
}

const char *redis_cache_error(const redis_cache *r) {
    return r->error;
}

status redis_cache_set(redis_cache *r, bytes key, bytes value) {
    bytes words[] = {bytes_of("SET"), key, value};
    return ask(r, words, 3, REDIS_REPLY_STATUS);
}

status redis_cache_get(redis_cache *r, bytes key, bytes *value) {
    bytes words[] = {bytes_of("GET"), key};
    status s = ask(r, words, 2, REDIS_REPLY_STRING);
    if (s == STATUS_OK) {
        *value = (bytes){r->lent->str, r->lent->len};
    }
    return s;
}

status redis_cache_exists(redis_cache *r, bytes key) {
    long long there = 0;
    status s = ask_number(r, "EXISTS", key, &there);
    return s == STATUS_OK && there == 0 ? STATUS_MISS : s;
}

status redis_cache_delete(redis_cache *r, bytes key) {
    long long gone = 0;
    status s = ask_number(r, "DEL", key, &gone);
    return s == STATUS_OK && gone == 0 ? STATUS_MISS : s;
}

status redis_cache_set_for(redis_cache *r, bytes key, bytes value,
                           int64_t ttl_ms) {
    char ms[DIGITS + 1];
    if (ttl_ms <= 0) {
        return fail(r, STATUS_INVALID, "a time to live is 1 ms or more");
    }
    if (ttl_ms >= REDIS_CACHE_NEVER / 2) { /* Redis adds it to its clock */
        return redis_cache_set(r, key, value);
    }
    snprintf(ms, sizeof ms, "%lld", (long long)ttl_ms);
    bytes words[] = {bytes_of("SET"), key, value, bytes_of("PX"), bytes_of(ms)};
    return ask(r, words, 5, REDIS_REPLY_STATUS);
}

status redis_cache_remaining_ms(redis_cache *r, bytes key,
                                int64_t *remaining_ms) {
    long long left = 0;
    status s = ask_number(r, "PTTL", key, &left);
    if (s == STATUS_OK && left == -2) {
        return STATUS_MISS;
    }
    if (s == STATUS_OK) {
        *remaining_ms = left < 0 ? REDIS_CACHE_NEVER : left;
    }
    return s;
}

status redis_cache_get_many(redis_cache *r, const bytes *keys, size_t n,
                            void (*found)(void *context, size_t i, bytes value),
                            void *context, status *results) {
    if (!found || (n > 0 && (!keys || !results))) {
        return fail(r, STATUS_INVALID, "keys, found or results is NULL");
    }
    struct batch b = {keys, NULL, n, found, context, results};
    return ask_many(r, &b);
}

status redis_cache_set_many(redis_cache *r, const bytes *keys,
                            const bytes *values, size_t n, status *results) {
    if (n > 0 && (!keys || !values || !results)) {
        return fail(r, STATUS_INVALID, "keys, values or results is NULL");
    }
    struct batch b = {keys, values, n, NULL, NULL, results};
    return ask_many(r, &b);
}

void redis_cache_destroy(redis_cache *r) {
    if (r) {
        freeReplyObject(r->lent);
        redisFree(r->context);
        free(r->out);
        free(r->address);
        free(r->host);
        free(r);
    }
}
