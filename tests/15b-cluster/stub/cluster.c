/* cluster: a map of slots, a connection for each node, and questions that go
 * from node to node until they have their answer. */
#include "cluster.h"

#include "common/todo.h"

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

unsigned cluster_slot(bytes key) {
    TODO("15b.1: CRC16 of the key, or of its tag, modulo 16,384");
}

/* -- the lesson's functions ----------------------------------------------- */

status cluster_create(const char *seeds, cluster_options options,
                      cluster **out) {
    TODO("15b.2: read the seeds, ask one of them for the map");
}

const char *cluster_error(const cluster *c) {
    TODO("15b.2: what last went wrong");
}

status cluster_set(cluster *c, bytes key, bytes value) {
    TODO("15b.3: ask the owner of the slot; on trouble 15b.4 and 15b.5");
}

status cluster_get(cluster *c, bytes key, bytes *value) {
    TODO("15b.3: ask the owner of the slot; 15b.4 and 15b.5 as well");
}

status cluster_delete(cluster *c, bytes key) {
    TODO("15b.3: ask the owner of the slot; 15b.4 and 15b.5 as well");
}

status cluster_get_many(cluster *c, const bytes *keys, size_t n,
                        void (*found)(void *context, size_t i, bytes value),
                        void *context, status *results) {
    TODO("15b.6: many questions, one pipeline for each node");
}

cluster_stats cluster_statistics(const cluster *c) {
    TODO("15b.2: hand out what has been counted");
}

void cluster_destroy(cluster *c) {
    TODO("15b.2: close all connections, free everything");
}
