/* The slide's program: a cache of two entries meets a third key. */
#include "lru.h"

#include <stdio.h>
#include <stdlib.h>

/* The slide's keys and values are integers. A key is the bytes of one; a value
 * is a pointer to one, which stays with us. */
static int numbers[] = {0, 1, 2, 3};

static void put(lru *cache, int key, int *value) {
    status s = lru_set(cache, (bytes){&key, sizeof key}, value);
    if (s != STATUS_OK) {
        fprintf(stderr, "put %d: %s\n", key, status_name(s));
        exit(EXIT_FAILURE);
    }
}

/* The slide's get: -1 for a miss. Only here, at the very edge, where the
 * program knows that none of its values is -1. */
static int get(lru *cache, int key) {
    void *value;
    bool hit = lru_get(cache, (bytes){&key, sizeof key}, &value);
    return hit ? *(int *)value : -1;
}

int main(void) {
    lru *cache;
    status s = lru_create(2, NULL, 42, &cache);
    if (s != STATUS_OK) {
        fprintf(stderr, "create: %s\n", status_name(s));
        return EXIT_FAILURE;
    }
    put(cache, 1, &numbers[1]);
    put(cache, 2, &numbers[2]);
    printf("%d\n", get(cache, 1));
    put(cache, 3, &numbers[3]);
    printf("%d\n", get(cache, 2));
    lru_destroy(cache);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
