/* A cache over three nodes: who owns what, a slot that moves, a master that
 * dies. The cluster is the demo's own, and ends with it. */
#include "cluster.h"

#include "support/cluster.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { MASTERS = 3, KEYS = 1000 };

static void must(const cluster *c, status s, const char *did) {
    if (s != STATUS_OK) {
        fprintf(stderr, "%s: %s: %s\n", did, status_name(s),
                c ? cluster_error(c) : "");
        exit(EXIT_FAILURE);
    }
}

static void print_owners(const redis_cluster *nodes) {
    static const char *const keys[] = {"Alice", "user:1", "user:4",
                                       "{user:1}:name", "{user:1}:age"};
    puts("key             slot  node");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        unsigned slot = cluster_slot(bytes_of(keys[i]));
        printf("%-14s %5u  %4u\n", keys[i], slot,
               redis_cluster_owner(nodes, slot));
    }
}

static void print_get(cluster *c, const char *key) {
    bytes value;
    cluster_stats before = cluster_statistics(c);
    must(c, cluster_get(c, bytes_of(key), &value), "get");
    cluster_stats after = cluster_statistics(c);
    printf("get %s: %.*s, redirects: %d\n", key, (int)value.len,
           (const char *)value.data, (int)(after.moved - before.moved));
}

static void set_many(cluster *c) {
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "key %d", i);
        must(c, cluster_set(c, bytes_of(key), bytes_of(key)), "set");
    }
    printf("set %d keys, redirects: %d\n", KEYS,
           (int)cluster_statistics(c).moved);
}

static void count(void *context, size_t i, bytes value) {
    (void)i;
    (void)value;
    ++*(int *)context;
}

static void get_many(cluster *c) {
    static char texts[KEYS][16];
    static bytes keys[KEYS];
    static status results[KEYS];
    int found = 0;
    for (int i = 0; i < KEYS; i++) {
        snprintf(texts[i], sizeof texts[i], "key %d", i);
        keys[i] = bytes_of(texts[i]);
    }
    must(c, cluster_get_many(c, keys, KEYS, count, &found, results),
         "get_many");
    printf("get %d keys at once: %d found\n", KEYS, found);
}

/* What the client calls to pause: the cluster uses the time. */
static void elect(void *context, int64_t ms) {
    static bool elected;
    (void)ms;
    if (!elected) {
        elected = true;
        puts("nobody answers for node 0: pause; its replica is elected");
        redis_cluster_fail_over(context, 0);
    }
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    redis_cluster *nodes = redis_cluster_start(MASTERS, 1);
    cluster_options options = {.pause = elect, .context = nodes};
    cluster *c = NULL;
    must(NULL, cluster_create(redis_cluster_address(nodes, 1), options, &c),
         "create");
    print_owners(nodes);
    must(c, cluster_set(c, bytes_of("user:1"), bytes_of("Alice")), "set");
    set_many(c);
    puts("slot 10778 moves from node 1 to node 2");
    redis_cluster_move(nodes, cluster_slot(bytes_of("user:1")), 2);
    print_get(c, "user:1");
    print_get(c, "user:1");
    puts("node 0 is killed");
    redis_cluster_wait_replica(nodes, 0);
    redis_kill(redis_cluster_node(nodes, 0));
    get_many(c);
    cluster_destroy(c);
    redis_cluster_stop(nodes);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
