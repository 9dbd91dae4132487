/* dict: Robin Hood hashing (Celis, Larson and Munro, 1985). An entry that is
 * far from home takes the place of one that is nearer to its own, so all walks
 * are about equally long, and a miss may stop as soon as it has walked further
 * than the entry that it meets has. */
#include "dict.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { FIRST_PLACES = 8 };

/* key == NULL: an empty place. The empty key has a block of its own, too. */
struct place {
    char *key;
    size_t key_len;
    uint64_t hash;
    void *value;
};

struct dict {
    struct place *places;
    size_t mask;
    size_t count;
    uint64_t seed;
    void (*destroy_value)(void *value);
};

static uint64_t hash_of(const dict *d, bytes key) {
    return XXH3_64bits_withSeed(key.data, key.len, d->seed);
}

static bytes key_of(const struct place *p) {
    return (bytes){p->key, p->key_len};
}

/* How far the entry in place i stands from its home. */
static size_t from_home(const dict *d, size_t i) {
    return (i - d->places[i].hash) & d->mask;
}

static struct place *find(const dict *d, bytes key) {
    uint64_t hash = hash_of(d, key);
    size_t i = hash & d->mask;
    for (size_t walked = 0; d->places[i].key; walked++) {
        struct place *p = &d->places[i];
        if (from_home(d, i) < walked) {
            return NULL; /* the key would have taken this place */
        }
        if (p->hash == hash && bytes_equal(key_of(p), key)) {
            return p;
        }
        i = (i + 1) & d->mask;
    }
    return NULL;
}

static void put(dict *d, struct place entry) {
    size_t i = entry.hash & d->mask;
    for (size_t walked = 0; d->places[i].key; walked++) {
        if (from_home(d, i) < walked) {
            struct place nearer = d->places[i];
            walked = from_home(d, i);
            d->places[i] = entry;
            entry = nearer;
        }
        i = (i + 1) & d->mask;
    }
    d->places[i] = entry;
}

static bool resize(dict *d, size_t places) {
    dict old = *d;
    struct place *made = calloc(places, sizeof *made);
    if (!made) {
        return false;
    }
    d->places = made;
    d->mask = places - 1;
    for (size_t i = 0; old.places && i <= old.mask; i++) {
        if (old.places[i].key) {
            put(d, old.places[i]);
        }
    }
    free(old.places);
    return true;
}

dict *dict_create(void (*destroy_value)(void *value), uint64_t seed) {
    dict *d = calloc(1, sizeof *d);
    if (!d || !resize(d, FIRST_PLACES)) {
        free(d);
        return NULL;
    }
    d->seed = seed;
    d->destroy_value = destroy_value;
    return d;
}

static status insert(dict *d, bytes key, void *value) {
    bool full = (d->count + 1) * 4 > (d->mask + 1) * 3;
    char *copy = malloc(key.len + 1); /* malloc(0) may return NULL */
    if (!copy || (full && !resize(d, (d->mask + 1) * 2))) {
        free(copy);
        return STATUS_NO_MEMORY;
    }
    if (key.len > 0) {
        memcpy(copy, key.data, key.len);
    }
    put(d, (struct place){copy, key.len, hash_of(d, key), value});
    d->count++;
    return STATUS_OK;
}

status dict_set(dict *d, bytes key, void *value) {
    struct place *p = find(d, key);
    if (!p) {
        return insert(d, key, value);
    }
    if (d->destroy_value) {
        d->destroy_value(p->value);
    }
    p->value = value;
    return STATUS_OK;
}

bool dict_get(const dict *d, bytes key, void **value) {
    const struct place *p = find(d, key);
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

/* All entries up to the next that is at home, or to a gap, move up by one. */
bool dict_take(dict *d, bytes key, void **value) {
    struct place *p = find(d, key);
    if (!p) {
        return false;
    }
    *value = p->value;
    free(p->key);
    size_t hole = (size_t)(p - d->places);
    size_t i = (hole + 1) & d->mask;
    while (d->places[i].key && from_home(d, i) > 0) {
        d->places[hole] = d->places[i];
        hole = i;
        i = (i + 1) & d->mask;
    }
    d->places[hole].key = NULL;
    d->count--;
    return true;
}

size_t dict_count(const dict *d) {
    return d->count;
}

bool dict_next(const dict *d, size_t *cursor, bytes *key, void **value) {
    while (*cursor <= d->mask && !d->places[*cursor].key) {
        ++*cursor;
    }
    if (*cursor > d->mask) {
        return false;
    }
    *key = key_of(&d->places[*cursor]);
    *value = d->places[*cursor].value;
    ++*cursor;
    return true;
}

void dict_destroy(dict *d) {
    if (!d) {
        return;
    }
    for (size_t i = 0; i <= d->mask; i++) {
        if (d->places[i].key) {
            if (d->destroy_value) {
                d->destroy_value(d->places[i].value);
            }
            free(d->places[i].key);
        }
    }
    free(d->places);
    free(d);
}
