/* The tests' side: channels to a worker, one for each thread that calls. */
#include "grade/client.h"

#include "support/check.h"
#include "support/crash.h"
#include "support/libraries.h"
#include "support/moments.h"
#include "support/work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_calloc(size_t count, size_t size);
void __real_free(void *block);

/* --- how a test ends when the other side does ----------------------------- */

static const char *signal_meaning(uint64_t number) {
    switch (number) {
    case SIGSEGV:
        return "it touched memory that is not its own: NULL, a block already "
               "freed, or past an array's end";
    case SIGBUS: return "it touched memory that is not there";
    case SIGFPE: return "it divided by zero";
    case SIGILL: return "it ran into an instruction that does not exist";
    case SIGABRT: return "it aborted: an assert failed, or the heap is damaged";
    default: return "it was ended by a signal";
    }
}

/* What the other side says about itself is for its author to read, and decides
 * nothing: printable text, and the kind is one of two. */
static _Noreturn void end_as_told(const char *said, size_t len) {
    char message[2048];
    size_t used = 0;
    for (size_t i = 0; i < len && used < sizeof message - 1; i++) {
        unsigned char byte = (unsigned char)said[i];
        bool plain = (byte >= ' ' && byte <= '~') || byte == '\n';
        message[used++] = plain ? (char)byte : '?';
    }
    message[used] = '\0';
    bool kind = strncmp(message, "TODO  ", 6) == 0
                || strncmp(message, "FAIL  ", 6) == 0;
    test_end(kind ? message : "FAIL  it says that it failed, and not why");
}

/* A signal, and the addresses of the calls that led there; the report turns
 * "code+0x12,0x34" into a line of the source. */
static _Noreturn void end_as_died(wire *in) {
    char where[512] = "code+0x0";
    uint64_t number = wire_get(in), frames = wire_get(in);
    size_t used = 4;
    for (uint64_t i = 0; i < frames && i < 24 && !in->bad; i++) {
        used += (size_t)snprintf(where + used, sizeof where - used, "%s0x%llx",
                                 i ? "," : "+",
                                 (unsigned long long)wire_get(in) & 0xffffffff);
    }
    if (number == SIGPROF) {
        test_end(text("TIMEOUT  still running after %.1f s of work\n"
                      "likely  a loop that never ends, or a list that leads "
                      "back into itself\nat      %s",
                      runner_limit_ms() / 1000.0, where));
    }
    test_end(text("CRASH  %s\nat      %s", signal_meaning(number), where));
}

static _Noreturn void end_as_lost(int why) {
    if (why == EAGAIN) {
        test_end("TIMEOUT  no answer: it runs, or waits, without an end\n"
                 "likely  a lock that was left locked, a wait for something "
                 "that never comes, or a loop that never ends");
    }
    if (why == EPROTO) {
        test_end("CRASH  its answer cannot be read: it wrote over memory that "
                 "is not its own");
    }
    test_end("CRASH  it ended in the middle of the test (exit, or a signal)");
}

/* --- pointers that the tests may follow ----------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uintptr_t *known; /* a table of pointers that were handed out */
static size_t known_places, known_count;

static size_t known_place(uintptr_t pointer) {
    size_t i = (size_t)((pointer * 0x9e3779b97f4a7c15u) >> 20);
    i &= known_places - 1;
    while (known[i] != 0 && known[i] != pointer) {
        i = (i + 1) & (known_places - 1);
    }
    return i;
}

static void know_more(void) {
    uintptr_t *old = known;
    size_t old_places = known_places;
    known_places = old_places ? 2 * old_places : 256;
    known = __real_calloc(known_places, sizeof *known);
    if (!known) {
        abort();
    }
    for (size_t i = 0; i < old_places; i++) {
        if (old[i] != 0) {
            known[known_place(old[i])] = old[i];
        }
    }
    __real_free(old);
}

static void hand_out(const void *pointer) {
    if (!pointer) {
        return;
    }
    pthread_mutex_lock(&lock);
    if (2 * known_count >= known_places) {
        know_more();
    }
    size_t i = known_place((uintptr_t)pointer);
    known_count += known[i] == 0;
    known[i] = (uintptr_t)pointer;
    pthread_mutex_unlock(&lock);
}

static bool was_handed_out(const void *pointer) {
    pthread_mutex_lock(&lock);
    bool is_known =
        !pointer
        || (known_places > 0 && known[known_place((uintptr_t)pointer)] != 0);
    pthread_mutex_unlock(&lock);
    return is_known;
}

/* --- functions that the tests pass ---------------------------------------- */

static struct {
    void (*function)(void);
    uint32_t callback;
} slots[WIRE_SLOTS];
static size_t slots_used;

/* Returns: the number of a function, from 1. */
static size_t slot_of(void (*function)(void), uint32_t callback) {
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (
        i < slots_used
        && (slots[i].function != function || slots[i].callback != callback)) {
        i++;
    }
    if (i == WIRE_SLOTS) {
        abort(); /* more functions than any test has */
    }
    slots[i].function = function;
    slots[i].callback = callback;
    slots_used += i == slots_used;
    pthread_mutex_unlock(&lock);
    return i + 1;
}

