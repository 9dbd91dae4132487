/* policy_queues: queues, as links between the nodes of one array. */
#include "policy_inside.h"

void queue_enter(policy *p, enum place place, uint32_t object) {
    struct queue *q = &p->queues[place];
    struct node *node = &p->nodes[object];
    node->place = (uint8_t)place;
    node->newer = NOBODY;
    node->older = q->newest;
    *(q->newest == NOBODY ? &q->oldest : &p->nodes[q->newest].newer) = object;
    q->newest = object;
    q->count++;
}

void queue_leave(policy *p, uint32_t object) {
    struct node *node = &p->nodes[object];
    struct queue *q = &p->queues[node->place];
    *(node->newer == NOBODY ? &q->newest : &p->nodes[node->newer].older) =
        node->older;
    *(node->older == NOBODY ? &q->oldest : &p->nodes[node->older].newer) =
        node->newer;
    node->place = OUT;
    q->count--;
}

void queue_move(policy *p, enum place place, uint32_t object) {
    queue_leave(p, object);
    queue_enter(p, place, object);
}

void queue_let_in(policy *p, enum place place, uint32_t object) {
    p->nodes[object].uses = 0;
    queue_enter(p, place, object);
    p->held++;
}

void queue_evict(policy *p, uint32_t object) {
    queue_leave(p, object);
    p->held--;
}
