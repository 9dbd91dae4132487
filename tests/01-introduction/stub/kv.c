/* kv: an array of key-value pairs that grows, searched from the front. */
#include "kv.h"

#include "common/todo.h"

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

kv *kv_create(void) {
    TODO("1.1: allocate the cache and room for its first entries");
}

status kv_set(kv *cache, const char *key, const char *value) {
    TODO("1.2: copy key and value, and put the copies into the next entry");
}

const char *kv_get(const kv *cache, const char *key) {
    TODO("1.3: compare the key with each entry's, and lend that value");
}

size_t kv_count(const kv *cache) {
    TODO("1.1: return the number of entries in use");
}

void kv_destroy(kv *cache) {
    TODO("1.1: free all that was allocated; NULL is fine");
}
