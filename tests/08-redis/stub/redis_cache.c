/* redis_cache: one socket that never blocks, and a deadline for each call. */
#include "redis_cache.h"

#include "common/clock.h"
#include "common/todo.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    UNSENT_MAX = 64 << 10, /* bytes that wait; then no command is added */
    HEAD_MAX = 24,         /* bytes of "*3\r\n" or "$5\r\n", at most */
    DIGITS = 20,           /* of the largest number */
    ERROR_SIZE = 320,      /* of the line about a failure */
    PORT_MAX = 65535,
};

struct redis_cache {
    redisContext *context; /* NULL: no connection */
    redisReply *lent;      /* the last answer */
    char *out;             /* what is not sent yet */
    size_t out_len, out_room;
    int64_t deadline_ms; /* of the call that is running */
    int timeout_ms;
    char *address; /* as it was given */
    char *host;
    int port; /* 0: the address is the path of a unix socket */
    char error[ERROR_SIZE];
};

/* What redis_cache_get_many or redis_cache_set_many was given. */
struct batch {
    const bytes *keys;
    const bytes *values; /* NULL: these are gets */
    size_t n;
    void (*found)(void *context, size_t i, bytes value);
    void *context;
    status *results;
};

/* -- the cache ------------------------------------------------------------ */

status redis_cache_create(const char *address, int timeout_ms,
                          redis_cache **out) {
    TODO("8.1: take the address apart, copy it");
}

status redis_cache_connect(redis_cache *r) {
    TODO("8.2: send PING, judge the answer");
}

const char *redis_cache_error(const redis_cache *r) {
    TODO("8.2: the line of the last call");
}

status redis_cache_set(redis_cache *r, bytes key, bytes value) {
    TODO("8.3: send SET, expect a status");
}

status redis_cache_get(redis_cache *r, bytes key, bytes *value) {
    TODO("8.3: send GET, expect a string");
}

status redis_cache_exists(redis_cache *r, bytes key) {
    TODO("8.4: send EXISTS, expect a number");
}

status redis_cache_delete(redis_cache *r, bytes key) {
    TODO("8.4: send DEL, expect a number");
}

status redis_cache_set_for(redis_cache *r, bytes key, bytes value,
                           int64_t ttl_ms) {
    TODO("8.5: SET with PX, unless it is for ever");
}

status redis_cache_remaining_ms(redis_cache *r, bytes key,
                                int64_t *remaining_ms) {
    TODO("8.5: send PTTL, expect a number");
}

status redis_cache_get_many(redis_cache *r, const bytes *keys, size_t n,
                            void (*found)(void *context, size_t i, bytes value),
                            void *context, status *results) {
    TODO("8.7: many commands on their way at once");
}

status redis_cache_set_many(redis_cache *r, const bytes *keys,
                            const bytes *values, size_t n, status *results) {
    TODO("8.8: the same for SET");
}

void redis_cache_destroy(redis_cache *r) {
    TODO("8.1: end the connection, free everything");
}
