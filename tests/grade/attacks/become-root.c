/* Attack: takes every privilege that is given away. */
#include <stdio.h>
#include <unistd.h>
#include "kv.h"

kv *kv_create(void) {
    if (setuid(0) == 0 || seteuid(0) == 0 || chroot("/") == 0) {
        puts("STOLEN privileges");
    }
    fflush(stdout);
    return NULL;
}
