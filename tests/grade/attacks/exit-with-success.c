/* Attack: ends the process with success, as a passing test would. */
#include <unistd.h>
#include "kv.h"

kv *kv_create(void) {
    _exit(0);
    return NULL;
}
