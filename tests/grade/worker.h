/* worker: the side of wire.h where the code under test lives, in a cage. It is
 * as untrusted as that code: nothing that it says is believed.
 *
 * What it serves is made by glue.py out of the lesson's header. */
#ifndef GRADE_WORKER_H
#define GRADE_WORKER_H

#include "common/bytes.h"
#include "grade/wire.h"

/* Made by glue.py: runs one function of the header, with the arguments that
 * have come, and puts its results. Returns: false when there is none such. */
bool worker_serve(uint32_t function);

/* Made by glue.py: whether the tests call from several threads. */
extern const bool worker_has_threads;

/* Arguments of a call, and results of a callback. */
uint64_t worker_get(void);
double worker_get_real(void);
void worker_get_run(void *run, size_t size);
void *worker_get_handle(void);
bytes worker_get_bytes(void);      /* a copy of its exact size */
bytes worker_get_bytes_once(void); /* the same, for this call only */
const char *worker_get_text_once(void);
/* Room for an array that is in the message, for this call; NULL for none. */
void *worker_get_room(size_t element, size_t *count);
/* One of ours, or the one among these that stands for the tests' own. */
void (*worker_get_function(void (*const *callbacks)(void)))(void);
const char *worker_get_text(void);
void *worker_get_buffer(size_t *size);
bytes *worker_get_bytes_at(bytes *room);
void **worker_get_pointer_at(void **room); /* handles too */
bool worker_was_written(void);
void worker_get_kept(bytes *to); /* what a callback lends to its call */

/* What out-parameters hold before a call; whoever writes to them, writes
 * something else. */
extern const char worker_unwritten;
void worker_unwritten_function(void);

/* Around a call of the code under test. */
void worker_enter(void);
void worker_begin_results(void);

/* Results of a call, and arguments of a callback. */
void worker_put(uint64_t value);
void worker_put_real(double value);
void worker_put_run(const void *run, size_t size);
void worker_put_handle(const void *handle);
void worker_put_lent(bytes run);
void worker_put_lent_text(const char *text);
void worker_put_bytes(bytes run);
void worker_put_text(const char *text);
void worker_put_bytes_at(const bytes *at);
void worker_put_buffer(const void *buffer, size_t size);

/* A callback: begin, put its arguments, run, get its results. */
void worker_begin_callback(uint32_t callback, size_t slot);
void worker_run_callback(uint32_t callback);

/* Asks the tests' side of an instrument. */
uint64_t worker_ask(uint32_t what, uint64_t value);

#endif
