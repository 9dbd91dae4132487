/* Tests of the cache for many threads.
 *
 * A test is a play on a small stage. The main thread directs; each call of the
 * cache that another thread makes is made by a "hand", one call at a time.
 * What must happen in a certain order is made to: a loader stays inside until
 * the director lets it go, a get stays in the middle of copying out until the
 * director lifts the curtain (see there), and a hand stops where it holds no
 * lock until it may go on (support/moments.h). Nobody sleeps and hopes.
 *
 * The director waits for everything with a bound: a call that never ends is a
 * failure that names the call. Hands never judge, since a failed expectation
 * ends the test by a long jump of the director's thread; they note what they
 * saw. And before a hand makes its first call of a kind, the director makes
 * one of that kind on a cache of its own: a step that is not written yet is
 * met there. */
#include "shared.h"

#include "lru.h"
#include "support/check.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/moments.h"
#include "support/work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { HANDS = 20, SMALL = 64, LONG = 6000, PAGE = 4096 };

/* Longer than the director's patience: only a wake-up ends such a wait. */
enum { LONG_WAIT_MS = 60000 };

#define LONG_KEY "a key of more than sixteen bytes"

/* How long the director waits for what happens at once or never. */
static int64_t patience_ms(void) {
    if (getenv("TEST_LESS")) {
        return 30000; /* a tool makes everything slow */
    }
    return getenv("TEST_SECONDS") ? 1000 : 500;
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t now_ms(void) {
    return now_ns() / 1000000;
}

/* Patience is used up in turns. A machine that stands still for a second (a
 * virtual one that its host has paused) has moved nobody, neither those who are
 * waited for: however long that was, it counts as one turn. */
enum { TURN_NS = 20 * 1000000 };

typedef struct patience {
    int64_t left_ns, seen_ns; /* what is left, and when it was looked at */
} patience;

static patience patience_of(int64_t ms) {
    return (patience){.left_ns = ms * 1000000, .seen_ns = now_ns()};
}

/* Returns: false when it is used up. To be asked at least once a turn. */
static bool has_patience(patience *p) {
    int64_t now = now_ns();
    int64_t passed = now - p->seen_ns;
    p->left_ns -= passed < TURN_NS ? passed : TURN_NS;
    p->seen_ns = now;
    return p->left_ns > 0;
}

/* --- the stage: one lock for all that the threads of a test share ------- */

static pthread_mutex_t stage = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stage_changed;

static void stage_open(void) {
    static bool open;
    if (!open) {
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&stage_changed, &monotonic);
        pthread_condattr_destroy(&monotonic);
        open = true;
    }
}

/* Waits for a change, with the stage locked. Returns: false when late. */
static bool change_before(patience *p) {
    int64_t turn = p->left_ns < TURN_NS ? p->left_ns : TURN_NS;
    int64_t end = now_ns() + turn;
    struct timespec deadline = {.tv_sec = end / 1000000000,
                                .tv_nsec = end % 1000000000};
    pthread_cond_timedwait(&stage_changed, &stage, &deadline);
    return has_patience(p);
}

/* --- sources: what the loaders bring ------------------------------------ */

typedef struct source source;
struct source {
    const char *value;
    status status;
    bool held;                    /* stays inside until let go */
    void (*also)(source *called); /* what else it does inside */
    shared *cache;                /* for `also`, */
    const char *key;              /* as are these */
    source *other;
    status saw;
    char text[SMALL];
    int calls, inside; /* guarded by the stage */
    bool asked_right;
};

/* Static: a hand that never comes back may still look at them. */
static source sources[4];

static void loader_returns(void);

static status from_source(void *context, bytes key, bytes *value) {
    source *s = context;
    moments_watch(NULL, NULL);
    pthread_mutex_lock(&stage);
    s->calls++;
    s->inside++;
    s->asked_right = !s->key || bytes_equal(key, bytes_of(s->key));
    pthread_cond_broadcast(&stage_changed);
    patience left = patience_of(2 * patience_ms());
    while (s->held && change_before(&left)) {
    }
    s->inside--;
    pthread_mutex_unlock(&stage);
    if (s->also) {
        s->also(s);
    }
    if (s->status == STATUS_OK) {
        *value = bytes_of(s->value);
    }
    loader_returns();
    return s->status;
}

static source *source_of(const char *value) {
    sources[0] = (source){.value = value};
    return &sources[0];
}

static source *failing_source(status with) {
    sources[0] = (source){.value = "", .status = with};
    return &sources[0];
}

static source *held(source *s) {
    s->held = true;
    return s;
}

static void let_go(source *s) {
    pthread_mutex_lock(&stage);
    s->held = false;
    pthread_cond_broadcast(&stage_changed);
    pthread_mutex_unlock(&stage);
}

static int calls_of(source *s) {
    pthread_mutex_lock(&stage);
    int calls = s->calls;
    pthread_mutex_unlock(&stage);
    return calls;
}

/* --- calls, and the hands that make them -------------------------------- */

typedef enum kind { SET, GET, DELETE, LOAD, STATISTICS, RUN, KINDS } kind;

/* What the monotonic clock says to a call until that begins to wait. */
typedef enum clock_reading {
    RIGHT,
    AN_HOUR_AGO,
    NEARLY_A_SECOND
} clock_reading;

typedef struct call {
    kind kind;
    shared *cache;
    const char *key;
    bytes value;
    source *source;
    int64_t wait_ms;
    void (*run)(void *context); /* RUN: anything else */
    void *context;
    char *buffer; /* NULL: `text` */
    size_t size;
    moment stops_at;        /* the hand stops there until it may go on: */
    size_t stops;           /* at the first such moment, or the second, ... */
    bool stops_late;        /* counted from when its loader has returned */
    bool wakes_for_nothing; /* the first wait of the call ends at once */
    clock_reading reads;
    status status; /* from here on: what came */
    bool found;
    size_t len;
    shared_stats stats;
    char text[SMALL];
} call;

static void make(call *c) {
    char *buffer = c->buffer ? c->buffer : c->text;
    size_t size = c->buffer ? c->size : sizeof c->text - 1;
    bytes key = bytes_of(c->key ? c->key : "");
    switch (c->kind) {
    case SET: c->status = shared_set(c->cache, key, c->value); break;
    case GET:
        c->status = shared_get(c->cache, key, buffer, size, &c->len);
        break;
    case DELETE: c->found = shared_delete(c->cache, key); break;
    case LOAD:
        c->status = shared_get_or_load(c->cache, key, from_source, c->source,
                                       c->wait_ms, buffer, size, &c->len);
        break;
    case STATISTICS: c->stats = shared_statistics(c->cache); break;
    default: c->run(c->context);
    }
}

static const char *verb(const call *c) {
    const char *verbs[] = {"set",         "get",        "delete",
                           "get_or_load", "statistics", "run"};
    return verbs[c->kind];
}

typedef struct hand {
    pthread_t thread;
    pid_t id;
    bool alive, busy, quit; /* guarded by the stage, as is the call */
    bool stopped;           /* so is this */
    bool lost;              /* it did not come back in time */
    bool taken;             /* its call's end was not asked for yet */
    call call;
} hand;

static hand hands[HANDS];

static _Thread_local hand *own_hand; /* NULL: the director */
static _Thread_local clock_reading own_clock;

/* Stands still until the director lets it go on, or has forgotten to. */
static void stop(hand *h) {
    patience left = patience_of(2 * patience_ms());
    pthread_mutex_lock(&stage);
    h->stopped = true;
    pthread_cond_broadcast(&stage_changed);
    while (h->stopped && change_before(&left)) {
    }
    h->stopped = false;
    pthread_mutex_unlock(&stage);
}

static bool at_moment(void *context, moment m) {
    hand *h = context;
    bool for_nothing = m == MOMENT_WAIT && h->call.wakes_for_nothing;
    own_clock = m == MOMENT_WAIT ? RIGHT : own_clock;
    if (for_nothing) {
        h->call.wakes_for_nothing = false;
    }
    if (m == h->call.stops_at && h->call.stops > 0 && --h->call.stops == 0) {
        stop(h);
    }
    return for_nothing;
}

/* Hands stop before their loader runs or after it, not inside. */
static void loader_returns(void) {
    if (own_hand && own_hand->call.stops_late) {
        moments_watch(at_moment, own_hand);
    }
}

static void *hand_main(void *argument) {
    hand *h = argument;
    own_hand = h;
    pthread_mutex_lock(&stage);
    h->id = (pid_t)syscall(SYS_gettid);
    while (!h->quit) {
        if (h->busy) {
            pthread_mutex_unlock(&stage);
            if (!h->call.stops_late) {
                moments_watch(at_moment, h);
            }
            own_clock = h->call.reads;
            make(&h->call);
            own_clock = RIGHT;
            moments_watch(NULL, NULL);
            pthread_mutex_lock(&stage);
            h->busy = false;
            pthread_cond_broadcast(&stage_changed);
        } else {
            pthread_cond_wait(&stage_changed, &stage);
        }
    }
    pthread_mutex_unlock(&stage);
    return NULL;
}

/* Waits for a hand. Returns: whether it is free. */
static bool free_within(hand *h, int64_t ms) {
    patience left = patience_of(ms);
    pthread_mutex_lock(&stage);
    while (h->busy && change_before(&left)) {
    }
    bool is_free = !h->busy;
    pthread_mutex_unlock(&stage);
    return is_free;
}

/* Waits until a hand has stopped, or its call has ended. Returns: whether it
 * has stopped. */
static bool be_stopped(hand *h) {
    patience left = patience_of(patience_ms());
    pthread_mutex_lock(&stage);
    while (h->busy && !h->stopped && change_before(&left)) {
    }
    bool stopped = h->stopped;
    pthread_mutex_unlock(&stage);
    return stopped;
}

static void go_on(hand *h) {
    pthread_mutex_lock(&stage);
    h->stopped = false;
    pthread_cond_broadcast(&stage_changed);
    pthread_mutex_unlock(&stage);
}

/* Lets a hand go on to the next moment of a kind. */
static void go_on_to(hand *h, moment m) {
    pthread_mutex_lock(&stage);
    h->call.stops_at = m;
    h->call.stops = 1;
    pthread_mutex_unlock(&stage);
    go_on(h);
}

/* Sends all hands home. One that is stuck in a call of a test that failed is
 * left where it is. */
static void dismiss_hands(void) {
    for (size_t i = 0; i < HANDS; i++) {
        hand *h = &hands[i];
        if (!h->alive || h->lost) {
            continue;
        }
        go_on(h);
        if (!free_within(h, 100)) {
            h->lost = true;
            pthread_detach(h->thread);
            continue;
        }
        pthread_mutex_lock(&stage);
        h->quit = true;
        pthread_cond_broadcast(&stage_changed);
        pthread_mutex_unlock(&stage);
        pthread_join(h->thread, NULL);
        *h = (hand){.alive = false};
    }
}

static shared *create(size_t capacity, size_t shards);

/* A first call of this kind, by the director, on a cache of its own. */
static void be_written(kind k) {
    static bool written[KINDS];
    if (written[k] || k == RUN) {
        return;
    }
    sources[3] = (source){.value = "v"};
    call c = {.kind = k,
              .cache = create(1, 1),
              .key = "k",
              .value = {"v", 1},
              .source = &sources[3]};
    make(&c);
    shared_destroy(c.cache);
    written[k] = true;
}

/* A hand that has nothing to do; there is one, or the test is wrong. */
static hand *free_hand(void) {
    for (size_t i = 0; i < HANDS; i++) {
        hand *h = &hands[i];
        if (h->lost || h->taken) {
            continue;
        }
        if (!h->alive) {
            h->alive = true;
            pthread_create(&h->thread, NULL, hand_main, h);
        }
        return h;
    }
    want_that(false, "looked for a free thread\nwanted  one\ngot     none\n"
                     "likely  calls of earlier tests have never ended");
    return NULL;
}

