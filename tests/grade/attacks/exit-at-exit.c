/* Attack: turns every way to end into a success. */
#include <stdlib.h>
#include <unistd.h>
#include "kv.h"

static void smile(void) {
    _exit(0);
}

__attribute__((constructor)) static void early(void) {
    atexit(smile);
}
