/* Attack: never gets to its first request. */
#include <stdint.h>
#include "kv.h"

__attribute__((constructor)) static void early(void) {
    for (volatile uint64_t i = 0;; i++) {
    }
}
