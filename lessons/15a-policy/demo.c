/* Seven policies, four small traces: how often does each miss? */
#include "policy.h"

#include <stdio.h>
#include <stdlib.h>

enum { REQUESTS = 20000, OBJECTS = 1000, CAPACITY = 100, TRACES = 4 };

static const char *const policies[POLICY_KINDS] = {
    "FIFO", "LRU", "CLOCK", "SIEVE", "S3-FIFO", "W-TinyLFU", "Belady"};

static const char *const traces[TRACES] = {"popular", "scans", "loop",
                                           "shifting"};

/* SplitMix64, below n. */
static uint32_t random_below(uint64_t *state, uint32_t n) {
    uint64_t x = *state += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return (uint32_t)((x ^ (x >> 31)) % n);
}

/* Small numbers come up most: the product of three fractions. */
static uint32_t popular(uint64_t *state) {
    uint32_t object = OBJECTS;
    for (int i = 0; i < 3; i++) {
        object = object * random_below(state, OBJECTS) / OBJECTS;
    }
    return object;
}

/* What request i of a trace is for. */
static uint32_t draw(int trace, uint64_t *state, uint32_t i) {
    switch (trace) {
    case 0: return popular(state);
    case 1: /* after every 300 requests, 200 objects in a row */
        return i % 500 < 300 ? popular(state) : i % OBJECTS;
    case 2: return i % (CAPACITY + CAPACITY / 5);
    default: /* every 2000 requests others are popular */
        return (popular(state) + i / 2000 * CAPACITY) % OBJECTS;
    }
}

static size_t misses(policy_kind kind, const uint32_t *requests) {
    policy *p;
    status s = policy_create(kind, CAPACITY, OBJECTS, 42, &p);
    if (s == STATUS_OK && kind == POLICY_BELADY) {
        s = policy_foretell(p, requests, REQUESTS);
    }
    if (s != STATUS_OK) {
        fprintf(stderr, "%s: %s\n", policies[kind], status_name(s));
        exit(EXIT_FAILURE);
    }
    size_t count = 0;
    for (size_t i = 0; i < REQUESTS; i++) {
        count += !policy_request(p, requests[i]);
    }
    policy_destroy(p);
    return count;
}

int main(void) {
    static uint32_t requests[TRACES][REQUESTS];
    printf("%-10s", "misses");
    for (int t = 0; t < TRACES; t++) {
        uint64_t state = 42;
        for (uint32_t i = 0; i < REQUESTS; i++) {
            requests[t][i] = draw(t, &state, i);
        }
        printf("%10s", traces[t]);
    }
    printf("\n");
    for (policy_kind kind = 0; kind < POLICY_KINDS; kind++) {
        printf("%-10s", policies[kind]);
        for (int t = 0; t < TRACES; t++) {
            printf("%10zu", misses(kind, requests[t]));
        }
        printf("\n");
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
