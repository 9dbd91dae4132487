/* ttl: a dict of values, a dict of ends, and a heap of the ends by time. */
#include "ttl.h"

#include "dict.h"

#include <stdlib.h>

/* Four children a node make the heap half as deep as two, and they lie side by
 * side in memory. */
enum { FIRST_TIMERS = 8, CHILDREN = 4 };

/* When a key expires. It has a copy of the key, for the way from the heap back
 * to the dicts. */
struct end {
    size_t place; /* of its timer in the heap */
    size_t key_len;
    char key[];
};

/* The time stands here and not in the end: comparing two timers follows no
 * pointer. */
struct timer {
    int64_t expires_ms;
    struct end *end;
};

struct ttl {
    dict *values;       /* every key, to its value */
    dict *ends;         /* keys that will expire, to their struct end */
    struct timer *heap; /* no timer is due before its parent */
    size_t timers;
    size_t capacity;
    int64_t default_ttl_ms;
    ms_clock clock;
    unsigned jitter_percent;
    uint64_t random;
};

/* -- the heap ----------------------------------------------------------- */

/* Before the top of the heap is due, nothing is. */
static int64_t soonest_ms(const ttl *t) {
    return t->timers > 0 ? t->heap[0].expires_ms : TTL_NEVER;
}

static void put_timer(ttl *t, size_t at, struct timer timer) {
    t->heap[at] = timer;
    timer.end->place = at;
}

/* Fills the hole at `at`: parents that are due later step down into it. The
 * hole rises with each turn. */
static void sift_up(ttl *t, size_t at, struct timer timer) {
    while (at > 0) {
        size_t parent = (at - 1) / CHILDREN;
        if (t->heap[parent].expires_ms <= timer.expires_ms) {
            break;
        }
        put_timer(t, at, t->heap[parent]);
        at = parent;
    }
    put_timer(t, at, timer);
}

/* The child of `at` that is due first. There must be one. */
static size_t soonest_child(const ttl *t, size_t at) {
    size_t best = at * CHILDREN + 1;
    for (size_t i = 1; i < CHILDREN && at * CHILDREN + 1 + i < t->timers; i++) {
        size_t child = at * CHILDREN + 1 + i;
        if (t->heap[child].expires_ms < t->heap[best].expires_ms) {
            best = child;
        }
    }
    return best;
}

/* Fills the hole at `at`: children that are due sooner step up into it. The
 * hole sinks with each turn. */
static void sift_down(ttl *t, size_t at, struct timer timer) {
    while (at * CHILDREN + 1 < t->timers) {
        size_t child = soonest_child(t, at);
        if (t->heap[child].expires_ms >= timer.expires_ms) {
            break;
        }
        put_timer(t, at, t->heap[child]);
        at = child;
    }
    put_timer(t, at, timer);
}

/* Fills the hole at `at`, upwards or downwards. */
static void fill(ttl *t, size_t at, struct timer timer) {
    size_t parent = at > 0 ? (at - 1) / CHILDREN : 0;
    if (timer.expires_ms < t->heap[parent].expires_ms) {
        sift_up(t, at, timer);
    } else {
        sift_down(t, at, timer);
    }
}

/* The last timer leaves no hole, so it fills that of the one taken out. */
static void take_timer_out(ttl *t, size_t at) {
    struct timer last = t->heap[--t->timers];
    if (at < t->timers) {
        fill(t, at, last);
    }
}

/* Returns: false without memory; then nothing has changed. */
static bool room_for_a_timer(ttl *t) {
    if (t->timers < t->capacity) {
        return true;
    }
    size_t capacity = t->capacity > 0 ? 2 * t->capacity : FIRST_TIMERS;
    struct timer *heap = realloc(t->heap, capacity * sizeof *heap);
    if (!heap) {
        return false;
    }
    t->heap = heap;
    t->capacity = capacity;
    return true;
}

/* -- ends ---------------------------------------------------------------- */

static bytes key_of(const struct end *end) {
    return (bytes){end->key, end->key_len};
}

static struct end *end_of(const ttl *t, bytes key) {
    void *end = NULL;
    dict_get(t->ends, key, &end);
    return end;
}

/* Gives the key an end that never comes: the latest of all, so the bottom of
 * the heap is its place. Returns: NULL without memory; nothing has changed. */
static struct end *add_end(ttl *t, bytes key) {
    if (key.len > SIZE_MAX - sizeof(struct end) || !room_for_a_timer(t)) {
        return NULL;
    }
    struct end *end = malloc(sizeof *end + key.len);
    if (!end) {
        return NULL;
    }
    if (key.len > 0) {
        memcpy(end->key, key.data, key.len);
    }
    end->key_len = key.len;
    if (dict_set(t->ends, key, end) != STATUS_OK) {
        free(end);
        return NULL;
    }
    put_timer(t, t->timers++, (struct timer){TTL_NEVER, end});
    return end;
}

static void remove_end(ttl *t, struct end *end) {
    take_timer_out(t, end->place);
    dict_delete(t->ends, key_of(end)); /* and so frees it */
}

static void expire(ttl *t, struct end *end) {
    dict_delete(t->values, key_of(end));
    remove_end(t, end);
}

/* Something is due: is it this key? */
static void expire_if_past(ttl *t, bytes key, int64_t now_ms) {
    struct end *end = end_of(t, key);
    if (end && t->heap[end->place].expires_ms <= now_ms) {
        expire(t, end);
    }
}

/* Most calls end at the first question: nothing at all is due. Inline, so that
 * a hit asks it without a call. */
