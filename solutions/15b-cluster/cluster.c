/* cluster: a map of slots, and a connection for each node. */
#include "cluster.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NODES_MAX = 1000, HOST_SIZE = 256, ERROR_SIZE = 320, PORT_MAX = 65535 };
enum { TIMEOUT_MS = 1000, RETRIES = 16, PAUSE_MS = 10, LONGEST_PAUSE_MS = 500 };

/* A node of which nobody has told us which slots it owns owns none. */
enum { NOBODY = UINT16_MAX };

/* More redirects than that lead nowhere. */
enum { REDIRECTS = 16 };

struct node {
    char host[HOST_SIZE];
    int port;
    redisContext *context; /* NULL: no connection */
    bool away;             /* the last attempt to connect failed */
};

struct cluster {
    struct node *nodes; /* all that were ever heard of */
    size_t count;
    uint16_t owner[CLUSTER_SLOTS];
    cluster_options options;
    redisReply *lent; /* holds the value that was given last */
    cluster_stats stats;
    char error[ERROR_SIZE];
};

/* A command on its way from node to node. */
struct question {
    const bytes *words;
    size_t count;
    unsigned slot;
    bool repeatable; /* to ask again changes nothing */
    uint16_t at;     /* the node that is asked */
    bool asking;     /* it was told to expect us */
    redisReply *reply;
};

/* Where a redirect points. */
struct redirect {
    unsigned slot;
    char host[HOST_SIZE]; /* empty: the node that says so */
    int port;
};

/* -- slots ---------------------------------------------------------------- */

/* CRC16 with the polynomial x^16 + x^12 + x^5 + 1, four bits at a time. */
static uint16_t crc16(const unsigned char *at, size_t len) {
    static const uint16_t of_four_bits[16] = {
        0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
        0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    uint16_t crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc = (uint16_t)(crc << 4) ^ of_four_bits[(crc >> 12) ^ (at[i] >> 4)];
        crc = (uint16_t)(crc << 4) ^ of_four_bits[(crc >> 12) ^ (at[i] & 15)];
    }
    return crc;
}

/* What of the key is hashed: all of it, or its tag. */
static bytes tag_of(bytes key) {
    const char *open = key.len > 0 ? memchr(key.data, '{', key.len) : NULL;
    if (open) {
        size_t rest = key.len - (size_t)(open + 1 - (const char *)key.data);
        const char *close = memchr(open + 1, '}', rest);
        if (close && close > open + 1) {
            return (bytes){open + 1, (size_t)(close - open - 1)};
        }
    }
    return key;
}

unsigned cluster_slot(bytes key) {
    bytes tag = tag_of(key);
    return crc16(tag.data, tag.len) % CLUSTER_SLOTS;
}

/* -- failures ------------------------------------------------------------- */

static status fail(cluster *c, status s, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(c->error, sizeof c->error, format, values);
    va_end(values);
    return s;
}

static status no_memory(cluster *c) {
    return fail(c, STATUS_NO_MEMORY, "out of memory");
}

/* -- nodes ---------------------------------------------------------------- */

/* Finds the node at an address, or adds it.
 * Returns: its number; NOBODY without memory. */
static uint16_t node_at(cluster *c, const char *host, int port) {
    for (size_t i = 0; i < c->count; i++) {
        if (c->nodes[i].port == port && strcmp(c->nodes[i].host, host) == 0) {
            return (uint16_t)i;
        }
    }
    if (c->count == NODES_MAX || strlen(host) >= HOST_SIZE) {
        return NOBODY;
    }
    struct node *nodes = realloc(c->nodes, (c->count + 1) * sizeof *nodes);
    if (!nodes) {
        return NOBODY;
    }
    c->nodes = nodes;
    nodes[c->count] = (struct node){.port = port};
    strcpy(nodes[c->count].host, host);
    return (uint16_t)c->count++;
}

static void hang_up(struct node *node) {
    redisFree(node->context);
    node->context = NULL;
}

/* Sees to a connection. */
static status call(cluster *c, struct node *node) {
    struct timeval limit = {.tv_sec = c->options.timeout_ms / 1000,
                            .tv_usec = c->options.timeout_ms % 1000 * 1000};
    if (node->context) {
        return STATUS_OK;
    }
    node->context = redisConnectWithTimeout(node->host, node->port, limit);
    if (!node->context) {
        return no_memory(c);
    }
    node->away = node->context->err != 0
                 || redisSetTimeout(node->context, limit) != REDIS_OK;
    if (!node->away) {
        return STATUS_OK;
    }
    fail(c, STATUS_BACKEND, "no connection to %s:%d: %s", node->host,
         node->port, node->context->errstr);
    hang_up(node);
    return STATUS_BACKEND;
}

