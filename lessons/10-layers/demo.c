/* The slide's program: one user, found on level 1, then on level 2, then on
 * level 1 again. */
#include "layers.h"

#include <stdio.h>
#include <stdlib.h>

enum { SMALL = 100, LARGE = 10000 };

static void must(status s, const char *did) {
    if (s != STATUS_OK) {
        fprintf(stderr, "%s: %s\n", did, status_name(s));
        exit(EXIT_FAILURE);
    }
}

static void print(layers *cache, bytes key) {
    bytes value;
    size_t level;
    must(layers_get(cache, key, &value, &level), "get");
    printf("L%zu cache hit\n", level);
    printf("%.*s\n", (int)value.len, (const char *)value.data);
}

int main(void) {
    layer levels[2];
    layers *cache;
    bytes key = bytes_of("user:1");
    must(layer_lru(SMALL, 42, &levels[0]), "make level 1");
    must(layer_lru(LARGE, 42, &levels[1]), "make level 2");
    must(layers_create(levels, 2, NULL, &cache), "create");
    must(layers_set(cache, key, bytes_of("Alice")), "set");
    print(cache, key);
    /* Level 1 belongs to the cache now, but we still know its functions. */
    must(levels[0].clear(levels[0].context), "clear level 1");
    print(cache, key);
    print(cache, key);
    layers_destroy(cache);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
