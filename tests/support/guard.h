/* guard: a process that outlives a run of Criterion's, however the run ends,
 * and tidies up what a run that was killed cannot.
 *
 * Criterion has a socket in /tmp and files in /dev/shm, named for its own
 * process and for those of its tests, and removes them itself only when it
 * ends by itself. A test's process that was just being made when its parent
 * was killed waits for ever for that parent's word. */
#ifndef SUPPORT_GUARD_H
#define SUPPORT_GUARD_H

/* Called by the runner before its first test, once. */
void guard_begin(void);

#endif
