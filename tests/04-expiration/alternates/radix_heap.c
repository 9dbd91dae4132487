/* ttl: one dict of entries, and a radix heap (Ahuja, Mehlhorn, Orlin and
 * Tarjan, "Faster algorithms for the shortest path problem", Journal of the
 * ACM 37(2), 1990): a timing wheel whose slots double in width. */
#include "ttl.h"

#include "dict.h"

#include <stdlib.h>

enum { BUCKETS = 65 };

struct entry {
    struct entry *next;
    struct entry **link; /* what points here */
    void *value;
    int64_t expires_ms;
    size_t key_len;
    char key[];
};

/* Bucket 0: due at `floor`. Bucket b: due at a time that differs from it in
 * bit b - 1 and in no higher one, so in 2^(b - 1) milliseconds at most. */
struct ttl {
    dict *entries;
    struct entry *buckets[BUCKETS];
    uint64_t floor; /* no entry is due before */
    int64_t default_ttl_ms;
    ms_clock clock;
    void (*destroy_value)(void *value);
    unsigned jitter_percent;
    uint64_t random;
};

/* Keeps the order of times, below 0 too, in numbers without a sign. */
static uint64_t unsigned_time(int64_t ms) {
    return (uint64_t)ms ^ (uint64_t)1 << 63;
}

static void link_in(ttl *t, struct entry *e) {
    size_t bucket = 0;
    for (uint64_t differs = unsigned_time(e->expires_ms) ^ t->floor; differs;
         differs >>= 1) {
        bucket++;
    }
    e->link = &t->buckets[bucket];
    e->next = *e->link;
    *e->link = e;
    if (e->next) {
        e->next->link = &e->next;
    }
}

static void link_out(struct entry *e) {
    *e->link = e->next;
    if (e->next) {
        e->next->link = e->link;
    }
}

static void end_value(const ttl *t, void *value) {
    if (t->destroy_value) {
        t->destroy_value(value);
    }
}

static void drop(ttl *t, struct entry *e) {
    void *taken;
    dict_take(t->entries, (bytes){e->key, e->key_len}, &taken);
    link_out(e);
    end_value(t, e->value);
    free(e);
}

static struct entry *find_valid(ttl *t, bytes key, int64_t now_ms) {
    void *found = NULL;
    dict_get(t->entries, key, &found);
    struct entry *e = found;
    if (e && e->expires_ms <= now_ms && e->expires_ms != TTL_NEVER) {
        drop(t, e);
        return NULL;
    }
    return e;
}

static struct entry *new_entry(ttl *t, bytes key) {
    struct entry *e = malloc(sizeof *e + key.len);
    if (!e) {
        return NULL;
    }
    if (key.len > 0) {
        memcpy(e->key, key.data, key.len);
    }
    e->key_len = key.len;
    if (dict_set(t->entries, key, e) != STATUS_OK) {
        free(e);
        return NULL;
    }
    return e;
}

/* A linear congruential generator; its high bits are the good ones. */
static int64_t shortened(ttl *t, int64_t ttl_ms) {
    if (t->jitter_percent == 0 || ttl_ms == TTL_NEVER) {
        return ttl_ms;
    }
    uint64_t whole = (uint64_t)ttl_ms / 100, rest = (uint64_t)ttl_ms % 100;
    uint64_t most = whole * t->jitter_percent + rest * t->jitter_percent / 100;
    uint64_t high = t->random = t->random * 6364136223846793005 + 1;
    uint64_t low = t->random = t->random * 6364136223846793005 + 1;
    uint64_t drawn = (high & 0xffffffff00000000) | low >> 32;
    return ttl_ms - (int64_t)(drawn % (most + 1));
}

status ttl_create(int64_t default_ttl_ms, ms_clock clock,
                  void (*destroy_value)(void *value), uint64_t seed,
                  ttl **out) {
    if (default_ttl_ms < 1 || clock.now_ms == NULL) {
        return STATUS_INVALID;
    }
    ttl *t = calloc(1, sizeof *t);
    dict *entries = t ? dict_create(NULL, seed) : NULL;
    if (!entries) {
        free(t);
        return STATUS_NO_MEMORY;
    }
    t->entries = entries;
    t->default_ttl_ms = default_ttl_ms;
    t->clock = clock;
    t->destroy_value = destroy_value;
    t->random = seed * 0x9e3779b97f4a7c15 + 1;
    *out = t;
    return STATUS_OK;
}

