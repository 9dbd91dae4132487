/* policy without links: a queue is a log in which an object that leaves or
 * moves leaves a gap behind; when the log is full, the gaps are closed. Counts
 * are exact, one for each object, and age when they are looked at. Belady's
 * wishes are the leaves of a tournament. */
#include "policy.h"

#include <stdlib.h>

#define NEVER UINT32_MAX

enum place { OUT, ALL, SMALL, MAIN, GHOST, WINDOW, PROBATION, PROTECTED, LOGS };

enum { MOST_USES = 3, MOST_ASKED = 15 };

struct object {
    uint32_t at; /* its place in the log, or among the leaves */
    uint8_t place;
    uint8_t uses;
    uint8_t asked;
    uint64_t age; /* at which asked was right */
};

struct log {
    uint32_t *entries;
    size_t oldest, end;
    size_t count; /* of the entries that are no gaps */
};

struct policy {
    policy_kind kind;
    size_t capacity, objects, held, places;
    struct object *all;
    struct log logs[LOGS];
    size_t hand; /* SIEVE: where in the log */
    uint64_t requests;
    uint32_t *next; /* Belady */
    size_t told;
    uint32_t *wishes;  /* by leaf */
    uint32_t *who;     /* by leaf */
    uint32_t *winners; /* by inner node: the leaf with the latest wish */
};

/* -- logs ----------------------------------------------------------------- */

static bool is_gap(const policy *p, enum place place, size_t at) {
    const struct object *o = &p->all[p->logs[place].entries[at]];
    return o->place != place || o->at != at;
}

/* As many entries are appended in between as there can be objects. */
static void close_gaps(policy *p, enum place place) {
    struct log *log = &p->logs[place];
    size_t kept = 0;
    size_t hand = 0;
    for (size_t i = log->oldest; i < log->end; i++) {
        hand = i == p->hand ? kept : hand;
        if (!is_gap(p, place, i)) {
            p->all[log->entries[i]].at = (uint32_t)kept;
            log->entries[kept++] = log->entries[i];
        }
    }
    p->hand = hand;
    log->oldest = 0;
    log->end = kept;
}

static void enter(policy *p, enum place place, uint32_t object) {
    struct log *log = &p->logs[place];
    if (log->end == 2 * p->places) {
        close_gaps(p, place);
    }
    p->all[object].place = (uint8_t)place;
    p->all[object].at = (uint32_t)log->end;
    log->entries[log->end++] = object;
    log->count++;
}

static void leave(policy *p, uint32_t object) {
    p->logs[p->all[object].place].count--;
    p->all[object].place = OUT;
}

static void move(policy *p, enum place place, uint32_t object) {
    leave(p, object);
    enter(p, place, object);
}

/* Of a log that is not empty. */
static uint32_t oldest(policy *p, enum place place) {
    struct log *log = &p->logs[place];
    while (is_gap(p, place, log->oldest)) {
        log->oldest++;
    }
    return log->entries[log->oldest];
}

static void evict(policy *p, uint32_t object) {
    leave(p, object);
    p->held--;
}

static bool let_in(policy *p, enum place place, uint32_t object) {
    p->all[object].uses = 0;
    enter(p, place, object);
    p->held++;
    return false;
}

static bool is_full(const policy *p) {
    return p->held == p->capacity;
}

static bool use(policy *p, uint32_t object, uint8_t most) {
    if (p->all[object].uses < most) {
        p->all[object].uses++;
    }
    return true;
}

/* -- policies ------------------------------------------------------------- */

static bool fifo(policy *p, uint32_t object) {
    if (policy_holds(p, object)) {
        return true;
    }
    if (is_full(p)) {
        evict(p, oldest(p, ALL));
    }
    return let_in(p, ALL, object);
}

static bool lru(policy *p, uint32_t object) {
    bool hit = fifo(p, object);
    if (hit) {
        move(p, ALL, object);
    }
    return hit;
}

/* The oldest goes round while it has uses left, each for one of them.
 * Returns: the first one without, which is in the log still. */
