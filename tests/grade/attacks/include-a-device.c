/* Attack: lets the compiler read without end. */
#include "/dev/zero"
#include "kv.h"
