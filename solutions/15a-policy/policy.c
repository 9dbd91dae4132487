/* policy: seven ways to choose who goes, over one array of nodes. */
#include "policy.h"

#include <stdlib.h>

/* No object has this number. */
#define NOBODY UINT32_MAX

/* Where an object is. ALL is the one queue of the simple policies. */
enum place {
    OUT,
    ALL,
    SMALL,
    MAIN,
    GHOST,
    WINDOW,
    PROBATION,
    PROTECTED,
    PLACES
};

enum { MOST_USES = 3, COUNTER_MAX = 15, ROWS = 4 };

/* What is known of one object. A node is in one queue at most. */
struct node {
    uint32_t newer;
    uint32_t older;
    uint8_t place;
    uint8_t uses; /* hits that its queue still remembers */
};

struct queue {
    uint32_t newest;
    uint32_t oldest;
    size_t count;
};

/* How often objects were asked for lately, about: a count-min sketch. Each row
 * counts an object in one of its counters; others may share it, so the least of
 * the four is nearest to the truth. */
struct sketch {
    uint8_t *counters; /* ROWS rows */
    unsigned bits;     /* a row has 2^bits counters */
    uint64_t factors[ROWS];
    size_t counted; /* since the last halving */
};

/* A held object, and when it is asked for next. */
struct wish {
    uint32_t when;
    uint32_t object;
};

struct policy {
    policy_kind kind;
    size_t capacity;
    size_t objects;
    size_t held;
    struct node *nodes; /* by the number of the object */
    struct queue queues[PLACES];
    uint32_t hand;        /* SIEVE: whom it looks at next; NOBODY: the oldest */
    struct sketch sketch; /* W-TinyLFU */
    uint32_t *next;       /* Belady: by request, when its object comes again */
    size_t told;          /* of the requests */
    size_t now;           /* the number of this request */
    struct wish *heap;    /* nobody is needed later than its parent */
    uint32_t *spots;      /* by object: its place in the heap */
};

/* -- queues --------------------------------------------------------------- */

static struct queue *queue_of(policy *p, uint32_t object) {
    return &p->queues[p->nodes[object].place];
}

static void leave(policy *p, uint32_t object) {
    struct queue *q = queue_of(p, object);
    struct node *node = &p->nodes[object];
    *(node->newer == NOBODY ? &q->newest : &p->nodes[node->newer].older) =
        node->older;
    *(node->older == NOBODY ? &q->oldest : &p->nodes[node->older].newer) =
        node->newer;
    node->place = OUT;
    q->count--;
}

/* For an object that is in no queue. */
static void enter(policy *p, enum place place, uint32_t object) {
    struct queue *q = &p->queues[place];
    struct node *node = &p->nodes[object];
    node->place = (uint8_t)place;
    node->newer = NOBODY;
    node->older = q->newest;
    *(q->newest == NOBODY ? &q->oldest : &p->nodes[q->newest].newer) = object;
    q->newest = object;
    q->count++;
}

/* To the front of that queue. */
static void move(policy *p, enum place place, uint32_t object) {
    leave(p, object);
    enter(p, place, object);
}

static void let_in(policy *p, enum place place, uint32_t object) {
    p->nodes[object].uses = 0;
    enter(p, place, object);
    p->held++;
}

static void evict(policy *p, uint32_t object) {
    leave(p, object);
    p->held--;
}

static bool is_full(const policy *p) {
    return p->held == p->capacity;
}

/* -- FIFO, LRU ------------------------------------------------------------ */

static bool fifo(policy *p, uint32_t object) {
    if (policy_holds(p, object)) {
        return true;
    }
    if (is_full(p)) {
        evict(p, p->queues[ALL].oldest);
    }
    let_in(p, ALL, object);
    return false;
}

static bool lru(policy *p, uint32_t object) {
    if (!policy_holds(p, object)) {
        return fifo(p, object);
    }
    move(p, ALL, object);
    return true;
}

/* -- CLOCK ---------------------------------------------------------------- */

/* Sparing an object takes its mark away, so one round at most is spent. */
static void clock_evict(policy *p) {
    uint32_t object = p->queues[ALL].oldest;
    while (p->nodes[object].uses > 0) {
        p->nodes[object].uses = 0;
        move(p, ALL, object);
        object = p->queues[ALL].oldest;
    }
    evict(p, object);
}

static bool clock_policy(policy *p, uint32_t object) {
    if (policy_holds(p, object)) {
        p->nodes[object].uses = 1;
        return true;
    }
    if (is_full(p)) {
        clock_evict(p);
    }
    let_in(p, ALL, object);
    return false;
}

/* -- SIEVE ---------------------------------------------------------------- */

/* The hand clears the marks that it passes, so it comes round once at most. */
static void sieve_evict(policy *p) {
    uint32_t object = p->hand;
    for (;;) {
        if (object == NOBODY) {
            object = p->queues[ALL].oldest;
        }
        if (p->nodes[object].uses == 0) {
            break;
        }
        p->nodes[object].uses = 0;
        object = p->nodes[object].newer;
    }
    p->hand = p->nodes[object].newer;
    evict(p, object);
}

static bool sieve(policy *p, uint32_t object) {
    if (policy_holds(p, object)) {
        p->nodes[object].uses = 1;
        return true;
    }
    if (is_full(p)) {
        sieve_evict(p);
    }
    let_in(p, ALL, object);
    return false;
}

/* -- S3-FIFO -------------------------------------------------------------- */

static size_t small_size(const policy *p) {
    return p->capacity / 10 > 0 ? p->capacity / 10 : 1;
}

