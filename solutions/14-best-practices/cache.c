/* cache: shards of a ring and an index each, single flight, early refresh. */
#include "cache.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    LINE_BYTES = 64,  /* of the processors' caches: shards share none */
    UNIT = 8,         /* entries begin and end at multiples of this */
    ENTRY_BYTES = 64, /* of options.entry_bytes, the default */
    SLOTS_MIN = 16,   /* of an index, however large the entries */
    CHANCES = 8,      /* second chances that one set gives at most */
    LARGEST_SHARE = 8 /* an entry takes an eighth of its shard's part */
};

#define NO_SLOT SIZE_MAX
#define TIME_LAST (((uint64_t)1 << 40) - 1) /* as much as `ends` can hold */
#define COST_LAST (((uint32_t)1 << 24) - 1)

/* What stands in the ring. Times are milliseconds since the cache was made. */
struct entry {
    uint64_t ends : 40; /* 0: never */
    uint64_t cost : 24; /* how long it took to load */
    uint32_t value_len;
    uint32_t key_len : 24;
    uint32_t hit : 1; /* since it was written, or had its second chance */
    uint32_t live : 1;
    char data[]; /* the key, then the value */
};

/* A load that is running, or has ended and is still being looked at. */
struct flight {
    struct flight *next; /* in the shard's list */
    bytes key;           /* lent by the thread that loads */
    pthread_t loader;
    pthread_cond_t ended;
    bool done;
    status status;  /* once it is done, */
    char *value;    /* and what it brought; NULL unless STATUS_OK */
    size_t len;     /* of the value */
    size_t holders; /* the loader, and all who wait */
};

struct shard {
    _Alignas(LINE_BYTES) pthread_mutex_t lock; /* guards all of these */
    uint64_t *index; /* 0: empty; else tag and where, see slot_of */
    size_t slots;    /* of the index, */
    size_t count;    /* and how many are in use: the entries */
    char *ring;
    size_t size;      /* of the ring */
    size_t head;      /* the next entry is written here */
    size_t tail;      /* the oldest entry is here, if there is one */
    size_t end;       /* wrapped: the upper part of the ring ends here */
    bool wrapped;     /* the oldest are above the head, in [tail, end) */
    size_t live;      /* bytes of the ring that live entries take */
    int64_t clock_ms; /* what the clock showed last, */
    uint64_t now_ms;  /* and how much time that makes since the start */
    uint64_t random;
    struct flight *flights; /* loads whose result will be kept */
    cache_stats stats;
};

struct cache {
    cache_options options;
    size_t largest; /* key and value of one entry */
    size_t held;    /* bytes of the one block of memory */
    size_t count;   /* of the shards */
    struct shard *shards;
    pthread_condattr_t monotonic;
};

/* --- the index -----------------------------------------------------------
 *
 * Open addressing as in lesson 2. A slot has the tag, 32 bits of the hash, in
 * its upper half. The tag times the number of slots, without the lower 32
 * bits, is the home: so that number need not be a power of two. */

static uint64_t hash_of(const cache *c, bytes key) {
    return XXH3_64bits_withSeed(key.data, key.len, c->options.seed);
}

static struct shard *shard_of(const cache *c, uint64_t hash) {
    return &c->shards[(hash >> 32) * c->count >> 32];
}

/* What a slot holds for an entry at this place of the ring. Places are
 * counted from 1, so that no slot in use is 0. */
static uint64_t slot_of(uint64_t hash, size_t at) {
    return hash << 32 | (at / UNIT + 1);
}

static struct entry *entry_in(const struct shard *s, uint64_t slot) {
    return (struct entry *)(s->ring + ((uint32_t)slot - 1) * (size_t)UNIT);
}

static size_t home_of(const struct shard *s, uint64_t slot) {
    return (size_t)((slot >> 32) * s->slots >> 32);
}

static size_t after(const struct shard *s, size_t i) {
    return i + 1 < s->slots ? i + 1 : 0;
}

static bool has_key(const struct entry *e, bytes key) {
    return e->key_len == key.len
           && (key.len == 0 || memcmp(e->data, key.data, key.len) == 0);
}

/* A quarter of the slots is empty, so every walk ends. */
static size_t find(const struct shard *s, uint64_t hash, bytes key) {
    size_t i = home_of(s, hash << 32);
    for (; s->index[i] != 0; i = after(s, i)) {
        if (s->index[i] >> 32 == (uint32_t)hash
            && has_key(entry_in(s, s->index[i]), key)) {
            return i;
        }
    }
    return NO_SLOT;
}

