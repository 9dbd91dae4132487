/* shared: shards with a lock and an lru each, and one load per key. */
#include "shared.h"

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

/* The lru uses the lower half of the same hash. Taking the upper half here
 * keeps the keys of one shard spread over all of its buckets. */
static struct shard *shard_of(const shared *s, uint64_t hash) {
    return &s->shards[(hash >> 32) * s->count >> 32];
}

/* A shard is in use for less time than it takes to fall asleep and be woken, so
 * who finds it locked tries again. After many tries its holder must be off its
 * processor, and may need this one: then sleep a little. The lock is opened in
 * the end, so the loop ends. */
static void enter(struct shard *shard) {
    static const struct timespec moment = {.tv_nsec = 1000};
    for (size_t tries = 1; pthread_spin_trylock(&shard->lock) != 0; tries++) {
        if (tries % TRIES == 0) {
            nanosleep(&moment, NULL);
        }
    }
}

static void leave(struct shard *shard) {
    pthread_spin_unlock(&shard->lock);
}

/* Copies bytes into a value with one holder. Returns: NULL without memory. */
static struct value *new_value(bytes b) {
    if (b.len > SIZE_MAX - sizeof(struct value)) {
        return NULL;
    }
    struct value *v = malloc(sizeof *v + b.len);
    if (v) {
        v->holders = 1;
        v->len = b.len;
        if (b.len > 0) {
            memcpy(v->data, b.data, b.len);
        }
    }
    return v;
}

static void drop_value(void *value) {
    struct value *v = value;
    if (v && --v->holders == 0) {
        free(v);
    }
}

static status copy_out(const struct value *v, void *buffer, size_t size,
                       size_t *len) {
    *len = v->len;
    if (v->len > size) {
        return STATUS_TOO_LARGE;
    }
    if (v->len > 0) {
        memcpy(buffer, v->data, v->len);
    }
    return STATUS_OK;
}

/* Returns: the link that leads to the flight of this key, or to NULL. */
static struct flight **find_flight(struct shard *shard, bytes key) {
    struct flight **link = &shard->flights;
    while (*link && !bytes_equal((*link)->key, key)) {
        link = &(*link)->next;
    }
    return link;
}

/* Takes the key's flight off the list, if there is one: it goes on for those
 * who wait, but nobody finds it, and what it brings will not be kept. */
static void overtake(struct shard *shard, bytes key) {
    struct flight **link = find_flight(shard, key);
    if (*link) {
        *link = (*link)->next;
    }
}

static void drop_flight(struct flight *f) {
    if (--f->holders == 0) {
        drop_value(f->value);
        pthread_cond_destroy(&f->ended);
        pthread_mutex_destroy(&f->lock);
        free(f);
    }
}

/* Lists a flight of this thread. Returns: NULL without memory. */
static struct flight *take_off(shared *s, struct shard *shard, bytes key) {
    struct flight *f = malloc(sizeof *f);
    if (!f) {
        return NULL;
    }
    *f = (struct flight){.next = shard->flights,
                         .key = key,
                         .loader = pthread_self(),
                         .holders = 1,
                         .lock = PTHREAD_MUTEX_INITIALIZER};
    if (pthread_cond_init(&f->ended, &s->monotonic) != 0) {
        free(f);
        return NULL;
    }
    shard->flights = f;
    shard->loads++;
    return f;
}

/* Keeps a loaded value, unless a set or a delete has taken its flight off the
 * list. Returns: STATUS_NO_MEMORY if it should have been kept and was not. */
static status keep(struct shard *shard, const struct flight *f,
                   struct value *value) {
    struct flight **link = find_flight(shard, f->key);
    if (*link != f) {
        return STATUS_OK;
    }
    *link = f->next;
    if (!value) {
        return STATUS_OK;
    }
    status kept = lru_set(shard->entries, f->key, value);
    if (kept == STATUS_OK) {
        value->holders++;
    }
    return kept;
}

