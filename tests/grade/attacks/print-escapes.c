/* Attack: prints what would rule a terminal, or a web page. */
#include <stdio.h>
#include "kv.h"

kv *kv_create(void) {
    puts("\033]0;owned\007\033[2J<script>alert(1)</script>\r\b\b");
    fflush(stdout);
    return NULL;
}
