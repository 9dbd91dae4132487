/* policy_inside: what the files of this lesson share, and no caller sees.
 *
 *   policy.c          makes and ends a policy, and asks the one of its kind:
 *        |
 *        v
 *   policy_fifo.c  policy_lru.c  policy_clock.c  policy_sieve.c
 *   policy_s3_fifo.c  policy_w_tinylfu.c  policy_belady.c
 *        |
 *        v
 *   policy_queues.c   where objects stand in line (but for Belady's) */
#ifndef LESSON_POLICY_INSIDE_H
#define LESSON_POLICY_INSIDE_H

#include "policy.h"

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

enum { ROWS = 4 };

/* How often objects were asked for lately, about: a count-min sketch. Each row
 * counts an object in one of its counters; others may share it, so the least of
 * the four is nearest to the truth. */
struct sketch {
    uint8_t *counters;      /* ROWS rows */
    unsigned bits;          /* a row has 2^bits counters */
    uint64_t factors[ROWS]; /* odd, made from the seed: a hash for each row */
    size_t counted;         /* since the last halving */
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
    uint32_t *next;       /* Belady: by request, when its object comes again;
                             NOBODY, the greatest number: never */
    size_t told;          /* of the requests */
    size_t now;           /* the number of this request */
    struct wish *heap;    /* nobody is needed later than its parent */
    uint32_t *spots;      /* by object: its place in the heap */
};

/* -- queues (policy_queues.c) --------------------------------------------- */

/* Enters a queue, at the front. object: in no queue. */
void queue_enter(policy *p, enum place place, uint32_t object);

/* Leaves its queue, from anywhere in it: the object is OUT then. */
void queue_leave(policy *p, uint32_t object);

/* Leaves its queue and enters this one, which may be the same. Its uses stay
 * as they are. */
void queue_move(policy *p, enum place place, uint32_t object);

/* Enters a queue without any uses, and is one more that is held. */
void queue_let_in(policy *p, enum place place, uint32_t object);

/* Leaves its queue, and is one fewer that is held. */
void queue_evict(policy *p, uint32_t object);

/* -- the policies (each in its own file) ---------------------------------- */

/* Serve one request, as policy_request says. */
bool fifo_request(policy *p, uint32_t object);
bool lru_request(policy *p, uint32_t object);
bool clock_request(policy *p, uint32_t object);
bool sieve_request(policy *p, uint32_t object);
bool s3_fifo_request(policy *p, uint32_t object);
bool w_tinylfu_request(policy *p, uint32_t object);
bool belady_request(policy *p, uint32_t object);

/* Take what these two have beside the nodes, when the policy is made.
 * Returns: false if there is no memory; policy_destroy frees what there is. */
bool w_tinylfu_create(policy *p, uint64_t seed);
bool belady_create(policy *p);

/* Does for Belady what policy_foretell says. */
status belady_foretell(policy *p, const uint32_t *trace, size_t n);

#endif
