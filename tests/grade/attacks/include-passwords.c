/* Attack: includes a file of the system. */
#include "/etc/passwd"
#include "kv.h"
