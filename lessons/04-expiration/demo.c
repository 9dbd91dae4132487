/* Demo of lesson 4: the slide's program, in C. It does not sleep: it turns its
 * clock on by six seconds. */
#include "ttl.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECOND = 1000 };

/* Prints the value of a key as Python would. */
static bool show(ttl *cache, const char *key) {
    void *value = "None";
    ttl_get(cache, bytes_of(key), &value);
    return puts(value) != EOF;
}

int main(void) {
    int64_t now_ms = 0;
    ttl *cache = NULL;
    bool ok = ttl_create(5 * SECOND, ms_clock_frozen(&now_ms), NULL, 0, &cache)
                  == STATUS_OK
              && ttl_set(cache, bytes_of("key"), "value") == STATUS_OK
              && show(cache, "key");
    now_ms += 6 * SECOND;
    ok = ok && show(cache, "key");
    ttl_destroy(cache);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
