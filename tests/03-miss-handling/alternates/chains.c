/* readthrough with a hash table of its own, chained, instead of a dict. The
 * nodes stay when a value is replaced, and a node without a value is an
 * absence, or is nothing and about to leave. */
#include "readthrough.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BUCKETS = 8 };

struct node {
    struct node *next;
    uint64_t hash;
    int64_t asked_ms;
    char *value; /* NULL: absent */
    size_t len;
    size_t key_len;
    char key[];
};

/* A load in progress. It lies on the stack of the get that waits for it, and
 * points to the load in whose course it began, if any. */
struct readthrough_reply {
    bytes key;
    status outcome; /* of the last give */
    char *given;
    size_t len;
    const readthrough_reply *outer;
};

struct readthrough {
    struct node **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    readthrough_source *source;
    void *context;
    readthrough_options options;
    readthrough_stats stats;
    const readthrough_reply *innermost; /* load in progress, or NULL */
};

/* FNV-1a, begun with the seed and stirred once more at the end. */
static uint64_t hash_of(const readthrough *r, bytes key) {
    uint64_t hash = 0xcbf29ce484222325u ^ r->options.seed;
    const unsigned char *data = key.data;
    for (size_t i = 0; i < key.len; i++) {
        hash = (hash ^ data[i]) * 0x100000001b3u;
    }
    return hash ^ (hash >> 32);
}

/* The link that points to the key's node, or the NULL at its chain's end. */
static struct node **link_of(const readthrough *r, bytes key, uint64_t hash) {
    struct node **link = &r->buckets[hash & (r->bucket_count - 1)];
    while (*link
           && ((*link)->hash != hash
               || !bytes_equal((bytes){(*link)->key, (*link)->key_len}, key))) {
        link = &(*link)->next;
    }
    return link;
}

/* Without memory the chains just get longer. */
static void grow(readthrough *r) {
    size_t count = r->bucket_count * 2;
    struct node **buckets = calloc(count, sizeof *buckets);
    if (!buckets) {
        return;
    }
    for (size_t b = 0; b < r->bucket_count; b++) {
        while (r->buckets[b]) {
            struct node *node = r->buckets[b];
            r->buckets[b] = node->next;
            node->next = buckets[node->hash & (count - 1)];
            buckets[node->hash & (count - 1)] = node;
        }
    }
    free(r->buckets);
    r->buckets = buckets;
    r->bucket_count = count;
}

/* Returns: the key's node, with a new one's value NULL; NULL without memory. */
static struct node *node_for(readthrough *r, bytes key) {
    uint64_t hash = hash_of(r, key);
    struct node *node = *link_of(r, key, hash);
    if (node) {
        return node;
    }
    node = calloc(1, sizeof *node + key.len);
    if (!node) {
        return NULL;
    }
    if (++r->count > r->bucket_count) {
        grow(r);
    }
    node->hash = hash;
    node->key_len = key.len;
    if (key.len > 0) {
        memcpy(node->key, key.data, key.len);
    }
    *link_of(r, key, hash) = node;
    return node;
}

static void drop(readthrough *r, bytes key) {
    struct node **link = link_of(r, key, hash_of(r, key));
    struct node *node = *link;
    if (node) {
        *link = node->next;
        r->count--;
        free(node->value);
        free(node);
    }
}

static status answer(const struct node *node, bytes *value) {
    if (!node->value) {
        return STATUS_MISS;
    }
    if (value) {
        *value = (bytes){node->value, node->len};
    }
    return STATUS_OK;
}

static int64_t age_ms(const readthrough *r, const struct node *node) {
    return ms_clock_now(r->options.clock) - node->asked_ms;
}

static bool is_fresh(const readthrough *r, const struct node *node) {
    if (!node->value) {
        return age_ms(r, node) < r->options.absent_ms;
    }
    return r->options.fresh_ms == 0 || age_ms(r, node) < r->options.fresh_ms;
}