static uint32_t first_unused(policy *p, enum place place) {
    uint32_t object = oldest(p, place);
    while (p->all[object].uses > 0) {
        p->all[object].uses--;
        move(p, place, object);
        object = oldest(p, place);
    }
    return object;
}

static bool clock_policy(policy *p, uint32_t object) {
    if (policy_holds(p, object)) {
        return use(p, object, 1);
    }
    if (is_full(p)) {
        evict(p, first_unused(p, ALL));
    }
    return let_in(p, ALL, object);
}

static uint32_t under_the_hand(policy *p) {
    const struct log *log = &p->logs[ALL];
    for (;; p->hand++) {
        if (p->hand < log->oldest || p->hand >= log->end) {
            oldest(p, ALL);
            p->hand = log->oldest;
        }
        struct object *o = &p->all[log->entries[p->hand]];
        if (is_gap(p, ALL, p->hand)) {
            continue;
        }
        if (o->uses == 0) {
            return log->entries[p->hand];
        }
        o->uses = 0;
    }
}

/* The hand moves on to the next object that is there now, or, after the newest,
 * to the beginning: whoever is let in later must not slip under it. */
static void sieve_evict(policy *p) {
    const struct log *log = &p->logs[ALL];
    evict(p, under_the_hand(p));
    while (p->hand < log->end && is_gap(p, ALL, p->hand)) {
        p->hand++;
    }
    p->hand = p->hand < log->end ? p->hand : 0;
}

static bool sieve(policy *p, uint32_t object) {
    if (policy_holds(p, object)) {
        return use(p, object, 1);
    }
    if (is_full(p)) {
        sieve_evict(p);
    }
    return let_in(p, ALL, object);
}

static size_t part(const policy *p, size_t divisor) {
    return p->capacity / divisor > 0 ? p->capacity / divisor : 1;
}

static bool small_gives(policy *p) {
    while (p->logs[SMALL].count > 0) {
        uint32_t object = oldest(p, SMALL);
        if (p->all[object].uses < 2) {
            evict(p, object);
            enter(p, GHOST, object);
            if (p->logs[GHOST].count > p->capacity - part(p, 10)) {
                leave(p, oldest(p, GHOST));
            }
            return true;
        }
        move(p, MAIN, object);
    }
    return false;
}

static void make_room(policy *p) {
    if (p->logs[SMALL].count >= part(p, 10) && small_gives(p)) {
        return;
    }
    if (p->logs[MAIN].count > 0) {
        evict(p, first_unused(p, MAIN));
    } else {
        small_gives(p);
    }
}

static bool s3_fifo(policy *p, uint32_t object) {
    if (policy_holds(p, object)) {
        return use(p, object, MOST_USES);
    }
    if (is_full(p)) {
        make_room(p);
    }
    if (p->all[object].place == OUT) {
        return let_in(p, SMALL, object);
    }
    leave(p, object);
    return let_in(p, MAIN, object);
}

/* Halved once for each ten requests per place that have gone by. */
static unsigned asked(policy *p, uint32_t object) {
    struct object *o = &p->all[object];
    uint64_t age = p->requests / (10 * p->capacity);
    uint64_t halvings = age - o->age;
    o->asked = (uint8_t)(halvings < 4 ? o->asked >> halvings : 0);
    o->age = age;
    return o->asked;
}

static bool hit_in_main(policy *p, uint32_t object) {
    move(p, PROTECTED, object);
    if (p->logs[PROTECTED].count > (p->capacity - part(p, 100)) * 4 / 5) {
        move(p, PROBATION, oldest(p, PROTECTED));
    }
    return true;
}

/* The oldest of the window against the oldest of the main part. */
static void contest(policy *p) {
    enum place weak = p->logs[PROBATION].count > 0 ? PROBATION : PROTECTED;
    uint32_t candidate = oldest(p, WINDOW);
    if (p->logs[weak].count > 0
        && asked(p, candidate) > asked(p, oldest(p, weak))) {
        evict(p, oldest(p, weak));
        move(p, PROBATION, candidate);
    } else {
        evict(p, candidate);
    }
}