/* --- functions and pointers that the code under test passes --------------- */

/* The tests see functions of their own in place of the other side's. */
static struct {
    uint64_t there; /* 0: free */
    uint32_t callback;
    void (*here)(void);
} reverses[64];

enum { REVERSES = sizeof reverses / sizeof reverses[0], REVERSE_SLOTS = 8 };

/* Returns: what stands here for the function; NULL: there are too many. */
static void (*reverse_of(uint64_t there, uint32_t callback,
                         void (*const *reverse)(void)))(void) {
    size_t same = 0, i = 0;
    pthread_mutex_lock(&lock);
    while (
        i < REVERSES && reverses[i].there != 0
        && (reverses[i].there != there || reverses[i].callback != callback)) {
        same += reverses[i++].callback == callback;
    }
    bool is_there = i < REVERSES && reverses[i].there != 0;
    if (!is_there && i < REVERSES && same < REVERSE_SLOTS) {
        reverses[i].there = there;
        reverses[i].callback = callback;
        reverses[i].here = reverse[same];
        is_there = true;
    }
    pthread_mutex_unlock(&lock);
    return is_there ? reverses[i].here : NULL;
}

/* Where a function is over there, if it is one of these; else 0. */
static uint64_t origin_of_function(void (*here)(void)) {
    uint64_t there = 0;
    for (size_t i = 0; i < REVERSES && reverses[i].there != 0; i++) {
        there = reverses[i].here == here ? reverses[i].there : there;
    }
    return there;
}

static uint64_t reverse_at(uint32_t callback, size_t slot) {
    size_t i = 0;
    while (reverses[i].callback != callback || slot-- > 0) {
        i++;
    }
    return reverses[i].there;
}

static const void *foreign[64]; /* the most recent pointers of that kind */
static size_t next_foreign;

static bool is_foreign(const void *pointer) {
    bool is = false;
    for (size_t i = 0; i < 64; i++) {
        is = is || foreign[i] == pointer;
    }
    return is && pointer;
}

/* --- memory that the code under test lends -------------------------------- */

enum { ARENA = 1 << 28 };

typedef struct mirror {
    uint64_t there; /* where it is on the other side */
    size_t len, room;
    size_t here; /* offset in the arena */
} mirror;

static unsigned char *arena;
static size_t arena_used;
static mirror *mirrors; /* in the order of their places in the arena */
static size_t mirrors_used, mirrors_room;

static mirror *mirror_of(uint64_t there) {
    for (size_t i = mirrors_used; i-- > 0;) {
        if (mirrors[i].there == there) {
            return &mirrors[i];
        }
    }
    return NULL;
}

