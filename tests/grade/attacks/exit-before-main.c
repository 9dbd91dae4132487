/* Attack: ends the program with success before anything else runs. */
#include <stdlib.h>
#include "kv.h"

__attribute__((constructor)) static void early(void) {
    exit(0);
}
