/* server: a cache that others can ask, in the words of Redis.
 *
 *   clients          event loop                session              lesson 14
 *
 *   socket --recv--> whatever has come --> parse, run a command --> cache
 *   socket           of any client,            |      ^               ^
 *   socket           64 KiB at most            |      '-- a value ----'
 *   socket <--send-- all answers to it  <------'          or a miss
 *
 *   a command, its words with their lengths:   *2\r\n$3\r\nGET\r\n$1\r\na\r\n
 *   the answer, a value with its length:       $5\r\nAlice\r\n
 *
 * Most of the server knows nothing of sockets: a session is given the bytes of
 * one client as they come, cut up in any way, and hands out the bytes of the
 * answers. The event loop around it waits for all sockets at once (epoll),
 * reads what one has, lets its session answer all commands in that, and sends
 * the answers together. No call in it ever waits for a single client.
 *
 * With several loops each has a thread of its own. The first one accepts all
 * clients and deals them out in turn, so the loops get equal numbers of them.
 * (Each loop with a listening socket of its own, by SO_REUSEPORT, has the
 * kernel choose by a hash of the addresses: fifty clients may fall thirty to
 * twenty, and a unix socket cannot do it at all.)
 *
 * Sources: Redis, its protocol RESP and its networking.c, whose answers these
 * are to the letter; memcached's thread.c, where one thread accepts for all;
 * Dan Kegel, "The C10K problem", 1999.
 *
 * Promises
 * [P1] However the input is cut into pieces, the output is the same.
 * [P2] A command is a RESP array of strings, or a line of words. Keys and
 *      values are any bytes.
 * [P3] Commands are answered in order, one answer each; all that came together
 *      is answered together.
 * [P4] Answers and error texts are those of Redis 7.0, for every command of
 *      this server; any other command is an unknown one.
 * [P5] What is no command gets Redis's protocol error; then that session is
 *      over, and no other one notices.
 * [P6] An announced length takes no memory; bytes that came do. A request
 *      that is longer than the options allow is refused as soon as it says so.
 * [P7] Who does not take his answers is not asked for more: a session holds at
 *      most output_bytes of them and one answer more, and goes on where it
 *      stopped when they are taken. One answer has at most request_bytes.
 * [P8] The cache keeps to memory_bytes by evicting. An entry that is too large
 *      for it is refused with the error OOM, and changes nothing.
 * [P9] A key that was set for n milliseconds is gone after n, by the clock of
 *      the options; what is no positive time is refused.
 * [P10] A client that is slow, silent or gone holds up no other one, nor does
 *      a loop another loop. A loop that can do nothing sleeps. Ten thousand
 *      clients that say nothing take no more than 1 KiB each.
 * [P11] There are at most max_clients; the next one is told so and closed. When
 *      the process has no descriptor left, newcomers are closed, the others are
 *      served, and nothing spins; when there are some again, so are newcomers.
 * [P12] A command that writes does all of it before any other one that writes,
 *      whatever loop it comes from.
 * [P13] server_stop may be called in a signal handler. What was read is still
 *      answered, as far as the sockets take it; the socket's file is removed.
 * [P14] Who names no host is on this machine alone: 127.0.0.1. An address that
 *      is not good, or taken, is told in words.
 * [P15] No client, whatever it does, raises SIGPIPE.
 * [P16] When memory runs out, a command says so or its session is over; the
 *      server and what it holds stay. A session that waits for nothing holds
 *      no buffer. Destroy gives back every byte; destroy(NULL) does nothing. */
#ifndef LESSON_SERVER_H
#define LESSON_SERVER_H

#include "common/bytes.h"
#include "common/clock.h"
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest line, and the most words of a command. */
#define SERVER_LINE_MAX ((size_t)65536)
#define SERVER_WORDS_MAX ((size_t)1024 * 1024)

/* The most loops, and addresses to listen at. */
#define SERVER_LOOPS_MAX ((size_t)64)
#define SERVER_ADDRESSES_MAX ((size_t)4)