/* The slot that holds this, or the first empty one after its home. */
static size_t find_slot(const struct shard *s, uint64_t slot) {
    size_t i = home_of(s, slot);
    while (s->index[i] != 0 && s->index[i] != slot) {
        i = after(s, i);
    }
    return i;
}

static size_t distance(const struct shard *s, size_t from, size_t to) {
    return to >= from ? to - from : to + s->slots - from;
}

/* Empties a slot without a trace: as close_hole in lesson 2. */
static void empty_slot(struct shard *s, size_t hole) {
    for (size_t i = after(s, hole); s->index[i] != 0; i = after(s, i)) {
        size_t home = home_of(s, s->index[i]);
        if (distance(s, home, i) >= distance(s, hole, i)) {
            s->index[hole] = s->index[i];
            hole = i;
        }
    }
    s->index[hole] = 0;
}

/* --- time ---------------------------------------------------------------- */

/* Only steps forward count, so a clock that was set back makes nothing older
 * or younger. */
static uint64_t now_of(const cache *c, struct shard *s) {
    int64_t shown = ms_clock_now(c->options.clock);
    if (shown > s->clock_ms) {
        uint64_t step = (uint64_t)shown - (uint64_t)s->clock_ms;
        s->now_ms = step < TIME_LAST - s->now_ms ? s->now_ms + step : TIME_LAST;
    }
    s->clock_ms = shown;
    return s->now_ms;
}

/* When an entry of this ttl ends; 0: never. */
static uint64_t end_after(const cache *c, struct shard *s, int64_t ttl_ms) {
    if ((uint64_t)ttl_ms >= TIME_LAST) {
        return 0;
    }
    uint64_t ends = now_of(c, s) + (uint64_t)ttl_ms;
    return ends < TIME_LAST ? ends : 0;
}

/* FRESH; STALE: its time is over, but it may stand in for a load that fails;
 * OVER: not even that. */
enum state { FRESH, STALE, OVER };

static enum state state_of(const cache *c, struct shard *s,
                           const struct entry *e) {
    if (e->ends == 0) {
        return FRESH;
    }
    uint64_t now = now_of(c, s);
    if (now < e->ends) {
        return FRESH;
    }
    return now - e->ends < (uint64_t)c->options.stale_ms ? STALE : OVER;
}

/* --- entries ------------------------------------------------------------- */

static void say(const cache *c, cache_level level, const char *event, bytes key,
                const char *reason) {
    if (c->options.log && level >= c->options.log_level) {
        key.len = key.len < CACHE_KEY_MAX ? key.len : CACHE_KEY_MAX;
        c->options.log(c->options.log_context, level, event, key, reason);
    }
}

static bytes key_of(const struct entry *e) {
    return (bytes){e->data, e->key_len};
}

static bytes value_of(const struct entry *e) {
    return (bytes){e->data + e->key_len, e->value_len};
}

static size_t footprint(size_t key_len, size_t value_len) {
    size_t n = sizeof(struct entry) + key_len + value_len;
    return (n + UNIT - 1) / UNIT * UNIT;
}

static size_t footprint_of(const struct entry *e) {
    return footprint(e->key_len, e->value_len);
}

static void copy(void *to, bytes from) {
    if (from.len > 0) {
        memcpy(to, from.data, from.len);
    }
}

/* Takes the entry in this slot out. Its bytes stay until the tail comes by. */
static void drop(struct shard *s, size_t at) {
    struct entry *e = entry_in(s, s->index[at]);
    e->live = 0;
    s->live -= footprint_of(e);
    s->count--;
    s->stats.entry_bytes -= (uint64_t)e->key_len + e->value_len;
    empty_slot(s, at);
}

static void expire(const cache *c, struct shard *s, size_t at) {
    s->stats.expirations++;
    say(c, CACHE_DEBUG, "expire", key_of(entry_in(s, s->index[at])), "ttl");
    drop(s, at);
}

/* Looks a key up; drops its entry if that is over.
 * state: out. Returns: the entry, fresh or stale, or NULL. */
static struct entry *look(const cache *c, struct shard *s, uint64_t hash,
                          bytes key, enum state *state) {
    size_t at = find(s, hash, key);
    if (at == NO_SLOT) {
        return NULL;
    }
    struct entry *e = entry_in(s, s->index[at]);
    *state = state_of(c, s, e);
    if (*state == OVER) {
        expire(c, s, at);
        return NULL;
    }
    return e;
}

