/* Attack: closes the descriptor over which work comes. */
#include <unistd.h>
#include "kv.h"

__attribute__((constructor)) static void early(void) {
    close(3);
}