/* The mirror of `len` bytes over there: the same as before where they fit. */
static mirror *mirror_for(uint64_t there, size_t len) {
    mirror *m = mirror_of(there);
    if (m && len <= m->room) {
        m->len = len;
        return m;
    }
    if (!arena) {
        arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (mirrors_used == mirrors_room) {
        mirrors_room = mirrors_room ? 2 * mirrors_room : 64;
        mirrors = __real_realloc(mirrors, mirrors_room * sizeof *mirrors);
    }
    size_t room = (len + 64) & ~(size_t)63;
    if (arena == MAP_FAILED || !mirrors || room > ARENA - arena_used) {
        abort();
    }
    m = &mirrors[mirrors_used++];
    *m = (mirror){there, len, room, arena_used};
    arena_used += room;
    return m;
}

static bytes mirrored(uint64_t there, const void *data, size_t len) {
    pthread_mutex_lock(&lock);
    mirror *m = mirror_for(there, len);
    unsigned char *here = arena + m->here;
    if (len > 0) {
        memcpy(here, data, len);
    }
    pthread_mutex_unlock(&lock);
    return (bytes){here, len};
}

static void take_change(uint64_t there, const void *data, size_t len) {
    pthread_mutex_lock(&lock);
    mirror *m = mirror_of(there);
    if (m && len > 0 && len <= m->len) {
        memcpy(arena + m->here, data, len);
    }
    pthread_mutex_unlock(&lock);
}

/* Where `data` is over there, if it was lent from there; else 0. */
static uint64_t origin_of(const void *data) {
    const unsigned char *at = data;
    uint64_t there = 0;
    pthread_mutex_lock(&lock);
    if (arena && at >= arena && at < arena + arena_used) {
        size_t i = mirrors_used;
        while (i-- > 0 && mirrors[i].here > (size_t)(at - arena)) {
        }
        there = mirrors[i].there + ((size_t)(at - arena) - mirrors[i].here);
    }
    pthread_mutex_unlock(&lock);
    return there;
}

/* --- memory that the tests lend ------------------------------------------- */

/* The arguments that this thread has passed most recently, as the other side
 * knows them. Code that keeps a caller's pointer must find there what it would
 * find here: what the test has written to that memory since. (Not those of
 * other threads: their stacks go when they end.) */
static _Thread_local struct given {
    const unsigned char *data;
    size_t len;
    unsigned char *seen;
    size_t room;
} given[WIRE_LENT];
static _Thread_local size_t next_given;

enum { LARGEST_GIVEN = 4096 }; /* larger memory may be gone, not just stale */

static void remember_given(const void *data, size_t len) {
    if (len == 0 || len > LARGEST_GIVEN) {
        return;
    }
    struct given *g = NULL;
    for (size_t i = 0; i < WIRE_LENT && !g; i++) {
        g = given[i].data == data ? &given[i] : NULL;
    }
    g = g ? g : &given[next_given++ % WIRE_LENT];
    if (g->room < len) {
        g->seen = __real_realloc(g->seen, len);
        g->room = len;
    }
    if (!g->seen) {
        abort();
    }
    g->data = data;
    g->len = len;
    memcpy(g->seen, data, len);
}

/* It may also be gone altogether: a fixture that has ended. */
static _Thread_local sigjmp_buf gone;
static _Thread_local volatile bool looks;

static void on_gone(int number) {
    if (looks) {
        siglongjmp(gone, 1);
    }
    signal(number, SIG_DFL); /* then it comes again, and ends the test */
}

static bool has_changed(struct given *g) {
    volatile bool changed = false;
    looks = true;
    if (sigsetjmp(gone, 0) == 0) {
        changed = memcmp(g->data, g->seen, g->len) != 0;
    } else {
        g->data = NULL;
    }
    looks = false;
    return changed;
}

/* Puts what the tests have written since. Returns: how many changes. */
static uint64_t put_given_changes(wire *out) {
    uint64_t changes = 0;
    for (size_t i = 0; i < WIRE_LENT; i++) {
        struct given *g = &given[i];
        if (g->data && has_changed(g)) {
            memcpy(g->seen, g->data, g->len);
            wire_put(out, (uintptr_t)g->data);
            wire_put_run(out, g->seen, g->len);
            changes++;
        }
    }
    return changes;
}

/* --- channels ------------------------------------------------------------- */

typedef struct channel {
    wire_line line;
    int kept; /* the worker's end: without it, what is sent to one that has
               * died would be answered with a signal */
    wire out, in;
    uint64_t steps, changes;
    pid_t thread, worker_thread; /* in our namespace, in the worker's */
    bool busy;                   /* a call is being made, */
    bool waits;                  /* which waits for the worker's answer, */
    uint64_t answers;            /* of which there were so many */
} channel;

/* Who wants to hear of this thread's moments. */
static _Thread_local bool (*watcher)(void *context, moment m);
static _Thread_local void *watcher_context;

static pid_t connected; /* the process whose worker this is */
static pid_t worker;    /* its number; 0: not seen by us */
static int worker_door; /* where more channels are handed in */
static _Thread_local channel mine;
static _Thread_local pid_t mine_of;
static heap_counts elsewhere;
static uint64_t newest, epoch;
static pthread_key_t at_thread_end;

static void leave(void);

/* For an answer. The worker's own limit of work cuts it off before. */
static int patience_ms(void) {
    return runner_limit_ms() * 3 / 2;
}

static void close_line(void) {
    close(mine.line.in);
    close(mine.line.out);
    close(mine.kept);
}

static void hang_up(void *unused) {
    (void)unused;
    leave();
    for (size_t i = 0; i < WIRE_LENT; i++) {
        __real_free(given[i].seen);
    }
    __real_free(mine.in.data);
    __real_free(mine.out.data);
    close_line();
}

/* Opens this thread's line. `theirs`: what the worker reads, and writes. */
static void open_line(int theirs[2]) {
    int calls[2], answers[2];
    if (pipe2(calls, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0
        || fcntl(calls[1], F_SETFL, O_NONBLOCK) != 0) {
        abort();
    }
    theirs[0] = mine.kept = calls[0];
    theirs[1] = answers[1];
    mine.line = (wire_line){answers[0], calls[1], patience_ms()};
}

/* Where more channels are handed in, and where the worker says that it is
 * there, of which the kernel notes who it was. */
static void open_door(int ends[2]) {
    struct timeval patience = {patience_ms() / 1000,
                               patience_ms() % 1000 * 1000};
    int yes = 1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        abort();
    }
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes);
}

/* How much work the worker may do: a child of a model test has a limit of its
 * own, which natively ends the process in which both run. */
static uint64_t work_ms(void) {
    struct itimerval left;
    uint64_t ms = (uint64_t)runner_limit_ms();
    getitimer(ITIMER_PROF, &left);
    uint64_t own = (uint64_t)left.it_value.tv_sec * 1000
                   + (uint64_t)left.it_value.tv_usec / 1000;
    return own > 0 && own < ms ? own : ms;
}

