/* Demo of lesson 1: the slide's program, in C. */
#include "kv.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Prints the value of a key. Returns: false when the key is not there. */
static bool show(const kv *cache, const char *key) {
    const char *value = kv_get(cache, key);
    if (!value) {
        fprintf(stderr, "%s is not in the cache\n", key);
        return false;
    }
    return puts(value) != EOF;
}

int main(void) {
    kv *cache = kv_create();
    bool ok = cache && kv_set(cache, "key1", "value1") == STATUS_OK
              && kv_set(cache, "key2", "value2") == STATUS_OK
              && show(cache, "key1") && show(cache, "key2");
    kv_destroy(cache);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
