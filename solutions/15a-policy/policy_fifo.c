/* FIFO: the oldest goes. */
#include "policy_inside.h"

bool fifo_request(policy *p, uint32_t object) {
    if (policy_holds(p, object)) {
        return true;
    }
    if (p->held == p->capacity) {
        queue_evict(p, p->queues[ALL].oldest);
    }
    queue_let_in(p, ALL, object);
    return false;
}
