/* versioned: a cache that is told when what it holds has become wrong.
 *
 *   entries                                     tags
 *   "user:1" --> value, version 7, marks -----> "staff": generation 4
 *                                   4 |    .--> "paris": generation 2
 *                                   2 '---'
 *   "user:2" --> value, version 3, marks -----> "staff": the mark says 3,
 *                                                so this entry is hidden
 *
 *   void[hash of key] + void of all = lease     hear() hear()   subscribers
 *                                                 ^
 *   another process -- PUBLISH --> Redis -- SUBSCRIBE (versioned_poll)
 *
 * A version is a number that the source of the data counts up with each change:
 * a column of the row, a sequence, a log position. A reader may ask for a value
 * of at least some version. A tag stands for many keys; each mark of an entry
 * notes the generation that its tag had, and once the tag counts up, the entry
 * is hidden: nobody has to visit it.
 *
 * Between processes the events travel through a channel of Redis. They are read
 * without a thread: versioned_get, and versioned_poll for programs that are
 * idle, first handle what has arrived. A thread would need a lock around every
 * hit, and would call subscribers at a moment that nobody chose. Here a program
 * that does not ask hears nothing, but it does not serve anything either; and
 * who asks gets an answer that takes in every event up to then. The price is
 * one system call in each get of a connected cache.
 *
 * Sources: R. Nishtala and others, "Scaling Memcache at Facebook", NSDI 2013,
 * section 3.2.1, for the leases; the generation numbers of memcached's
 * namespaces; Redis, Pub/Sub: delivery is at most once.
 *
 * Promises
 * [P1] A get that asks for at most the version held gives the value: the
 *      version that was just set is new enough. For a higher one it misses, and
 *      the entry stays for those who ask for less.
 * [P2] Versions are integers, and nothing else decides which of two values is
 *      newer. A set never replaces a newer version; an equal one it replaces.
 * [P3] An invalidated key is gone, value and version: it misses, and a set of
 *      any version is accepted.
 * [P4] Keys and tags are any bytes of any length; the cache keeps its own
 *      copies. What a caller passes must live until the call returns, so it may
 *      not lie in a value that the call ends.
 * [P5] Invalidating a tag hides all entries that carry it at once, in the same
 *      few steps for one entry and for a million; no other entry is touched. A
 *      hidden entry is as good as gone, and is freed when it is met. Tags on
 *      what is set later hide nothing of it.
 * [P6] An entry may carry many tags, each once, and any of them hides it. An
 *      update keeps them. A tag that no entry carries takes no memory, and to
 *      give an entry a tag again takes none.
 * [P7] A miss hands out a lease. An invalidation of the key, of any tag or of
 *      all voids it, and a set with a void lease is refused: it may store what
 *      was read before the change. An invalidation of another key voids a lease
 *      seldom: less than once in a hundred times.
 * [P8] Every subscriber hears of every invalidation once, in the order in
 *      which they took effect here, and after they did.
 * [P9] When memory runs out, a call says so and changes nothing.
 * [P10] A value is destroyed once when it leaves the cache. Destroy ends all
 *      and gives back every byte; destroy(NULL) does nothing. A hit and an
 *      update allocate nothing.
 * [P11] What one cache invalidates, every cache connected to the same channel
 *      forgets as soon as Redis has delivered it: at its next get, set with a
 *      lease or poll. Its own events do not come back to it, and those of
 *      others it does not tell on. An invalidation that Redis did not confirm
 *      says so.
 * [P12] A cache that lost its connection forgets everything before it serves
 *      again, for it may have missed events; also when the connection was back
 *      before anyone looked. Without a connection it keeps nothing, and no get
 *      waits.
 * [P13] A message that is not understood counts as: everything may be wrong.
 * [P14] Bad arguments are refused with STATUS_INVALID and have no effect; nor
 *      has a connect that finds no server. */
#ifndef LESSON_VERSIONED_H
#define LESSON_VERSIONED_H

#include "common/bytes.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct versioned versioned;

/* What became invalid. */
typedef enum versioned_event {
    VERSIONED_KEY, /* one key */
    VERSIONED_TAG, /* all that carried a tag */
    VERSIONED_ALL, /* everything: events may have been missed */
} versioned_event;

/* -- in one process ----------------------------------------------------- */

/* Makes an empty cache.
 * destroy_value: called once for each value that leaves the cache, also for
 * one that is NULL; NULL when the values need no end of their own. It may not
 * call the cache.
 * seed: start of the hashes, as in lesson 2.
 * out: the cache, which the caller ends with versioned_destroy.
 * Returns: STATUS_OK; STATUS_NO_MEMORY. *out is written on STATUS_OK only.
 * Cost: O(1); the layout above takes 8 KiB for the leases. */
status versioned_create(void (*destroy_value)(void *value), uint64_t seed,
                        versioned **out);