static bool is_usable(const readthrough *r, const struct node *node) {
    return node->value
           && age_ms(r, node) - r->options.fresh_ms < r->options.stale_ms;
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

/* Keeps what the reply holds: a value, or NULL for an absence. */
static struct node *keep(readthrough *r, readthrough_reply *reply,
                         int64_t asked_ms) {
    struct node *node = node_for(r, reply->key);
    if (node) {
        free(node->value);
        node->value = reply->given;
        node->len = reply->len;
        node->asked_ms = asked_ms;
        reply->given = NULL;
    }
    return node;
}

static status absence_came(readthrough *r, readthrough_reply *reply,
                           int64_t asked_ms) {
    free(reply->given);
    reply->given = NULL;
    if (r->options.absent_ms == 0 || !keep(r, reply, asked_ms)) {
        drop(r, reply->key);
    }
    return STATUS_MISS;
}

static status load(readthrough *r, bytes key, const struct node *old,
                   bytes *value) {
    int64_t asked_ms = ms_clock_now(r->options.clock);
    readthrough_reply reply = {
        .key = key, .outcome = STATUS_BACKEND, .outer = r->innermost};
    status s = ask_source(r, &reply);
    if (s == STATUS_MISS) {
        return absence_came(r, &reply, asked_ms);
    }
    if (s == STATUS_OK && reply.outcome == STATUS_OK) {
        const struct node *node = keep(r, &reply, asked_ms);
        if (node) {
            return answer(node, value);
        }
        s = STATUS_NO_MEMORY;
    } else if (s == STATUS_OK) {
        s = reply.outcome;
    }
    free(reply.given);
    r->stats.failures++;
    if (old && is_usable(r, old)) {
        r->stats.stale++;
        return answer(old, value);
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
    struct node **buckets = calloc(FIRST_BUCKETS, sizeof *buckets);
    if (!r || !buckets) {
        free(buckets);
        free(r);
        return STATUS_NO_MEMORY;
    }
    r->buckets = buckets;
    r->bucket_count = FIRST_BUCKETS;
    r->source = source;
    r->context = context;
    r->options = chosen;
    *out = r;
    return STATUS_OK;
}

status readthrough_get(readthrough *r, bytes key, bytes *value) {
    const struct node *held = *link_of(r, key, hash_of(r, key));
    if (held && is_fresh(r, held)) {
        r->stats.hits++;
        return answer(held, value);
    }
    r->stats.misses++;
    if (is_loading(r, key)) {
        return STATUS_DEADLOCK;
    }
    return load(r, key, held, value);
}

/* One byte more, so that the empty value is a block too. */
status readthrough_give(readthrough_reply *reply, bytes value) {
    free(reply->given);
    reply->given = malloc(value.len + 1);
    reply->len = value.len;
    reply->outcome = reply->given ? STATUS_OK : STATUS_NO_MEMORY;
    if (reply->given && value.len > 0) {
        memcpy(reply->given, value.data, value.len);
    }
    return reply->outcome;
}

/* The cursor counts the nodes that were passed, bucket by bucket: O(n) for
 * each step, but a node needs no place of its own in the order. */
bool readthrough_next(const readthrough *r, size_t *cursor, bytes *key,
                      bytes *value) {
    size_t passed = 0;
    for (size_t b = 0; b < r->bucket_count; b++) {
        for (struct node *node = r->buckets[b]; node; node = node->next) {
            if (passed++ >= *cursor && node->value) {
                *cursor = passed;
                *key = (bytes){node->key, node->key_len};
                *value = (bytes){node->value, node->len};
                return true;
            }
        }
    }
    return false;
}

readthrough_stats readthrough_statistics(const readthrough *r) {
    return r->stats;
}

void readthrough_destroy(readthrough *r) {
    if (!r) {
        return;
    }
    for (size_t b = 0; b < r->bucket_count; b++) {
        while (r->buckets[b]) {
            struct node *node = r->buckets[b];
            r->buckets[b] = node->next;
            free(node->value);
            free(node);
        }
    }
    free(r->buckets);
    free(r);
}
