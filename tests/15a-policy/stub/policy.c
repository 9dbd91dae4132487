/* policy: seven ways to choose who goes, over one array of nodes. */
#include "policy.h"

#include "common/todo.h"

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

/* -- seven policies: each serves one request ------------------------------ */

static bool fifo(policy *p, uint32_t object) {
    TODO("15a.2: on a miss let the object in; if full, the oldest goes first");
}

static bool lru(policy *p, uint32_t object) {
    TODO("15a.3: on a hit move the object to the front; a miss is as in FIFO");
}

static bool clock_policy(policy *p, uint32_t object) {
    TODO("15a.4: on a hit set a mark; on a miss spare the marked, once each");
}

static bool sieve(policy *p, uint32_t object) {
    TODO("15a.5: as CLOCK, but nobody moves: a hand walks from old to new");
}

static bool s3_fifo(policy *p, uint32_t object) {
    TODO("15a.6: a small queue, a main queue, and the ghosts of the small one");
}

static bool w_tinylfu(policy *p, uint32_t object) {
    TODO("15a.7: count the request; window, main part, and a contest between");
}

static bool belady(policy *p, uint32_t object) {
    TODO("15a.8: who is asked for last is on top of the heap, and goes");
}

/* -- the lesson's functions ----------------------------------------------- */

static bool (*const requests[POLICY_KINDS])(policy *p, uint32_t object) = {
    fifo, lru, clock_policy, sieve, s3_fifo, w_tinylfu, belady};

status policy_create(policy_kind kind, size_t capacity, size_t objects,
                     uint64_t seed, policy **out) {
    TODO("15a.1: refuse what is out of range, take all memory, nobody is held");
}

status policy_foretell(policy *p, const uint32_t *trace, size_t n) {
    TODO("15a.8: note for each request when its object is asked for next");
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