/* Ends a flight: notes what it brought, and keeps the value.
 * value: has one holder, which is the flight from now on; NULL if none. */
static void land(struct shard *shard, struct flight *f, status result,
                 struct value *value) {
    status kept = keep(shard, f, value);
    if (kept != STATUS_OK) {
        result = kept;
        drop_value(value);
        value = NULL;
    }
    shard->failures += result != STATUS_OK;
    f->status = result;
    f->value = value;
}

/* Wakes everybody who waits for a flight that has landed. */
static void announce(struct flight *f) {
    pthread_mutex_lock(&f->lock);
    f->done = true;
    pthread_cond_broadcast(&f->ended);
    pthread_mutex_unlock(&f->lock);
}

/* Runs the loader with the lock open, and ends the flight. Nobody holds two
 * locks, so this one is open again while the others are told. */
static void fly(struct shard *shard, struct flight *f, shared_load load,
                void *context) {
    leave(shard);
    bytes loaded = {NULL, 0};
    struct value *value = NULL;
    status result = load(context, f->key, &loaded);
    if (result == STATUS_OK) {
        value = new_value(loaded);
        result = value ? STATUS_OK : STATUS_NO_MEMORY;
    }
    enter(shard);
    land(shard, f, result, value);
    leave(shard);
    announce(f);
    enter(shard);
}

/* The moment wait_ms from now, by the clock that nobody sets. */
static struct timespec deadline_after(int64_t wait_ms) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(wait_ms / 1000);
    t.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* A wait may end without a reason, so what counts is `done`.
 * Returns: whether the flight is over. */
static bool wait_for(struct flight *f, int64_t wait_ms) {
    struct timespec deadline = deadline_after(wait_ms);
    int why = 0;
    pthread_mutex_lock(&f->lock);
    while (!f->done && why != ETIMEDOUT) {
        why = pthread_cond_timedwait(&f->ended, &f->lock, &deadline);
    }
    bool done = f->done;
    pthread_mutex_unlock(&f->lock);
    return done;
}

/* A miss: waits for the flight of this key, or becomes it. The shard's lock is
 * held when it begins and when it ends. */
static status join_or_load(shared *s, struct shard *shard, bytes key,
                           shared_load load, void *context, int64_t wait_ms,
                           struct flight **out) {
    struct flight *f = *find_flight(shard, key);
    bool done = true;
    if (!f) {
        f = take_off(s, shard, key);
        if (!f) {
            return STATUS_NO_MEMORY;
        }
        fly(shard, f, load, context);
    } else if (pthread_equal(f->loader, pthread_self())) {
        return STATUS_DEADLOCK;
    } else {
        f->holders++;
        shard->joins++;
        leave(shard);
        done = wait_for(f, wait_ms);
        enter(shard);
    }
    *out = f;
    return done ? f->status : STATUS_TIMEOUT;
}

/* Returns: false without memory; then the shard is as it was. */
static bool open_shard(struct shard *shard, size_t capacity, uint64_t seed) {
    *shard = (struct shard){.flights = NULL};
    if (pthread_spin_init(&shard->lock, PTHREAD_PROCESS_PRIVATE) != 0) {
        return false;
    }
    if (lru_create(capacity, drop_value, seed, &shard->entries) != STATUS_OK) {
        pthread_spin_destroy(&shard->lock);
        return false;
    }
    return true;
}

static void close_shards(struct shard *shards, size_t count) {
    for (size_t i = 0; i < count; i++) {
        lru_destroy(shards[i].entries);
        pthread_spin_destroy(&shards[i].lock);
    }
}

/* Returns: false without memory; then none is open. */
static bool open_shards(shared *s, size_t capacity) {
    for (size_t i = 0; i < s->count; i++) {
        size_t part = capacity / s->count + (i < capacity % s->count);
        if (!open_shard(&s->shards[i], part, s->seed)) {
            close_shards(s->shards, i);
            return false;
        }
    }
    return true;
}