/* What went wrong on a connection after something was sent. */
static status broken(cluster *c, struct node *node) {
    bool late = node->context->err == REDIS_ERR_IO
                && (errno == EAGAIN || errno == ETIMEDOUT);
    bool full = node->context->err == REDIS_ERR_OOM;
    status s = late ? STATUS_TIMEOUT : full ? STATUS_NO_MEMORY : STATUS_LOST;
    fail(c, s, "%s:%d: %s", node->host, node->port,
         late ? "no answer in time" : node->context->errstr);
    hang_up(node);
    return s;
}

/* Writes a command behind what is to be sent to a node that is connected. */
static status append(cluster *c, struct node *node, const bytes *words,
                     size_t count) {
    enum { WORDS_MAX = 3 };
    const char *texts[WORDS_MAX];
    size_t lens[WORDS_MAX];
    for (size_t i = 0; i < count; i++) {
        texts[i] = words[i].len > 0 ? words[i].data : "";
        lens[i] = words[i].len;
    }
    return redisAppendCommandArgv(node->context, (int)count, texts, lens)
                   == REDIS_OK
               ? STATUS_OK
               : no_memory(c);
}

/* The next answer of a node, which the caller frees. */
static status next_reply(cluster *c, struct node *node, redisReply **reply) {
    void *got = NULL;
    if (!node->context) {
        return STATUS_LOST; /* it broke at an earlier answer */
    }
    if (redisGetReply(node->context, &got) != REDIS_OK) {
        return broken(c, node);
    }
    *reply = got;
    return STATUS_OK;
}

/* -- the map -------------------------------------------------------------- */

/* One line of CLUSTER SLOTS: first slot, last slot, [host, port, ...] of the
 * owner, and of its replicas. An empty host is that of the node that says so.
 */
static bool learn_range(cluster *c, const char *asked, const redisReply *line) {
    if (line->type != REDIS_REPLY_ARRAY || line->elements < 3) {
        return false;
    }
    const redisReply *owner = line->element[2];
    long long first = line->element[0]->integer;
    long long last = line->element[1]->integer;
    if (owner->type != REDIS_REPLY_ARRAY || owner->elements < 2 || first < 0
        || last >= (long long)CLUSTER_SLOTS) {
        return false;
    }
    const char *host = owner->element[0]->str;
    uint16_t node = node_at(c, host && *host ? host : asked,
                            (int)owner->element[1]->integer);
    for (long long slot = first; slot <= last; slot++) {
        c->owner[slot] = node;
    }
    return node != NOBODY;
}

/* Asks one node for the map. Slots that it says nothing of have no owner. */
static status ask_for_map(cluster *c, uint16_t at) {
    bytes words[] = {bytes_of("CLUSTER"), bytes_of("SLOTS")};
    redisReply *reply = NULL;
    status s = call(c, &c->nodes[at]);
    if (s == STATUS_OK) {
        s = append(c, &c->nodes[at], words, 2);
    }
    if (s == STATUS_OK) {
        s = next_reply(c, &c->nodes[at], &reply);
    }
    if (s != STATUS_OK) {
        return s;
    }
    c->stats.maps++;
    if (reply->type != REDIS_REPLY_ARRAY) {
        s = fail(c, STATUS_BACKEND, "%s:%d is no node of a cluster: %s",
                 c->nodes[at].host, c->nodes[at].port,
                 reply->type == REDIS_REPLY_ERROR ? reply->str : "no map");
    } else {
        char asked[HOST_SIZE];
        strcpy(asked, c->nodes[at].host); /* nodes may move in memory */
        memset(c->owner, 0xff, sizeof c->owner);
        for (size_t i = 0; i < reply->elements; i++) {
            if (!learn_range(c, asked, reply->element[i])) {
                s = fail(c, STATUS_BACKEND, "a map that cannot be read");
            }
        }
    }
    freeReplyObject(reply);
    return s;
}

/* Asks one node after the other, beginning behind `not_first`. */
static status load_map(cluster *c, size_t not_first) {
    status s = STATUS_BACKEND;
    size_t count = c->count; /* a map may tell of more of them */
    for (size_t i = 1; i <= count && s != STATUS_OK; i++) {
        s = ask_for_map(c, (uint16_t)((not_first + i) % count));
    }
    return s;
}

/* The owner of a slot; any node if nobody has told: it will redirect us. */
static uint16_t owner_of(const cluster *c, unsigned slot) {
    return c->owner[slot] != NOBODY ? c->owner[slot] : 0;
}

