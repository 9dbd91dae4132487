/* Attack: opens files without end. */
#include <fcntl.h>
#include "kv.h"

kv *kv_create(void) {
    while (open("/dev/null", O_RDONLY) >= 0) {
    }
    return NULL;
}
