/* Serves calls: one process for each test, one thread for each of its
 * threads. Started once; each request on descriptor 3 makes a process of its
 * own out of it, which costs less than starting anew. */
#include "grade/worker.h"

#include "common/todo.h"
#include "support/check.h"
#include "support/crash.h"
#include "support/work.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

enum { DOOR = 3, FRAMES = 24, STACK = 64 * 1024, LENT = 8 };

extern const char __executable_start[]; /* the linker's */

void *__real_malloc(size_t size);
void __real_free(void *block);

/* A call in progress: what it was lent, and its buffer if that is veiled. */
typedef struct frame frame;
struct frame {
    frame *around;
    bytes kept[LENT]; /* what callbacks have brought */
    size_t keeps;
};

typedef struct channel {
    int socket;
    wire in, out;
    wire_head head; /* of what came last */
    uint64_t changes;
    frame *frame;
} channel;

static _Thread_local channel *mine;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t serial, epoch;
static int more_channels = -1;

/* --- memory that is lent to the tests ------------------------------------- */

/* The most recent ones, and what the tests have seen of them. */
static struct loan {
    const unsigned char *data;
    size_t len;
    unsigned char *seen;
    bool freed;
} loans[WIRE_LENT];
static size_t next_loan;

static void lend(bytes run) {
    pthread_mutex_lock(&lock);
    struct loan *l = NULL;
    for (size_t i = 0; i < WIRE_LENT && !l; i++) {
        l = loans[i].data == run.data ? &loans[i] : NULL;
    }
    l = l ? l : &loans[next_loan++ % WIRE_LENT];
    __real_free(l->seen);
    *l = (struct loan){run.data, run.len, __real_malloc(run.len + 1), false};
    if (l->seen && run.len > 0) {
        memcpy(l->seen, run.data, run.len);
    }
    pthread_mutex_unlock(&lock);
}

static void put_change(struct loan *l, const void *data) {
    worker_put((uintptr_t)l->data);
    wire_put_run(&mine->out, data, l->len);
    mine->changes++;
}

/* What is freed will be overwritten; the tests are to see that too. */
void heap_freed(const void *block, size_t size) {
    const unsigned char *from = block;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < WIRE_LENT; i++) {
        struct loan *l = &loans[i];
        if (l->data >= from && l->data < from + size) {
            memset(l->seen, 0x5a, l->len);
            l->freed = true;
        }
    }
    pthread_mutex_unlock(&lock);
}

static void put_changes(void) {
    mine->changes = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < WIRE_LENT; i++) {
        struct loan *l = &loans[i];
        if (l->freed) {
            put_change(l, l->seen);
            __real_free(l->seen);
            *l = (struct loan){0};
        } else if (l->data && memcmp(l->data, l->seen, l->len) != 0) {
            memcpy(l->seen, l->data, l->len);
            put_change(l, l->seen);
        }
    }
    pthread_mutex_unlock(&lock);
}

/* --- memory that the tests lend ------------------------------------------- */

/* Arguments, each in a block of its exact size, found by where they are over
 * there. They stay: code that keeps a pointer to its caller's memory finds in
 * it what the caller has written there since, as in a single process. */
typedef struct given given;
struct given {
    uint64_t there;
    size_t len;
    unsigned char *data;
    given *next;
};

enum { BUCKETS = 1024 };
static given *all_given[BUCKETS];

static given **bucket_of(uint64_t there) {
    return &all_given[there * 0x9e3779b97f4a7c15u >> 54];
}

static void write_given(uint64_t there, const void *data, size_t len) {
    pthread_mutex_lock(&lock);
    for (given *a = *bucket_of(there); a; a = a->next) {
        if (a->there == there) {
            memcpy(a->data, data, len < a->len ? len : a->len);
        }
    }
    pthread_mutex_unlock(&lock);
}

static bytes given_at(uint64_t there, const void *data, size_t len) {
    write_given(there, data, len);
    pthread_mutex_lock(&lock);
    given **bucket = bucket_of(there), *a = *bucket;
    while (a && (a->there != there || a->len != len)) {
        a = a->next;
    }
    if (!a) {
        a = __real_malloc(sizeof *a);
        unsigned char *block = __real_malloc(len ? len : 1);
        if (!a || !block) {
            _exit(2);
        }
        memcpy(block, data, len);
        *a = (given){there, len, block, *bucket};
        *bucket = a;
    }
    pthread_mutex_unlock(&lock);
    return (bytes){a->data, len};
}

