/* Demo of lesson 2: the slide's program, in C. */
#include "dict.h"

#include <stdio.h>
#include <stdlib.h>

/* The values are texts that live as long as the program, so the dict need not
 * destroy them. */
static bool set(dict *cache, const char *key, char *value) {
    status s = dict_set(cache, bytes_of(key), value);
    if (s != STATUS_OK) {
        fprintf(stderr, "set %s: %s\n", key, status_name(s));
    }
    return s == STATUS_OK;
}

static bool show(const dict *cache, const char *key) {
    void *value;
    if (!dict_get(cache, bytes_of(key), &value)) {
        fprintf(stderr, "%s is not in the cache\n", key);
        return false;
    }
    return puts(value) != EOF;
}

static bool show_whether_in(const dict *cache, const char *key) {
    bool there = dict_get(cache, bytes_of(key), NULL);
    return puts(there ? "True" : "False") != EOF;
}

int main(void) {
    dict *cache = dict_create(NULL, 42);
    bool ok = cache && set(cache, "name", "Alice") && show(cache, "name")
              && set(cache, "name", "Bob") && show(cache, "name")
              && dict_delete(cache, bytes_of("name"))
              && show_whether_in(cache, "name");
    dict_destroy(cache);
    return ok && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
