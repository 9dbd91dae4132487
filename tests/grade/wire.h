/* wire: how a test and the code under test talk when they are two processes.
 *
 *   tests (client.c)                            worker (worker.c), caged
 *   dict_get(d, key, &value)
 *     CALL  dict_get, d, key, value     --->    dict_get(...) of the student
 *                                       <---    CALLBACK  loader, key
 *     the test's own loader runs
 *     RETURN  status, value             --->    which goes on
 *                                       <---    RETURN  true, value
 *
 * A message is a head and a body; the body holds arguments or results one
 * after another, each as 8 bytes, byte strings as their length and the bytes.
 * Each answer repeats the random number of the message that it answers.
 *
 * Memory is lent in both directions: an argument for the time of its call, a
 * result for as long as its header says. What is lent has a mirror on the
 * other side, and each message brings the changes of what it mirrors: so a
 * test that looks at a lent value a second time sees what a value in the same
 * process would have become. */
#ifndef GRADE_WIRE_H
#define GRADE_WIRE_H

#include "support/heap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum wire_type {
    WIRE_HELLO = 1, /* worker: I am here, and the number of my thread */
    WIRE_CALL,      /* tests: run a function of the header */
    WIRE_CALLBACK,  /* worker: run a function that a call has passed */
    WIRE_RETURN,    /* both: it has run */
    WIRE_FAILED,    /* worker: the test fails, and why */
    WIRE_DIED,      /* worker: a signal, and where */
    WIRE_TOUCHED,   /* worker: memory was touched that the test protects */
    WIRE_ASK,       /* worker: what the tests' side of an instrument says */
} wire_type;

/* Calls beside those of the header: of functions that the code under test has
 * given to the tests, and of the instruments. */
enum {
    WIRE_REVERSE = 500,
    WIRE_OLDEST_BLOCK = 1000,
    WIRE_CHECK_GUARDS,
    WIRE_HELD,
    WIRE_COUNT_LIBRARIES,
    WIRE_JSON_BLOCKS
};

/* What may be asked: whether a wait ends at once (moments.h), the time. */
enum { WIRE_MOMENT = 1, WIRE_CLOCK };

/* The threads of a program, and the memory that they lend. */
enum { WIRE_MOST = 64 << 20, WIRE_LENT = 32, WIRE_SLOTS = 32 };

typedef struct wire_head {
    uint64_t len; /* of what follows the head */
    uint64_t nonce;
    uint32_t type;
    uint32_t function; /* CALL, CALLBACK: which */
    uint64_t serial;   /* worker: its messages, counted */
    uint64_t epoch;    /* tests: how often counting began anew */
    uint64_t steps;    /* worker: of this thread, since it began */
    uint64_t watched;  /* tests: whether they want to hear of moments, */
    uint64_t no_pipe;  /* and whether they ignore SIGPIPE */
    heap_counts heap;
    uint64_t changes; /* how much mirrored memory the body starts with */
} wire_head;

/* A buffer that grows: first what is written, then what is read. */
typedef struct wire {
    unsigned char *data;
    size_t len, room, at;
    bool bad; /* something was read that was not there */
} wire;

/* How a byte string travels. */
enum { WIRE_NULL, WIRE_HERE, WIRE_YOURS }; /* functions too */

void wire_clear(wire *w);
unsigned char *wire_extend(wire *w, size_t len); /* NULL: too much */
void wire_put(wire *w, uint64_t value);
void wire_put_run(wire *w, const void *data, size_t len);
uint64_t wire_get(wire *w);
/* Lent until the buffer is used again; NULL when `len` bytes are not there. */
const void *wire_get_run(wire *w, size_t *len);
bool wire_ended(const wire *w); /* all was read, and nothing beyond */

/* One side of a channel: a pipe in each direction. (With a socket each call
 * takes twice as long: who waits there for an answer is woken for nothing when
 * the other side takes the question.) With patience, `out` is not to block. */
typedef struct wire_line {
    int in, out;
    int patience_ms; /* how long to wait for the other side; < 0: for ever */
} wire_line;

/* Sends head and body in one go; receives a message into head and body.
 * Returns: false when the other side is gone, sends nonsense, or is late; errno
 * says which (EPIPE, EPROTO, EAGAIN). */
bool wire_send(const wire_line *line, wire_head *head, const wire *body);
bool wire_receive(const wire_line *line, wire_head *head, wire *body);

/* Passes file descriptors, with a number. Returns: as above. */
bool wire_send_files(int socket, uint64_t number, const int *files, int count);
bool wire_receive_files(int socket, uint64_t *number, int *files, int count);

#endif
