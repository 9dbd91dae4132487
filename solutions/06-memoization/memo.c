/* memo: one lru for what is known, another for what is being computed. */
#include "memo.h"

#include <assert.h>
#include <stdlib.h>

#include "lru.h"

enum { FIRST_DEPTH = 64 };

/* It carries all that its end needs, because it may outlive the memo. */
struct memo_result {
    size_t holders; /* callers that have not released it, and the memo */
    void *value;
    void (*destroy)(void *value); /* NULL: nothing to do */
};

/* One call whose function runs now. */
struct call {
    struct call *outer; /* the one whose function made this one, or NULL */
    size_t argument_len;
    char argument[]; /* a copy: the caller's bytes may change on the way */
};

struct memo {
    lru *results;           /* argument to memo_result; is one holder of each */
    lru *running;           /* a set of arguments; larger than their number */
    size_t depth_max;       /* the capacity of `running` */
    struct call *innermost; /* of the calls that run now */
    memo_function *function;
    void *context;
    void (*destroy_result)(void *value);
    uint64_t seed;
    uint64_t runs;
};

static void let_go(void *held) {
    memo_result *result = held;
    if (--result->holders > 0) {
        return;
    }
    if (result->destroy) {
        result->destroy(result->value);
    }
    free(result);
}

static bytes argument_of(const struct call *call) {
    return (bytes){call->argument, call->argument_len};
}

static struct call *copy_argument(bytes argument) {
    struct call *call = malloc(sizeof *call + argument.len);
    if (call) {
        call->argument_len = argument.len;
        if (argument.len > 0) {
            memcpy(call->argument, argument.data, argument.len);
        }
    }
    return call;
}

/* A running call that was evicted could not be recognised any more, so there
 * must always be room: moves all to a set of twice the size. */
static status make_room(memo *m) {
    lru *larger = NULL;
    status s = lru_create(2 * m->depth_max, NULL, m->seed, &larger);
    for (struct call *c = m->innermost; c && s == STATUS_OK; c = c->outer) {
        s = lru_set(larger, argument_of(c), NULL);
    }
    if (s != STATUS_OK) {
        lru_destroy(larger);
        return s;
    }
    lru_destroy(m->running);
    m->running = larger;
    m->depth_max *= 2;
    return STATUS_OK;
}

static status enter(memo *m, struct call *call) {
    status s = STATUS_OK;
    if (lru_count(m->running) == m->depth_max) {
        s = make_room(m);
    }
    if (s == STATUS_OK) {
        s = lru_set(m->running, argument_of(call), NULL);
    }
    if (s == STATUS_OK) {
        call->outer = m->innermost;
        m->innermost = call;
    }
    return s;
}

static void leave(memo *m, const struct call *call) {
    lru_delete(m->running, argument_of(call));
    m->innermost = call->outer;
}

/* Runs the function for a call that no other one waits for. */
static status run(memo *m, struct call *call, memo_result *result) {
    status s = enter(m, call);
    if (s != STATUS_OK) {
        return s;
    }
    m->runs++;
    s = m->function(m->context, m, argument_of(call), &result->value);
    leave(m, call);
    return s;
}

/* Without memory the result stays unknown to the memo: its caller has it. */
static void remember(memo *m, const struct call *call, memo_result *result) {
    if (lru_set(m->results, argument_of(call), result) == STATUS_OK) {
        result->holders++;
    }
}

/* All that the call itself needs is allocated before the function runs: so a
 * result that cost much is never thrown away for want of a few bytes. */
static status compute(memo *m, bytes argument, memo_result **out) {
    status s = STATUS_NO_MEMORY;
    memo_result *result = malloc(sizeof *result);
    struct call *call = copy_argument(argument);
    if (!result || !call) {
        goto no_result;
    }
    *result = (memo_result){.holders = 1, .destroy = m->destroy_result};
    s = run(m, call, result);
    if (s != STATUS_OK) {
        goto no_result;
    }
    remember(m, call, result);
    free(call);
    *out = result;
    return STATUS_OK;

no_result:
    free(call);
    free(result);
    return s;
}

status memo_create(size_t capacity, memo_function *function, void *context,
                   void (*destroy_result)(void *result), uint64_t seed,
                   memo **out) {
    if (!function) {
        return STATUS_INVALID;
    }
    memo *m = calloc(1, sizeof *m);
    if (!m) {
        return STATUS_NO_MEMORY;
    }
    status s = lru_create(capacity, let_go, seed, &m->results);
    if (s != STATUS_OK) {
        goto no_results;
    }
    m->depth_max = FIRST_DEPTH;
    s = lru_create(m->depth_max, NULL, seed, &m->running);
    if (s != STATUS_OK) {
        goto no_running;
    }
    m->function = function;
    m->context = context;
    m->destroy_result = destroy_result;
    m->seed = seed;
    *out = m;
    return STATUS_OK;

no_running:
    lru_destroy(m->results);
no_results:
    free(m);
    return s;
}

status memo_get(memo *m, bytes argument, memo_result **out) {
    void *known;
    if (lru_get(m->results, argument, &known)) {
        *out = known;
        (*out)->holders++;
        return STATUS_OK;
    }
    if (lru_peek(m->running, argument, NULL)) {
        return STATUS_DEADLOCK;
    }
    return compute(m, argument, out);
}

void *memo_value(const memo_result *result) {
    return result->value;
}

void memo_release(memo_result *result) {
    if (result) {
        let_go(result);
    }
}

size_t memo_count(const memo *m) {
    return lru_count(m->results);
}

memo_stats memo_statistics(const memo *m) {
    lru_stats known = lru_statistics(m->results);
    return (memo_stats){known.hits, m->runs, known.evictions};
}

void memo_destroy(memo *m) {
    if (!m) {
        return;
    }
    assert(!m->innermost);
    lru_destroy(m->running);
    lru_destroy(m->results);
    free(m);
}
