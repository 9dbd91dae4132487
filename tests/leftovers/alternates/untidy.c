/* untidy: ends the process that calls it, each function in its own way. */
#include "untidy.h"

#include <signal.h>
#include <stdlib.h>

int untidy_crash(void) {
    return raise(SIGSEGV);
}

int untidy_loop(int go_on) {
    volatile int going = go_on;
    while (going) {
    }
    return going;
}

void untidy_exit(void) {
    exit(0);
}
