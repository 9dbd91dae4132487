/* Attack: reads the requests itself and answers none. */
#include <unistd.h>
#include "kv.h"

__attribute__((constructor)) static void early(void) {
    char request[4096];
    while (read(3, request, sizeof request) > 0) {
    }
}
