/* CLOCK: who was used goes round once more. */
#include "policy_inside.h"

/* Sparing an object takes its mark away, so one round at most is spent. */
static void clock_evict(policy *p) {
    uint32_t object = p->queues[ALL].oldest;
    while (p->nodes[object].uses > 0) {
        p->nodes[object].uses = 0;
        queue_move(p, ALL, object);
        object = p->queues[ALL].oldest;
    }
    queue_evict(p, object);
}

bool clock_request(policy *p, uint32_t object) {
    if (policy_holds(p, object)) {
        p->nodes[object].uses = 1;
        return true;
    }
    if (p->held == p->capacity) {
        clock_evict(p);
    }
    queue_let_in(p, ALL, object);
    return false;
}
