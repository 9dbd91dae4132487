/* table: from keys to entries that hold their keys, given to you ready-made.
 *
 *   chains   | * |   | * | * |
 *              |       |   `--> entry, key
 *              |       `------> entry, key --> entry, key
 *              `--------------> entry, key
 *
 * The dict of lesson 2 leads from a key to a pointer: the key stands in the
 * slot, and what the cache wants to know first, the version, one trip to memory
 * further on. Here each entry is a block with its key behind it, so the trip
 * that finds the key has brought the version, too. What an entry is made of is
 * up to versioned.c; it begins with a struct table_item. */
#ifndef LESSON_TABLE_H
#define LESSON_TABLE_H

#include "common/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { TABLE_FIRST_CHAINS = 8 };

/* What every entry begins with. */
struct table_item {
    struct table_item *next; /* in its chain */
    size_t key_len;
};

typedef struct table {
    struct table_item **chains;
    size_t mask; /* chains - 1; their number is a power of two */
    size_t count;
    size_t entry_size; /* that is where the key begins */
    uint64_t seed;
} table;

/* Makes an empty table, to be ended with table_clear.
 * entry_size: of the struct that begins with a struct table_item.
 * Returns: false without memory. */
static inline bool table_init(table *t, size_t entry_size, uint64_t seed) {
    *t = (table){.entry_size = entry_size, .seed = seed};
    t->chains = calloc(TABLE_FIRST_CHAINS, sizeof(struct table_item *));
    t->mask = TABLE_FIRST_CHAINS - 1;
    return t->chains != NULL;
}

static inline bytes table_key(const table *t, const struct table_item *item) {
    return (bytes){(const char *)item + t->entry_size, item->key_len};
}

static inline struct table_item **table_chain(const table *t, bytes key) {
    return &t->chains[XXH3_64bits_withSeed(key.data, key.len, t->seed)
                      & t->mask];
}

/* Returns: the link to the entry of the key, or the one that ends its chain. */
static inline struct table_item **table_link(const table *t, bytes key) {
    struct table_item **link = table_chain(t, key);
    while (*link && !bytes_equal(table_key(t, *link), key)) {
        link = &(*link)->next;
    }
    return link;
}

/* Returns: the entry of the key, NULL if there is none. Cost: O(1) expected. */
static inline void *table_get(const table *t, bytes key) {
    return *table_link(t, key);
}

/* Twice as many chains, if there is memory; longer ones, if there is none. */
static inline void table_grow(table *t) {
    table old = *t;
    t->mask = 2 * old.mask + 1;
    t->chains = calloc(t->mask + 1, sizeof(struct table_item *));
    if (!t->chains) {
        *t = old;
        return;
    }
    for (size_t i = 0; i <= old.mask; i++) {
        while (old.chains[i]) {
            struct table_item *item = old.chains[i];
            struct table_item **chain = table_chain(t, table_key(t, item));
            old.chains[i] = item->next;
            item->next = *chain;
            *chain = item;
        }
    }
    free(old.chains);
}

/* Adds an entry of zeros for a key that has none.
 * key: any bytes; copied.
 * Returns: the entry; NULL without memory, and then nothing has changed. */
static inline void *table_add(table *t, bytes key) {
    struct table_item *item = calloc(1, t->entry_size + key.len);
    if (!item) {
        return NULL;
    }
    if (key.len > 0) {
        memcpy((char *)item + t->entry_size, key.data, key.len);
    }
    item->key_len = key.len;
    if (2 * ++t->count > t->mask + 1) {
        table_grow(t);
    }
    struct table_item **chain = table_chain(t, key);
    item->next = *chain;
    *chain = item;
    return item;
}

/* Takes the entry that a link leads to out of its chain. */
static inline void *table_unlink(table *t, struct table_item **link) {
    struct table_item *item = *link;
    if (item) {
        *link = item->next;
        t->count--;
    }
    return item;
}

/* Takes the entry of a key out of the table.
 * Returns: the entry, for the caller to free; NULL if there is none. */
static inline void *table_take(table *t, bytes key) {
    return table_unlink(t, table_link(t, key));
}

/* Takes any entry out.
 * from: in and out; 0 starts. Nothing may be added on the way.
 * Returns: the entry, for the caller to free; NULL if there is none left. */
static inline void *table_take_any(table *t, size_t *from) {
    while (t->chains && *from <= t->mask && !t->chains[*from]) {
        ++*from;
    }
    bool found = t->chains && *from <= t->mask;
    return found ? table_unlink(t, &t->chains[*from]) : NULL;
}

/* Ends a table, which must be empty by now. */
static inline void table_clear(table *t) {
    free(t->chains);
}

#endif
