/* postgres: real PostgreSQL servers, for the tests of one run and for nobody
 * else.
 *
 *     char *address = postgres_database();
 *     ... connect to address ...
 *     postgres_drop(address);
 *
 * To make and start a server takes half a second, so a run with DB=postgres in
 * its environment starts one for all of its tests (test_prepare), and each
 * test gets an empty database of its own. A test that kills its server starts
 * one for itself. All listen on a unix socket only, and write nothing through
 * to the disk. */
#ifndef SUPPORT_POSTGRES_H
#define SUPPORT_POSTGRES_H

#include <stdbool.h>

typedef struct postgres postgres;

bool postgres_is_installed(void);

/* Makes a server and waits until it answers. Skips the running test when
 * PostgreSQL is not installed, and fails it when the server does not start. */
postgres *postgres_start(void);

/* Where it is, in the words of libpq; lent until postgres_stop, the same after
 * a restart. */
const char *postgres_address(const postgres *p);

/* Ends the server as a crash would, and waits until it is gone. */
void postgres_kill(postgres *p);

/* Kills the server if it runs, and starts it on the same data. */
void postgres_restart(postgres *p);

/* Ends the server and removes its directory. */
void postgres_stop(postgres *p);

/* Makes an empty database on the server of the run. Skips the running test
 * when there is none.
 * Returns: its address, which postgres_drop ends. */
char *postgres_database(void);

/* Removes that database, whoever is still connected to it. */
void postgres_drop(char *address);

#endif