/* Inserts, or replaces the value of a key that is held in the same or an older
 * version. For who has made the change itself, and so knows the version; who
 * fills the cache after a miss takes versioned_set_leased.
 * value: any pointer, NULL too; on STATUS_OK the cache owns it.
 * version: counted by the source; any number.
 * Returns: STATUS_OK; STATUS_STALE: a newer version is held;
 * STATUS_NO_MEMORY; STATUS_BACKEND: the connection is lost, so nothing is kept.
 * Whatever is not STATUS_OK changes nothing, and the value is still the
 * caller's. Cost: O(1) expected and amortised. */
status versioned_set(versioned *v, bytes key, void *value, uint64_t version);

/* Looks a key up.
 * at_least: the oldest version that will do; 0: any.
 * value: out, may be NULL; lent until the next call that takes a versioned
 * without const. Written on STATUS_OK only.
 * lease: out, may be NULL; never 0. Written on STATUS_MISS only, for
 * versioned_set_leased. A lease needs no end.
 * Returns: STATUS_OK; STATUS_MISS.
 * Cost: O(1) expected and O(tags of the entry), no allocation; when connected,
 * a system call, and the handling of what has arrived. */
status versioned_get(versioned *v, bytes key, uint64_t at_least, void **value,
                     uint64_t *lease);

/* Forgets a key, here and in every connected cache, whether it is held or not.
 * Returns: STATUS_OK; STATUS_BACKEND: done here, but Redis did not confirm it,
 * so the others may not have heard: call again.
 * Cost: O(1) expected; when connected, one exchange with Redis. */
status versioned_invalidate(versioned *v, bytes key);

/* The number of entries that take memory, hidden ones too that nobody has met
 * yet. Cost: O(1). */
size_t versioned_count(const versioned *v);

/* Lets a function hear of every invalidation from now on, until destroy.
 * hear: not NULL; name is the key or tag, lent for the call, and empty for
 * VERSIONED_ALL. It may not call the cache. Subscribers are called in the order
 * in which they came.
 * context: passed on, never followed.
 * Returns: STATUS_OK; STATUS_INVALID; STATUS_NO_MEMORY.
 * Cost: O(subscribers), and from then on a call for each invalidation. */
status versioned_subscribe(versioned *v,
                           void (*hear)(void *context, versioned_event event,
                                        bytes name),
                           void *context);

/* Makes the entry of a key carry a tag; once is enough.
 * Returns: STATUS_OK; STATUS_MISS: the key is not held; STATUS_NO_MEMORY.
 * Cost: O(1) expected and O(tags of the entry). */
status versioned_tag(versioned *v, bytes key, bytes tag);

/* Forgets all entries that carry the tag, here and in every connected cache.
 * Returns: as versioned_invalidate.
 * Cost: O(1) expected, however many entries carry it. */
status versioned_invalidate_tag(versioned *v, bytes tag);

/* As versioned_set, for who was given a lease by a miss, and has loaded the
 * value since.
 * lease: from versioned_get for this key; it may be used more than once.
 * Returns: as versioned_set; STATUS_STALE also when the lease is void. The
 * value may still be used once: it was right when the load began.
 * Cost: as versioned_set; when connected, a system call, and the handling of
 * what has arrived. */
status versioned_set_leased(versioned *v, bytes key, void *value,
                            uint64_t version, uint64_t lease);

/* -- between processes -------------------------------------------------- */

/* Joins all caches on one channel of one Redis server, and forgets everything,
 * as soon as the subscription is confirmed; subscribers hear VERSIONED_ALL.
 * A program that talks to sockets must ignore SIGPIPE.
 * path: of the server's unix socket; copied.
 * channel: a name, not empty; copied.
 * timeout_ms: how long to wait for the server, here and in an invalidation;
 * more than 0.
 * Returns: STATUS_OK; STATUS_INVALID: an argument, or it is connected already;
 * STATUS_NO_MEMORY; STATUS_BACKEND: no server answered. Whatever is not
 * STATUS_OK changes nothing. */
status versioned_connect(versioned *v, const char *path, const char *channel,
                         int timeout_ms);

/* Handles the events that have arrived; connects again if the connection is
 * lost. Never waits. versioned_get and versioned_set_leased call it
 * themselves; a program that is idle should too, so that subscribers hear in
 * time and Redis need not hold events back for it.
 * Returns: STATUS_OK: connected (or never meant to be); STATUS_BACKEND: the
 * connection is lost, and the cache keeps nothing until a later poll has it
 * back. Subscribers hear VERSIONED_ALL when it was lost, and again when it is
 * back. */
status versioned_poll(versioned *v);

/* Ends the cache and destroys all values; NULL is fine. Cost: O(entries). */
void versioned_destroy(versioned *v);

#endif
