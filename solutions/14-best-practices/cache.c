/* cache: shards of a ring and an index each, single flight, early refresh. */
#include "cache.h"

#include "cache_flight.h"
#include "cache_index.h"
#include "cache_metrics.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    LINE_BYTES = 64,  /* of the processors' caches: shards share none */
    UNIT = 8,         /* entries begin and end at multiples of this */
    ENTRY_BYTES = 64, /* of options.entry_bytes, the default */
    SLOTS_MIN = 16,   /* of an index, however large the entries */
    CHANCES = 8,      /* second chances that one set gives at most */
    GROUP = 16,       /* keys that memory is asked for at once, */
    ENTRY_LINES = 3,  /* and how many lines for the entry of each */
    LARGEST_SHARE = 8 /* an entry takes an eighth of its shard's part */
};

/* What every get and set passes through is inline: the fewer instructions a
 * call has, the more of them are begun while memory answers the first. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

#define TWO_TO_63 9223372036854775808.0
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

struct shard {
    _Alignas(LINE_BYTES) pthread_mutex_t lock; /* guards all of these */
    cache_stats stats; /* first what a get writes: it is in the lock's line */
    const cache *of;
    cache_index index;
    size_t count; /* of its slots in use: the entries */
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
    flight *flights; /* loads whose result will be kept */
};

struct cache {
    cache_options options;
    size_t largest; /* key and value of one entry */
    size_t held;    /* bytes of the one block of memory */
    size_t count;   /* of the shards */
    struct shard *shards;
    pthread_condattr_t monotonic;
};

/* A get_or_load on its way. */
struct request {
    struct shard *s;
    uint64_t hash;
    bytes key;
    cache_load load;
    void *context;
    int64_t wait_ms;
};

/* --- shards and the index --- */

static uint64_t hash_of(const cache *c, bytes key) {
    return XXH3_64bits_withSeed(key.data, key.len, c->options.seed);
}

/* A lock costs more than its own time: what comes behind it does not begin
 * before it, and what comes before has ended. So who needs none takes none. */
static void hold(struct shard *s) {
    if (!s->of->options.one_thread) {
        pthread_mutex_lock(&s->lock);
    }
}

/* Chooses the shard by the hash's upper half, and has the processor fetch the
 * line of the index that is needed next. */
static inline struct shard *shard_of(const cache *c, uint64_t hash) {
    struct shard *s = &c->shards[(hash >> 32) * c->count >> 32];
    __builtin_prefetch(&s->index.slots[index_home(&s->index, (uint32_t)hash)]);
    return s;
}

static inline struct shard *enter(const cache *c, uint64_t hash) {
    struct shard *s = shard_of(c, hash);
    hold(s);
    return s;
}

static void leave(struct shard *s) {
    if (!s->of->options.one_thread) {
        pthread_mutex_unlock(&s->lock);
    }
}

/* What a slot holds for an entry at this place of the ring. Places are counted
 * in units from 1, so that no slot in use is 0. */
static uint64_t slot_of(uint64_t hash, size_t at) {
    return index_slot(hash, (uint32_t)(at / UNIT + 1));
}

static struct entry *entry_in(const struct shard *s, size_t i) {
    size_t place = index_place(s->index.slots[i]);
    return (struct entry *)(s->ring + (place - 1) * UNIT);
}

static bool has_key(const struct entry *e, bytes key) {
    return e->key_len == key.len
           && (key.len == 0 || memcmp(e->data, key.data, key.len) == 0);
}

/* A quarter of the slots is empty, so every walk ends.
 * Returns: where the key's slot is; if nowhere, the first empty place on its
 * walk, where it may be put. */
static ALWAYS_INLINE size_t find(const struct shard *s, uint64_t hash,
                                 bytes key) {
    const cache_index *x = &s->index;
    uint32_t tag = (uint32_t)hash;
    size_t i = index_home(x, tag);
    while (
        x->slots[i] != 0
        && !(index_tag(x->slots[i]) == tag && has_key(entry_in(s, i), key))) {
        i = index_after(x, i);
    }
    return i;
}

static inline bool is_used(const struct shard *s, size_t i) {
    return s->index.slots[i] != 0;
}

/* --- time --- */

/* Only steps forward count, so a clock that was set back makes nothing older
 * or younger. */
