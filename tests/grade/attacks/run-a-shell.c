/* Attack: runs other programs. */
#include <stdio.h>
#include <unistd.h>
#include "kv.h"

kv *kv_create(void) {
    execl("/bin/sh", "sh", "-c", "echo STOLEN a shell", NULL);
    execl("/usr/bin/prlimit", "prlimit", "--nproc=unlimited:unlimited", NULL);
    return NULL;
}
