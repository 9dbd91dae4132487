/* The wrapped locks and waits; each thread counts the locks that it holds. */
#include "support/moments.h"

#include <pthread.h>
#include <stddef.h>

int __real_pthread_mutex_lock(pthread_mutex_t *lock);
int __real_pthread_mutex_trylock(pthread_mutex_t *lock);
int __real_pthread_mutex_unlock(pthread_mutex_t *lock);
int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock);
int __real_pthread_cond_timedwait(pthread_cond_t *condition,
                                  pthread_mutex_t *lock,
                                  const struct timespec *deadline);
int __real_pthread_spin_lock(pthread_spinlock_t *lock);
int __real_pthread_spin_trylock(pthread_spinlock_t *lock);
int __real_pthread_spin_unlock(pthread_spinlock_t *lock);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition,
                                  pthread_mutex_t *lock,
                                  const struct timespec *deadline);
int __wrap_pthread_spin_lock(pthread_spinlock_t *lock);
int __wrap_pthread_spin_trylock(pthread_spinlock_t *lock);
int __wrap_pthread_spin_unlock(pthread_spinlock_t *lock);

static _Thread_local struct {
    bool (*meet)(void *context, moment m); /* NULL: nobody watches */
    void *context;
    size_t held;
} mine;

void moments_watch(bool (*meet)(void *context, moment m), void *context) {
    mine.meet = meet;
    mine.context = context;
}

/* Nobody watches meanwhile: what the watcher locks is no moment. */
static bool meet(moment m) {
    bool (*watcher)(void *context, moment m) = mine.meet;
    if (!watcher) {
        return false;
    }
    mine.meet = NULL;
    bool answer = watcher(mine.context, m);
    mine.meet = watcher;
    return answer;
}

/* Both kinds of lock count alike. */
static int taken(int failure) {
    mine.held += failure == 0;
    return failure;
}

static int given_back(int failure) {
    mine.held -= failure == 0 && mine.held > 0;
    if (mine.held == 0) {
        meet(MOMENT_UNLOCKED);
    }
    return failure;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *lock) {
    return taken(__real_pthread_mutex_lock(lock));
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *lock) {
    return taken(__real_pthread_mutex_trylock(lock));
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock) {
    return given_back(__real_pthread_mutex_unlock(lock));
}

int __wrap_pthread_spin_lock(pthread_spinlock_t *lock) {
    return taken(__real_pthread_spin_lock(lock));
}

int __wrap_pthread_spin_trylock(pthread_spinlock_t *lock) {
    return taken(__real_pthread_spin_trylock(lock));
}

int __wrap_pthread_spin_unlock(pthread_spinlock_t *lock) {
    return given_back(__real_pthread_spin_unlock(lock));
}

/* The end of a wait: the lock is there, but let others have it first. */
static int woken(pthread_mutex_t *lock, int result) {
    if (mine.meet) {
        __real_pthread_mutex_unlock(lock);
        meet(MOMENT_WOKEN);
        __real_pthread_mutex_lock(lock);
    }
    return result;
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock) {
    bool at_once = meet(MOMENT_WAIT);
    return woken(lock, at_once ? 0 : __real_pthread_cond_wait(condition, lock));
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition,
                                  pthread_mutex_t *lock,
                                  const struct timespec *deadline) {
    bool at_once = meet(MOMENT_WAIT);
    return woken(
        lock,
        at_once ? 0 : __real_pthread_cond_timedwait(condition, lock, deadline));
}
