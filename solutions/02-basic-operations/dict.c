/* dict: open addressing with linear probing and stored hashes. */
#include "dict.h"

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

/* 32 bits tell homes apart in tables of up to 2^32 places. A hash of 0 would
 * look like an empty place. */
static uint32_t hash_of(const dict *d, bytes key) {
    uint32_t hash = (uint32_t)XXH3_64bits_withSeed(key.data, key.len, d->seed);
    return hash != 0 ? hash : 1;
}

static bytes key_of(const struct slot *slot) {
    const char *data = slot->key_len <= NEAR_BYTES ? slot->near : slot->far;
    return (bytes){data, slot->key_len};
}

/* Looks for the key from its home on. Half of the places are empty, so every
 * walk ends. Returns: whether it is there; only then *at is its place. */
static bool find(const dict *d, bytes key, uint32_t hash, size_t *at) {
    for (size_t i = hash & d->mask; d->hashes[i] != 0; i = (i + 1) & d->mask) {
        if (d->hashes[i] == hash && bytes_equal(key_of(&d->slots[i]), key)) {
            *at = i;
            return true;
        }
    }
    return false;
}

/* Puts an entry that is not there yet into the first empty place from its
 * home on. */
static void place(dict *d, uint32_t hash, struct slot slot) {
    size_t i = hash & d->mask;
    while (d->hashes[i] != 0) {
        i = (i + 1) & d->mask;
    }
    d->hashes[i] = hash;
    d->slots[i] = slot;
}

/* Gives d a table of empty places instead of the one it has, if any.
 * Returns: false without memory; then d still has the old one. */
static bool new_table(dict *d, size_t places) {
    uint32_t *hashes = calloc(places, sizeof *hashes);
    struct slot *slots = malloc(places * sizeof *slots);
    if (!hashes || !slots) {
        free(hashes);
        free(slots);
        return false;
    }
    d->hashes = hashes;
    d->slots = slots;
    d->mask = places - 1;
    return true;
}

/* Moves all entries to a table of twice the size: each has a new home there.
 * Returns: false without memory; then nothing has changed. */
static bool grow(dict *d) {
    dict old = *d;
    if (!new_table(d, (old.mask + 1) * 2)) {
        return false;
    }
    for (size_t i = 0; i <= old.mask; i++) {
        if (old.hashes[i] != 0) {
            place(d, old.hashes[i], old.slots[i]);
        }
    }
    free(old.hashes);
    free(old.slots);
    return true;
}

static void end_value(const dict *d, void *value) {
    if (d->destroy_value) {
        d->destroy_value(value);
    }
}

static void free_key(struct slot *slot) {
    if (slot->key_len > NEAR_BYTES) {
        free(slot->far);
    }
}

/* Copies the key into the slot. Returns: false without memory. */
static bool copy_key(struct slot *slot, bytes key) {
    char *copy = slot->near;
    if (key.len > NEAR_BYTES) {
        copy = slot->far = malloc(key.len);
    }
    if (!copy) {
        return false;
    }
    if (key.len > 0) {
        memcpy(copy, key.data, key.len);
    }
    slot->key_len = key.len;
    return true;
}

static status insert(dict *d, bytes key, uint32_t hash, void *value) {
    struct slot slot = {.value = value};
    if (!copy_key(&slot, key)) {
        return STATUS_NO_MEMORY;
    }
    bool full = (d->count + 1) * 2 > d->mask + 1;
    if (full && !grow(d)) {
        free_key(&slot);
        return STATUS_NO_MEMORY;
    }
    place(d, hash, slot);
    d->count++;
    return STATUS_OK;
}

/* Empties a place without a tombstone: each entry further down the run moves
 * into the hole if the hole lies between its home and where it stands, and
 * leaves a new hole behind. The run ends at the next empty place. */
static void close_hole(dict *d, size_t hole) {
    for (size_t i = (hole + 1) & d->mask; d->hashes[i] != 0;
         i = (i + 1) & d->mask) {
        size_t from_home = (i - d->hashes[i]) & d->mask;
        size_t from_hole = (i - hole) & d->mask;
        if (from_home >= from_hole) {
            d->hashes[hole] = d->hashes[i];
            d->slots[hole] = d->slots[i];
            hole = i;
        }
    }
    d->hashes[hole] = 0;
}

dict *dict_create(void (*destroy_value)(void *value), uint64_t seed) {
    dict *d = calloc(1, sizeof *d);
    if (!d || !new_table(d, FIRST_PLACES)) {
        free(d);
        return NULL;
    }
    d->seed = seed;
    d->destroy_value = destroy_value;
    return d;
}

status dict_set(dict *d, bytes key, void *value) {
    uint32_t hash = hash_of(d, key);
    size_t at;
    if (!find(d, key, hash, &at)) {
        return insert(d, key, hash, value);
    }
    end_value(d, d->slots[at].value);
    d->slots[at].value = value;
    return STATUS_OK;
}

bool dict_get(const dict *d, bytes key, void **value) {
    size_t at;
    if (!find(d, key, hash_of(d, key), &at)) {
        return false;
    }
    if (value) {
        *value = d->slots[at].value;
    }
    return true;
}

bool dict_delete(dict *d, bytes key) {
    void *value;
    bool found = dict_take(d, key, &value);
    if (found) {
        end_value(d, value);
    }
    return found;
}

bool dict_take(dict *d, bytes key, void **value) {
    size_t at;
    if (!find(d, key, hash_of(d, key), &at)) {
        return false;
    }
    *value = d->slots[at].value;
    free_key(&d->slots[at]);
    close_hole(d, at);
    d->count--;
    return true;
}

size_t dict_count(const dict *d) {
    return d->count;
}

bool dict_next(const dict *d, size_t *cursor, bytes *key, void **value) {
    while (*cursor <= d->mask && d->hashes[*cursor] == 0) {
        ++*cursor;
    }
    if (*cursor > d->mask) {
        return false;
    }
    *key = key_of(&d->slots[*cursor]);
    *value = d->slots[*cursor].value;
    ++*cursor;
    return true;
}

void dict_destroy(dict *d) {
    if (!d) {
        return;
    }
    for (size_t i = 0; i <= d->mask; i++) {
        if (d->hashes[i] != 0) {
            end_value(d, d->slots[i].value);
            free_key(&d->slots[i]);
        }
    }
    free(d->hashes);
    free(d->slots);
    free(d);
}
