/* layers: gets walk down, changes walk up, and who missed one is cleaned. */
#include "layers.h"

#include "dict.h"
#include "lru.h"
#include "redis_cache.h"

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

/* -- a level in memory ---------------------------------------------------- */

static status lru_level_get(void *context, bytes key, bytes *value) {
    const struct lru_level *v = context;
    void *found;
    if (!lru_get(v->lru, key, &found)) {
        return STATUS_MISS;
    }
    const struct block *b = found;
    *value = (bytes){b->data, b->len};
    return STATUS_OK;
}

static status lru_level_set(void *context, bytes key, bytes value) {
    struct lru_level *v = context;
    struct block *b = malloc(sizeof *b + value.len);
    if (!b || lru_set(v->lru, key, b) != STATUS_OK) {
        free(b);
        return STATUS_NO_MEMORY;
    }
    b->len = value.len;
    if (value.len > 0) {
        memcpy(b->data, value.data, value.len);
    }
    return STATUS_OK;
}

static status lru_level_delete(void *context, bytes key) {
    struct lru_level *v = context;
    lru_delete(v->lru, key);
    return STATUS_OK;
}

static status lru_level_clear(void *context) {
    struct lru_level *v = context;
    lru *empty;
    status s = lru_create(v->capacity, free, v->seed, &empty);
    if (s == STATUS_OK) {
        lru_destroy(v->lru);
        v->lru = empty;
    }
    return s;
}

static void lru_level_destroy(void *context) {
    struct lru_level *v = context;
    lru_destroy(v->lru);
    free(v);
}

/* -- a level in Redis ----------------------------------------------------- */

static status redis_level_get(void *context, bytes key, bytes *value) {
    const struct redis_level *v = context;
    return redis_cache_get(v->cache, key, value);
}

static status redis_level_set(void *context, bytes key, bytes value) {
    const struct redis_level *v = context;
    return redis_cache_set_for(v->cache, key, value, v->ttl_ms);
}

static status redis_level_delete(void *context, bytes key) {
    const struct redis_level *v = context;
    status s = redis_cache_delete(v->cache, key);
    return s == STATUS_MISS ? STATUS_OK : s;
}

/* On a line of its own: a redis_cache has no call that empties the server. */
static status redis_level_clear(void *context) {
    const struct redis_level *v = context;
    struct timeval patience = {.tv_sec = v->timeout_ms / 1000,
                               .tv_usec = v->timeout_ms % 1000 * 1000L};
    redisContext *line = redisConnectUnixWithTimeout(v->path, patience);
    redisReply *reply = NULL;
    if (line && !line->err && redisSetTimeout(line, patience) == REDIS_OK) {
        reply = redisCommand(line, "FLUSHDB");
    }
    bool done = reply && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    redisFree(line);
    return done ? STATUS_OK : STATUS_BACKEND;
}

static void redis_level_destroy(void *context) {
    struct redis_level *v = context;
    redis_cache_destroy(v->cache);
    free(v);
}

/* -- levels that are out -------------------------------------------------- */

static bool is_source(const layer *y) {
    return !y->clear;
}

/* Whether a level works, and only will not have this value. */
static bool is_refusal(status s) {
    return s == STATUS_NO_MEMORY || s == STATUS_TOO_LARGE || s == STATUS_INVALID
           || s == STATUS_STALE;
}

static void put_out(const layers *l, struct level *v, status why) {
    v->out = true;
    v->why = why;
    v->since_ms = ms_clock_now(l->options.clock);
}

static void forget_missed(struct level *v) {
    dict_destroy(v->missed);
    v->missed = NULL;
    v->missed_all = false;
}

/* Notes that a level missed a change. */
static void note_missed(const layers *l, struct level *v, bytes key) {
    if (v->missed_all || is_source(&v->layer)) {
        return;
    }
    if (!v->missed) {
        v->missed = dict_create(NULL, l->options.seed);
    }
    if (!v->missed || dict_set(v->missed, key, NULL) != STATUS_OK
        || dict_count(v->missed) > l->options.missed_max) {
        forget_missed(v);
        v->missed_all = true;
    }
}

