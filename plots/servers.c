/* What the fixtures of tests/support ask of a test, given by a bench: what
 * fails or is missing ends the program with one line. */
#include "measure.h"

#include "support/check.h"

#include <stdarg.h>
#include <stdio.h>

void check_bool(bool got, bool want, check_here at, const char *did,
                const char *likely) {
    if (got != want) {
        measure_die("%s:%d: %s: %s", at.file, at.line, did, likely);
    }
}

_Noreturn void test_skip(const char *format, ...) {
    char line[256];
    va_list values;
    va_start(values, format);
    vsnprintf(line, sizeof line, format, values);
    va_end(values);
    measure_die("%s", line);
}

const char *text(const char *format, ...) {
    static char line[256];
    va_list values;
    va_start(values, format);
    vsnprintf(line, sizeof line, format, values);
    va_end(values);
    return line;
}