/* --- room ---------------------------------------------------------------- */

/* Moves the oldest entry to the head, where there is room for it: the room
 * that it leaves, if nothing else. */
static void move_to_head(struct shard *s, size_t at, uint64_t hash) {
    struct entry *from = entry_in(s, s->index[at]);
    struct entry *to = (struct entry *)(s->ring + s->head);
    size_t n = footprint_of(from);
    memmove(to, from, n);
    to->hit = 0;
    s->index[at] = slot_of(hash, s->head);
    s->head += n;
}

/* The oldest entry leaves the tail: it is dropped, or moves to the head.
 * need: how many bytes are wanted; 0: a slot is.
 * chances: how many second ones there are still to give. */
static void leave_tail(const cache *c, struct shard *s, size_t need,
                       size_t *chances) {
    struct entry *e = (struct entry *)(s->ring + s->tail);
    size_t n = footprint_of(e);
    if (e->live) {
        uint64_t hash = hash_of(c, key_of(e));
        size_t at = find_slot(s, slot_of(hash, s->tail));
        bool movable = s->wrapped || s->size - s->head >= n;
        bool sparse = need > 0 && s->live + need <= s->size / 4 * 3;
        if (state_of(c, s, e) == OVER) {
            expire(c, s, at);
        } else if (movable && (sparse || (e->hit && *chances > 0))) {
            *chances -= !sparse;
            move_to_head(s, at, hash);
        } else {
            s->stats.evictions++;
            say(c, CACHE_DEBUG, "evict", key_of(e), "budget");
            drop(s, at);
        }
    }
    s->tail += n;
    if (s->wrapped && s->tail == s->end) {
        s->tail = 0;
        s->wrapped = false;
    }
}

/* Makes `need` bytes free at the head, and a slot. It ends, since while live
 * entries take more than 3/4 of the ring they are dropped, and while they take
 * less the head gathers what is not live on its way round. */
static void make_room(const cache *c, struct shard *s, size_t need) {
    size_t chances = CHANCES;
    while (s->count >= s->slots / 4 * 3) {
        leave_tail(c, s, 0, &chances);
    }
    while ((s->wrapped ? s->tail : s->size) - s->head < need) {
        if (s->wrapped) {
            leave_tail(c, s, need, &chances);
        } else {
            s->end = s->head;
            s->head = 0;
            s->wrapped = s->tail < s->end;
            s->tail = s->wrapped ? s->tail : 0;
        }
    }
}

static struct entry *write_new(const cache *c, struct shard *s, uint64_t hash,
                               bytes key, bytes value) {
    size_t n = footprint(key.len, value.len);
    make_room(c, s, n);
    struct entry *e = (struct entry *)(s->ring + s->head);
    *e = (struct entry){.value_len = (uint32_t)value.len,
                        .key_len = key.len & 0xffffff,
                        .live = 1};
    copy(e->data, key);
    copy(e->data + key.len, value);
    uint64_t slot = slot_of(hash, s->head);
    s->index[find_slot(s, slot)] = slot;
    s->head += n;
    s->live += n;
    s->count++;
    s->stats.entry_bytes += key.len + value.len;
    return e;
}

/* Writes an entry: over the old one, if it takes just as much. */
static struct entry *write_entry(const cache *c, struct shard *s, uint64_t hash,
                                 bytes key, bytes value) {
    size_t at = find(s, hash, key);
    if (at != NO_SLOT) {
        struct entry *e = entry_in(s, s->index[at]);
        if (footprint(key.len, value.len) == footprint_of(e)) {
            s->stats.entry_bytes += value.len - (uint64_t)e->value_len;
            e->value_len = (uint32_t)value.len;
            e->hit = 1;
            copy(e->data + key.len, value);
            return e;
        }
        drop(s, at);
    }
    return write_new(c, s, hash, key, value);
}

/* Keeps a value. Returns: STATUS_TOO_LARGE: then nothing has changed. */
static status put(const cache *c, struct shard *s, uint64_t hash, bytes key,
                  bytes value, int64_t ttl_ms, uint64_t cost) {
    if (key.len > CACHE_KEY_MAX || key.len > c->largest
        || value.len > c->largest - key.len) {
        s->stats.refusals++;
        say(c, CACHE_WARNING, "refuse", key, "too large");
        return STATUS_TOO_LARGE;
    }
    struct entry *e = write_entry(c, s, hash, key, value);
    e->ends = end_after(c, s, ttl_ms) & TIME_LAST;
    e->cost = (cost < COST_LAST ? cost : COST_LAST) & COST_LAST;
    return STATUS_OK;
}

