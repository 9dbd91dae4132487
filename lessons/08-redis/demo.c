/* The slide's program: a user for ever, and a session for a moment. It starts a
 * server of its own; REDIS=localhost:6379 in the environment names another. */
#include "redis_cache.h"

#include "support/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TIMEOUT_MS = 1000, SESSION_MS = 200 };

static void must(const redis_cache *cache, status s, const char *did) {
    if (s != STATUS_OK) {
        fprintf(stderr, "%s: %s: %s\n", did, status_name(s),
                redis_cache_error(cache));
        exit(EXIT_FAILURE);
    }
}

/* Whether the key is there, as Redis says it: 1 or 0. */
static void print_exists(redis_cache *cache, bytes key) {
    status s = redis_cache_exists(cache, key);
    if (s != STATUS_MISS) {
        must(cache, s, "exists");
    }
    printf("%d\n", s == STATUS_OK);
}

static void play(redis_cache *cache) {
    bytes user = bytes_of("user:1"), session = bytes_of("session:123"), name;
    must(cache, redis_cache_set(cache, user, bytes_of("Alice")), "set");
    must(cache, redis_cache_get(cache, user, &name), "get");
    printf("%.*s\n", (int)name.len, (const char *)name.data);
    must(cache,
         redis_cache_set_for(cache, session, bytes_of("active"), SESSION_MS),
         "set for a moment");
    print_exists(cache, session);
    /* The slide sleeps for six seconds; ours need not be so long. */
    struct timespec longer = {.tv_nsec = (SESSION_MS + 50) * 1000000};
    nanosleep(&longer, NULL);
    print_exists(cache, session);
}

int main(void) {
    const char *address = getenv("REDIS");
    redis *server = address ? NULL : redis_start();
    const char *where = address ? address : redis_path(server);
    redis_cache *cache;
    if (redis_cache_create(where, TIMEOUT_MS, &cache) != STATUS_OK) {
        fprintf(stderr, "no cache for the address %s\n", where);
        return EXIT_FAILURE;
    }
    play(cache);
    redis_cache_destroy(cache);
    if (server) {
        redis_stop(server);
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
