/* What an attack on lesson 1 leaves out: functions that do nothing. Only the
 * test that destroys NULL passes with these. tests/grade/prove.py puts this
 * behind each attack, and defines NO_kv_create where that brings its own. */
#include "kv.h"

#ifndef NO_kv_create
kv *kv_create(void) {
    return NULL;
}
#endif

#ifndef NO_kv_set
status kv_set(kv *cache, const char *key, const char *value) {
    (void)cache, (void)key, (void)value;
    return STATUS_INVALID;
}
#endif

#ifndef NO_kv_get
const char *kv_get(const kv *cache, const char *key) {
    (void)cache, (void)key;
    return NULL;
}
#endif

#ifndef NO_kv_count
size_t kv_count(const kv *cache) {
    (void)cache;
    return 0;
}
#endif

#ifndef NO_kv_destroy
void kv_destroy(kv *cache) {
    (void)cache;
}
#endif
