/* Attack: kills its process group. */
#include <signal.h>
#include "kv.h"

kv *kv_create(void) {
    kill(0, SIGKILL);
    return NULL;
}