static bool w_tinylfu(policy *p, uint32_t object) {
    p->requests++;
    if (asked(p, object) < MOST_ASKED) {
        p->all[object].asked++;
    }
    if (p->all[object].place == WINDOW) {
        move(p, WINDOW, object);
        return true;
    }
    if (policy_holds(p, object)) {
        return hit_in_main(p, object);
    }
    if (is_full(p)) {
        contest(p);
    } else if (p->logs[WINDOW].count == part(p, 100)) {
        move(p, PROBATION, oldest(p, WINDOW));
    }
    return let_in(p, WINDOW, object);
}

/* -- Belady: a tournament ------------------------------------------------- */

static uint32_t winner(const policy *p, size_t node) {
    return node < p->places ? p->winners[node] : (uint32_t)(node - p->places);
}

/* Node n plays its children 2n and 2n + 1 against each other; the leaves
 * follow the inner nodes. */
static void wish(policy *p, uint32_t leaf, uint32_t when) {
    p->wishes[leaf] = when;
    for (size_t n = (p->places + leaf) / 2; n > 0; n /= 2) {
        uint32_t a = winner(p, 2 * n);
        uint32_t b = winner(p, 2 * n + 1);
        p->winners[n] = p->wishes[a] >= p->wishes[b] ? a : b;
    }
}

static bool belady(policy *p, uint32_t object) {
    uint64_t now = p->requests++;
    uint32_t when = now < p->told ? p->next[now] : NEVER;
    bool hit = policy_holds(p, object);
    if (!hit && is_full(p)) {
        p->all[object].at = winner(p, 1);
        p->all[p->who[p->all[object].at]].place = OUT;
    } else if (!hit) {
        p->all[object].at = (uint32_t)p->held++;
    }
    p->all[object].place = ALL;
    p->who[p->all[object].at] = object;
    wish(p, p->all[object].at, when);
    return hit;
}

/* -- the lesson's functions ----------------------------------------------- */

static bool (*const requests[POLICY_KINDS])(policy *p, uint32_t object) = {
    fifo, lru, clock_policy, sieve, s3_fifo, w_tinylfu, belady};

/* One block for all logs, and one for what Belady needs. */
static bool create_memory(policy *p) {
    p->all = calloc(p->objects, sizeof *p->all);
    p->logs[0].entries = malloc(LOGS * 2 * p->places * sizeof(uint32_t));
    p->wishes = calloc(3 * p->places, sizeof *p->wishes);
    if (!p->all || !p->logs[0].entries || !p->wishes) {
        return false;
    }
    for (size_t i = 1; i < LOGS; i++) {
        p->logs[i].entries = p->logs[0].entries + i * 2 * p->places;
    }
    p->who = p->wishes + p->places;
    p->winners = p->who + p->places;
    return true;
}

status policy_create(policy_kind kind, size_t capacity, size_t objects,
                     uint64_t seed, policy **out) {
    (void)seed; /* nothing is hashed */
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
    /* The ghosts may be one too many for a moment. */
    p->places = (capacity < objects ? capacity : objects) + 1;
    if (!create_memory(p)) {
        policy_destroy(p);
        return STATUS_NO_MEMORY;
    }
    *out = p;
    return STATUS_OK;
}

status policy_foretell(policy *p, const uint32_t *trace, size_t n) {
    if (p->kind != POLICY_BELADY || p->requests > 0 || p->next || n >= NEVER) {
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
    /* Forward: whoever comes again tells its last request. */
    for (size_t i = 0; i < n; i++) {
        struct object *o = &p->all[trace[i]];
        p->next[i] = NEVER;
        if (o->uses > 0) {
            p->next[o->at] = (uint32_t)i;
        }
        o->uses = 1;
        o->at = (uint32_t)i;
    }
    p->told = n;
    return STATUS_OK;
}

bool policy_request(policy *p, uint32_t object) {
    return requests[p->kind](p, object);
}

bool policy_holds(const policy *p, uint32_t object) {
    return p->all[object].place != OUT && p->all[object].place != GHOST;
}

size_t policy_count(const policy *p) {
    return p->held;
}

void policy_destroy(policy *p) {
    if (!p) {
        return;
    }
    free(p->next);
    free(p->wishes);
    free(p->logs[0].entries);
    free(p->all);
    free(p);
}
