/* cluster: a map of slots, a connection for each node, and questions that go
 * from node to node until they have their answer. */
#include "cluster.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIMEOUT_MS = 1000, RETRIES = 16, PAUSE_MS = 10, LONGEST_PAUSE_MS = 500 };
enum { HOST_SIZE = 256, ERROR_SIZE = 384, PORT_MAX = 65535, WORDS_MAX = 3 };

/* More redirects than that, one after the other, lead nowhere. */
enum { REDIRECTS = 16 };

/* Nodes are numbered; this is none. */
enum { NOBODY = UINT16_MAX };

struct address {
    char host[HOST_SIZE];
    int port;
};

struct node {
    struct address address;
    redisContext *context; /* NULL: no connection */
    status fault;          /* why there is none */
    bool wanted;           /* there is something to be sent to it */
};

struct cluster {
    struct node *nodes; /* all that were ever heard of */
    size_t count;
    uint16_t owner[CLUSTER_SLOTS];
    uint16_t suspect; /* a node that failed: our map may be out of date */
    redisReply *lent; /* holds the value that was given last */
    cluster_options options;
    cluster_stats stats;
    char error[ERROR_SIZE];
};

/* How far a question has come: the owner of its slot is to be asked, for the
 * first time or again; or the node that we were sent to; or all is said. */
enum progress { WAITING, REDIRECTED, ENDED };

