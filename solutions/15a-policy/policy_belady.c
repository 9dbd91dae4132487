/* Belady: who is needed last goes. */
#include "policy_inside.h"

#include <stdlib.h>

bool belady_create(policy *p) {
    size_t most = p->capacity < p->objects ? p->capacity : p->objects;
    p->heap = malloc(most * sizeof *p->heap);
    p->spots = malloc(p->objects * sizeof *p->spots);
    return p->heap && p->spots;
}

/* From the end to the beginning: the last time an object was met is its next
 * request. The spots, which nobody uses yet, remember it. */
static void link_requests(const policy *p, const uint32_t *trace, size_t n) {
    for (size_t i = 0; i < p->objects; i++) {
        p->spots[i] = NOBODY;
    }
    for (size_t i = n; i-- > 0;) {
        p->next[i] = p->spots[trace[i]];
        p->spots[trace[i]] = (uint32_t)i;
    }
}

status belady_foretell(policy *p, const uint32_t *trace, size_t n) {
    if (p->now > 0 || p->next || n >= NOBODY) {
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < n; i++) {
        if (trace[i] >= p->objects) {
            return STATUS_INVALID;
        }
    }
    p->next = malloc((n > 0 ? n : 1) * sizeof *p->next);
    if (!p->next) {
        return STATUS_NO_MEMORY;
    }
    link_requests(p, trace, n);
    p->told = n;
    return STATUS_OK;
}

static void put_wish(policy *p, size_t at, struct wish wish) {
    p->heap[at] = wish;
    p->spots[wish.object] = (uint32_t)at;
}

/* Fills the hole at `at`, upwards: it rises with each turn. */
static void sift_up(policy *p, size_t at, struct wish wish) {
    while (at > 0 && p->heap[(at - 1) / 2].when < wish.when) {
        put_wish(p, at, p->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put_wish(p, at, wish);
}

/* Fills the hole at the top, downwards: it sinks with each turn. */
static void sift_down(policy *p, struct wish wish) {
    size_t at = 0;
    for (size_t child = 1; child < p->held; child = 2 * at + 1) {
        if (child + 1 < p->held
            && p->heap[child + 1].when > p->heap[child].when) {
            child++;
        }
        if (p->heap[child].when <= wish.when) {
            break;
        }
        put_wish(p, at, p->heap[child]);
        at = child;
    }
    put_wish(p, at, wish);
}

/* Whoever is held is wanted now, or later than now: so the next wish of the
 * one that is asked for is always later than the one it had. */
bool belady_request(policy *p, uint32_t object) {
    bool known = p->now < p->told;
    struct wish wish = {known ? p->next[p->now] : NOBODY, object};
    p->now++;
    if (policy_holds(p, object)) {
        sift_up(p, p->spots[object], wish);
        return true;
    }
    if (p->held == p->capacity) {
        p->nodes[p->heap[0].object].place = OUT;
        sift_down(p, wish);
    } else {
        sift_up(p, p->held++, wish);
    }
    p->nodes[object].place = ALL;
    return false;
}
