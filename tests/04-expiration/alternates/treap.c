/* ttl: one dict of entries, and a treap of them by time (Seidel and Aragon,
 * "Randomized search trees", Algorithmica 16, 1996): a search tree whose
 * shape is that of a random one. Entries for ever are not in the tree. */
#include "ttl.h"

#include "dict.h"

#include <stdlib.h>

struct entry {
    struct entry *sooner, *later; /* children */
    uint64_t priority;            /* never below a child's */
    void *value;
    int64_t expires_ms;
    size_t key_len;
    char key[];
};

struct ttl {
    dict *entries;
    struct entry *root;
    int64_t default_ttl_ms;
    ms_clock clock;
    void (*destroy_value)(void *value);
    unsigned jitter_percent;
    uint64_t random;
    uint64_t shape; /* random too, for the priorities */
};

/* Two entries of one millisecond are ordered by their addresses. */
static bool before(const struct entry *a, const struct entry *b) {
    return a->expires_ms < b->expires_ms
           || (a->expires_ms == b->expires_ms && (uintptr_t)a < (uintptr_t)b);
}

/* Cuts a tree in two: what comes before `at`, and the rest. */
static void split(struct entry *tree, const struct entry *at,
                  struct entry **left, struct entry **right) {
    while (tree) { /* each turn goes one level down */
        if (before(tree, at)) {
            *left = tree;
            left = &tree->later;
            tree = *left;
        } else {
            *right = tree;
            right = &tree->sooner;
            tree = *right;
        }
    }
    *left = *right = NULL;
}

/* Joins two trees of which one comes before the other. */
static struct entry *join(struct entry *left, struct entry *right) {
    struct entry *root = NULL;
    struct entry **hole = &root;
    while (left && right) { /* each turn goes one level down */
        if (left->priority > right->priority) {
            *hole = left;
            hole = &left->later;
            left = *hole;
        } else {
            *hole = right;
            hole = &right->sooner;
            right = *hole;
        }
    }
    *hole = left ? left : right;
    return root;
}

static void link_in(ttl *t, struct entry *e) {
    if (e->expires_ms == TTL_NEVER) {
        return;
    }
    t->shape = t->shape * 6364136223846793005 + 1;
    e->priority = t->shape >> 16;
    struct entry **hole = &t->root;
    while (*hole && (*hole)->priority >= e->priority) {
        hole = before(e, *hole) ? &(*hole)->sooner : &(*hole)->later;
    }
    split(*hole, e, &e->sooner, &e->later);
    *hole = e;
}

static void link_out(ttl *t, struct entry *e) {
    if (e->expires_ms == TTL_NEVER) {
        return;
    }
    struct entry **hole = &t->root;
    while (*hole != e) { /* it is in the tree, on this path */
        hole = before(e, *hole) ? &(*hole)->sooner : &(*hole)->later;
    }
    *hole = join(e->sooner, e->later);
}

static void end_value(const ttl *t, void *value) {
    if (t->destroy_value) {
        t->destroy_value(value);
    }
}

static void drop(ttl *t, struct entry *e) {
    void *taken;
    dict_take(t->entries, (bytes){e->key, e->key_len}, &taken);
    link_out(t, e);
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
        link_out(t, e);
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

size_t ttl_sweep(ttl *t, size_t max) {
    int64_t now_ms = ms_clock_now(t->clock);
    size_t freed = 0;
    while (freed < max && t->root) {
        struct entry *soonest = t->root;
        while (soonest->sooner) {
            soonest = soonest->sooner;
        }
        if (soonest->expires_ms > now_ms) {
            break;
        }
        drop(t, soonest);
        freed++;
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
