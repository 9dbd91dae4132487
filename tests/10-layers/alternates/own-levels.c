/* layers: levels of their own make, a plain array in memory and hiredis
 * without the lesson before; what a level missed lies in a dict for all. */
#include "layers.h"

#include "dict.h"
#include "lru.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* -- a level in memory: an array, the most recent first ---------------------
 */

struct entry {
    size_t key_len, value_len;
    char bytes[]; /* the key, then the value */
};

struct memory {
    size_t count, capacity, room; /* room: of the array, which grows */
    struct entry **entries;
};

static struct entry *entry_create(bytes key, bytes value) {
    struct entry *e = malloc(sizeof *e + key.len + value.len);
    if (e) {
        e->key_len = key.len;
        e->value_len = value.len;
        memcpy(e->bytes, key.len ? key.data : "", key.len);
        memcpy(e->bytes + key.len, value.len ? value.data : "", value.len);
    }
    return e;
}

/* Moves the entry at a place to the front. */
static void to_front(struct memory *m, size_t at) {
    struct entry *e = m->entries[at];
    memmove(m->entries + 1, m->entries, at * sizeof(struct entry *));
    m->entries[0] = e;
}

/* Moves the key's entry to the front. Returns: whether there is one. */
static bool bring(struct memory *m, bytes key) {
    for (size_t i = 0; i < m->count; i++) {
        const struct entry *e = m->entries[i];
        if (bytes_equal((bytes){e->bytes, e->key_len}, key)) {
            to_front(m, i);
            return true;
        }
    }
    return false;
}

static bool make_room(struct memory *m) {
    if (m->count < m->room) {
        return true;
    }
    size_t room = m->room ? 2 * m->room : 8;
    struct entry **grown = realloc(m->entries, room * sizeof *grown);
    if (grown) {
        m->entries = grown;
        m->room = room;
    }
    return grown;
}

static status memory_get(void *context, bytes key, bytes *value) {
    struct memory *m = context;
    if (!bring(m, key)) {
        return STATUS_MISS;
    }
    const struct entry *e = m->entries[0];
    *value = (bytes){e->bytes + e->key_len, e->value_len};
    return STATUS_OK;
}

static status memory_set(void *context, bytes key, bytes value) {
    struct memory *m = context;
    struct entry *e = entry_create(key, value);
    if (!e || !make_room(m)) {
        free(e);
        return STATUS_NO_MEMORY;
    }
    if (bring(m, key)) {
        free(m->entries[0]);
    } else if (m->count == m->capacity) {
        free(m->entries[m->count - 1]);
        to_front(m, m->count - 1);
    } else {
        m->entries[m->count] = e;
        to_front(m, m->count++);
    }
    m->entries[0] = e;
    return STATUS_OK;
}

static status memory_del(void *context, bytes key) {
    struct memory *m = context;
    if (bring(m, key)) {
        free(m->entries[0]);
        m->count--;
        memmove(m->entries, m->entries + 1, m->count * sizeof(struct entry *));
    }
    return STATUS_OK;
}

static status memory_clear(void *context) {
    struct memory *m = context;
    while (m->count > 0) {
        free(m->entries[--m->count]);
    }
    return STATUS_OK;
}

static void memory_destroy(void *context) {
    struct memory *m = context;
    memory_clear(m);
    free(m->entries);
    free(m);
}

status layer_lru(size_t capacity, uint64_t seed, layer *out) {
    (void)seed; /* no hash, no seed */
    struct memory *m = calloc(1, sizeof *m);
    bool fits = capacity > 0 && capacity <= LRU_CAPACITY_MAX;
    if (!m || !fits) {
        free(m);
        return fits ? STATUS_NO_MEMORY : STATUS_INVALID;
    }
    m->capacity = capacity;
    *out = (layer){memory_get,   memory_set,     memory_del,
                   memory_clear, memory_destroy, m};
    return STATUS_OK;
}

/* -- a level in Redis: a blocking connection of hiredis ---------------------
 */

struct remote {
    redisContext *line; /* NULL: none */
    redisReply *lent;
    struct timeval timeout;
    int64_t ttl_ms;
    char path[];
};

static void hang_up(struct remote *r) {
    redisFree(r->line);
    r->line = NULL;
}

static status dial(struct remote *r) {
    if (r->line) {
        return STATUS_OK;
    }
    r->line = redisConnectUnixWithTimeout(r->path, r->timeout);
    if (r->line && !r->line->err
        && redisSetTimeout(r->line, r->timeout) == REDIS_OK) {
        return STATUS_OK;
    }
    hang_up(r);
    return STATUS_BACKEND;
}

/* Sends words and waits for an answer of that type, which is lent. */
static status ask(struct remote *r, int words, const char **word,
                  const size_t *len, int type) {
    freeReplyObject(r->lent);
    r->lent = NULL;
    status s = dial(r);
    if (s != STATUS_OK) {
        return s;
    }
    r->lent = redisCommandArgv(r->line, words, word, len);
    if (!r->lent) {
        s = errno == EAGAIN ? STATUS_TIMEOUT : STATUS_LOST;
        hang_up(r);
        return s;
    }
    if (r->lent->type == type) {
        return STATUS_OK;
    }
    if (r->lent->type == REDIS_REPLY_NIL) {
        return STATUS_MISS;
    }
    bool other = r->lent->type == REDIS_REPLY_ERROR
                 && strncmp(r->lent->str, "WRONGTYPE", 9) == 0;
    return other ? STATUS_INVALID : STATUS_BACKEND;
}