/* A command on its way from node to node. */
struct question {
    bytes words[WORDS_MAX];
    size_t count;
    unsigned slot;
    bool repeatable; /* to carry it out twice does no harm */
    int wanted;      /* the type of a good answer */
    enum progress progress;
    uint16_t at; /* the node that is asked */
    bool asking; /* that node does not own the slot yet */
    bool sent;
    status result;     /* if it has ended, or must end now */
    redisReply *reply; /* NULL unless the result is STATUS_OK */
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

/* What of the key is hashed: its tag, or all of it. */
static bytes tag_of(bytes key) {
    const char *open = key.len > 0 ? memchr(key.data, '{', key.len) : NULL;
    if (open) {
        const char *tag = open + 1;
        size_t rest = key.len - (size_t)(tag - (const char *)key.data);
        const char *close = memchr(tag, '}', rest);
        if (close && close != tag) {
            return (bytes){tag, (size_t)(close - tag)};
        }
    }
    return key;
}

unsigned cluster_slot(bytes key) {
    bytes tag = tag_of(key);
    return crc16(tag.data, tag.len) % CLUSTER_SLOTS;
}

/* -- nodes ---------------------------------------------------------------- */

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

/* Reads "host:port"; a host may hold colons itself, and may be empty. */
static bool read_address(const char *text, size_t len, struct address *a) {
    if (len >= sizeof a->host) {
        return false;
    }
    memcpy(a->host, text, len);
    a->host[len] = '\0';
    char *end, *colon = strrchr(a->host, ':');
    if (!colon || colon[1] < '0' || colon[1] > '9') {
        return false;
    }
    *colon = '\0';
    long port = strtol(colon + 1, &end, 10);
    a->port = (int)port;
    return *end == '\0' && port >= 1 && port <= PORT_MAX;
}

/* Finds the node at an address, or adds it.
 * Returns: its number; NOBODY without memory. */
static uint16_t node_at(cluster *c, const struct address *a) {
    for (size_t i = 0; i < c->count; i++) {
        const struct address *known = &c->nodes[i].address;
        if (known->port == a->port && strcmp(known->host, a->host) == 0) {
            return (uint16_t)i;
        }
    }
    struct node *nodes =
        c->count == NOBODY ? NULL
                           : realloc(c->nodes, (c->count + 1) * sizeof *nodes);
    if (!nodes) {
        return NOBODY;
    }
    c->nodes = nodes;
    nodes[c->count] = (struct node){.address = *a};
    return (uint16_t)c->count++;
}

/* Gives a connection up, and notes why. */
static status drop(cluster *c, struct node *n, status s, const char *why) {
    fail(c, s, "%s:%d: %s", n->address.host, n->address.port, why);
    redisFree(n->context);
    n->context = NULL;
    n->fault = s;
    c->suspect = (uint16_t)(n - c->nodes);
    return s;
}

/* Between two questions a node owes us nothing: what can be read then is the
 * end of the connection. */
static bool is_quiet(const redisContext *context) {
    struct pollfd p = {.fd = context->fd, .events = POLLIN};
    return poll(&p, 1, 0) == 0;
}

/* Sees to a connection. */
static status connect_to(cluster *c, struct node *n) {
    struct timeval limit = {.tv_sec = c->options.timeout_ms / 1000,
                            .tv_usec = c->options.timeout_ms % 1000 * 1000};
    if (n->context && is_quiet(n->context)) {
        return STATUS_OK;
    }
    redisFree(n->context);
    n->context =
        redisConnectWithTimeout(n->address.host, n->address.port, limit);
    if (!n->context) {
        return drop(c, n, STATUS_NO_MEMORY, "out of memory");
    }
    if (n->context->err || redisSetTimeout(n->context, limit) != REDIS_OK) {
        return drop(c, n, STATUS_BACKEND, n->context->errstr);
    }
    return STATUS_OK;
}

/* Writes a command behind what is to be sent to a node that is connected. */
static status append(cluster *c, struct node *n, const bytes *words,
                     size_t count) {
    const char *texts[WORDS_MAX];
    size_t lens[WORDS_MAX];
    for (size_t i = 0; i < count; i++) {
        texts[i] = words[i].len > 0 ? words[i].data : "";
        lens[i] = words[i].len;
    }
    if (redisAppendCommandArgv(n->context, (int)count, texts, lens)
        != REDIS_OK) {
        return drop(c, n, STATUS_NO_MEMORY, "out of memory");
    }
    return STATUS_OK;
}

/* Waits for the next answer of a node. Returns: the answer, which the caller
 * frees; NULL if there is none, and the node's fault says why. */
static redisReply *next_reply(cluster *c, struct node *n) {
    void *reply = NULL;
    if (!n->context) {
        return NULL; /* it broke at an earlier answer, or before */
    }
    if (redisGetReply(n->context, &reply) == REDIS_OK) {
        return reply;
    }
    int err = n->context->err;
    if (err == REDIS_ERR_IO && (errno == EAGAIN || errno == ETIMEDOUT)) {
        drop(c, n, STATUS_TIMEOUT, "no answer in time");
    } else {
        drop(c, n, err == REDIS_ERR_OOM ? STATUS_NO_MEMORY : STATUS_LOST,
             n->context->errstr);
    }
    return NULL;
}

/* -- the map -------------------------------------------------------------- */

static bool is_number(const redisReply *r, long long least, long long most) {
    return r->type == REDIS_REPLY_INTEGER && r->integer >= least
           && r->integer <= most;
}

/* Reads [host, port, ...]. No host, or an empty one, is that of the node which
 * says so. */
static bool read_node(const redisReply *r, const struct address *speaker,
                      struct address *a) {
    if (r->type != REDIS_REPLY_ARRAY || r->elements < 2
        || !is_number(r->element[1], 1, PORT_MAX)) {
        return false;
    }
    const redisReply *host = r->element[0];
    *a = *speaker;
    a->port = (int)r->element[1]->integer;
    if (host->type == REDIS_REPLY_STRING && host->len > 0) {
        snprintf(a->host, sizeof a->host, "%s", host->str);
    }
    return true;
}

/* Reads one line of a map: first slot, last slot, owner, its replicas. */
static status learn_range(cluster *c, const redisReply *line,
                          const struct address *speaker, uint16_t *owner) {
    struct address a;
    if (line->type != REDIS_REPLY_ARRAY || line->elements < 3
        || !is_number(line->element[0], 0, CLUSTER_SLOTS - 1)
        || !is_number(line->element[1], 0, CLUSTER_SLOTS - 1)
        || !read_node(line->element[2], speaker, &a)) {
        return fail(c, STATUS_BACKEND, "a map that cannot be read");
    }
    uint16_t node = node_at(c, &a);
    for (long long slot = line->element[0]->integer;
         slot <= line->element[1]->integer; slot++) {
        owner[slot] = node;
    }
    return node == NOBODY ? no_memory(c) : STATUS_OK;
}

/* Reads the answer to CLUSTER SLOTS. A slot of which it says nothing belongs
 * to nobody. */
static status learn_map(cluster *c, const redisReply *map, uint16_t at) {
    uint16_t owner[CLUSTER_SLOTS];
    struct address speaker = c->nodes[at].address; /* nodes move in memory */
    if (map->type != REDIS_REPLY_ARRAY || map->elements == 0) {
        return fail(c, STATUS_BACKEND, "%s:%d has no map: %s", speaker.host,
                    speaker.port,
                    map->type == REDIS_REPLY_ERROR ? map->str : "not yet");
    }
    memset(owner, 0xff, sizeof owner);
    for (size_t i = 0; i < map->elements; i++) {
        status s = learn_range(c, map->element[i], &speaker, owner);
        if (s != STATUS_OK) {
            return s;
        }
    }
    memcpy(c->owner, owner, sizeof owner);
    c->stats.maps++;
    return STATUS_OK;
}

static status ask_for_map(cluster *c, uint16_t at) {
    bytes words[] = {bytes_of("CLUSTER"), bytes_of("SLOTS")};
    struct node *n = &c->nodes[at];
    bool asked =
        connect_to(c, n) == STATUS_OK && append(c, n, words, 2) == STATUS_OK;
    redisReply *map = asked ? next_reply(c, n) : NULL;
    if (!map) {
        return n->fault;
    }
    status s = learn_map(c, map, at);
    freeReplyObject(map);
    return s;
}

/* Asks one node after the other for the map, the suspect last. */
static status load_map(cluster *c) {
    status s = STATUS_BACKEND;
    size_t first = c->suspect + (size_t)1;
    size_t count = c->count; /* a map may tell of more */
    for (size_t i = 0; i < count && s != STATUS_OK; i++) {
        s = ask_for_map(c, (uint16_t)((first + i) % count));
    }
    if (s == STATUS_OK) {
        c->suspect = NOBODY;
    }
    return s;
}

/* -- answers -------------------------------------------------------------- */

static bool says(const redisReply *r, const char *word) {
    return r->type == REDIS_REPLY_ERROR
           && strncmp(r->str, word, strlen(word)) == 0;
}

/* Reads where "MOVED 3999 127.0.0.1:6381" points. */
static bool read_redirect(const redisReply *r, unsigned slot,
                          struct address *to) {
    char *end;
    const char *number = strchr(r->str, ' ');
    return number && strtoul(number + 1, &end, 10) == slot && *end == ' '
           && read_address(end + 1, strlen(end + 1), to);
}

/* Sends a question on to where its answer points, once or for good.
 * Returns: false if the answer does not. */
static bool is_redirected(cluster *c, struct question *q, const redisReply *r) {
    struct address to;
    bool moved = says(r, "MOVED ");
    if ((!moved && !says(r, "ASK ")) || !read_redirect(r, q->slot, &to)) {
        return false;
    }
    if (to.host[0] == '\0') {
        memcpy(to.host, c->nodes[q->at].address.host, sizeof to.host);
    }
    uint16_t node = node_at(c, &to);
    if (node == NOBODY) {
        q->result = no_memory(c);
        return true;
    }
    q->result = fail(c, STATUS_BACKEND, "redirected, at last to %s:%d", to.host,
                     to.port);
    q->progress = REDIRECTED;
    q->at = node;
    q->asking = !moved;
    if (moved) {
        c->owner[q->slot] = node;
        c->stats.moved++;
    } else {
        c->stats.asked++;
    }
    return true;
}

/* Judges an answer that is not what was hoped for. */
static void refuse(cluster *c, struct question *q, const redisReply *r) {
    const struct address *a = &c->nodes[q->at].address;
    q->result = fail(
        c, says(r, "WRONGTYPE") ? STATUS_INVALID : STATUS_BACKEND, "%s:%d: %s",
        a->host, a->port,
        r->type == REDIS_REPLY_ERROR ? r->str : "an answer of another type");
    if (says(r, "TRYAGAIN") || says(r, "CLUSTERDOWN") || says(r, "LOADING")) {
        q->progress = WAITING;
        c->suspect = q->at;
    }
}

/* Judges an answer, and keeps it if it holds what was wanted. */
static void judge(cluster *c, struct question *q, redisReply *r) {
    q->progress = ENDED;
    if (r->type == q->wanted) {
        q->result = STATUS_OK;
        q->reply = r;
        return;
    }
    if (r->type == REDIS_REPLY_NIL) {
        q->result = STATUS_MISS;
    } else if (!is_redirected(c, q, r)) {
        refuse(c, q, r);
    }
    freeReplyObject(r);
}

/* -- questions ------------------------------------------------------------ */

/* Chooses the node; any will do if the owner is not known: it redirects us. */
static void choose(cluster *c, struct question *q) {
    if (q->progress == WAITING) {
        uint16_t owner = c->owner[q->slot];
        q->at = owner == NOBODY ? 0 : owner;
        q->asking = false;
    }
    c->nodes[q->at].wanted = true;
}

static void send_one(cluster *c, struct question *q) {
    bytes word = bytes_of("ASKING");
    struct node *n = &c->nodes[q->at];
    q->sent = n->context && (!q->asking || append(c, n, &word, 1) == STATUS_OK)
              && append(c, n, q->words, q->count) == STATUS_OK;
    c->stats.commands += q->sent;
}

/* Sends what has no answer yet, in one pipeline for each node. */
static void send_all(cluster *c, struct question *qs, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (qs[i].progress != ENDED) {
            choose(c, &qs[i]);
        }
    }
    for (size_t i = 0; i < c->count; i++) {
        if (c->nodes[i].wanted) {
            connect_to(c, &c->nodes[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (qs[i].progress != ENDED) {
            send_one(c, &qs[i]);
        }
    }
    for (size_t i = 0; i < c->count; i++) {
        struct node *to = &c->nodes[i];
        int done = !to->wanted || !to->context;
        while (!done && redisBufferWrite(to->context, &done) == REDIS_OK) {
        } /* until all is sent; a failure shows at the first answer */
        to->wanted = false;
    }
}

/* Waits for the answer to a question. Each node answers in order. */
static void receive(cluster *c, struct question *q) {
    struct node *n = &c->nodes[q->at];
    if (q->asking) {
        freeReplyObject(next_reply(c, n));
    }
    redisReply *reply = next_reply(c, n);
    if (reply) {
        judge(c, q, reply);
    } else if (n->fault == STATUS_NO_MEMORY || (q->sent && !q->repeatable)) {
        q->progress = ENDED;
        q->result = n->fault;
    } else {
        q->progress = WAITING;
        q->result = STATUS_BACKEND;
    }
}

/* Returns: how far the last of them has come. */
static enum progress receive_all(cluster *c, struct question *qs, size_t n) {
    enum progress last = ENDED;
    for (size_t i = 0; i < n; i++) {
        if (qs[i].progress != ENDED) {
            receive(c, &qs[i]);
            last = qs[i].progress < last ? qs[i].progress : last;
        }
    }
    return last;
}

static void sleep_ms(void *context, int64_t ms) {
    (void)context;
    struct timespec left = {.tv_sec = (time_t)(ms / 1000),
                            .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* Pauses, if it may. n: how often it did so before. */
static bool pauses_again(cluster *c, int n) {
    if (n >= c->options.retries) {
        return false;
    }
    int64_t ms = n < 6 ? PAUSE_MS << n : LONGEST_PAUSE_MS;
    c->options.pause(c->options.context,
                     ms < LONGEST_PAUSE_MS ? ms : LONGEST_PAUSE_MS);
    c->stats.pauses++;
    return true;
}

/* Asks until every question has ended, or it has taken too long. Redirects and
 * pauses are counted, each to its bound. */
static void ask(cluster *c, struct question *qs, size_t n) {
    int redirects = 0, pauses = 0;
    enum progress last;
    do {
        if (c->suspect != NOBODY) {
            load_map(c); /* if nobody has one, the old one must do */
        }
        send_all(c, qs, n);
        last = receive_all(c, qs, n);
    } while ((last == REDIRECTED && redirects++ < REDIRECTS)
             || (last == WAITING && pauses_again(c, pauses++)));
}

/* Starts a call: ends what the last one has lent. */
static void begin(cluster *c) {
    freeReplyObject(c->lent);
    c->lent = NULL;
}

static struct question question_of(const char *verb, bytes key, int wanted) {
    return (struct question){.words = {bytes_of(verb), key},
                             .count = 2,
                             .slot = cluster_slot(key),
                             .wanted = wanted};
}

static struct question get_of(bytes key) {
    struct question q = question_of("GET", key, REDIS_REPLY_STRING);
    q.repeatable = true;
    return q;
}

/* Asks about one key; a good answer is then c->lent. */
static status ask_one(cluster *c, struct question q) {
    begin(c);
    ask(c, &q, 1);
    c->lent = q.reply;
    return q.result;
}

/* Asks about so many keys as travel together. */
static void ask_many(cluster *c, struct question *qs, const bytes *keys,
                     size_t n) {
    for (size_t i = 0; i < n; i++) {
        qs[i] = get_of(keys[i]);
    }
    ask(c, qs, n);
}

/* -- the lesson's functions ----------------------------------------------- */

static status add_seeds(cluster *c, const char *seeds) {
    for (;;) { /* a seed each */
        struct address a;
        size_t len = strcspn(seeds, ",");
        if (!read_address(seeds, len, &a) || a.host[0] == '\0') {
            return STATUS_INVALID;
        }
        if (node_at(c, &a) == NOBODY) {
            return STATUS_NO_MEMORY;
        }
        if (seeds[len] == '\0') {
            return STATUS_OK;
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
    status s = add_seeds(c, seeds);
    if (s == STATUS_OK) {
        c->suspect = (uint16_t)(c->count - 1); /* the first seed comes first */
        s = load_map(c);
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
    struct question q = question_of("SET", key, REDIS_REPLY_STATUS);
    q.words[q.count++] = value;
    return ask_one(c, q);
}

status cluster_get(cluster *c, bytes key, bytes *value) {
    status s = ask_one(c, get_of(key));
    if (s == STATUS_OK) {
        *value = (bytes){c->lent->str, c->lent->len};
    }
    return s;
}

status cluster_delete(cluster *c, bytes key) {
    status s = ask_one(c, question_of("DEL", key, REDIS_REPLY_INTEGER));
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
    struct question *qs = malloc((room + 1) * sizeof *qs);
    if (!qs) {
        return no_memory(c);
    }
    for (size_t i = 0; i < n; i++) {
        struct question *q = &qs[i % CLUSTER_WINDOW];
        if (q == qs) {
            ask_many(c, qs, keys + i, n - i < room ? n - i : room);
        }
        results[i] = q->result;
        if (q->result == STATUS_OK) {
            found(context, i, (bytes){q->reply->str, q->reply->len});
        }
        freeReplyObject(q->reply);
    }
    free(qs);
    return STATUS_OK;
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
        redisFree(c->nodes[i].context);
    }
    free(c->nodes);
    free(c);
}
