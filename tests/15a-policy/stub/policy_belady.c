/* Belady: who is needed last goes. */
#include "policy_inside.h"

#include "common/todo.h"

#include <stdlib.h>

bool belady_create(policy *p) {
    return true; /* nothing yet: step 15a.8 begins here */
}

status belady_foretell(policy *p, const uint32_t *trace, size_t n) {
    TODO("15a.8: note for each request when its object is asked for next");
}

bool belady_request(policy *p, uint32_t object) {
    TODO("15a.8: who is asked for last is on top of the heap, and goes");
}
