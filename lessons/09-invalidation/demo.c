/* The slide's program: one user, two versions, and an invalidation. */
#include "versioned.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct user {
    const char *name;
    int age;
} user;

static void must(status s, const char *did) {
    if (s != STATUS_OK) {
        fprintf(stderr, "%s: %s\n", did, status_name(s));
        exit(EXIT_FAILURE);
    }
}

static void print(versioned *cache, bytes key, uint64_t at_least) {
    void *value;
    if (versioned_get(cache, key, at_least, &value, NULL) == STATUS_OK) {
        const user *u = value;
        printf("{'name': '%s', 'age': %d}\n", u->name, u->age);
    } else {
        puts("None");
    }
}

int main(void) {
    versioned *cache;
    user at_30 = {"Alice", 30};
    user at_31 = {"Alice", 31};
    bytes key = bytes_of("user:1");
    must(versioned_create(NULL, 42, &cache), "create");
    must(versioned_set(cache, key, &at_30, 1), "set version 1");
    print(cache, key, 0);
    must(versioned_set(cache, key, &at_31, 2), "set version 2");
    print(cache, key, 0);
    /* The slide asks for "now", which is newer than anything set before. */
    print(cache, key, 3);
    must(versioned_invalidate(cache, key), "invalidate");
    print(cache, key, 0);
    versioned_destroy(cache);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
