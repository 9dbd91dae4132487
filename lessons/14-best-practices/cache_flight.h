/* cache_flight: loads that are running; given, as it is lesson 7 again.
 *
 * A shard lists its flights: who misses a key looks for one under the shard's
 * lock, waits for it, or lists an own one before the lock is opened again. A
 * set or a delete takes the flight of its key off the list: it goes on for
 * those who wait, but what it brings will not be kept.
 *
 * All of these are called with the shard's lock held. */
#ifndef LESSON_CACHE_FLIGHT_H
#define LESSON_CACHE_FLIGHT_H

#include "common/bytes.h"
#include "common/status.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

typedef struct flight flight;
struct flight {
    flight *next; /* in the shard's list */
    bytes key;    /* lent by the thread that loads */
    pthread_t loader;
    pthread_cond_t ended; /* broadcast when it is done */
    bool done;
    status status;  /* once it is done, */
    char *value;    /* and what it brought, from malloc; NULL: nothing */
    size_t len;     /* of the value */
    size_t holders; /* the loader, and all who wait */
};

/* Returns: the link that leads to the flight of this key, or to NULL. */
static inline flight **flight_find(flight **list, bytes key) {
    while (*list && !bytes_equal((*list)->key, key)) {
        list = &(*list)->next;
    }
    return list;
}

/* Takes the flight of this key off the list, if there is one. */
static inline void flight_overtake(flight **list, bytes key) {
    flight **link = flight_find(list, key);
    if (*link) {
        *link = (*link)->next;
    }
}

/* Lists a flight of this thread, who holds it.
 * monotonic: attributes with the clock that nobody sets.
 * Returns: NULL without memory. */
static inline flight *flight_begin(flight **list, bytes key,
                                   const pthread_condattr_t *monotonic) {
    flight *f = calloc(1, sizeof *f);
    if (!f || pthread_cond_init(&f->ended, monotonic) != 0) {
        free(f);
        return NULL;
    }
    f->next = *list;
    f->key = key;
    f->loader = pthread_self();
    f->holders = 1;
    *list = f;
    return f;
}

/* Waits until it is done, or wait_ms are over. A wait may end without a
 * reason, so what counts is `done`. */
static inline void flight_wait(flight *f, pthread_mutex_t *lock,
                               int64_t wait_ms) {
    struct timespec late;
    clock_gettime(CLOCK_MONOTONIC, &late);
    late.tv_sec += (time_t)(wait_ms / 1000);
    late.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (late.tv_nsec >= 1000000000) {
        late.tv_sec++;
        late.tv_nsec -= 1000000000;
    }
    int why = 0;
    while (!f->done && why != ETIMEDOUT) {
        why = pthread_cond_timedwait(&f->ended, lock, &late);
    }
}

/* One who holds it goes; with the last one it ends. */
static inline void flight_leave(flight *f) {
    if (--f->holders == 0) {
        pthread_cond_destroy(&f->ended);
        free(f->value);
        free(f);
    }
}

#endif
