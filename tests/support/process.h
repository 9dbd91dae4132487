/* process: a program that serves one test, and nobody else, with a directory of
 * its own. What redis.h, postgres.h and the other fixtures are made of.
 *
 * It ends when the test does, however that ends: the kernel kills it with the
 * process that started it, and a guardian process removes the directory, which
 * is made in the one that TEST_DIRECTORY names, a short path, or in /tmp.
 * Nothing here hands an error to its caller: what goes wrong fails the test. */
#ifndef SUPPORT_PROCESS_H
#define SUPPORT_PROCESS_H

#include <stdbool.h>

typedef struct process process;

/* Makes a directory for a program that does not run yet. Skips the running
 * test when the program is not installed.
 * program: looked for in PATH, or a path with a slash; NULL: a directory alone.
 * package: what to install when it is missing. */
process *process_create(const char *program, const char *package);

/* As above, for a program that refuses to run as root: when the test does run
 * as root, the program and its directory belong to the user "nobody". */
process *process_create_unprivileged(const char *program, const char *package);

/* Lets the program be ended by this signal instead of SIGKILL, here and by the
 * kernel: for one that must tidy up what outlives it. */
void process_end_by(process *s, int signal_number);

/* The path of its directory; lent until process_destroy. */
const char *process_directory(const process *s);

/* Runs a program in the directory, as the server's user, until it ends; one
 * that does not within some seconds is killed. The time that this takes is not
 * the test's.
 * argv: ends with NULL; argv[0] is the program.
 * meanwhile: called about every millisecond until then; NULL: nothing is.
 * Returns: whether it ended with status 0. */
bool process_run(process *s, const char *const argv[],
                 void (*meanwhile)(void *context), void *context);

/* Starts the program with these arguments and waits until it answers. The
 * time that this takes is not the test's.
 * argv: as above; argv[0] is the program again.
 * answers: asked about every millisecond, for some seconds. */
void process_begin(process *s, const char *const argv[],
                   bool (*answers)(const void *context), const void *context);

/* The same, for a program that may end instead, since its port was taken, say.
 * Returns: false if it has ended by itself; then it may begin again. */
bool process_begins(process *s, const char *const argv[],
                    bool (*answers)(const void *context), const void *context);

/* Kills the program as a crash would, and waits until it is gone.
 * Without effect when it does not run. */
void process_kill(process *s);

/* Stops the program in its tracks (SIGSTOP): its sockets stay open, and nobody
 * gets an answer until process_continue. */
void process_pause(process *s);
void process_continue(process *s);

/* Kills the program and removes the directory with all that is in it. */
void process_destroy(process *s);

#endif
