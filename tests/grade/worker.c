/* Serves calls: one process for each test, one thread for each of its
 * threads. Started once; each request on descriptor 3 makes a process of its
 * own out of it, which costs less than starting anew. */
#include "grade/worker.h"

#include "common/todo.h"
#include "support/check.h"
#include "support/crash.h"
#include "support/libraries.h"
#include "support/moments.h"
#include "support/work.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <valgrind/memcheck.h>

enum { DOOR = 3, FRAMES = 24, STACK = 64 * 1024 };

extern const char __executable_start[]; /* the linker's */

void *__real_malloc(size_t size);
void __real_free(void *block);

#pragma weak moments_watch
#pragma weak libraries_count
#pragma weak libraries_json_blocks

/* A call in progress, and what it was lent for its time. */
typedef struct piece piece;
typedef struct frame frame;
struct frame {
    frame *around;
    piece *pieces;
};

struct piece {
    piece *next;
    size_t size;
    _Alignas(max_align_t) unsigned char data[];
};

typedef struct channel {
    wire_line line;
    wire in, out;
    wire_head head; /* of what came last */
    uint64_t changes;
    frame *frame;
} channel;

static _Thread_local channel *mine;
/* Of the kind that moments.h does not see. */
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static uint64_t serial, epoch;
static int more_channels = -1;

/* --- memory that is lent to the tests ------------------------------------- */

/* Memory that a library has freed may be stale; if it was large it is gone.
 * (See main(): the C library keeps what is smaller.) */
enum { LARGEST_FOLLOWED = 64 * 1024 };

/* The most recent ones, and what the tests have seen of them. */
static struct loan {
    const unsigned char *data;
    size_t len;
    unsigned char *seen;
    bool freed;
} loans[WIRE_LENT];
static size_t next_loan;

static void lend(bytes run) {
    pthread_rwlock_wrlock(&lock);
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
    pthread_rwlock_unlock(&lock);
}

static void put_change(struct loan *l, const void *data) {
    worker_put((uintptr_t)l->data);
    wire_put_run(&mine->out, data, l->len);
    mine->changes++;
}

/* What is freed will be overwritten; the tests are to see that too. */
void heap_freed(const void *block, size_t size) {
    const unsigned char *from = block;
    pthread_rwlock_wrlock(&lock);
    for (size_t i = 0; i < WIRE_LENT; i++) {
        struct loan *l = &loans[i];
        if (l->data >= from && l->data < from + size) {
            memset(l->seen, 0x5a, l->len);
            l->freed = true;
        }
    }
    pthread_rwlock_unlock(&lock);
}

/* What is gone is looked at no more. */
static void forget_loans(const void *block, size_t size) {
    const unsigned char *from = block;
    pthread_rwlock_wrlock(&lock);
    for (size_t i = 0; i < WIRE_LENT; i++) {
        struct loan *l = &loans[i];
        if (l->data >= from && l->data < from + size && !l->freed) {
            __real_free(l->seen);
            *l = (struct loan){0};
        }
    }
    pthread_rwlock_unlock(&lock);
}

/* Under Valgrind, memory that a library has freed is not to be looked at. */
static bool may_look(const struct loan *l) {
    static unsigned char bits[LARGEST_FOLLOWED];
    enum { NOT_ADDRESSABLE = 3 };
    return l->data && l->len <= LARGEST_FOLLOWED
           && VALGRIND_GET_VBITS(l->data, bits, l->len) != NOT_ADDRESSABLE;
}

