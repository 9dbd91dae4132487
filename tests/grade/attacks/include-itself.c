/* Attack: lets the compiler include it without end. */
#include __FILE__
#include __FILE__
#include "kv.h"
