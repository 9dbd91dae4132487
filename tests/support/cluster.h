/* cluster: a real Redis Cluster for one test, and for nobody else.
 *
 *     redis_cluster *rc = redis_cluster_start(3, 1);
 *     ... connect to redis_cluster_address(rc, 0) ...
 *     redis_cluster_stop(rc);
 *
 * Its nodes are servers of redis.h, and end as those do; they become a cluster
 * by "redis-cli --cluster create". It takes some two seconds to start: so long
 * does Redis refuse to serve slots after it began to run. A node that seems
 * dead is given up by the others only after a quarter of a minute, so that none
 * is on a slow machine; redis_cluster_fail_over need not wait for that.
 *
 * What goes wrong fails the running test. */
#ifndef SUPPORT_CLUSTER_H
#define SUPPORT_CLUSTER_H

#include "common/bytes.h"
#include "support/redis.h"

typedef struct redis_cluster redis_cluster;

/* Starts nodes and waits until they serve all slots.
 * masters: 3 or more; they are nodes 0, 1, ..., and share the slots evenly and
 * in order.
 * replicas: of each master, 0 or 1; node masters + i is the one of node i. */
redis_cluster *redis_cluster_start(unsigned masters, unsigned replicas);

/* Starts one node that owns nothing and knows nobody: at once. */
redis_cluster *redis_cluster_start_one(void);

/* Where a node listens, "127.0.0.1:port"; lent until redis_cluster_stop. */
const char *redis_cluster_address(const redis_cluster *rc, unsigned node);

/* A node, to be killed or paused. */
redis *redis_cluster_node(redis_cluster *rc, unsigned node);

/* Who owns a slot, by what has been done here, and in child processes. */
unsigned redis_cluster_owner(const redis_cluster *rc, unsigned slot);

/* Sends one command to one node, as words between blanks; "%b" stands for a
 * pointer and a size_t.
 * Returns: the answer, if it is a number; else 0. */
long long redis_cluster_ask(redis_cluster *rc, unsigned node,
                            const char *format, ...);

/* Moves a slot, in steps: from now on the owner says ASK for keys that it does
 * not hold. */
void redis_cluster_begin_move(redis_cluster *rc, unsigned slot, unsigned to);

/* Moves up to `most` keys of a slot, if its move has begun.
 * Returns: how many there were. */
unsigned redis_cluster_move_keys(redis_cluster *rc, unsigned slot,
                                 unsigned most);

/* Moves the rest, and hands the slot over; all nodes know. Without effect when
 * the slot is not moving. */
void redis_cluster_end_move(redis_cluster *rc, unsigned slot);

/* All of this at once. */
void redis_cluster_move(redis_cluster *rc, unsigned slot, unsigned to);

/* Waits until the replica of a master holds all that was set there. */
void redis_cluster_wait_replica(redis_cluster *rc, unsigned master);

/* Lets the replica of a master that was killed be elected in its place, by the
 * votes of the other masters, and waits until they know. */
void redis_cluster_fail_over(redis_cluster *rc, unsigned master);

/* Ends all nodes; NULL is fine. */
void redis_cluster_stop(redis_cluster *rc);

#endif