static void put_changes(void) {
    mine->changes = 0;
    pthread_rwlock_wrlock(&lock);
    for (size_t i = 0; i < WIRE_LENT; i++) {
        struct loan *l = &loans[i];
        if (l->freed) {
            put_change(l, l->seen);
            __real_free(l->seen);
            *l = (struct loan){0};
        } else if (may_look(l) && memcmp(l->data, l->seen, l->len) != 0) {
            memcpy(l->seen, l->data, l->len);
            put_change(l, l->seen);
        }
    }
    pthread_rwlock_unlock(&lock);
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
static size_t given_held; /* bytes of the C library's heap */

/* With the length that it notes before each block. */
static size_t size_of_block(void *block) {
    return malloc_usable_size(block) + sizeof(size_t);
}

static given **bucket_of(uint64_t there) {
    return &all_given[there * 0x9e3779b97f4a7c15u >> 54];
}

static void write_given(uint64_t there, const void *data, size_t len) {
    pthread_rwlock_wrlock(&lock);
    for (given *a = *bucket_of(there); a; a = a->next) {
        if (a->there == there) {
            memcpy(a->data, data, len < a->len ? len : a->len);
        }
    }
    pthread_rwlock_unlock(&lock);
}

static bytes given_at(uint64_t there, const void *data, size_t len) {
    write_given(there, data, len);
    pthread_rwlock_wrlock(&lock);
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
        given_held += size_of_block(a) + size_of_block(block);
        *a = (given){there, len, block, *bucket};
        *bucket = a;
    }
    pthread_rwlock_unlock(&lock);
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
    if (!wire_send(&mine->line, &head, &mine->out)) {
        _exit(0); /* the test is over */
    }
}

/* As the program of the tests does. */
static void ignore_sigpipe(bool ignore) {
    static bool is_ignored;
    if (ignore != is_ignored) {
        signal(SIGPIPE, ignore ? SIG_IGN : SIG_DFL);
        is_ignored = ignore;
    }
}

