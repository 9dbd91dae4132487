/* The wrapped allocator: a table of live blocks by address. */
#include "support/heap.h"

#include "support/check.h"
#include "support/crash.h"

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *block);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *block);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t most);

typedef struct record {
    uintptr_t block; /* 0: this place was never used; GONE: it was freed */
    size_t size;
    const void *caller;
    size_t serial;
} record;

#define GONE ((uintptr_t)1)

#pragma weak heap_counted_elsewhere
#pragma weak heap_begin_elsewhere
#pragma weak heap_leaked_elsewhere
#pragma weak heap_check_guards_elsewhere
#pragma weak heap_held_elsewhere
#pragma weak heap_freed

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static record *records;
static size_t places, used; /* used: live records and GONE ones */
static size_t live_blocks, live_bytes, allocations;
static size_t fail_countdown;
static bool has_failed;

static size_t home_of(uintptr_t block) {
    return (size_t)((block >> 4) * 0x9e3779b97f4a7c15u >> 20) & (places - 1);
}

static record *record_of(uintptr_t block) {
    for (size_t i = home_of(block); records[i].block != 0;
         i = (i + 1) & (places - 1)) {
        if (records[i].block == block) {
            return &records[i];
        }
    }
    return NULL;
}

static void put(record r) {
    size_t i = home_of(r.block);
    while (records[i].block > GONE) {
        i = (i + 1) & (places - 1);
    }
    used += records[i].block == 0;
    records[i] = r;
}

/* Makes room; a rebuild also drops the GONE records. */
static void make_room(void) {
    if (places != 0 && used * 2 < places) {
        return;
    }
    record *old = records;
    size_t old_places = places;
    places = places ? places : 4096;
    while (places < live_blocks * 4) {
        places *= 2;
    }
    records = __real_calloc(places, sizeof *records);
    if (!records) {
        abort();
    }
    used = 0;
    for (size_t i = 0; i < old_places; i++) {
        if (old[i].block > GONE) {
            put(old[i]);
        }
    }
    __real_free(old);
}

/* Counts one allocation. Returns: whether it may happen. */
static bool admit(void) {
    pthread_mutex_lock(&lock);
    allocations++;
    bool fails = fail_countdown != 0 && --fail_countdown == 0;
    has_failed = has_failed || fails;
    pthread_mutex_unlock(&lock);
    return !fails;
}

static void *note(void *block, size_t size, const void *caller) {
    if (block) {
        pthread_mutex_lock(&lock);
        make_room();
        put((record){(uintptr_t)block, size, caller, allocations});
        live_blocks++;
        live_bytes += size;
        pthread_mutex_unlock(&lock);
    }
    return block;
}

/* Forgets a block. Returns: whether it was ours; then *was is its record. */
static bool forget(void *block, record *was) {
    pthread_mutex_lock(&lock);
    record *r = records ? record_of((uintptr_t)block) : NULL;
    if (r) {
        *was = *r;
        r->block = GONE;
        live_blocks--;
        live_bytes -= r->size;
    }
    pthread_mutex_unlock(&lock);
    return r != NULL;
}

/* Valgrind and the sanitizers tell fresh bytes from written ones themselves,
 * and better; filling would hide from them what they look for. */
#ifdef PLAIN_RUNNER
static const size_t guard_bytes = 0;
#else
static const size_t guard_bytes = 16;
#endif

static void fill(void *block, int byte, size_t size) {
    if (guard_bytes > 0) {
        memset(block, byte, size);
    }
}

static void *made(void *block, size_t size, const void *caller) {
    if (block) {
        fill((char *)block + size, 0xfd, guard_bytes);
    }
    return note(block, size, caller);
}

static void check_guard(record r) {
    const unsigned char *guard = (const unsigned char *)r.block + r.size;
    size_t intact = 0;
    while (intact < guard_bytes && guard[intact] == 0xfd) {
        intact++;
    }
    if (intact < guard_bytes) {
        want_that(false,
                  "allocate %zu bytes at %s, use them\n"
                  "wanted  nothing written behind the last byte\n"
                  "got     byte number %zu written, of %zu\n"
                  "likely  no room for a text's closing zero byte, or an array "
                  "with room for fewer entries than are used",
                  r.size, crash_line_of(r.caller), r.size + intact + 1, r.size);
    }
}

void *__wrap_malloc(size_t size) {
    void *block = admit() ? __real_malloc(size + guard_bytes) : NULL;
    if (block) {
        fill(block, 0xa5, size);
    }
    return made(block, size, __builtin_return_address(0));
}

