/* versioned: a table of entries, generations for tags, and a line to Redis. */
#include "versioned.h"

#include "bus.h"
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

/* -- entries and tags --------------------------------------------------- */

static void drop_tag(versioned *v, struct tag *tag) {
    void *taken;
    dict_take(v->tags, (bytes){tag->name, tag->name_len}, &taken);
    free(tag);
}

static void drop_marks(versioned *v, struct entry *e) {
    while (e->marks) {
        struct mark *mark = e->marks;
        e->marks = mark->next;
        if (--mark->tag->marks == 0) {
            drop_tag(v, mark->tag);
        }
        free(mark);
    }
}

static void end_value(const versioned *v, void *value) {
    if (v->destroy_value) {
        v->destroy_value(value);
    }
}

static void end_entry(versioned *v, struct entry *e) {
    drop_marks(v, e);
    end_value(v, e->value);
    free(e);
}

static void drop(versioned *v, bytes key) {
    struct entry *e = table_take(&v->entries, key);
    if (e) {
        end_entry(v, e);
    }
}

static bool is_hidden(const versioned *v, const struct entry *e) {
    for (const struct mark *m = e->marks; m; m = m->next) {
        if (m->generation != m->tag->generation) {
            return true;
        }
    }
    return e->epoch != v->epoch;
}

/* Returns: the entry of the key, NULL without one. One that is hidden has been
 * met now, and goes. */
static struct entry *find(versioned *v, bytes key) {
    struct entry *e = table_get(&v->entries, key);
    if (e && is_hidden(v, e)) {
        drop(v, key);
        return NULL;
    }
    return e;
}

static status insert(versioned *v, bytes key, void *value, uint64_t version) {
    struct entry *e = table_add(&v->entries, key);
    if (!e) {
        return STATUS_NO_MEMORY;
    }
    e->value = value;
    e->version = version;
    e->epoch = v->epoch;
    return STATUS_OK;
}

static bool carries(const struct entry *e, bytes name) {
    for (const struct mark *m = e->marks; m; m = m->next) {
        if (bytes_equal((bytes){m->tag->name, m->tag->name_len}, name)) {
            return true;
        }
    }
    return false;
}

/* Returns: the tag of that name, made if there is none; NULL without memory. */
static struct tag *tag_named(versioned *v, bytes name) {
    void *found;
    if (dict_get(v->tags, name, &found)) {
        return found;
    }
    struct tag *tag = calloc(1, sizeof *tag + name.len);
    if (!tag || dict_set(v->tags, name, tag) != STATUS_OK) {
        free(tag);
        return NULL;
    }
    tag->name_len = name.len;
    if (name.len > 0) {
        memcpy(tag->name, name.data, name.len);
    }
    return tag;
}

/* -- leases ------------------------------------------------------------- */

/* Keys of one hash share a counter: one may void the lease of another, which
 * costs a load and is never wrong. So leases need no memory per key. */
static uint64_t *void_count(versioned *v, bytes key) {
    uint64_t hash = XXH3_64bits_withSeed(key.data, key.len, v->seed);
    return &v->void_keys[hash % STRIPES];
}

/* Both counters only grow: their sum is the same only if both are. */
static uint64_t lease_of(versioned *v, bytes key) {
    return v->void_all + *void_count(v, key);
}

/* -- events ------------------------------------------------------------- */

/* Lets an event take effect here, and tells the subscribers. */
static void apply(versioned *v, versioned_event event, bytes name) {
    void *tag;
    switch (event) {
    case VERSIONED_KEY:
        ++*void_count(v, name);
        drop(v, name);
        break;
    case VERSIONED_TAG:
        v->void_all++; /* who knows what tags a value being loaded will get */
        if (dict_get(v->tags, name, &tag)) {
            ((struct tag *)tag)->generation++;
        }
        break;
    case VERSIONED_ALL:
        v->void_all++;
        v->epoch++;
        break;
    }
    for (size_t i = 0; i < v->subscriber_count; i++) {
        v->subscribers[i].hear(v->subscribers[i].context, event, name);
    }
}

/* -- what comes over the bus -------------------------------------------- */

/* A message is 'k' or 't', its origin, and a name of any bytes. */
static void hear_message(versioned *v, const char *text, size_t len) {
    bool understood =
        len > BUS_ORIGIN_LEN && (text[0] == 'k' || text[0] == 't');
    if (!understood) {
        apply(v, VERSIONED_ALL, (bytes){0});
    } else if (memcmp(text + 1, bus_origin(v->bus), BUS_ORIGIN_LEN) != 0) {
        bytes name = {text + 1 + BUS_ORIGIN_LEN, len - 1 - BUS_ORIGIN_LEN};
        apply(v, text[0] == 'k' ? VERSIONED_KEY : VERSIONED_TAG, name);
    }
}

/* Handles what has arrived.
 * Returns: whether the connection still stands. */
static bool listen_to(versioned *v) {
    const char *message;
    size_t len;
    for (;;) { /* until nothing is left, or nobody is there */
        switch (bus_next(v->bus, &message, &len)) {
        case BUS_NOTHING: return true;
        case BUS_LOST: return false;
        case BUS_SUBSCRIBED:
            v->live = true;
            apply(v, VERSIONED_ALL, (bytes){0});
            break;
        case BUS_MESSAGE: hear_message(v, message, len); break;
        }
    }
}

