/* redis: a real Redis server for one test, and for nobody else.
 *
 *     redis *server = redis_start();
 *     ... connect to redis_path(server) ...
 *     redis_stop(server);
 *
 * It listens on a unix socket in a directory of its own, and on a port of this
 * machine that was free, and stores nothing on disk. It ends when the test
 * does, however that ends: the kernel kills it with the process that started
 * it, and a guardian process removes the directory. */
#ifndef SUPPORT_REDIS_H
#define SUPPORT_REDIS_H

typedef struct redis redis;

/* Starts a server and waits until it answers. Skips the running test when
 * there is no redis-server, and fails it when the server does not start. */
redis *redis_start(void);

/* The same for a server that may become a node of a cluster: the port 10,000
 * above its own is free too, for the bus between the nodes. */
redis *redis_start_node(void);

/* The path of its unix socket; lent until redis_stop, the same after a
 * restart. */
const char *redis_path(const redis *r);

/* The same for TCP: "127.0.0.1:port". */
const char *redis_host_port(const redis *r);

/* Ends the server and removes its directory. */
void redis_stop(redis *r);

/* Kills the server as a crash would (SIGKILL), and waits until it is gone. */
void redis_kill(redis *r);

/* Kills the server if it runs, and starts an empty one on the same path
 * and port. */
void redis_restart(redis *r);

/* Stops the server in its tracks (SIGSTOP): its socket stays open, and nobody
 * gets an answer until redis_continue. */
void redis_pause(redis *r);
void redis_continue(redis *r);

/* Sends one command, as words between blanks, and waits for the answer. What
 * was published before this call then lies ready for every subscriber; what
 * the command itself publishes may not yet.
 * Returns: the first line of the answer, in a buffer used by the next call. */
const char *redis_ask(const redis *r, const char *command);

#endif
