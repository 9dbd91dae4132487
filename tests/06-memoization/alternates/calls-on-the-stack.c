/* memo: an lru for what is known; the running calls stand on the stack, each
 * in the chain of its hash, and no set of them is kept elsewhere. */
#include "memo.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "lru.h"

enum { FIRST_CHAINS = 32 };

/* The argument's copy stands behind it: one block for both. */
struct memo_result {
    size_t holders;
    void *value;
    void (*destroy)(void *value);
    size_t argument_len;
    char argument[];
};

struct frame {
    const memo_result *result; /* for its argument */
    uint64_t hash;
    struct frame *next;  /* in its chain */
    struct frame *outer; /* the call whose function made this one */
};

struct memo {
    lru *results;
    struct frame **chains;
    size_t chain_count; /* a power of two */
    size_t depth;
    struct frame *innermost;
    memo_function *function;
    void *context;
    void (*destroy_result)(void *value);
    uint64_t seed;
    uint64_t runs;
};

static bytes argument_of(const memo_result *result) {
    return (bytes){result->argument, result->argument_len};
}

static void let_go(void *held) {
    memo_release(held);
}

static struct frame **chain_of(const memo *m, uint64_t hash) {
    return &m->chains[hash & (m->chain_count - 1)];
}

static bool is_running(const memo *m, bytes argument, uint64_t hash) {
    const struct frame *frame = *chain_of(m, hash);
    while (frame && !bytes_equal(argument_of(frame->result), argument)) {
        frame = frame->next;
    }
    return frame;
}

/* Chains only get longer if there is no memory for more of them. */
static void grow(memo *m) {
    struct frame **chains = calloc(2 * m->chain_count, sizeof *chains);
    if (!chains) {
        return;
    }
    free(m->chains);
    m->chains = chains;
    m->chain_count *= 2;
    for (struct frame *f = m->innermost; f; f = f->outer) {
        f->next = *chain_of(m, f->hash);
        *chain_of(m, f->hash) = f;
    }
}

static void enter(memo *m, struct frame *frame) {
    if (m->depth == m->chain_count) {
        grow(m);
    }
    frame->next = *chain_of(m, frame->hash);
    *chain_of(m, frame->hash) = frame;
    frame->outer = m->innermost;
    m->innermost = frame;
    m->depth++;
}

static void leave(memo *m, struct frame *frame) {
    struct frame **link = chain_of(m, frame->hash);
    while (*link != frame) {
        link = &(*link)->next;
    }
    *link = frame->next;
    m->innermost = frame->outer;
    m->depth--;
}

static status run(memo *m, memo_result *result, uint64_t hash) {
    struct frame frame = {.result = result, .hash = hash};
    enter(m, &frame);
    m->runs++;
    status s = m->function(m->context, m, argument_of(result), &result->value);
    leave(m, &frame);
    return s;
}

static memo_result *result_for(const memo *m, bytes argument) {
    memo_result *result = malloc(sizeof *result + argument.len);
    if (result) {
        *result = (memo_result){.holders = 1,
                                .destroy = m->destroy_result,
                                .argument_len = argument.len};
        if (argument.len > 0) {
            memcpy(result->argument, argument.data, argument.len);
        }
    }
    return result;
}

status memo_create(size_t capacity, memo_function *function, void *context,
                   void (*destroy_result)(void *result), uint64_t seed,
                   memo **out) {
    if (!function) {
        return STATUS_INVALID;
    }
    lru *results = NULL;
    status s = lru_create(capacity, let_go, seed, &results);
    memo *m = s == STATUS_OK ? calloc(1, sizeof *m) : NULL;
    if (m) {
        m->chains = calloc(FIRST_CHAINS, sizeof(struct frame *));
    }
    if (!m || !m->chains) {
        free(m);
        lru_destroy(results);
        return s == STATUS_OK ? STATUS_NO_MEMORY : s;
    }
    m->results = results;
    m->chain_count = FIRST_CHAINS;
    m->function = function;
    m->context = context;
    m->destroy_result = destroy_result;
    m->seed = seed;
    *out = m;
    return STATUS_OK;
}

status memo_get(memo *m, bytes argument, memo_result **out) {
    void *known;
    if (lru_get(m->results, argument, &known)) {
        *out = known;
        (*out)->holders++;
        return STATUS_OK;
    }
    uint64_t hash = XXH3_64bits_withSeed(argument.data, argument.len, m->seed);
    if (is_running(m, argument, hash)) {
        return STATUS_DEADLOCK;
    }
    memo_result *result = result_for(m, argument);
    if (!result) {
        return STATUS_NO_MEMORY;
    }
    status s = run(m, result, hash);
    if (s != STATUS_OK) {
        free(result);
        return s;
    }
    if (lru_set(m->results, argument_of(result), result) == STATUS_OK) {
        result->holders++;
    }
    *out = result;
    return STATUS_OK;
}

void *memo_value(const memo_result *result) {
    return result->value;
}

void memo_release(memo_result *result) {
    if (!result || --result->holders > 0) {
        return;
    }
    if (result->destroy) {
        result->destroy(result->value);
    }
    free(result);
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
    assert(m->depth == 0);
    lru_destroy(m->results);
    free(m->chains);
    free(m);
}
