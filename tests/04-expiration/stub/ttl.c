/* ttl: a dict of values, a dict of ends, and a heap of the ends by time. */
#include "ttl.h"

#include "common/todo.h"
#include "dict.h"

#include <stdlib.h>

/* Four children a node make the heap half as deep as two, and they lie side by
 * side in memory. */
enum { FIRST_TIMERS = 8, CHILDREN = 4 };

/* When a key expires. It has a copy of the key, for the way from the heap back
 * to the dicts. */
struct end {
    size_t place; /* of its timer in the heap */
    size_t key_len;
    char key[];
};

/* The time stands here and not in the end: comparing two timers follows no
 * pointer. */
struct timer {
    int64_t expires_ms;
    struct end *end;
};

struct ttl {
    dict *values;       /* every key, to its value */
    dict *ends;         /* keys that will expire, to their struct end */
    struct timer *heap; /* no timer is due before its parent */
    size_t timers;
    size_t capacity;
    int64_t default_ttl_ms;
    ms_clock clock;
    unsigned jitter_percent;
    uint64_t random;
};

status ttl_create(int64_t default_ttl_ms, ms_clock clock,
                  void (*destroy_value)(void *value), uint64_t seed,
                  ttl **out) {
    TODO("4.1: refuse what is invalid, make the two dicts and an empty heap");
}

status ttl_jitter(ttl *t, unsigned percent) {
    TODO("4.7: refuse 100 percent and more, keep the share for later sets");
}

status ttl_set(ttl *t, bytes key, void *value) {
    TODO("4.2: set for the default ttl");
}

status ttl_set_for(ttl *t, bytes key, void *value, int64_t ttl_ms) {
    TODO("4.2: keep the value, and when its key expires");
}

bool ttl_get(ttl *t, bytes key, void **value) {
    TODO("4.2: look the value up; from 4.3 on, drop it if it has expired");
}

bool ttl_remaining_ms(ttl *t, bytes key, int64_t *remaining_ms) {
    TODO("4.4: the time from now to the end of the entry");
}

bool ttl_delete(ttl *t, bytes key) {
    TODO("4.5: remove the end, if there is one, and the value");
}

size_t ttl_sweep(ttl *t, size_t max) {
    TODO("4.6: while one is due, and fewer than max are freed, free one");
}

size_t ttl_count(const ttl *t) {
    TODO("4.1: return the number of entries held");
}

void ttl_destroy(ttl *t) {
    TODO("4.1: free both dicts, the heap and the cache");
}
