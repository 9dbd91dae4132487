/* Another design: nodes in a list that never move, slots that point to them,
 * and a question that is asked by itself until it has its answer. get_many
 * sends one pipeline to each node, and then settles each key by itself. */
#include "cluster.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HOST_SIZE = 256, REDIRECTS = 16, LONGEST_PAUSE_MS = 500 };

struct node {
    struct node *next;
    redisContext *context; /* NULL: no connection */
    status fault;          /* why there is none */
    bool tried;            /* in this round of get_many */
    int port;
    char host[HOST_SIZE];
};

struct cluster {
    struct node *nodes;
    struct node *owner[CLUSTER_SLOTS]; /* or anybody, if it is not known */
    struct node *suspect;              /* failed: ask others for the map */
    redisReply *lent;
    cluster_options options;
    cluster_stats stats;
    char error[512];
};

struct question {
    const bytes *words;
    int count;
    unsigned slot;
    bool repeatable;
};

unsigned cluster_slot(bytes key) {
    const unsigned char *at = key.data, *end = at + key.len;
    const unsigned char *open = key.len ? memchr(at, '{', key.len) : NULL;
    const unsigned char *close =
        open ? memchr(open, '}', (size_t)(end - open)) : NULL;
    if (close && close > open + 1) {
        at = open + 1;
        end = close;
    }
    unsigned crc = 0;
    for (; at < end; at++) {
        crc ^= (unsigned)*at << 8;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc << 1) ^ (crc & 0x8000 ? 0x11021 : 0);
        }
    }
    return crc % CLUSTER_SLOTS;
}

/* -- nodes ---------------------------------------------------------------- */

static status say(cluster *c, status s, const char *text) {
    snprintf(c->error, sizeof c->error, "%s", text);
    return s;
}

/* Finds the node of a host (with its length) and a port, or adds it. */
static struct node *node_of(cluster *c, const char *host, size_t len,
                            int port) {
    struct node **at = &c->nodes;
    for (; *at; at = &(*at)->next) {
        if ((*at)->port == port && strlen((*at)->host) == len
            && memcmp((*at)->host, host, len) == 0) {
            return *at;
        }
    }
    *at = calloc(1, sizeof **at);
    if (*at) {
        memcpy((*at)->host, host, len);
        (*at)->port = port;
    }
    return *at;
}

/* Cuts "host:port". Returns: false if it is none. */
static bool cut(const char *text, size_t len, size_t *host_len, int *port) {
    size_t colon = len;
    while (colon > 0 && text[colon - 1] != ':') {
        colon--;
    }
    if (colon == 0 || colon == len || colon > HOST_SIZE || len - colon > 5) {
        return false;
    }
    *port = 0;
    for (size_t i = colon; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        *port = *port * 10 + (text[i] - '0');
    }
    *host_len = colon - 1;
    return *port >= 1 && *port <= 65535;
}

static status drop(cluster *c, struct node *n, status s) {
    say(c, s, n->context ? n->context->errstr : "out of memory");
    redisFree(n->context);
    n->context = NULL;
    c->suspect = n;
    return n->fault = s;
}

static status call(cluster *c, struct node *n) {
    struct timeval limit = {.tv_sec = c->options.timeout_ms / 1000,
                            .tv_usec = c->options.timeout_ms % 1000 * 1000};
    if (n->context) {
        struct pollfd p = {.fd = n->context->fd, .events = POLLIN};
        if (poll(&p, 1, 0) == 0) {
            return STATUS_OK;
        }
        redisFree(n->context);
    }
    n->context = redisConnectWithTimeout(n->host, n->port, limit);
    if (!n->context) {
        return drop(c, n, STATUS_NO_MEMORY);
    }
    return n->context->err || redisSetTimeout(n->context, limit) != REDIS_OK
               ? drop(c, n, STATUS_BACKEND)
               : STATUS_OK;
}

static status append(cluster *c, struct node *n, const bytes *words,
                     int count) {
    const char *texts[3];
    size_t lens[3];
    for (int i = 0; i < count; i++) {
        texts[i] = words[i].len ? words[i].data : "";
        lens[i] = words[i].len;
    }
    return redisAppendCommandArgv(n->context, count, texts, lens) == REDIS_OK
               ? STATUS_OK
               : drop(c, n, STATUS_NO_MEMORY);
}