static status copy_out(bytes value, void *buffer, size_t size, size_t *len) {
    *len = value.len;
    if (value.len > size) {
        return STATUS_TOO_LARGE;
    }
    copy(buffer, value);
    return STATUS_OK;
}

/* --- loads: as in lesson 7 ------------------------------------------------ */

/* Returns: the link that leads to the flight of this key, or to NULL. */
static struct flight **find_flight(struct shard *s, bytes key) {
    struct flight **link = &s->flights;
    while (*link && !bytes_equal((*link)->key, key)) {
        link = &(*link)->next;
    }
    return link;
}

/* Takes the key's flight off the list, if there is one: it goes on for those
 * who wait, but nobody finds it, and what it brings will not be kept. */
static void overtake(struct shard *s, bytes key) {
    struct flight **link = find_flight(s, key);
    if (*link) {
        *link = (*link)->next;
    }
}

static void drop_flight(struct flight *f) {
    if (--f->holders == 0) {
        pthread_cond_destroy(&f->ended);
        free(f->value);
        free(f);
    }
}

/* Lists a flight of this thread. Returns: NULL without memory. */
static struct flight *take_off(const cache *c, struct shard *s, bytes key) {
    struct flight *f = malloc(sizeof *f);
    if (!f || pthread_cond_init(&f->ended, &c->monotonic) != 0) {
        free(f);
        return NULL;
    }
    f->next = s->flights;
    f->key = key;
    f->loader = pthread_self();
    f->done = false;
    f->value = NULL;
    f->len = 0;
    f->holders = 1;
    s->flights = f;
    s->stats.loads++;
    return f;
}

/* Takes out what the source has something else for, or nothing. */
static void invalidate(const cache *c, struct shard *s, uint64_t hash,
                       bytes key, const char *reason) {
    size_t at = find(s, hash, key);
    if (at != NO_SLOT) {
        say(c, CACHE_DEBUG, "invalidate", key, reason);
        drop(s, at);
    }
}

/* Ends a flight that is still listed: keeps what it brought. */
static void keep(const cache *c, struct shard *s, uint64_t hash,
                 const struct flight *f, uint64_t cost) {
    struct flight **link = find_flight(s, f->key);
    if (*link != f) {
        return;
    }
    *link = f->next;
    status kept = f->status;
    if (kept == STATUS_OK) {
        kept = put(c, s, hash, f->key, (bytes){f->value, f->len},
                   c->options.default_ttl_ms, cost);
    }
    if (kept == STATUS_MISS || kept == STATUS_TOO_LARGE) {
        invalidate(c, s, hash, f->key, status_name(kept));
    }
}

/* Calls the loader. What it brings is copied for all who wait. */
static void load_into(struct flight *f, cache_load load, void *context) {
    bytes loaded = {NULL, 0};
    f->status = load(context, f->key, &loaded);
    if (f->status == STATUS_OK) {
        f->value = malloc(loaded.len > 0 ? loaded.len : 1);
        if (!f->value) {
            f->status = STATUS_NO_MEMORY;
            return;
        }
        copy(f->value, loaded);
        f->len = loaded.len;
    }
}

