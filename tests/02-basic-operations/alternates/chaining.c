/* dict: separate chaining. The entries stand side by side in an array; each
 * bucket holds the number of its first entry, each entry that of the next. */
#include "dict.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { FIRST_PLACES = 8 };

#define END SIZE_MAX

struct entry {
    size_t next; /* in the same bucket; END: none */
    uint64_t hash;
    void *value;
    char *key;
    size_t key_len;
};

struct dict {
    size_t *buckets; /* as many as entries have room: a power of two */
    struct entry *entries;
    size_t mask;
    size_t count;
    uint64_t seed;
    void (*destroy_value)(void *value);
};

static uint64_t hash_of(const dict *d, bytes key) {
    return XXH3_64bits_withSeed(key.data, key.len, d->seed);
}

static bytes key_of(const struct entry *e) {
    return (bytes){e->key, e->key_len};
}

/* The link (a bucket or an entry's next) that leads to the key, or ends its
 * chain. */
static size_t *link_to(const dict *d, bytes key, uint64_t hash) {
    size_t *link = &d->buckets[hash & d->mask];
    while (*link != END
           && !(d->entries[*link].hash == hash
                && bytes_equal(key_of(&d->entries[*link]), key))) {
        link = &d->entries[*link].next;
    }
    return link;
}

/* The link that leads to this very entry. */
static size_t *link_to_entry(const dict *d, size_t n) {
    size_t *link = &d->buckets[d->entries[n].hash & d->mask];
    while (*link != n) {
        link = &d->entries[*link].next;
    }
    return link;
}

static void link_in(dict *d, size_t n) {
    size_t *bucket = &d->buckets[d->entries[n].hash & d->mask];
    d->entries[n].next = *bucket;
    *bucket = n;
}

static bool resize(dict *d, size_t places) {
    size_t *buckets = malloc(places * sizeof *buckets);
    struct entry *entries = malloc(places * sizeof *entries);
    if (!buckets || !entries) {
        free(buckets);
        free(entries);
        return false;
    }
    memset(buckets, 0xff, places * sizeof *buckets); /* END in each */
    if (d->count > 0) {
        memcpy(entries, d->entries, d->count * sizeof *entries);
    }
    free(d->buckets);
    free(d->entries);
    d->buckets = buckets;
    d->entries = entries;
    d->mask = places - 1;
    for (size_t n = 0; n < d->count; n++) {
        link_in(d, n);
    }
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

static status insert(dict *d, bytes key, uint64_t hash, void *value) {
    char *copy = malloc(key.len + 1); /* malloc(0) may return NULL */
    bool full = d->count > d->mask;
    if (!copy || (full && !resize(d, (d->mask + 1) * 2))) {
        free(copy);
        return STATUS_NO_MEMORY;
    }
    if (key.len > 0) {
        memcpy(copy, key.data, key.len);
    }
    d->entries[d->count] = (struct entry){END, hash, value, copy, key.len};
    link_in(d, d->count++);
    return STATUS_OK;
}

status dict_set(dict *d, bytes key, void *value) {
    uint64_t hash = hash_of(d, key);
    size_t n = *link_to(d, key, hash);
    if (n == END) {
        return insert(d, key, hash, value);
    }
    if (d->destroy_value) {
        d->destroy_value(d->entries[n].value);
    }
    d->entries[n].value = value;
    return STATUS_OK;
}

bool dict_get(const dict *d, bytes key, void **value) {
    size_t n = *link_to(d, key, hash_of(d, key));
    if (n == END) {
        return false;
    }
    if (value) {
        *value = d->entries[n].value;
    }
    return true;
}

bool dict_delete(dict *d, bytes key) {
    void *value;
    bool found = dict_take(d, key, &value);
    if (found && d->destroy_value) {
        d->destroy_value(value);
    }
    return found;
}

/* The last entry moves into the gap, so that the array stays dense. */
bool dict_take(dict *d, bytes key, void **value) {
    size_t *link = link_to(d, key, hash_of(d, key));
    size_t n = *link;
    if (n == END) {
        return false;
    }
    *value = d->entries[n].value;
    free(d->entries[n].key);
    *link = d->entries[n].next;
    size_t last = --d->count;
    if (n != last) {
        *link_to_entry(d, last) = n;
        d->entries[n] = d->entries[last];
    }
    return true;
}

size_t dict_count(const dict *d) {
    return d->count;
}

bool dict_next(const dict *d, size_t *cursor, bytes *key, void **value) {
    if (*cursor == d->count) {
        return false;
    }
    *key = key_of(&d->entries[*cursor]);
    *value = d->entries[*cursor].value;
    ++*cursor;
    return true;
}

void dict_destroy(dict *d) {
    if (!d) {
        return;
    }
    for (size_t n = 0; n < d->count; n++) {
        if (d->destroy_value) {
            d->destroy_value(d->entries[n].value);
        }
        free(d->entries[n].key);
    }
    free(d->buckets);
    free(d->entries);
    free(d);
}
