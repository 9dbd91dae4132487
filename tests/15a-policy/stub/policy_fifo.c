/* FIFO: the oldest goes. */
#include "policy_inside.h"

#include "common/todo.h"

bool fifo_request(policy *p, uint32_t object) {
    TODO("15a.2: policy_queues.c first; on a miss evict if full, let in");
}
