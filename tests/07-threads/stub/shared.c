/* shared: shards with a lock and an lru each, and one load per key. */
#include "shared.h"

#include "common/todo.h"
#include "lru.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Two shards in one line of the processors' caches would hold each other up
 * though their locks differ ("false sharing"). */
enum { LINE_BYTES = 64 };

/* How often a thread tries a shard's lock before it sleeps a little. */
enum { TRIES = 100 };

/* A value never changes. The lru holds it, and so does the flight that loaded
 * it, until the last one who waits has his copy. */
struct value {
    size_t holders; /* guarded by the lock of the shard */
    size_t len;
    char data[];
};

/* A load that is running, or has ended and is still being looked at. Who waits
 * for it may wait for long, so the lock that he gives back meanwhile is a
 * mutex, and not the shard's. */
struct flight {
    struct flight *next; /* in the shard's list */
    bytes key;           /* lent by the thread that loads */
    pthread_t loader;
    status status;        /* once it is done, */
    struct value *value;  /* and what it brought; NULL unless STATUS_OK */
    size_t holders;       /* the loader, and all who wait */
    pthread_mutex_t lock; /* guards `done`; the shard's lock all the rest */
    pthread_cond_t ended;
    bool done;
};

struct shard {
    _Alignas(LINE_BYTES) pthread_spinlock_t lock; /* guards all of these */
    lru *entries;
    struct flight *flights; /* loads whose result will be kept */
    uint64_t loads, failures, joins;
};

struct shared {
    struct shard *shards;
    size_t count;
    uint64_t seed;
    pthread_condattr_t monotonic;
};

status shared_create(size_t capacity, size_t shards, uint64_t seed,
                     shared **out) {
    TODO("7.1: refuse what is out of range, make the shards, each with a lock");
}

status shared_set(shared *s, bytes key, bytes value) {
    TODO("7.2: copy the value, and put it into its shard under the lock");
}

status shared_get(shared *s, bytes key, void *buffer, size_t size,
                  size_t *len) {
    TODO("7.2: find the key and copy its value out under the lock");
}

bool shared_delete(shared *s, bytes key) {
    TODO("7.3: remove the key from its shard under the lock");
}

status shared_get_or_load(shared *s, bytes key, shared_load load, void *context,
                          int64_t wait_ms, void *buffer, size_t size,
                          size_t *len) {
    TODO("7.5: after a miss load with the lock open, and keep the value");
}

shared_stats shared_statistics(shared *s) {
    TODO("7.4: add up the shards, each under its lock");
}

void shared_destroy(shared *s) {
    TODO("7.1: end every shard, then free the cache");
}
