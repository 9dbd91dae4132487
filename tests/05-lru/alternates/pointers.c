/* lru: chains and a list by age through blocks of their own. Every link is a
 * pointer, both lists are doubly linked, and sentinels close them: a node
 * leaves each in the same way, without looking for what leads to it. */
#include "lru.h"

#include <stdlib.h>
#include <xxhash.h>

/* A place in one circular list. */
struct link {
    struct link *before;
    struct link *after;
};

struct node {
    struct link chain; /* first: a link of a chain is also its node */
    struct link age;
    uint64_t hash;
    void *value;
    size_t key_len;
    char key[];
};

struct lru {
    struct link age;      /* after it the newest, before it the oldest */
    struct link *buckets; /* a sentinel for each chain */
    size_t mask;
    size_t capacity;
    size_t count;
    uint64_t seed;
    void (*destroy_value)(void *value);
    void (*evicted)(void *context, bytes key, void *value);
    void *evicted_context;
    lru_stats stats;
};

static void link_alone(struct link *link) {
    link->before = link->after = link;
}

static void link_after(struct link *place, struct link *link) {
    link->before = place;
    link->after = place->after;
    place->after->before = link;
    place->after = link;
}

static void link_leave(const struct link *link) {
    link->before->after = link->after;
    link->after->before = link->before;
}

static struct node *node_of_age(struct link *age) {
    return (struct node *)(void *)((char *)age - offsetof(struct node, age));
}

static uint64_t hash_of(const lru *l, bytes key) {
    return lru_hash(key, l->seed);
}

static bytes key_of(const struct node *node) {
    return (bytes){node->key, node->key_len};
}

/* Returns: the node that holds the key, or NULL. */
static struct node *find(const lru *l, bytes key, uint64_t hash) {
    struct link *end = &l->buckets[hash & l->mask];
    for (struct link *link = end->after; link != end; link = link->after) {
        struct node *node = (struct node *)(void *)link;
        if (node->hash == hash && bytes_equal(key_of(node), key)) {
            return node;
        }
    }
    return NULL;
}

static void promote(lru *l, struct node *node) {
    link_leave(&node->age);
    link_after(&l->age, &node->age);
}

static void end_value(const lru *l, void *value) {
    if (l->destroy_value) {
        l->destroy_value(value);
    }
}

static void discard(lru *l, struct node *node) {
    link_leave(&node->chain);
    link_leave(&node->age);
    end_value(l, node->value);
    free(node);
    l->count--;
}

static void evict_oldest(lru *l) {
    struct node *oldest = node_of_age(l->age.before);
    if (l->evicted) {
        l->evicted(l->evicted_context, key_of(oldest), oldest->value);
    }
    l->stats.evictions++;
    discard(l, oldest);
}

status lru_create(size_t capacity, void (*destroy_value)(void *value),
                  uint64_t seed, lru **out) {
    if (capacity < 1 || capacity > LRU_CAPACITY_MAX) {
        return STATUS_INVALID;
    }
    size_t buckets = 1;
    while (buckets < capacity) {
        buckets *= 2;
    }
    lru *l = calloc(1, sizeof *l);
    if (!l) {
        return STATUS_NO_MEMORY;
    }
    l->buckets = malloc(buckets * sizeof *l->buckets);
    if (!l->buckets) {
        free(l);
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < buckets; i++) {
        link_alone(&l->buckets[i]);
    }
    link_alone(&l->age);
    l->mask = buckets - 1;
    l->capacity = capacity;
    l->seed = seed;
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

static void replace_value(lru *l, struct node *node, void *value) {
    void *old = node->value;
    node->value = value;
    promote(l, node);
    end_value(l, old);
}

uint64_t lru_hash(bytes key, uint64_t seed) {
    return XXH3_64bits_withSeed(key.data, key.len, seed);
}

status lru_set(lru *l, bytes key, void *value) {
    uint64_t hash = hash_of(l, key);
    struct node *node = find(l, key, hash);
    if (node) {
        replace_value(l, node, value);
        return STATUS_OK;
    }
    node = malloc(sizeof *node + key.len);
    if (!node) {
        return STATUS_NO_MEMORY;
    }
    node->hash = hash;
    node->value = value;
    node->key_len = key.len;
    if (key.len > 0) {
        memcpy(node->key, key.data, key.len);
    }
    if (l->count == l->capacity) {
        evict_oldest(l);
    }
    link_after(&l->buckets[hash & l->mask], &node->chain);
    link_after(&l->age, &node->age);
    l->count++;
    return STATUS_OK;
}

bool lru_get(lru *l, bytes key, void **value) {
    return lru_get_hashed(l, key, hash_of(l, key), value);
}

bool lru_get_hashed(lru *l, bytes key, uint64_t hash, void **value) {
    struct node *node = find(l, key, hash);
    if (!node) {
        l->stats.misses++;
        return false;
    }
    l->stats.hits++;
    promote(l, node);
    if (value) {
        *value = node->value;
    }
    return true;
}

bool lru_peek(const lru *l, bytes key, void **value) {
    const struct node *node = find(l, key, hash_of(l, key));
    if (node && value) {
        *value = node->value;
    }
    return node != NULL;
}

bool lru_delete(lru *l, bytes key) {
    struct node *node = find(l, key, hash_of(l, key));
    if (node) {
        discard(l, node);
    }
    return node != NULL;
}

size_t lru_count(const lru *l) {
    return l->count;
}

lru_stats lru_statistics(const lru *l) {
    return l->stats;
}

void lru_destroy(lru *l) {
    if (!l) {
        return;
    }
    while (l->age.after != &l->age) {
        discard(l, node_of_age(l->age.after));
    }
    free(l->buckets);
    free(l);
}