/* A name stays as long as it takes that many others to come after it. */
static void leave_a_ghost(policy *p, uint32_t object) {
    evict(p, object);
    enter(p, GHOST, object);
    if (p->queues[GHOST].count > p->capacity - small_size(p)) {
        leave(p, p->queues[GHOST].oldest);
    }
}

/* Each round costs an object one of its uses, so one of them goes in the end.
 * Returns: false if there was none. */
static bool evict_from_main(policy *p) {
    struct queue *main = &p->queues[MAIN];
    while (main->count > 0 && p->nodes[main->oldest].uses > 0) {
        p->nodes[main->oldest].uses--;
        move(p, MAIN, main->oldest);
    }
    if (main->count == 0) {
        return false;
    }
    evict(p, main->oldest);
    return true;
}

/* Those who move on leave the queue, so it comes to an end.
 * Returns: false if all have moved on, and nobody has gone. */
static bool evict_from_small(policy *p) {
    struct queue *small = &p->queues[SMALL];
    while (small->count > 0 && p->nodes[small->oldest].uses > 1) {
        move(p, MAIN, small->oldest);
    }
    if (small->count == 0) {
        return false;
    }
    leave_a_ghost(p, small->oldest);
    return true;
}

static void s3_fifo_evict(policy *p) {
    bool small_gives = p->queues[SMALL].count >= small_size(p);
    if (!(small_gives && evict_from_small(p)) && !evict_from_main(p)) {
        evict_from_small(p);
    }
}

static bool s3_fifo(policy *p, uint32_t object) {
    struct node *node = &p->nodes[object];
    if (policy_holds(p, object)) {
        node->uses = (uint8_t)(node->uses + (node->uses < MOST_USES));
        return true;
    }
    if (is_full(p)) {
        s3_fifo_evict(p);
    }
    bool known = node->place == GHOST;
    if (known) {
        leave(p, object);
    }
    let_in(p, known ? MAIN : SMALL, object);
    return false;
}

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

/* -- W-TinyLFU ------------------------------------------------------------ */

static size_t window_size(const policy *p) {
    return p->capacity / 100 > 0 ? p->capacity / 100 : 1;
}

static size_t protected_size(const policy *p) {
    return (p->capacity - window_size(p)) * 4 / 5;
}

static void hit_in_main(policy *p, uint32_t object) {
    move(p, PROTECTED, object);
    if (p->queues[PROTECTED].count > protected_size(p)) {
        move(p, PROBATION, p->queues[PROTECTED].oldest);
    }
}

/* The cache is full: the one that drops out of the window and the one that the
 * main part would give up are compared, and one of them goes. */
static void contest(policy *p) {
    uint32_t candidate = p->queues[WINDOW].oldest;
    uint32_t victim = p->queues[PROBATION].count > 0
                          ? p->queues[PROBATION].oldest
                          : p->queues[PROTECTED].oldest;
    if (victim != NOBODY
        && estimate(&p->sketch, candidate) > estimate(&p->sketch, victim)) {
        evict(p, victim);
        move(p, PROBATION, candidate);
    } else {
        evict(p, candidate);
    }
}

static bool w_tinylfu(policy *p, uint32_t object) {
    age(&p->sketch, p->capacity);
    count_request(&p->sketch, object);
    if (p->nodes[object].place == WINDOW) {
        move(p, WINDOW, object);
        return true;
    }
    if (policy_holds(p, object)) {
        hit_in_main(p, object);
        return true;
    }
    if (is_full(p)) {
        contest(p);
    } else if (p->queues[WINDOW].count == window_size(p)) {
        move(p, PROBATION, p->queues[WINDOW].oldest);
    }
    let_in(p, WINDOW, object);
    return false;
}

/* -- Belady --------------------------------------------------------------- */

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
static bool belady(policy *p, uint32_t object) {
    bool known = p->now < p->told;
    struct wish wish = {known ? p->next[p->now] : NOBODY, object};
    p->now++;
    if (policy_holds(p, object)) {
        sift_up(p, p->spots[object], wish);
        return true;
    }
    if (is_full(p)) {
        p->nodes[p->heap[0].object].place = OUT;
        sift_down(p, wish);
    } else {
        sift_up(p, p->held++, wish);
    }
    p->nodes[object].place = ALL;
    return false;
}

/* -- the lesson's functions ----------------------------------------------- */

static bool (*const requests[POLICY_KINDS])(policy *p, uint32_t object) = {
    fifo, lru, clock_policy, sieve, s3_fifo, w_tinylfu, belady};

/* Four counters or more in a row for each place in the cache: then few objects
 * share theirs. The factors are odd numbers from SplitMix64. */
static bool create_sketch(struct sketch *s, size_t capacity, uint64_t seed) {
    s->bits = 4;
    while ((size_t)1 << s->bits < 4 * capacity) {
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

static bool create_heap(policy *p) {
    size_t most = p->capacity < p->objects ? p->capacity : p->objects;
    p->heap = malloc(most * sizeof *p->heap);
    p->spots = malloc(p->objects * sizeof *p->spots);
    return p->heap && p->spots;
}

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
    if (!p->nodes || (kind == POLICY_BELADY && !create_heap(p))
        || (kind == POLICY_W_TINYLFU
            && !create_sketch(&p->sketch, capacity, seed))) {
        policy_destroy(p);
        return STATUS_NO_MEMORY;
    }
    *out = p;
    return STATUS_OK;
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

status policy_foretell(policy *p, const uint32_t *trace, size_t n) {
    if (p->kind != POLICY_BELADY || p->now > 0 || p->next || n >= NOBODY
        || (!trace && n > 0)) {
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