/* -- redirects ------------------------------------------------------------ */

static bool says(const redisReply *reply, const char *word) {
    return reply->type == REDIS_REPLY_ERROR
           && strncmp(reply->str, word, strlen(word)) == 0;
}

/* Reads "MOVED 3999 127.0.0.1:6381"; a host may hold colons itself. */
static bool read_redirect(const redisReply *reply, struct redirect *to) {
    char *rest = NULL;
    const char *slot = strchr(reply->str, ' ');
    const char *colon = strrchr(reply->str, ':');
    if (!slot || !colon) {
        return false;
    }
    unsigned long number = strtoul(slot + 1, &rest, 10);
    long port = strtol(colon + 1, NULL, 10);
    if (*rest != ' ' || number >= CLUSTER_SLOTS || port < 1 || port > PORT_MAX
        || colon < rest + 1 || colon - rest - 1 >= HOST_SIZE) {
        return false;
    }
    *to = (struct redirect){.slot = (unsigned)number, .port = (int)port};
    memcpy(to->host, rest + 1, (size_t)(colon - rest - 1));
    return true;
}

/* Whether it is worth while to ask again a little later. */
static bool is_passing(const redisReply *reply) {
    return says(reply, "TRYAGAIN") || says(reply, "CLUSTERDOWN")
           || says(reply, "LOADING");
}