/* Takes from a level all that it may hold of changes that it missed. If that
 * fails halfway, it can be done anew: to delete twice does no harm. */
static status clean(struct level *v) {
    const layer *y = &v->layer;
    status s = v->missed_all ? y->clear(y->context) : STATUS_OK;
    size_t cursor = 0;
    bytes key;
    void *nothing;
    while (s == STATUS_OK && v->missed
           && dict_next(v->missed, &cursor, &key, &nothing)) {
        s = y->del(y->context, key);
    }
    if (s == STATUS_OK) {
        forget_missed(v);
    }
    return s;
}

/* Whether a level that is out may be asked again: after a while, and clean. */
static bool comes_back(const layers *l, struct level *v) {
    if (ms_clock_now(l->options.clock) - v->since_ms < l->options.retry_ms) {
        return false;
    }
    status s = clean(v);
    v->out = s != STATUS_OK;
    if (v->out) {
        put_out(l, v, s);
    }
    return !v->out;
}

/* -- changes -------------------------------------------------------------- */

/* Sets the key; without a value, deletes it. */
static status apply(const layer *y, bytes key, const bytes *value) {
    return value ? y->set(y->context, key, *value) : y->del(y->context, key);
}

/* Changes one level. Whatever it answers, no get will read from it what it held
 * before. */
static status change(const layers *l, struct level *v, bytes key,
                     const bytes *value) {
    if (v->out && !comes_back(l, v)) {
        note_missed(l, v, key);
        return v->why;
    }
    status s = apply(&v->layer, key, value);
    if (s == STATUS_OK || (is_refusal(s) && is_source(&v->layer))) {
        return s;
    }
    /* What it would not have for the old value's sake must still end that. */
    status gone = is_refusal(s) ? apply(&v->layer, key, NULL) : s;
    if (gone != STATUS_OK) {
        put_out(l, v, gone);
        note_missed(l, v, key);
    }
    return s;
}

/* Changes all levels, the slowest first: see the header. */
static status change_all(layers *l, bytes key, const bytes *value) {
    status told = STATUS_OK;
    l->failed = 0;
    for (size_t i = l->count; i-- > 0;) {
        struct level *v = &l->levels[i];
        status s = v->layer.set ? change(l, v, key, value) : STATUS_OK;
        if (s != STATUS_OK && is_source(&v->layer)) {
            value = NULL; /* nobody knows what the source holds: ask it */
        }
        if (s != STATUS_OK && told == STATUS_OK) {
            told = s;
            l->failed = i + 1;
        }
    }
    return told;
}

/* -- gets ----------------------------------------------------------------- */

static void note_failed(layers *l, size_t i) {
    if (l->failed < i + 1) {
        l->failed = i + 1;
    }
}

/* Asks level i, and counts what it says. */
static status ask(layers *l, size_t i, bytes key, bytes *value) {
    struct level *v = &l->levels[i];
    bool usable = !v->out || comes_back(l, v);
    status s = usable ? v->layer.get(v->layer.context, key, value) : v->why;
    if (s == STATUS_OK) {
        v->stats.hits++;
    } else if (s == STATUS_MISS) {
        v->stats.misses++;
    } else {
        v->stats.failures++;
        note_failed(l, i);
        if (usable && !is_refusal(s)) {
            put_out(l, v, s);
        }
    }
    return s;
}

/* Sets what level `from` had on all faster ones. Those that are out need not
 * note it: to miss a copy is not to miss a change. */
static void promote(layers *l, size_t from, bytes key, bytes value) {
    for (size_t i = from; i-- > 0;) {
        struct level *v = &l->levels[i];
        if (!v->out && change(l, v, key, &value) != STATUS_OK) {
            note_failed(l, i);
        }
    }
}

/* -- the interface -------------------------------------------------------- */

