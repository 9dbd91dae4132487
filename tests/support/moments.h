/* moments: lets a test act at the moments at which another thread could.
 *
 * Whenever a thread holds no lock, any other one may run, for any length of
 * time: after an unlock, and after a wait, which ends before its thread has
 * the lock again. A wait may also end without any reason, POSIX says so. All
 * this happens rarely, so code that does not expect it passes nearly always.
 *
 * The linker sends every call of pthread_mutex_lock, _trylock, _unlock, of
 * pthread_spin_lock, _trylock, _unlock, and of pthread_cond_wait and _timedwait
 * in the linked objects through moments.c (-Wl,--wrap; a lesson asks for it in
 * the Makefile: watched-LESSON). There the test's own function is called, in
 * the very thread that is watched; it may hold that thread up for as long as
 * others need. Nothing happens to a thread that is not watched. Read-write
 * locks are not seen. */
#ifndef SUPPORT_MOMENTS_H
#define SUPPORT_MOMENTS_H

#include <stdbool.h>

typedef enum moment {
    MOMENT_UNLOCKED, /* the thread has just given back its last lock */
    MOMENT_WAIT,     /* it begins to wait, and still holds the lock */
    MOMENT_WOKEN,    /* its wait is over, and others have had the lock first */
} moment;

/* From now on calls `meet` at each of these moments of this thread, until the
 * next call; NULL: not at all. What `meet` itself locks is no moment.
 * meet: at MOMENT_WAIT it returns whether this wait ends at once, for nothing;
 * what it returns at the others is not looked at.
 * context: passed on, never followed. */
void moments_watch(bool (*meet)(void *context, moment m), void *context);

#endif
