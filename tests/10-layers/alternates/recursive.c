/* layers: each level gets from the next one by recursion, and promotes on the
 * way back; what a level missed lies in one long run of bytes. */
#include "layers.h"

#include "lru.h"
#include "redis_cache.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct level {
    layer layer;
    layers_stats stats;
    size_t number;
    struct level *next; /* the slower one; NULL: the slowest */
    int64_t retry_at_ms;
    status why;   /* STATUS_OK: in use */
    char *missed; /* each key with its length before it */
    size_t missed_len, missed_count;
    bool missed_all;
};

struct layers {
    layers_options options;
    size_t failed;
    struct level levels[LAYERS_MAX];
};

/* -- a level in memory: values carry their length before them -------------- */

struct memory {
    size_t capacity;
    uint64_t seed;
    lru *lru;
};

static status memory_get(void *context, bytes key, bytes *value) {
    struct memory *m = context;
    void *found;
    if (!lru_get(m->lru, key, &found)) {
        return STATUS_MISS;
    }
    memcpy(&value->len, found, sizeof value->len);
    value->data = (char *)found + sizeof value->len;
    return STATUS_OK;
}

static status memory_set(void *context, bytes key, bytes value) {
    struct memory *m = context;
    char *copy = malloc(sizeof value.len + value.len);
    if (!copy) {
        return STATUS_NO_MEMORY;
    }
    memcpy(copy, &value.len, sizeof value.len);
    if (value.len > 0) {
        memcpy(copy + sizeof value.len, value.data, value.len);
    }
    status s = lru_set(m->lru, key, copy);
    if (s != STATUS_OK) {
        free(copy);
    }
    return s;
}

static status memory_del(void *context, bytes key) {
    struct memory *m = context;
    lru_delete(m->lru, key);
    return STATUS_OK;
}

static status memory_clear(void *context) {
    struct memory *m = context;
    lru *old = m->lru;
    status s = lru_create(m->capacity, free, m->seed, &m->lru);
    if (s == STATUS_OK) {
        lru_destroy(old);
    }
    return s;
}

static void memory_destroy(void *context) {
    struct memory *m = context;
    lru_destroy(m->lru);
    free(m);
}

status layer_lru(size_t capacity, uint64_t seed, layer *out) {
    struct memory *m = malloc(sizeof *m);
    if (!m) {
        return STATUS_NO_MEMORY;
    }
    *m = (struct memory){capacity, seed, NULL};
    status s = lru_create(capacity, free, seed, &m->lru);
    if (s != STATUS_OK) {
        free(m);
        return s;
    }
    *out = (layer){memory_get,   memory_set,     memory_del,
                   memory_clear, memory_destroy, m};
    return STATUS_OK;
}

/* -- a level in Redis: one more connection, for what redis_cache lacks ------
 */

struct remote {
    redis_cache *cache;
    char *path;
    struct timeval timeout;
    int64_t ttl_ms;
};

static status remote_get(void *context, bytes key, bytes *value) {
    struct remote *r = context;
    return redis_cache_get(r->cache, key, value);
}

static status remote_set(void *context, bytes key, bytes value) {
    struct remote *r = context;
    return redis_cache_set_for(r->cache, key, value, r->ttl_ms);
}

static status remote_del(void *context, bytes key) {
    struct remote *r = context;
    status s = redis_cache_delete(r->cache, key);
    return s == STATUS_MISS ? STATUS_OK : s;
}

static status remote_clear(void *context) {
    struct remote *r = context;
    redisContext *line = redisConnectUnixWithTimeout(r->path, r->timeout);
    if (!line) {
        return STATUS_NO_MEMORY;
    }
    status s = STATUS_BACKEND;
    if (!line->err) {
        redisSetTimeout(line, r->timeout);
        redisReply *reply = redisCommand(line, "FLUSHALL");
        if (reply) {
            s = reply->type == REDIS_REPLY_STATUS ? STATUS_OK : s;
            freeReplyObject(reply);
        }
    }
    redisFree(line);
    return s;
}

static void remote_destroy(void *context) {
    struct remote *r = context;
    redis_cache_destroy(r->cache);
    free(r->path);
    free(r);
}

