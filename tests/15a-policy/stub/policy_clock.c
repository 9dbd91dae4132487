/* CLOCK: who was used goes round once more. */
#include "policy_inside.h"

#include "common/todo.h"

bool clock_request(policy *p, uint32_t object) {
    TODO("15a.4: on a hit set a mark; on a miss spare the marked, once each");
}
