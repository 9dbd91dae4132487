/* Demo of lesson 3: the slide's program, in C. The source is a table that
 * stands for whatever is slow: a file, a query, a server. */
#include "readthrough.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *key, *value;
} table[] = {{"a", "1"}, {"b", "2"}, {"c", "3"}};

static status look_up(void *context, bytes key, readthrough_reply *reply) {
    (void)context;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (bytes_equal(key, bytes_of(table[i].key))) {
            return readthrough_give(reply, bytes_of(table[i].value));
        }
    }
    return STATUS_MISS;
}

static void print_bytes(bytes text) {
    printf("%.*s", (int)text.len, (const char *)text.data);
}

/* What Python prints for a dict. */
static void print_cache(const readthrough *cache) {
    size_t cursor = 0;
    bytes key;
    bytes value;
    const char *between = "";
    printf("{");
    while (readthrough_next(cache, &cursor, &key, &value)) {
        printf("%s'", between);
        print_bytes(key);
        printf("': ");
        print_bytes(value);
        between = ", ";
    }
    printf("}\n");
}

int main(void) {
    readthrough *cache;
    bytes value;
    if (readthrough_create(look_up, NULL, NULL, &cache) != STATUS_OK) {
        return EXIT_FAILURE;
    }
    bool ok = readthrough_get(cache, bytes_of("a"), &value) == STATUS_OK;
    if (ok) {
        print_bytes(value);
        printf("\n");
        print_cache(cache);
    }
    readthrough_destroy(cache);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
