/* Attack: writes an answer of its own on the channel. */
#include <unistd.h>
#include <string.h>
#include "kv.h"

kv *kv_create(void) {
    char answer[256];
    memset(answer, 1, sizeof answer);
    for (int fd = 3; fd < 20; fd++) {
        (void)!write(fd, answer, sizeof answer);
    }
    return NULL;
}
