/* The counter that the compiler calls. */
#include "support/work.h"

/* For each thread its own: it is called at every branch, and a shared count
 * would be a race, or cost more than the code it counts. */
static _Thread_local size_t steps;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void) {
    steps++;
}

void work_begin(void) {
    steps = 0;
}

size_t work_steps(void) {
    return steps;
}
