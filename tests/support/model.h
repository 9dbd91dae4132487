/* model: long random runs against a plain model, and short failures.
 *
 * A lesson describes its operations on small numbers; the checker draws
 * seeded random lists of them, runs each list in a child process (so that a
 * crash or an endless loop is a failure like any other), and shrinks the first
 * list that fails until nothing can be left out. What is printed is then the
 * shortest list of calls that still fails, ready to paste into a test. */
#ifndef SUPPORT_MODEL_H
#define SUPPORT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One operation: which, on which key, with which value. */
typedef struct model_step {
    unsigned operation, key, value;
} model_step;

typedef struct model {
    unsigned operations, keys, values; /* how many of each to draw from */
    size_t lists, steps;               /* how many lists, how long each */
    /* Makes the thing under test beside its model. */
    void *(*begin)(void);
    /* Does one step to both. Returns: NULL, or what differed (as by text()). */
    const char *(*apply)(void *state, model_step step);
    /* Compares what is left to compare, then destroys both. Returns as apply.
     */
    const char *(*end)(void *state);
    /* Writes a step as the C call it stands for. */
    void (*print)(FILE *out, model_step step);
} model;

/* Fails the running test with the shortest failing list, if there is one. */
void model_check(const model *m);

#endif
