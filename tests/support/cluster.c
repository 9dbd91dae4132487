/* A Redis Cluster, as redis-cli makes it of servers that run. */
#include "support/cluster.h"

#include "support/check.h"
#include "support/pause.h"
#include "support/process.h"

#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    NODES_MAX = 8,
    SLOTS = 16384,
    ID_LEN = 40,
    WAIT_MS = 20000,
    VOTE_MS = 5000,
    MEET_MS = 250,
    BUS = 10000
};

/* What a test with a cluster may take, on a machine that is busy. */
enum { SECONDS = 30 };

struct node {
    redis *server;
    const char *port; /* the end of its address */
    char id[ID_LEN + 1];
};

/* Shared with child processes, so that a slot which one of them has moved is
 * known to all. */
struct redis_cluster {
    struct node nodes[NODES_MAX];
    unsigned count, masters;
    int ms; /* that redis-cli has taken, about */
    unsigned char owner[SLOTS];
    unsigned char heir[SLOTS]; /* of a slot that is moving; else its owner */
};

static void must(bool holds, const char *did) {
    want_true(holds, did, "the test's own Redis Cluster does not do as told");
}

static redisContext *dial(const struct node *n) {
    redisContext *line = redisConnectUnix(redis_path(n->server));
    must(line && !line->err, "connect to a node");
    return line;
}

/* Sends one command through a connection of its own, so that threads and child
 * processes may do so too. Returns: the answer, which the caller frees. */
static redisReply *ask(const struct node *n, const char *format,
                       va_list values) {
    redisContext *line = dial(n);
    redisReply *reply = redisvCommand(line, format, values);
    if (!reply || reply->type == REDIS_REPLY_ERROR) {
        must(false, text("%s: %s", format, reply ? reply->str : line->errstr));
    }
    redisFree(line);
    return reply;
}

static redisReply *command(const struct node *n, const char *format, ...) {
    va_list values;
    va_start(values, format);
    redisReply *reply = ask(n, format, values);
    va_end(values);
    return reply;
}

static void tell(const struct node *n, const char *format, ...) {
    va_list values;
    va_start(values, format);
    freeReplyObject(ask(n, format, values));
    va_end(values);
}

long long redis_cluster_ask(redis_cluster *rc, unsigned node,
                            const char *format, ...) {
    va_list values;
    va_start(values, format);
    redisReply *reply = ask(&rc->nodes[node], format, values);
    va_end(values);
    long long number = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    freeReplyObject(reply);
    return number;
}

static bool says(const struct node *n, const char *question,
                 const char *wanted) {
    redisReply *reply = command(n, question);
    bool found = reply->str && strstr(reply->str, wanted);
    freeReplyObject(reply);
    return found;
}

/* Waits until a node's answer holds a text. */
static void wait_for(const struct node *n, const char *question,
                     const char *format, ...) {
    char wanted[128];
    va_list values;
    va_start(values, format);
    vsnprintf(wanted, sizeof wanted, format, values);
    va_end(values);
    bool found = says(n, question, wanted);
    for (int ms = 0; ms < WAIT_MS && !found; ms++) {
        pause_ms(1);
        found = says(n, question, wanted);
    }
    must(found, question);
}

/* -- start and stop ------------------------------------------------------- */

static void start_node(struct node *n) {
    n->server = redis_start_node();
    n->port = strrchr(redis_host_port(n->server), ':') + 1;
    redisReply *id = command(n, "CLUSTER MYID");
    must(id->len == ID_LEN, "ask a node for its name");
    memcpy(n->id, id->str, ID_LEN);
    freeReplyObject(id);
    /* A replica need not wait for others that may come. */
    tell(n, "CONFIG SET repl-diskless-sync-delay 0");
}

/* Everybody meets everybody, and tells who it is: faster than gossip. Only who
 * is met listens, if both know each other; so each pair meets twice. */
static void introduce(redis_cluster *rc) {
    for (unsigned i = 0; i < rc->count; i++) {
        for (unsigned k = 0; k < rc->count; k++) {
            if (i != k) {
                tell(&rc->nodes[i], "CLUSTER MEET 127.0.0.1 %s",
                     rc->nodes[k].port);
            }
        }
    }
}

/* redis-cli wants nodes that know nobody, and the last thing that it does to
 * them is to let the last one meet the first. Then it looks once a second
 * whether all know all slots: by gossip alone, three nodes take one to eight
 * seconds, so we spread the news. */
static void hurry(void *context) {
    redis_cluster *rc = context;
    if (rc->ms++ % MEET_MS == 0
        && !says(&rc->nodes[rc->count - 1], "CLUSTER INFO",
                 "cluster_known_nodes:1\r")) {
        introduce(rc);
    }
}

/* The end of a file: there a program says why it has failed. In a short one we
 * cannot go back so far, and stay at its beginning. */
static const char *last_words(const char *path) {
    static char words[256];
    FILE *file = fopen(path, "r");
    must(file != NULL, "read what redis-cli has printed");
    fseek(file, 1 - (long)sizeof words, SEEK_END);
    size_t len = fread(words, 1, sizeof words - 1, file);
    fclose(file);
    len -= len > 0 && words[len - 1] == '\n';
    words[len] = '\0';
    return words;
}

