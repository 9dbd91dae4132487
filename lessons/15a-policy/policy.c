/* policy: seven ways to choose who goes, over one array of nodes. */
#include "policy_inside.h"

#include "common/todo.h"

#include <stdlib.h>

static bool (*const requests[POLICY_KINDS])(policy *p, uint32_t object) = {
    fifo_request,    lru_request,       clock_request, sieve_request,
    s3_fifo_request, w_tinylfu_request, belady_request};

status policy_create(policy_kind kind, size_t capacity, size_t objects,
                     uint64_t seed, policy **out) {
    TODO("15a.1: refuse what is out of range, take all memory, nobody is held");
}

status policy_foretell(policy *p, const uint32_t *trace, size_t n) {
    return p->kind == POLICY_BELADY ? belady_foretell(p, trace, n)
                                    : STATUS_INVALID;
}

bool policy_request(policy *p, uint32_t object) {
    return requests[p->kind](p, object);
}

bool policy_holds(const policy *p, uint32_t object) {
    TODO("15a.1: whether the node of the object is in a queue of the cache");
}

size_t policy_count(const policy *p) {
    TODO("15a.1: return the number of objects held");
}

void policy_destroy(policy *p) {
    TODO("15a.1: free all that creation has taken");
}