/* --- messages ------------------------------------------------------------- */

static void send_message(uint32_t type, uint32_t function, uint64_t nonce) {
    wire_head head = {.type = type, .function = function, .nonce = nonce};
    head.changes = mine->changes;
    head.steps = work_steps();
    head.heap = heap_counted_here();
    head.epoch = epoch;
    head.serial = __atomic_add_fetch(&serial, 1, __ATOMIC_SEQ_CST);
    if (!wire_send(mine->socket, &head, &mine->out)) {
        _exit(0); /* the test is over */
    }
}

/* Returns: false when the tests want nothing any more. */
static bool receive_message(void) {
    if (!wire_receive(mine->socket, &mine->head, &mine->in)) {
        return false;
    }
    if (mine->head.epoch != epoch) {
        epoch = mine->head.epoch;
        heap_begin();
    }
    heap_continue(mine->head.heap.fail_countdown,
                  mine->head.heap.has_failed != 0);
    for (uint64_t i = 0; i < mine->head.changes; i++) {
        size_t len;
        uint64_t there = wire_get(&mine->in);
        const void *data = wire_get_run(&mine->in, &len);
        if (!data) {
            _exit(2);
        }
        write_given(there, data, len);
    }
    return true;
}

static _Noreturn void fail(const char *message) {
    if (mine) {
        mine->changes = 0;
        wire_clear(&mine->out);
        wire_put_run(&mine->out, message, strlen(message));
        send_message(WIRE_FAILED, 0, 0);
    }
    _exit(1);
}

static void release(frame *f) {
    for (size_t i = 0; i < f->keeps; i++) {
        __real_free((void *)(uintptr_t)f->kept[i].data);
    }
}

static void serve_instrument(uint32_t function) {
    heap_block oldest = {0};
    if (function == WIRE_CHECK_GUARDS) {
        heap_check_guards();
    } else {
        heap_leaked(&oldest);
    }
    worker_begin_results();
    if (function == WIRE_OLDEST_BLOCK) {
        worker_put(oldest.size);
        worker_put((uintptr_t)oldest.caller - (uintptr_t)__executable_start
                   - 1);
    }
}

static void serve_call(void) {
    frame f = {.around = mine->frame};
    uint64_t nonce = mine->head.nonce;
    uint32_t function = mine->head.function;
    mine->frame = &f;
    if (function >= WIRE_OLDEST_BLOCK) {
        serve_instrument(function);
    } else if (!worker_serve(function)) {
        _exit(2);
    }
    send_message(WIRE_RETURN, 0, nonce);
    mine->frame = f.around;
    release(&f);
}

/* --- arguments and results ------------------------------------------------ */

uint64_t worker_get(void) {
    return wire_get(&mine->in);
}

void *worker_get_handle(void) {
    return (void *)(uintptr_t)worker_get();
}

static bytes copy_of_run(void) {
    size_t len;
    const void *data = wire_get_run(&mine->in, &len);
    void *copy = __real_malloc(len ? len : 1);
    if (!data || !copy) {
        _exit(2);
    }
    memcpy(copy, data, len);
    return (bytes){copy, len};
}

bytes worker_get_bytes(void) {
    switch (worker_get()) {
    case WIRE_HERE: {
        uint64_t there = worker_get();
        size_t len;
        const void *data = wire_get_run(&mine->in, &len);
        if (!data) {
            _exit(2);
        }
        return given_at(there, data, len);
    }
    case WIRE_YOURS: {
        const void *data = worker_get_handle();
        return (bytes){data, (size_t)worker_get()};
    }
    default: return (bytes){NULL, 0};
    }
}

const char *worker_get_text(void) {
    return worker_get_bytes().data;
}

static const bytes unwritten = {&unwritten, 1};

bytes *worker_get_bytes_at(bytes *room) {
    *room = unwritten;
    return worker_get() ? room : NULL;
}

void worker_put_bytes_at(const bytes *at) {
    bool written = at->data != unwritten.data;
    worker_put(written);
    if (written) {
        worker_put_lent(*at);
    }
}

