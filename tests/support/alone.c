/* What the fixtures ask of a test, for programs that are none, demos and
 * benches: what fails or is missing ends the program with one line. */
#include "support/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static _Noreturn void die(const char *line) {
    fprintf(stderr, "%s\n", line);
    exit(EXIT_FAILURE);
}

void check_bool(bool got, bool want, check_here at, const char *did,
                const char *likely) {
    if (got != want) {
        fprintf(stderr, "%s:%d: %s: %s\n", at.file, at.line, did, likely);
        exit(EXIT_FAILURE); /* not die: a text may be what was done */
    }
}

_Noreturn void test_skip(const char *format, ...) {
    char line[256];
    va_list values;
    va_start(values, format);
    vsnprintf(line, sizeof line, format, values);
    va_end(values);
    die(line);
}

void test_allow(unsigned seconds) {
    (void)seconds; /* nobody watches */
}

const char *text(const char *format, ...) {
    static char line[512];
    va_list values;
    va_start(values, format);
    vsnprintf(line, sizeof line, format, values);
    va_end(values);
    return line;
}