/* The kernel tells who says there that it is the worker. */
static pid_t sender(int door) {
    union {
        char room[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr aligned;
    } control;
    char byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    struct ucred who = {0};
    ssize_t got = recvmsg(door, &message, 0);
    if (got <= 0) {
        end_as_lost(got == 0 ? EPIPE : errno);
    }
    if (CMSG_FIRSTHDR(&message)
        && CMSG_FIRSTHDR(&message)->cmsg_type == SCM_CREDENTIALS) {
        memcpy(&who, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof who);
    }
    int no = 0;
    setsockopt(door, SOL_SOCKET, SO_PASSCRED, &no, sizeof no);
    return who.pid;
}

/* Asks for a worker, and for a first channel to it. */
static void start_worker(const int theirs[2]) {
    const char *door = getenv("GRADE_DOOR");
    int ends[2];
    if (!door) {
        fputs("GRADE_DOOR must name the worker's socket\n", stderr);
        abort();
    }
    static bool has_key;
    if (!has_key) {
        struct sigaction act = {.sa_handler = on_gone, .sa_flags = SA_NODEFER};
        sigaction(SIGSEGV, &act, NULL);
        pthread_key_create(&at_thread_end, hang_up);
        has_key = true;
    }
    open_door(ends);
    int files[3] = {theirs[0], theirs[1], ends[1]};
    bool sent = wire_send_files(atoi(door), work_ms(), files, 3);
    close(ends[1]);
    worker_door = ends[0];
    connected = getpid();
    memset(given, 0, sizeof given);
    memset(reverses, 0, sizeof reverses);
    newest = 0;
    elsewhere = (heap_counts){0};
    if (!sent) {
        test_end("CRASH  it ended before the test began (exit, or a signal)");
    }
    worker = sender(worker_door);
}

enum { CHANNELS = 128 };
static channel *channels[CHANNELS]; /* one for each thread that has called */

static void enlist(pid_t worker_thread) {
    mine.thread = gettid();
    mine.worker_thread = worker_thread;
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (i < CHANNELS - 1 && channels[i] && channels[i] != &mine) {
        i++;
    }
    channels[i] = &mine;
    pthread_mutex_unlock(&lock);
}

static void leave(void) {
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < CHANNELS; i++) {
        channels[i] = channels[i] == &mine ? NULL : channels[i];
    }
    pthread_mutex_unlock(&lock);
}

static void say_hello(void) {
    wire_head head;
    if (!wire_receive(&mine.line, &head, &mine.in)) {
        end_as_lost(errno);
    }
    if (head.type == WIRE_DIED) {
        end_as_died(&mine.in);
    }
    if (head.type != WIRE_HELLO) {
        end_as_lost(EPROTO);
    }
    enlist((pid_t)wire_get(&mine.in));
}

static channel *my_channel(void) {
    if (mine_of == getpid()) {
        return &mine;
    }
    int theirs[2];
    mine = (channel){.out = mine.out, .in = mine.in};
    open_line(theirs);
    mine_of = getpid();
    pthread_mutex_lock(&lock);
    bool first = connected != getpid();
    if (first) {
        pthread_mutex_unlock(&lock);
        start_worker(theirs);
    } else {
        wire_send_files(worker_door, 0, theirs, 2);
        pthread_mutex_unlock(&lock);
        pthread_setspecific(at_thread_end, &mine);
    }
    close(theirs[1]);
    say_hello();
    return &mine;
}

/* --- messages ------------------------------------------------------------- */

static uint64_t random_number(void) {
    static _Thread_local uint64_t pool[32];
    static _Thread_local size_t left;
    if (left == 0) {
        if (getrandom(pool, sizeof pool, 0) != sizeof pool) {
            abort();
        }
        left = sizeof pool / sizeof pool[0];
    }
    return pool[--left];
}

