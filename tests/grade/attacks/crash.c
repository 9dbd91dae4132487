/* Attack: writes to address 0. */
#include <stddef.h>
#include "kv.h"

kv *kv_create(void) {
    *(volatile int *)NULL = 1;
    return NULL;
}