/* Starts a call and does not wait for its end. */
static hand *begin(call c) {
    be_written(c.kind);
    hand *h = free_hand();
    h->taken = true;
    pthread_mutex_lock(&stage);
    h->call = c;
    h->busy = true;
    pthread_cond_broadcast(&stage_changed);
    pthread_mutex_unlock(&stage);
    return h;
}

/* Waits for the end of a call. Returns: the call with what came. */
static const call *end(hand *h, const char *did, const char *likely) {
    bool ended = free_within(h, patience_ms());
    h->taken = false;
    want_that(ended,
              "%s\nwanted  an end of the call: %s %.40s\n"
              "got     none; it hangs\nlikely  %s",
              did, verb(&h->call), h->call.key ? h->call.key : "", likely);
    return &h->call;
}

#define LEFT_LOCKED \
    "a lock was left locked, or is taken by a thread that holds it"

static const call *do_call(call c) {
    return end(begin(c), verb(&c), LEFT_LOCKED);
}

/* --- the calls, for the director ---------------------------------------- */

static shared *create(size_t capacity, size_t shards) {
    shared *s = NULL;
    want_status(shared_create(capacity, shards, 42, &s), STATUS_OK,
                text("shared_create(%zu, %zu, 42, &s)", capacity, shards),
                "create fails though there is memory");
    want_true(s != NULL,
              text("shared_create(%zu, %zu, 42, &s)", capacity, shards),
              "create says ok and does not write the cache to *out");
    return s;
}

static shared *fresh(size_t capacity, size_t shards) {
    stage_open();
    for (size_t i = 0; i < 4; i++) {
        let_go(&sources[i]); /* if an earlier test has failed */
    }
    dismiss_hands();
    return create(capacity, shards);
}

static void finish(shared *s) {
    dismiss_hands();
    shared_destroy(s);
}

static call a_set(shared *s, const char *key, bytes value) {
    return (call){.kind = SET, .cache = s, .key = key, .value = value};
}

static call a_get(shared *s, const char *key) {
    return (call){.kind = GET, .cache = s, .key = key};
}

static call a_delete(shared *s, const char *key) {
    return (call){.kind = DELETE, .cache = s, .key = key};
}

static call a_load(shared *s, const char *key, source *from, int64_t wait_ms) {
    return (call){.kind = LOAD,
                  .cache = s,
                  .key = key,
                  .source = from,
                  .wait_ms = wait_ms};
}

static call stopping(moment at, size_t nth, call c) {
    c.stops_at = at;
    c.stops = nth;
    return c;
}

/* A load whose thread stops before its loader runs. */
static call stopping_early(size_t nth, call c) {
    return stopping(MOMENT_UNLOCKED, nth, c);
}

/* A load whose thread stops when its loader has returned. */
static call stopping_late(size_t nth, call c) {
    c.stops_late = true;
    return stopping(MOMENT_UNLOCKED, nth, c);
}

static call into(char *buffer, size_t size, call c) {
    c.buffer = buffer;
    c.size = size;
    return c;
}

static bytes got_by(const call *c) {
    return (bytes){c->buffer ? c->buffer : c->text, c->len};
}

static void set_bytes(shared *s, const char *key, bytes value) {
    const call *c = do_call(a_set(s, key, value));
    want_status(c->status, STATUS_OK, "set a short key and a value",
                "set fails though there is memory");
}

static void set(shared *s, const char *key, const char *value) {
    set_bytes(s, key, bytes_of(value));
}

/* Returns: the value as a text, or NULL for a miss. */
static const char *get(shared *s, const char *key) {
    const call *c = do_call(a_get(s, key));
    want_true(c->status == STATUS_OK || c->status == STATUS_MISS,
              "get a short value, look at the status",
              "it can be ok or miss, nothing else");
    return c->status == STATUS_OK ? text("%.*s", (int)c->len, c->text) : NULL;
}

/* Returns: whether the key is there. */
static bool has(shared *s, const char *key) {
    return do_call(a_get(s, key))->status == STATUS_OK;
}

static bool delete (shared *s, const char *key) {
    return do_call(a_delete(s, key))->found;
}

static shared_stats statistics(shared *s) {
    return do_call((call){.kind = STATISTICS, .cache = s})->stats;
}

static hand *begin_load(shared *s, const char *key, source *from,
                        int64_t wait_ms) {
    return begin(a_load(s, key, from, wait_ms));
}

static const call *load(shared *s, const char *key, source *from) {
    return do_call(a_load(s, key, from, patience_ms()));
}

/* Waits until a loader is inside its source. */
static void be_inside(source *from, const char *did) {
    patience left = patience_of(patience_ms());
    pthread_mutex_lock(&stage);
    while (from->inside == 0 && change_before(&left)) {
    }
    bool inside = from->inside > 0;
    pthread_mutex_unlock(&stage);
    want_true(inside, did, "the loader is not called after a miss");
}

/* A load that is running: its loader is inside and stays there. */
static hand *held_load(shared *s, const char *key, source *from) {
    hand *h = begin_load(s, key, held(from), 0);
    be_inside(from, text("get_or_load %s, look whether its loader runs", key));
    return h;
}

/* Waits until so many calls have joined a load; loads may not pile up. */
static void be_joined(shared *s, uint64_t joins, source *from,
                      const char *did) {
    patience left = patience_of(patience_ms());
    uint64_t got = 0;
    while (got < joins && has_patience(&left) && calls_of(from) == 1) {
        got = statistics(s).joins;
    }
    want_int(calls_of(from), 1, text("%s, count the loaders called", did),
             "a thread that misses must find the load that is running: look "
             "for it and list the own one under one and the same lock");
    want_int(got, joins, text("%s, look at joins", did),
             "a call that waits for another's load is counted before it "
             "waits");
}

static void want_loaded(const call *c, const char *value, const char *did,
                        const char *likely) {
    want_status(c->status, STATUS_OK, did, likely);
    want_bytes(got_by(c), bytes_of(value), did, likely);
}

#define NOBODY_WOKE \
    "nobody woke it: a signal wakes one of those who wait, a broadcast all"

/* Why the call of one who waited came to the wrong end. */
static const char *why_not(const call *c, const char *likely) {
    return c->status == STATUS_TIMEOUT
               ? "the wait ended at once: its deadline and its condition "
                 "variable go by different clocks (step 7.7), or it was not "
                 "begun again after an end without a reason"
               : likely;
}

/* Ends the call of one who waited for a load, and judges what it got. */
static void want_waited(hand *waiter, const char *value, const char *did,
                        const char *likely) {
    const call *c = end(waiter, did, NOBODY_WOKE);
    want_loaded(c, value, did, why_not(c, likely));
}

/* --- the curtain: a get that stops in the middle of copying out ---------- */

/* Memory that nobody may write to yet. A thread that tries is stopped by the
 * processor, at that very instruction, and goes on when the curtain is lifted.
 * So a test can look at what others do while a get is copying its value out,
 * for as long as it likes. Tools that watch each access themselves (the plain
 * runner's) see an unlocked access without it, and do not like it: for them
 * it is memory like any other. */
static _Alignas(PAGE) char veiled[2 * PAGE];

#ifdef PLAIN_RUNNER
static void curtain_draw(void) {
    memset(veiled, 0, sizeof veiled);
}

static void curtain_lift(void) {
}

static void be_at_curtain(hand *h) {
    free_within(h, patience_ms());
}

static void settle(hand *h) {
    free_within(h, 10);
}
#else
static int lifted[2]; /* a pipe: a byte for whoever waits */
static struct sigaction before;
static volatile sig_atomic_t at_curtain;

/* What may be done in a signal handler is little: read is. Any other bad
 * access goes the way it would have gone. */
static void on_touch(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number, (void)context;
    char *at = info->si_addr;
    if (at < veiled || at >= veiled + sizeof veiled) {
        sigaction(SIGSEGV, &before, NULL);
        return;
    }
    char byte;
    at_curtain = 1;
    while (read(lifted[0], &byte, 1) < 0 && errno == EINTR) {
    }
}

static void curtain_draw(void) {
    memset(veiled, 0, sizeof veiled);
    at_curtain = 0;
    struct sigaction stop = {.sa_sigaction = on_touch, .sa_flags = SA_SIGINFO};
    if (pipe(lifted) != 0 || sigaction(SIGSEGV, &stop, &before) != 0
        || mprotect(veiled, sizeof veiled, PROT_NONE) != 0) {
        test_skip("this machine cannot protect memory");
    }
}

static void curtain_lift(void) {
    mprotect(veiled, sizeof veiled, PROT_READ | PROT_WRITE);
    if (write(lifted[1], "........", 8) != 8) {
        abort();
    }
}

static void be_at_curtain(hand *h) {
    patience left = patience_of(patience_ms());
    while (!at_curtain && !free_within(h, 0) && has_patience(&left)) {
        sched_yield();
    }
}

/* Waits until the hand's call has ended, or stands at a lock. */
static void settle(hand *h) {
    patience left = patience_of(patience_ms());
    for (int seen = 0; seen < 3 && has_patience(&left); sched_yield()) {
        if (free_within(h, 0)) {
            return;
        }
        seen = work_waits(h->id) ? seen + 1 : 0;
    }
}
#endif

/* Waits until what was loaded is kept, as the only entry, and its thread has no
 * more to do. */
static void be_kept(shared *s, hand *loader) {
    patience left = patience_of(patience_ms());
    while (statistics(s).entries == 0 && has_patience(&left)) {
    }
    settle(loader);
}

static bytes long_value(char letter) {
    static char values[2][LONG];
    char *value = values[letter == 'B'];
    memset(value, letter, LONG);
    return (bytes){value, LONG};
}

/* A get, or a get_or_load, of a long value that has begun to copy out. */
static hand *begin_copying(kind k, shared *s, const char *key) {
    curtain_draw();
    sources[1] = (source){.value = "loaded"};
    call c = a_load(s, key, &sources[1], 0);
    c.kind = k;
    hand *reader = begin(into(veiled, sizeof veiled, c));
    be_at_curtain(reader);
    return reader;
}

/* Ends the get, and judges what it has copied. */
static void end_copying(hand *reader, const char *did) {
    curtain_lift();
    const call *c = end(reader, did, LEFT_LOCKED);
    want_status(c->status, STATUS_OK, did,
                "the get read a value that was given up meanwhile");
    want_int(c->len, LONG, did,
             "the get read a value that was given up meanwhile");
    size_t whole = 0;
    while (whole < LONG && veiled[whole] == veiled[0]) {
        whole++;
    }
    want_that(whole == LONG && (veiled[0] == 'A' || veiled[0] == 'B'),
              "%s\nwanted  %d bytes 'A', or all 'B'\n"
              "got     byte %zu is 0x%02x\n"
              "likely  the value was freed while it was copied: a get must "
              "hold the lock until it has copied the last byte",
              did, LONG, whole % LONG, (unsigned char)veiled[whole % LONG]);
}

/* While a reader copies "x" out, `other` happens to it. */
static void meet(kind reader, shared *s, call other, const char *did) {
    set_bytes(s, "x", long_value('A'));
    be_written(other.kind);
    hand *r = begin_copying(reader, s, "x");
    other.cache = s;
    hand *h = begin(other);
    settle(h);
    end_copying(r, did);
    end(h, did, LEFT_LOCKED);
}

/* --- 7.1: create and destroy --------------------------------------------- */

TEST(create_refuses_what_no_cache_can_have, "P13", "7.1") {
    const size_t refused[][2] = {{0, 1},        {1, 0},
                                 {0, 0},        {3, 4},
                                 {SIZE_MAX, 1}, {100000, SHARED_SHARDS_MAX + 1},
                                 {SIZE_MAX, 8}, {LRU_CAPACITY_MAX + 1, 2}};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        shared *untouched = (shared *)&sources[0];
        shared *s = untouched;
        const char *did = text("shared_create(%zu, %zu, 42, &s)", refused[i][0],
                               refused[i][1]);
        heap_fail_at(1); /* what is not refused is not made either */
        want_status(shared_create(refused[i][0], refused[i][1], 42, &s),
                    STATUS_INVALID, did,
                    "each shard needs room for one entry at least, there is "
                    "one shard at least, and the bound of the capacity is for "
                    "the whole cache");
        want_pointer(s, untouched, text("%s, look at s", did),
                     "*out is written on STATUS_OK only");
    }
}