/* Whether to ignore it is the program's to say, not the lesson's code's. */
static bool ignores_sigpipe(void) {
    struct sigaction now;
    return sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static void send_message(wire_head head) {
    head.epoch = epoch;
    head.watched = watcher != NULL;
    head.no_pipe = ignores_sigpipe();
    head.changes = mine.changes;
    head.heap = heap_counted_here();
    if (!wire_send(&mine.line, &head, &mine.out)
        && errno != EPIPE) { /* it may have said why before it went */
        end_as_lost(errno);
    }
    __atomic_store_n(&mine.waits, true, __ATOMIC_SEQ_CST);
}

/* Takes over what the head tells, and the changes at the body's start. */
static void take_over(const wire_head *head) {
    __atomic_add_fetch(&mine.answers, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&mine.waits, false, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&lock);
    if (head->serial >= newest && head->epoch == epoch) {
        newest = head->serial;
        elsewhere = head->heap;
    }
    pthread_mutex_unlock(&lock);
    mine.steps = head->steps;
    heap_continue(head->heap.fail_countdown, head->heap.has_failed != 0);
    for (uint64_t i = 0; i < head->changes && !mine.in.bad; i++) {
        size_t len;
        uint64_t there = wire_get(&mine.in);
        const void *data = wire_get_run(&mine.in, &len);
        take_change(there, data, len);
    }
}

static void take_message(wire_head *head) {
    if (!wire_receive(&mine.line, head, &mine.in)) {
        end_as_lost(errno);
    }
    take_over(head);
}

static void begin_message(void) {
    wire_clear(&mine.out);
    mine.changes = put_given_changes(&mine.out);
}

/* An argument of a callback: whoever keeps a pointer to it will find nothing
 * there. */
struct client_copy {
    client_copy *next;
    size_t size;
    _Alignas(max_align_t) unsigned char data[];
};

static void *copy_for(client_call *c, size_t size) {
    client_copy *copy = __real_malloc(sizeof *copy + size + 1);
    if (!copy) {
        abort();
    }
    copy->next = c->copies;
    copy->size = size;
    c->copies = copy;
    return copy->data;
}

static void drop_copies(client_call *c) {
    while (c->copies) {
        client_copy *copy = c->copies;
        c->copies = copy->next;
        memset(copy->data, 0x5a, copy->size);
        __real_free(copy);
    }
}

static void serve(const wire_head *head) {
    client_call c = {.out = &mine.out, .in = &mine.in};
    size_t slot = (size_t)wire_get(&mine.in) - 1;
    if (slot >= slots_used || slots[slot].callback != head->function) {
        end_as_lost(EPROTO);
    }
    mine.busy = false; /* the callback may call */
    if (!client_serve(&c, head->function, slots[slot].function)) {
        end_as_lost(EPROTO);
    }
    mine.busy = true;
    send_message((wire_head){.type = WIRE_RETURN, .nonce = head->nonce});
    drop_copies(&c);
}

/* As moments.c: nobody watches meanwhile. */
static bool meet(moment m) {
    bool (*who)(void *context, moment m) = watcher;
    if (!who || m > MOMENT_WOKEN) {
        end_as_lost(EPROTO);
    }
    watcher = NULL;
    bool answer = who(watcher_context, m);
    watcher = who;
    return answer;
}

/* The time by this side's clock, which may be one that the test turns. */
static uint64_t time_by(clockid_t id) {
    struct timespec t = {0};
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void answer(const wire_head *head) {
    uint64_t value = wire_get(&mine.in);
    if (!wire_ended(&mine.in)) {
        end_as_lost(EPROTO);
    }
    mine.busy = false;
    switch (head->function) {
    case WIRE_MOMENT: value = meet((moment)value); break;
    case WIRE_CLOCK: value = time_by((clockid_t)value); break;
    default: end_as_lost(EPROTO);
    }
    mine.busy = true;
    begin_message();
    wire_put(&mine.out, value);
    send_message((wire_head){.type = WIRE_RETURN, .nonce = head->nonce});
}

void client_begin_results(void) {
    begin_message();
}

/* A signal's handler may call while its thread waits for an answer: then by a
 * channel of its own. */
static _Thread_local channel interrupted;
static _Thread_local void *interrupted_end;

static void begin_interruption(void) {
    interrupted = mine;
    interrupted_end = pthread_getspecific(at_thread_end);
    mine = (channel){0};
    mine_of = 0;
}

static void end_interruption(void) {
    close_line();
    __real_free(mine.in.data);
    __real_free(mine.out.data);
    mine = interrupted;
    pthread_setspecific(at_thread_end, interrupted_end);
}

client_call client_begin(uint32_t function) {
    bool interrupts = mine_of == getpid() && mine.busy;
    if (interrupts) {
        begin_interruption();
    }
    channel *ch = my_channel();
    ch->busy = true;
    begin_message();
    return (client_call){.function = function,
                         .out = &ch->out,
                         .in = &ch->in,
                         .interrupts = interrupts};
}

client_call client_begin_reverse(uint32_t callback, size_t slot) {
    client_call c = client_begin(WIRE_REVERSE + callback);
    client_put(&c, reverse_at(callback, slot));
    return c;
}

/* A test's memory that is protected stops whoever touches it; see worker.c. */
static void touch(const client_call *c) {
    volatile char *buffer = c->veiled;
    mine.busy = false;
    if (buffer) {
        *buffer = *buffer;
    }
    mine.busy = true;
    begin_message();
}

/* Ends the test by what the worker says of its end. */
static _Noreturn void end_as_said(const wire_head *head) {
    if (head->type == WIRE_FAILED) {
        size_t len;
        const char *said = wire_get_run(&mine.in, &len);
        end_as_told(said ? said : "", len);
    }
    if (head->type == WIRE_DIED) {
        end_as_died(&mine.in);
    }
    end_as_lost(EPROTO);
}

void client_run(client_call *c) {
    wire_head head = {.type = WIRE_CALL, .function = c->function};
    uint64_t nonce = random_number();
    head.nonce = nonce;
    send_message(head);
    for (;;) {
        take_message(&head);
        if (head.type == WIRE_CALLBACK) {
            serve(&head);
        } else if (head.type == WIRE_ASK) {
            answer(&head);
        } else if (head.type == WIRE_TOUCHED) {
            touch(c);
            send_message((wire_head){.type = WIRE_RETURN, .nonce = head.nonce});
        } else {
            break;
        }
    }
    if (head.type != WIRE_RETURN || head.nonce != nonce) {
        end_as_said(&head);
    }
}

/* --- guests: threads that the code has made, when they call us -------------
 */

/* Answers one, for as long as it lives. */
static void *serve_guest(void *line) {
    wire_head head;
    mine = (channel){.line = *(wire_line *)line, .kept = -1, .busy = true};
    mine_of = getpid();
    __real_free(line);
    pthread_setspecific(at_thread_end, &mine);
    while (wire_receive(&mine.line, &head, &mine.in)) {
        take_over(&head);
        if (head.type == WIRE_CALLBACK) {
            serve(&head);
        } else if (head.type == WIRE_ASK) {
            answer(&head);
        } else {
            end_as_said(&head);
        }
    }
    return NULL;
}

static void start_thread(void *(*run)(void *argument), void *argument) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, argument) != 0) {
        abort();
    }
    pthread_detach(thread);
}

