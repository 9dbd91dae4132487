/* status: how a call ended, for everything that the world can do to it.
 *
 * One enum serves the whole workbook. A caller's own mistakes (a NULL handle)
 * are not here: those are asserted. Questions ("is it there?") answer with a
 * bool. */
#ifndef COMMON_STATUS_H
#define COMMON_STATUS_H

typedef enum status {
    STATUS_OK = 0,
    STATUS_MISS,      /* not there: an answer, not a failure */
    STATUS_NO_MEMORY, /* an allocation failed; nothing was changed */
    STATUS_INVALID,   /* an argument out of range; nothing was changed */
    STATUS_BACKEND,   /* the source behind the cache failed */
    STATUS_TIMEOUT,   /* no answer in the time given */
    STATUS_DEADLOCK,  /* waiting would never have ended */
    STATUS_TOO_LARGE, /* more than a stated bound */
    STATUS_STALE,     /* older than what is held, or asked for too long ago */
    STATUS_LOST,      /* the other side went away in mid-call: done, or not */
} status;

/* The status as a word for people. Returns: a string that lives for ever. */
static inline const char *status_name(status s) {
    switch (s) {
    case STATUS_OK: return "ok";
    case STATUS_MISS: return "miss";
    case STATUS_NO_MEMORY: return "no memory";
    case STATUS_INVALID: return "invalid argument";
    case STATUS_BACKEND: return "backend failed";
    case STATUS_TIMEOUT: return "timeout";
    case STATUS_DEADLOCK: return "would deadlock";
    case STATUS_TOO_LARGE: return "too large";
    case STATUS_STALE: return "stale";
    case STATUS_LOST: return "connection lost";
    }
    return "unknown status";
}

#endif
