/* Demo of lesson 14: the slide's program, in C.
 *
 * expensive_operation takes two seconds when it is called, and none when the
 * cache has the answer: the first and the third line come late. */
#include "cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BUDGET_BYTES = 1 << 20, SHARDS = 4, TEXT_LEN = 32 };

/* What one call works on: its arguments, and room for its answer. */
struct call {
    int x, y;
    char answer[TEXT_LEN];
};

static status expensive_operation(void *context, bytes key, bytes *value) {
    (void)key;
    struct call *c = context;
    nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
    snprintf(c->answer, sizeof c->answer, "%d", c->x + c->y);
    *value = bytes_of(c->answer);
    return STATUS_OK;
}

/* Prints x + y. The arguments are written as Python's json.dumps does: those
 * by their place, then those by their name. */
static bool print_sum(cache *c, int x, int y) {
    char arguments[TEXT_LEN], sum[TEXT_LEN];
    size_t len = 0;
    struct call call = {.x = x, .y = y};
    snprintf(arguments, sizeof arguments, "[[%d, %d], {}]", x, y);
    status s =
        cache_with_json(c, bytes_of("expensive_operation"), bytes_of(arguments),
                        expensive_operation, &call, 0, sum, sizeof sum, &len);
    return s == STATUS_OK && printf("%.*s\n", (int)len, sum) > 0;
}

int main(void) {
    cache *c = NULL;
    bool ok = cache_create(BUDGET_BYTES, SHARDS, NULL, &c) == STATUS_OK
              && print_sum(c, 2, 3) && print_sum(c, 2, 3) && print_sum(c, 3, 4)
              && print_sum(c, 3, 4);
    cache_destroy(c);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
