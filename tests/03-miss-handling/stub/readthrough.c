/* readthrough: a dict of what the source said, and when it was asked. */
#include "readthrough.h"

#include "common/todo.h"
#include "dict.h"

#include <stdlib.h>
#include <string.h>

/* What the source said about one key: a value, or that there is none. */
struct entry {
    int64_t asked_ms; /* when the load began: it can be no older than that */
    bool absent;
    size_t len;
    char data[];
};

/* A load in progress. It lies on the stack of the get that waits for it, and
 * points to the load in whose course it began, if any. */
struct readthrough_reply {
    bytes key;
    int64_t asked_ms;
    status outcome; /* of the last give */
    struct entry *given;
    const readthrough_reply *outer;
};

struct readthrough {
    dict *entries; /* struct entry *, which the dict frees */
    readthrough_source *source;
    void *context;
    readthrough_options options;
    readthrough_stats stats;
    const readthrough_reply *innermost; /* load in progress, or NULL */
};

status readthrough_create(readthrough_source *source, void *context,
                          const readthrough_options *options,
                          readthrough **out) {
    TODO("3.1: refuse what makes no sense, then make the cache and its dict");
}

status readthrough_get(readthrough *r, bytes key, bytes *value) {
    TODO("3.2: ask the source for the key, and keep what it gives");
}

status readthrough_give(readthrough_reply *reply, bytes value) {
    TODO("3.2: copy the value into a new entry, and hang it on the reply");
}

bool readthrough_next(const readthrough *r, size_t *cursor, bytes *key,
                      bytes *value) {
    TODO("3.4: step through the dict, and leave out the absences");
}

readthrough_stats readthrough_statistics(const readthrough *r) {
    TODO("3.1: return a copy of the counts");
}

void readthrough_destroy(readthrough *r) {
    TODO("3.1: end the dict, and with it the entries; NULL is fine");
}