/* Returns: NULL without an answer, and the node's fault says why. */
static redisReply *next_reply(cluster *c, struct node *n) {
    void *reply = NULL;
    if (!n->context || redisGetReply(n->context, &reply) == REDIS_OK) {
        return reply;
    }
    bool late = n->context->err == REDIS_ERR_IO && errno == EAGAIN;
    bool full = n->context->err == REDIS_ERR_OOM;
    drop(c, n, late ? STATUS_TIMEOUT : full ? STATUS_NO_MEMORY : STATUS_LOST);
    return NULL;
}

/* -- the map -------------------------------------------------------------- */

static bool is_list(const redisReply *r, size_t least) {
    return r->type == REDIS_REPLY_ARRAY && r->elements >= least;
}

static bool is_number(const redisReply *r, long long least, long long most) {
    return r->type == REDIS_REPLY_INTEGER && r->integer >= least
           && r->integer <= most;
}

static bool is_map(const redisReply *map) {
    bool good = is_list(map, 1);
    for (size_t i = 0; good && i < map->elements; i++) {
        redisReply **e = map->element[i]->element;
        good = is_list(map->element[i], 3) && is_number(e[0], 0, 16383)
               && is_number(e[1], 0, 16383) && is_list(e[2], 2)
               && is_number(e[2]->element[1], 1, 65535)
               && (e[2]->element[0]->type != REDIS_REPLY_STRING
                   || e[2]->element[0]->len < HOST_SIZE);
    }
    return good;
}

static status learn(cluster *c, const struct node *speaker,
                    const redisReply *map) {
    struct node *owner[CLUSTER_SLOTS];
    for (size_t s = 0; s < CLUSTER_SLOTS; s++) {
        owner[s] = c->nodes; /* anybody redirects us */
    }
    for (size_t i = 0; i < map->elements; i++) {
        redisReply **e = map->element[i]->element;
        const redisReply *host = e[2]->element[0];
        const char *name = host->str && *host->str ? host->str : speaker->host;
        struct node *n =
            node_of(c, name, strlen(name), (int)e[2]->element[1]->integer);
        if (!n) {
            return say(c, STATUS_NO_MEMORY, "out of memory");
        }
        for (long long s = e[0]->integer; s <= e[1]->integer; s++) {
            owner[s] = n;
        }
    }
    memcpy(c->owner, owner, sizeof owner);
    c->stats.maps++;
    return STATUS_OK;
}

static status ask_for_map(cluster *c, struct node *n) {
    bytes words[] = {bytes_of("CLUSTER"), bytes_of("SLOTS")};
    if (call(c, n) != STATUS_OK || append(c, n, words, 2) != STATUS_OK) {
        return n->fault;
    }
    redisReply *map = next_reply(c, n);
    if (!map) {
        return n->fault;
    }
    status s = is_map(map) ? learn(c, n, map)
                           : say(c, STATUS_BACKEND, "a node without a map");
    freeReplyObject(map);
    return s;
}

/* All but one are asked, and that one last. */
static status load_map(cluster *c, struct node *last) {
    status s = STATUS_BACKEND;
    for (struct node *n = c->nodes; n && s != STATUS_OK; n = n->next) {
        s = n == last ? s : ask_for_map(c, n);
    }
    s = s != STATUS_OK && last ? ask_for_map(c, last) : s;
    if (s == STATUS_OK) {
        c->suspect = NULL;
    }
    return s;
}

/* -- one question --------------------------------------------------------- */

static bool says(const redisReply *r, const char *word) {
    return r->type == REDIS_REPLY_ERROR
           && strncmp(r->str, word, strlen(word)) == 0;
}

/* Where a redirect leads. Returns: NULL if nowhere; *full: without memory. */
static struct node *target(cluster *c, const redisReply *r,
                           const struct node *speaker, unsigned slot,
                           bool *full) {
    unsigned named;
    int used = 0, port;
    size_t len;
    if ((!says(r, "MOVED ") && !says(r, "ASK "))
        || sscanf(r->str, "%*s %u %n", &named, &used) != 1 || used == 0
        || r->str[used - 1] != ' ' || named != slot
        || !cut(r->str + used, strlen(r->str + used), &len, &port)) {
        return NULL;
    }
    const char *host = len ? r->str + used : speaker->host;
    struct node *n = node_of(c, host, len ? len : strlen(host), port);
    *full = n == NULL;
    return n;
}