status layer_redis(const char *path, int timeout_ms, int64_t ttl_ms,
                   layer *out) {
    if (!path || path[0] != '/' || ttl_ms < 1) {
        return STATUS_INVALID;
    }
    struct remote *r = calloc(1, sizeof *r);
    if (!r) {
        return STATUS_NO_MEMORY;
    }
    r->ttl_ms = ttl_ms;
    r->timeout.tv_sec = timeout_ms / 1000;
    r->timeout.tv_usec = timeout_ms % 1000 * 1000L;
    r->path = strdup(path);
    status s = r->path ? redis_cache_create(path, timeout_ms, &r->cache)
                       : STATUS_NO_MEMORY;
    if (s != STATUS_OK) {
        remote_destroy(r);
        return s;
    }
    *out = (layer){remote_get,   remote_set,     remote_del,
                   remote_clear, remote_destroy, r};
    return STATUS_OK;
}

/* -- levels that are out ----------------------------------------------------
 */

static bool is_refusal(status s) {
    return s == STATUS_INVALID || s == STATUS_NO_MEMORY || s == STATUS_TOO_LARGE
           || s == STATUS_STALE;
}

static void put_out(const layers *l, struct level *v, status why) {
    int64_t now = ms_clock_now(l->options.clock);
    v->why = why;
    v->retry_at_ms = now < INT64_MAX - l->options.retry_ms
                         ? now + l->options.retry_ms
                         : INT64_MAX;
}

/* Steps through the keys that were missed. */
static bool next_missed(const struct level *v, size_t *cursor, bytes *key) {
    if (*cursor == v->missed_len) {
        return false;
    }
    memcpy(&key->len, v->missed + *cursor, sizeof key->len);
    key->data = v->missed + *cursor + sizeof key->len;
    *cursor += sizeof key->len + key->len;
    return true;
}

static void forget_missed(struct level *v) {
    free(v->missed);
    v->missed = NULL;
    v->missed_len = v->missed_count = 0;
}

static bool add_missed(struct level *v, bytes key) {
    size_t more = sizeof key.len + key.len;
    char *grown = realloc(v->missed, v->missed_len + more);
    if (!grown) {
        return false;
    }
    v->missed = grown;
    memcpy(grown + v->missed_len, &key.len, sizeof key.len);
    if (key.len > 0) {
        memcpy(grown + v->missed_len + sizeof key.len, key.data, key.len);
    }
    v->missed_len += more;
    v->missed_count++;
    return true;
}

static void note_missed(const layers *l, struct level *v, bytes key) {
    size_t cursor = 0;
    bytes other;
    while (next_missed(v, &cursor, &other)) {
        if (bytes_equal(key, other)) {
            return;
        }
    }
    if (!v->missed_all && v->layer.clear
        && (v->missed_count == l->options.missed_max || !add_missed(v, key))) {
        forget_missed(v);
        v->missed_all = true;
    }
}

static status clean(struct level *v) {
    status s = STATUS_OK;
    size_t cursor = 0;
    bytes key;
    if (v->missed_all) {
        s = v->layer.clear(v->layer.context);
    }
    while (s == STATUS_OK && next_missed(v, &cursor, &key)) {
        s = v->layer.del(v->layer.context, key);
    }
    if (s == STATUS_OK) {
        v->missed_all = false;
        forget_missed(v);
    }
    return s;
}

static bool is_usable(const layers *l, struct level *v) {
    if (v->why == STATUS_OK) {
        return true;
    }
    if (ms_clock_now(l->options.clock) < v->retry_at_ms) {
        return false;
    }
    v->why = clean(v);
    if (v->why != STATUS_OK) {
        put_out(l, v, v->why);
    }
    return v->why == STATUS_OK;
}

static void note_failed(layers *l, const struct level *v) {
    l->failed = v->number > l->failed ? v->number : l->failed;
}

/* -- changes ----------------------------------------------------------------
 */

static status del_level(const layers *l, struct level *v, bytes key) {
    if (!is_usable(l, v)) {
        note_missed(l, v, key);
        return v->why;
    }
    status s = v->layer.del(v->layer.context, key);
    if (s != STATUS_OK && (v->layer.clear || !is_refusal(s))) {
        put_out(l, v, s);
        note_missed(l, v, key);
    }
    return s;
}

static status set_level(const layers *l, struct level *v, bytes key,
                        bytes value) {
    if (!is_usable(l, v)) {
        note_missed(l, v, key);
        return v->why;
    }
    status s = v->layer.set(v->layer.context, key, value);
    if (is_refusal(s)) {
        if (v->layer.clear) {
            del_level(l, v, key);
        }
    } else if (s != STATUS_OK) {
        put_out(l, v, s);
        note_missed(l, v, key);
    }
    return s;
}