typedef struct server server;
typedef struct server_session server_session;

/* All zero is the default. */
typedef struct server_options {
    size_t memory_bytes;  /* of the cache; 0: 256 MiB. It has one shard with one
                             loop, else four for each */
    size_t entry_bytes;   /* about how long key and value are (lesson 14) */
    size_t loops;         /* 0: 1 */
    size_t max_clients;   /* 0: 10,000 */
    size_t request_bytes; /* of one command, and of one answer; 0: 64 MiB */
    size_t output_bytes;  /* 0: 1 MiB */
    ms_clock clock;       /* without now_ms: the machine's monotonic clock */
    uint64_t seed;        /* start of the cache's hash */
} server_options;

typedef struct server_stats {
    uint64_t clients;  /* connected now */
    uint64_t accepted; /* since the start, */
    uint64_t refused;  /* and those that there was no room for */
    uint64_t max_clients, memory_bytes; /* as in the options, or by default */
} server_stats;

/* Makes a server with an empty cache, which listens nowhere yet.
 * options: copied; NULL: the default.
 * out: the server, which the caller ends with server_destroy.
 * Returns: STATUS_OK; STATUS_INVALID: more than SERVER_LOOPS_MAX loops, or
 * memory that lesson 14's cache refuses; STATUS_NO_MEMORY; STATUS_BACKEND: the
 * system has no descriptors left. *out is written on STATUS_OK only. */
status server_create(const server_options *options, server **out);

/* -- a session: one client, without its socket ---------------------------- */

/* Begins a session, which the caller ends before the server.
 * Returns: NULL without memory. */
server_session *server_session_create(server *s);

/* Takes the next bytes from the client, and answers the commands that they
 * complete; what is not complete is kept. While the output is full, so are
 * commands. After the session is over all input is ignored.
 * input: lent for the call.
 * Cost: O(length) and that of the commands, however the input is cut; a line
 * that is not whole may be looked through again, SERVER_LINE_MAX at most. */
void server_session_feed(server_session *x, bytes input);

/* The answers that are to be sent: all of them, or as many as there are now.
 * Lent until the next call on this session. */
bytes server_session_output(const server_session *x);

/* Says that the first n bytes of the output were sent. Commands that had to
 * wait for that are answered now, so there may be new output. */
void server_session_take(server_session *x, size_t n);

/* Whether to read from the client: the output is not full, and the session is
 * not over. */
bool server_session_wants_input(const server_session *x);

/* Whether the client is to be hung up on when the output is sent. */
bool server_session_is_over(const server_session *x);

/* Ends the session; NULL is fine. */
void server_session_destroy(server_session *x);

/* -- sockets -------------------------------------------------------------- */

/* Begins to listen. May be called several times, before server_run.
 * address: the path of a unix socket, which has a '/' in it; or "port" or
 * "host:port", with an IPv4 or IPv6 address as the host. A port of 0 takes
 * any that is free. A file that a dead server's socket left is replaced.
 * Returns: STATUS_OK; STATUS_INVALID: no address, or one more than
 * SERVER_ADDRESSES_MAX; STATUS_BACKEND: it cannot be listened at;
 * server_error says why. */
status server_listen(server *s, const char *address);

/* What went wrong in the last server_listen or server_run: one line for people,
 * empty when nothing did. Lent until the next call of them. */
const char *server_error(const server *s);

/* The port of the last address that has one; 0: there is none. Not while the
 * server runs. */
int server_port(const server *s);

/* Serves clients, in this thread and in those of the other loops, until
 * server_stop. A server runs once.
 * Returns: STATUS_OK after server_stop; STATUS_BACKEND: the system has no
 * descriptors or threads for the loops, server_error says why. */
status server_run(server *s);

/* Lets server_run return soon, or at once when it begins later. From any
 * thread or signal handler, any number of times; errno stays as it is. */
void server_stop(server *s);

/* From any thread. */
server_stats server_statistics(server *s);

/* Ends the server and its cache; NULL is fine. It may not be running. */
void server_destroy(server *s);

#endif