TEST(destroy_gives_everything_back, "P16", "7.1") {
    shared_destroy(NULL);
    shared_destroy(fresh(1, 1));
    shared_destroy(fresh(100, 7));
    want_int(heap_live_blocks(), 0, "create, destroy, count live blocks",
             "each shard has an lru, and the cache an array of shards");
}

static void try_to_create(void *context) {
    shared **made = context;
    *made = NULL;
    status s = shared_create(40, 4, 42, made);
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "create while an allocation fails",
                "every allocation can fail: that of each shard too");
    if (s == STATUS_OK) {
        shared_destroy(*made);
    }
    want_int(heap_live_blocks(), 0,
             "create while an allocation fails, count live blocks",
             "what was made before the failure must be undone");
}

TEST(without_memory_create_leaves_nothing_behind, "P14", "7.1") {
    shared *made;
    size_t failures = heap_fail_each(try_to_create, &made);
    want_that(failures >= 2,
              "create, count allocations\n"
              "wanted  two at least\ngot     %zu\n"
              "likely  the shards are not made",
              failures);
}

/* --- 7.2: set and get ------------------------------------------------------
 */

TEST(a_get_copies_out_what_was_set, "P1", "7.2") {
    shared *s = fresh(10, 2);
    char key[] = "name", value[] = "Alice";
    set(s, key, value);
    memcpy(key, "xxxx", 4);
    memcpy(value, "xxxxx", 5);
    want_text(get(s, "name"), "Alice",
              "set name=Alice, overwrite the caller's memory, get name",
              "set must copy the value, not keep the caller's pointer");
    call absent = a_get(s, "nobody");
    absent.len = 77;
    const call *missed = do_call(absent);
    want_status(missed->status, STATUS_MISS, "set name=Alice, get nobody",
                "a key that was never set is a miss");
    want_int(missed->len, 77, "set name=Alice, get nobody, look at len",
             "on a miss *len must not be written");
    set(s, "name", "Bob");
    want_text(get(s, "name"), "Bob", "set name=Alice, set name=Bob, get name",
              "the second set must replace the value");
    finish(s);
}

TEST(what_was_copied_out_is_the_callers, "P2", "7.2") {
    shared *s = fresh(10, 2);
    set(s, "name", "Alice");
    const call *c = do_call(a_get(s, "name"));
    char mine[SMALL];
    memcpy(mine, c->text, sizeof mine);
    set(s, "name", "Bobby");
    want_text(mine, "Alice",
              "set name=Alice, get name, set name=Bobby, look "
              "at what the get gave",
              "the get must copy");
    do_call(into(mine, sizeof mine, a_get(s, "name")));
    memcpy(mine, "xxxxx", 5);
    want_text(get(s, "name"), "Bobby",
              "set name=Bobby, get name, overwrite the buffer, get name",
              "the buffer must not be part of the cache");
    finish(s);
}

TEST(keys_and_values_are_any_bytes, "P1", "7.2") {
    shared *s = fresh(10, 2);
    bytes values[] = {{"", 0}, {NULL, 0}, {"a\0b", 3}, {"\0", 1}};
    for (size_t i = 0; i < 4; i++) {
        const char *key = i % 2 ? "" : LONG_KEY;
        set_bytes(s, key, values[i]);
        const call *c = do_call(a_get(s, key));
        want_status(c->status, STATUS_OK,
                    text("set \"%s\" to %zu bytes, get it", key, values[i].len),
                    "an empty key or value is as good as any other");
        want_bytes(got_by(c), values[i],
                   text("set \"%s\" to %zu bytes, get it", key, values[i].len),
                   "lengths are given: a zero byte ends nothing");
    }
    finish(s);
}

TEST(a_value_that_does_not_fit_is_not_cut, "P3", "7.2") {
    shared *s = fresh(10, 1);
    set(s, "name", "Alice");
    char buffer[8] = "zzzzzzz";
    const call *c = do_call(into(buffer, 4, a_get(s, "name")));
    want_status(c->status, STATUS_TOO_LARGE,
                "set name=Alice, get name into 4 bytes",
                "compare the value's length with the buffer's size");
    want_int(c->len, 5, "set name=Alice, get name into 4 bytes, look at len",
             "len says how large a buffer must be");
    want_text(buffer, "zzzzzzz",
              "set name=Alice, get name into 4 bytes, look at them",
              "the buffer is written on STATUS_OK only");
    c = do_call(into(buffer, 5, a_get(s, "name")));
    want_status(c->status, STATUS_OK, "set name=Alice, get name into 5 bytes",
                "five bytes fit into five");
    want_text(buffer, "Alicezz", "set name=Alice, get name into 5 bytes",
              "exactly the value's bytes are written, no zero after them");
    finish(s);
}

TEST(every_way_out_leaves_the_lock_open, "P5", "7.2") {
    shared *s = fresh(2, 1);
    get(s, "absent");
    set(s, "name", "after a miss");
    char one[1];
    do_call(into(one, 1, a_get(s, "name")));
    set(s, "name", "after too large");
    set(s, "name", "after an update");
    set(s, "other", "after a hit");
    set(s, "third", "after an eviction");
    want_text(get(s, "third"), "after an eviction",
              "miss, get into a small buffer, update and evict, get third",
              "a call was lost on the way");
    finish(s);
}

TEST(the_capacity_is_kept_to_the_last_entry, "P4", "7.2") {
    shared *s = fresh(10, 3);
    size_t there = 0;
    for (size_t i = 0; i < 200; i++) {
        set(s, text("key-%zu", i), "v");
    }
    for (size_t i = 0; i < 200; i++) {
        there += has(s, text("key-%zu", i));
    }
    want_int(there, 10,
             "create with capacity 10 in 3 shards, set 200 keys, count those "
             "that are still there",
             "the shards' parts add up to the capacity: 4 + 3 + 3");
    finish(s);
}

TEST(a_full_shard_evicts_its_least_recent, "P4", "7.2") {
    shared *s = fresh(2, 1);
    set(s, "a", "1");
    set(s, "b", "2");
    get(s, "a");
    set(s, "c", "3");
    want_text(get(s, "b"), NULL,
              "capacity 2: set a, set b, get a, set c, "
              "get b",
              "b was asked for the longest ago");
    want_text(get(s, "a"), "1", "capacity 2: set a, set b, get a, set c, get a",
              "a get makes its entry the most recent");
    finish(s);
}

TEST(keys_are_spread_over_the_shards, "P4", "7.2") {
    shared *s = fresh(1024, 16);
    for (size_t i = 0; i < 400; i++) {
        set(s, text("key-%zu", i), "v");
    }
    size_t there = 0;
    for (size_t i = 0; i < 400; i++) {
        there += has(s, text("key-%zu", i));
    }
    want_int(there, 400,
             "create with capacity 1024 in 16 shards, set 400 keys, count "
             "those that are still there",
             "too many keys go to one shard, which must evict while others "
             "are empty");
    finish(s);
}

/* Each shard has room for one, so what is left counts the shards in use. Of
 * three keys per shard about one shard in twenty gets none. */
TEST(many_shards_are_all_in_use, "P4", "7.2") {
    size_t shards = test_scale(512, 64), there = 0;
    shared *s = fresh(shards, shards);
    for (size_t i = 0; i < 3 * shards; i++) {
        set(s, text("key-%zu", i), "v");
    }
    for (size_t i = 0; i < 3 * shards; i++) {
        there += has(s, text("key-%zu", i));
    }
    want_that(there > shards * 3 / 4,
              "create with capacity %zu in as many shards, set %zu keys, count "
              "those that are still there\n"
              "wanted  nearly %zu\ngot     %zu\n"
              "likely  only some of the shards are ever chosen: a few bits of "
              "the hash are too few for many shards",
              shards, 3 * shards, shards, there);
    finish(s);
}

TEST(a_set_never_changes_a_value_that_is_being_copied, "P2", "7.2") {
    shared *s = fresh(4, 1);
    meet(GET, s, a_set(s, "x", long_value('B')),
         "while a get copies x = AAA... out, set x to BBB...");
    finish(s);
}

TEST(an_eviction_never_frees_a_value_that_is_being_copied, "P2", "7.2") {
    shared *s = fresh(1, 1);
    meet(GET, s, a_set(s, "y", bytes_of("v")),
         "capacity 1: while a get copies x = AAA... out, set y");
    finish(s);
}

TEST(a_shard_in_use_holds_up_no_other, "P5", "7.2") {
    enum { OTHERS = 16 };
    static char keys[OTHERS][8];
    shared *s = fresh(1600, 16);
    set_bytes(s, "x", long_value('A'));
    be_written(SET);
    hand *reader = begin_copying(GET, s, "x");
    hand *others[OTHERS];
    size_t ended = 0;
    for (size_t i = 0; i < OTHERS; i++) {
        snprintf(keys[i], sizeof keys[i], "key-%zu", i);
        others[i] = begin(a_set(s, keys[i], bytes_of("v")));
        settle(others[i]);
        ended += free_within(others[i], 0);
    }
    end_copying(reader, "16 shards: while a get copies x out, set 16 keys");
    for (size_t i = 0; i < OTHERS; i++) {
        end(others[i], "16 shards: while a get copies x out, set 16 keys",
            LEFT_LOCKED);
    }
    want_that(ended >= OTHERS / 2,
              "16 shards: while a get copies x out, set 16 other keys\n"
              "wanted  most of these sets to end meanwhile\n"
              "got     %zu of %d\n"
              "likely  all keys share one lock, or one shard",
              ended, OTHERS);
    finish(s);
}

struct attempt {
    shared *cache;
    const char *key;
};

static void try_to_set(void *context) {
    struct attempt *a = context;
    call c = {SET, a->cache, a->key, .value = {"new", 3}};
    status s = do_call(c)->status;
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                text("set %s while an allocation fails", a->key),
                "both the value's copy and the lru's entry can fail");
    bool was_there = strcmp(a->key, "a") == 0;
    if (s != STATUS_OK) {
        want_text(get(a->cache, a->key), was_there ? "old" : NULL,
                  text("set %s that failed, get %s", a->key, a->key),
                  "a failed set changes nothing");
    }
    want_text(get(a->cache, "b"), "old",
              text("set %s while an allocation fails, get b", a->key),
              "a failed set evicts nothing");
}

TEST(without_memory_a_set_changes_nothing, "P14", "7.2") {
    const char *keys[] = {"a", LONG_KEY};
    for (size_t i = 0; i < 2; i++) {
        shared *s = fresh(3, 1);
        set(s, "a", "old");
        set(s, "b", "old");
        get(s, "a");
        struct attempt a = {s, keys[i]};
        size_t failures = heap_fail_each(try_to_set, &a);
        want_that(failures > 0, "set, count allocations\nwanted  one at "
                                "least\ngot     none\n"
                                "likely  the value is not copied");
        finish(s);
    }
}

/* By the director alone, so that every step counted is its own. */
static double steps_per_get(size_t count, size_t shards) {
    enum { ASKED = 100 };
    shared *s = create(count * 2, shards);
    char buffer[8];
    size_t len;
    for (size_t i = 0; i < count; i++) {
        shared_set(s, bytes_of(text("key-%zu", i)), bytes_of("value"));
    }
    size_t steps = work_steps(), blocks = heap_allocations();
    for (size_t i = 0; i < ASKED; i++) {
        shared_get(s, bytes_of(text("key-%zu", i)), buffer, 8, &len);
    }
    steps = work_steps() - steps;
    want_int(heap_allocations() - blocks, 0,
             text("set %zu keys, get 100 of them, count allocations", count),
             "a hit needs no memory: copy straight into the buffer");
    shared_destroy(s);
    return (double)steps / ASKED;
}

