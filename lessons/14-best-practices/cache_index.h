/* cache_index: from keys to places; given, as it is lesson 2 again.
 *
 * Open addressing with linear probing. A slot holds a tag, 32 bits of the
 * key's hash, and a place, 32 bits that mean something to the cache; together
 * they are never 0, since 0 is an empty slot. The tag times the number of
 * slots, without the lower 32 bits, is the slot's home: so that number need
 * not be a power of two, and an index can be as large as its memory.
 *
 * Whoever uses it keeps a slot empty, or no walk ends. */
#ifndef LESSON_CACHE_INDEX_H
#define LESSON_CACHE_INDEX_H

#include <stddef.h>
#include <stdint.h>

typedef struct cache_index {
    uint64_t *slots; /* zeros at first */
    size_t count;
} cache_index;

/* A slot in use. hash: its lower half is the tag. place: not 0. */
static inline uint64_t index_slot(uint64_t hash, uint32_t place) {
    return hash << 32 | place;
}

static inline uint32_t index_tag(uint64_t slot) {
    return (uint32_t)(slot >> 32);
}

static inline uint32_t index_place(uint64_t slot) {
    return (uint32_t)slot;
}

/* Where the walk for a tag begins. */
static inline size_t index_home(const cache_index *x, uint32_t tag) {
    return (size_t)((uint64_t)tag * x->count >> 32);
}

/* Where it goes on. */
static inline size_t index_after(const cache_index *x, size_t i) {
    return i + 1 < x->count ? i + 1 : 0;
}

/* Returns: where this very slot stands; if nowhere, the first empty place on
 * its walk, where it may be put. */
static inline size_t index_find(const cache_index *x, uint64_t slot) {
    size_t i = index_home(x, index_tag(slot));
    while (x->slots[i] != 0 && x->slots[i] != slot) {
        i = index_after(x, i);
    }
    return i;
}

static inline size_t index_distance(const cache_index *x, size_t from,
                                    size_t to) {
    return to >= from ? to - from : to + x->count - from;
}

/* Empties a place without a trace: algorithm R, as close_hole in lesson 2. */
static inline void index_empty(cache_index *x, size_t hole) {
    for (size_t i = index_after(x, hole); x->slots[i] != 0;
         i = index_after(x, i)) {
        size_t home = index_home(x, index_tag(x->slots[i]));
        if (index_distance(x, home, i) >= index_distance(x, hole, i)) {
            x->slots[hole] = x->slots[i];
            hole = i;
        }
    }
    x->slots[hole] = 0;
}

#endif
