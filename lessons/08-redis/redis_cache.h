/* redis_cache: a cache that lives in another process.
 *
 *   your program                          redis-server
 *   +------------------------+            +--------------------+
 *   | redis_cache            |  one       | "user:1" -> Alice  |
 *   |   out: GET k5 GET k4 --+-- socket ->|                    |
 *   |   in:  <---------------+------------+-- v1 v2 v3         |
 *   +------------------------+            +--------------------+
 *     asked: k1 to k5, answered: v1 and v2; v3 is on its way
 *
 * The values of lessons 1 to 7 died with their program, and no other program
 * could see them. Here they lie with a Redis server, for all who can reach it.
 * In exchange every call may fail in ways that memory never does: nobody is
 * there, nobody answers, or somebody goes away in the middle. And every call
 * costs a round trip, which takes many times as long as what Redis does for the
 * command. So a call for many keys sends many commands before it waits for the
 * first answer, which is called pipelining. Redis answers in the order in which
 * it was asked; nothing else says which answer belongs to which question.
 *
 * A redis_cache is for one thread at a time. It owns at most one connection,
 * made by the first call that needs one and replaced when it is no good any
 * more.
 *
 * Source: Redis, the serialization protocol RESP and "Redis pipelining";
 * hiredis, its client library for C.
 *
 * Promises
 * [P1] After a set, a get of the same key gives that value, in this program
 *      and in every other one that asks the same server. A second set replaces,
 *      whatever the key held.
 * [P2] Keys and values are any bytes of any length: they are never cut, and
 *      nothing in them is taken for a format or a command.
 * [P3] exists and delete say whether the key was there; a key that is not there
 *      is STATUS_MISS, everywhere, and not a failure.
 * [P4] What was set for a time is gone when the server's clock says so; set
 *      without a time, it stays. A set takes an earlier time away.
 * [P5] What went wrong can be told from the status: STATUS_INVALID, the key
 *      holds something else than a string; STATUS_BACKEND, nobody is there, or
 *      the server refused; STATUS_TIMEOUT, nobody answered; STATUS_LOST, the
 *      server went away after we had begun to ask. After INVALID and BACKEND
 *      nothing was changed; after TIMEOUT and LOST nobody here knows.
 *      redis_cache_error says the same as a line for people.
 * [P6] No call waits longer than the timeout in all, also when the server sends
 *      a byte now and then. A signal that the program catches ends no call.
 * [P7] No command is ever sent twice, and no answer is ever taken for that of
 *      another command: after a failure of the connection, or a timeout, it is
 *      given up, and the next call makes a new one, once.
 * [P8] A connection that ended between two calls is replaced before anything is
 *      sent: a restarted server is found again by the next call.
 * [P9] A call for many keys sends at least REDIS_CACHE_DEPTH commands, if there
 *      are that many and they are short, before it waits for an answer.
 * [P10] It never has more than REDIS_CACHE_WINDOW commands unanswered, and it
 *      reads while it writes: no number of commands, and no server, however
 *      little it reads ahead, brings both to wait for each other. It adds none
 *      while 64 KiB wait to be sent: long commands are not copied ahead.
 * [P11] Each key of such a call has a result of its own: an answer that is a
 *      miss or an error is that of its own key, and of no other; so is one of
 *      a kind that its command never has, which is STATUS_BACKEND. If the call
 *      fails midway, what was answered before stays answered, and the rest has
 *      the status of the call.
 * [P12] A value that was given is lent until the next call; every answer is
 *      freed in the end, in whatever way the call went.
 * [P13] Bad arguments are refused with STATUS_INVALID, and nothing is sent.
 * [P14] When memory runs out, a call says so, and the next one is as good as
 *      ever; destroy gives back every byte, and destroy(NULL) does nothing.
 * [P15] No call raises SIGPIPE, whatever becomes of the server: a library must
 *      not end the program that uses it. */
#ifndef LESSON_REDIS_CACHE_H
#define LESSON_REDIS_CACHE_H

#include "common/bytes.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

/* The time to live of what does not expire. */
#define REDIS_CACHE_NEVER INT64_MAX

/* How many commands travel together: at least, and at most. */
#define REDIS_CACHE_DEPTH ((size_t)64)
#define REDIS_CACHE_WINDOW ((size_t)256)

typedef struct redis_cache redis_cache;