static redisReply *ask_node(cluster *c, struct node *n,
                            const struct question *q, bool asking, bool *sent) {
    bytes word = bytes_of("ASKING");
    status s = call(c, n);
    s = s == STATUS_OK && asking ? append(c, n, &word, 1) : s;
    s = s == STATUS_OK ? append(c, n, q->words, q->count) : s;
    *sent = s == STATUS_OK;
    c->stats.commands += *sent;
    if (*sent && asking) {
        freeReplyObject(next_reply(c, n));
    }
    return *sent ? next_reply(c, n) : NULL;
}

static void sleep_ms(void *context, int64_t ms) {
    (void)context;
    nanosleep(&(struct timespec){.tv_sec = (time_t)(ms / 1000),
                                 .tv_nsec = (long)(ms % 1000) * 1000000},
              NULL);
}

static bool may_pause(cluster *c, int n) {
    int64_t ms = n < 6 ? 10 << n : LONGEST_PAUSE_MS;
    if (n >= c->options.retries) {
        return false;
    }
    c->stats.pauses++;
    c->options.pause(c->options.context, ms);
    return true;
}

static bool is_passing(cluster *c, const redisReply *r) {
    bool passing =
        says(r, "TRYAGAIN") || says(r, "LOADING") || says(r, "CLUSTERDOWN");
    if (passing) {
        say(c, STATUS_BACKEND, r->str);
    }
    return passing;
}

/* Learns what a redirect says. */
static void follow(cluster *c, unsigned slot, struct node *to, bool asking) {
    if (asking) {
        c->stats.asked++;
    } else {
        c->stats.moved++;
        c->owner[slot] = to;
    }
}

/* Asks until there is an answer; n and r may be those of a pipeline.
 * Returns: the answer, which the caller frees; or NULL, and *why. */
static redisReply *ask(cluster *c, const struct question *q, struct node *n,
                       redisReply *r, status *why) {
    int redirects = 0, pauses = 0;
    bool asking = false;
    for (;;) { /* redirects and pauses are bounded */
        bool sent = true, full = false;
        r = r ? r : ask_node(c, n, q, asking, &sent);
        *why = r ? STATUS_BACKEND : n->fault;
        if (*why == STATUS_NO_MEMORY || (!r && sent && !q->repeatable)) {
            return NULL;
        }
        struct node *to = r ? target(c, r, n, q->slot, &full) : NULL;
        if (r && !to && !full && !is_passing(c, r)) {
            return r;
        }
        asking = r && says(r, "ASK ");
        freeReplyObject(r);
        r = NULL;
        if (full) {
            *why = say(c, STATUS_NO_MEMORY, "out of memory");
            return NULL;
        }
        if (to && redirects++ < REDIRECTS) {
            follow(c, q->slot, to, asking);
            n = to;
        } else if (may_pause(c, pauses++)) {
            load_map(c, n);
            n = c->owner[q->slot];
            asking = false;
        } else {
            *why = STATUS_BACKEND;
            return NULL;
        }
    }
}

static status judge(cluster *c, const redisReply *r, status why, int wanted) {
    if (!r) {
        return why;
    }
    if (r->type == wanted) {
        return STATUS_OK;
    }
    if (r->type == REDIS_REPLY_NIL) {
        return STATUS_MISS;
    }
    return say(c, says(r, "WRONGTYPE") ? STATUS_INVALID : STATUS_BACKEND,
               r->type == REDIS_REPLY_ERROR ? r->str : "a strange answer");
}

static void begin(cluster *c) {
    freeReplyObject(c->lent);
    c->lent = NULL;
    if (c->suspect) {
        load_map(c, c->suspect);
    }
}

static status ask_key(cluster *c, const bytes *words, int count,
                      bool repeatable, int wanted) {
    struct question q = {words, count, cluster_slot(words[1]), repeatable};
    status why = STATUS_OK;
    begin(c);
    c->lent = ask(c, &q, c->owner[q.slot], NULL, &why);
    return judge(c, c->lent, why, wanted);
}

/* -- the lesson's functions ----------------------------------------------- */

static status add_seeds(cluster *c, const char *seeds) {
    for (;;) { /* a seed each */
        size_t len = strcspn(seeds, ","), host_len;
        int port;
        if (!cut(seeds, len, &host_len, &port) || host_len == 0) {
            return STATUS_INVALID;
        }
        if (!node_of(c, seeds, host_len, port)) {
            return STATUS_NO_MEMORY;
        }
        if (seeds[len] == '\0') {
            return STATUS_OK;
        }
        seeds += len + 1;
    }
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
    c->options = options;
    c->options.timeout_ms = options.timeout_ms ? options.timeout_ms : 1000;
    c->options.retries = options.retries ? options.retries : 16;
    c->options.pause = options.pause ? options.pause : sleep_ms;
    status s = add_seeds(c, seeds);
    if (s == STATUS_OK) {
        s = load_map(c, NULL);
        s = s == STATUS_OK || s == STATUS_NO_MEMORY ? s : STATUS_BACKEND;
    }
    if (s != STATUS_OK) {
        cluster_destroy(c);
        return s;
    }
    *out = c;
    return STATUS_OK;
}

