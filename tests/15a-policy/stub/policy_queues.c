/* policy_queues: queues, as links between the nodes of one array. */
#include "policy_inside.h"

#include "common/todo.h"

void queue_enter(policy *p, enum place place, uint32_t object) {
    TODO("15a.2: link the object in at the front of that queue");
}

void queue_leave(policy *p, uint32_t object) {
    TODO("15a.2: link its neighbours, or the ends of the queue");
}

void queue_move(policy *p, enum place place, uint32_t object) {
    TODO("15a.2: leave the queue, enter that one");
}

void queue_let_in(policy *p, enum place place, uint32_t object) {
    TODO("15a.2: without uses into the queue, and one more is held");
}

void queue_evict(policy *p, uint32_t object) {
    TODO("15a.2: out of the queue, and one fewer is held");
}