static status remote_get(void *context, bytes key, bytes *value) {
    struct remote *r = context;
    const char *word[] = {"GET", key.data};
    const size_t len[] = {3, key.len};
    status s = ask(r, 2, word, len, REDIS_REPLY_STRING);
    if (s == STATUS_OK) {
        *value = (bytes){r->lent->str, r->lent->len};
    }
    return s;
}

static status remote_set(void *context, bytes key, bytes value) {
    struct remote *r = context;
    char ttl[24];
    snprintf(ttl, sizeof ttl, "%lld", (long long)r->ttl_ms);
    const char *word[] = {"PSETEX", key.data, ttl, value.data};
    const size_t len[] = {6, key.len, strlen(ttl), value.len};
    return ask(r, 4, word, len, REDIS_REPLY_STATUS);
}

static status remote_del(void *context, bytes key) {
    const char *word[] = {"DEL", key.data};
    const size_t len[] = {3, key.len};
    return ask(context, 2, word, len, REDIS_REPLY_INTEGER);
}

static status remote_clear(void *context) {
    const char *word[] = {"FLUSHDB"};
    const size_t len[] = {7};
    return ask(context, 1, word, len, REDIS_REPLY_STATUS);
}

static void remote_destroy(void *context) {
    struct remote *r = context;
    freeReplyObject(r->lent);
    hang_up(r);
    free(r);
}

status layer_redis(const char *path, int timeout_ms, int64_t ttl_ms,
                   layer *out) {
    struct sockaddr_un name;
    if (!path || !strchr(path, '/') || strlen(path) >= sizeof name.sun_path
        || timeout_ms <= 0 || ttl_ms <= 0) {
        return STATUS_INVALID;
    }
    struct remote *r = calloc(1, sizeof *r + strlen(path) + 1);
    if (!r) {
        return STATUS_NO_MEMORY;
    }
    memcpy(r->path, path, strlen(path) + 1);
    r->timeout.tv_sec = timeout_ms / 1000;
    r->timeout.tv_usec = timeout_ms % 1000 * 1000L;
    r->ttl_ms = ttl_ms;
    *out = (layer){remote_get,   remote_set,     remote_del,
                   remote_clear, remote_destroy, r};
    return STATUS_OK;
}

/* -- the hierarchy ----------------------------------------------------------
 */

struct layers {
    layers_options options;
    layer y[LAYERS_MAX]; /* [count - 1]: the slowest */
    layers_stats stats[LAYERS_MAX];
    status why[LAYERS_MAX]; /* STATUS_OK: in use */
    int64_t since_ms[LAYERS_MAX];
    /* For each level the keys that it missed; no memory is the worst case, and
     * means all. */
    dict *missed[LAYERS_MAX];
    bool all[LAYERS_MAX];
    size_t count, failed;
};

static bool is_cache(const layers *l, size_t i) {
    return l->y[i].clear;
}

static bool is_refusal(status s) {
    return s == STATUS_TOO_LARGE || s == STATUS_INVALID || s == STATUS_NO_MEMORY
           || s == STATUS_STALE;
}

static void put_out(layers *l, size_t i, status why) {
    l->why[i] = why;
    l->since_ms[i] = ms_clock_now(l->options.clock);
}

static void trust(layers *l, size_t i) {
    dict_destroy(l->missed[i]);
    l->missed[i] = NULL;
    l->all[i] = false;
    l->why[i] = STATUS_OK;
}

static void note_missed(layers *l, size_t i, bytes key) {
    if (!is_cache(l, i) || l->all[i]) {
        return;
    }
    if (!l->missed[i]) {
        l->missed[i] = dict_create(NULL, l->options.seed);
    }
    l->all[i] = !l->missed[i] || dict_set(l->missed[i], key, NULL) != STATUS_OK
                || dict_count(l->missed[i]) > l->options.missed_max;
}

/* What keeps a level from being asked; STATUS_OK: nothing, now. */
static status ready(layers *l, size_t i) {
    size_t cursor = 0;
    bytes key;
    void *nothing;
    status s = l->why[i];
    if (s == STATUS_OK
        || ms_clock_now(l->options.clock) - l->since_ms[i]
               < l->options.retry_ms) {
        return s;
    }
    s = l->all[i] ? l->y[i].clear(l->y[i].context) : STATUS_OK;
    while (s == STATUS_OK && l->missed[i] && !l->all[i]
           && dict_next(l->missed[i], &cursor, &key, &nothing)) {
        s = l->y[i].del(l->y[i].context, key);
    }
    if (s == STATUS_OK) {
        trust(l, i);
    } else {
        put_out(l, i, s);
    }
    return s;
}