static void *let_guests_in(void *door) {
    uint64_t number;
    int files[2];
    for (size_t i = 0; i < CHANNELS;) {
        errno = 0;
        if (wire_receive_files((int)(intptr_t)door, &number, files, 2)) {
            wire_line *line = __real_realloc(NULL, sizeof *line);
            if (!line) {
                abort();
            }
            *line = (wire_line){files[0], files[1], -1};
            start_thread(serve_guest, line);
            i++;
        } else if (errno != EAGAIN) {
            break; /* the worker is gone */
        }
    }
    return NULL;
}

/* From the first callback on that is passed, somebody may come. */
static void expect_guests(void) {
    static pid_t expecting;
    pthread_mutex_lock(&lock);
    bool begins = client_has_threads && expecting != getpid();
    expecting = getpid();
    pthread_mutex_unlock(&lock);
    if (begins) {
        start_thread(let_guests_in, (void *)(intptr_t)worker_door);
    }
}

void client_end(client_call *c) {
    if (!wire_ended(c->in)) {
        end_as_lost(EPROTO);
    }
    mine.busy = false;
    if (c->interrupts) {
        end_interruption();
    }
}

/* --- arguments and results ------------------------------------------------ */

void client_put(client_call *c, uint64_t value) {
    wire_put(c->out, value);
}

uint64_t client_get(client_call *c) {
    return wire_get(c->in);
}

void client_put_real(client_call *c, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    wire_put(c->out, bits);
}

double client_get_real(client_call *c) {
    uint64_t bits = wire_get(c->in);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void client_put_run(client_call *c, const void *run, size_t size) {
    wire_put_run(c->out, run, size);
}

void client_get_run(client_call *c, void *run, size_t size) {
    size_t len;
    const void *data = wire_get_run(c->in, &len);
    if (len != size) {
        c->in->bad = true;
    } else {
        memcpy(run, data, size);
    }
}

void client_put_handle(client_call *c, const void *handle) {
    wire_put(c->out, (uintptr_t)handle);
}

void *client_get_handle(client_call *c) {
    return (void *)(uintptr_t)wire_get(c->in);
}

void client_put_pointer(client_call *c, const void *pointer) {
    if (!is_foreign(pointer)) {
        hand_out(pointer);
    }
    wire_put(c->out, (uintptr_t)pointer);
}

void *client_get_pointer(client_call *c) {
    void *pointer = (void *)(uintptr_t)wire_get(c->in);
    if (!was_handed_out(pointer)) {
        test_end(text("FAIL  look at a pointer that the code gives back\n"
                      "wanted  one that it was given\n"
                      "got     %p\n"
                      "likely  memory that nobody wrote to, or that was freed",
                      pointer));
    }
    return pointer;
}

void client_put_bytes(client_call *c, bytes run) {
    uint64_t there = run.data ? origin_of(run.data) : 0;
    if (there != 0) {
        wire_put(c->out, WIRE_YOURS);
        wire_put(c->out, there);
        wire_put(c->out, run.len);
        return;
    }
    wire_put(c->out, run.data ? WIRE_HERE : WIRE_NULL);
    if (run.data) {
        wire_put(c->out, (uintptr_t)run.data);
        wire_put_run(c->out, run.data, run.len);
        remember_given(run.data, run.len);
    }
}

/* A text travels with its closing zero byte. */
void client_put_text(client_call *c, const char *text_put) {
    client_put_bytes(c, (bytes){text_put, text_put ? strlen(text_put) + 1 : 0});
}

void client_put_bytes_once(client_call *c, bytes run) {
    wire_put(c->out, run.data != NULL);
    wire_put_run(c->out, run.data, run.data ? run.len : 0);
}

void client_put_text_once(client_call *c, const char *said) {
    client_put_bytes_once(c, (bytes){said, said ? strlen(said) + 1 : 0});
}

void client_put_answer(client_call *c, bytes run, bool is_written) {
    wire_put(c->out, is_written);
    client_put_bytes(c, is_written ? run : (bytes){NULL, 0});
}

void client_put_function(client_call *c, void (*function)(void),
                         uint32_t callback) {
    uint64_t there = function ? origin_of_function(function) : 0;
    if (function && !there) {
        expect_guests();
    }
    wire_put(c->out, there ? WIRE_YOURS : function ? WIRE_HERE : WIRE_NULL);
    wire_put(c->out, there      ? there
                     : function ? slot_of(function, callback)
                                : 0);
}

/* Whether the system can read it, asked without a signal. */
static bool is_readable(const void *at) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        abort();
    }
    bool readable = write(ends[1], at, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return readable;
}

