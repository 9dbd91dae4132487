/* FIFO: the oldest goes. */
#include "policy_inside.h"

#include "common/todo.h"

bool fifo_request(policy *p, uint32_t object) {
    TODO("15a.2: on a miss let the object in; if full, the oldest goes first");
}
