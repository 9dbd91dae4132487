/* heap: counts what the code under test allocates, and makes it fail.
 *
 * The linker sends every call of malloc, calloc, realloc, free, aligned_alloc,
 * strdup and strndup in the linked objects through heap.c (-Wl,--wrap), so the
 * lesson's code needs no change and no macro. Libraries are not counted.
 *
 * Fresh blocks are filled with 0xa5 and freed ones with 0x5a, so that code
 * which reads before it writes, or after it freed, fails the same way every
 * time. Behind each block stands a guard; code that writes over it fails the
 * test when the block is freed, or when the test ends. Threads may allocate at
 * once. */
#ifndef SUPPORT_HEAP_H
#define SUPPORT_HEAP_H

#include <stdbool.h>
#include <stddef.h>

typedef struct heap_block {
    size_t size;
    const void *caller; /* the instruction that asked for it */
} heap_block;

/* Starts a test: forgets what is live now, and lets every allocation pass. */
void heap_begin(void);

/* Blocks and bytes allocated since heap_begin and not freed since. */
size_t heap_live_blocks(void);
size_t heap_live_bytes(void);

/* Allocations asked for since heap_begin, failed ones too. */
size_t heap_allocations(void);

/* Lets the n-th allocation from now fail (1: the next one); 0: none. */
void heap_fail_at(size_t n);

/* Whether that allocation has been asked for, so has failed. */
bool heap_has_failed(void);

/* Whether anything is still live, and the oldest of it. */
bool heap_leaked(heap_block *oldest);

/* Fails the running test if some live block was written past its end. */
void heap_check_guards(void);

/* Bytes that the C library holds for the process of the lesson's code, for its
 * libraries too. */
size_t heap_held(void);

/* Runs `attempt` with its first allocation failing, then its second, and so
 * on until it gets through without one failing; `attempt` must itself judge
 * that nothing was lost. Returns: how many allocations failed on the way. */
size_t heap_fail_each(void (*attempt)(void *context), void *context);

/* --- for code under test that lives in another process (tests/grade) ---- */

/* What one process has counted, and how far it is from the failing one. */
typedef struct heap_counts {
    size_t live_blocks, live_bytes, allocations;
    size_t fail_countdown; /* 0: none is to fail */
    size_t has_failed;     /* 1: it has */
} heap_counts;

heap_counts heap_counted_here(void);

/* Goes on with a countdown that began in the other process. */
void heap_continue(size_t fail_countdown, bool has_failed);

/* The tests' side defines these; where nobody does, nothing is elsewhere. */
heap_counts heap_counted_elsewhere(void);
void heap_begin_elsewhere(void);
bool heap_leaked_elsewhere(heap_block *oldest);
void heap_check_guards_elsewhere(void);
size_t heap_held_elsewhere(void);

/* The other side may define this, to hear of every block that is freed. */
void heap_freed(const void *block, size_t size);

#endif
