/* crash: turns a crash or an endless loop of the lesson's code into a line
 * that names the place in the student's file. */
#ifndef SUPPORT_CRASH_H
#define SUPPORT_CRASH_H

/* From here to crash_unwatch, a crash or an exit is written to the file that
 * TEST_EVENTS names (or to stderr), and a test that runs longer than
 * TEST_SECONDS (default 2) is ended as a timeout. */
void crash_watch(const char *test_name);
void crash_unwatch(void);

/* From here on the test that is watched may run so many seconds more, if that
 * is more than TEST_SECONDS. */
void crash_allow(unsigned seconds);

/* Reports a failure from a thread that is not the test's own, and ends the
 * process: the runner's way out of a test is a jump on the test's stack.
 * message: its kind, two blanks, and the rest, as runner_fail takes it. */
_Noreturn void crash_fail(const char *message);

/* For a child process that may crash without a word: its parent sees how it
 * ended. */
void crash_ignore(void);

/* The source line behind an instruction, as "lessons/.../kv.c:31", or "an
 * unknown line". Returns: a buffer used by the next call again. */
const char *crash_line_of(const void *instruction);

#endif
