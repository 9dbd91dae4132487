/* dict: open addressing with linear probing and stored hashes. */
#include "dict.h"

#include "common/todo.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { FIRST_PLACES = 8, NEAR_BYTES = 16 };

/* A short key lies in its slot: one trip to memory finds key and value. */
struct slot {
    void *value;
    size_t key_len;
    union {
        char near[NEAR_BYTES]; /* key_len <= NEAR_BYTES */
        char *far;             /* longer: a block of its own */
    };
};

/* The hashes stand apart from the slots: a probe run reads 16 of them per
 * line of the processor's cache, and a miss never touches a slot. */
struct dict {
    uint32_t *hashes; /* 0: the place is empty */
    struct slot *slots;
    size_t mask; /* places - 1; the number of places is a power of two */
    size_t count;
    uint64_t seed;
    void (*destroy_value)(void *value);
};

dict *dict_create(void (*destroy_value)(void *value), uint64_t seed) {
    TODO("2.1: allocate the dict and its first places, all empty");
}

status dict_set(dict *d, bytes key, void *value) {
    TODO("2.2: hash the key, find its place, put key and value there");
}

bool dict_get(const dict *d, bytes key, void **value) {
    TODO("2.3: walk from the home place until the key or an empty place");
}

bool dict_delete(dict *d, bytes key) {
    TODO("2.6: remove the key, destroy its value, keep the run whole");
}

bool dict_take(dict *d, bytes key, void **value) {
    TODO("2.6: remove the key, hand its value over, keep the run whole");
}

size_t dict_count(const dict *d) {
    TODO("2.1: return the number of entries");
}

bool dict_next(const dict *d, size_t *cursor, bytes *key, void **value) {
    TODO("2.7: step from the cursor to the next place in use");
}

void dict_destroy(dict *d) {
    TODO("2.1: free all that was allocated; from 2.2 on, the values too");
}
