/* SIEVE: who was used stays where it is, and a hand walks on. */
#include "policy_inside.h"

#include "common/todo.h"

bool sieve_request(policy *p, uint32_t object) {
    TODO("15a.5: as CLOCK, but nobody moves: a hand walks from old to new");
}