TEST(a_hit_is_as_cheap_in_a_large_cache, "P15", "7.2") {
    size_t many = test_scale(4000, 1000);
    double few_steps = steps_per_get(100, 4);
    double many_steps = steps_per_get(many, 4);
    want_that(many_steps <= 3 * few_steps + 10,
              "get a key among 100, and among %zu\n"
              "wanted  as many steps\ngot     %.0f and %.0f\n"
              "likely  a walk over all entries, or all shards",
              many, few_steps, many_steps);
    double spread_steps = steps_per_get(many, 64);
    want_that(spread_steps <= 1.5 * many_steps + 10,
              "get a key among %zu, in 4 shards and in 64\n"
              "wanted  no more steps\ngot     %.0f and %.0f\n"
              "likely  the shard and the bucket of its lru are chosen by the "
              "same bits of the hash, so each lru uses one bucket in 64",
              many, many_steps, spread_steps);
}

/* --- 7.3: delete -----------------------------------------------------------
 */

TEST(a_deleted_key_is_gone, "P2", "7.3") {
    shared *s = fresh(10, 2);
    set(s, "name", "Alice");
    set(s, "other", "Bob");
    want_true(delete (s, "name"), "set name, delete name",
              "delete must say that it was there");
    want_text(get(s, "name"), NULL, "set name, delete name, get name",
              "the key is still there");
    want_false(delete (s, "name"), "set name, delete name, delete name",
               "the second delete finds nothing");
    want_text(get(s, "other"), "Bob",
              "set name and other, delete name, get "
              "other",
              "delete removes the one key, and leaves the lock open");
    finish(s);
}

TEST(a_delete_never_frees_a_value_that_is_being_copied, "P2", "7.3") {
    shared *s = fresh(4, 1);
    meet(GET, s, a_delete(s, "x"),
         "while a get copies x = AAA... out, delete x");
    finish(s);
}

/* --- 7.4: statistics -------------------------------------------------------
 */

static void want_count(uint64_t got, uint64_t want, const char *field,
                       const char *did, const char *likely) {
    want_int(got, want, text("%s, look at %s", did, field), likely);
}

TEST(every_get_is_counted_once, "P6", "7.4") {
    const char *did = "capacity 4 in 2 shards: set 9 keys, get 9 keys";
    shared *s = fresh(4, 2);
    for (size_t i = 0; i < 9; i++) {
        set(s, text("key-%zu", i), "value");
    }
    size_t hits = 0;
    for (size_t i = 0; i < 9; i++) {
        hits += has(s, text("key-%zu", i));
    }
    shared_stats stats = statistics(s);
    want_count(stats.hits, hits, "hits", did,
               "the sum must take in every shard");
    want_count(stats.misses, 9 - hits, "misses", did,
               "the sum must take in every shard");
    want_count(stats.entries, 4, "entries", did,
               "the sum must take in every shard");
    want_count(stats.evictions, 5, "evictions", did,
               "the sum must take in every shard");
    char one[1];
    set(s, "last", "value");
    do_call(into(one, 1, a_get(s, "last")));
    want_count(statistics(s).hits, hits + 1, "hits",
               "set last, get last into a small buffer",
               "the key was there: a hit, even if its value does not fit");
    finish(s);
}

TEST(gets_at_the_same_time_are_all_counted, "P6", "7.4") {
    enum { OTHERS = 16 };
    static char keys[OTHERS][8];
    const char *did = "16 shards: while a get copies x out, get 16 keys";
    shared *s = fresh(1600, 16);
    set_bytes(s, "x", long_value('A'));
    be_written(STATISTICS);
    hand *reader = begin_copying(GET, s, "x");
    hand *others[OTHERS];
    for (size_t i = 0; i < OTHERS; i++) {
        snprintf(keys[i], sizeof keys[i], "key-%zu", i);
        others[i] = begin(a_get(s, keys[i]));
        settle(others[i]);
    }
    end_copying(reader, did);
    for (size_t i = 0; i < OTHERS; i++) {
        end(others[i], did, LEFT_LOCKED);
    }
    shared_stats stats = statistics(s);
    want_count(stats.hits + stats.misses, OTHERS + 1, "hits + misses", did,
               "a counter was read by one thread, raised by another, and "
               "written back by the first");
    finish(s);
}

TEST(calls_that_meet_all_end, "P5", "7.4") {
    enum { OTHERS = 4 };
    static char room[LONG];
    for (size_t i = 0; i < OTHERS; i++) {
        shared *s = fresh(8, 2);
        const call others[OTHERS] = {{.kind = STATISTICS},
                                     a_get(s, "x"),
                                     a_get(s, "y"),
                                     a_set(s, "y", bytes_of("v"))};
        const char *did =
            text("while a get of x copies out: %s", verb(&others[i]));
        meet(GET, s, into(room, sizeof room, others[i]), did);
        want_false(has(s, "nobody"), text("%s, then get nobody", did),
                   "a key that was never set is a miss");
        finish(s);
    }
}

/* --- 7.5: get_or_load, one thread -------------------------------------------
 */

TEST(a_miss_loads_and_keeps, "P7", "7.5") {
    shared *s = fresh(10, 2);
    source *from = source_of("Alice");
    from->key = "user:1";
    want_loaded(load(s, "user:1", from), "Alice", "get_or_load user:1",
                "what the loader brings must be copied out");
    want_true(from->asked_right, "get_or_load user:1, look at the loader's key",
              "the loader is called with the key that was asked for");
    want_loaded(load(s, "user:1", from), "Alice",
                "get_or_load user:1, get_or_load user:1",
                "the second call must find what the first one loaded");
    want_int(from->calls, 1,
             "get_or_load user:1, get_or_load user:1, count the loads",
             "what was loaded must be kept, and a hit must not load");
    want_text(get(s, "user:1"), "Alice", "get_or_load user:1, get user:1",
              "what was loaded must be kept");
    finish(s);
}

TEST(a_hit_never_loads, "P7", "7.5") {
    shared *s = fresh(10, 2);
    source *from = source_of("loaded");
    set(s, "name", "set");
    want_loaded(load(s, "name", from), "set", "set name, get_or_load name",
                "the key is there: no need to load");
    want_int(from->calls, 0, "set name, get_or_load name, count the loads",
             "a hit never calls the loader");
    finish(s);
}

TEST(a_failure_is_passed_on_and_not_kept, "P7", "7.5") {
    const status failures[] = {STATUS_BACKEND, STATUS_MISS, STATUS_TIMEOUT};
    shared *s = fresh(10, 2);
    for (size_t i = 0; i < 3; i++) {
        source *from = failing_source(failures[i]);
        const char *did =
            text("get_or_load x; its loader says %s", status_name(failures[i]));
        call ask = a_load(s, "x", from, 0);
        ask.len = 77;
        const call *c = do_call(ask);
        want_status(c->status, failures[i], did,
                    "the loader's status must come back as it is");
        want_int(c->len, 77, text("%s; look at len", did),
                 "without a value *len must not be written");
        want_text(get(s, "x"), NULL, text("%s; get x", did),
                  "a failure must not be kept");
        load(s, "x", from);
        want_int(from->calls, 2, text("%s; again; count the loads", did),
                 "the next call must ask the source again");
    }
    want_loaded(load(s, "x", source_of("back")), "back",
                "get_or_load x three times in vain, get_or_load x",
                "a source that works again must be heard");
    finish(s);
}

TEST(loads_are_counted, "P6", "7.5") {
    const char *did = "load a, fail to load b, find that the source has no c, "
                      "get a, b and c, load a";
    shared *s = fresh(10, 2);
    load(s, "a", source_of("1"));
    load(s, "b", failing_source(STATUS_BACKEND));
    load(s, "c", failing_source(STATUS_MISS));
    get(s, "a");
    get(s, "b");
    get(s, "c");
    load(s, "a", source_of("2"));
    shared_stats stats = statistics(s);
    const char *once = "each get_or_load counts once, by its first look: "
                       "reading the loaded value back with lru_get counts "
                       "again, and not looking with lru_get does not count";
    want_count(stats.hits, 2, "hits", did, once);
    want_count(stats.misses, 5, "misses", did, once);
    want_count(stats.loads, 3, "loads", did,
               "each loader that was called is counted");
    want_count(stats.failures, 2, "failures", did,
               "a loader that brought no value is counted, a miss too");
    want_count(stats.joins, 0, "joins", did, "nobody has waited");
    finish(s);
}

TEST(a_loaded_value_that_does_not_fit_is_kept, "P3", "7.5") {
    shared *s = fresh(10, 1);
    char small[4] = "zzz";
    sources[1] = (source){.value = "Alice"};
    call ask = {LOAD,     s, "name", .source = &sources[1], .buffer = small,
                .size = 3};
    for (size_t i = 0; i < 2; i++) { /* loads, then finds */
        const call *c = do_call(ask);
        want_status(c->status, STATUS_TOO_LARGE,
                    "get_or_load name = Alice into 3 bytes",
                    "compare the value's length with the buffer's size");
        want_int(c->len, 5, "get_or_load name = Alice into 3 bytes, len",
                 "len says how large a buffer must be");
    }
    want_int(sources[1].calls, 1,
             "get_or_load name = Alice into 3 bytes, twice, count the loads",
             "it was loaded well: keep it, so that the retry is a hit");
    want_text(small, "zzz", "get_or_load name = Alice into 3 bytes, look",
              "the buffer is written on STATUS_OK only");
    finish(s);
}

TEST(a_load_without_sense_is_refused, "P13", "7.5") {
    shared *s = fresh(10, 1);
    source *from = source_of("v");
    size_t len = 7;
    char buffer[8] = "zzz";
    bytes key = bytes_of("x");
    want_status(shared_get_or_load(s, key, NULL, from, 10, buffer, 8, &len),
                STATUS_INVALID, "get_or_load x with a loader of NULL",
                "look at the arguments before anything else");
    want_status(
        shared_get_or_load(s, key, from_source, from, -1, buffer, 8, &len),
        STATUS_INVALID, "get_or_load x with wait_ms = -1",
        "nobody can wait for less than no time");
    want_int(from->calls, 0, "get_or_load x with wait_ms = -1, count loads",
             "a refused call does nothing");
    want_int(len, 7, "get_or_load that is refused, look at len",
             "a refused call writes nothing");
    shared_stats stats = statistics(s);
    want_count(stats.hits + stats.misses, 0, "hits + misses",
               "two calls that are refused", "a refused call is no get");
    finish(s);
}

TEST(a_slow_load_holds_up_no_other_key, "P8", "7.5") {
    const char *did = "one shard: while a loader of x is busy, use y";
    const char *likely = "the lock is held while the loader runs";
    shared *s = fresh(10, 1);
    set(s, "z", "there");
    sources[1] = (source){.value = "loaded"};
    const call others[] = {a_set(s, "y", bytes_of("v")), a_get(s, "z"),
                           a_load(s, "w", &sources[1], 0)};
    for (size_t i = 0; i < 3; i++) {
        be_written(others[i].kind);
    }
    source *slow = source_of("slow");
    hand *loader = held_load(s, "x", slow);
    for (size_t i = 0; i < 3; i++) {
        const call *c = end(begin(others[i]), did, likely);
        want_status(c->status, STATUS_OK, text("%s: %s", did, verb(c)),
                    "other keys must work as ever");
    }
    let_go(slow);
    want_loaded(end(loader, did, LEFT_LOCKED), "slow", did,
                "the slow load must still end well");
    finish(s);
}

/* Inside a loader of x: uses other keys of the same, only shard. */
static void use_other_keys(source *from) {
    bytes y = bytes_of("y");
    size_t len = 0;
    from->saw = shared_set(from->cache, y, bytes_of("from inside"));
    if (from->saw == STATUS_OK) {
        from->saw = shared_get_or_load(from->cache, bytes_of("z"), from_source,
                                       from->other, 0, from->text,
                                       sizeof from->text - 1, &len);
    }
}

