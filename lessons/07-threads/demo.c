/* Demo of lesson 7: the slide's program, in C. */
#include "shared.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 5 };

struct worker {
    shared *cache;
    char key[8], value[8];
    char got[8]; /* what this thread read, for main to print */
    bool ok;
};

static void *work(void *argument) {
    struct worker *w = argument;
    bytes key = bytes_of(w->key);
    size_t len = 0;
    w->ok = shared_set(w->cache, key, bytes_of(w->value)) == STATUS_OK
            && shared_get(w->cache, key, w->got, sizeof w->got - 1, &len)
                   == STATUS_OK;
    w->got[len] = '\0';
    return NULL;
}

/* The slide prints from within the threads, in whatever order they run; here
 * each is joined first, so that the lines come in order. */
static bool run(shared *cache) {
    struct worker workers[WORKERS] = {0};
    pthread_t threads[WORKERS];
    int started = 0;
    for (int i = 0; i < WORKERS; i++) {
        struct worker *w = &workers[i];
        w->cache = cache;
        snprintf(w->key, sizeof w->key, "key%d", i);
        snprintf(w->value, sizeof w->value, "value%d", i);
        if (pthread_create(&threads[i], NULL, work, w) != 0) {
            break;
        }
        started++;
    }
    bool ok = started == WORKERS;
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        ok = ok && workers[i].ok
             && printf("Thread %d: %s\n", i, workers[i].got) > 0;
    }
    return ok;
}

int main(void) {
    shared *cache = NULL;
    bool ok = shared_create(16, 4, 42, &cache) == STATUS_OK && run(cache);
    shared_destroy(cache);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