/* The slower levels first. *set says whether there still is a value to set.
 * Returns: what the slowest level said that failed. */
static status change(layers *l, struct level *v, bytes key, bytes value,
                     bool *set) {
    status below = v->next ? change(l, v->next, key, value, set) : STATUS_OK;
    if (!v->layer.set) {
        return below;
    }
    status s = *set ? set_level(l, v, key, value) : del_level(l, v, key);
    if (s != STATUS_OK) {
        note_failed(l, v);
        *set = *set && v->layer.clear;
    }
    return below != STATUS_OK ? below : s;
}

/* -- gets -------------------------------------------------------------------
 */

static status get_below(layers *l, struct level *v, bytes key, bytes *value,
                        size_t *from, status told);

static status miss(layers *l, struct level *v, bytes key, bytes *value,
                   size_t *from, status told) {
    if (!v->next) {
        return v->layer.clear ? told : STATUS_MISS;
    }
    return get_below(l, v->next, key, value, from, told);
}

static status get_below(layers *l, struct level *v, bytes key, bytes *value,
                        size_t *from, status told) {
    bool usable = is_usable(l, v);
    status s = usable ? v->layer.get(v->layer.context, key, value) : v->why;
    if (s == STATUS_OK) {
        v->stats.hits++;
        *from = v->number;
        return s;
    }
    if (s == STATUS_MISS) {
        v->stats.misses++;
        s = miss(l, v, key, value, from, told);
    } else {
        v->stats.failures++;
        note_failed(l, v);
        if (usable && !is_refusal(s)) {
            put_out(l, v, s);
        }
        s = v->next ? get_below(l, v->next, key, value, from, s) : s;
    }
    if (s == STATUS_OK && v->why == STATUS_OK
        && set_level(l, v, key, *value) != STATUS_OK) {
        note_failed(l, v);
    }
    return s;
}

/* -- the interface ----------------------------------------------------------
 */

static bool is_cache(layer y) {
    return y.get && y.set && y.del && y.clear;
}

static bool is_source(layer y) {
    return y.get && !y.clear && (y.set != NULL) == (y.del != NULL);
}

status layers_create(const layer *levels, size_t count,
                     const layers_options *options, layers **out) {
    if (!levels || count == 0 || count > LAYERS_MAX
        || (options && options->retry_ms < 0)) {
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_cache(levels[i]) && (i < count - 1 || !is_source(levels[i]))) {
            return STATUS_INVALID;
        }
    }
    layers *l = calloc(1, sizeof *l);
    if (!l) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        l->levels[i].layer = levels[i];
        l->levels[i].number = i + 1;
        l->levels[i].next = i + 1 < count ? &l->levels[i + 1] : NULL;
    }
    layers_options *o = &l->options;
    if (options) {
        *o = *options;
    }
    o->retry_ms = o->retry_ms ? o->retry_ms : LAYERS_RETRY_MS;
    o->missed_max = o->missed_max ? o->missed_max : LAYERS_MISSED_MAX;
    o->clock = o->clock.now_ms ? o->clock : ms_clock_monotonic();
    *out = l;
    return STATUS_OK;
}

status layers_get(layers *l, bytes key, bytes *value, size_t *level) {
    bytes found;
    size_t from;
    l->failed = 0;
    status s = get_below(l, l->levels, key, &found, &from, STATUS_MISS);
    if (s == STATUS_OK && value) {
        *value = found;
    }
    if (s == STATUS_OK && level) {
        *level = from;
    }
    return s;
}

status layers_set(layers *l, bytes key, bytes value) {
    bool set = true;
    l->failed = 0;
    return change(l, l->levels, key, value, &set);
}

status layers_delete(layers *l, bytes key) {
    bool set = false;
    l->failed = 0;
    return change(l, l->levels, key, (bytes){NULL, 0}, &set);
}

size_t layers_failed(const layers *l) {
    return l->failed;
}

layers_stats layers_statistics(const layers *l, size_t level) {
    return l->levels[level - 1].stats;
}

void layers_destroy(layers *l) {
    for (struct level *v = l ? l->levels : NULL; v; v = v->next) {
        if (v->layer.destroy) {
            v->layer.destroy(v->layer.context);
        }
        forget_missed(v);
    }
    free(l);
}