/* Returns: false when the tests want nothing any more. */
static bool receive_message(void) {
    if (!wire_receive(&mine->line, &mine->head, &mine->in)) {
        return false;
    }
    if (mine->head.epoch != epoch) {
        epoch = mine->head.epoch;
        heap_begin();
    }
    ignore_sigpipe(mine->head.no_pipe != 0);
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

static void *room_for(size_t size) {
    piece *p = __real_malloc(sizeof *p + size + 1);
    if (!p) {
        _exit(2);
    }
    p->next = mine->frame->pieces;
    p->size = size;
    mine->frame->pieces = p;
    return p->data;
}

static void release(frame *f) {
    while (f->pieces) {
        piece *p = f->pieces;
        f->pieces = p->next;
        forget_loans(p->data, p->size);
        memset(p->data, 0x5a, p->size);
        __real_free(p);
    }
}

static void close_channel(void) {
    __real_free(mine->in.data);
    __real_free(mine->out.data);
    close(mine->line.in);
    close(mine->line.out);
}

/* What the worker itself holds is not the code's. */
static size_t held_by_code(void) {
    size_t held = heap_held(), own = given_held;
    own += mine->in.data ? size_of_block(mine->in.data) : 0;
    own += mine->out.data ? size_of_block(mine->out.data) : 0;
    return held > own ? held - own : 0;
}

static void serve_oldest_block(void) {
    heap_block oldest = {0};
    heap_leaked(&oldest);
    worker_begin_results();
    worker_put(oldest.size);
    worker_put((uintptr_t)oldest.caller - (uintptr_t)__executable_start - 1);
}

static void serve_instrument(uint32_t function) {
    uint64_t told = 0;
    switch (function) {
    case WIRE_OLDEST_BLOCK: serve_oldest_block(); return;
    case WIRE_CHECK_GUARDS:
        heap_check_guards();
        worker_begin_results();
        return;
    case WIRE_HELD: told = held_by_code(); break;
    case WIRE_COUNT_LIBRARIES: libraries_count(worker_get() != 0); break;
    case WIRE_JSON_BLOCKS: told = libraries_json_blocks(); break;
    default: _exit(2);
    }
    worker_begin_results();
    worker_put(told);
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

double worker_get_real(void) {
    uint64_t bits = worker_get();
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void worker_get_run(void *run, size_t size) {
    size_t len;
    const void *data = wire_get_run(&mine->in, &len);
    if (len != size) {
        _exit(2);
    }
    memcpy(run, data, size);
}

void *worker_get_handle(void) {
    return (void *)(uintptr_t)worker_get();
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

bytes worker_get_bytes_once(void) {
    bool there = worker_get() != 0;
    size_t len;
    const void *data = wire_get_run(&mine->in, &len);
    if (!there || !data) {
        return (bytes){NULL, 0};
    }
    void *copy = room_for(len);
    memcpy(copy, data, len);
    return (bytes){copy, len};
}

const char *worker_get_text_once(void) {
    return worker_get_bytes_once().data;
}

void *worker_get_room(size_t element, size_t *count) {
    bool there = worker_get() != 0;
    *count = (size_t)worker_get();
    if (!there) {
        return NULL;
    }
    void *array = room_for(*count * element);
    memset(array, 0, *count * element);
    return array;
}

void (*worker_get_function(void (*const *callbacks)(void)))(void) {
    uint64_t kind = worker_get(), which = worker_get();
    return kind == WIRE_YOURS ? (void (*)(void))(uintptr_t)which
                              : callbacks[which];
}

const char worker_unwritten;
static const bytes unwritten = {&unwritten, 1};

void worker_unwritten_function(void) {
}

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
    bytes lent = worker_get_bytes();
    if (written) {
        *to = lent;
    }
}

static bool meet(void *context, moment m) {
    (void)context;
    return worker_ask(WIRE_MOMENT, m) != 0;
}

void worker_enter(void) {
    if (moments_watch) {
        moments_watch(mine->head.watched ? meet : NULL, NULL);
    }
}

static void leave(void) {
    if (moments_watch) {
        moments_watch(NULL, NULL);
    }
}

void worker_begin_results(void) {
    leave();
    wire_clear(&mine->out);
    put_changes();
}

void worker_put(uint64_t value) {
    wire_put(&mine->out, value);
}

void worker_put_real(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    worker_put(bits);
}

void worker_put_run(const void *run, size_t size) {
    wire_put_run(&mine->out, run, size);
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

void worker_put_text(const char *text_put) {
    worker_put_bytes((bytes){text_put, text_put ? strlen(text_put) + 1 : 0});
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
    void *room = room_for(*size);
    if (*size > 0) { /* else any address will do */
        worker_get_run(room, *size);
    }
    return room;
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

static pthread_key_t guest_ends;

/* A thread that the code has made calls the tests. For that, they start one
 * that answers on a channel which is made here. */
static void become_guest(void) {
    static _Thread_local channel guest;
    static _Thread_local frame outermost;
    int calls[2], answers[2];
    if (!worker_has_threads || pipe2(calls, O_CLOEXEC) != 0
        || pipe2(answers, O_CLOEXEC) != 0) {
        _exit(2);
    }
    int theirs[2] = {calls[0], answers[1]};
    if (!wire_send_files(more_channels, 0, theirs, 2)) {
        _exit(0); /* the test is over */
    }
    close(theirs[0]);
    close(theirs[1]);
    guest = (channel){.line = {answers[0], calls[1], -1}, .frame = &outermost};
    mine = &guest;
    pthread_setspecific(guest_ends, &guest);
}

static void end_guest(void *guest) {
    mine = guest;
    release(mine->frame);
    close_channel();
    mine = NULL;
}

void worker_begin_callback(uint32_t callback, size_t slot) {
    (void)callback;
    if (!mine) {
        become_guest();
    }
    worker_begin_results();
    worker_put(slot + 1);
}

/* Sends a question, and serves calls until it is answered. */
static void wait_for_answer(uint32_t type, uint32_t function) {
    uint64_t nonce = __atomic_add_fetch(&serial, 1, __ATOMIC_SEQ_CST);
    send_message(type, function, nonce);
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

void worker_run_callback(uint32_t callback) {
    wait_for_answer(WIRE_CALLBACK, callback);
    worker_enter();
}

uint64_t worker_ask(uint32_t what, uint64_t value) {
    if (!mine) {
        return 0;
    }
    worker_begin_results();
    worker_put(value);
    wait_for_answer(WIRE_ASK, what);
    worker_enter();
    return worker_get();
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
        wire_send(&mine->line, &head, &last_words);
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
static void serve(wire_line line) {
    static _Thread_local channel own;
    char *stack = __real_malloc(STACK); /* for a stack that overflowed */
    own.line = line;
    mine = &own;
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = STACK}, NULL);
    work_begin();
    worker_put((uint64_t)gettid());
    send_message(WIRE_HELLO, 0, 0);
    while (receive_message()) {
        serve_call();
    }
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    __real_free(stack);
    close_channel();
    mine = NULL;
}

static void *serve_thread(void *line) {
    wire_line own = *(wire_line *)line;
    __real_free(line);
    serve(own);
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
    int files[2];
    while (wire_receive_files(more_channels, &number, files, 2)) {
        wire_line *line = __real_malloc(sizeof *line);
        if (!line) {
            _exit(2);
        }
        *line = (wire_line){files[0], files[1], -1};
        start(serve_thread, line);
    }
    return unused;
}

static void work_for(wire_line line, int door, uint64_t limit_ms) {
    struct itimerval limit = {
        .it_value = {(time_t)(limit_ms / 1000),
                     (suseconds_t)(limit_ms % 1000 * 1000)}};
    send(door, "", 1, MSG_NOSIGNAL); /* the kernel says who we are */
    handle_signals();
    setitimer(ITIMER_PROF, &limit, NULL);
    more_channels = door;
    pthread_key_create(&guest_ends, end_guest);
    if (worker_has_threads) {
        start(accept_threads, NULL);
    }
    serve(line);
    fflush(NULL);
    exit(0);
}

/* The processes that work, and what each reads from. */
enum { AT_ONCE = 64 };
static struct {
    pid_t process;
    int in;
} working[AT_ONCE];

/* Ends those whose test is over, before another test's one begins: it would
 * find them still on their way out. (waitpid() fails when they are gone, for
 * SIGCHLD is ignored.) */
static void end_forsaken(void) {
    for (size_t i = 0; i < AT_ONCE; i++) {
        struct pollfd file = {.fd = working[i].in};
        if (working[i].process > 0 && poll(&file, 1, 0) > 0) {
            kill(working[i].process, SIGKILL);
            waitpid(working[i].process, NULL, 0);
            close(working[i].in);
            working[i].process = 0;
        }
    }
}

/* Without a place, it ends by itself all the same. */
static void note_working(pid_t process, int in) {
    size_t i = 0;
    while (i < AT_ONCE && working[i].process > 0) {
        i++;
    }
    if (i == AT_ONCE || process < 0) {
        close(in);
        return;
    }
    working[i].process = process;
    working[i].in = in;
}

static void close_others(void) {
    for (size_t i = 0; i < AT_ONCE; i++) {
        if (working[i].process > 0) {
            close(working[i].in);
        }
    }
}

int main(void) {
    uint64_t limit_ms;
    int files[3];
    signal(SIGCHLD, SIG_IGN);
    mallopt(M_MMAP_THRESHOLD, 2 * LARGEST_FOLLOWED);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    while (wire_receive_files(DOOR, &limit_ms, files, 3)) {
        end_forsaken();
        pid_t process = fork();
        if (process == 0) {
            close(DOOR);
            close_others();
            signal(SIGCHLD, SIG_DFL);
            work_for((wire_line){files[0], files[1], -1}, files[2], limit_ms);
        }
        note_working(process, files[0]);
        close(files[1]);
        close(files[2]);
    }
    return 0;
}