/* Makes a cache without a connection: nobody need be there yet.
 * address: the path of a unix socket, which has a '/' in it, or "host:port".
 * A host is an IPv4 or IPv6 address, or a name; the time in which a name is
 * looked up is the system's matter and not bounded by the timeout. Copied.
 * timeout_ms: the longest time for each call, 1 or more.
 * out: the cache, which the caller ends with redis_cache_destroy.
 * Returns: STATUS_OK; STATUS_INVALID: an argument, a path too long for a
 * socket too; STATUS_NO_MEMORY. *out is written on STATUS_OK only. */
status redis_cache_create(const char *address, int timeout_ms,
                          redis_cache **out);

/* Asks the server whether it is there. No call needs this one before it; it is
 * for programs that want to know at their start.
 * Returns: STATUS_OK; a failure, as all calls below:
 *   STATUS_BACKEND  nobody listens at the address, or what does is no Redis,
 *                   or it refuses (no memory left, a password wanted, ...)
 *   STATUS_TIMEOUT  no connection, or no whole answer, in time
 *   STATUS_LOST     the connection ended before the answer had come
 *   STATUS_NO_MEMORY
 * Cost: one round trip. */
status redis_cache_connect(redis_cache *r);

/* Why the last call failed: one line for people, which names the address or
 * repeats the words of Redis. Empty when the last call did not fail; to refuse
 * an argument is to fail. After a call for many keys it is about the last key
 * that failed, if one did. Lent until the next call. */
const char *redis_cache_error(const redis_cache *r);

/* Inserts, or replaces whatever the key holds, for ever.
 * Returns: STATUS_OK; a failure. Cost: one round trip. */
status redis_cache_set(redis_cache *r, bytes key, bytes value);

/* Looks a key up.
 * value: out, not NULL; lent until the next call. Written on STATUS_OK only.
 * Returns: STATUS_OK; STATUS_MISS; STATUS_INVALID: the key holds a list or
 * something else that has no one value; a failure. Cost: one round trip. */
status redis_cache_get(redis_cache *r, bytes key, bytes *value);

/* Whether a key is there, whatever it holds.
 * Returns: STATUS_OK; STATUS_MISS; a failure. Cost: one round trip. */
status redis_cache_exists(redis_cache *r, bytes key);

/* Removes a key, whatever it holds.
 * Returns: STATUS_OK; STATUS_MISS: it was not there; a failure.
 * Cost: one round trip. */
status redis_cache_delete(redis_cache *r, bytes key);

/* As redis_cache_set, for a time.
 * ttl_ms: 1 to REDIS_CACHE_NEVER; REDIS_CACHE_NEVER / 2 and more is for ever.
 * Returns: STATUS_OK; STATUS_INVALID: ttl_ms is 0 or less; a failure. */
status redis_cache_set_for(redis_cache *r, bytes key, bytes value,
                           int64_t ttl_ms);

/* How long a key still lives, by the server's clock.
 * remaining_ms: out, not NULL; 0 or more, REDIS_CACHE_NEVER if it does not
 * expire. Written on STATUS_OK only.
 * Returns: STATUS_OK; STATUS_MISS; a failure. Cost: one round trip. */
status redis_cache_remaining_ms(redis_cache *r, bytes key,
                                int64_t *remaining_ms);

/* Looks many keys up in one pipeline.
 * keys: n of them; keys and results may be NULL when n is 0, and then nothing
 * happens.
 * found: called for each key that is there, in the order of the keys, with its
 * place among them; the value is lent for the call only. Not NULL, also when n
 * is 0. It may not call the cache, and its own time counts against the timeout.
 * context: passed on, never followed.
 * results: out, n of them: for each key what
 * redis_cache_get would have returned.
 * Returns: STATUS_OK: every key was answered, see results; STATUS_INVALID: an
 * argument is NULL, nothing is written; a failure, which is also the result of
 * every key that was not answered.
 * Cost: a round trip for some hundred keys, and the memory of one answer. The
 * cache keeps the memory in which it wrote its longest command. */
status redis_cache_get_many(redis_cache *r, const bytes *keys, size_t n,
                            void (*found)(void *context, size_t i, bytes value),
                            void *context, status *results);

/* Sets many keys in one pipeline, each for ever; a key that occurs twice has
 * the later value.
 * keys, values: n of each. results, returns, cost: as redis_cache_get_many. */
status redis_cache_set_many(redis_cache *r, const bytes *keys,
                            const bytes *values, size_t n, status *results);

/* Ends the connection and the cache; NULL is fine. */
void redis_cache_destroy(redis_cache *r);

#endif
