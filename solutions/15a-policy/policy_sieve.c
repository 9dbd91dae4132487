/* SIEVE: who was used stays where it is, and a hand walks on. */
#include "policy_inside.h"

/* The hand clears the marks that it passes, so it comes round once at most. */
static void sieve_evict(policy *p) {
    uint32_t object = p->hand;
    for (;;) {
        if (object == NOBODY) {
            object = p->queues[ALL].oldest;
        }
        if (p->nodes[object].uses == 0) {
            break;
        }
        p->nodes[object].uses = 0;
        object = p->nodes[object].newer;
    }
    p->hand = p->nodes[object].newer;
    queue_evict(p, object);
}

bool sieve_request(policy *p, uint32_t object) {
    if (policy_holds(p, object)) {
        p->nodes[object].uses = 1;
        return true;
    }
    if (p->held == p->capacity) {
        sieve_evict(p);
    }
    queue_let_in(p, ALL, object);
    return false;
}
