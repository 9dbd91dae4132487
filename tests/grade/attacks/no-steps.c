/* Attack: hides its steps from the counter. */
#include "kv.h"

__attribute__((no_sanitize_coverage)) static int many(int n) {
    return n > 0 ? many(n - 1) + n : 0;
}

kv *kv_create(void) {
    return many(3) ? NULL : (kv *)"";
}