TEST(a_loader_may_use_the_cache, "P8", "7.5") {
    const char *did = "a loader of x sets y and loads z, in the only shard";
    shared *s = fresh(10, 1);
    be_written(SET);
    sources[1] = (source){.value = "deeper"};
    source *from = source_of("outer");
    from->also = use_other_keys;
    from->cache = s;
    from->other = &sources[1];
    const call *c = end(begin_load(s, "x", from, 0), did,
                        "the lock is held while the loader runs");
    want_loaded(c, "outer", did, "the outer load must end well");
    want_status(from->saw, STATUS_OK, text("%s, look at its calls", did),
                "both calls from inside must succeed");
    want_text(from->text, "deeper", text("%s, look at z", did),
              "the inner load brings its own value");
    want_text(get(s, "y"), "from inside", text("%s, get y", did),
              "what was set from inside must be there");
    want_text(get(s, "z"), "deeper", text("%s, get z", did),
              "what was loaded from inside must be kept");
    finish(s);
}

TEST(a_hit_of_a_load_copies_like_a_get, "P2", "7.5") {
    shared *s = fresh(4, 1);
    meet(LOAD, s, a_set(s, "x", long_value('B')),
         "while a get_or_load copies x = AAA... out, set x to BBB...");
    meet(LOAD, s, a_set(s, "y", bytes_of("v")),
         "while a get_or_load copies x = AAA... out, set y");
    finish(s);
}

TEST(a_hit_of_a_load_allocates_nothing, "P15", "7.5") {
    shared *s = fresh(10, 2);
    set(s, "name", "set");
    be_written(LOAD);
    size_t blocks = heap_allocations();
    want_loaded(load(s, "name", source_of("loaded")), "set",
                "set name, get_or_load name",
                "the key is there: no need to load");
    want_int(
        heap_allocations() - blocks, 0,
        "set name, get_or_load name, count allocations",
        "what a load needs is allocated after a miss, not before the look");
    finish(s);
}

/* --- 7.6: one load for all who miss ------------------------------------------
 */

enum { WAITERS = 3 };

/* A load of x that is held, and three who wait for it. */
static hand *crowd(shared *s, source *from, hand *waiters[WAITERS],
                   int64_t wait_ms) {
    be_written(STATISTICS);
    hand *loader = held_load(s, "x", from);
    for (size_t i = 0; i < WAITERS; i++) {
        waiters[i] = begin_load(s, "x", from, wait_ms);
    }
    be_joined(s, WAITERS, from,
              "while one thread loads x, three others get_or_load x");
    return loader;
}

TEST(threads_that_miss_together_load_once, "P9", "7.6") {
    const char *did = "one thread loads x, three others wait for it";
    shared *s = fresh(10, 2);
    source *from = source_of("once");
    hand *waiters[WAITERS];
    hand *loader = crowd(s, from, waiters, LONG_WAIT_MS);
    let_go(from);
    want_loaded(end(loader, did, LEFT_LOCKED), "once", did,
                "the loading thread gets what it loaded");
    for (size_t i = 0; i < WAITERS; i++) {
        want_waited(waiters[i], "once", did,
                    "all who wait are woken, and get what was loaded");
    }
    want_int(from->calls, 1, text("%s, count the loads", did),
             "one load serves all");
    shared_stats stats = statistics(s);
    want_count(stats.misses, WAITERS + 1, "misses", did,
               "whoever waits has missed, once");
    want_count(stats.loads, 1, "loads", did, "there was one load");
    finish(s);
}

TEST(a_failed_load_wakes_all_who_wait, "P9", "7.6") {
    const char *did = "one thread loads x in vain, three others wait for it";
    shared *s = fresh(10, 2);
    source *from = failing_source(STATUS_BACKEND);
    hand *waiters[WAITERS];
    hand *loader = crowd(s, from, waiters, LONG_WAIT_MS);
    let_go(from);
    want_status(end(loader, did, LEFT_LOCKED)->status, STATUS_BACKEND, did,
                "the loader's status must come back as it is");
    for (size_t i = 0; i < WAITERS; i++) {
        const call *c = end(waiters[i], did, NOBODY_WOKE);
        want_status(
            c->status, STATUS_BACKEND, did,
            why_not(c, "a failure, too, ends the wait, and all hear of it"));
    }
    want_int(from->calls, 1, text("%s, count the loads", did),
             "those who waited must not each ask the failing source again");
    want_loaded(load(s, "x", source_of("back")), "back",
                text("%s; get_or_load x", did),
                "the failed load must be forgotten, the next one is new");
    finish(s);
}

/* One thread stops at each moment of its call at which it holds no lock, and
 * there another one makes the whole call, unless it finds a load that it can
 * wait for. */
static void slip_in(call (*stopping_nth)(size_t nth, call c), const char *did,
                    const char *likely) {
    bool stopped = true;
    for (size_t nth = 1; stopped && nth < 20; nth++) {
        shared *s = fresh(10, 1);
        source *from = source_of("once");
        call ask = a_load(s, "x", from, LONG_WAIT_MS);
        hand *first = begin(stopping_nth(nth, ask));
        stopped = be_stopped(first);
        hand *second = stopped ? begin(ask) : NULL;
        if (second) {
            settle(second);
            go_on(first);
            want_waited(second, "once", did, "both get what was loaded");
        }
        want_loaded(end(first, did, LEFT_LOCKED), "once", did,
                    "both get what was loaded");
        want_int(calls_of(from), 1, text("%s, count the loads", did), likely);
        finish(s);
    }
}

TEST(nobody_slips_in_between_look_and_announce, "P9", "7.6") {
    slip_in(stopping_early,
            "get_or_load x; before its loader runs, while it holds no lock, "
            "get_or_load x in another thread",
            "a thread that misses must find the load that another one has "
            "begun: look into the cache, look for a load and list the own one "
            "without opening the lock in between");
}

TEST(nobody_slips_in_while_a_load_ends, "P9", "7.6") {
    slip_in(stopping_late,
            "get_or_load x; when its loader has returned, while it holds no "
            "lock, get_or_load x in another thread",
            "the load was off the list and its value not kept yet: take it off "
            "and keep its value without opening the lock in between");
}

/* The loading thread stops at each moment at which it holds no lock, and there
 * the waiter runs as far as it can. */
TEST(a_waiter_may_run_while_a_load_ends, "P9", "7.6") {
    const char *did = "one thread loads x, another one waits for it, and runs "
                      "whenever the first one holds no lock";
    const char *likely = "note the result first, then set `done`, then wake "
                         "those who wait: they run at once";
    bool stopped = true;
    for (size_t nth = 1; stopped && nth < 20; nth++) {
        shared *s = fresh(10, 1);
        source *from = held(source_of("once"));
        call ask = a_load(s, "x", from, LONG_WAIT_MS);
        be_written(STATISTICS);
        hand *loader = begin(stopping_late(nth, ask));
        be_inside(from, "get_or_load x, look whether its loader runs");
        hand *waiter = begin(ask);
        be_joined(s, 1, from, did);
        settle(waiter);
        let_go(from);
        stopped = be_stopped(loader);
        settle(waiter);
        go_on(loader);
        want_loaded(end(waiter, did, likely), "once", did, likely);
        want_loaded(end(loader, did, LEFT_LOCKED), "once", did,
                    "the load itself has not failed");
        finish(s);
    }
}

/* The waiter stops when it has seen that the load is not done, and does not
 * wait yet; it still holds the lock that it waits with. */
TEST(a_load_that_ends_before_the_wait_is_not_missed, "P9", "7.6") {
    const char *did = "one thread loads x, another one has seen that it is not "
                      "done; before that one waits, the load ends";
    shared *s = fresh(10, 1);
    source *from = source_of("once");
    hand *loader = held_load(s, "x", from);
    call ask = a_load(s, "x", from, LONG_WAIT_MS);
    hand *waiter = begin(stopping(MOMENT_WAIT, 1, ask));
    be_stopped(waiter);
    let_go(from);
    settle(loader); /* it stands at that lock, or is through without it */
    go_on_to(waiter, MOMENT_WOKEN);
    settle(loader);
    be_stopped(waiter);
    go_on(waiter);
    want_loaded(end(waiter, did,
                    "the broadcast came before the wait, which nothing ends "
                    "now: set `done` under the lock that is waited with"),
                "once", did, "who waits is woken, and gets what was loaded");
    want_loaded(end(loader, did, LEFT_LOCKED), "once", did,
                "the load itself has not failed");
    finish(s);
}

TEST(a_waiter_with_a_small_buffer_is_told, "P3", "7.6") {
    static char small[8];
    const char *did = "one thread loads name = Alice, another one waits for it "
                      "with a buffer of 3 bytes";
    shared *s = fresh(10, 1);
    source *from = source_of("Alice");
    strcpy(small, "zzzzzzz");
    be_written(STATISTICS);
    hand *loader = held_load(s, "name", from);
    call ask = a_load(s, "name", from, LONG_WAIT_MS);
    hand *waiter = begin(into(small, 3, ask));
    be_joined(s, 1, from, did);
    let_go(from);
    const call *c = end(waiter, did, NOBODY_WOKE);
    want_status(c->status, STATUS_TOO_LARGE, did,
                why_not(c, "whoever waited copies out as a get does: only what "
                           "fits"));
    want_int(c->len, 5, text("%s, look at len", did),
             "len says how large a buffer must be");
    want_text(small, "zzzzzzz", text("%s, look at the buffer", did),
              "the buffer is written on STATUS_OK only");
    want_loaded(end(loader, did, LEFT_LOCKED), "Alice", did,
                "the load itself has not failed");
    finish(s);
}

TEST(a_wait_that_ends_without_a_reason_goes_on, "P9", "7.6") {
    const char *did = "while one thread loads x, another one waits for it; "
                      "its wait ends without a reason";
    shared *s = fresh(10, 1);
    source *from = source_of("once");
    be_written(STATISTICS);
    hand *loader = held_load(s, "x", from);
    call ask = a_load(s, "x", from, LONG_WAIT_MS);
    ask.wakes_for_nothing = true;
    hand *waiter = begin(ask);
    be_joined(s, 1, from, did);
    settle(waiter);
    let_go(from);
    want_loaded(end(waiter, did, NOBODY_WOKE), "once", did,
                "POSIX allows such an end: wait in a loop, until the load is "
                "done");
    want_loaded(end(loader, did, LEFT_LOCKED), "once", did,
                "the load itself has not failed");
    finish(s);
}

/* The waiter stops when it was woken and does not have the lock again yet. */
TEST(who_wakes_late_still_gets_what_was_loaded, "P9", "7.6") {
    const char *did = "capacity 1: one thread loads x, another one waits for "
                      "it; before that one runs again, set y";
    shared *s = fresh(1, 1);
    source *from = source_of("once");
    be_written(SET);
    be_written(GET);
    be_written(STATISTICS);
    hand *loader = held_load(s, "x", from);
    call ask = a_load(s, "x", from, LONG_WAIT_MS);
    hand *waiter = begin(stopping(MOMENT_WOKEN, 1, ask));
    be_joined(s, 1, from, did);
    let_go(from);
    be_stopped(waiter);
    be_kept(s, loader);
    set(s, "y", "evicts x");
    go_on(waiter);
    want_waited(waiter, "once", did,
                "the cache has given up the value meanwhile: take it from the "
                "load, which holds it until the last one who waits has it");
    want_loaded(end(loader, did, LEFT_LOCKED), "once", did,
                "the load itself has not failed");
    want_int(from->calls, 1, text("%s, count the loads", did),
             "whoever waited for a load does not load again");
    finish(s);
}

struct load_attempt {
    shared *cache;
    source *from;
    uint64_t kept; /* loads that have brought a value */
};

/* A load and one who waits for it, with an allocation failing somewhere. */
static void try_to_load(void *context) {
    struct load_attempt *a = context;
    const char *did = "load a key, and wait for it, while an allocation fails";
    a->from->held = true;
    hand *both[2];
    both[0] = begin_load(a->cache, LONG_KEY, a->from, LONG_WAIT_MS);
    patience left = patience_of(patience_ms());
    pthread_mutex_lock(&stage);
    while (both[0]->busy && !a->from->inside && change_before(&left)) {
    }
    pthread_mutex_unlock(&stage);
    both[1] = begin_load(a->cache, LONG_KEY, a->from, LONG_WAIT_MS);
    settle(both[1]); /* until it waits, or loads itself, or has failed */
    let_go(a->from);
    const call *came[2];
    for (size_t i = 0; i < 2; i++) { /* both, before the heap is asked */
        came[i] = end(both[i], did, NOBODY_WOKE);
    }
    for (size_t i = 0; i < 2; i++) {
        const call *c = came[i];
        if (c->status != STATUS_NO_MEMORY || !heap_has_failed()) {
            want_loaded(c, "loaded", did,
                        "either the value or no memory: nothing else");
        }
    }
    want_text(get(a->cache, "other"), "there", text("%s, get other", did),
              "what was there must stay");
    delete (a->cache, LONG_KEY);
}

