/* kv as a sorted array with binary search; key and value lie in one block. */
#include "kv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct kv {
    char **pairs; /* each a block: the key, its zero byte, the value */
    size_t count;
};

static char *make_pair(const char *key, const char *value) {
    size_t key_size = strlen(key) + 1, value_size = strlen(value) + 1;
    char *pair = malloc(key_size + value_size);
    if (pair) {
        memcpy(pair, key, key_size);
        memcpy(pair + key_size, value, value_size);
    }
    return pair;
}

/* Returns: whether the key is there; *at is its place, or where it belongs. */
static bool find(const kv *cache, const char *key, size_t *at) {
    size_t low = 0, high = cache->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(cache->pairs[middle], key);
        if (order == 0) {
            *at = middle;
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *at = low;
    return false;
}

kv *kv_create(void) {
    return calloc(1, sizeof(kv));
}

status kv_set(kv *cache, const char *key, const char *value) {
    size_t at;
    bool there = find(cache, key, &at);
    char *pair = make_pair(key, value);
    if (!pair) {
        return STATUS_NO_MEMORY;
    }
    if (there) {
        free(cache->pairs[at]);
        cache->pairs[at] = pair;
        return STATUS_OK;
    }
    char **pairs = realloc(cache->pairs, (cache->count + 1) * sizeof *pairs);
    if (!pairs) {
        free(pair);
        return STATUS_NO_MEMORY;
    }
    memmove(pairs + at + 1, pairs + at, (cache->count - at) * sizeof *pairs);
    pairs[at] = pair;
    cache->pairs = pairs;
    cache->count++;
    return STATUS_OK;
}

const char *kv_get(const kv *cache, const char *key) {
    size_t at;
    if (!find(cache, key, &at)) {
        return NULL;
    }
    const char *pair = cache->pairs[at];
    return pair + strlen(pair) + 1;
}

size_t kv_count(const kv *cache) {
    return cache->count;
}

void kv_destroy(kv *cache) {
    if (!cache) {
        return;
    }
    for (size_t i = 0; i < cache->count; i++) {
        free(cache->pairs[i]);
    }
    free(cache->pairs);
    free(cache);
}
