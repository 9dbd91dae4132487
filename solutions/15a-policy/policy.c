/* policy: seven ways to choose who goes, over one array of nodes. */
#include "policy_inside.h"

#include <stdlib.h>

static bool (*const requests[POLICY_KINDS])(policy *p, uint32_t object) = {
    fifo_request,    lru_request,       clock_request, sieve_request,
    s3_fifo_request, w_tinylfu_request, belady_request};

status policy_create(policy_kind kind, size_t capacity, size_t objects,
                     uint64_t seed, policy **out) {
    if ((unsigned)kind >= POLICY_KINDS || capacity < 1 || objects < 1
        || capacity > POLICY_OBJECTS_MAX || objects > POLICY_OBJECTS_MAX) {
        return STATUS_INVALID;
    }
    policy *p = calloc(1, sizeof *p);
    if (!p) {
        return STATUS_NO_MEMORY;
    }
    p->kind = kind;
    p->capacity = capacity;
    p->objects = objects;
    p->hand = NOBODY;
    for (size_t i = 0; i < PLACES; i++) {
        p->queues[i] = (struct queue){NOBODY, NOBODY, 0};
    }
    p->nodes = calloc(objects, sizeof *p->nodes);
    if (!p->nodes || (kind == POLICY_W_TINYLFU && !w_tinylfu_create(p, seed))
        || (kind == POLICY_BELADY && !belady_create(p))) {
        policy_destroy(p);
        return STATUS_NO_MEMORY;
    }
    *out = p;
    return STATUS_OK;
}

status policy_foretell(policy *p, const uint32_t *trace, size_t n) {
    return p->kind == POLICY_BELADY ? belady_foretell(p, trace, n)
                                    : STATUS_INVALID;
}

bool policy_request(policy *p, uint32_t object) {
    return requests[p->kind](p, object);
}

bool policy_holds(const policy *p, uint32_t object) {
    uint8_t place = p->nodes[object].place;
    return place != OUT && place != GHOST;
}

size_t policy_count(const policy *p) {
    return p->held;
}

void policy_destroy(policy *p) {
    if (!p) {
        return;
    }
    free(p->nodes);
    free(p->sketch.counters);
    free(p->next);
    free(p->heap);
    free(p->spots);
    free(p);
}