static inline void expire_if_due(ttl *t, bytes key, int64_t now_ms) {
    if (soonest_ms(t) <= now_ms) {
        expire_if_past(t, key, now_ms);
    }
}

/* -- times ---------------------------------------------------------------- */

/* SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
 * generators", OOPSLA 2014). */
static uint64_t next_random(ttl *t) {
    uint64_t x = t->random += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

/* What the jitter leaves of a ttl. Whole hundreds and the rest are multiplied
 * each for itself: the product of a large ttl would overflow. */
static int64_t shortened(ttl *t, int64_t ttl_ms) {
    if (t->jitter_percent == 0 || ttl_ms == TTL_NEVER) {
        return ttl_ms;
    }
    int64_t percent = t->jitter_percent;
    int64_t most = ttl_ms / 100 * percent + ttl_ms % 100 * percent / 100;
    return ttl_ms - (int64_t)(next_random(t) % ((uint64_t)most + 1));
}

/* now + ttl, where a sum past the end of time is never. */
static int64_t end_after(int64_t now_ms, int64_t ttl_ms) {
    if (ttl_ms == TTL_NEVER || now_ms > INT64_MAX - ttl_ms) {
        return TTL_NEVER;
    }
    return now_ms + ttl_ms;
}

/* All that can fail comes before all that cannot be undone. The caller's key
 * may lie in the old value, so it is not used once that is destroyed. */
static status set_until(ttl *t, bytes key, void *value, int64_t expires_ms) {
    struct end *end = end_of(t, key);
    bool added = !end && expires_ms != TTL_NEVER;
    if (added && !(end = add_end(t, key))) {
        return STATUS_NO_MEMORY;
    }
    if (dict_set(t->values, key, value) != STATUS_OK) {
        if (added) {
            remove_end(t, end);
        }
        return STATUS_NO_MEMORY;
    }
    if (end && expires_ms == TTL_NEVER) {
        remove_end(t, end);
    } else if (end) {
        fill(t, end->place, (struct timer){expires_ms, end});
    }
    return STATUS_OK;
}

/* -- the lesson's functions ------------------------------------------------ */

status ttl_create(int64_t default_ttl_ms, ms_clock clock,
                  void (*destroy_value)(void *value), uint64_t seed,
                  ttl **out) {
    if (default_ttl_ms <= 0 || !clock.now_ms) {
        return STATUS_INVALID;
    }
    ttl *t = calloc(1, sizeof *t);
    if (!t) {
        return STATUS_NO_MEMORY;
    }
    t->values = dict_create(destroy_value, seed);
    if (!t->values) {
        goto no_values;
    }
    t->ends = dict_create(free, seed);
    if (!t->ends) {
        goto no_ends;
    }
    t->default_ttl_ms = default_ttl_ms;
    t->clock = clock;
    t->random = seed;
    *out = t;
    return STATUS_OK;

no_ends:
    dict_destroy(t->values);
no_values:
    free(t);
    return STATUS_NO_MEMORY;
}

status ttl_jitter(ttl *t, unsigned percent) {
    if (percent >= 100) {
        return STATUS_INVALID;
    }
    t->jitter_percent = percent;
    return STATUS_OK;
}

status ttl_set(ttl *t, bytes key, void *value) {
    return ttl_set_for(t, key, value, t->default_ttl_ms);
}

status ttl_set_for(ttl *t, bytes key, void *value, int64_t ttl_ms) {
    if (ttl_ms <= 0) {
        return STATUS_INVALID;
    }
    uint64_t random = t->random;
    int64_t now_ms = ms_clock_now(t->clock);
    int64_t expires_ms = end_after(now_ms, shortened(t, ttl_ms));
    status s = set_until(t, key, value, expires_ms);
    if (s != STATUS_OK) {
        t->random = random; /* a failed set draws no number either */
    }
    return s;
}

bool ttl_get(ttl *t, bytes key, void **value) {
    expire_if_due(t, key, ms_clock_now(t->clock));
    return dict_get(t->values, key, value);
}

bool ttl_remaining_ms(ttl *t, bytes key, int64_t *remaining_ms) {
    int64_t now_ms = ms_clock_now(t->clock);
    expire_if_due(t, key, now_ms);
    if (!dict_get(t->values, key, NULL)) {
        return false;
    }
    const struct end *end = end_of(t, key);
    *remaining_ms = end ? t->heap[end->place].expires_ms - now_ms : TTL_NEVER;
    return true;
}

bool ttl_delete(ttl *t, bytes key) {
    expire_if_due(t, key, ms_clock_now(t->clock));
    struct end *end = end_of(t, key);
    if (end) {
        remove_end(t, end);
    }
    return dict_delete(t->values, key);
}

/* All that is due may go in any order. The last timer of the heap goes without
 * a step of sifting; only if it is not due must the top go. */
size_t ttl_sweep(ttl *t, size_t max) {
    int64_t now_ms = ms_clock_now(t->clock);
    size_t freed = 0;
    while (freed < max && t->timers > 0 && soonest_ms(t) <= now_ms) {
        struct timer last = t->heap[t->timers - 1];
        expire(t, last.expires_ms <= now_ms ? last.end : t->heap[0].end);
        freed++;
    }
    return freed;
}

size_t ttl_count(const ttl *t) {
    return dict_count(t->values);
}

void ttl_destroy(ttl *t) {
    if (!t) {
        return;
    }
    dict_destroy(t->values);
    dict_destroy(t->ends);
    free(t->heap);
    free(t);
}