TEST(without_memory_a_load_fails_for_all_who_wait, "P14", "7.6") {
    shared *s = fresh(4, 1);
    set(s, "other", "there");
    be_written(LOAD);
    be_written(GET);
    be_written(DELETE);
    sources[1] = (source){.value = "loaded"};
    struct load_attempt a = {s, &sources[1], 0};
    size_t failures = heap_fail_each(try_to_load, &a);
    want_that(failures > 0, "load, count allocations\nwanted  one at least\n"
                            "got     none\n"
                            "likely  the value is not copied");
    want_loaded(load(s, LONG_KEY, source_of("at last")), "at last",
                "loads that failed for want of memory, get_or_load",
                "a failed load must be forgotten");
    finish(s);
}

static void try_to_load_alone(void *context) {
    struct load_attempt *a = context;
    call ask = {LOAD, a->cache, LONG_KEY, .source = a->from};
    const call *c = do_call(ask);
    want_status(c->status, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "load a key while an allocation fails",
                "no memory for a part of it is no memory for the call");
    if (c->status == STATUS_OK) {
        a->kept++;
        want_true(delete (a->cache, LONG_KEY), "load a key, delete it",
                  "what was loaded must be kept");
    }
    shared_stats stats = statistics(a->cache);
    want_count(stats.loads - stats.failures, a->kept, "loads - failures",
               "load a key while an allocation fails",
               "a load that ends without a value is a failure, also when it "
               "was memory that failed");
    want_false(delete (a->cache, LONG_KEY),
               "load a key while an allocation fails, delete it",
               "a call that failed must keep nothing");
}

TEST(without_memory_a_load_keeps_nothing, "P14", "7.6") {
    shared *s = fresh(4, 1);
    be_written(LOAD);
    be_written(DELETE);
    be_written(STATISTICS);
    sources[1] = (source){.value = "loaded"};
    struct load_attempt a = {s, &sources[1], 0};
    heap_fail_each(try_to_load_alone, &a);
    finish(s);
}

/* --- 7.7: no wait without an end ---------------------------------------------
 */

#ifdef PLAIN_RUNNER
enum { AN_HOUR_MS = 20 }; /* here no clock can be turned */

static void turn_wall_clock(int64_t seconds) {
    (void)seconds;
}
#else
enum { AN_HOUR_MS = 3600000 };

/* The wall clock as this program sees it, and can turn it. */
static volatile int64_t wall_turned;

static void turn_wall_clock(int64_t seconds) {
    wall_turned = seconds;
}

int clock_gettime(clockid_t clock, struct timespec *t) {
    int result = (int)syscall(SYS_clock_gettime, clock, t);
    if (clock == CLOCK_REALTIME) {
        t->tv_sec += wall_turned;
    } else if (own_clock == AN_HOUR_AGO) {
        t->tv_sec -= 3600;
    } else if (own_clock == NEARLY_A_SECOND) {
        t->tv_sec--;
        t->tv_nsec = 999999999;
    }
    return result;
}

int timespec_get(struct timespec *t, int base) {
    return clock_gettime(CLOCK_REALTIME, t) == 0 ? base : 0;
}
#endif

/* Waits for a held load of x, in vain. Returns: how long it took, in ms. */
static int64_t wait_in_vain(int64_t wait_ms) {
    char did[80];
    be_written(STATISTICS);
    snprintf(did, sizeof did,
             "while a loader of x is busy, get_or_load x with wait_ms = %lld",
             (long long)wait_ms);
    shared *s = fresh(10, 1);
    source *from = source_of("late");
    hand *loader = held_load(s, "x", from);
    int64_t start = now_ms();
    const call *c =
        end(begin_load(s, "x", from, wait_ms), did, "the wait has no bound");
    int64_t took = now_ms() - start;
    want_status(c->status, STATUS_TIMEOUT, did,
                "whoever waited long enough is told so");
    turn_wall_clock(0);
    want_count(statistics(s).joins, 1, "joins", did,
               "whoever found a load is counted, however long it waited");
    let_go(from);
    want_loaded(end(loader, did, LEFT_LOCKED), "late", did,
                "the load goes on, though nobody waits for it");
    want_int(from->calls, 1, text("%s, count the loads", did),
             "who gives up does not start a load of his own");
    want_text(get(s, "x"), "late", text("%s, let the load end, get x", did),
              "the load goes on, and is kept");
    finish(s);
    return took;
}

TEST(a_waiter_may_look_and_go, "P10", "7.7") {
    wait_in_vain(0);
}

TEST(a_waiter_gives_up_when_its_time_is_over, "P10", "7.7") {
    int64_t took = wait_in_vain(20);
    want_that(took >= 19, /* now_ms cuts both ends to whole milliseconds */
              "while a loader of x is busy, get_or_load x with wait_ms = 20\n"
              "wanted  an end after 20 ms\ngot     one after %lld ms\n"
              "likely  the deadline and the condition variable go by two "
              "different clocks",
              (long long)took);
}

TEST(a_jump_of_the_wall_clock_changes_no_wait, "P10", "7.7") {
    turn_wall_clock(-3600);
    int64_t took = wait_in_vain(20);
    want_that(took >= 19,
              "turn the wall clock back by an hour, wait 20 ms for a load\n"
              "wanted  an end after 20 ms\ngot     one after %lld ms\n"
              "likely  the wait goes by the wall clock, which anybody may set",
              (long long)took);
}

/* The waiter stops when its time is over and it does not have the lock yet. */
TEST(a_load_that_ends_with_the_time_is_no_timeout, "P10", "7.7") {
    const char *did = "wait 1 ms for a load of x; the load ends after that, "
                      "but before the waiter has the lock again";
    shared *s = fresh(10, 1);
    source *from = source_of("in time");
    be_written(GET);
    hand *loader = held_load(s, "x", from);
    hand *waiter = begin(stopping(MOMENT_WOKEN, 1, a_load(s, "x", from, 1)));
    bool stopped = be_stopped(waiter);
    let_go(from);
    be_kept(s, loader);
    if (!stopped) { /* it has waited for the load, whatever its time */
        be_stopped(waiter);
    }
    go_on(waiter);
    const call *c = end(waiter, did, LEFT_LOCKED);
    if (stopped) {
        want_loaded(c, "in time", did,
                    "a timeout says that the load is still running: what the "
                    "wait returned tells less than whether it is done");
    }
    want_loaded(end(loader, did, LEFT_LOCKED), "in time", did,
                "the load itself has not failed");
    finish(s);
}

TEST(the_longest_wait_is_no_short_one, "P10", "7.7") {
    static const struct {
        int64_t ms;
        const char *did;
    } waits[] = {
        {INT64_MAX, "wait for a load with wait_ms = INT64_MAX"},
        {INT64_MAX / 1000, "wait for a load with wait_ms = INT64_MAX / 1000"},
        {86400000, "wait for a load with wait_ms = a day"}};
    for (size_t i = 0; i < 3; i++) {
        shared *s = fresh(10, 1);
        source *from = source_of("in time");
        be_written(STATISTICS);
        hand *loader = held_load(s, "x", from);
        call ask = a_load(s, "x", from, waits[i].ms);
        ask.reads = AN_HOUR_AGO; /* what is an hour or less is over */
        hand *waiter = begin(ask);
        be_joined(s, 1, from, waits[i].did);
        settle(waiter);
        let_go(from);
        end(loader, waits[i].did, LEFT_LOCKED);
        want_loaded(end(waiter, waits[i].did, NOBODY_WOKE), "in time",
                    waits[i].did,
                    "now + wait_ms must not overflow, and what was asked for "
                    "must not be cut");
        finish(s);
    }
}

/* Its clock is an hour behind when the deadline is worked out, and right when
 * the wait begins again: the hour is over by then. */
TEST(a_wait_that_begins_again_has_no_more_time, "P10", "7.7") {
    const char *did = "wait for a load; the wait ends without a reason; when "
                      "it begins again, its time is over";
    shared *s = fresh(10, 1);
    source *from = source_of("late");
    hand *loader = held_load(s, "x", from);
    call ask = a_load(s, "x", from, AN_HOUR_MS);
    ask.reads = AN_HOUR_AGO;
    ask.wakes_for_nothing = true;
    const call *c = end(begin(ask), did,
                        "each wait got the whole time anew: work the deadline "
                        "out once, before the loop");
    want_status(c->status, STATUS_TIMEOUT, did,
                "whoever waited long enough is told so");
    let_go(from);
    want_loaded(end(loader, did, LEFT_LOCKED), "late", did,
                "the load itself has not failed");
    finish(s);
}

/* Ends a wait in the next second, by a clock at the very end of this one. */
TEST(a_deadline_may_lie_in_the_next_second, "P10", "7.7") {
    const char *did = "at the last nanosecond of a second, wait for a load "
                      "with wait_ms = 60020, and then with 20";
    const char *likely = "a tv_nsec of a second or more is no deadline: carry "
                         "it over into tv_sec";
    shared *s = fresh(10, 1);
    source *from = source_of("in time");
    be_written(STATISTICS);
    hand *loader = held_load(s, "x", from);
    call ask = a_load(s, "x", from, LONG_WAIT_MS + 20);
    ask.reads = NEARLY_A_SECOND;
    hand *waiter = begin(ask);
    be_joined(s, 1, from, did);
    settle(waiter);
    ask.wait_ms = 20;
    want_status(end(begin(ask), did, likely)->status, STATUS_TIMEOUT, did,
                "whoever waited long enough is told so");
    let_go(from);
    want_loaded(end(waiter, did, NOBODY_WOKE), "in time", did, likely);
    want_loaded(end(loader, did, LEFT_LOCKED), "in time", did,
                "the load itself has not failed");
    finish(s);
}

/* Inside a loader of x: asks for x, or for a key whose loader asks for x. */
static void ask_for_own_key(source *from) {
    size_t len;
    from->saw = shared_get_or_load(from->cache, bytes_of(from->text),
                                   from_source, from->other, 50, from->text,
                                   sizeof from->text - 1, &len);
}

TEST(a_loader_that_asks_for_its_own_key_is_told, "P11", "7.7") {
    const char *did = "a loader of x asks for x";
    shared *s = fresh(10, 2);
    sources[1] = (source){.value = "never"};
    source *from = source_of("outer");
    from->also = ask_for_own_key;
    from->cache = s;
    from->other = &sources[1];
    strcpy(from->text, "x");
    const call *c =
        end(begin_load(s, "x", from, 50), did, "it waits for itself");
    want_status(from->saw, STATUS_DEADLOCK, did,
                "the thread that loads this key must not wait for it");
    want_int(sources[1].calls, 0, text("%s, count the inner loads", did),
             "one load per key: the inner call must not load");
    want_loaded(c, "outer", did, "the outer load can still end well");
    want_count(statistics(s).joins, 0, "joins", did,
               "who is told at once has not waited");
    finish(s);
}

TEST(a_loader_may_ask_another_cache_for_its_key, "P11", "7.7") {
    const char *did = "a loader of x asks another cache for x";
    shared *s = fresh(10, 2), *behind = create(10, 2);
    sources[1] = (source){.value = "from behind"};
    source *from = source_of("x");
    from->also = ask_for_own_key;
    from->cache = behind;
    from->other = &sources[1];
    strcpy(from->text, "x");
    want_loaded(end(begin_load(s, "x", from, 50), did, LEFT_LOCKED), "x", did,
                "the outer load ends as ever");
    want_status(from->saw, STATUS_OK, did,
                "who loads a key loads it for one cache: look for the own load "
                "among that cache's, not among all that the thread makes");
    want_text(get(behind, "x"), "from behind", text("%s, get it there", did),
              "the other cache keeps what it loaded");
    dismiss_hands();
    shared_destroy(behind);
    finish(s);
}

