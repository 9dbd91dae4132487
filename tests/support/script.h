/* script: three nodes of a Redis Cluster that say what a test tells them to.
 *
 * A real cluster cannot be made to lose an answer, or to redirect in a circle,
 * when a test wants it to; and it takes seconds to start. These nodes start at
 * once. Until told otherwise they share the slots evenly and in order, and are
 * friendly: a GET is answered by the name of its key, a SET by OK, a DEL by 1.
 *
 * They are a child process, which ends with the test. */
#ifndef SUPPORT_SCRIPT_H
#define SUPPORT_SCRIPT_H

#include <stddef.h>

enum { SCRIPT_NODES = 3 };

/* Behind an answer, or in place of one: the connection is closed; there is no
 * answer, and the connection stays; the answer comes too late, when the next
 * command has been heard on the same connection, and before that one's own. */
#define SCRIPT_CLOSE "\x04"
#define SCRIPT_SILENCE "\x05"
#define SCRIPT_LATE "\x06"

typedef struct script script;

script *script_start(void);

/* Where a node listens, "127.0.0.1:port"; lent until script_stop. */
const char *script_address(const script *s, unsigned node);

/* A map by which the slots' thirds belong to these nodes, for script_map.
 * Returns: a buffer used by the next call again. */
const char *script_thirds(const script *s, unsigned a, unsigned b, unsigned c);

/* From now on each node answers CLUSTER SLOTS so. raw: as it is sent. */
void script_map(script *s, const char *raw);

/* What a node answers to the next command that has no answer yet, other than
 * CLUSTER and ASKING. raw: as it is sent; copied. */
void script_say(script *s, unsigned node, const char *raw);

/* What a node answers to all commands for which nothing else was said. */
void script_always(script *s, unsigned node, const char *raw);

/* No node answers before so many commands have been heard by all together. */
void script_hold(script *s, unsigned commands);

/* The commands that a node has heard, but for CLUSTER: their words between
 * blanks, with a comma and a blank between commands. A long list is cut. */
const char *script_heard(const script *s, unsigned node);

/* How many those were, and how often the node was asked for the map. */
unsigned script_commands(const script *s, unsigned node);
unsigned script_maps(const script *s, unsigned node);

/* Waits until some connection has been closed as the script said. */
void script_wait_closed(const script *s);

/* Ends the nodes; NULL is fine. */
void script_stop(script *s);

#endif
