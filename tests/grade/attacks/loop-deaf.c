/* Attack: never comes back, and blocks every signal. */
#include <signal.h>
#include <stdint.h>
#include "kv.h"

kv *kv_create(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    for (volatile uint64_t i = 0;; i++) {
    }
    return NULL;
}