void *__wrap_calloc(size_t count, size_t size) {
    bool too_large = size > 0 && count > (SIZE_MAX - guard_bytes) / size;
    void *block = admit() && !too_large
                      ? __real_calloc(1, count * size + guard_bytes)
                      : NULL;
    return made(block, count * size, __builtin_return_address(0));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    /* The standard wants a multiple of the alignment; glibc does not. */
    void *block =
        admit() ? __real_aligned_alloc(alignment, size + guard_bytes) : NULL;
    return made(block, size, __builtin_return_address(0));
}

/* Always moves: code that keeps the old address is caught every time. */
void *__wrap_realloc(void *old, size_t size) {
    record was = {0};
    if (!admit()) {
        return NULL;
    }
    if (old && !forget(old, &was)) {
        return __real_realloc(old, size); /* made where we do not count */
    }
    void *block = __real_malloc(size + guard_bytes);
    if (!block) {
        abort();
    }
    fill(block, 0xa5, size);
    if (old) {
        if (heap_freed) {
            heap_freed(old, was.size);
        }
        check_guard(was);
        memcpy(block, old, was.size < size ? was.size : size);
        fill(old, 0x5a, was.size);
        __real_free(old);
    }
    return made(block, size, __builtin_return_address(0));
}

void __wrap_free(void *block) {
    record was;
    if (block && forget(block, &was)) {
        if (heap_freed) {
            heap_freed(block, was.size);
        }
        check_guard(was);
        fill(block, 0x5a, was.size);
    }
    __real_free(block);
}

static char *copy(const char *text, size_t len, const void *caller) {
    char *block = admit() ? __real_malloc(len + 1 + guard_bytes) : NULL;
    if (block) {
        memcpy(block, text, len);
        block[len] = '\0';
    }
    return made(block, len + 1, caller);
}

char *__wrap_strdup(const char *text) {
    return copy(text, strlen(text), __builtin_return_address(0));
}

char *__wrap_strndup(const char *text, size_t most) {
    return copy(text, strnlen(text, most), __builtin_return_address(0));
}

void heap_begin(void) {
    pthread_mutex_lock(&lock);
    if (records) {
        memset(records, 0, places * sizeof *records);
    }
    used = live_blocks = live_bytes = allocations = 0;
    fail_countdown = 0;
    has_failed = false;
    pthread_mutex_unlock(&lock);
    if (heap_begin_elsewhere) {
        heap_begin_elsewhere();
    }
}

heap_counts heap_counted_here(void) {
    pthread_mutex_lock(&lock);
    heap_counts counts = {live_blocks, live_bytes, allocations, fail_countdown,
                          has_failed};
    pthread_mutex_unlock(&lock);
    return counts;
}

void heap_continue(size_t countdown, bool failed) {
    pthread_mutex_lock(&lock);
    fail_countdown = countdown;
    has_failed = failed;
    pthread_mutex_unlock(&lock);
}

static heap_counts elsewhere(void) {
    return heap_counted_elsewhere ? heap_counted_elsewhere() : (heap_counts){0};
}

size_t heap_live_blocks(void) {
    return live_blocks + elsewhere().live_blocks;
}

size_t heap_live_bytes(void) {
    return live_bytes + elsewhere().live_bytes;
}

size_t heap_allocations(void) {
    return allocations + elsewhere().allocations;
}

void heap_fail_at(size_t n) {
    heap_continue(n, false);
}

bool heap_has_failed(void) {
    return has_failed;
}

bool heap_leaked(heap_block *oldest) {
    const record *first = NULL;
    for (size_t i = 0; i < places && live_blocks > 0; i++) {
        if (records[i].block > GONE
            && (!first || records[i].serial < first->serial)) {
            first = &records[i];
        }
    }
    if (first) {
        *oldest = (heap_block){first->size, first->caller};
    }
    return first != NULL
           || (heap_leaked_elsewhere && heap_leaked_elsewhere(oldest));
}

void heap_check_guards(void) {
    for (size_t i = 0; i < places && live_blocks > 0; i++) {
        if (records[i].block > GONE) {
            check_guard(records[i]);
        }
    }
    if (heap_check_guards_elsewhere) {
        heap_check_guards_elsewhere();
    }
}

size_t heap_held(void) {
    if (heap_held_elsewhere) {
        return heap_held_elsewhere();
    }
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

size_t heap_fail_each(void (*attempt)(void *context), void *context) {
    size_t n = 1;
    for (;; n++) {
        heap_fail_at(n);
        attempt(context);
        if (!heap_has_failed()) {
            break;
        }
    }
    heap_fail_at(0);
    return n - 1;
}
