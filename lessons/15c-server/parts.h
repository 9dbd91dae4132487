/* parts: what a server needs and what is no news to you any more. All of it is
 * given: buffers, answers in Redis's format, numbers and quoted words, sockets
 * that listen, and the commands that are more of the same. Read what you use;
 * none of it knows of sessions or event loops. */
#ifndef LESSON_PARTS_H
#define LESSON_PARTS_H

#include "server.h"

#include "cache.h"

#include <sys/un.h>

/* -- buffers: bytes that wait --------------------------------------------- */

/* Added at the end, dropped at the start; all zero is empty. */
typedef struct buffer {
    char *data;
    size_t start, end; /* the bytes in between */
    size_t room;
} buffer;

static inline size_t buffer_len(const buffer *b) {
    return b->end - b->start;
}

/* Makes room for n more bytes at the end, which the caller may write and then
 * count into b->end. Moves all others, maybe; amortised O(n).
 * Returns: where they go; NULL without memory, and nothing has changed. */
char *buffer_room(buffer *b, size_t n);

/* Adds bytes. Returns: whether there was memory. */
bool buffer_add(buffer *b, bytes more);

/* Takes n bytes off the start. An empty buffer holds no memory. */
void buffer_drop(buffer *b, size_t n);

/* -- calls: a command, and the answer to it ------------------------------- */

/* Where a word is, counted from the call's base. */
typedef struct place {
    size_t at, len;
} place;

typedef struct call {
    server *server;
    cache *cache;
    const char *base; /* the words: count of them, at these places */
    place *places;
    size_t count;
    buffer *out;       /* what is answered is added here */
    size_t before;     /* bytes in it before this answer */
    size_t most;       /* bytes that the answer may have */
    bool failed;       /* it has no room: all that is put is lost */
    bool wants_to_end; /* the client is to be hung up on */
} call;

/* The i-th word; 0 is the command's name. */
static inline bytes call_word(const call *c, size_t i) {
    return (bytes){c->base + c->places[i].at, c->places[i].len};
}

/* Begins the answer. */
static inline void call_begin(call *c) {
    c->before = buffer_len(c->out);
    c->failed = false;
}

/* Room for n more bytes of the answer, as buffer_room. Returns: NULL, and the
 * answer has failed, when it would get too long, or without memory. */
char *call_room(call *c, size_t n);

/* Adds to the answer: bytes, a text, a line like ":12", a value with its
 * length. What is put may lie in the room behind the answer, HEAD_MAX bytes
 * from its end or further. */
enum { HEAD_MAX = 32 };
void call_put(call *c, const void *data, size_t len);
void call_put_text(call *c, const char *text);
void call_put_number(call *c, char mark, long long n);
void call_put_bulk(call *c, bytes value);

/* Makes an error the whole answer; what was put before it goes. The text is
 * made as by printf, and gets one line: "ERR syntax error" is told as
 * "-ERR syntax error\r\n". Nothing is put while the answer has failed. */
void call_fail(call *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The error for a command that there is not, in Redis's words. */
void call_fail_unknown(call *c);

/* Finds a value and copies it into the room behind the answer, where it stays
 * until something is put.
 * extra: so many bytes behind it may be written.
 * Returns: whether it is there; if not, value is not written. */
bool call_fetch(call *c, bytes key, size_t extra, bytes *value);

/* Adds the value of a key, or that there is none. It is copied once, from the
 * cache into the answer. */
void call_put_value(call *c, bytes key);

/* How long a key still lives. *ms: CACHE_NEVER also when it is not there.
 * Returns: whether it is there. */
bool call_find(const call *c, bytes key, int64_t *ms);

/* Stores a value, for ms milliseconds or CACHE_NEVER.
 * Returns: whether it is stored; if not, the answer is Redis's OOM. */
bool call_store(call *c, bytes key, bytes value, int64_t ms);

/* The i-th word as a number, or as a time: so many units of `unit` ms.
 * Returns: whether it is one; if not, the answer is Redis's error. */
bool call_number(call *c, size_t i, long long *n);
bool call_time(call *c, size_t i, int unit, int64_t *ms);

/* -- words ---------------------------------------------------------------- */

/* Whether it is this name, in capitals or not. */
bool word_is(bytes word, const char *name);

/* Reads a number in the one way in which Redis writes it: no blanks, no plus,
 * no zero in front. Returns: whether it is one; if not, *n is not written. */
bool word_number(bytes word, long long *n);

/* Takes the next word of a line, which may be quoted in Redis's ways, and
 * copies it without its quotes.
 * from: in and out; the line from here on, which ends with a zero byte.
 * to: its place, at *from or before it: it gets no longer.
 * len: out.
 * Returns: 1; 0: there is no word left; -1: its quotes are wrong. */
int word_next(const char **from, char *to, size_t *len);

/* -- commands ------------------------------------------------------------- */

/* What answers a command whose number of words is right.
 * detail: from the table: what tells it from another that runs the same. */
typedef void command_run(call *c, int detail);

typedef struct command {
    const char *name; /* in small letters */
    int words;        /* so many; -n: n or more */
    bool writes;
    command_run *run;
    int detail;
} command;

/* The given ones; a row with a name of NULL ends them. */
extern const command more_commands[];

/* -- sockets that listen -------------------------------------------------- */

typedef struct listener {
    int fd;
    int port;                /* of TCP; else 0 */
    struct sockaddr_un file; /* of a unix socket; else its path is empty */
} listener;

/* Begins to listen at an address; server_listen says which there are. The
 * socket does not block.
 * error: out; why not, one line; written unless STATUS_OK is returned.
 * Returns: STATUS_OK, and only then l is written; STATUS_INVALID;
 * STATUS_BACKEND. */
status listener_open(const char *address, listener *l, char error[256]);

/* Ends it, and removes its file. */
void listener_close(listener *l);

/* Lets a socket not block. Returns: whether it does not. */
bool listener_unblock(int fd);

#endif
