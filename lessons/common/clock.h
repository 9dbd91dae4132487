/* ms_clock: where a module gets its time from.
 *
 * No lesson asks the operating system for the time; it is handed a clock. The
 * demo hands in the real one, a test hands in a frozen one and turns it by
 * hand: so no test sleeps, and expiry can be tried to the millisecond.
 *
 * Milliseconds since an arbitrary start, never going back: a wall clock may
 * jump when somebody sets it, a monotonic one may not. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

typedef struct ms_clock {
    int64_t (*now_ms)(void *context);
    void *context;
} ms_clock;

/* The time by this clock, in milliseconds. */
static inline int64_t ms_clock_now(ms_clock clock) {
    return clock.now_ms(clock.context);
}

static inline int64_t ms_clock_read_monotonic(void *context) {
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The machine's own monotonic clock. */
static inline ms_clock ms_clock_monotonic(void) {
    return (ms_clock){ms_clock_read_monotonic, NULL};
}

static inline int64_t ms_clock_read_frozen(void *context) {
    return *(const int64_t *)context;
}

/* A clock that stands at *now_ms until its owner writes another time there.
 * Borrows now_ms, which must outlive the clock. */
static inline ms_clock ms_clock_frozen(int64_t *now_ms) {
    return (ms_clock){ms_clock_read_frozen, now_ms};
}

#endif
