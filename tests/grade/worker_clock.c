/* For lessons whose tests turn the machine's clocks: the time is what it is on
 * their side. */
#include "grade/worker.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* These take the place of the C library's. */
int clock_gettime(clockid_t id, struct timespec *out) {
    uint64_t ns = worker_ask(WIRE_CLOCK, (uint64_t)id);
    if (ns == 0) { /* a thread that nobody serves */
        return (int)syscall(SYS_clock_gettime, id, out);
    }
    out->tv_sec = (time_t)(ns / 1000000000);
    out->tv_nsec = (long)(ns % 1000000000);
    return 0;
}

int timespec_get(struct timespec *out, int base) {
    return clock_gettime(CLOCK_REALTIME, out) == 0 ? base : 0;
}
