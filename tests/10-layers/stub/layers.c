/* layers: gets walk down, changes walk up, and who missed one is cleaned. */
#include "layers.h"

#include "dict.h"
#include "lru.h"
#include "redis_cache.h"

#include "common/todo.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A value in memory, in one block. */
struct block {
    size_t len;
    char data[];
};

struct lru_level {
    lru *lru; /* key to struct block */
    size_t capacity;
    uint64_t seed;
};

struct redis_level {
    redis_cache *cache;
    int64_t ttl_ms;
    int timeout_ms;
    char path[];
};

struct level {
    layer layer;
    layers_stats stats;
    bool out;         /* left alone until retry_ms after since_ms */
    status why;       /* how it failed */
    int64_t since_ms; /* when it failed last */
    dict *missed;     /* the keys whose change it missed; NULL: none */
    bool missed_all;  /* they were too many to note */
};

struct layers {
    layers_options options;
    size_t failed; /* in the last call: the slowest level that did */
    size_t count;
    struct level levels[]; /* the fastest first */
};

status layer_lru(size_t capacity, uint64_t seed, layer *out) {
    TODO("10.1: make an lru of blocks, and give out its functions as a level");
}

status layer_redis(const char *path, int timeout_ms, int64_t ttl_ms,
                   layer *out) {
    TODO("10.9: make a redis_cache, and give out its functions as a level");
}

status layers_create(const layer *levels, size_t count,
                     const layers_options *options, layers **out) {
    TODO("10.2: refuse bad levels, copy the good ones, fill in the defaults");
}

status layers_get(layers *l, bytes key, bytes *value, size_t *level) {
    TODO("10.3: ask level after level, down to the first that has the key");
}

status layers_set(layers *l, bytes key, bytes value) {
    TODO("10.5: set the key on every level, the slowest first");
}

status layers_delete(layers *l, bytes key) {
    TODO("10.5: delete the key from every level, the slowest first");
}

size_t layers_failed(const layers *l) {
    TODO("10.6: return the slowest level that the last call had to do without");
}

layers_stats layers_statistics(const layers *l, size_t level) {
    TODO("10.3: return what was counted for that level");
}

void layers_destroy(layers *l) {
    TODO("10.2: end every level that has an end, then free the hierarchy");
}
