/* lru: chained hashing, and a ring by age, through one array of nodes. */
#include "lru.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { NEAR_BYTES = 16 };

/* Node 0 holds no entry. As a neighbour by age it is the ring's head, which
 * stands between the newest and the oldest; as `next` it ends a chain. So
 * memory full of zeros is an empty ring over empty chains. */
enum { HEAD = 0, NONE = 0 };

struct node {
    uint32_t hash;
    uint32_t next;  /* in the chain of its bucket, or among the free nodes */
    uint32_t newer; /* of the head: the oldest */
    uint32_t older; /* of the head: the newest */
    void *value;
    size_t key_len;
    union {
        char near[NEAR_BYTES]; /* key_len <= NEAR_BYTES */
        char *far;             /* longer: a block of its own */
    };
};

struct lru {
    struct node *nodes; /* the head, and one for each entry */
    uint32_t *buckets;  /* the first node of each chain */
    size_t mask;        /* buckets - 1; their number is a power of two */
    size_t count;
    uint32_t free; /* the first node that no entry uses; NONE: full */
    uint64_t seed;
    void (*destroy_value)(void *value);
    void (*evicted)(void *context, bytes key, void *value);
    void *evicted_context;
    lru_stats stats;
};

static uint32_t hash_of(const lru *l, bytes key) {
    return (uint32_t)lru_hash(key, l->seed);
}

static bytes key_of(const struct node *node) {
    const char *data = node->key_len <= NEAR_BYTES ? node->near : node->far;
    return (bytes){data, node->key_len};
}

/* Returns: the node that holds the key, or NONE. */
static uint32_t find(const lru *l, bytes key, uint32_t hash) {
    uint32_t at = l->buckets[hash & l->mask];
    while (at != NONE) {
        const struct node *node = &l->nodes[at];
        if (node->hash == hash && bytes_equal(key_of(node), key)) {
            return at;
        }
        at = node->next;
    }
    return NONE;
}

/* Copies the key into the node. Returns: false without memory. */
static bool copy_key(struct node *node, bytes key) {
    char *copy = node->near;
    if (key.len > NEAR_BYTES) {
        copy = node->far = malloc(key.len);
    }
    if (!copy) {
        return false;
    }
    if (key.len > 0) {
        memcpy(copy, key.data, key.len);
    }
    node->key_len = key.len;
    return true;
}

static void end_value(const lru *l, void *value) {
    if (l->destroy_value) {
        l->destroy_value(value);
    }
}

static void free_key(const struct node *node) {
    if (node->key_len > NEAR_BYTES) {
        free(node->far);
    }
}

static void leave_ring(lru *l, uint32_t at) {
    const struct node *node = &l->nodes[at];
    l->nodes[node->newer].older = node->older;
    l->nodes[node->older].newer = node->newer;
}

static void enter_ring_as_newest(lru *l, uint32_t at) {
    uint32_t second = l->nodes[HEAD].older;
    l->nodes[at].newer = HEAD;
    l->nodes[at].older = second;
    l->nodes[second].newer = at;
    l->nodes[HEAD].older = at;
}

static void promote(lru *l, uint32_t at) {
    leave_ring(l, at);
    enter_ring_as_newest(l, at);
}

/* Follows the links, not the nodes: the one that leads to `at` may stand in
 * the bucket or in another node. The node's own hash names the chain, and its
 * number is compared, never a key. It is in that chain, so the walk ends. */
static void leave_chain(lru *l, uint32_t at) {
    uint32_t *link = &l->buckets[l->nodes[at].hash & l->mask];
    while (*link != at) {
        link = &l->nodes[*link].next;
    }
    *link = l->nodes[at].next;
}

/* Takes an entry out of both lists, ends it, and keeps its node for the next
 * one. The value is destroyed when no list leads to it any more. */
static void discard(lru *l, uint32_t at) {
    struct node *node = &l->nodes[at];
    leave_chain(l, at);
    leave_ring(l, at);
    end_value(l, node->value);
    free_key(node);
    node->next = l->free;
    l->free = at;
    l->count--;
}

static void evict_oldest(lru *l) {
    uint32_t oldest = l->nodes[HEAD].newer;
    if (l->evicted) {
        const struct node *node = &l->nodes[oldest];
        l->evicted(l->evicted_context, key_of(node), node->value);
    }
    l->stats.evictions++;
    discard(l, oldest);
}

/* Puts an entry into a free node, of which there must be one. */
static void insert(lru *l, struct node entry) {
    uint32_t at = l->free;
    uint32_t *bucket = &l->buckets[entry.hash & l->mask];
    l->free = l->nodes[at].next;
    entry.next = *bucket;
    *bucket = at;
    l->nodes[at] = entry;
    enter_ring_as_newest(l, at);
    l->count++;
}

static void replace_value(lru *l, uint32_t at, void *value) {
    void *old = l->nodes[at].value;
    l->nodes[at].value = value;
    promote(l, at);
    end_value(l, old);
}

/* The least power of two that gives each entry a bucket of its own. */
static size_t buckets_for(size_t capacity) {
    size_t buckets = 1;
    while (buckets < capacity) {
        buckets *= 2;
    }
    return buckets;
}

/* Strings all nodes but the head into the chain of free ones. */
static void free_all_nodes(lru *l, size_t capacity) {
    for (uint32_t at = 1; at < capacity; at++) {
        l->nodes[at].next = at + 1;
    }
    l->free = 1;
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
    l->nodes = calloc(capacity + 1, sizeof *l->nodes);
    if (!l->nodes) {
        goto no_nodes;
    }
    size_t buckets = buckets_for(capacity);
    l->buckets = calloc(buckets, sizeof *l->buckets);
    if (!l->buckets) {
        goto no_buckets;
    }
    l->mask = buckets - 1;
    l->seed = seed;
    l->destroy_value = destroy_value;
    free_all_nodes(l, capacity);
    *out = l;
    return STATUS_OK;

no_buckets:
    free(l->nodes);
no_nodes:
    free(l);
    return STATUS_NO_MEMORY;
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
    uint32_t hash = hash_of(l, key);
    uint32_t at = find(l, key, hash);
    if (at != NONE) {
        replace_value(l, at, value);
        return STATUS_OK;
    }
    /* What can fail comes first: then nothing needs to be undone. */
    struct node entry = {.hash = hash, .value = value};
    if (!copy_key(&entry, key)) {
        return STATUS_NO_MEMORY;
    }
    if (l->free == NONE) {
        evict_oldest(l);
    }
    insert(l, entry);
    return STATUS_OK;
}

bool lru_get(lru *l, bytes key, void **value) {
    return lru_get_hashed(l, key, hash_of(l, key), value);
}

bool lru_get_hashed(lru *l, bytes key, uint64_t hash, void **value) {
    uint32_t at = find(l, key, (uint32_t)hash);
    if (at == NONE) {
        l->stats.misses++;
        return false;
    }
    l->stats.hits++;
    promote(l, at);
    if (value) {
        *value = l->nodes[at].value;
    }
    return true;
}

bool lru_peek(const lru *l, bytes key, void **value) {
    uint32_t at = find(l, key, hash_of(l, key));
    if (at == NONE) {
        return false;
    }
    if (value) {
        *value = l->nodes[at].value;
    }
    return true;
}

bool lru_delete(lru *l, bytes key) {
    uint32_t at = find(l, key, hash_of(l, key));
    if (at == NONE) {
        return false;
    }
    discard(l, at);
    return true;
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
    while (l->nodes[HEAD].older != HEAD) {
        discard(l, l->nodes[HEAD].older);
    }
    free(l->buckets);
    free(l->nodes);
    free(l);
}
