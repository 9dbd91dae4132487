/* Attack: never comes back. */
#include <stdint.h>
#include "kv.h"

kv *kv_create(void) {
    for (volatile uint64_t i = 0;; i++) {
    }
    return NULL;
}
