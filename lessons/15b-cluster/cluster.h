/* cluster: one cache over many servers.
 *
 *   key "user:{42}:name"              owner           nodes
 *          |  only what is in        +---------+   +-----------+
 *          v  braces counts          |    0: A |   | A :7000 --+--> redis
 *   CRC16("42") mod 16384 = 8000 --> | 8000: B |-->| B :7001 --+--> redis
 *                                    |   ...   |   | C :7002 --+--> redis
 *                                    +---------+   +-----------+
 *      "MOVED 8000 host:7002": the slot lives there now; write that down
 *      "ASK 8000 host:7002":   it is moving there; ask there, this once
 *
 * A Redis Cluster cuts all keys into 16,384 slots and gives each slot to one
 * of its servers. There is no server in the middle: the client computes the
 * slot, knows who owns it, and asks that server itself. What it knows may be
 * out of date, since slots move while it runs, and servers die and have their
 * replicas take over. Then a server does not answer but redirects, and a client
 * is right if it gives every caller the one true answer all the same.
 *
 * A cluster is for one thread at a time. It has one connection for each node.
 * A program that uses it must ignore SIGPIPE, as any program that writes to
 * sockets: signal(SIGPIPE, SIG_IGN).
 *
 * Source: the Redis Cluster specification; the idea of a table of slots instead
 * of a hash ring, in contrast to Karger et al., "Consistent hashing and random
 * trees", STOC 1997.
 *
 * Promises
 * [P1] A key's slot is CRC16 (XMODEM) of the key modulo 16,384; if the key has
 *      a "{", and a "}" after it with something in between, only what is
 *      between the first "{" and the first "}" after it counts.
 * [P2] After a set, a get of the same key gives that value, through whichever
 *      node the client came in. Keys and values are any bytes.
 * [P3] Once the map is known, a command for a key goes straight to its owner:
 *      one command for each key, none to other nodes.
 * [P4] A MOVED is followed, and the map learns it: a slot that has moved costs
 *      one redirect, and then none. In a call for many keys each key that was
 *      on its way has one.
 * [P5] An ASK is followed with ASKING, this once; the map does not learn it.
 * [P6] A miss and an error of the key's own (it holds a list, say) are answers,
 *      and never asked for again. What answers that is not what was asked for
 *      is an error, and never a value.
 * [P7] TRYAGAIN, CLUSTERDOWN, LOADING, and a node that nobody can reach are
 *      tried again, after a pause that doubles each time, and with a map that
 *      was asked for anew; after so many pauses as the options say the call
 *      ends with STATUS_BACKEND.
 * [P8] A get whose answer did not come, or not in time, is tried again in the
 *      same way; a set or a delete that may have been received is not, and the
 *      caller decides. So nothing is carried out twice. A connection that ended
 *      between two calls is replaced before anything is sent, and one on which
 *      an answer is late before anything else: that answer is nobody's.
 * [P9] get_many sends to all nodes before it waits for the first answer, one
 *      pipeline for each; it tells the values in the order of the keys, and
 *      gives every key the answer to its own question, also while slots move.
 * [P10] A node that was replaced by its replica is found, and what the replica
 *      had is read: after a node has failed, the others are asked for the map
 *      before anything else.
 * [P11] Redirects that lead in a circle, or nowhere, end with STATUS_BACKEND.
 *      One that does not name the key's own slot and a good address is not
 *      followed: it is an error like any other.
 * [P12] Bad arguments are refused with STATUS_INVALID, and nothing is sent.
 * [P13] When memory runs out, the call says so; every answer is freed; destroy
 *      gives back every byte and closes every connection; destroy(NULL) does
 *      nothing.
 * [P14] What cannot be read as a map is none: the old map stands, and another
 *      node is asked. */
#ifndef LESSON_CLUSTER_H
#define LESSON_CLUSTER_H

#include "common/bytes.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

#define CLUSTER_SLOTS ((unsigned)16384)

typedef struct cluster cluster;

/* All zero: the defaults. */
typedef struct cluster_options {
    int timeout_ms; /* for each connection and each answer; 0: 1,000 */
    int retries;    /* how often a call may pause; 0: 16; negative: never */
    /* Pauses for 10 ms, then 20, 40, and so on, never more than 500; NULL:
     * sleeps. A test need not wait, and can let the world change here. */
    void (*pause)(void *context, int64_t ms);
    void *context;
} cluster_options;

/* What has been counted since the cluster was made. */
typedef struct cluster_stats {
    uint64_t commands; /* sent, of those that callers asked for */
    uint64_t moved;    /* redirects that the map learned */
    uint64_t asked;    /* redirects that held for once */
    uint64_t maps;     /* maps that were read */
    uint64_t pauses;
} cluster_stats;

/* The slot of a key, 0 to CLUSTER_SLOTS - 1. Cost: O(length). */
unsigned cluster_slot(bytes key);

/* Comes to know a cluster.
 * seeds: "host:port", or several with commas between: the first that has a map
 * will do. Copied.
 * options: timeout_ms is not negative.
 * out: the cluster, which the caller ends with cluster_destroy.
 * Returns: STATUS_OK; STATUS_INVALID: an argument; STATUS_BACKEND: none of them
 * is a node that can be reached and has a map; STATUS_NO_MEMORY. *out is
 * written on STATUS_OK only. Cost: a connection and a round trip. */
status cluster_create(const char *seeds, cluster_options options,
                      cluster **out);

/* What last went wrong, in one line for people: after a call that failed, why.
 * Empty at first. Lent until the next call. */
const char *cluster_error(const cluster *c);

/* Inserts or replaces.
 * Returns: STATUS_OK; a failure:
 *   STATUS_BACKEND  nobody could be reached, or they refused; nothing was done
 *   STATUS_TIMEOUT  no answer in time: it may have been done
 *   STATUS_LOST     the connection broke after it was sent: as above
 *   STATUS_NO_MEMORY
 * Cost: one round trip. */
status cluster_set(cluster *c, bytes key, bytes value);

/* Looks a key up.
 * value: out, not NULL; lent until the next call. Written on STATUS_OK only.
 * Returns: STATUS_OK; STATUS_MISS; STATUS_INVALID: the key holds no string;
 * STATUS_BACKEND; STATUS_NO_MEMORY. Cost: one round trip. */
status cluster_get(cluster *c, bytes key, bytes *value);

/* Removes a key.
 * Returns: STATUS_OK; STATUS_MISS: it was not there; a failure, as for a set.
 * Cost: one round trip. */
status cluster_delete(cluster *c, bytes key);

/* Looks many keys up, with one pipeline for each node.
 * found: called for each key that is there, in the order of the keys, with its
 * place among them; the value is lent for the call. It may not call the
 * cluster.
 * context: passed on, never followed.
 * results: out, one for each key: what cluster_get would have returned.
 * Returns: STATUS_OK: see results; STATUS_INVALID: an argument is NULL, other
 * than keys and results if n is 0; STATUS_NO_MEMORY: nobody was asked.
 * Cost: about one round trip for CLUSTER_WINDOW keys. */
status cluster_get_many(cluster *c, const bytes *keys, size_t n,
                        void (*found)(void *context, size_t i, bytes value),
                        void *context, status *results);

/* How many keys travel at once. */
#define CLUSTER_WINDOW ((size_t)1024)

/* Cost: O(1). */
cluster_stats cluster_statistics(const cluster *c);

/* Closes all connections; NULL is fine. */
void cluster_destroy(cluster *c);

#endif
