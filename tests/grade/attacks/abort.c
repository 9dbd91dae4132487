/* Attack: aborts. */
#include <stdlib.h>
#include "kv.h"

kv *kv_create(void) {
    abort();
    return NULL;
}