void **worker_get_pointer_at(void **room) {
    bool there = worker_get() != 0;
    *room = worker_get_handle();
    return there ? room : NULL;
}

bool worker_was_written(void) {
    return worker_get() != 0;
}

void worker_get_kept(bytes *to) {
    bool written = worker_was_written();
    bytes copy = copy_of_run();
    frame *f = mine->frame;
    if (f->keeps == LENT) { /* a call that calls back so often keeps the last */
        __real_free((void *)(uintptr_t)f->kept[0].data);
        memmove(f->kept, f->kept + 1, (LENT - 1) * sizeof f->kept[0]);
        f->keeps--;
    }
    f->kept[f->keeps++] = copy;
    if (written) {
        *to = copy;
    }
}

void worker_begin_results(void) {
    wire_clear(&mine->out);
    put_changes();
}

void worker_put(uint64_t value) {
    wire_put(&mine->out, value);
}

void worker_put_handle(const void *handle) {
    worker_put((uintptr_t)handle);
}

void worker_put_lent(bytes run) {
    worker_put((uintptr_t)run.data);
    wire_put_run(&mine->out, run.data, run.data ? run.len : 0);
    if (run.data) {
        lend(run);
    }
}

void worker_put_lent_text(const char *text_put) {
    worker_put_lent((bytes){text_put, text_put ? strlen(text_put) + 1 : 0});
}

void worker_put_bytes(bytes run) {
    worker_put(run.data != NULL);
    wire_put_run(&mine->out, run.data, run.data ? run.len : 0);
}

/* --- a buffer that the tests protect -------------------------------------- */

/* A test may stop a call in the middle of writing to its buffer, by memory
 * that cannot be written to. Then ours cannot be either: whoever touches it
 * waits until the test's own can be touched again. */
static struct {
    char *start;
    size_t size;
    bool touched;
} veil;

