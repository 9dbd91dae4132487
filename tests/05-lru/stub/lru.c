/* lru: chained hashing, and a ring by age, through one array of nodes. */
#include "lru.h"

#include "common/todo.h"

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

status lru_create(size_t capacity, void (*destroy_value)(void *value),
                  uint64_t seed, lru **out) {
    TODO("5.1: refuse a bad capacity, take memory for all nodes and buckets");
}

void lru_on_evict(lru *l,
                  void (*evicted)(void *context, bytes key, void *value),
                  void *context) {
    TODO("5.7: keep the callback and its context; call it in each eviction");
}

uint64_t lru_hash(bytes key, uint64_t seed) {
    TODO("5.2: hash the key as lesson 2 does, and return all 64 bits");
}

status lru_set(lru *l, bytes key, void *value) {
    TODO("5.2: put key and value into a free node, the node into both lists");
}

bool lru_get(lru *l, bytes key, void **value) {
    TODO("5.5: hash the key, and leave the rest to lru_get_hashed");
}

bool lru_get_hashed(lru *l, bytes key, uint64_t hash, void **value) {
    TODO("5.5: find the key, count a hit or a miss, promote, give the value");
}

bool lru_peek(const lru *l, bytes key, void **value) {
    TODO("5.2: hash the key, walk its chain, give the value, change nothing");
}

bool lru_delete(lru *l, bytes key) {
    TODO("5.6: take the node out of both lists, end it, keep it for reuse");
}

size_t lru_count(const lru *l) {
    TODO("5.1: return the number of entries");
}

lru_stats lru_statistics(const lru *l) {
    TODO("5.5: return hits, misses and evictions");
}

void lru_destroy(lru *l) {
    TODO("5.1: end every entry, then free all that was allocated");
}