static uint64_t now_of(struct shard *s) {
    int64_t shown = ms_clock_now(s->of->options.clock);
    if (shown > s->clock_ms) {
        uint64_t step = (uint64_t)shown - (uint64_t)s->clock_ms;
        s->now_ms = step < TIME_LAST - s->now_ms ? s->now_ms + step : TIME_LAST;
    }
    s->clock_ms = shown;
    return s->now_ms;
}

/* When an entry of this ttl ends; 0: never. */
static uint64_t end_after(struct shard *s, int64_t ttl_ms) {
    if ((uint64_t)ttl_ms >= TIME_LAST) {
        return 0;
    }
    uint64_t ends = now_of(s) + (uint64_t)ttl_ms;
    return ends < TIME_LAST ? ends : 0;
}

/* FRESH; STALE: its time is over, but it may stand in for a load that fails;
 * OVER: not even that. */
enum state { FRESH, STALE, OVER };

static enum state state_by_clock(struct shard *s, const struct entry *e) {
    uint64_t now = now_of(s);
    if (now < e->ends) {
        return FRESH;
    }
    return now - e->ends < (uint64_t)s->of->options.stale_ms ? STALE : OVER;
}

static inline enum state state_of(struct shard *s, const struct entry *e) {
    return e->ends == 0 ? FRESH : state_by_clock(s, e);
}

/* --- entries --- */

static void say(const struct shard *s, cache_level level, const char *event,
                bytes key, const char *reason) {
    if (s->of->options.log && level >= s->of->options.log_level) {
        key.len = key.len < CACHE_KEY_MAX ? key.len : CACHE_KEY_MAX;
        s->of->options.log(s->of->options.log_context, level, event, key,
                           reason);
    }
}

static bytes key_of(const struct entry *e) {
    return (bytes){e->data, e->key_len};
}

/* Where the value is follows from the key that was looked up, so memory is
 * asked for it before the entry's own lengths are there. */
static bytes value_of(const struct entry *e, bytes key) {
    return (bytes){e->data + key.len, e->value_len};
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
    struct entry *e = entry_in(s, at);
    e->live = 0;
    s->live -= footprint_of(e);
    s->count--;
    s->stats.entry_bytes -= (uint64_t)e->key_len + e->value_len;
    index_empty(&s->index, at);
}

static void expire(struct shard *s, size_t at) {
    s->stats.expirations++;
    say(s, CACHE_DEBUG, "expire", key_of(entry_in(s, at)), "ttl");
    drop(s, at);
}

/* Looks a key up; drops its entry if that is over.
 * state: out. Returns: the entry, fresh or stale, or NULL. */
static ALWAYS_INLINE struct entry *look(struct shard *s, uint64_t hash,
                                        bytes key, enum state *state) {
    size_t at = find(s, hash, key);
    if (!is_used(s, at)) {
        return NULL;
    }
    struct entry *e = entry_in(s, at);
    *state = state_of(s, e);
    if (*state == OVER) {
        expire(s, at);
        return NULL;
    }
    return e;
}

/* --- room --- */

/* Moves the oldest entry to the head, where there is room for it: the room
 * that it leaves, if nothing else. */
static void move_to_head(struct shard *s, size_t at, uint64_t hash) {
    struct entry *from = entry_in(s, at);
    struct entry *to = (struct entry *)(s->ring + s->head);
    size_t n = footprint_of(from);
    memmove(to, from, n);
    to->hit = 0;
    s->index.slots[at] = slot_of(hash, s->head);
    s->head += n;
}

/* The oldest entry leaves the tail: it is dropped, or moves to the head.
 * need: how many bytes are wanted; 0: a slot is.
 * chances: how many second ones there are still to give. */
