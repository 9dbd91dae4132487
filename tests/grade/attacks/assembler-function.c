/* Attack: defines a function in assembler. */
#include "kv.h"

__asm__(".globl kv_create\nkv_create: xor %eax, %eax\n ret\n");
