/* shared, built differently: a shard has two locks, one for its entries and one
 * for its flights, taken in the order flights, entries; a flight lives on the
 * stack of the thread that loads; counters of loads are atomic. */
#include "shared.h"

#include "lru.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

struct value {
    size_t len;
    char data[];
};

/* On the stack of the thread that loads, which stays until all have read. */
struct flight {
    struct flight *next;
    bytes key;
    pthread_t loader;
    bool done, overtaken;
    status status;
    struct value *value;
    size_t waiting;
};

struct shard {
    pthread_mutex_t lock;
    lru *entries;
    pthread_mutex_t flights_lock;
    pthread_cond_t changed; /* a flight is done, or has been read */
    struct flight *flights;
};

struct shared {
    size_t count;
    uint64_t seed;
    atomic_uint_least64_t loads, failures, joins;
    struct shard shards[];
};

static struct shard *shard_of(shared *s, bytes key) {
    uint64_t hash = XXH3_64bits_withSeed(key.data, key.len, ~s->seed);
    return &s->shards[hash % s->count];
}

static struct value *new_value(bytes b) {
    struct value *v = malloc(sizeof *v + b.len);
    if (v) {
        v->len = b.len;
        if (b.len > 0) {
            memcpy(v->data, b.data, b.len);
        }
    }
    return v;
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

static status set_copy(struct shard *shard, bytes key, bytes value) {
    struct value *v = new_value(value);
    if (!v) {
        return STATUS_NO_MEMORY;
    }
    pthread_mutex_lock(&shard->lock);
    status result = lru_set(shard->entries, key, v);
    pthread_mutex_unlock(&shard->lock);
    if (result != STATUS_OK) {
        free(v);
    }
    return result;
}

static struct flight *find_flight(const struct shard *shard, bytes key) {
    struct flight *f = shard->flights;
    while (f && (f->overtaken || !bytes_equal(f->key, key))) {
        f = f->next;
    }
    return f;
}

static void overtake(struct shard *shard, bytes key) {
    struct flight *f = find_flight(shard, key);
    if (f) {
        f->overtaken = true;
    }
}

static void unlist(struct shard *shard, const struct flight *f) {
    struct flight **link = &shard->flights;
    while (*link != f) {
        link = &(*link)->next;
    }
    *link = f->next;
}

/* With the flights' lock held on both ends. */
static void load_now(shared *s, struct shard *shard, struct flight *f,
                     shared_load load, void *context) {
    bytes loaded = {NULL, 0};
    s->loads++;
    f->next = shard->flights;
    shard->flights = f;
    pthread_mutex_unlock(&shard->flights_lock);
    f->status = load(context, f->key, &loaded);
    if (f->status == STATUS_OK) {
        f->value = new_value(loaded);
        f->status = f->value ? STATUS_OK : STATUS_NO_MEMORY;
    }
    pthread_mutex_lock(&shard->flights_lock);
    if (f->status == STATUS_OK && !f->overtaken) {
        f->status = set_copy(shard, f->key, loaded);
    }
    s->failures += f->status != STATUS_OK;
    f->done = true;
    unlist(shard, f);
    pthread_cond_broadcast(&shard->changed);
}

/* As load_now, and copies out once nobody waits for this flight any more. */
static status load_and_copy(shared *s, struct shard *shard, bytes key,
                            shared_load load, void *context, void *buffer,
                            size_t size, size_t *len) {
    struct flight f = {.key = key, .loader = pthread_self()};
    load_now(s, shard, &f, load, context);
    while (f.waiting > 0) {
        pthread_cond_wait(&shard->changed, &shard->flights_lock);
    }
    status result = f.status;
    if (result == STATUS_OK) {
        result = copy_out(f.value, buffer, size, len);
    }
    free(f.value);
    return result;
}

static struct timespec deadline_after(int64_t wait_ms) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(wait_ms / 1000);
    t.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static status wait_and_copy(shared *s, struct shard *shard, struct flight *f,
                            int64_t wait_ms, void *buffer, size_t size,
                            size_t *len) {
    struct timespec deadline = deadline_after(wait_ms);
    int why = 0;
    s->joins++;
    f->waiting++;
    while (!f->done && why != ETIMEDOUT) {
        why = pthread_cond_timedwait(&shard->changed, &shard->flights_lock,
                                     &deadline);
    }
    status result = f->done ? f->status : STATUS_TIMEOUT;
    if (result == STATUS_OK) {
        result = copy_out(f->value, buffer, size, len);
    }
    f->waiting--;
    pthread_cond_broadcast(&shard->changed);
    return result;
}

static bool open_shard(struct shard *shard, size_t capacity, uint64_t seed) {
    if (lru_create(capacity, free, seed, &shard->entries) != STATUS_OK) {
        return false;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&shard->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&shard->flights_lock, NULL);
    pthread_mutex_init(&shard->lock, NULL);
    return true;
}

status shared_create(size_t capacity, size_t shards, uint64_t seed,
                     shared **out) {
    if (shards < 1 || shards > SHARED_SHARDS_MAX || capacity < shards
        || capacity > LRU_CAPACITY_MAX) {
        return STATUS_INVALID;
    }
    shared *s = calloc(1, sizeof *s + shards * sizeof s->shards[0]);
    if (!s) {
        return STATUS_NO_MEMORY;
    }
    s->seed = seed;
    for (s->count = 0; s->count < shards; s->count++) {
        size_t part = capacity / shards + (s->count < capacity % shards);
        if (!open_shard(&s->shards[s->count], part, seed)) {
            shared_destroy(s);
            return STATUS_NO_MEMORY;
        }
    }
    *out = s;
    return STATUS_OK;
}

status shared_set(shared *s, bytes key, bytes value) {
    struct shard *shard = shard_of(s, key);
    pthread_mutex_lock(&shard->flights_lock);
    status result = set_copy(shard, key, value);
    if (result == STATUS_OK) {
        overtake(shard, key);
    }
    pthread_mutex_unlock(&shard->flights_lock);
    return result;
}

status shared_get(shared *s, bytes key, void *buffer, size_t size,
                  size_t *len) {
    struct shard *shard = shard_of(s, key);
    void *value;
    pthread_mutex_lock(&shard->lock);
    bool found = lru_get(shard->entries, key, &value);
    status result = found ? copy_out(value, buffer, size, len) : STATUS_MISS;
    pthread_mutex_unlock(&shard->lock);
    return result;
}

bool shared_delete(shared *s, bytes key) {
    struct shard *shard = shard_of(s, key);
    pthread_mutex_lock(&shard->flights_lock);
    overtake(shard, key);
    pthread_mutex_lock(&shard->lock);
    bool found = lru_delete(shard->entries, key);
    pthread_mutex_unlock(&shard->lock);
    pthread_mutex_unlock(&shard->flights_lock);
    return found;
}

status shared_get_or_load(shared *s, bytes key, shared_load load, void *context,
                          int64_t wait_ms, void *buffer, size_t size,
                          size_t *len) {
    if (!load || wait_ms < 0) {
        return STATUS_INVALID;
    }
    struct shard *shard = shard_of(s, key);
    pthread_mutex_lock(&shard->flights_lock);
    status result = shared_get(s, key, buffer, size, len);
    if (result == STATUS_MISS) {
        struct flight *f = find_flight(shard, key);
        if (!f) {
            result =
                load_and_copy(s, shard, key, load, context, buffer, size, len);
        } else if (pthread_equal(f->loader, pthread_self())) {
            result = STATUS_DEADLOCK;
        } else {
            result = wait_and_copy(s, shard, f, wait_ms, buffer, size, len);
        }
    }
    pthread_mutex_unlock(&shard->flights_lock);
    return result;
}

shared_stats shared_statistics(shared *s) {
    shared_stats sum = {
        .loads = s->loads, .failures = s->failures, .joins = s->joins};
    for (size_t i = 0; i < s->count; i++) {
        pthread_mutex_lock(&s->shards[i].lock);
        lru_stats own = lru_statistics(s->shards[i].entries);
        sum.hits += own.hits;
        sum.misses += own.misses;
        sum.evictions += own.evictions;
        sum.entries += lru_count(s->shards[i].entries);
        pthread_mutex_unlock(&s->shards[i].lock);
    }
    return sum;
}

void shared_destroy(shared *s) {
    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->count; i++) {
        struct shard *shard = &s->shards[i];
        lru_destroy(shard->entries);
        pthread_cond_destroy(&shard->changed);
        pthread_mutex_destroy(&shard->flights_lock);
        pthread_mutex_destroy(&shard->lock);
    }
    free(s);
}
