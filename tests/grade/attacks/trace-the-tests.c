/* Attack: looks into other processes with ptrace. */
#include <stdio.h>
#include <sys/ptrace.h>
#include <unistd.h>
#include "kv.h"

kv *kv_create(void) {
    /* Process 1 is the cage's own, and as caged. */
    for (pid_t pid = 2; pid < 20000; pid++) {
        if (pid != getpid() && pid != getppid()
            && ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0) {
            printf("STOLEN process %d\n", (int)pid);
        }
    }
    fflush(stdout);
    return NULL;
}
