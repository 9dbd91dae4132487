/* versioned: a table of entries, generations for tags, and a line to Redis. */
#include "versioned.h"

#include "bus.h"
#include "common/todo.h"
#include "dict.h"
#include "table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { STRIPES = 1024 };

struct tag {
    uint64_t generation; /* counts its invalidations */
    size_t marks;        /* on entries; without one the tag goes */
    size_t name_len;
    char name[];
};

/* That an entry carries a tag, and since which generation. */
struct mark {
    struct mark *next;
    struct tag *tag;
    uint64_t generation;
};

struct entry {
    struct table_item item; /* the key lies behind the entry */
    void *value;
    uint64_t version;
    uint64_t epoch;
    struct mark *marks;
};

struct subscriber {
    void (*hear)(void *context, versioned_event event, bytes name);
    void *context;
};

struct versioned {
    table entries;  /* key to struct entry */
    dict *tags;     /* name to struct tag */
    uint64_t epoch; /* counts the times when all was forgotten */
    bus *bus;       /* NULL: this process alone */
    bool live;      /* connected, and Redis has confirmed the subscription */
    void (*destroy_value)(void *value);
    struct subscriber *subscribers;
    size_t subscriber_count;
    uint64_t seed;
    uint64_t void_all;           /* counts what may touch any key; from 1 */
    uint64_t void_keys[STRIPES]; /* counts invalidations, by hash of the key */
};

/* -- in one process ----------------------------------------------------- */

status versioned_create(void (*destroy_value)(void *value), uint64_t seed,
                        versioned **out) {
    TODO("9.1: make the cache, its table and its dict");
}

status versioned_set(versioned *v, bytes key, void *value, uint64_t version) {
    TODO("9.2: insert, or replace what is not newer");
}

status versioned_get(versioned *v, bytes key, uint64_t at_least, void **value,
                     uint64_t *lease) {
    TODO("9.2: a hit needs a version of at_least");
}

status versioned_invalidate(versioned *v, bytes key) {
    TODO("9.3: forget the key, value and version");
}

size_t versioned_count(const versioned *v) {
    TODO("9.1: how many entries there are");
}

status versioned_subscribe(versioned *v,
                           void (*hear)(void *context, versioned_event event,
                                        bytes name),
                           void *context) {
    TODO("9.4: remember the function and its context");
}

status versioned_tag(versioned *v, bytes key, bytes tag) {
    TODO("9.5: mark the entry with the generation of the tag");
}

status versioned_invalidate_tag(versioned *v, bytes tag) {
    TODO("9.5: count the generation of the tag up");
}

status versioned_set_leased(versioned *v, bytes key, void *value,
                            uint64_t version, uint64_t lease) {
    TODO("9.6: refuse a void lease, then set");
}

/* -- between processes -------------------------------------------------- */

status versioned_connect(versioned *v, const char *path, const char *channel,
                         int timeout_ms) {
    TODO("9.7: make the bus, call, wait to be subscribed");
}

status versioned_poll(versioned *v) {
    TODO("9.7: handle what the bus has brought");
}

void versioned_destroy(versioned *v) {
    TODO("9.1: end the values, free everything");
}
