/* bus: two connections to a Redis server, given to you ready-made.
 *
 * One connection listens to a channel, the other one publishes, for Redis lets
 * a connection that is subscribed do nothing else. Nothing here knows what a
 * cache is: which messages there are, and what a lost connection means, is up
 * to versioned.c. Pub/Sub delivers at most once: whoever is not subscribed at
 * the moment when a message is published never gets it. */
#ifndef LESSON_BUS_H
#define LESSON_BUS_H

#include "common/bytes.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { BUS_ORIGIN_LEN = 16 };

typedef struct bus {
    redisContext *hears;  /* NULL: lost */
    redisContext *speaks; /* NULL: lost, or not needed yet */
    redisReply *reply;    /* holds the message that was lent last */
    char origin[BUS_ORIGIN_LEN + 1];
    char *path;
    char *channel;
    int timeout_ms;
} bus;

typedef enum bus_event {
    BUS_NOTHING,    /* nothing more has arrived */
    BUS_SUBSCRIBED, /* from now on messages come in */
    BUS_MESSAGE,
    BUS_LOST, /* there is no connection, or its other end is gone */
} bus_event;

/* Whether a read would not wait: bytes have arrived, or the end has. */
static inline bool bus_readable(const redisContext *c, int wait_ms) {
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    return poll(&p, 1, wait_ms) > 0;
}

/* Ends the connection that hears. */
static inline void bus_hang_up(bus *b) {
    redisFree(b->hears);
    b->hears = NULL;
}

static inline void bus_destroy(bus *b) {
    if (b) {
        freeReplyObject(b->reply);
        redisFree(b->hears);
        redisFree(b->speaks);
        free(b->path);
        free(b->channel);
        free(b);
    }
}

/* Makes a bus without a connection. Returns: NULL without memory. */
static inline bus *bus_create(const char *path, const char *channel,
                              int timeout_ms) {
    bus *b = calloc(1, sizeof *b);
    if (!b) {
        return NULL;
    }
    b->timeout_ms = timeout_ms;
    b->path = strdup(path);
    b->channel = strdup(channel);
    if (!b->path || !b->channel) {
        bus_destroy(b);
        return NULL;
    }
    return b;
}

/* Connects and asks for the channel, without waiting for the answer: that is
 * BUS_SUBSCRIBED. Returns: whether there is a server to ask. */
static inline bool bus_call(bus *b) {
    int written = 0;
    b->hears = redisConnectUnixNonBlock(b->path);
    if (!b->hears || b->hears->err
        || redisAppendCommand(b->hears, "SUBSCRIBE %s", b->channel) != REDIS_OK
        || redisBufferWrite(b->hears, &written) != REDIS_OK || !written) {
        bus_hang_up(b);
    }
    return b->hears != NULL;
}

/* Waits for something to arrive, for at most the timeout.
 * Returns: whether something did. */
static inline bool bus_wait(const bus *b) {
    return bus_readable(b->hears, b->timeout_ms);
}

static inline bus_event bus_told(const redisReply *r, const char **message,
                                 size_t *len) {
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 3) {
        return BUS_LOST; /* Redis refuses us */
    }
    if (strcmp(r->element[0]->str, "subscribe") == 0) {
        return BUS_SUBSCRIBED;
    }
    *message = r->element[2]->str;
    *len = r->element[2]->len;
    return BUS_MESSAGE;
}

/* The next thing that has arrived, in order. Never waits.
 * message, len: out, on BUS_MESSAGE; lent until the next call. */
static inline bus_event bus_next(bus *b, const char **message, size_t *len) {
    freeReplyObject(b->reply);
    b->reply = NULL;
    while (b->hears) { /* reads at least one byte in each turn */
        void *reply = NULL;
        if (redisGetReplyFromReader(b->hears, &reply) != REDIS_OK) {
            return BUS_LOST;
        }
        b->reply = reply;
        if (reply) {
            return bus_told(reply, message, len);
        }
        if (!bus_readable(b->hears, 0)) {
            return BUS_NOTHING;
        }
        if (redisBufferRead(b->hears) != REDIS_OK) {
            return BUS_LOST;
        }
    }
    return BUS_LOST;
}

/* Redis numbers its connections, so no two buses have the same origin. */
static inline bool bus_introduce(bus *b) {
    redisReply *id = redisCommand(b->speaks, "CLIENT ID");
    bool good = id && id->type == REDIS_REPLY_INTEGER;
    if (good) {
        snprintf(b->origin, sizeof b->origin, "%016llx",
                 (unsigned long long)id->integer);
    }
    freeReplyObject(id);
    return good;
}

/* Nobody owes us an answer between two commands, so whatever can be read then
 * is the end of the connection: time for a new one. That has an origin of its
 * own, so what the old one has published, and nobody here has read yet, comes
 * back as if another had said it: that costs a load, and is never wrong. */
static inline bool bus_can_speak(bus *b) {
    if (b->speaks && !b->speaks->err && !bus_readable(b->speaks, 0)) {
        return true;
    }
    struct timeval patience = {b->timeout_ms / 1000,
                               b->timeout_ms % 1000 * 1000};
    redisFree(b->speaks);
    b->speaks = redisConnectUnixWithTimeout(b->path, patience);
    return b->speaks && !b->speaks->err
           && redisSetTimeout(b->speaks, patience) == REDIS_OK
           && bus_introduce(b);
}

/* Publishes a message: the kind, our origin, and the name.
 * Returns: whether Redis took it. Waits for at most twice the timeout. */
static inline bool bus_publish(bus *b, const char *kind, bytes name) {
    redisReply *reply = NULL;
    if (bus_can_speak(b)) {
        reply = redisCommand(b->speaks, "PUBLISH %s %s%s%b", b->channel, kind,
                             b->origin, name.data, name.len);
    }
    bool taken = reply && reply->type == REDIS_REPLY_INTEGER;
    freeReplyObject(reply);
    return taken;
}

/* What our own messages carry behind their kind: BUS_ORIGIN_LEN characters. */
static inline const char *bus_origin(const bus *b) {
    return b->origin;
}

#endif
