/* client: the tests' side of wire.h. The functions of a lesson's header that
 * the tests link are made by glue.py, in terms of these:
 *
 *     bool dict_get(const dict *d, bytes key, void **value) {
 *         client_call call = client_begin(CALL_dict_get);
 *         client_put_handle(&call, d);
 *         client_put_bytes(&call, key);
 *         client_put_pointer_at(&call, value);
 *         client_run(&call);
 *         bool result = (bool)client_get(&call);
 *         client_get_pointer_at(&call, value);
 *         client_end(&call);
 *         return result;
 *     }
 *
 * Nothing that comes from the other side is believed: a message that is not
 * what the header promises fails the test, and a pointer that the tests are to
 * follow must be one that they have handed out. */
#ifndef GRADE_CLIENT_H
#define GRADE_CLIENT_H

#include "common/bytes.h"
#include "grade/wire.h"

/* A call in progress, or a callback that is being served. */
typedef struct client_copy client_copy;
typedef struct client_call {
    uint32_t function;
    wire *out, *in;
    char *veiled;        /* the call's buffer, if it is protected */
    client_copy *copies; /* a callback's arguments */
    bool interrupts;     /* another call of this thread: a signal's handler */
} client_call;

client_call client_begin(uint32_t function);
/* The same for a function that the code under test has given to the tests. */
client_call client_begin_reverse(uint32_t callback, size_t slot);
void client_run(client_call *c);
void client_end(client_call *c);

/* Arguments of a call, and results of a callback. */
void client_put(client_call *c, uint64_t value);
void client_put_real(client_call *c, double value);
void client_put_run(client_call *c, const void *run, size_t size);
void client_put_handle(client_call *c, const void *handle);
void client_put_pointer(client_call *c, const void *pointer);
void client_put_bytes(client_call *c, bytes run);
void client_put_text(client_call *c, const char *text);
void client_put_function(client_call *c, void (*function)(void),
                         uint32_t callback);
/* For the time of the call only, and not longer. */
void client_put_bytes_once(client_call *c, bytes run);
void client_put_text_once(client_call *c, const char *text);
/* What a callback lends to the call. */
void client_put_answer(client_call *c, bytes run, bool is_written);
/* A buffer of the caller's, and what is in it now. */
void client_put_buffer(client_call *c, const void *buffer, size_t size);

/* Results of a call, and arguments of a callback. */
uint64_t client_get(client_call *c);
double client_get_real(client_call *c);
void client_get_run(client_call *c, void *run, size_t size);
void *client_get_handle(client_call *c);
void *client_get_pointer(client_call *c); /* one that was handed out */
bytes client_get_lent(client_call *c);    /* a mirror of it */
const char *client_get_text(client_call *c);
bytes client_get_bytes(client_call *c); /* a copy, for the callback's time */
const char *client_get_text_once(client_call *c);
/* Room for an array that is in the message: NULL for none. */
void *client_get_room(client_call *c, size_t element, size_t *count);
/* A function of the other side: one of `reverse` stands for it. Its context is
 * as foreign: neither followed, nor among those that were handed out. */
void (*client_get_function(client_call *c, uint32_t callback,
                           void (*const *reverse)(void)))(void);
void *client_get_foreign(client_call *c);
void client_get_buffer(client_call *c, void *buffer, size_t size);

/* Out-parameters: they travel in both directions, since a call that fails must
 * leave them as they are; NULL travels as NULL. */
void client_put_handle_at(client_call *c, void *const *at);
void client_get_handle_at(client_call *c, void **at);
void client_put_pointer_at(client_call *c, void *const *at);
void client_get_pointer_at(client_call *c, void **at);
void client_put_bytes_at(client_call *c, const bytes *at);
void client_get_bytes_at(client_call *c, bytes *at);

/* Between a callback and its results. */
void client_begin_results(void);

/* Made by glue.py: runs a callback whose arguments are in c.
 * Returns: false when there is no such callback. */
bool client_serve(client_call *c, uint32_t callback, void (*function)(void));

/* Made by glue.py: whether the code may call from threads of its own. */
extern const bool client_has_threads;

/* The runner's: how long the test may still take. */
int runner_limit_ms(void);

#endif