void client_put_buffer(client_call *c, const void *buffer, size_t size) {
    bool there = buffer && size > 0;
    bool readable = !there || size < 4096 || is_readable(buffer);
    wire_put(c->out, buffer ? readable ? WIRE_HERE : WIRE_YOURS : WIRE_NULL);
    wire_put(c->out, size);
    if (there && readable) {
        wire_put_run(c->out, buffer, size);
    }
    if (there && !readable) { /* for touch() */
        c->veiled = (void *)(uintptr_t)buffer;
    }
}

void client_get_buffer(client_call *c, void *buffer, size_t size) {
    size_t len;
    const void *data = wire_get_run(c->in, &len);
    if (len > size || (len > 0 && !buffer)) {
        c->in->bad = true;
    } else if (len > 0) {
        memcpy(buffer, data, len);
    }
}

bytes client_get_lent(client_call *c) {
    uint64_t there = wire_get(c->in);
    size_t len;
    const void *data = wire_get_run(c->in, &len);
    return there && !c->in->bad ? mirrored(there, data, len) : (bytes){NULL, 0};
}

const char *client_get_text(client_call *c) {
    bytes run = client_get_lent(c);
    const char *told = run.data;
    if (told && (run.len == 0 || told[run.len - 1] != '\0')) {
        end_as_lost(EPROTO);
    }
    return told;
}

bytes client_get_bytes(client_call *c) {
    size_t len;
    bool there = wire_get(c->in) != 0;
    const void *data = wire_get_run(c->in, &len);
    if (!there || c->in->bad) {
        return (bytes){NULL, 0};
    }
    void *copy = copy_for(c, len);
    memcpy(copy, data, len);
    return (bytes){copy, len};
}

const char *client_get_text_once(client_call *c) {
    bytes run = client_get_bytes(c);
    const char *told = run.data;
    if (told && (run.len == 0 || told[run.len - 1] != '\0')) {
        c->in->bad = true;
    }
    return told;
}

/* Each element takes at least 8 bytes of the message. */
void *client_get_room(client_call *c, size_t element, size_t *count) {
    bool there = wire_get(c->in) != 0;
    uint64_t said = wire_get(c->in);
    if (said > (c->in->len - c->in->at) / 8) {
        c->in->bad = true;
    }
    *count = there && !c->in->bad ? (size_t)said : 0;
    if (!there) {
        return NULL;
    }
    void *room = copy_for(c, *count * element);
    memset(room, 0, *count * element);
    return room;
}

void (*client_get_function(client_call *c, uint32_t callback,
                           void (*const *reverse)(void)))(void) {
    uint64_t there = wire_get(c->in);
    if (there == 0) {
        return NULL;
    }
    void (*here)(void) = reverse_of(there, callback, reverse);
    c->in->bad = c->in->bad || !here;
    return here;
}

void *client_get_foreign(client_call *c) {
    void *pointer = (void *)(uintptr_t)wire_get(c->in);
    pthread_mutex_lock(&lock);
    foreign[next_foreign++ % 64] = pointer;
    pthread_mutex_unlock(&lock);
    return pointer;
}

void client_put_handle_at(client_call *c, void *const *at) {
    wire_put(c->out, at != NULL);
    wire_put(c->out, at ? (uintptr_t)*at : 0);
}

void client_get_handle_at(client_call *c, void **at) {
    void *handle = client_get_handle(c);
    if (at) {
        *at = handle;
    }
}

void client_put_pointer_at(client_call *c, void *const *at) {
    wire_put(c->out, at != NULL);
    client_put_pointer(c, at ? *at : NULL);
}

void client_get_pointer_at(client_call *c, void **at) {
    void *pointer = client_get_pointer(c);
    if (at) {
        *at = pointer;
    }
}

void client_put_bytes_at(client_call *c, const bytes *at) {
    wire_put(c->out, at != NULL);
}

void client_get_bytes_at(client_call *c, bytes *at) {
    bool written = wire_get(c->in) != 0;
    if (written) {
        bytes run = client_get_lent(c);
        if (at) {
            *at = run;
        }
    }
}

