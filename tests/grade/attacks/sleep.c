/* Attack: sleeps for ever. */
#include <unistd.h>
#include "kv.h"

kv *kv_create(void) {
    for (;;) {
        pause();
    }
    return NULL;
}