status ttl_jitter(ttl *t, unsigned percent) {
    if (percent > 99) {
        return STATUS_INVALID;
    }
    t->jitter_percent = percent;
    return STATUS_OK;
}

status ttl_set(ttl *t, bytes key, void *value) {
    return ttl_set_for(t, key, value, t->default_ttl_ms);
}

status ttl_set_for(ttl *t, bytes key, void *value, int64_t ttl_ms) {
    if (ttl_ms < 1) {
        return STATUS_INVALID;
    }
    int64_t now_ms = ms_clock_now(t->clock);
    struct entry *e = find_valid(t, key, now_ms);
    void *old = e ? e->value : NULL;
    bool replaces = e != NULL;
    if (e) {
        link_out(e);
    } else {
        e = new_entry(t, key);
    }
    if (!e) {
        return STATUS_NO_MEMORY;
    }
    ttl_ms = shortened(t, ttl_ms);
    bool never = ttl_ms == TTL_NEVER || now_ms > INT64_MAX - ttl_ms;
    e->value = value;
    e->expires_ms = never ? TTL_NEVER : now_ms + ttl_ms;
    link_in(t, e);
    if (replaces) {
        end_value(t, old);
    }
    return STATUS_OK;
}

bool ttl_get(ttl *t, bytes key, void **value) {
    struct entry *e = find_valid(t, key, ms_clock_now(t->clock));
    if (e && value) {
        *value = e->value;
    }
    return e != NULL;
}

bool ttl_remaining_ms(ttl *t, bytes key, int64_t *remaining_ms) {
    int64_t now_ms = ms_clock_now(t->clock);
    struct entry *e = find_valid(t, key, now_ms);
    if (e) {
        bool never = e->expires_ms == TTL_NEVER;
        *remaining_ms = never ? TTL_NEVER : e->expires_ms - now_ms;
    }
    return e != NULL;
}

bool ttl_delete(ttl *t, bytes key) {
    struct entry *e = find_valid(t, key, ms_clock_now(t->clock));
    if (e) {
        drop(t, e);
    }
    return e != NULL;
}

/* The least time that an entry of this bucket may have. */
static uint64_t start_of(const ttl *t, size_t bucket) {
    if (bucket == 0) {
        return t->floor;
    }
    uint64_t bit = (uint64_t)1 << (bucket - 1);
    return (t->floor | bit) & ~(bit - 1);
}

/* Spreads a bucket over those below it, now that its time has begun. */
static void spread(ttl *t, size_t bucket) {
    struct entry *e = t->buckets[bucket];
    t->buckets[bucket] = NULL;
    while (e) {
        struct entry *next = e->next;
        link_in(t, e);
        e = next;
    }
}

/* Each turn frees an entry or moves entries to a lower bucket, so it ends. */
size_t ttl_sweep(ttl *t, size_t max) {
    int64_t now_ms = ms_clock_now(t->clock);
    size_t freed = 0;
    while (freed < max) {
        size_t bucket = 0;
        while (bucket < BUCKETS && !t->buckets[bucket]) {
            bucket++;
        }
        if (bucket == BUCKETS || start_of(t, bucket) > unsigned_time(now_ms)
            || start_of(t, bucket) == unsigned_time(TTL_NEVER)) {
            break;
        }
        t->floor = start_of(t, bucket);
        if (bucket > 0) {
            spread(t, bucket);
        } else {
            drop(t, t->buckets[0]);
            freed++;
        }
    }
    return freed;
}

size_t ttl_count(const ttl *t) {
    return dict_count(t->entries);
}

void ttl_destroy(ttl *t) {
    if (!t) {
        return;
    }
    size_t cursor = 0;
    bytes key;
    void *value;
    while (dict_next(t->entries, &cursor, &key, &value)) {
        struct entry *e = value;
        end_value(t, e->value);
        free(e);
    }
    dict_destroy(t->entries);
    free(t);
}