TEST(a_loader_may_not_come_back_by_another_key, "P11", "7.7") {
    const char *did = "a loader of x asks for y, whose loader asks for x";
    shared *s = fresh(10, 2);
    sources[2] = (source){.value = "never"};
    sources[1] = (source){.value = "y",
                          .also = ask_for_own_key,
                          .cache = s,
                          .text = "x",
                          .other = &sources[2]};
    source *from = source_of("x");
    from->also = ask_for_own_key;
    from->cache = s;
    from->other = &sources[1];
    strcpy(from->text, "y");
    const call *c =
        end(begin_load(s, "x", from, 50), did, "it waits for itself");
    want_status(sources[1].saw, STATUS_DEADLOCK, did,
                "the thread that loads x is the same, two loads further up");
    want_status(from->saw, STATUS_OK, text("%s, look at y", did),
                "the load of y is no circle");
    want_loaded(c, "x", did, "the load of x can still end well");
    finish(s);
}

/* --- 7.8: what comes during a load wins
 * --------------------------------------- */

TEST(a_set_during_a_load_wins, "P12", "7.8") {
    const char *did = "while a loader of x is busy, set x = new";
    shared *s = fresh(10, 2);
    source *from = source_of("old");
    be_written(SET);
    hand *loader = held_load(s, "x", from);
    set(s, "x", "new");
    want_text(get(s, "x"), "new", text("%s, get x", did),
              "a set works as ever while a load is running");
    let_go(from);
    want_status(end(loader, did, LEFT_LOCKED)->status, STATUS_OK, did,
                "the load itself has not failed");
    want_text(get(s, "x"), "new", text("%s, let the load end, get x", did),
              "the load began before the set: what it brings is out of date, "
              "and must not replace what was set");
    finish(s);
}

TEST(a_delete_during_a_load_wins, "P12", "7.8") {
    const char *did = "while a loader of x is busy, delete x";
    shared *s = fresh(10, 2);
    source *from = source_of("old");
    be_written(STATISTICS);
    be_written(DELETE);
    hand *loader = held_load(s, "x", from);
    call ask = a_load(s, "x", from, LONG_WAIT_MS);
    hand *waiter = begin(stopping(MOMENT_WOKEN, 1, ask));
    be_joined(s, 1, from, "while one thread loads x, another get_or_loads x");
    delete (s, "x");
    sources[1] = (source){.value = "new"};
    want_loaded(load(s, "x", &sources[1]), "new",
                text("%s, get_or_load x", did),
                "who comes after the delete must not wait for a load that "
                "began before it");
    delete (s, "x");
    let_go(from);
    be_stopped(waiter);
    settle(loader); /* it is through with the value, unless it waits for him */
    go_on(waiter);
    want_waited(waiter, "old", did,
                "those who waited get what was loaded, though the cache does "
                "not keep it");
    want_loaded(end(loader, did, LEFT_LOCKED), "old", did,
                "those who were there before get what was loaded");
    want_text(get(s, "x"), NULL, text("%s, let the load end, get x", did),
              "the load began before the delete: it must not bring back what "
              "was deleted");
    finish(s);
}

TEST(an_overtaken_load_leaves_the_next_one_alone, "P12", "7.8") {
    const char *did = "while a loader of x is busy, delete x, begin a second "
                      "load of x, let the first one end";
    shared *s = fresh(10, 1);
    source *from = source_of("old");
    be_written(STATISTICS);
    be_written(DELETE);
    hand *first = held_load(s, "x", from);
    hand *waiter = begin_load(s, "x", from, LONG_WAIT_MS);
    be_joined(s, 1, from, "while one thread loads x, another get_or_loads x");
    delete (s, "x");
    sources[1] = (source){.value = "new"};
    hand *second = held_load(s, "x", &sources[1]);
    let_go(from);
    want_waited(waiter, "old", did,
                "those who waited for a load get what it brought, and wait for "
                "no other");
    want_loaded(end(first, did, LEFT_LOCKED), "old", did,
                "those who were there before get what was loaded");
    want_text(get(s, "x"), NULL, text("%s, get x", did),
              "a load is kept if it is on the list itself, not if one of its "
              "key is");
    hand *third = begin_load(s, "x", &sources[1], LONG_WAIT_MS);
    be_joined(s, 2, &sources[1], text("%s, get_or_load x", did));
    let_go(&sources[1]);
    want_waited(third, "new", did, "the second load goes on as ever");
    want_loaded(end(second, did, LEFT_LOCKED), "new", did,
                "the second load goes on as ever");
    want_text(get(s, "x"), "new", text("%s, and the second, get x", did),
              "the second load began after the delete, and is kept");
    finish(s);
}

/* At each moment at which the loading thread holds no lock. */
TEST(a_set_while_a_load_ends_wins, "P12", "7.8") {
    const char *did = "get_or_load x; when its loader has returned, while it "
                      "holds no lock, set x = new";
    bool stopped = true;
    for (size_t nth = 1; stopped && nth < 20; nth++) {
        shared *s = fresh(10, 1);
        source *from = source_of("old");
        be_written(SET);
        hand *loader = begin(stopping_late(nth, a_load(s, "x", from, 0)));
        stopped = be_stopped(loader);
        hand *setter = stopped ? begin(a_set(s, "x", bytes_of("new"))) : NULL;
        if (setter) {
            settle(setter);
            go_on(loader);
            end(setter, did, LEFT_LOCKED);
        }
        want_loaded(end(loader, did, LEFT_LOCKED), "old", did,
                    "the load itself has not failed");
        want_text(get(s, "x"), stopped ? "new" : "old",
                  text("%s, let the load end, get x", did),
                  "look whether the load is still listed, and keep what it "
                  "brought, without opening the lock in between");
        finish(s);
    }
}

/* While a load of x is busy, `writer` stops at its nth moment without a lock,
 * and there the load ends. Returns: whether there was such a moment. */
static bool load_ends_within(call writer, size_t nth, const char *value,
                             const char *did) {
    shared *s = fresh(10, 1);
    source *from = source_of("old");
    hand *loader = held_load(s, "x", from);
    writer.cache = s;
    hand *w = begin(stopping(MOMENT_UNLOCKED, nth, writer));
    bool stopped = be_stopped(w);
    let_go(from);
    settle(loader);
    go_on(w);
    end(w, did, LEFT_LOCKED);
    want_status(end(loader, did, LEFT_LOCKED)->status, STATUS_OK, did,
                "the load itself has not failed");
    want_text(get(s, "x"), value, text("%s, get x", did),
              "change the entry and take the load off the list without opening "
              "the lock in between");
    finish(s);
    return stopped;
}

TEST(a_load_that_ends_within_a_set_is_not_kept, "P12", "7.8") {
    call writer = a_set(NULL, "x", bytes_of("new"));
    size_t nth = 1;
    while (load_ends_within(writer, nth, "new",
                            "while a loader of x is busy, set x = new; while "
                            "the set holds no lock, the load ends")
           && nth < 20) {
        nth++;
    }
}

TEST(a_load_that_ends_within_a_delete_is_not_kept, "P12", "7.8") {
    call writer = a_delete(NULL, "x");
    size_t nth = 1;
    while (load_ends_within(writer, nth, NULL,
                            "while a loader of x is busy, delete x; while the "
                            "delete holds no lock, the load ends")
           && nth < 20) {
        nth++;
    }
}

TEST(a_load_that_begins_within_a_set_is_not_kept, "P12", "7.8") {
    const char *did = "set x = new; while the set holds no lock, a load of x "
                      "begins";
    bool stopped = true;
    for (size_t nth = 1; stopped && nth < 20; nth++) {
        shared *s = fresh(10, 1);
        source *from = held(source_of("old"));
        call writer = a_set(s, "x", bytes_of("new"));
        hand *w = begin(stopping(MOMENT_UNLOCKED, nth, writer));
        stopped = be_stopped(w);
        hand *late = begin_load(s, "x", from, LONG_WAIT_MS);
        settle(late); /* it finds what was set, or its loader is inside */
        go_on(w);
        want_status(end(w, did, LEFT_LOCKED)->status, STATUS_OK, did,
                    "the set itself has not failed");
        let_go(from);
        end(late, did, LEFT_LOCKED);
        want_text(get(s, "x"), "new", text("%s, let both end, get x", did),
                  "change the entry and take the load off the list without "
                  "opening the lock in between");
        finish(s);
    }
}

/* While a load of a key is busy, a set of it fails at its nth allocation.
 * Returns: whether it has failed. */
static bool set_fails_within(size_t nth) {
    const char *did = "while a loader of x is busy, a set of x fails for want "
                      "of memory";
    shared *s = fresh(4, 1);
    source *from = source_of("loaded");
    be_written(SET);
    be_written(GET);
    hand *loader = held_load(s, LONG_KEY, from);
    heap_fail_at(nth);
    const call *c = do_call(a_set(s, LONG_KEY, bytes_of("new")));
    bool failed = heap_has_failed();
    heap_fail_at(0);
    want_status(c->status, failed ? STATUS_NO_MEMORY : STATUS_OK, did,
                "both the value's copy and the lru's entry can fail");
    let_go(from);
    want_loaded(end(loader, did, LEFT_LOCKED), "loaded", did,
                "the load itself has not failed");
    want_text(get(s, LONG_KEY), failed ? "loaded" : "new",
              text("%s, let the load end, get x", did),
              "a failed set changes nothing: the load is as good as before, "
              "and is kept");
    finish(s);
    return failed;
}

TEST(a_set_without_memory_leaves_a_load_alone, "P14", "7.8") {
    size_t failures = 0;
    while (set_fails_within(failures + 1)) {
        failures++;
    }
    want_that(failures > 0, "set, count allocations\nwanted  one at least\n"
                            "got     none\n"
                            "likely  the value is not copied");
}

/* Inside a loader of x: deletes x, then asks for it. */
static void delete_and_ask(source *from) {
    shared_delete(from->cache, bytes_of(from->text));
    ask_for_own_key(from);
}

TEST(a_loader_that_deletes_its_key_may_ask_for_it, "P11", "7.8") {
    const char *did = "a loader of x deletes x, then asks for x";
    shared *s = fresh(10, 2);
    be_written(DELETE);
    sources[1] = (source){.value = "new"};
    source *from = source_of("old");
    from->also = delete_and_ask;
    from->cache = s;
    from->other = &sources[1];
    strcpy(from->text, "x");
    const call *c =
        end(begin_load(s, "x", from, 50), did, "it waits for itself");
    want_status(from->saw, STATUS_OK, did,
                "who comes after the delete gets a new load, the own thread "
                "too: there is nothing to wait for");
    want_loaded(c, "old", did, "the outer load ends as ever");
    want_text(get(s, "x"), "new", text("%s; get x", did),
              "the outer load began before the delete and is not kept, the "
              "inner one began after it and is");
    finish(s);
}

/* --- random runs
 * -------------------------------------------------------------- */

enum { MODEL_CAPACITY = 3, MODEL_KEYS = 6, MODEL_VALUES = 9 };

/* One shard against a plain array, the most recent key first. */
struct beside {
    shared *cache;
    unsigned keys[MODEL_KEYS], values[MODEL_KEYS];
    size_t count;
    shared_stats stats;
};

static void *model_begin(void) {
    struct beside *b = calloc(1, sizeof *b);
    if (b && shared_create(MODEL_CAPACITY, 1, 42, &b->cache) != STATUS_OK) {
        free(b);
        return NULL;
    }
    return b;
}

static size_t model_find(const struct beside *b, unsigned key) {
    size_t at = 0;
    while (at < b->count && b->keys[at] != key) {
        at++;
    }
    return at;
}

