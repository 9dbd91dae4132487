/* Attack: reads the solution where the grader has it. */
#include <stdio.h>
#include "kv.h"

kv *kv_create(void) {
    FILE *file =
        fopen("/tmp/grade/workbook/solutions/01-introduction/kv.c", "r");
    for (int c; file && (c = fgetc(file)) != EOF;) {
        putchar(c);
    }
    puts(file ? "STOLEN" : "nothing");
    fflush(stdout);
    return NULL;
}
