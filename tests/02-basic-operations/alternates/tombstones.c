/* dict: open addressing with tombstones. A deleted place stays marked until
 * the table is rebuilt, at the same size if the entries alone would fit. */
#include "dict.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { FIRST_PLACES = 8 };

enum use { EMPTY, IN_USE, DELETED };

struct place {
    enum use use;
    uint64_t hash;
    void *value;
    char *key;
    size_t key_len;
};

struct dict {
    struct place *places;
    size_t mask;
    size_t count;
    size_t tombstones;
    uint64_t seed;
    void (*destroy_value)(void *value);
};

static uint64_t hash_of(const dict *d, bytes key) {
    return XXH3_64bits_withSeed(key.data, key.len, d->seed);
}

static bytes key_of(const struct place *p) {
    return (bytes){p->key, p->key_len};
}

/* The place of the key; NULL: it is not there. A quarter of the places is
 * EMPTY at least, so every walk ends. */
static struct place *find(const dict *d, bytes key, uint64_t hash) {
    size_t i = hash & d->mask;
    for (; d->places[i].use != EMPTY; i = (i + 1) & d->mask) {
        struct place *p = &d->places[i];
        if (p->use == IN_USE && p->hash == hash
            && bytes_equal(key_of(p), key)) {
            return p;
        }
    }
    return NULL;
}

/* The first place from home on that a new entry may take. */
static struct place *free_place(const dict *d, uint64_t hash) {
    size_t i = hash & d->mask;
    while (d->places[i].use == IN_USE) {
        i = (i + 1) & d->mask;
    }
    return &d->places[i];
}

/* Moves the entries to a table of `places`, and leaves the tombstones. */
static bool rebuild(dict *d, size_t places) {
    dict old = *d;
    d->places = calloc(places, sizeof *d->places);
    if (!d->places) {
        d->places = old.places;
        return false;
    }
    d->mask = places - 1;
    d->tombstones = 0;
    for (size_t i = 0; old.places && i <= old.mask; i++) {
        if (old.places[i].use == IN_USE) {
            *free_place(d, old.places[i].hash) = old.places[i];
        }
    }
    free(old.places);
    return true;
}

/* Sees to it that one more entry leaves a quarter of the places empty. */
static bool make_room(dict *d) {
    size_t places = d->mask + 1;
    if ((d->count + d->tombstones + 1) * 4 <= places * 3) {
        return true;
    }
    return rebuild(d, (d->count + 1) * 2 > places ? places * 2 : places);
}

dict *dict_create(void (*destroy_value)(void *value), uint64_t seed) {
    dict *d = calloc(1, sizeof *d);
    if (!d || !rebuild(d, FIRST_PLACES)) {
        free(d);
        return NULL;
    }
    d->seed = seed;
    d->destroy_value = destroy_value;
    return d;
}

static status insert(dict *d, bytes key, uint64_t hash, void *value) {
    char *copy = malloc(key.len + 1); /* malloc(0) may return NULL */
    if (!copy || !make_room(d)) {
        free(copy);
        return STATUS_NO_MEMORY;
    }
    if (key.len > 0) {
        memcpy(copy, key.data, key.len);
    }
    struct place *p = free_place(d, hash);
    d->tombstones -= p->use == DELETED;
    *p = (struct place){IN_USE, hash, value, copy, key.len};
    d->count++;
    return STATUS_OK;
}

status dict_set(dict *d, bytes key, void *value) {
    uint64_t hash = hash_of(d, key);
    struct place *p = find(d, key, hash);
    if (!p) {
        return insert(d, key, hash, value);
    }
    if (d->destroy_value) {
        d->destroy_value(p->value);
    }
    p->value = value;
    return STATUS_OK;
}

bool dict_get(const dict *d, bytes key, void **value) {
    const struct place *p = find(d, key, hash_of(d, key));
    if (p && value) {
        *value = p->value;
    }
    return p != NULL;
}

bool dict_delete(dict *d, bytes key) {
    void *value;
    bool found = dict_take(d, key, &value);
    if (found && d->destroy_value) {
        d->destroy_value(value);
    }
    return found;
}

bool dict_take(dict *d, bytes key, void **value) {
    struct place *p = find(d, key, hash_of(d, key));
    if (!p) {
        return false;
    }
    *value = p->value;
    free(p->key);
    p->use = DELETED;
    d->tombstones++;
    d->count--;
    return true;
}

size_t dict_count(const dict *d) {
    return d->count;
}

bool dict_next(const dict *d, size_t *cursor, bytes *key, void **value) {
    while (*cursor <= d->mask && d->places[*cursor].use != IN_USE) {
        ++*cursor;
    }
    if (*cursor > d->mask) {
        return false;
    }
    const struct place *p = &d->places[*cursor];
    *key = key_of(p);
    *value = p->value;
    ++*cursor;
    return true;
}

void dict_destroy(dict *d) {
    if (!d) {
        return;
    }
    for (size_t i = 0; i <= d->mask; i++) {
        if (d->places[i].use == IN_USE) {
            if (d->destroy_value) {
                d->destroy_value(d->places[i].value);
            }
            free(d->places[i].key);
        }
    }
    free(d->places);
    free(d);
}
