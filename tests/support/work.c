/* The counter that the compiler calls. */
#include "support/work.h"

#include <stdatomic.h>

static _Atomic size_t steps;

/* A load and a store, not one atomic addition: it runs at every branch, and
 * the lock prefix would cost more than the code it counts. Threads may lose a
 * count to each other, so only single-threaded code is judged by it. */
void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void) {
    size_t before = atomic_load_explicit(&steps, memory_order_relaxed);
    atomic_store_explicit(&steps, before + 1, memory_order_relaxed);
}

void work_begin(void) {
    atomic_store(&steps, 0);
}

size_t work_steps(void) {
    return atomic_load(&steps);
}
