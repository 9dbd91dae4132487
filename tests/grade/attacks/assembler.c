/* Attack: does something that no C compiler sees. */
#include "kv.h"

kv *kv_create(void) {
    __asm__ volatile("mov $60, %%eax; xor %%edi, %%edi; syscall" ::: "eax");
    return NULL;
}