/* --- the instruments (heap.h, work.h, crash.h) -----------------------------
 */

heap_counts heap_counted_elsewhere(void) {
    return elsewhere;
}

void heap_begin_elsewhere(void) {
    pthread_mutex_lock(&lock);
    epoch++;
    elsewhere = (heap_counts){0};
    pthread_mutex_unlock(&lock);
}

bool heap_leaked_elsewhere(heap_block *oldest) {
    if (elsewhere.live_blocks == 0) {
        return false;
    }
    client_call c = client_begin(WIRE_OLDEST_BLOCK);
    client_run(&c);
    oldest->size = (size_t)client_get(&c);
    oldest->caller = (void *)(uintptr_t)client_get(&c);
    client_end(&c);
    return true;
}

void heap_check_guards_elsewhere(void) {
    if (connected == getpid()) {
        client_call c = client_begin(WIRE_CHECK_GUARDS);
        client_run(&c);
        client_end(&c);
    }
}

void moments_watch(bool (*meet_there)(void *context, moment m), void *context) {
    watcher = meet_there;
    watcher_context = context;
}

/* For code that is given, and stands on this side: its steps count for none. */
void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void) {
}

/* Calls an instrument that takes a number and gives one. */
static size_t ask_instrument(uint32_t function, uint64_t value) {
    client_call c = client_begin(function);
    client_put(&c, value);
    client_run(&c);
    size_t told = (size_t)client_get(&c);
    client_end(&c);
    return told;
}

size_t heap_held_elsewhere(void) {
    return ask_instrument(WIRE_HELD, 0);
}

void libraries_count(bool on) {
    ask_instrument(WIRE_COUNT_LIBRARIES, on);
}

size_t libraries_json_blocks(void) {
    return ask_instrument(WIRE_JSON_BLOCKS, 0);
}

static _Thread_local uint64_t steps_before;

void work_begin(void) {
    steps_before = mine_of == getpid() ? mine.steps : 0;
}

size_t work_steps(void) {
    return (size_t)(mine.steps - steps_before);
}

/* Whether a thread of a process sleeps. */
static bool is_asleep(pid_t process, pid_t thread) {
    char line[128] = "";
    FILE *stat = fopen(text("/proc/%d/task/%d/stat", process, thread), "re");
    char *end =
        stat && fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL;
    if (stat) {
        fclose(stat);
    }
    return end && end[1] == ' ' && end[2] == 'S';
}

/* The number here of a thread that the worker calls by another number. */
static pid_t thread_here(pid_t inside) {
    DIR *tasks = opendir(text("/proc/%d/task", worker));
    pid_t found = 0;
    for (struct dirent *entry;
         tasks && !found && (entry = readdir(tasks)) != NULL;) {
        char line[256];
        FILE *file = fopen(
            text("/proc/%d/task/%.20s/status", worker, entry->d_name), "re");
        while (file && fgets(line, sizeof line, file)) {
            char *last = strrchr(line, '\t');
            if (strncmp(line, "NSpid:", 6) == 0 && atoi(last) == inside) {
                found = atoi(entry->d_name);
            }
        }
        if (file) {
            fclose(file);
        }
    }
    if (tasks) {
        closedir(tasks);
    }
    return found;
}

/* A thread waits if it waits for the worker, whose thread sleeps. That is
 * looked at first: a worker that has answered sleeps too, but before it does
 * it has woken us. */
bool work_waits(pid_t thread) {
    pthread_mutex_lock(&lock);
    channel *its = NULL;
    for (size_t i = 0; i < CHANNELS; i++) {
        its = channels[i] && channels[i]->thread == thread ? channels[i] : its;
    }
    pid_t inside = its ? its->worker_thread : 0;
    uint64_t before =
        its ? __atomic_load_n(&its->answers, __ATOMIC_SEQ_CST) : 0;
    bool waits = its && __atomic_load_n(&its->waits, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&lock);
    return waits && is_asleep(worker, thread_here(inside))
           && is_asleep(getpid(), thread) && its->waits
           && its->answers == before;
}

pid_t work_process(void) {
    my_channel();
    return worker;
}

size_t work_open_files(void) {
    size_t count = 0;
    DIR *all = opendir(text("/proc/%d/fd", work_process()));
    want_true(all != NULL, "count the open files of the worker",
              "the grader cannot see it");
    while (all && readdir(all)) {
        count++;
    }
    if (all) {
        closedir(all);
    }
    return count;
}

void crash_watch(const char *test_name) {
    (void)test_name;
}

void crash_unwatch(void) {
}

/* The worker's deadlines are the grader's own. */
void crash_allow(unsigned seconds) {
    (void)seconds;
}

void crash_ignore(void) {
}

_Noreturn void crash_fail(const char *message) {
    runner_fail(message);
}

const char *crash_line_of(const void *instruction) {
    return text("code+0x%llx",
                (unsigned long long)(uintptr_t)instruction & 0xffffffff);
}
