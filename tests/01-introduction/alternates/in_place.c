/* kv in an array that starts with no room at all; a value that fits is
 * written over the old one. */
#include "kv.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    char *key, *value;
    size_t room; /* bytes in the value's block */
};

struct kv {
    size_t count, capacity;
    struct entry *entries;
};

static struct entry *find(const kv *cache, const char *key) {
    size_t i = 0;
    while (i < cache->count && strcmp(cache->entries[i].key, key) != 0) {
        i++;
    }
    return i < cache->count ? &cache->entries[i] : NULL;
}

static status replace(struct entry *entry, const char *value) {
    size_t size = strlen(value) + 1;
    if (size <= entry->room) {
        memmove(entry->value, value, size); /* may be the same text */
        return STATUS_OK;
    }
    char *copy = strdup(value);
    if (!copy) {
        return STATUS_NO_MEMORY;
    }
    free(entry->value);
    entry->value = copy;
    entry->room = size;
    return STATUS_OK;
}

static status append(kv *cache, const char *key, const char *value) {
    if (cache->count == cache->capacity) {
        size_t capacity = cache->capacity * 2 + 1;
        struct entry *entries =
            realloc(cache->entries, capacity * sizeof *entries);
        if (!entries) {
            return STATUS_NO_MEMORY;
        }
        cache->entries = entries;
        cache->capacity = capacity;
    }
    struct entry entry = {strdup(key), strdup(value), strlen(value) + 1};
    if (!entry.key || !entry.value) {
        free(entry.key);
        free(entry.value);
        return STATUS_NO_MEMORY;
    }
    cache->entries[cache->count++] = entry;
    return STATUS_OK;
}

kv *kv_create(void) {
    return calloc(1, sizeof(kv));
}

status kv_set(kv *cache, const char *key, const char *value) {
    struct entry *entry = find(cache, key);
    return entry ? replace(entry, value) : append(cache, key, value);
}

const char *kv_get(const kv *cache, const char *key) {
    const struct entry *entry = find(cache, key);
    return entry ? entry->value : NULL;
}

size_t kv_count(const kv *cache) {
    return cache->count;
}

void kv_destroy(kv *cache) {
    for (size_t i = 0; cache && i < cache->count; i++) {
        free(cache->entries[i].key);
        free(cache->entries[i].value);
    }
    free(cache ? cache->entries : NULL);
    free(cache);
}