static bool create_attributes(pthread_condattr_t *monotonic) {
    if (pthread_condattr_init(monotonic) != 0) {
        return false;
    }
    pthread_condattr_setclock(monotonic, CLOCK_MONOTONIC);
    return true;
}

status shared_create(size_t capacity, size_t shards, uint64_t seed,
                     shared **out) {
    if (shards < 1 || shards > SHARED_SHARDS_MAX || capacity < shards
        || capacity > LRU_CAPACITY_MAX) {
        return STATUS_INVALID;
    }
    shared *s = calloc(1, sizeof *s);
    if (!s || !create_attributes(&s->monotonic)) {
        goto no_attributes;
    }
    s->count = shards;
    s->seed = seed;
    s->shards = aligned_alloc(LINE_BYTES, shards * sizeof *s->shards);
    if (!s->shards) {
        goto no_array;
    }
    if (!open_shards(s, capacity)) {
        goto no_shards;
    }
    *out = s;
    return STATUS_OK;

no_shards:
    free(s->shards);
no_array:
    pthread_condattr_destroy(&s->monotonic);
no_attributes:
    free(s);
    return STATUS_NO_MEMORY;
}

status shared_set(shared *s, bytes key, bytes value) {
    struct value *v = new_value(value); /* the long part, before the lock */
    if (!v) {
        return STATUS_NO_MEMORY;
    }
    struct shard *shard = shard_of(s, lru_hash(key, s->seed));
    enter(shard);
    status result = lru_set(shard->entries, key, v);
    if (result == STATUS_OK) {
        overtake(shard, key);
    }
    leave(shard);
    if (result != STATUS_OK) {
        drop_value(v);
    }
    return result;
}

status shared_get(shared *s, bytes key, void *buffer, size_t size,
                  size_t *len) {
    uint64_t hash = lru_hash(key, s->seed);
    struct shard *shard = shard_of(s, hash);
    void *value;
    status result = STATUS_MISS;
    enter(shard);
    if (lru_get_hashed(shard->entries, key, hash, &value)) {
        result = copy_out(value, buffer, size, len);
    }
    leave(shard);
    return result;
}

bool shared_delete(shared *s, bytes key) {
    struct shard *shard = shard_of(s, lru_hash(key, s->seed));
    enter(shard);
    overtake(shard, key);
    bool found = lru_delete(shard->entries, key);
    leave(shard);
    return found;
}

status shared_get_or_load(shared *s, bytes key, shared_load load, void *context,
                          int64_t wait_ms, void *buffer, size_t size,
                          size_t *len) {
    if (!load || wait_ms < 0) {
        return STATUS_INVALID;
    }
    uint64_t hash = lru_hash(key, s->seed);
    struct shard *shard = shard_of(s, hash);
    struct flight *f = NULL;
    void *value = NULL;
    status result = STATUS_OK;
    enter(shard);
    if (!lru_get_hashed(shard->entries, key, hash, &value)) {
        result = join_or_load(s, shard, key, load, context, wait_ms, &f);
        value = f ? f->value : NULL;
    }
    if (result == STATUS_OK) {
        result = copy_out(value, buffer, size, len);
    }
    if (f) {
        drop_flight(f);
    }
    leave(shard);
    return result;
}

shared_stats shared_statistics(shared *s) {
    shared_stats sum = {0};
    for (size_t i = 0; i < s->count; i++) {
        struct shard *shard = &s->shards[i];
        enter(shard);
        lru_stats own = lru_statistics(shard->entries);
        sum.hits += own.hits;
        sum.misses += own.misses;
        sum.evictions += own.evictions;
        sum.loads += shard->loads;
        sum.failures += shard->failures;
        sum.joins += shard->joins;
        sum.entries += lru_count(shard->entries);
        leave(shard);
    }
    return sum;
}

void shared_destroy(shared *s) {
    if (!s) {
        return;
    }
    close_shards(s->shards, s->count);
    pthread_condattr_destroy(&s->monotonic);
    free(s->shards);
    free(s);
}
