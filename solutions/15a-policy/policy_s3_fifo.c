/* S3-FIFO: a small queue, a main queue, and the ghosts of the small one. */
#include "policy_inside.h"

enum { MOST_USES = 3 };

static size_t small_size(const policy *p) {
    return p->capacity / 10 > 0 ? p->capacity / 10 : 1;
}

/* A name stays as long as it takes that many others to come after it. */
static void leave_a_ghost(policy *p, uint32_t object) {
    queue_evict(p, object);
    queue_enter(p, GHOST, object);
    if (p->queues[GHOST].count > p->capacity - small_size(p)) {
        queue_leave(p, p->queues[GHOST].oldest);
    }
}

/* Each round costs an object one of its uses, so one of them goes in the end.
 * There is one: the cache is full, and the small queue does not fill it. */
static void evict_from_main(policy *p) {
    struct queue *main = &p->queues[MAIN];
    while (p->nodes[main->oldest].uses > 0) {
        p->nodes[main->oldest].uses--;
        queue_move(p, MAIN, main->oldest);
    }
    queue_evict(p, main->oldest);
}

/* Those who move on leave the queue, so it comes to an end.
 * Returns: false if all have moved on, and nobody has gone. */
static bool evict_from_small(policy *p) {
    struct queue *small = &p->queues[SMALL];
    while (small->count > 0 && p->nodes[small->oldest].uses > 1) {
        queue_move(p, MAIN, small->oldest);
    }
    if (small->count == 0) {
        return false;
    }
    leave_a_ghost(p, small->oldest);
    return true;
}

static void s3_fifo_evict(policy *p) {
    bool small_gives = p->queues[SMALL].count >= small_size(p);
    if (!small_gives || !evict_from_small(p)) {
        evict_from_main(p);
    }
}

bool s3_fifo_request(policy *p, uint32_t object) {
    struct node *node = &p->nodes[object];
    if (policy_holds(p, object)) {
        node->uses = (uint8_t)(node->uses + (node->uses < MOST_USES));
        return true;
    }
    if (p->held == p->capacity) {
        s3_fifo_evict(p);
    }
    bool known = node->place == GHOST;
    if (known) {
        queue_leave(p, object);
    }
    queue_let_in(p, known ? MAIN : SMALL, object);
    return false;
}
