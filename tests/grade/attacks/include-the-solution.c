/* Attack: includes the solution. */
#include "../../solutions/01-introduction/kv.c"
#include "kv.h"