static status delete_at(layers *l, size_t i, bytes key) {
    status s = ready(l, i);
    if (s == STATUS_OK) {
        s = l->y[i].del(l->y[i].context, key);
        if (s != STATUS_OK && (is_cache(l, i) || !is_refusal(s))) {
            put_out(l, i, s);
        }
    }
    if (s != STATUS_OK) {
        note_missed(l, i, key);
    }
    return s;
}

static status set_at(layers *l, size_t i, bytes key, bytes value) {
    status s = ready(l, i);
    if (s == STATUS_OK) {
        s = l->y[i].set(l->y[i].context, key, value);
        if (is_refusal(s) && is_cache(l, i)) {
            delete_at(l, i, key);
        } else if (s != STATUS_OK && !is_refusal(s)) {
            put_out(l, i, s);
        }
    }
    if (l->why[i] != STATUS_OK) {
        note_missed(l, i, key);
    }
    return s;
}

static void note_failed(layers *l, size_t i) {
    l->failed = l->failed > i ? l->failed : i + 1;
}

status layers_create(const layer *levels, size_t count,
                     const layers_options *options, layers **out) {
    if (!levels || count < 1 || count > LAYERS_MAX
        || (options && options->retry_ms < 0)) {
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        const layer *y = &levels[i];
        bool pair = !y->set == !y->del;
        if (!y->get || !pair || (y->clear && !y->set)
            || (!y->clear && i != count - 1)) {
            return STATUS_INVALID;
        }
    }
    layers *l = calloc(1, sizeof *l);
    if (!l) {
        return STATUS_NO_MEMORY;
    }
    memcpy(l->y, levels, count * sizeof *levels);
    l->count = count;
    if (options) {
        l->options = *options;
    }
    if (l->options.retry_ms == 0) {
        l->options.retry_ms = LAYERS_RETRY_MS;
    }
    if (l->options.missed_max == 0) {
        l->options.missed_max = LAYERS_MISSED_MAX;
    }
    if (!l->options.clock.now_ms) {
        l->options.clock = ms_clock_monotonic();
    }
    *out = l;
    return STATUS_OK;
}

static status ask_level(layers *l, size_t i, bytes key, bytes *value) {
    status s = ready(l, i);
    bool asked = s == STATUS_OK;
    if (asked) {
        s = l->y[i].get(l->y[i].context, key, value);
    }
    l->stats[i].hits += s == STATUS_OK;
    l->stats[i].misses += s == STATUS_MISS;
    if (s != STATUS_OK && s != STATUS_MISS) {
        l->stats[i].failures++;
        note_failed(l, i);
        if (asked && !is_refusal(s)) {
            put_out(l, i, s);
        }
    }
    return s;
}

static void promote(layers *l, size_t from, bytes key, bytes value) {
    for (size_t up = from; up > 0; up--) {
        size_t i = up - 1;
        if (l->why[i] == STATUS_OK && set_at(l, i, key, value) != STATUS_OK) {
            note_failed(l, i);
        }
    }
}

status layers_get(layers *l, bytes key, bytes *value, size_t *level) {
    bytes found = {NULL, 0};
    status s = STATUS_MISS, told = STATUS_MISS;
    size_t i = 0;
    l->failed = 0;
    for (; i < l->count; i++) {
        s = ask_level(l, i, key, &found);
        if (s == STATUS_OK) {
            break;
        }
        told = s != STATUS_MISS || !is_cache(l, i) ? s : told;
    }
    if (s != STATUS_OK) {
        return told;
    }
    promote(l, i, key, found);
    if (value) {
        *value = found;
    }
    if (level) {
        *level = i + 1;
    }
    return STATUS_OK;
}

status layers_set(layers *l, bytes key, bytes value) {
    status told = STATUS_OK;
    bool stored = true;
    l->failed = 0;
    for (size_t i = l->count; i-- > 0;) {
        status s = STATUS_OK;
        if (l->y[i].set) {
            s = stored ? set_at(l, i, key, value) : delete_at(l, i, key);
        }
        stored = stored && (s == STATUS_OK || is_cache(l, i));
        if (s != STATUS_OK) {
            note_failed(l, i);
            told = told == STATUS_OK ? s : told;
        }
    }
    return told;
}

status layers_delete(layers *l, bytes key) {
    status told = STATUS_OK;
    l->failed = 0;
    for (size_t i = l->count; i-- > 0;) {
        status s = l->y[i].del ? delete_at(l, i, key) : STATUS_OK;
        if (s != STATUS_OK) {
            note_failed(l, i);
            told = told == STATUS_OK ? s : told;
        }
    }
    return told;
}

size_t layers_failed(const layers *l) {
    return l->failed;
}

layers_stats layers_statistics(const layers *l, size_t level) {
    return l->stats[level - 1];
}

void layers_destroy(layers *l) {
    for (size_t i = 0; l && i < l->count; i++) {
        if (l->y[i].destroy) {
            l->y[i].destroy(l->y[i].context);
        }
        dict_destroy(l->missed[i]);
    }
    free(l);
}
