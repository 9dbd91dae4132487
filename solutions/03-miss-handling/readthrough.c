/* readthrough: a dict of what the source said, and when it was asked. */
#include "readthrough.h"

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

static struct entry *entry_create(int64_t asked_ms, bool absent, bytes value) {
    struct entry *entry = malloc(sizeof *entry + value.len);
    if (!entry) {
        return NULL;
    }
    entry->asked_ms = asked_ms;
    entry->absent = absent;
    entry->len = value.len;
    if (value.len > 0) {
        memcpy(entry->data, value.data, value.len);
    }
    return entry;
}

static bytes value_of(const struct entry *entry) {
    return (bytes){entry->data, entry->len};
}

static status answer(const struct entry *entry, bytes *value) {
    if (entry->absent) {
        return STATUS_MISS;
    }
    if (value) {
        *value = value_of(entry);
    }
    return STATUS_OK;
}

/* An age is a difference: compared with a bound it cannot overflow, as the sum
 * of a time and a bound could. */
static int64_t age_ms(const readthrough *r, const struct entry *entry) {
    return ms_clock_now(r->options.clock) - entry->asked_ms;
}

static bool is_fresh(const readthrough *r, const struct entry *entry) {
    if (entry->absent) {
        return age_ms(r, entry) < r->options.absent_ms;
    }
    return r->options.fresh_ms == 0 || age_ms(r, entry) < r->options.fresh_ms;
}

/* Whether an entry that is not fresh may stand in for a failure. */
static bool is_usable(const readthrough *r, const struct entry *entry) {
    return !entry->absent
           && age_ms(r, entry) - r->options.fresh_ms < r->options.stale_ms;
}

/* A load ends before the one in whose course it began, so no chain of them
 * has a ring in it, and the walk ends. */
static bool is_loading(const readthrough *r, bytes key) {
    const readthrough_reply *reply = r->innermost;
    while (reply && !bytes_equal(reply->key, key)) {
        reply = reply->outer;
    }
    return reply != NULL;
}

static status ask_source(readthrough *r, readthrough_reply *reply) {
    r->innermost = reply;
    r->stats.loads++;
    status said = r->source(r->context, reply->key, reply);
    r->innermost = reply->outer;
    return said;
}

static status keep_value(readthrough *r, const readthrough_reply *reply) {
    if (reply->outcome != STATUS_OK) {
        return reply->outcome;
    }
    return dict_set(r->entries, reply->key, reply->given);
}

/* An absence that is not kept, for want of a bound or of memory, still ends
 * the value that was there. */
static void keep_absence(readthrough *r, const readthrough_reply *reply) {
    struct entry *entry = NULL;
    if (r->options.absent_ms > 0) {
        entry = entry_create(reply->asked_ms, true, (bytes){NULL, 0});
    }
    if (!entry || dict_set(r->entries, reply->key, entry) != STATUS_OK) {
        free(entry);
        dict_delete(r->entries, reply->key);
    }
}

static status fall_back(readthrough *r, const struct entry *old, status failure,
                        bytes *value) {
    r->stats.failures++;
    if (!old || !is_usable(r, old)) {
        return failure;
    }
    r->stats.stale++;
    return answer(old, value);
}

/* old: what is held of the key, NULL if nothing. It outlives the load, for
 * only a get of the same key could replace it, and that one is refused. */
static status load(readthrough *r, bytes key, const struct entry *old,
                   bytes *value) {
    readthrough_reply reply = {.key = key,
                               .asked_ms = ms_clock_now(r->options.clock),
                               .outcome = STATUS_BACKEND,
                               .outer = r->innermost};
    status s = ask_source(r, &reply);
    if (s == STATUS_OK) {
        s = keep_value(r, &reply);
    }
    if (s == STATUS_OK) {
        return answer(reply.given, value);
    }
    free(reply.given);
    if (s == STATUS_MISS) {
        keep_absence(r, &reply);
        return STATUS_MISS;
    }
    return fall_back(r, old, s, value);
}

static bool are_valid(const readthrough_options *options) {
    return options->fresh_ms >= 0 && options->stale_ms >= 0
           && options->absent_ms >= 0
           && (options->stale_ms == 0 || options->fresh_ms > 0);
}

status readthrough_create(readthrough_source *source, void *context,
                          const readthrough_options *options,
                          readthrough **out) {
    readthrough_options chosen = options ? *options : (readthrough_options){0};
    if (!source || !are_valid(&chosen)) {
        return STATUS_INVALID;
    }
    if (!chosen.clock.now_ms) {
        chosen.clock = ms_clock_monotonic();
    }
    readthrough *r = calloc(1, sizeof *r);
    dict *entries = dict_create(free, chosen.seed);
    if (!r || !entries) {
        dict_destroy(entries);
        free(r);
        return STATUS_NO_MEMORY;
    }
    r->entries = entries;
    r->source = source;
    r->context = context;
    r->options = chosen;
    *out = r;
    return STATUS_OK;
}

status readthrough_get(readthrough *r, bytes key, bytes *value) {
    void *held = NULL;
    if (dict_get(r->entries, key, &held) && is_fresh(r, held)) {
        r->stats.hits++;
        return answer(held, value);
    }
    r->stats.misses++;
    if (is_loading(r, key)) {
        return STATUS_DEADLOCK;
    }
    return load(r, key, held, value);
}

status readthrough_give(readthrough_reply *reply, bytes value) {
    free(reply->given);
    reply->given = entry_create(reply->asked_ms, false, value);
    reply->outcome = reply->given ? STATUS_OK : STATUS_NO_MEMORY;
    return reply->outcome;
}

bool readthrough_next(const readthrough *r, size_t *cursor, bytes *key,
                      bytes *value) {
    bytes held_key;
    void *held;
    while (dict_next(r->entries, cursor, &held_key, &held)) {
        const struct entry *entry = held;
        if (!entry->absent) {
            *key = held_key;
            *value = value_of(entry);
            return true;
        }
    }
    return false;
}

readthrough_stats readthrough_statistics(const readthrough *r) {
    return r->stats;
}

void readthrough_destroy(readthrough *r) {
    if (r) {
        dict_destroy(r->entries);
        free(r);
    }
}
