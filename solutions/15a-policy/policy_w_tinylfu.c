/* W-TinyLFU: an LRU window, a main part of two segments, and a contest between
 * them, judged by a sketch. */
#include "policy_inside.h"

#include <stdlib.h>

enum { COUNTER_MAX = 15 };

/* -- the sketch ----------------------------------------------------------- */

/* Multiply-shift hashing: the upper bits of a product with an odd number. */
static uint8_t *counter(const struct sketch *s, unsigned row, uint32_t object) {
    uint64_t product = (object + UINT64_C(1)) * s->factors[row];
    return &s->counters[((size_t)row << s->bits) + (product >> (64 - s->bits))];
}

static unsigned estimate(const struct sketch *s, uint32_t object) {
    unsigned least = COUNTER_MAX;
    for (unsigned row = 0; row < ROWS; row++) {
        unsigned here = *counter(s, row, object);
        least = here < least ? here : least;
    }
    return least;
}

/* "Lately": after ten requests for each place, every count is halved. */
static void age(struct sketch *s, size_t capacity) {
    if (++s->counted < 10 * capacity) {
        return;
    }
    s->counted = 0;
    for (size_t i = 0; i < (size_t)ROWS << s->bits; i++) {
        s->counters[i] /= 2;
    }
}

static void count_request(struct sketch *s, uint32_t object) {
    for (unsigned row = 0; row < ROWS; row++) {
        uint8_t *here = counter(s, row, object);
        *here = (uint8_t)(*here + (*here < COUNTER_MAX));
    }
}

/* Four counters or more in a row for each place in the cache: then few objects
 * share theirs. The factors are odd numbers from SplitMix64. */
bool w_tinylfu_create(policy *p, uint64_t seed) {
    struct sketch *s = &p->sketch;
    s->bits = 4;
    while ((size_t)1 << s->bits < 4 * p->capacity) {
        s->bits++;
    }
    for (unsigned row = 0; row < ROWS; row++) {
        uint64_t x = seed += 0x9e3779b97f4a7c15;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        s->factors[row] = (x ^ (x >> 31)) | 1;
    }
    s->counters = calloc((size_t)ROWS << s->bits, 1);
    return s->counters != NULL;
}

/* -- the policy ----------------------------------------------------------- */

static size_t window_size(const policy *p) {
    return p->capacity / 100 > 0 ? p->capacity / 100 : 1;
}

static size_t protected_size(const policy *p) {
    return (p->capacity - window_size(p)) * 4 / 5;
}

static void hit_in_main(policy *p, uint32_t object) {
    queue_move(p, PROTECTED, object);
    if (p->queues[PROTECTED].count > protected_size(p)) {
        queue_move(p, PROBATION, p->queues[PROTECTED].oldest);
    }
}

/* The cache is full: the one that drops out of the window and the one that the
 * main part would give up are compared, and one of them goes. A main part that
 * is full has a fifth on probation: nobody is there only in a cache of one. */
static void contest(policy *p) {
    uint32_t candidate = p->queues[WINDOW].oldest;
    uint32_t victim = p->queues[PROBATION].oldest;
    if (victim != NOBODY
        && estimate(&p->sketch, candidate) > estimate(&p->sketch, victim)) {
        queue_evict(p, victim);
        queue_move(p, PROBATION, candidate);
    } else {
        queue_evict(p, candidate);
    }
}

bool w_tinylfu_request(policy *p, uint32_t object) {
    age(&p->sketch, p->capacity);
    count_request(&p->sketch, object);
    if (p->nodes[object].place == WINDOW) {
        queue_move(p, WINDOW, object);
        return true;
    }
    if (policy_holds(p, object)) {
        hit_in_main(p, object);
        return true;
    }
    if (p->held == p->capacity) {
        contest(p);
    } else if (p->queues[WINDOW].count == window_size(p)) {
        queue_move(p, PROBATION, p->queues[WINDOW].oldest);
    }
    queue_let_in(p, WINDOW, object);
    return false;
}
