/* Attack: leaves a process of a session of its own behind. */
#include <unistd.h>
#include "kv.h"

kv *kv_create(void) {
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            for (;;) {
                sleep(1);
            }
        }
        _exit(0);
    }
    return NULL;
}