static void sleep_ms(void *context, int64_t ms) {
    (void)context;
    struct timespec left = {.tv_sec = (time_t)(ms / 1000),
                            .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* Pauses for the n-th time. Returns: false if that was once too often. */
static bool may_pause(cluster *c, int n) {
    if (n >= c->options.retries) {
        return false;
    }
    int64_t ms = n < 6 ? PAUSE_MS << n : LONGEST_PAUSE_MS;
    c->stats.pauses++;
    c->options.pause(c->options.context,
                     ms < LONGEST_PAUSE_MS ? ms : LONGEST_PAUSE_MS);
    return true;
}

/* -- one question --------------------------------------------------------- */

/* Asks one node, and waits for its answer.
 * sent: out, whether the command may have been received. */
static status ask_node(cluster *c, struct question *q, bool *sent) {
    bytes word = bytes_of("ASKING");
    struct node *node = &c->nodes[q->at];
    redisReply *allowed = NULL;
    *sent = false;
    status s = call(c, node);
    if (s == STATUS_OK && q->asking) {
        s = append(c, node, &word, 1);
    }
    if (s == STATUS_OK) {
        s = append(c, node, q->words, q->count);
    }
    if (s != STATUS_OK) {
        return s;
    }
    *sent = true;
    c->stats.commands++;
    if (q->asking) {
        s = next_reply(c, node, &allowed);
        freeReplyObject(allowed);
    }
    return s == STATUS_OK ? next_reply(c, node, &q->reply) : s;
}

static void forget_reply(struct question *q) {
    freeReplyObject(q->reply);
    q->reply = NULL;
}

/* Follows a redirect to another node, once or for good.
 * Returns: false if the reply is none. */
static bool is_redirected(cluster *c, struct question *q) {
    struct redirect to;
    bool moved = says(q->reply, "MOVED ");
    if ((!moved && !says(q->reply, "ASK ")) || !read_redirect(q->reply, &to)) {
        return false;
    }
    if (to.host[0] == '\0') {
        strcpy(to.host, c->nodes[q->at].host);
    }
    uint16_t next = node_at(c, to.host, to.port);
    if (next == NOBODY) {
        return false;
    }
    q->at = next;
    q->asking = !moved;
    if (moved) {
        c->owner[to.slot] = next;
        c->stats.moved++;
    } else {
        c->stats.asked++;
    }
    return true;
}

/* Pauses, and begins again with a new map.
 * Returns: false if that was once too often. */
static bool begin_again(cluster *c, struct question *q, int pauses) {
    if (!may_pause(c, pauses)) {
        return false;
    }
    forget_reply(q);
    load_map(c, q->at); /* if nobody knows, the old one must do */
    q->at = owner_of(c, q->slot);
    q->asking = false;
    return true;
}

/* Asks until there is an answer, which then is q->reply. What a pipeline has
 * brought, an answer or not, may be there at the beginning. */
static status ask(cluster *c, struct question *q) {
    int pauses = 0, redirects = 0;
    for (;;) { /* redirects and pauses are counted, each to its bound */
        bool sent = true;
        status s = q->reply ? STATUS_OK : ask_node(c, q, &sent);
        if (s == STATUS_NO_MEMORY
            || (s != STATUS_OK && sent && !q->repeatable)) {
            return s;
        }
        if (s == STATUS_OK && is_redirected(c, q)) {
            forget_reply(q);
            if (++redirects > REDIRECTS) {
                return fail(c, STATUS_BACKEND, "redirected in a circle");
            }
        } else if (s == STATUS_OK && !is_passing(q->reply)) {
            return STATUS_OK;
        } else if (!begin_again(c, q, pauses++)) {
            return s == STATUS_OK ? STATUS_OK : STATUS_BACKEND;
        }
    }
}

/* What an answer says; wanted: the type of a good one. */
static status judge(cluster *c, const redisReply *reply, int wanted) {
    if (reply->type == wanted) {
        return STATUS_OK;
    }
    if (reply->type == REDIS_REPLY_NIL) {
        return STATUS_MISS;
    }
    return fail(c, says(reply, "WRONGTYPE") ? STATUS_INVALID : STATUS_BACKEND,
                "Redis refuses: %s",
                reply->type == REDIS_REPLY_ERROR ? reply->str : "");
}

/* Starts a call: ends what the last one has lent. */
static void begin(cluster *c) {
    freeReplyObject(c->lent);
    c->lent = NULL;
    c->error[0] = '\0';
}

/* Asks about one key; the answer is c->lent. */
static status ask_key(cluster *c, const bytes *words, size_t count, bytes key,
                      bool repeatable, int wanted) {
    unsigned slot = cluster_slot(key);
    struct question q = {.words = words,
                         .count = count,
                         .slot = slot,
                         .repeatable = repeatable,
                         .at = owner_of(c, slot)};
    begin(c);
    status s = ask(c, &q);
    c->lent = q.reply;
    return s == STATUS_OK ? judge(c, q.reply, wanted) : s;
}

/* -- many questions ------------------------------------------------------- */

/* A window of keys, and for each the node that was asked and its reply. */
struct window {
    const bytes *keys;
    size_t n;
    uint16_t *asked; /* NOBODY: nobody could be reached */
    redisReply **replies;
};

/* Sends a get for each key to its owner. */
static void send_gets(cluster *c, struct window *w) {
    for (size_t i = 0; i < c->count; i++) {
        c->nodes[i].away = false;
    }
    for (size_t i = 0; i < w->n; i++) {
        bytes words[] = {bytes_of("GET"), w->keys[i]};
        uint16_t at = owner_of(c, cluster_slot(w->keys[i]));
        struct node *node = &c->nodes[at];
        bool asked = !node->away && call(c, node) == STATUS_OK
                     && append(c, node, words, 2) == STATUS_OK;
        w->asked[i] = asked ? at : NOBODY;
        c->stats.commands += asked;
    }
    for (size_t i = 0; i < c->count; i++) {
        redisContext *context = c->nodes[i].context;
        int done = 0;
        while (context && !done
               && redisBufferWrite(context, &done) == REDIS_OK) {
        } /* until all is sent; a failure shows at the first answer */
    }
}

/* Takes the answers, each node's in the order of its questions. */
static void take_replies(cluster *c, struct window *w) {
    for (size_t i = 0; i < w->n; i++) {
        w->replies[i] = NULL;
        if (w->asked[i] != NOBODY) {
            next_reply(c, &c->nodes[w->asked[i]], &w->replies[i]);
        }
    }
}

/* Gives one key its answer: what the pipeline brought, if that is one, or what
 * comes of it. */
static status settle(cluster *c, const struct window *w, size_t i,
                     redisReply **answer) {
    bytes words[] = {bytes_of("GET"), w->keys[i]};
    unsigned slot = cluster_slot(w->keys[i]);
    bool asked = w->replies[i] != NULL;
    struct question q = {.words = words,
                         .count = 2,
                         .slot = slot,
                         .repeatable = true,
                         .at = asked ? w->asked[i] : owner_of(c, slot),
                         .reply = w->replies[i]};
    status s = ask(c, &q);
    *answer = q.reply;
    return s == STATUS_OK ? judge(c, q.reply, REDIS_REPLY_STRING) : s;
}

static void get_window(cluster *c, struct window *w,
                       void (*found)(void *context, size_t i, bytes value),
                       void *context, size_t first, status *results) {
    send_gets(c, w);
    take_replies(c, w);
    for (size_t i = 0; i < w->n; i++) {
        redisReply *answer = NULL;
        results[i] = settle(c, w, i, &answer);
        if (results[i] == STATUS_OK) {
            found(context, first + i, (bytes){answer->str, answer->len});
        }
        freeReplyObject(answer);
    }
}

/* -- the lesson's functions ----------------------------------------------- */

/* Adds "host:port". Returns: STATUS_INVALID if it is none. */
static status add_seed(cluster *c, const char *seed, size_t len) {
    char host[HOST_SIZE];
    if (len >= sizeof host) {
        return STATUS_INVALID;
    }
    memcpy(host, seed, len);
    host[len] = '\0';
    char *colon = strrchr(host, ':'), *rest = NULL;
    if (!colon || colon == host) {
        return STATUS_INVALID;
    }
    long port = strtol(colon + 1, &rest, 10);
    if (rest == colon + 1 || *rest != '\0' || port < 1 || port > PORT_MAX) {
        return STATUS_INVALID;
    }
    *colon = '\0';
    return node_at(c, host, (int)port) != NOBODY ? STATUS_OK : STATUS_NO_MEMORY;
}

static status add_seeds(cluster *c, const char *seeds) {
    status s = STATUS_OK;
    for (;;) { /* a seed each */
        size_t len = strcspn(seeds, ",");
        s = add_seed(c, seeds, len);
        if (s != STATUS_OK || seeds[len] == '\0') {
            return s;
        }
        seeds += len + 1;
    }
}

static cluster_options with_defaults(cluster_options o) {
    o.timeout_ms = o.timeout_ms > 0 ? o.timeout_ms : TIMEOUT_MS;
    o.retries = o.retries != 0 ? o.retries : RETRIES;
    o.pause = o.pause ? o.pause : sleep_ms;
    return o;
}

status cluster_create(const char *seeds, cluster_options options,
                      cluster **out) {
    if (!seeds || options.timeout_ms < 0) {
        return STATUS_INVALID;
    }
    cluster *c = calloc(1, sizeof *c);
    if (!c) {
        return STATUS_NO_MEMORY;
    }
    c->options = with_defaults(options);
    memset(c->owner, 0xff, sizeof c->owner);
    status s = add_seeds(c, seeds);
    if (s == STATUS_OK) {
        s = load_map(c, c->count - 1);
    }
    if (s != STATUS_OK) {
        cluster_destroy(c);
        return s == STATUS_INVALID || s == STATUS_NO_MEMORY ? s
                                                            : STATUS_BACKEND;
    }
    *out = c;
    return STATUS_OK;
}

const char *cluster_error(const cluster *c) {
    return c->error;
}

status cluster_set(cluster *c, bytes key, bytes value) {
    bytes words[] = {bytes_of("SET"), key, value};
    return ask_key(c, words, 3, key, false, REDIS_REPLY_STATUS);
}

status cluster_get(cluster *c, bytes key, bytes *value) {
    bytes words[] = {bytes_of("GET"), key};
    status s = ask_key(c, words, 2, key, true, REDIS_REPLY_STRING);
    if (s == STATUS_OK) {
        *value = (bytes){c->lent->str, c->lent->len};
    }
    return s;
}

status cluster_delete(cluster *c, bytes key) {
    bytes words[] = {bytes_of("DEL"), key};
    status s = ask_key(c, words, 2, key, false, REDIS_REPLY_INTEGER);
    return s == STATUS_OK && c->lent->integer == 0 ? STATUS_MISS : s;
}

status cluster_get_many(cluster *c, const bytes *keys, size_t n,
                        void (*found)(void *context, size_t i, bytes value),
                        void *context, status *results) {
    if (!found || (n > 0 && (!keys || !results))) {
        return STATUS_INVALID;
    }
    begin(c);
    size_t room = n < CLUSTER_WINDOW ? n : CLUSTER_WINDOW;
    struct window w = {.asked = malloc((room + 1) * sizeof *w.asked),
                       .replies = malloc((room + 1) * sizeof *w.replies)};
    bool ready = w.asked && w.replies;
    for (size_t first = 0; ready && first < n; first += room) {
        w.keys = keys + first;
        w.n = n - first < room ? n - first : room;
        get_window(c, &w, found, context, first, results + first);
    }
    free(w.asked);
    free(w.replies);
    return ready ? STATUS_OK : no_memory(c);
}

cluster_stats cluster_statistics(const cluster *c) {
    return c->stats;
}

void cluster_destroy(cluster *c) {
    if (!c) {
        return;
    }
    freeReplyObject(c->lent);
    for (size_t i = 0; i < c->count; i++) {
        hang_up(&c->nodes[i]);
    }
    free(c->nodes);
    free(c);
}