const char *cluster_error(const cluster *c) {
    return c->error;
}

status cluster_set(cluster *c, bytes key, bytes value) {
    bytes words[] = {bytes_of("SET"), key, value};
    return ask_key(c, words, 3, false, REDIS_REPLY_STATUS);
}

status cluster_get(cluster *c, bytes key, bytes *value) {
    bytes words[] = {bytes_of("GET"), key};
    status s = ask_key(c, words, 2, true, REDIS_REPLY_STRING);
    if (s == STATUS_OK) {
        *value = (bytes){c->lent->str, c->lent->len};
    }
    return s;
}

status cluster_delete(cluster *c, bytes key) {
    bytes words[] = {bytes_of("DEL"), key};
    status s = ask_key(c, words, 2, false, REDIS_REPLY_INTEGER);
    return s == STATUS_OK && c->lent->integer == 0 ? STATUS_MISS : s;
}

/* Sends a get for each key. asked: out, the node of each. */
static void send_gets(cluster *c, const bytes *keys, size_t n,
                      struct node **asked) {
    for (struct node *node = c->nodes; node; node = node->next) {
        node->tried = false;
    }
    for (size_t i = 0; i < n; i++) {
        bytes words[] = {bytes_of("GET"), keys[i]};
        struct node *node = asked[i] = c->owner[cluster_slot(keys[i])];
        if (!node->tried) {
            node->tried = true;
            call(c, node);
        }
        c->stats.commands +=
            node->context && append(c, node, words, 2) == STATUS_OK;
    }
    for (struct node *node = c->nodes; node; node = node->next) {
        int done = !node->tried || !node->context;
        while (!done && redisBufferWrite(node->context, &done) == REDIS_OK) {
        } /* until all is sent */
    }
}

/* Asks on where the pipeline has brought no answer, r, to one key. */
static status settle(cluster *c, bytes key, struct node *asked,
                     redisReply **r) {
    bytes words[] = {bytes_of("GET"), key};
    struct question q = {words, 2, cluster_slot(key), true};
    status why = STATUS_BACKEND;
    if (*r || c->options.retries > 0) {
        *r = ask(c, &q, asked, *r, &why);
    }
    return judge(c, *r, why, REDIS_REPLY_STRING);
}

status cluster_get_many(cluster *c, const bytes *keys, size_t n,
                        void (*found)(void *context, size_t i, bytes value),
                        void *context, status *results) {
    if (!found || (n > 0 && (!keys || !results))) {
        return STATUS_INVALID;
    }
    struct node **asked = malloc(CLUSTER_WINDOW * sizeof *asked);
    redisReply **replies = malloc(CLUSTER_WINDOW * sizeof(redisReply *));
    status s = asked && replies ? STATUS_OK
                                : say(c, STATUS_NO_MEMORY, "out of memory");
    begin(c);
    for (size_t at = 0; s == STATUS_OK && at < n; at += CLUSTER_WINDOW) {
        size_t some = n - at < CLUSTER_WINDOW ? n - at : CLUSTER_WINDOW;
        send_gets(c, keys + at, some, asked);
        for (size_t i = 0; i < some; i++) {
            replies[i] = next_reply(c, asked[i]);
        }
        for (size_t i = 0; i < some; i++) {
            redisReply *r = replies[i];
            results[at + i] = settle(c, keys[at + i], asked[i], &r);
            if (r && results[at + i] == STATUS_OK) {
                found(context, at + i, (bytes){r->str, r->len});
            }
            freeReplyObject(r);
        }
    }
    free(asked);
    free(replies);
    return s;
}

cluster_stats cluster_statistics(const cluster *c) {
    return c->stats;
}

void cluster_destroy(cluster *c) {
    if (!c) {
        return;
    }
    freeReplyObject(c->lent);
    while (c->nodes) {
        struct node *n = c->nodes;
        c->nodes = n->next;
        redisFree(n->context);
        free(n);
    }
    free(c);
}
