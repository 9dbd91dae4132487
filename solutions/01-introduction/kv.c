/* kv: an array of key-value pairs that grows, searched from the front. */
#include "kv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 4 };

/* Both texts are the cache's own: each is a block that the cache frees. */
struct entry {
    char *key;
    char *value;
};

struct kv {
    struct entry *entries; /* the first `count` are in use */
    size_t count;
    size_t capacity; /* how many fit before the array must grow */
};

/* Returns: a copy that the caller frees; NULL without memory. */
static char *copy_text(const char *text) {
    size_t size = strlen(text) + 1; /* strlen leaves the zero byte out */
    char *copy = malloc(size);
    if (copy) {
        memcpy(copy, text, size);
    }
    return copy;
}

/* Returns: the entry with this key; NULL if there is none. */
static struct entry *find(const kv *cache, const char *key) {
    for (size_t i = 0; i < cache->count; i++) {
        if (strcmp(cache->entries[i].key, key) == 0) {
            return &cache->entries[i];
        }
    }
    return NULL;
}

/* Makes sure that one more entry fits. Doubling, so that n inserts move no
 * more than 2n entries in all. Returns: false without memory; then the old
 * array still stands, for a realloc that fails frees nothing. */
static bool make_room(kv *cache) {
    if (cache->count < cache->capacity) {
        return true;
    }
    size_t capacity = cache->capacity * 2;
    struct entry *entries = realloc(cache->entries, capacity * sizeof *entries);
    if (!entries) {
        return false;
    }
    cache->entries = entries;
    cache->capacity = capacity;
    return true;
}

/* All that can fail comes first; the cache changes only when it no longer
 * can. free(NULL) does nothing, so one path cleans up after any failure. */
static status add(kv *cache, const char *key, const char *value) {
    struct entry entry = {copy_text(key), copy_text(value)};
    if (!entry.key || !entry.value || !make_room(cache)) {
        free(entry.key);
        free(entry.value);
        return STATUS_NO_MEMORY;
    }
    cache->entries[cache->count] = entry;
    cache->count++;
    return STATUS_OK;
}

/* The copy comes before the free: it may fail, and the caller may have passed
 * the very value that is being replaced. */
static status replace(struct entry *entry, const char *value) {
    char *copy = copy_text(value);
    if (!copy) {
        return STATUS_NO_MEMORY;
    }
    free(entry->value);
    entry->value = copy;
    return STATUS_OK;
}

kv *kv_create(void) {
    kv *cache = malloc(sizeof *cache);
    struct entry *entries = malloc(FIRST_CAPACITY * sizeof *entries);
    if (!cache || !entries) {
        free(cache);
        free(entries);
        return NULL;
    }
    cache->entries = entries;
    cache->count = 0;
    cache->capacity = FIRST_CAPACITY;
    return cache;
}

status kv_set(kv *cache, const char *key, const char *value) {
    struct entry *entry = find(cache, key);
    return entry ? replace(entry, value) : add(cache, key, value);
}

const char *kv_get(const kv *cache, const char *key) {
    const struct entry *entry = find(cache, key);
    return entry ? entry->value : NULL;
}

size_t kv_count(const kv *cache) {
    return cache->count;
}

void kv_destroy(kv *cache) {
    if (!cache) {
        return;
    }
    for (size_t i = 0; i < cache->count; i++) {
        free(cache->entries[i].key);
        free(cache->entries[i].value);
    }
    free(cache->entries);
    free(cache);
}
