/* Each function has the one fault that its name says. */
#include "faults/alternates/faulty.h"

#include "common/todo.h"

#include <stdint.h>
#include <stdlib.h>

void *faulty_leak(void) {
    return malloc(24);
}

int faulty_read_null(void) {
    const volatile int *nowhere = NULL;
    return *nowhere;
}

int faulty_loop(int go_on) {
    volatile int going = go_on;
    while (going) {
    }
    return going;
}

void faulty_exit(void) {
    exit(0);
}

size_t faulty_recurse(size_t depth) {
    volatile char block[4096];
    block[depth % sizeof block] = 1;
    size_t below = depth == SIZE_MAX ? 0 : faulty_recurse(depth + 1);
    return below + (size_t)block[0]; /* so that it cannot become a loop */
}

void faulty_todo(void) {
    TODO("0.1: write this");
}

size_t faulty_scan(size_t n) {
    volatile size_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum = sum + i;
    }
    return sum;
}

char faulty_use_after_free(void) {
    char *volatile block = malloc(64);
    block[40] = 'x';
    free(block);
    return block[40];
}

void faulty_overflow(void) {
    volatile size_t len = 24;
    volatile char *block = malloc(len);
    for (size_t i = 0; i <= len; i++) {
        block[i] = 'x';
    }
    free((void *)block);
}

void faulty_double_free(void) {
    void *volatile block = malloc(64);
    free(block);
    free(block);
}