/* TERM: in a terminal it prints in colours. */
static void join(redis_cluster *rc, process *cli, unsigned replicas) {
    char line[512];
    int used = sprintf(line, "exec env TERM=dumb redis-cli --cluster create");
    for (unsigned i = 0; i < rc->count; i++) {
        used += sprintf(line + used, " %s", redis_cluster_address(rc, i));
    }
    sprintf(line + used, " --cluster-yes --cluster-replicas %u > printed 2>&1",
            replicas);
    if (!process_run(cli, (const char *[]){"sh", "-c", line, NULL}, hurry,
                     rc)) {
        const char *path = text("%s/printed", process_directory(cli));
        must(false, text("redis-cli --cluster create\n%s", last_words(path)));
    }
}

/* What a node says of another one when that is "master", say. */
static const char *as(const struct node *n, const char *what) {
    return text("%s 127.0.0.1:%s@%d %s", n->id, n->port, atoi(n->port) + BUS,
                what);
}

/* Who has not heard of a replica, and of all epochs, would not vote for it;
 * redis-cli counts them from 1 on. */
static bool all_know_replicas(const redis_cluster *rc) {
    for (unsigned i = 0; i < rc->count; i++) {
        const struct node *n = &rc->nodes[i];
        bool knows = says(n, "CLUSTER INFO",
                          text("cluster_current_epoch:%u\r", rc->count));
        for (unsigned k = rc->masters; k < rc->count && knows; k++) {
            knows = says(n, "CLUSTER NODES",
                         as(&rc->nodes[k], i == k ? "myself,slave" : "slave"));
        }
        if (!knows) {
            return false;
        }
    }
    return true;
}

static void introduce_replicas(redis_cluster *rc) {
    bool know = all_know_replicas(rc);
    for (int ms = 0; ms < WAIT_MS && !know; ms++) {
        if (ms % MEET_MS == 0) {
            introduce(rc);
        }
        pause_ms(1);
        know = all_know_replicas(rc);
    }
    must(know, "let all nodes know all replicas");
}

/* Who is being met counts as a node of its own until both know each other. */
static void wait_for_all(const redis_cluster *rc) {
    for (unsigned i = 0; i < rc->count; i++) {
        wait_for(&rc->nodes[i], "CLUSTER INFO", "cluster_state:ok");
        wait_for(&rc->nodes[i], "CLUSTER INFO", "cluster_known_nodes:%u\r",
                 rc->count);
    }
    for (unsigned i = rc->masters; i < rc->count; i++) {
        wait_for(&rc->nodes[i], "INFO replication", "master_link_status:up");
    }
}

static unsigned node_at(const redis_cluster *rc, long long port) {
    unsigned i = 0;
    while (i < rc->count && atoi(rc->nodes[i].port) != port) {
        i++;
    }
    must(i < rc->count, "look for a node by its port");
    return i;
}

/* redis-cli deals out slots and replicas as it likes. */
static void learn_owners(redis_cluster *rc) {
    redisReply *ranges = command(&rc->nodes[0], "CLUSTER SLOTS");
    for (size_t i = 0; i < ranges->elements; i++) {
        redisReply *const *range = ranges->element[i]->element;
        unsigned owner = node_at(rc, range[2]->element[1]->integer);
        for (long long slot = range[0]->integer; slot <= range[1]->integer;
             slot++) {
            rc->owner[slot] = rc->heir[slot] = (unsigned char)owner;
        }
    }
    freeReplyObject(ranges);
}

static void sort_replicas(redis_cluster *rc) {
    struct node sorted[NODES_MAX];
    memcpy(sorted, rc->nodes, sizeof sorted);
    for (unsigned i = rc->masters; i < rc->count; i++) {
        redisReply *role = command(&rc->nodes[i], "ROLE");
        unsigned master = node_at(rc, role->element[2]->integer);
        sorted[rc->masters + master] = rc->nodes[i];
        freeReplyObject(role);
    }
    memcpy(rc->nodes, sorted, sizeof sorted);
}

