/* Attack: replaces the allocator that is counted. */
#include "kv.h"

void *__wrap_malloc(size_t size) {
    (void)size;
    return NULL;
}
