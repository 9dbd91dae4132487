/* memo: one lru for what is known, another for what is being computed. */
#include "memo.h"

#include "common/todo.h"

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

status memo_create(size_t capacity, memo_function *function, void *context,
                   void (*destroy_result)(void *result), uint64_t seed,
                   memo **out) {
    TODO("6.1: refuse what cannot work, make the memo and its two lrus");
}

status memo_get(memo *m, bytes argument, memo_result **out) {
    TODO("6.2: run the function, and give the caller a result to hold");
}

void *memo_value(const memo_result *result) {
    TODO("6.2: return what the function gave");
}

void memo_release(memo_result *result) {
    TODO("6.2: take one holder away; the last one ends the result");
}

size_t memo_count(const memo *m) {
    TODO("6.1: return the number of results remembered");
}

memo_stats memo_statistics(const memo *m) {
    TODO("6.4: return the hits, the runs and the evictions");
}

void memo_destroy(memo *m) {
    TODO("6.1: let go of all results, free both lrus and the memo");
}
