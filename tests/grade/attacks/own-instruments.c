/* Attack: sets the count of its steps back. */
#include <stddef.h>
#include "kv.h"

kv *kv_create(void) {
    extern void work_begin(void);
    work_begin();
    return NULL;
}