status layer_lru(size_t capacity, uint64_t seed, layer *out) {
    struct lru_level *v = malloc(sizeof *v);
    if (!v) {
        return STATUS_NO_MEMORY;
    }
    v->capacity = capacity;
    v->seed = seed;
    status s = lru_create(capacity, free, seed, &v->lru);
    if (s != STATUS_OK) {
        free(v);
        return s;
    }
    *out = (layer){
        .get = lru_level_get,
        .set = lru_level_set,
        .del = lru_level_delete,
        .clear = lru_level_clear,
        .destroy = lru_level_destroy,
        .context = v,
    };
    return STATUS_OK;
}

status layer_redis(const char *path, int timeout_ms, int64_t ttl_ms,
                   layer *out) {
    if (!path || !strchr(path, '/') || ttl_ms <= 0) {
        return STATUS_INVALID;
    }
    size_t size = strlen(path) + 1;
    struct redis_level *v = malloc(sizeof *v + size);
    if (!v) {
        return STATUS_NO_MEMORY;
    }
    v->ttl_ms = ttl_ms;
    v->timeout_ms = timeout_ms;
    memcpy(v->path, path, size);
    status s = redis_cache_create(path, timeout_ms, &v->cache);
    if (s != STATUS_OK) {
        free(v);
        return s;
    }
    *out = (layer){
        .get = redis_level_get,
        .set = redis_level_set,
        .del = redis_level_delete,
        .clear = redis_level_clear,
        .destroy = redis_level_destroy,
        .context = v,
    };
    return STATUS_OK;
}

/* A cache can do everything; a source may refuse changes, both or neither. */
static bool is_whole(const layer *y, bool is_last) {
    bool both = y->set && y->del;
    bool neither = !y->set && !y->del;
    return y->get && (is_source(y) ? is_last && (both || neither) : both);
}

status layers_create(const layer *levels, size_t count,
                     const layers_options *options, layers **out) {
    layers_options o = options ? *options : (layers_options){0};
    if (!levels || count < 1 || count > LAYERS_MAX || o.retry_ms < 0) {
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_whole(&levels[i], i == count - 1)) {
            return STATUS_INVALID;
        }
    }
    layers *l = calloc(1, sizeof *l + count * sizeof l->levels[0]);
    if (!l) {
        return STATUS_NO_MEMORY;
    }
    l->options = o;
    l->options.retry_ms = o.retry_ms ? o.retry_ms : LAYERS_RETRY_MS;
    l->options.missed_max = o.missed_max ? o.missed_max : LAYERS_MISSED_MAX;
    l->options.clock = o.clock.now_ms ? o.clock : ms_clock_monotonic();
    l->count = count;
    for (size_t i = 0; i < count; i++) {
        l->levels[i].layer = levels[i];
    }
    *out = l;
    return STATUS_OK;
}

status layers_get(layers *l, bytes key, bytes *value, size_t *level) {
    status told = STATUS_MISS;
    l->failed = 0;
    for (size_t i = 0; i < l->count; i++) {
        bytes found;
        status s = ask(l, i, key, &found);
        if (s == STATUS_OK) {
            promote(l, i, key, found);
            if (value) {
                *value = found;
            }
            if (level) {
                *level = i + 1;
            }
            return STATUS_OK;
        }
        if (s != STATUS_MISS || is_source(&l->levels[i].layer)) {
            told = s;
        }
    }
    return told;
}

status layers_set(layers *l, bytes key, bytes value) {
    return change_all(l, key, &value);
}

status layers_delete(layers *l, bytes key) {
    return change_all(l, key, NULL);
}

size_t layers_failed(const layers *l) {
    return l->failed;
}

layers_stats layers_statistics(const layers *l, size_t level) {
    return l->levels[level - 1].stats;
}

void layers_destroy(layers *l) {
    if (!l) {
        return;
    }
    for (size_t i = 0; i < l->count; i++) {
        struct level *v = &l->levels[i];
        if (v->layer.destroy) {
            v->layer.destroy(v->layer.context);
        }
        dict_destroy(v->missed);
    }
    free(l);
}