/* Whatever is published from now on is missed, so nothing held can be trusted;
 * and what is set before the line is back is not kept. */
static void lose(versioned *v) {
    bool was_live = v->live;
    bus_hang_up(v->bus);
    v->live = false;
    if (was_live) {
        apply(v, VERSIONED_ALL, (bytes){0});
    }
}

static status publish(versioned *v, const char *kind, bytes name) {
    bool told = !v->bus || bus_publish(v->bus, kind, name);
    return told ? STATUS_OK : STATUS_BACKEND;
}

/* -- in one process ----------------------------------------------------- */

status versioned_create(void (*destroy_value)(void *value), uint64_t seed,
                        versioned **out) {
    versioned *v = calloc(1, sizeof *v);
    if (!v) {
        return STATUS_NO_MEMORY;
    }
    v->tags = dict_create(NULL, seed);
    if (!table_init(&v->entries, sizeof(struct entry), seed) || !v->tags) {
        versioned_destroy(v);
        return STATUS_NO_MEMORY;
    }
    v->destroy_value = destroy_value;
    v->seed = seed;
    v->void_all = 1;
    *out = v;
    return STATUS_OK;
}

status versioned_set(versioned *v, bytes key, void *value, uint64_t version) {
    if (v->bus && !v->live) {
        return STATUS_BACKEND;
    }
    struct entry *e = find(v, key);
    if (!e) {
        return insert(v, key, value, version);
    }
    if (version < e->version) {
        return STATUS_STALE;
    }
    void *old = e->value;
    e->value = value;
    e->version = version;
    end_value(v, old);
    return STATUS_OK;
}

status versioned_get(versioned *v, bytes key, uint64_t at_least, void **value,
                     uint64_t *lease) {
    if (v->bus) {
        versioned_poll(v);
    }
    const struct entry *e = find(v, key);
    if (e && e->version >= at_least) {
        if (value) {
            *value = e->value;
        }
        return STATUS_OK;
    }
    if (lease) {
        *lease = lease_of(v, key);
    }
    return STATUS_MISS;
}

status versioned_invalidate(versioned *v, bytes key) {
    apply(v, VERSIONED_KEY, key);
    return publish(v, "k", key);
}

size_t versioned_count(const versioned *v) {
    return v->entries.count;
}

status versioned_subscribe(versioned *v,
                           void (*hear)(void *context, versioned_event event,
                                        bytes name),
                           void *context) {
    if (!hear) {
        return STATUS_INVALID;
    }
    struct subscriber *more =
        realloc(v->subscribers, (v->subscriber_count + 1) * sizeof *more);
    if (!more) {
        return STATUS_NO_MEMORY;
    }
    v->subscribers = more;
    v->subscribers[v->subscriber_count++] = (struct subscriber){hear, context};
    return STATUS_OK;
}

status versioned_tag(versioned *v, bytes key, bytes tag) {
    struct entry *e = find(v, key);
    if (!e) {
        return STATUS_MISS;
    }
    if (carries(e, tag)) {
        return STATUS_OK;
    }
    struct mark *mark = malloc(sizeof *mark);
    struct tag *named = mark ? tag_named(v, tag) : NULL;
    if (!named) {
        free(mark);
        return STATUS_NO_MEMORY;
    }
    *mark = (struct mark){e->marks, named, named->generation};
    named->marks++;
    e->marks = mark;
    return STATUS_OK;
}

status versioned_invalidate_tag(versioned *v, bytes tag) {
    apply(v, VERSIONED_TAG, tag);
    return publish(v, "t", tag);
}

status versioned_set_leased(versioned *v, bytes key, void *value,
                            uint64_t version, uint64_t lease) {
    versioned_poll(v);
    if (lease != lease_of(v, key)) {
        return STATUS_STALE;
    }
    return versioned_set(v, key, value, version);
}

/* -- between processes -------------------------------------------------- */

status versioned_connect(versioned *v, const char *path, const char *channel,
                         int timeout_ms) {
    if (v->bus || !path || !channel || channel[0] == '\0' || timeout_ms <= 0) {
        return STATUS_INVALID;
    }
    v->bus = bus_create(path, channel, timeout_ms);
    if (!v->bus) {
        return STATUS_NO_MEMORY;
    }
    if (bus_call(v->bus) && bus_wait(v->bus) && listen_to(v) && v->live) {
        return STATUS_OK;
    }
    bus_destroy(v->bus);
    v->bus = NULL;
    v->live = false;
    return STATUS_BACKEND;
}

status versioned_poll(versioned *v) {
    if (!v->bus) {
        return STATUS_OK;
    }
    if (!listen_to(v)) {
        lose(v);
        bus_call(v->bus); /* if that fails, the next poll tries again */
    }
    return v->live ? STATUS_OK : STATUS_BACKEND;
}

void versioned_destroy(versioned *v) {
    size_t from = 0;
    struct entry *e;
    if (!v) {
        return;
    }
    while ((e = table_take_any(&v->entries, &from))) {
        end_entry(v, e);
    }
    table_clear(&v->entries);
    dict_destroy(v->tags);
    bus_destroy(v->bus);
    free(v->subscribers);
    free(v);
}
