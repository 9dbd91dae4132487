/* readthrough with two dicts: one of values, one of absences. The time until
 * which an answer holds is noted, and not when it was asked for. */
#include "readthrough.h"

#include "dict.h"

#include <stdlib.h>
#include <string.h>

struct value {
    int64_t fresh_until_ms;
    int64_t usable_until_ms;
    size_t len;
    char data[];
};

/* A load in progress. It lies on the stack of the get that waits for it, and
 * points to the load in whose course it began, if any. */
struct readthrough_reply {
    bytes key;
    status outcome; /* of the last give */
    struct value *given;
    const readthrough_reply *outer;
};

struct readthrough {
    dict *values;   /* struct value * */
    dict *absences; /* int64_t *: until when the absence holds */
    readthrough_source *source;
    void *context;
    readthrough_options options;
    readthrough_stats stats;
    const readthrough_reply *innermost; /* load in progress, or NULL */
};

static int64_t now_ms(const readthrough *r) {
    return ms_clock_now(r->options.clock);
}

/* The time `span` after `time`, or the end of all times if that is sooner. */
static int64_t after(int64_t time, int64_t span) {
    return time > INT64_MAX - span ? INT64_MAX : time + span;
}

static status lend(const struct value *held, bytes *value) {
    if (value) {
        *value = (bytes){held->data, held->len};
    }
    return STATUS_OK;
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

/* Whether an absence of the key is kept that still holds. */
static bool holds_absence(const readthrough *r, bytes key) {
    void *until;
    return dict_count(r->absences) > 0 && dict_get(r->absences, key, &until)
           && now_ms(r) < *(int64_t *)until;
}

static bool is_fresh(const readthrough *r, const struct value *held) {
    return r->options.fresh_ms == 0 || now_ms(r) < held->fresh_until_ms;
}

static status keep_value(readthrough *r, const readthrough_reply *reply,
                         int64_t asked_ms) {
    if (reply->outcome != STATUS_OK) {
        return reply->outcome;
    }
    struct value *given = reply->given;
    given->fresh_until_ms = after(asked_ms, r->options.fresh_ms);
    given->usable_until_ms = after(given->fresh_until_ms, r->options.stale_ms);
    status s = dict_set(r->values, reply->key, given);
    if (s == STATUS_OK) {
        dict_delete(r->absences, reply->key);
    }
    return s;
}

static void keep_absence(readthrough *r, bytes key, int64_t asked_ms) {
    dict_delete(r->values, key);
    dict_delete(r->absences, key);
    int64_t *until = r->options.absent_ms > 0 ? malloc(sizeof *until) : NULL;
    if (until) {
        *until = after(asked_ms, r->options.absent_ms);
        if (dict_set(r->absences, key, until) != STATUS_OK) {
            free(until);
        }
    }
}

static status load(readthrough *r, bytes key, const struct value *old,
                   bytes *value) {
    int64_t asked_ms = now_ms(r);
    readthrough_reply reply = {
        .key = key, .outcome = STATUS_BACKEND, .outer = r->innermost};
    status s = ask_source(r, &reply);
    if (s == STATUS_OK) {
        s = keep_value(r, &reply, asked_ms);
    }
    if (s == STATUS_OK) {
        return lend(reply.given, value);
    }
    free(reply.given);
    if (s == STATUS_MISS) {
        keep_absence(r, key, asked_ms);
        return s;
    }
    r->stats.failures++;
    if (old && now_ms(r) < old->usable_until_ms) {
        r->stats.stale++;
        return lend(old, value);
    }
    return s;
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
    dict *values = dict_create(free, chosen.seed);
    dict *absences = dict_create(free, chosen.seed);
    if (!r || !values || !absences) {
        dict_destroy(absences);
        dict_destroy(values);
        free(r);
        return STATUS_NO_MEMORY;
    }
    r->values = values;
    r->absences = absences;
    r->source = source;
    r->context = context;
    r->options = chosen;
    *out = r;
    return STATUS_OK;
}

status readthrough_get(readthrough *r, bytes key, bytes *value) {
    void *held = NULL;
    if (dict_get(r->values, key, &held)) {
        if (is_fresh(r, held)) {
            r->stats.hits++;
            return lend(held, value);
        }
    } else if (holds_absence(r, key)) {
        r->stats.hits++;
        return STATUS_MISS;
    }
    r->stats.misses++;
    if (is_loading(r, key)) {
        return STATUS_DEADLOCK;
    }
    return load(r, key, held, value);
}

status readthrough_give(readthrough_reply *reply, bytes value) {
    free(reply->given);
    reply->given = malloc(sizeof *reply->given + value.len);
    reply->outcome = STATUS_NO_MEMORY;
    if (reply->given) {
        reply->given->len = value.len;
        if (value.len > 0) {
            memcpy(reply->given->data, value.data, value.len);
        }
        reply->outcome = STATUS_OK;
    }
    return reply->outcome;
}

bool readthrough_next(const readthrough *r, size_t *cursor, bytes *key,
                      bytes *value) {
    void *held;
    if (!dict_next(r->values, cursor, key, &held)) {
        return false;
    }
    lend(held, value);
    return true;
}

readthrough_stats readthrough_statistics(const readthrough *r) {
    return r->stats;
}

void readthrough_destroy(readthrough *r) {
    if (r) {
        dict_destroy(r->absences);
        dict_destroy(r->values);
        free(r);
    }
}
