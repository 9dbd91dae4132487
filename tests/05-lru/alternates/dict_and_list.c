/* lru: lesson 2's dict finds the entries, a doubly linked list orders them. */
#include "lru.h"

#include "dict.h"

#include <stdlib.h>
#include <xxhash.h>

/* The dict has a copy of the key too, but does not show it: the entry needs
 * its own, to be deleted from the dict when it is evicted. */
struct entry {
    struct entry *newer; /* NULL: this is the newest */
    struct entry *older; /* NULL: this is the oldest */
    void *value;
    size_t key_len;
    char key[];
};

struct lru {
    dict *table; /* key -> struct entry */
    struct entry *newest;
    struct entry *oldest;
    size_t capacity;
    void (*destroy_value)(void *value);
    void (*evicted)(void *context, bytes key, void *value);
    void *evicted_context;
    lru_stats stats;
};

static struct entry *find(const lru *l, bytes key) {
    void *found = NULL;
    dict_get(l->table, key, &found);
    return found;
}

static bytes key_of(const struct entry *e) {
    return (bytes){e->key, e->key_len};
}

static void leave_list(lru *l, struct entry *e) {
    *(e->newer ? &e->newer->older : &l->newest) = e->older;
    *(e->older ? &e->older->newer : &l->oldest) = e->newer;
}

static void enter_list_as_newest(lru *l, struct entry *e) {
    e->newer = NULL;
    e->older = l->newest;
    *(l->newest ? &l->newest->newer : &l->oldest) = e;
    l->newest = e;
}

static void promote(lru *l, struct entry *e) {
    leave_list(l, e);
    enter_list_as_newest(l, e);
}

static void end_value(const lru *l, void *value) {
    if (l->destroy_value) {
        l->destroy_value(value);
    }
}

static void discard(lru *l, struct entry *e) {
    leave_list(l, e);
    dict_delete(l->table, key_of(e));
    end_value(l, e->value);
    free(e);
}

static void evict_oldest(lru *l) {
    struct entry *oldest = l->oldest;
    if (l->evicted) {
        l->evicted(l->evicted_context, key_of(oldest), oldest->value);
    }
    l->stats.evictions++;
    discard(l, oldest);
}

static struct entry *entry_of(bytes key, void *value) {
    struct entry *e = malloc(sizeof *e + key.len);
    if (e) {
        e->value = value;
        e->key_len = key.len;
        if (key.len > 0) {
            memcpy(e->key, key.data, key.len);
        }
    }
    return e;
}

status lru_create(size_t capacity, void (*destroy_value)(void *value),
                  uint64_t seed, lru **out) {
    if (capacity < 1 || capacity > LRU_CAPACITY_MAX) {
        return STATUS_INVALID;
    }
    lru *l = calloc(1, sizeof *l);
    if (!l) {
        return STATUS_NO_MEMORY;
    }
    l->table = dict_create(NULL, seed);
    if (!l->table) {
        free(l);
        return STATUS_NO_MEMORY;
    }
    l->capacity = capacity;
    l->destroy_value = destroy_value;
    *out = l;
    return STATUS_OK;
}

void lru_on_evict(lru *l,
                  void (*evicted)(void *context, bytes key, void *value),
                  void *context) {
    l->evicted = evicted;
    l->evicted_context = context;
}

uint64_t lru_hash(bytes key, uint64_t seed) {
    return XXH3_64bits_withSeed(key.data, key.len, seed);
}

status lru_set(lru *l, bytes key, void *value) {
    struct entry *e = find(l, key);
    if (e) {
        void *old = e->value;
        e->value = value;
        promote(l, e);
        end_value(l, old);
        return STATUS_OK;
    }
    e = entry_of(key, value);
    if (!e || dict_set(l->table, key, e) != STATUS_OK) {
        free(e);
        return STATUS_NO_MEMORY;
    }
    enter_list_as_newest(l, e);
    if (dict_count(l->table) > l->capacity) {
        evict_oldest(l);
    }
    return STATUS_OK;
}

bool lru_get(lru *l, bytes key, void **value) {
    struct entry *e = find(l, key);
    if (!e) {
        l->stats.misses++;
        return false;
    }
    l->stats.hits++;
    promote(l, e);
    if (value) {
        *value = e->value;
    }
    return true;
}

/* The dict takes no hash, so this saves nothing; but it is the same get. */
bool lru_get_hashed(lru *l, bytes key, uint64_t hash, void **value) {
    (void)hash;
    return lru_get(l, key, value);
}

bool lru_peek(const lru *l, bytes key, void **value) {
    const struct entry *e = find(l, key);
    if (e && value) {
        *value = e->value;
    }
    return e != NULL;
}

bool lru_delete(lru *l, bytes key) {
    struct entry *e = find(l, key);
    if (e) {
        discard(l, e);
    }
    return e != NULL;
}

size_t lru_count(const lru *l) {
    return dict_count(l->table);
}

lru_stats lru_statistics(const lru *l) {
    return l->stats;
}

void lru_destroy(lru *l) {
    if (!l) {
        return;
    }
    while (l->newest) {
        discard(l, l->newest);
    }
    dict_destroy(l->table);
    free(l);
}
