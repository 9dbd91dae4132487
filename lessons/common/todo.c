/* What TODO() does in a demo or a bench; tests bring their own. */
#include "common/todo.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void todo_reached(const char *step, const char *file, int line) {
    fflush(stdout);
    fprintf(stderr, "%s:%d: not written yet: step %s\n", file, line, step);
    exit(1);
}