/* Runs the loader with the lock open, and wakes everybody who waits for it. */
static void fly(const cache *c, struct shard *s, uint64_t hash,
                struct flight *f, cache_load load, void *context) {
    uint64_t begun = now_of(c, s);
    pthread_mutex_unlock(&s->lock);
    load_into(f, load, context);
    pthread_mutex_lock(&s->lock);
    if (f->status != STATUS_OK) {
        s->stats.failures++;
    }
    if (f->status != STATUS_OK && f->status != STATUS_MISS) {
        say(c, CACHE_ERROR, "fail", f->key, status_name(f->status));
    }
    keep(c, s, hash, f, now_of(c, s) - begun);
    f->done = true;
    pthread_cond_broadcast(&f->ended);
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

/* A wait may end without a reason, so what counts is `done`. */
static void wait_for(struct shard *s, struct flight *f, int64_t wait_ms) {
    struct timespec deadline = deadline_after(wait_ms);
    int why = 0;
    while (!f->done && why != ETIMEDOUT) {
        why = pthread_cond_timedwait(&f->ended, &s->lock, &deadline);
    }
}

/* A number from 0 to 1, never 0 (SplitMix64). */
static double draw(struct shard *s) {
    uint64_t z = s->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53 + 0x1p-54;
}

/* XFetch: whether this hit is the one that loads early. */
static bool is_early(const cache *c, struct shard *s, const struct entry *e) {
    if (c->options.refresh_beta <= 0 || e->ends == 0 || e->cost == 0) {
        return false;
    }
    double ahead = -(double)e->cost * c->options.refresh_beta * log(draw(s));
    return ahead >= (double)(e->ends - s->now_ms)
           && !*find_flight(s, key_of(e));
}

struct request {
    cache *c;
    struct shard *s;
    uint64_t hash;
    bytes key;
    cache_load load;
    void *context;
    int64_t wait_ms;
};

/* Waits for the flight of this key, or becomes it. */
static status join_or_load(const struct request *r, const char *reason,
                           struct flight **out) {
    struct flight *f = *find_flight(r->s, r->key);
    if (!f) {
        say(r->c, CACHE_INFO, "load", r->key, reason);
        f = take_off(r->c, r->s, r->key);
        if (!f) {
            say(r->c, CACHE_ERROR, "fail", r->key,
                status_name(STATUS_NO_MEMORY));
            return STATUS_NO_MEMORY;
        }
        fly(r->c, r->s, r->hash, f, r->load, r->context);
    } else if (pthread_equal(f->loader, pthread_self())) {
        return STATUS_DEADLOCK;
    } else {
        f->holders++;
        r->s->stats.joins++;
        wait_for(r->s, f, r->wait_ms);
    }
    *out = f;
    return f->done ? f->status : STATUS_TIMEOUT;
}

/* What a call gives that has loaded or waited: what was loaded, else what is
 * there, even if it is old. f: may be NULL. */
static status give(const struct request *r, status result,
                   const struct flight *f, void *buffer, size_t size,
                   size_t *len) {
    if (result == STATUS_OK) {
        return copy_out((bytes){f->value, f->len}, buffer, size, len);
    }
    if (result == STATUS_MISS || result == STATUS_DEADLOCK) {
        return result;
    }
    enum state state;
    const struct entry *e = look(r->c, r->s, r->hash, r->key, &state);
    if (!e) {
        return result;
    }
    status given = copy_out(value_of(e), buffer, size, len);
    if (state == FRESH || given != STATUS_OK) {
        return given;
    }
    r->s->stats.stale++;
    say(r->c, CACHE_WARNING, "stale", r->key, status_name(result));
    return STATUS_STALE;
}

/* --- create and destroy ----------------------------------------------------
 */

static bool create_attributes(pthread_condattr_t *monotonic) {
    if (pthread_condattr_init(monotonic) != 0) {
        return false;
    }
    pthread_condattr_setclock(monotonic, CLOCK_MONOTONIC);
    return true;
}

static bool makes_sense(size_t part, size_t shards, const cache_options *o) {
    return shards >= 1 && shards <= CACHE_SHARDS_MAX
           && part >= CACHE_SHARD_BYTES_MIN && part <= CACHE_SHARD_BYTES_MAX
           && o->default_ttl_ms >= 0 && o->stale_ms >= 0 && o->refresh_beta >= 0
           && o->entry_bytes <= CACHE_SHARD_BYTES_MAX;
}

/* Divides a shard's memory: of each entry_bytes and an entry's header and
 * padding there is 4/3 of a slot in the index. */
static void open_shard(const cache *c, struct shard *s, char *memory,
                       size_t size) {
    size_t each = c->options.entry_bytes + sizeof(struct entry) + UNIT / 2;
    size_t slots = size / (each + sizeof(uint64_t) * 4 / 3) * 4 / 3;
    s->slots = slots > SLOTS_MIN ? slots : SLOTS_MIN;
    s->index = (uint64_t *)memory;
    s->ring = memory + s->slots * sizeof(uint64_t);
    s->size = (size - s->slots * sizeof(uint64_t)) / UNIT * UNIT;
    s->random = c->options.seed + (uint64_t)(s - c->shards);
    s->clock_ms = ms_clock_now(c->options.clock);
    pthread_mutex_init(&s->lock, NULL);
}

/* One block, full of zeros: the cache, its shards, and the memory of each. */
status cache_create(size_t budget_bytes, size_t shards,
                    const cache_options *options, cache **out) {
    cache_options o = options ? *options : (cache_options){0};
    size_t part = shards > 0 ? budget_bytes / shards : 0;
    if (!makes_sense(part, shards, &o)) {
        return STATUS_INVALID;
    }
    char *block = calloc(1, budget_bytes);
    if (!block) {
        return STATUS_NO_MEMORY;
    }
    cache *c = (cache *)block;
    if (!create_attributes(&c->monotonic)) {
        free(block);
        return STATUS_NO_MEMORY;
    }
    c->options = o;
    c->options.clock = o.clock.now_ms ? o.clock : ms_clock_monotonic();
    c->options.entry_bytes = o.entry_bytes > 0 ? o.entry_bytes : ENTRY_BYTES;
    c->options.default_ttl_ms =
        o.default_ttl_ms > 0 ? o.default_ttl_ms : CACHE_NEVER;
    c->largest = part / LARGEST_SHARE;
    c->held = budget_bytes;
    c->count = shards;
    size_t spent = sizeof *c + LINE_BYTES - (uintptr_t)(c + 1) % LINE_BYTES;
    c->shards = (struct shard *)(block + spent);
    char *memory = (char *)(c->shards + shards);
    size_t each =
        (size_t)(block + budget_bytes - memory) / shards / UNIT * UNIT;
    for (size_t i = 0; i < shards; i++) {
        open_shard(c, &c->shards[i], memory + i * each, each);
    }
    *out = c;
    return STATUS_OK;
}

/* --- the calls -------------------------------------------------------------
 */

static status set(cache *c, bytes key, bytes value, int64_t ttl_ms) {
    uint64_t hash = hash_of(c, key);
    struct shard *s = shard_of(c, hash);
    pthread_mutex_lock(&s->lock);
    status result = put(c, s, hash, key, value, ttl_ms, 0);
    if (result == STATUS_OK) {
        overtake(s, key);
    }
    pthread_mutex_unlock(&s->lock);
    return result;
}

status cache_set(cache *c, bytes key, bytes value) {
    return set(c, key, value, c->options.default_ttl_ms);
}

status cache_set_for(cache *c, bytes key, bytes value, int64_t ttl_ms) {
    return ttl_ms < 1 ? STATUS_INVALID : set(c, key, value, ttl_ms);
}

status cache_get(cache *c, bytes key, void *buffer, size_t size, size_t *len) {
    uint64_t hash = hash_of(c, key);
    struct shard *s = shard_of(c, hash);
    status result = STATUS_MISS;
    enum state state;
    pthread_mutex_lock(&s->lock);
    struct entry *e = look(c, s, hash, key, &state);
    if (e && state == FRESH) {
        s->stats.hits++;
        e->hit = 1;
        result = copy_out(value_of(e), buffer, size, len);
    } else {
        s->stats.misses++;
    }
    pthread_mutex_unlock(&s->lock);
    return result;
}

bool cache_delete(cache *c, bytes key) {
    uint64_t hash = hash_of(c, key);
    struct shard *s = shard_of(c, hash);
    enum state state = STALE;
    pthread_mutex_lock(&s->lock);
    overtake(s, key);
    if (look(c, s, hash, key, &state)) {
        drop(s, find(s, hash, key));
    }
    pthread_mutex_unlock(&s->lock);
    return state == FRESH;
}

bool cache_remaining_ms(cache *c, bytes key, int64_t *remaining_ms) {
    uint64_t hash = hash_of(c, key);
    struct shard *s = shard_of(c, hash);
    enum state state;
    pthread_mutex_lock(&s->lock);
    const struct entry *e = look(c, s, hash, key, &state);
    bool found = e && state == FRESH;
    if (found) {
        *remaining_ms =
            e->ends == 0 ? CACHE_NEVER : (int64_t)(e->ends - s->now_ms);
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

status cache_get_or_load(cache *c, bytes key, cache_load load, void *context,
                         int64_t wait_ms, void *buffer, size_t size,
                         size_t *len) {
    if (!load || wait_ms < 0) {
        return STATUS_INVALID;
    }
    uint64_t hash = hash_of(c, key);
    struct shard *s = shard_of(c, hash);
    struct request r = {c, s, hash, key, load, context, wait_ms};
    struct flight *f = NULL;
    enum state state;
    status result;
    pthread_mutex_lock(&s->lock);
    struct entry *e = look(c, s, hash, key, &state);
    bool hit = e && state == FRESH, early = hit && is_early(c, s, e);
    s->stats.hits += hit;
    s->stats.misses += !hit;
    s->stats.refreshes += early;
    if (hit) {
        e->hit = 1;
    }
    if (hit && !early) {
        result = copy_out(value_of(e), buffer, size, len);
    } else {
        result = join_or_load(&r, early ? "early refresh" : "miss", &f);
        result = give(&r, result, f, buffer, size, len);
    }
    if (f) {
        drop_flight(f);
    }
    pthread_mutex_unlock(&s->lock);
    return result;
}

/* --- JSON keys -------------------------------------------------------------
 */

/* 1e3, 1000.0 and 1000 are one number: a double that is whole and fits becomes
 * an integer. Returns: a new reference, or NULL without memory. */
static json_t *one_form(json_t *value) {
    double d = json_real_value(value);
    bool whole = d >= -0x1p63 && d < 0x1p63 && d == floor(d);
    return json_is_real(value) && whole ? json_integer((json_int_t)d)
                                        : json_incref(value);
}

/* Gives each number in an array or object its one form. */
static status canonical(json_t *json, int levels) {
    if (!json_is_array(json) && !json_is_object(json)) {
        return STATUS_OK;
    }
    if (levels == 0) {
        return STATUS_INVALID;
    }
    status result = STATUS_OK;
    for (size_t i = 0; result == STATUS_OK && i < json_array_size(json); i++) {
        json_t *item = one_form(json_array_get(json, i));
        result = item ? canonical(item, levels - 1) : STATUS_NO_MEMORY;
        json_array_set_new(json, i, item);
    }
    for (void *i = json_object_iter(json); result == STATUS_OK && i;
         i = json_object_iter_next(json, i)) {
        json_t *member = one_form(json_object_iter_value(i));
        result = member ? canonical(member, levels - 1) : STATUS_NO_MEMORY;
        json_object_iter_set_new(json, i, member);
    }
    return result;
}

/* Reads JSON into an array of one, in the one form that it has.
 * Returns: STATUS_OK, and only then *out is the caller's to give back. */
static status read_json(bytes text, json_t **out) {
    json_error_t why;
    json_t *around = json_array();
    json_t *json = json_loadb(
        text.len > 0 ? text.data : "", text.len,
        JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);
    status result = STATUS_NO_MEMORY;
    if (json || json_error_code(&why) == json_error_out_of_memory) {
        result = around && json_array_append_new(around, json) == 0
                     ? canonical(around, CACHE_JSON_DEPTH_MAX + 1)
                     : STATUS_NO_MEMORY;
    } else {
        result = STATUS_INVALID;
    }
    if (result == STATUS_OK) {
        *out = around;
    } else {
        json_decref(around);
    }
    return result;
}

/* Writes it if it fits. Returns: its length, 0 without memory. */
static size_t write_json(json_t *around, char *buffer, size_t size) {
    return json_dumpb(json_array_get(around, 0), buffer, size,
                      JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY
                          | JSON_REAL_PRECISION(17));
}

status cache_json_key(bytes json, void *buffer, size_t size, size_t *len) {
    json_t *around;
    status result = read_json(json, &around);
    if (result != STATUS_OK) {
        return result;
    }
    size_t n = write_json(around, NULL, 0);
    if (n > 0 && n <= size) {
        n = write_json(around, buffer, size);
    }
    json_decref(around);
    if (n == 0) {
        return STATUS_NO_MEMORY;
    }
    *len = n;
    return n <= size ? STATUS_OK : STATUS_TOO_LARGE;
}

/* Makes the key of a call, "function(arguments)", in a block of its own. */
static status call_key(bytes function, bytes arguments, bytes *out) {
    json_t *around;
    status result = read_json(arguments, &around);
    if (result != STATUS_OK) {
        return result;
    }
    size_t n = write_json(around, NULL, 0);
    bool fits = function.len <= CACHE_KEY_MAX - 2
                && n <= CACHE_KEY_MAX - 2 - function.len;
    char *key = n > 0 && fits ? malloc(function.len + n + 2) : NULL;
    if (key) {
        copy(key, function);
        key[function.len] = '(';
        n = write_json(around, key + function.len + 1, n);
        key[function.len + 1 + n] = ')';
        *out = (bytes){key, function.len + n + 2};
    }
    json_decref(around);
    return n == 0  ? STATUS_NO_MEMORY
           : !fits ? STATUS_TOO_LARGE
           : key   ? STATUS_OK
                   : STATUS_NO_MEMORY;
}

status cache_with_json(cache *c, bytes function, bytes arguments,
                       cache_load load, void *context, int64_t wait_ms,
                       void *buffer, size_t size, size_t *len) {
    bytes key;
    status result = call_key(function, arguments, &key);
    if (result == STATUS_OK) {
        result = cache_get_or_load(c, key, load, context, wait_ms, buffer, size,
                                   len);
        free((void *)key.data);
    } else if (result == STATUS_TOO_LARGE) {
        *len = 0;
    }
    return result;
}

/* --- statistics ------------------------------------------------------------
 */

/* Every field: added up over the shards, and told to Prometheus. */
static const struct field {
    size_t at;
    const char *name, *type;
} fields[] = {
#define COUNTER(name) \
    { offsetof(cache_stats, name), #name "_total", "counter" }
#define GAUGE(name) \
    { offsetof(cache_stats, name), #name, "gauge" }
    COUNTER(hits),        COUNTER(misses),   COUNTER(stale), COUNTER(loads),
    COUNTER(refreshes),   COUNTER(failures), COUNTER(joins), COUNTER(evictions),
    COUNTER(expirations), COUNTER(refusals), GAUGE(entries), GAUGE(entry_bytes),
    GAUGE(held_bytes),
};

enum { FIELDS = sizeof fields / sizeof fields[0] };

static uint64_t *field_of(cache_stats *stats, size_t i) {
    return (uint64_t *)((char *)stats + fields[i].at);
}

cache_stats cache_statistics(cache *c) {
    cache_stats sum = {.held_bytes = c->held};
    for (size_t i = 0; i < c->count; i++) {
        struct shard *s = &c->shards[i];
        pthread_mutex_lock(&s->lock);
        s->stats.entries = s->count;
        for (size_t f = 0; f < FIELDS; f++) {
            *field_of(&sum, f) += *field_of(&s->stats, f);
        }
        pthread_mutex_unlock(&s->lock);
    }
    return sum;
}

/* Writes all fields. buffer: large enough, or NULL. Returns: the length. */
static size_t write_metrics(cache_stats stats, bytes name, char *buffer) {
    size_t len = 0;
    for (size_t i = 0; i < FIELDS; i++) {
        char lines[128 + CACHE_NAME_MAX];
        int n = snprintf(lines, sizeof lines,
                         "# TYPE cache_%s %s\n"
                         "cache_%s{cache=\"%.*s\"} %" PRIu64 "\n",
                         fields[i].name, fields[i].type, fields[i].name,
                         (int)name.len, (const char *)name.data,
                         *field_of(&stats, i));
        if (buffer) {
            memcpy(buffer + len, lines, (size_t)n);
        }
        len += (size_t)n;
    }
    return len;
}

static bool is_name(bytes name) {
    const unsigned char *text = name.data;
    for (size_t i = 0; i < name.len; i++) {
        if (text[i] < ' ' || text[i] == '"' || text[i] == '\\') {
            return false;
        }
    }
    return name.len <= CACHE_NAME_MAX;
}

status cache_prometheus(cache *c, bytes name, void *buffer, size_t size,
                        size_t *len) {
    if (!is_name(name)) {
        return STATUS_INVALID;
    }
    cache_stats stats = cache_statistics(c);
    *len = write_metrics(stats, name, NULL);
    if (*len > size) {
        return STATUS_TOO_LARGE;
    }
    write_metrics(stats, name, buffer);
    return STATUS_OK;
}

void cache_clear(cache *c) {
    for (size_t i = 0; i < c->count; i++) {
        struct shard *s = &c->shards[i];
        pthread_mutex_lock(&s->lock);
        memset(s->index, 0, s->slots * sizeof *s->index);
        s->count = s->head = s->tail = s->live = 0;
        s->wrapped = false;
        s->flights = NULL;
        s->stats.entry_bytes = 0;
        pthread_mutex_unlock(&s->lock);
    }
}

void cache_destroy(cache *c) {
    if (!c) {
        return;
    }
    for (size_t i = 0; i < c->count; i++) {
        pthread_mutex_destroy(&c->shards[i].lock);
    }
    pthread_condattr_destroy(&c->monotonic);
    free(c);
}
