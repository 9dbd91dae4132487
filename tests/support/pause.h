/* pause: for who waits for something that nothing tells: look, pause, look
 * again. */
#ifndef SUPPORT_PAUSE_H
#define SUPPORT_PAUSE_H

#include <time.h>

static inline void pause_ms(int ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

#endif
