/* LRU: the least recently used goes. */
#include "policy_inside.h"

#include "common/todo.h"

bool lru_request(policy *p, uint32_t object) {
    TODO("15a.3: on a hit move the object to the front; a miss is as in FIFO");
}