static void leave_tail(struct shard *s, size_t need, size_t *chances) {
    struct entry *e = (struct entry *)(s->ring + s->tail);
    size_t n = footprint_of(e);
    if (e->live) {
        uint64_t hash = hash_of(s->of, key_of(e));
        size_t at = index_find(&s->index, slot_of(hash, s->tail));
        bool movable = s->wrapped || s->size - s->head >= n;
        bool sparse = need > 0 && s->live + need <= s->size / 4 * 3;
        if (state_of(s, e) == OVER) {
            expire(s, at);
        } else if (movable && (sparse || (e->hit && *chances > 0))) {
            *chances -= !sparse;
            move_to_head(s, at, hash);
        } else {
            s->stats.evictions++;
            say(s, CACHE_DEBUG, "evict", key_of(e), "budget");
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
static void make_room(struct shard *s, size_t need) {
    size_t chances = CHANCES;
    while (s->count >= s->index.count / 4 * 3) {
        leave_tail(s, 0, &chances);
    }
    while ((s->wrapped ? s->tail : s->size) - s->head < need) {
        if (s->wrapped) {
            leave_tail(s, need, &chances);
        } else {
            s->end = s->head;
            s->head = 0;
            s->wrapped = s->tail < s->end;
            s->tail = s->wrapped ? s->tail : 0;
        }
    }
}

/* Asks memory for an entry, or for the place of one. */
static void fetch_lines(const char *at) {
    for (size_t line = 0; line < ENTRY_LINES; line++) {
        __builtin_prefetch(at + line * LINE_BYTES);
    }
}

/* Writes an entry at the head; the place of the next one is fetched meanwhile.
 * at: the empty slot at which the key's walk has ended. */
static ALWAYS_INLINE void write_new(struct shard *s, uint64_t hash, size_t at,
                                    const struct entry *header, bytes key,
                                    bytes value) {
    size_t n = footprint(key.len, value.len), before = s->count;
    make_room(s, n);
    uint64_t slot = slot_of(hash, s->head);
    if (s->count != before) { /* slots were emptied, and others moved */
        at = index_find(&s->index, slot);
    }
    struct entry *e = (struct entry *)(s->ring + s->head);
    *e = *header;
    copy(e->data, key);
    copy(e->data + key.len, value);
    s->index.slots[at] = slot;
    s->head += n;
    s->live += n;
    s->count++;
    fetch_lines(s->ring + s->head);
    s->stats.entry_bytes += key.len + value.len;
}

/* Writes an entry: over the old one, if it takes just as much. */
static ALWAYS_INLINE void write_entry(struct shard *s, uint64_t hash,
                                      struct entry *header, bytes key,
                                      bytes value) {
    size_t at = find(s, hash, key);
    if (is_used(s, at)) {
        struct entry *e = entry_in(s, at);
        if (footprint(key.len, value.len) == footprint_of(e)) {
            s->stats.entry_bytes += value.len - (uint64_t)e->value_len;
            header->hit = 1;
            *e = *header;
            copy(e->data + key.len, value);
            return;
        }
        drop(s, at);
        at = find(s, hash, key);
    }
    write_new(s, hash, at, header, key, value);
}

/* Keeps a value. Returns: STATUS_TOO_LARGE: then nothing has changed. */
static ALWAYS_INLINE status put(struct shard *s, uint64_t hash, bytes key,
                                bytes value, int64_t ttl_ms, uint64_t cost) {
    if (key.len > CACHE_KEY_MAX || key.len > s->of->largest
        || value.len > s->of->largest - key.len) {
        s->stats.refusals++;
        say(s, CACHE_WARNING, "refuse", key, "too large");
        return STATUS_TOO_LARGE;
    }
    struct entry header = {.ends = end_after(s, ttl_ms) & TIME_LAST,
                           .cost = (cost < COST_LAST ? cost : COST_LAST)
                                   & COST_LAST,
                           .value_len = (uint32_t)value.len,
                           .key_len = key.len & 0xffffff,
                           .live = 1};
    write_entry(s, hash, &header, key, value);
    return STATUS_OK;
}

/* Copies a value whose length has just been asked from memory. memcpy computes
 * from the length where its last bytes go; until that is there the processor
 * lets the loads of the next gets wait, since they may be of those very bytes.
 * Here the length only decides branches, and these are guessed. */
static inline void copy_by_parts(char *to, bytes from) {
    if (from.len >= 2 * LINE_BYTES) {
        memcpy(to, from.data, from.len);
        return;
    }
    const char *data = from.data;
#pragma GCC unroll 7
    for (size_t part = LINE_BYTES; part > 0; part /= 2) {
        if (from.len & part) {
            memcpy(to, data, part);
            to += part;
            data += part;
        }
    }
}

static ALWAYS_INLINE status copy_out(bytes value, void *buffer, size_t size,
                                     size_t *len) {
    *len = value.len;
    if (value.len > size) {
        return STATUS_TOO_LARGE;
    }
    copy_by_parts(buffer, value);
    return STATUS_OK;
}

/* --- loads: as in lesson 7 --- */

/* Takes out what the source has something else for, or nothing. */
static void invalidate(struct shard *s, uint64_t hash, bytes key,
                       const char *reason) {
    size_t at = find(s, hash, key);
    if (is_used(s, at)) {
        say(s, CACHE_DEBUG, "invalidate", key, reason);
        drop(s, at);
    }
}

/* Ends a flight that is still listed: keeps what it brought. */
static void keep(struct shard *s, uint64_t hash, const flight *f,
                 uint64_t cost) {
    flight **link = flight_find(&s->flights, f->key);
    if (*link != f) {
        return;
    }
    *link = f->next;
    status kept = f->status;
    if (kept == STATUS_OK) {
        kept = put(s, hash, f->key, (bytes){f->value, f->len},
                   s->of->options.default_ttl_ms, cost);
    }
    if (kept == STATUS_MISS || kept == STATUS_TOO_LARGE) {
        invalidate(s, hash, f->key, status_name(kept));
    }
}

/* Calls the loader. What it brings is copied for all who wait. */
static void load_into(flight *f, cache_load load, void *context) {
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
static void fly(struct shard *s, uint64_t hash, flight *f, cache_load load,
                void *context) {
    uint64_t begun = now_of(s);
    leave(s);
    load_into(f, load, context);
    hold(s);
    if (f->status != STATUS_OK) {
        s->stats.failures++;
    }
    if (f->status != STATUS_OK && f->status != STATUS_MISS) {
        say(s, CACHE_ERROR, "fail", f->key, status_name(f->status));
    }
    keep(s, hash, f, now_of(s) - begun);
    f->done = true;
    pthread_cond_broadcast(&f->ended);
}

/* A number from 0 to 1, never 0 (SplitMix64). */
static double draw(struct shard *s) {
    uint64_t z = s->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53 + 0x1p-54;
}

/* XFetch: whether this hit is the one that loads early. */
static bool is_early(struct shard *s, const struct entry *e) {
    if (s->of->options.refresh_beta <= 0 || e->ends == 0 || e->cost == 0) {
        return false;
    }
    double ahead =
        -(double)e->cost * s->of->options.refresh_beta * log(draw(s));
    return ahead >= (double)(e->ends - s->now_ms)
           && !*flight_find(&s->flights, key_of(e));
}

/* Waits for the flight of this key, or becomes it. */
static status join_or_load(const struct request *r, bool early, flight **out) {
    flight *f = *flight_find(&r->s->flights, r->key);
    if (!f) {
        say(r->s, CACHE_INFO, "load", r->key, early ? "early refresh" : "miss");
        f = flight_begin(&r->s->flights, r->key, &r->s->of->monotonic);
        if (!f) {
            say(r->s, CACHE_ERROR, "fail", r->key,
                status_name(STATUS_NO_MEMORY));
            return STATUS_NO_MEMORY;
        }
        r->s->stats.loads++;
        r->s->stats.refreshes += early;
        fly(r->s, r->hash, f, r->load, r->context);
    } else if (pthread_equal(f->loader, pthread_self())) {
        return STATUS_DEADLOCK;
    } else {
        f->holders++;
        r->s->stats.joins++;
        flight_wait(f, &r->s->lock, r->wait_ms);
    }
    *out = f;
    return f->done ? f->status : STATUS_TIMEOUT;
}

/* What a call gives that has loaded or waited: what was loaded, else what is
 * there, even if it is old. f: may be NULL. */
static status give(const struct request *r, status result, const flight *f,
                   void *buffer, size_t size, size_t *len) {
    if (result == STATUS_OK) {
        return copy_out((bytes){f->value, f->len}, buffer, size, len);
    }
    if (result == STATUS_MISS || result == STATUS_DEADLOCK) {
        return result;
    }
    enum state state;
    const struct entry *e = look(r->s, r->hash, r->key, &state);
    if (!e) {
        return result;
    }
    status given = copy_out(value_of(e, r->key), buffer, size, len);
    if (state == FRESH || given != STATUS_OK) {
        return given;
    }
    r->s->stats.stale++;
    say(r->s, CACHE_WARNING, "stale", r->key, status_name(result));
    return STATUS_STALE;
}

/* --- create and destroy --- */

static bool create_attributes(pthread_condattr_t *monotonic) {
    return pthread_condattr_init(monotonic) == 0
           && pthread_condattr_setclock(monotonic, CLOCK_MONOTONIC) == 0;
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
    size_t slots = size / (each + sizeof *s->index.slots * 4 / 3) * 4 / 3;
    s->of = c;
    slots = slots > SLOTS_MIN ? slots : SLOTS_MIN;
    s->size = (size - slots * sizeof *s->index.slots) / UNIT * UNIT;
    s->ring = memory;
    s->index = (cache_index){(uint64_t *)(memory + s->size), slots};
    s->random = c->options.seed + (uint64_t)(s - c->shards);
    s->clock_ms = ms_clock_now(c->options.clock);
    pthread_mutex_init(&s->lock, NULL);
}

static void open_shards(cache *c, char *memory, size_t size) {
    size_t odd = (uintptr_t)memory % LINE_BYTES;
    size_t skip = odd > 0 ? LINE_BYTES - odd : 0;
    c->shards = (struct shard *)(memory + skip);
    char *rest = (char *)(c->shards + c->count);
    size_t each =
        (size_t)(memory + size - rest) / c->count / LINE_BYTES * LINE_BYTES;
    for (size_t i = 0; i < c->count; i++) {
        open_shard(c, &c->shards[i], rest + i * each, each);
    }
}

static cache_options with_defaults(const cache_options *given) {
    cache_options o = given ? *given : (cache_options){0};
    o.clock = o.clock.now_ms ? o.clock : ms_clock_monotonic();
    o.entry_bytes = o.entry_bytes > 0 ? o.entry_bytes : ENTRY_BYTES;
    o.default_ttl_ms = o.default_ttl_ms != 0 ? o.default_ttl_ms : CACHE_NEVER;
    return o;
}

/* One block, full of zeros: the cache, its shards, and the memory of each. */
status cache_create(size_t budget_bytes, size_t shards,
                    const cache_options *options, cache **out) {
    cache_options o = with_defaults(options);
    size_t part = shards > 0 ? budget_bytes / shards : 0;
    if (!makes_sense(part, shards, &o)) {
        return STATUS_INVALID;
    }
    cache *c = calloc(1, budget_bytes);
    if (!c || !create_attributes(&c->monotonic)) {
        free(c);
        return STATUS_NO_MEMORY;
    }
    c->options = o;
    c->largest = part / LARGEST_SHARE;
    c->held = budget_bytes;
    c->count = shards;
    open_shards(c, (char *)(c + 1), budget_bytes - sizeof *c);
    *out = c;
    return STATUS_OK;
}

/* --- the calls --- */

static ALWAYS_INLINE status set(cache *c, bytes key, bytes value,
                                int64_t ttl_ms) {
    uint64_t hash = hash_of(c, key);
    struct shard *s = enter(c, hash);
    status result = put(s, hash, key, value, ttl_ms, 0);
    if (result == STATUS_OK) {
        flight_overtake(&s->flights, key);
    }
    leave(s);
    return result;
}

status cache_set(cache *c, bytes key, bytes value) {
    return set(c, key, value, c->options.default_ttl_ms);
}

status cache_set_for(cache *c, bytes key, bytes value, int64_t ttl_ms) {
    return ttl_ms < 1 ? STATUS_INVALID : set(c, key, value, ttl_ms);
}

/* Counts a get, and marks its entry. (A mark that is there is not written
 * again: memory that is only read need not be written back.)
 * e: what the get has found, or NULL. Returns: whether it is a hit. */
static bool count_get(struct shard *s, struct entry *e, enum state state) {
    if (!e || state != FRESH) {
        s->stats.misses++;
        return false;
    }
    s->stats.hits++;
    if (!e->hit) {
        e->hit = 1;
    }
    return true;
}

status cache_get(cache *c, bytes key, void *buffer, size_t size, size_t *len) {
    uint64_t hash = hash_of(c, key);
    struct shard *s = enter(c, hash);
    enum state state = OVER;
    struct entry *e = look(s, hash, key, &state);
    status result = count_get(s, e, state)
                        ? copy_out(value_of(e, key), buffer, size, len)
                        : STATUS_MISS;
    leave(s);
    return result;
}

/* Asks memory for the entry that has this tag. Its key is not compared, as that
 * would wait for it; so now and then it is another one. */
static void fetch_entry(const struct shard *s, uint32_t tag) {
    const cache_index *x = &s->index;
    size_t i = index_home(x, tag);
    while (x->slots[i] != 0 && index_tag(x->slots[i]) != tag) {
        i = index_after(x, i);
    }
    if (x->slots[i] != 0) {
        fetch_lines((const char *)entry_in(s, i));
    }
}

/* Two passes: to choose a shard is to ask for the slot; so when the second one
 * looks into the first slot, all others are on their way, too. */
static void expect_group(const cache *c, const bytes *keys, size_t n) {
    uint64_t hashes[GROUP];
    for (size_t i = 0; i < n; i++) {
        hashes[i] = hash_of(c, keys[i]);
        shard_of(c, hashes[i]);
    }
    for (size_t i = 0; i < n; i++) {
        struct shard *s = enter(c, hashes[i]);
        fetch_entry(s, (uint32_t)hashes[i]);
        leave(s);
    }
}

void cache_expect(const cache *c, const bytes *keys, size_t n) {
    for (size_t at = 0; at < n; at += GROUP) {
        expect_group(c, keys + at, n - at < GROUP ? n - at : GROUP);
    }
}

bool cache_delete(cache *c, bytes key) {
    uint64_t hash = hash_of(c, key);
    struct shard *s = enter(c, hash);
    enum state state = OVER;
    flight_overtake(&s->flights, key);
    if (look(s, hash, key, &state)) {
        drop(s, find(s, hash, key));
    }
    leave(s);
    return state == FRESH;
}

bool cache_remaining_ms(cache *c, bytes key, int64_t *remaining_ms) {
    uint64_t hash = hash_of(c, key);
    struct shard *s = enter(c, hash);
    enum state state = OVER;
    const struct entry *e = look(s, hash, key, &state);
    if (e && state == FRESH) {
        *remaining_ms =
            e->ends == 0 ? CACHE_NEVER : (int64_t)(e->ends - s->now_ms);
    }
    leave(s);
    return state == FRESH;
}

status cache_get_or_load(cache *c, bytes key, cache_load load, void *context,
                         int64_t wait_ms, void *buffer, size_t size,
                         size_t *len) {
    if (!load || wait_ms < 0) {
        return STATUS_INVALID;
    }
    uint64_t hash = hash_of(c, key);
    struct shard *s = enter(c, hash);
    struct request r = {s, hash, key, load, context, wait_ms};
    flight *f = NULL;
    enum state state = OVER;
    struct entry *e = look(s, hash, key, &state);
    bool hit = count_get(s, e, state);
    status result;
    if (hit && !is_early(s, e)) {
        result = copy_out(value_of(e, key), buffer, size, len);
    } else {
        result = join_or_load(&r, hit, &f);
        result = give(&r, result, f, buffer, size, len);
    }
    if (f) {
        flight_leave(f);
    }
    leave(s);
    return result;
}

/* --- JSON keys --- */

/* 1e3, 1000.0 and 1000 are one number: a double that is whole and fits becomes
 * an integer. Returns: a new reference, or NULL without memory. */
static json_t *one_form(json_t *value) {
    double d = json_real_value(value);
    bool whole = d >= -TWO_TO_63 && d < TWO_TO_63 && d == floor(d);
    return json_is_real(value) && whole ? json_integer((json_int_t)d)
                                        : json_incref(value);
}

/* Gives each number in an array or object its one form. */
static status canonical(json_t *json, int levels) {
    if (!json_is_array(json) && !json_is_object(json)) {
        return STATUS_OK;
    }
    status result = levels > 0 ? STATUS_OK : STATUS_INVALID;
    for (size_t i = 0; result == STATUS_OK && i < json_array_size(json); i++) {
        json_t *item = one_form(json_array_get(json, i));
        result = item ? canonical(item, levels - 1) : STATUS_NO_MEMORY;
        json_array_set_new(json, i, item);
    }
    void *i = json_object_iter(json);
    for (; result == STATUS_OK && i; i = json_object_iter_next(json, i)) {
        json_t *member = one_form(json_object_iter_value(i));
        result = member ? canonical(member, levels - 1) : STATUS_NO_MEMORY;
        json_object_iter_set_new(json, i, member);
    }
    return result;
}

/* Reads JSON into an array of one, which makes a number alone no exception.
 * Returns: STATUS_OK, and only then *out is the caller's to give back. */
static status read_json(bytes text, json_t **out) {
    json_error_t why = {0}; /* Jansson does not always write all of it */
    json_t *json = json_loadb(
        text.len > 0 ? text.data : "", text.len,
        JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);
    if (!json) {
        enum json_error_code code = json_error_code(&why);
        return code == json_error_unknown || code == json_error_out_of_memory
                   ? STATUS_NO_MEMORY
                   : STATUS_INVALID;
    }
    json_t *around = json_array();
    status result = json_array_append_new(around, json) == 0
                        ? canonical(around, CACHE_JSON_DEPTH_MAX + 1)
                        : STATUS_NO_MEMORY;
    if (result == STATUS_OK) {
        *out = around;
    } else {
        json_decref(around);
    }
    return result;
}

/* Writes what is in the array, if it fits. Returns: its length, 0 without
 * memory. */
static size_t write_json(json_t *around, char *buffer, size_t size) {
    return json_dumpb(json_array_get(around, 0), buffer, size,
                      JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY
                          | JSON_REAL_PRECISION(17));
}

/* Makes the key of a call, "function(arguments)".
 * key: out, a block that the caller frees. */
static status make_key(bytes function, bytes arguments, char **key,
                       size_t *key_len) {
    json_t *around;
    status result = read_json(arguments, &around);
    if (result != STATUS_OK) {
        return result;
    }
    size_t n = write_json(around, NULL, 0);
    *key = n > 0 ? malloc(function.len + n + 2) : NULL;
    *key_len = function.len + n + 2;
    if (*key) {
        copy(*key, function);
        (*key)[function.len] = '(';
        n = write_json(around, *key + function.len + 1, n);
        (*key)[*key_len - 1] = ')';
    }
    if (n == 0) {
        free(*key);
        *key = NULL;
    }
    json_decref(around);
    return *key ? STATUS_OK : STATUS_NO_MEMORY;
}

status cache_json_key(bytes json, void *buffer, size_t size, size_t *len) {
    char *key;
    size_t n;
    status result = make_key((bytes){NULL, 0}, json, &key, &n);
    if (result == STATUS_OK) {
        result = copy_out((bytes){key + 1, n - 2}, buffer, size, len);
        free(key);
    }
    return result;
}

status cache_with_json(cache *c, bytes function, bytes arguments,
                       cache_load load, void *context, int64_t wait_ms,
                       void *buffer, size_t size, size_t *len) {
    char *key;
    size_t n;
    status result = make_key(function, arguments, &key, &n);
    if (result != STATUS_OK) {
        return result;
    }
    if (n > CACHE_KEY_MAX) {
        *len = 0;
        result = STATUS_TOO_LARGE;
    } else {
        result = cache_get_or_load(c, (bytes){key, n}, load, context, wait_ms,
                                   buffer, size, len);
    }
    free(key);
    return result;
}

/* --- statistics --- */

cache_stats cache_statistics(cache *c) {
    cache_stats sum = {.held_bytes = c->held};
    for (size_t i = 0; i < c->count; i++) {
        struct shard *s = &c->shards[i];
        hold(s);
        s->stats.entries = s->count;
        for (size_t f = 0; f < METRICS_FIELDS; f++) {
            *metrics_value(&sum, f) += *metrics_value(&s->stats, f);
        }
        leave(s);
    }
    return sum;
}

status cache_prometheus(cache *c, bytes name, void *buffer, size_t size,
                        size_t *len) {
    char all[METRICS_FIELDS * METRICS_LINES];
    size_t n = 0;
    if (!metrics_is_label(name)) {
        return STATUS_INVALID;
    }
    cache_stats stats = cache_statistics(c);
    for (size_t f = 0; f < METRICS_FIELDS; f++) {
        n += metrics_write(&stats, f, name, all + n);
    }
    return copy_out((bytes){all, n}, buffer, size, len);
}

void cache_clear(cache *c) {
    for (size_t i = 0; i < c->count; i++) {
        struct shard *s = &c->shards[i];
        hold(s);
        memset(s->index.slots, 0, s->index.count * sizeof *s->index.slots);
        s->count = s->head = s->tail = s->live = 0;
        s->wrapped = false;
        s->flights = NULL;
        s->stats.entry_bytes = 0;
        leave(s);
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