static void model_remove(struct beside *b, size_t at) {
    b->count--;
    for (; at < b->count; at++) {
        b->keys[at] = b->keys[at + 1];
        b->values[at] = b->values[at + 1];
    }
}

static void model_put(struct beside *b, unsigned key, unsigned value) {
    size_t at = model_find(b, key);
    if (at < b->count) {
        model_remove(b, at);
    } else if (b->count == MODEL_CAPACITY) {
        b->count--;
        b->stats.evictions++;
    }
    for (at = b->count++; at > 0; at--) {
        b->keys[at] = b->keys[at - 1];
        b->values[at] = b->values[at - 1];
    }
    b->keys[0] = key;
    b->values[0] = value;
}

static const char *model_key(unsigned n) {
    return text(n % 2 ? "k%u" : "a rather long key, number %u", n);
}

static status model_load(void *context, bytes key, bytes *value) {
    (void)key;
    model_step *step = context;
    if (step->operation == 4) {
        return STATUS_BACKEND;
    }
    *value = bytes_of(text("v%u", step->value));
    return STATUS_OK;
}

/* A get of either kind. Returns: NULL, or what differed. */
static const char *model_get(struct beside *b, model_step step) {
    size_t at = model_find(b, step.key), len = 0;
    char got[SMALL];
    bytes key = bytes_of(model_key(step.key));
    bool hit = at<b->count, loads = step.operation> 2;
    unsigned value = hit ? b->values[at] : step.value;
    status want = hit || step.operation == 3 ? STATUS_OK
                  : loads                    ? STATUS_BACKEND
                                             : STATUS_MISS;
    status s = loads ? shared_get_or_load(b->cache, key, model_load, &step, 0,
                                          got, sizeof got, &len)
                     : shared_get(b->cache, key, got, sizeof got, &len);
    b->stats.hits += hit;
    b->stats.misses += !hit;
    b->stats.loads += !hit && loads;
    b->stats.failures += !hit && step.operation == 4;
    if (want == STATUS_OK) {
        model_put(b, step.key, value);
    }
    if (s != want) {
        return text("%s, where %s was right", status_name(s),
                    status_name(want));
    }
    return want == STATUS_OK
                   && !bytes_equal((bytes){got, len},
                                   bytes_of(text("v%u", value)))
               ? "another value than the one set or loaded last"
               : NULL;
}

static const char *model_apply(void *state, model_step step) {
    struct beside *b = state;
    bytes key = bytes_of(model_key(step.key));
    size_t at = model_find(b, step.key);
    if (step.operation > 1) {
        return model_get(b, step);
    }
    if (step.operation == 0) {
        model_put(b, step.key, step.value);
        return shared_set(b->cache, key, bytes_of(text("v%u", step.value)))
                       == STATUS_OK
                   ? NULL
                   : "set failed";
    }
    bool had = at < b->count;
    if (had) {
        model_remove(b, at);
    }
    return shared_delete(b->cache, key) == had ? NULL : "delete was wrong";
}

static const char *model_end(void *state) {
    struct beside *b = state;
    shared_stats got = shared_statistics(b->cache);
    b->stats.entries = b->count;
    const char *why = NULL;
    if (memcmp(&got, &b->stats, sizeof got) != 0) {
        why = text("hits %d, misses %d, loads %d, failures %d, joins %d, "
                   "evictions %d, entries %d at the end",
                   (int)got.hits, (int)got.misses, (int)got.loads,
                   (int)got.failures, (int)got.joins, (int)got.evictions,
                   (int)got.entries);
    }
    shared_destroy(b->cache);
    free(b);
    return why;
}

static void model_print(FILE *out, model_step step) {
    const char *calls[] = {"set", "delete", "get", "get_or_load",
                           "get_or_load"};
    fprintf(out, "shared_%s(s, bytes_of(\"%s\")", calls[step.operation],
            model_key(step.key));
    if (step.operation == 0 || step.operation == 3) {
        fprintf(out, ", \"v%u\"", step.value);
    }
    fprintf(out, step.operation == 4 ? ", a loader that fails);" : ");");
}

TEST(any_mix_of_calls_agrees_with_a_plain_array, "P4", "7.8") {
    dismiss_hands();
    model_check(&(model){
        .operations = 5,
        .keys = MODEL_KEYS,
        .values = MODEL_VALUES,
        .lists = 60,
        .steps = 120,
        .begin = model_begin,
        .apply = model_apply,
        .end = model_end,
        .print = model_print,
    });
}

/* --- many threads, many calls
 * ------------------------------------------------- */

/* Few keys and long values, so that threads meet all the time. Under a tool
 * that sees races the threads run as they like. Natively a verdict would then
 * depend on luck: there the machine chooses the order of the calls, but each
 * ends before the next begins. */
enum { WORKERS = 4, COMMON = 2, LEAST = 8000, MOST = 24000, ROUNDS = 8 };

/* What one thread of the crowd did and saw. */
struct worker {
    shared *cache;
    uint64_t seed;
    size_t number;
    size_t turn;      /* the next one; */
    size_t turns;     /* so many make a round */
    uint64_t gets;    /* of both kinds */
    size_t torn;      /* values that nobody ever set */
    size_t lost;      /* own keys that did not hold what was set last */
    size_t surprises; /* statuses that cannot be */
    char given[MOST], got[MOST];
};

static struct worker workers[WORKERS];

/* A value says in its first byte what all of its bytes are, and how many. */
static size_t pattern_len(char first) {
    return LEAST + (size_t)(unsigned char)first * 60;
}

static bytes patterned(struct worker *w, uint64_t random) {
    char letter = (char)(random % 256);
    memset(w->given, letter, pattern_len(letter));
    return (bytes){w->given, pattern_len(letter)};
}

static bool is_patterned(const char *value, size_t len) {
    return len == pattern_len(value[0])
           && memcmp(value, value + 1, len - 1) == 0;
}

/* One call on a key that all threads use. */
static void use_common_key(struct worker *w, uint64_t random) {
    bytes key = bytes_of(random >> 8 & 1 ? "common-1" : "common-2");
    size_t len = 0;
    status s = STATUS_OK;
    switch (random % 8) {
    case 0: shared_delete(w->cache, key); return;
    case 1:
    case 2:
    case 3:
        s = shared_set(w->cache, key, patterned(w, random >> 16));
        w->surprises += s != STATUS_OK;
        return;
    default: s = shared_get(w->cache, key, w->got, sizeof w->got, &len);
    }
    w->gets++;
    w->torn += s == STATUS_OK && !is_patterned(w->got, len);
    w->surprises += s != STATUS_OK && s != STATUS_MISS;
}

static status load_turn(void *context, bytes key, bytes *value) {
    (void)key;
    *value = bytes_of(context);
    return STATUS_OK;
}

/* A key that only this thread uses, and that is never evicted: set, or
 * deleted and loaded, then read. */
static void use_own_key(struct worker *w, size_t turn) {
    char name[32], value[32], got[SMALL];
    size_t len = 0;
    snprintf(name, sizeof name, "own-%zu", w->number);
    snprintf(value, sizeof value, "%zu", turn);
    bytes key = bytes_of(name);
    if (turn % 8 == 0) {
        shared_delete(w->cache, key);
        shared_get_or_load(w->cache, key, load_turn, value, 0, got, sizeof got,
                           &len);
        w->gets++;
    } else {
        shared_set(w->cache, key, bytes_of(value));
    }
    status s = shared_get(w->cache, key, got, sizeof got, &len);
    w->gets++;
    w->lost +=
        s != STATUS_OK || !bytes_equal((bytes){got, len}, bytes_of(value));
}

#ifndef PLAIN_RUNNER
static pthread_mutex_t baton = PTHREAD_MUTEX_INITIALIZER;
#endif

static void take_baton(void) {
#ifndef PLAIN_RUNNER
    pthread_mutex_lock(&baton);
#endif
}

static void give_baton(void) {
#ifndef PLAIN_RUNNER
    pthread_mutex_unlock(&baton);
#endif
}

static void take_turn(struct worker *w, size_t turn) {
    take_baton();
    use_common_key(w, test_random(&w->seed));
    if (turn % 4 == 0) {
        use_own_key(w, turn);
    }
    give_baton();
}

static void work(void *context) {
    struct worker *w = context;
    for (size_t end = w->turn + w->turns; w->turn < end; w->turn++) {
        take_turn(w, w->turn);
    }
}

/* One round of all workers. The director's patience is for a round: all that
 * they do may take longer on a busy machine. */
static void work_together(const char *did) {
    hand *h[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        h[i] = begin((call){.kind = RUN, .run = work, .context = &workers[i]});
    }
    for (size_t i = 0; i < WORKERS; i++) {
        end(h[i], did,
            "a lock that is never given back, or two that are "
            "taken in two orders");
    }
}

/* Where a crowd waits until all are there. A pipe orders each thread behind the
 * director, and none behind another: then only the cache's own locks can, and a
 * tool that sees races sees in any run whether they do. */
static int gate[2];
static int at_gate; /* guarded by the stage */

static void pass_gate(struct worker *w) {
    char go;
    pthread_mutex_lock(&stage);
    at_gate++;
    pthread_cond_broadcast(&stage_changed);
    pthread_mutex_unlock(&stage);
    w->surprises += read(gate[0], &go, 1) != 1;
}

static void open_gate(void) {
    patience left = patience_of(patience_ms());
    pthread_mutex_lock(&stage);
    while (at_gate < WORKERS && change_before(&left)) {
    }
    pthread_mutex_unlock(&stage);
    want_int(write(gate[1], "....", WORKERS), WORKERS, "let four threads go on",
             "the system has no room in a pipe");
}

static void only_get(void *context) {
    struct worker *w = context;
    pass_gate(w);
    for (w->turn = 0; w->turn < w->turns; w->turn++) {
        size_t len;
        take_baton();
        w->surprises += shared_get(w->cache, bytes_of(w->turn % 2 ? "a" : "b"),
                                   w->got, sizeof w->got, &len)
                        != STATUS_OK;
        give_baton();
    }
}

TEST(threads_that_only_get_are_all_counted, "P6", "7.4") {
    const char *did = "four threads get two keys of one shard, 50 times each";
    hand *h[WORKERS];
    shared *s = fresh(4, 1);
    set(s, "a", "1");
    set(s, "b", "2");
    be_written(GET);
    be_written(STATISTICS);
    want_int(pipe(gate), 0, "ask the system for a pipe", "it has none left");
    at_gate = 0;
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.cache = s, .turns = 50};
        h[i] =
            begin((call){.kind = RUN, .run = only_get, .context = &workers[i]});
    }
    open_gate();
    for (size_t i = 0; i < WORKERS; i++) {
        end(h[i], did, LEFT_LOCKED);
        want_int(workers[i].surprises, 0, text("%s, count odd statuses", did),
                 "both keys are there");
    }
    want_count(statistics(s).hits, 50 * WORKERS, "hits", did,
               "two threads raised a counter at once, and one was lost");
    close(gate[0]);
    close(gate[1]);
    finish(s);
}

TEST(many_threads_lose_and_tear_nothing, "P2", "7.8") {
    const char *did = "four threads set, get, load and delete at random";
    shared *s = fresh(200, 4);
    for (kind k = SET; k < RUN; k++) {
        be_written(k);
    }
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.cache = s,
                                     .seed = test_seed() + i,
                                     .number = i,
                                     .turns = test_scale(400, 152) / ROUNDS};
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        work_together(did);
    }
    uint64_t gets = 0;
    for (size_t i = 0; i < WORKERS; i++) {
        want_int(workers[i].torn, 0, text("%s, count torn values", did),
                 "a value was read while it was changed");
        want_int(workers[i].lost, 0, text("%s, count lost updates", did),
                 "a thread did not find what it had set itself");
        want_int(workers[i].surprises, 0, text("%s, count odd statuses", did),
                 "neither ok nor miss nor the loader's own failure");
        gets += workers[i].gets;
    }
    shared_stats stats = statistics(s);
    want_int(stats.hits + stats.misses, gets,
             text("%s, look at hits + misses", did),
             "two threads raised a counter at once, and one was lost");
    finish(s);
}
