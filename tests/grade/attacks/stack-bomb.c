/* Attack: recurses without end. */
#include "kv.h"

static int deeper(volatile int *from) {
    volatile int here[1000] = {*from};
    return deeper(here) + here[1];
}

kv *kv_create(void) {
    volatile int start = 1;
    deeper(&start);
    return NULL;
}
