/* LRU: the least recently used goes. */
#include "policy_inside.h"

bool lru_request(policy *p, uint32_t object) {
    if (!policy_holds(p, object)) {
        return fifo_request(p, object);
    }
    queue_move(p, ALL, object);
    return true;
}
