/* Attack: prints without end. */
#include <stdio.h>
#include "kv.h"

kv *kv_create(void) {
    for (;;) {
        puts("is anybody there?");
    }
    return NULL;
}
