/* W-TinyLFU: an LRU window, a main part of two segments, and a contest between
 * them, judged by a sketch. */
#include "policy_inside.h"

#include "common/todo.h"

#include <stdlib.h>

enum { COUNTER_MAX = 15 };

bool w_tinylfu_create(policy *p, uint64_t seed) {
    return true; /* nothing yet: step 15a.7 begins here */
}

bool w_tinylfu_request(policy *p, uint32_t object) {
    TODO("15a.7: count the request; window, main part, and a contest between");
}