static redis_cluster *create(unsigned masters, unsigned replicas) {
    test_allow(SECONDS);
    redis_cluster *rc = mmap(NULL, sizeof *rc, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(rc != MAP_FAILED && replicas <= 1
             && masters * (1 + replicas) <= NODES_MAX,
         "start a cluster");
    rc->masters = masters;
    rc->count = masters * (1 + replicas);
    for (unsigned i = 0; i < rc->count; i++) {
        start_node(&rc->nodes[i]);
    }
    return rc;
}

redis_cluster *redis_cluster_start_one(void) {
    return create(1, 0);
}

redis_cluster *redis_cluster_start(unsigned masters, unsigned replicas) {
    process *cli = process_create("redis-cli", "redis-tools");
    redis_cluster *rc = create(masters, replicas);
    join(rc, cli, replicas);
    process_destroy(cli);
    introduce_replicas(rc);
    wait_for_all(rc);
    learn_owners(rc);
    sort_replicas(rc);
    return rc;
}

void redis_cluster_stop(redis_cluster *rc) {
    if (!rc) {
        return;
    }
    for (unsigned i = 0; i < rc->count; i++) {
        redis_stop(rc->nodes[i].server);
    }
    munmap(rc, sizeof *rc);
}

const char *redis_cluster_address(const redis_cluster *rc, unsigned node) {
    return redis_host_port(rc->nodes[node].server);
}

redis *redis_cluster_node(redis_cluster *rc, unsigned node) {
    return rc->nodes[node].server;
}

unsigned redis_cluster_owner(const redis_cluster *rc, unsigned slot) {
    return rc->owner[slot];
}

/* -- moving --------------------------------------------------------------- */

void redis_cluster_begin_move(redis_cluster *rc, unsigned slot, unsigned to) {
    unsigned from = rc->owner[slot];
    rc->heir[slot] = (unsigned char)to;
    tell(&rc->nodes[to], "CLUSTER SETSLOT %u IMPORTING %s", slot,
         rc->nodes[from].id);
    tell(&rc->nodes[from], "CLUSTER SETSLOT %u MIGRATING %s", slot,
         rc->nodes[to].id);
}

unsigned redis_cluster_move_keys(redis_cluster *rc, unsigned slot,
                                 unsigned most) {
    const struct node *from = &rc->nodes[rc->owner[slot]];
    const struct node *to = &rc->nodes[rc->heir[slot]];
    if (from == to) {
        return 0;
    }
    redisReply *keys = command(from, "CLUSTER GETKEYSINSLOT %u %u", slot, most);
    unsigned count = (unsigned)keys->elements;
    for (unsigned i = 0; i < count; i++) {
        tell(from, "MIGRATE 127.0.0.1 %s %b 0 5000", to->port,
             keys->element[i]->str, keys->element[i]->len);
    }
    freeReplyObject(keys);
    return count;
}

/* Waits until all have heard that a node has the greatest epoch of all. Before
 * that, an older message of a slot's old owner could give it the slot back. */
static void wait_for_epoch(const redis_cluster *rc, unsigned node) {
    static const char name[] = "cluster_my_epoch:";
    redisReply *info = command(&rc->nodes[node], "CLUSTER INFO");
    const char *at = info->str ? strstr(info->str, name) : NULL;
    int epoch = at ? atoi(at + sizeof name - 1) : 0;
    freeReplyObject(info);
    for (unsigned i = 0; i < rc->masters; i++) {
        wait_for(&rc->nodes[i], "CLUSTER INFO", "cluster_current_epoch:%d\r",
                 epoch);
    }
}

/* The new owner hears of it first, for who else would serve the slot? */
void redis_cluster_end_move(redis_cluster *rc, unsigned slot) {
    unsigned to = rc->heir[slot];
    if (to == rc->owner[slot]) {
        return;
    }
    while (redis_cluster_move_keys(rc, slot, 100) > 0) {
    }
    for (unsigned i = 0; i < rc->masters; i++) {
        tell(&rc->nodes[(to + i) % rc->masters], "CLUSTER SETSLOT %u NODE %s",
             slot, rc->nodes[to].id);
    }
    wait_for_epoch(rc, to);
    rc->owner[slot] = (unsigned char)to;
}

void redis_cluster_move(redis_cluster *rc, unsigned slot, unsigned to) {
    redis_cluster_begin_move(rc, slot, to);
    redis_cluster_end_move(rc, slot);
}

/* -- dying ---------------------------------------------------------------- */

/* WAIT is about what was done before the last command of its connection. */
void redis_cluster_wait_replica(redis_cluster *rc, unsigned master) {
    redisContext *line = dial(&rc->nodes[master]);
    freeReplyObject(redisCommand(line, "PING"));
    redisReply *replicas = redisCommand(line, "WAIT 1 5000");
    must(replicas && replicas->integer == 1, "wait until the replica has all");
    freeReplyObject(replicas);
    redisFree(line);
}

/* A replica that has just become a master refuses, which is as good. */
static void call_vote(const struct node *replica) {
    redisContext *line = dial(replica);
    redisReply *reply = redisCommand(line, "CLUSTER FAILOVER FORCE");
    must(reply, "CLUSTER FAILOVER FORCE");
    freeReplyObject(reply);
    redisFree(line);
}

/* On a busy machine a vote may come to nothing; after five seconds it is over,
 * and may be called anew. */
void redis_cluster_fail_over(redis_cluster *rc, unsigned master) {
    const struct node *replica = &rc->nodes[rc->masters + master];
    bool won = false;
    for (int ms = 0; ms < WAIT_MS && !won; ms++) {
        if (ms % VOTE_MS == 0) {
            call_vote(replica);
        }
        pause_ms(1);
        won = says(replica, "INFO replication", "role:master");
    }
    must(won, "CLUSTER FAILOVER FORCE");
    for (unsigned i = 0; i < rc->masters; i++) {
        if (i != master) {
            wait_for(&rc->nodes[i], "CLUSTER NODES", "%s",
                     as(replica, "master"));
        }
    }
}