static void draw_veil(size_t size) {
    veil.size = (size + 4095) & ~(size_t)4095;
    veil.touched = false;
    veil.start =
        mmap(NULL, veil.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static bool lift_veil(const char *at) {
    if (!veil.start || at < veil.start || at >= veil.start + veil.size) {
        return false;
    }
    mine->changes = 0;
    wire_clear(&mine->out);
    send_message(WIRE_TOUCHED, 0, 1);
    if (!receive_message()) {
        _exit(0);
    }
    veil.touched = true;
    return mprotect(veil.start, veil.size, PROT_READ | PROT_WRITE) == 0;
}

void *worker_get_buffer(size_t *size) {
    uint64_t kind = worker_get();
    *size = (size_t)worker_get();
    if (kind == WIRE_YOURS) {
        draw_veil(*size);
        return veil.start;
    }
    if (kind == WIRE_NULL) {
        return NULL;
    }
    bytes copy = {NULL, 0};
    if (*size > 0) {
        copy = copy_of_run();
    } else {
        copy.data = __real_malloc(1); /* any address will do */
    }
    frame *f = mine->frame;
    f->kept[f->keeps++] = copy;
    return (void *)(uintptr_t)copy.data;
}

void worker_put_buffer(const void *buffer, size_t size) {
    bool veiled = buffer && buffer == veil.start;
    bool there = buffer && (!veiled || veil.touched);
    wire_put_run(&mine->out, buffer, there ? size : 0);
    if (veiled) {
        munmap(veil.start, veil.size);
        veil.start = NULL;
    }
}

/* --- callbacks ------------------------------------------------------------ */

void worker_begin_callback(uint32_t callback, size_t slot) {
    (void)callback;
    if (!mine) {
        static const char said[] =
            "a callback was called by a thread that the code made itself\n";
        (void)!write(STDERR_FILENO, said, sizeof said - 1);
        _exit(1);
    }
    worker_begin_results();
    worker_put(slot + 1);
}

void worker_run_callback(uint32_t callback) {
    uint64_t nonce = __atomic_add_fetch(&serial, 1, __ATOMIC_SEQ_CST);
    send_message(WIRE_CALLBACK, callback, nonce);
    for (;;) {
        if (!receive_message()) {
            _exit(0);
        }
        if (mine->head.type == WIRE_RETURN && mine->head.nonce == nonce) {
            break;
        }
        serve_call();
    }
}

/* --- what the instruments and the code report ----------------------------- */

_Noreturn void todo_reached(const char *step, const char *file, int line) {
    char message[512];
    snprintf(message, sizeof message,
             "TODO  not written yet: step %s\nat      %s:%d", step, file, line);
    fail(message);
}

void check_that(bool holds, check_here at, const char *format, ...) {
    (void)at;
    if (!holds) {
        char message[1024] = "FAIL  ";
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(message + 6, sizeof message - 6, format, arguments);
        va_end(arguments);
        fail(message);
    }
}

const char *crash_line_of(const void *instruction) {
    static char place[32];
    snprintf(place, sizeof place, "code+0x%lx",
             (unsigned long)((uintptr_t)instruction
                             - (uintptr_t)__executable_start - 1));
    return place;
}

static wire last_words;

static void on_signal(int number, siginfo_t *info, void *context) {
    (void)context;
    if (number == SIGSEGV && mine && lift_veil(info->si_addr)) {
        return;
    }
    void *frames[FRAMES];
    int count = backtrace(frames, FRAMES);
    wire_put(&last_words, (uint64_t)number);
    wire_put(&last_words, (uint64_t)count);
    for (int i = 0; i < count; i++) {
        wire_put(&last_words,
                 (uintptr_t)frames[i] - (uintptr_t)__executable_start - 1);
    }
    wire_head head = {.type = WIRE_DIED};
    if (mine) {
        wire_send(mine->socket, &head, &last_words);
    }
    _exit(1);
}

static void handle_signals(void) {
    static const int deadly[] = {SIGSEGV, SIGBUS,  SIGFPE,
                                 SIGILL,  SIGABRT, SIGPROF};
    void *first[1];
    backtrace(first, 1); /* loads what it needs while memory is whole */
    wire_extend(&last_words, 4096);
    wire_clear(&last_words);
    struct sigaction act = {.sa_sigaction = on_signal,
                            .sa_flags = SA_ONSTACK | SA_SIGINFO | SA_NODEFER};
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++) {
        sigaction(deadly[i], &act, NULL);
    }
}

/* --- processes and threads ------------------------------------------------ */

/* Serves one channel until its other end is closed. */
static void serve(int socket) {
    static _Thread_local channel own;
    char *stack = __real_malloc(STACK); /* for a stack that overflowed */
    own.socket = socket;
    mine = &own;
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = STACK}, NULL);
    work_begin();
    worker_put((uint64_t)gettid());
    send_message(WIRE_HELLO, 0, 0);
    while (receive_message()) {
        serve_call();
    }
    mine = NULL;
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    __real_free(stack);
    __real_free(own.in.data);
    __real_free(own.out.data);
    close(socket);
}

static void *serve_thread(void *socket) {
    serve((int)(intptr_t)socket);
    return NULL;
}

/* Starts a thread with a stack of common size: our own is large, for deep
 * recursion, and would be the measure of all others. */
static void start(void *(*run)(void *argument), void *argument) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 20);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_create(&thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
}

/* The channels of the tests' other threads. */
static void *accept_threads(void *unused) {
    uint64_t number;
    int socket;
    while (wire_receive_files(more_channels, &number, &socket, 1)) {
        start(serve_thread, (void *)(intptr_t)socket);
    }
    return unused;
}

static void work_for(int socket, int door, uint64_t limit_ms) {
    struct itimerval limit = {
        .it_value = {(time_t)(limit_ms / 1000),
                     (suseconds_t)(limit_ms % 1000 * 1000)}};
    handle_signals();
    setitimer(ITIMER_PROF, &limit, NULL);
    more_channels = door;
    if (worker_has_threads) {
        start(accept_threads, NULL);
    }
    serve(socket);
    fflush(NULL);
    exit(0);
}

int main(void) {
    uint64_t limit_ms;
    int files[2];
    signal(SIGCHLD, SIG_IGN);
    while (wire_receive_files(DOOR, &limit_ms, files, 2)) {
        if (fork() == 0) {
            close(DOOR);
            signal(SIGCHLD, SIG_DFL);
            work_for(files[0], files[1], limit_ms);
        }
        close(files[0]);
        close(files[1]);
    }
    return 0;
}
