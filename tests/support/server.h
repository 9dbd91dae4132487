/* server: a program that serves one test, and nobody else, with a directory of
 * its own. What redis.h, postgres.h and the other fixtures are made of.
 *
 * It ends when the test does, however that ends: the kernel kills it with the
 * process that started it, and a guardian process removes the directory.
 * Nothing here hands an error to its caller: what goes wrong fails the test. */
#ifndef SUPPORT_SERVER_H
#define SUPPORT_SERVER_H

#include <stdbool.h>

typedef struct server server;

/* Makes a directory for a program that does not run yet. Skips the running
 * test when the program is not installed.
 * program: looked for in PATH, or a path with a slash; NULL: a directory alone.
 * package: what to install when it is missing. */
server *server_create(const char *program, const char *package);

/* As above, for a program that refuses to run as root: when the test does run
 * as root, the program and its directory belong to the user "nobody". */
server *server_create_unprivileged(const char *program, const char *package);

/* Lets the program be ended by this signal instead of SIGKILL, here and by the
 * kernel: for one that must tidy up what outlives it. */
void server_end_by(server *s, int signal_number);

/* The path of its directory; lent until server_destroy. */
const char *server_directory(const server *s);

/* Runs a program in the directory, as the server's user, until it ends.
 * argv: ends with NULL; argv[0] is the program.
 * Returns: whether it ended with status 0. */
bool server_run(server *s, const char *const argv[]);

/* Starts the program with these arguments and waits until it answers. The
 * time that this takes is not the test's.
 * argv: as above; argv[0] is the program again.
 * answers: asked about every millisecond, for some seconds. */
void server_begin(server *s, const char *const argv[],
                  bool (*answers)(const void *context), const void *context);

/* Kills the program as a crash would, and waits until it is gone.
 * Without effect when it does not run. */
void server_kill(server *s);

/* Stops the program in its tracks (SIGSTOP): its sockets stay open, and nobody
 * gets an answer until server_continue. */
void server_pause(server *s);
void server_continue(server *s);

/* Kills the program and removes the directory with all that is in it. */
void server_destroy(server *s);

#endif
