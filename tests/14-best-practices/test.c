/* Tests of the production cache.
 *
 * Time is a frozen clock that the tests turn. Where threads matter, a loader
 * stays inside until the test lets it go, and a thread that holds no lock can
 * be stopped between two steps (support/moments.h): nobody sleeps and hopes.
 * Threads never judge, they note what they saw; and before a thread makes its
 * first call of a kind, the main thread makes one, so that a step that is not
 * written yet is met there. */
#include "cache.h"

#include "support/check.h"
#include "support/heap.h"
#include "support/libraries.h"
#include "support/model.h"
#include "support/moments.h"
#include "support/work.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROOM = 512, THREADS = 64 };

static int64_t the_time;

static cache_options plain(void) {
    the_time = 1000;
    return (cache_options){.clock = ms_clock_frozen(&the_time), .seed = 42};
}

static cache *create_with(size_t budget, size_t shards, cache_options o) {
    cache *c = NULL;
    const char *did = text("cache_create(%zu, %zu, ...)", budget, shards);
    want_status(cache_create(budget, shards, &o, &c), STATUS_OK, did,
                "create fails though there is memory");
    want_true(c != NULL, did, "create says ok and does not write *out");
    return c;
}

static cache *create(size_t budget, size_t shards) {
    return create_with(budget, shards, plain());
}

static void set(cache *c, const char *key, const char *value) {
    want_status(cache_set(c, bytes_of(key), bytes_of(value)), STATUS_OK,
                text("set %.20s", key), "a small entry always fits");
}

/* Returns: the value as a text, or NULL for a miss. */
static const char *get(cache *c, const char *key) {
    char buffer[ROOM];
    size_t len = 0;
    status s = cache_get(c, bytes_of(key), buffer, sizeof buffer, &len);
    want_true(s == STATUS_OK || s == STATUS_MISS,
              text("get %.20s, look at the status", key),
              "it can be ok or miss, nothing else");
    return s == STATUS_OK ? text("%.*s", (int)len, buffer) : NULL;
}

static bool has(cache *c, const char *key) {
    return get(c, key) != NULL;
}

/* Memory for long keys and values, of which each has its own letters. */
static bytes long_bytes(size_t len, unsigned what) {
    static char memory[2][1 << 18];
    static unsigned turn;
    char *m = memory[turn++ % 2];
    for (size_t i = 0; i < len; i++) {
        m[i] = (char)('a' + (what + i / 7) % 26);
    }
    return (bytes){m, len};
}

/* --- 14.1: create and destroy -------------------------------------------- */

TEST(create_refuses_what_makes_no_sense, "P16", "14.1") {
    const struct {
        size_t budget, shards;
        cache_options o;
        const char *why;
    } bad[] = {
        {1 << 20, 0, {0}, "a cache has at least one shard"},
        {0, 1, {0}, "a budget of nothing holds nothing"},
        {100, 1, {0}, "not even one entry fits"},
        {4095, 1, {0}, "a shard has CACHE_SHARD_BYTES_MIN at least"},
        {8 * 4096 - 1, 8, {0}, "each shard has CACHE_SHARD_BYTES_MIN"},
        {SIZE_MAX, 1, {0}, "a shard has CACHE_SHARD_BYTES_MAX at most"},
        {(size_t)4097 << 12, 4097, {0}, "there are CACHE_SHARDS_MAX at most"},
        {1 << 20, SIZE_MAX, {0}, "there are CACHE_SHARDS_MAX at most"},
        {1 << 20, 1, {.default_ttl_ms = -1}, "a time is not negative"},
        {1 << 20, 1, {.stale_ms = -1}, "a time is not negative"},
        {1 << 20, 1, {.refresh_beta = -0.5}, "beta is not negative"},
        {1 << 20, 1, {.refresh_beta = NAN}, "beta is a number"},
        {1 << 20, 1, {.entry_bytes = SIZE_MAX}, "no entry is that large"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cache *untouched = (cache *)&the_time, *c = untouched;
        const char *did = text("create with %zu bytes, %zu shards; case %zu",
                               bad[i].budget, bad[i].shards, i);
        heap_fail_at(1); /* what is not refused is not made either */
        want_status(cache_create(bad[i].budget, bad[i].shards, &bad[i].o, &c),
                    STATUS_INVALID, did, bad[i].why);
        want_pointer(c, untouched, did, "*out is written on STATUS_OK only");
    }
}

TEST(destroy_gives_everything_back, "P19", "14.1") {
    cache_destroy(NULL);
    cache *c = NULL;
    want_status(cache_create(4096, 1, NULL, &c), STATUS_OK,
                "cache_create(4096, 1, NULL, &c)",
                "the smallest shard and no options are fine");
    cache_destroy(c);
    cache_destroy(create(1 << 20, 16));
    cache_destroy(create(1000001, 7));
    want_int(heap_live_blocks(), 0, "create, destroy, count live blocks",
             "destroy forgets something that create has made");
}

static void try_to_create(void *context) {
    (void)context;
    cache *c = NULL;
    cache_options o = plain();
    status s = cache_create(1 << 16, 4, &o, &c);
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "create while an allocation fails",
                "look at the result of each allocation");
    if (s == STATUS_OK) {
        cache_destroy(c);
    }
    want_int(heap_live_blocks(), 0, "create in vain, count live blocks",
             "what was made before the failure must be undone");
}

TEST(without_memory_create_leaves_nothing_behind, "P17", "14.1") {
    want_that(heap_fail_each(try_to_create, NULL) >= 1,
              "create, count allocations\nwanted  one at least\ngot     none\n"
              "likely  the memory is not asked for when the cache is made");
}

/* --- 14.2: set and get -----------------------------------------------------
 */

TEST(a_get_copies_out_what_was_set, "P1", "14.2") {
    cache *c = create(1 << 16, 2);
    char key[] = "name", value[] = "Alice", buffer[ROOM];
    size_t len = 77;
    set(c, key, value);
    memcpy(key, "xxxx", 4);
    memcpy(value, "xxxxx", 5);
    want_text(get(c, "name"), "Alice",
              "set name=Alice, overwrite the caller's memory, get name",
              "set must copy key and value");
    want_status(cache_get(c, bytes_of("nobody"), buffer, 1, &len), STATUS_MISS,
                "get nobody", "a key that was never set is a miss");
    want_int(len, 77, "get nobody, look at len", "a miss writes nothing");
    want_text(get(c, "nam"), NULL, "set name, get nam",
              "a key is as long as it is: compare lengths, too");
    want_text(get(c, "nameA"), NULL, "set name=Alice, get nameA",
              "the key ends where its value begins: compare lengths, too");
    cache_destroy(c);
}

TEST(keys_and_values_are_any_bytes, "P1", "14.2") {
    cache *c = create(4 << 20, 1);
    static char buffer[1 << 17];
    const bytes runs[] = {{"", 0},
                          {NULL, 0},
                          {"a\0b", 3},
                          {"\0", 1},
                          long_bytes(CACHE_KEY_MAX, 1)};
    for (size_t i = 0; i < 5; i++) {
        for (size_t j = 0; j < 5; j++) {
            size_t len = 0;
            const char *did =
                text("set a key of %zu bytes to a value of %zu, get it",
                     runs[i].len, runs[j].len);
            want_status(cache_set(c, runs[i], runs[j]), STATUS_OK, did,
                        "keys have up to CACHE_KEY_MAX bytes, of any kind");
            want_status(cache_get(c, runs[i], buffer, sizeof buffer, &len),
                        STATUS_OK, did, "it was just set");
            want_int(len, runs[j].len, did,
                     "lengths are given: a zero byte "
                     "ends nothing");
            want_true(len == 0 || memcmp(buffer, runs[j].data, len) == 0, did,
                      "the bytes must be those that were set");
        }
    }
    cache_destroy(c);
}

/* Of so many pairs of keys some agree in 32 bits of any hash. */
TEST(equal_hashes_are_not_equal_keys, "P1", "14.2") {
    size_t n = test_scale(200000, 2000), wrong = 0, lost = 0;
    cache *c = create(n * 128, 1);
    for (size_t i = 0; i < n; i++) {
        set(c, text("there-%06zu", i), text("%zu", i));
    }
    for (size_t i = 0; i < n; i++) {
        const char *got = get(c, text("there-%06zu", i));
        lost += !got || strcmp(got, text("%zu", i)) != 0;
        wrong += has(c, text("other-%06zu", i));
    }
    want_int(lost, 0, text("set %zu keys, get them all", n),
             "two keys whose hashes agree are two keys");
    want_int(wrong, 0, text("set %zu keys, get as many others", n),
             "a hash says where to look: the key itself must be compared");
    cache_destroy(c);
}

TEST(a_value_that_does_not_fit_the_buffer_is_not_cut, "P1", "14.2") {
    cache *c = create(1 << 16, 1);
    char buffer[8] = "zzzzzzz";
    size_t len = 0;
    set(c, "name", "Alice");
    want_status(cache_get(c, bytes_of("name"), buffer, 4, &len),
                STATUS_TOO_LARGE, "set name=Alice, get name into 4 bytes",
                "compare the value's length with the buffer's size");
    want_int(len, 5, "get name=Alice into 4 bytes, look at len",
             "len says how large a buffer must be");
    want_text(buffer, "zzzzzzz", "get name=Alice into 4 bytes, look at them",
              "the buffer is written on STATUS_OK only");
    want_status(cache_get(c, bytes_of("name"), buffer, 5, &len), STATUS_OK,
                "get name=Alice into 5 bytes", "five bytes fit into five");
    want_text(buffer, "Alicezz", "get name=Alice into 5 bytes",
              "exactly the value's bytes are written");
    cache_destroy(c);
}

TEST(a_second_set_replaces_whatever_the_lengths, "P1", "14.2") {
    cache *c = create(1 << 18, 1);
    set(c, "left", "L");
    for (unsigned round = 0; round < 400; round++) {
        size_t len = round * 37 % 201;
        set(c, "x", text("%0*u", (int)len + 1, round));
        if (round == 0) {
            set(c, "right", "R");
        }
        want_text(get(c, "x"), text("%0*u", (int)len + 1, round),
                  text("set x to %zu bytes, get it", len + 1),
                  "the second set must replace the value, shorter or longer");
        want_text(get(c, "left"), "L", "set x anew, get left",
                  "a longer value must not be written over its neighbour");
        want_text(get(c, "right"), "R", "set x anew, get right",
                  "a longer value must not be written over its neighbour");
    }
    cache_destroy(c);
}

TEST(what_is_too_large_is_refused_and_nothing_happens, "P4", "14.2") {
    enum { BUDGET = 1 << 19, SHARDS = 2, MOST = BUDGET / SHARDS / 8 };
    cache *c = create(BUDGET, SHARDS);
    for (unsigned i = 0; i < 500; i++) {
        set(c, text("key-%u", i), "here");
    }
    const struct {
        size_t key, value;
        status want;
    } tries[] = {
        {1, MOST, STATUS_TOO_LARGE},    {100, MOST - 99, STATUS_TOO_LARGE},
        {1, 1 << 18, STATUS_TOO_LARGE}, {MOST + 1, 0, STATUS_TOO_LARGE},
        {1, MOST - 1, STATUS_OK},       {100, MOST - 100, STATUS_OK}};
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        const char *did = text("budget %d, %d shards: set a key of %zu bytes "
                               "to a value of %zu",
                               BUDGET, SHARDS, tries[i].key, tries[i].value);
        want_status(cache_set(c, long_bytes(tries[i].key, 3),
                              long_bytes(tries[i].value, 5)),
                    tries[i].want, did,
                    "key and value may be budget / shards / 8 together");
        size_t there = 0;
        for (unsigned k = 0; k < 500; k++) {
            there += has(c, text("key-%u", k));
        }
        want_int(there, 500, text("%s, count the others", did),
                 "nothing is evicted for what is refused, nor as long as "
                 "there is room");
    }
    set(c, "x", "old");
    want_status(cache_set(c, bytes_of("x"), long_bytes(MOST, 1)),
                STATUS_TOO_LARGE, "set x=old, set x to too much",
                "it does not fit");
    want_text(get(c, "x"), "old", "set x=old, set x to too much, get x",
              "a set that is refused changes nothing");
    cache_destroy(c);
    c = create(16 << 20, 1);
    want_status(cache_set(c, long_bytes(CACHE_KEY_MAX + 1, 1), bytes_of("v")),
                STATUS_TOO_LARGE, "set a key of 64 KiB and a byte",
                "no key is longer than CACHE_KEY_MAX");
    cache_destroy(c);
}

/* By the main thread alone, so that every step counted is its own. */
static double steps_per_get(size_t count) {
    cache *c = create(count * 200, 4);
    char buffer[8];
    size_t len, asked = 200;
    for (size_t i = 0; i < count; i++) {
        set(c, text("key-%zu", i), "value");
    }
    size_t steps = work_steps();
    for (size_t i = 0; i < asked; i++) {
        cache_get(c, bytes_of(text("key-%zu", i % (2 * count))), buffer, 8,
                  &len);
    }
    steps = work_steps() - steps;
    cache_destroy(c);
    return (double)steps / (double)asked;
}

TEST(a_get_costs_the_same_at_any_size, "P18", "14.2") {
    size_t many = test_scale(20000, 2000);
    double few_steps = steps_per_get(100), many_steps = steps_per_get(many);
    want_that(many_steps <= 2 * few_steps + 20,
              "get a key among 100, and among %zu\nwanted  as many steps\n"
              "got     %.0f and %.0f\n"
              "likely  a walk over the entries: the home of a key depends on "
              "all bits of its tag",
              many, few_steps, many_steps);
}

/* --- threads, and what they meet -------------------------------------------
 */

static int64_t patience_ms(void) {
    return getenv("TEST_LESS") ? 30000 : 1500;
}

static struct timespec in_ms(int64_t ms) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += ms / 1000 + (t.tv_nsec + ms % 1000 * 1000000) / 1000000000;
    t.tv_nsec = (t.tv_nsec + ms % 1000 * 1000000) % 1000000000;
    return t;
}

/* One lock for all that the threads of a test share. */
static pthread_mutex_t stage = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stage_changed = PTHREAD_COND_INITIALIZER;

typedef struct source {
    const char *value;
    status status;
    bool held; /* stays inside until let go */
    int calls, inside;
    int64_t takes_ms; /* by the frozen clock */
    void (*also)(struct source *s);
    cache *cache; /* for `also`, */
    status saw;   /* and what came of it */
    char key[ROOM];
} source;

/* Static: a thread that never comes back may still look at them. */
static source sources[4];

static source *source_of(size_t i, const char *value) {
    sources[i] = (source){.value = value};
    return &sources[i];
}

static source *failing(size_t i, status with) {
    sources[i] = (source){.value = "never", .status = with};
    return &sources[i];
}

static status from_source(void *context, bytes key, bytes *value) {
    source *s = context;
    moments_watch(NULL, NULL);
    pthread_mutex_lock(&stage);
    s->calls++;
    s->inside++;
    snprintf(s->key, sizeof s->key, "%.*s", (int)key.len,
             key.len > 0 ? (const char *)key.data : "");
    pthread_cond_broadcast(&stage_changed);
    struct timespec late = in_ms(2 * patience_ms());
    while (s->held
           && pthread_cond_timedwait(&stage_changed, &stage, &late) == 0) {
    }
    s->inside--;
    pthread_mutex_unlock(&stage);
    if (s->takes_ms != 0) {
        the_time += s->takes_ms;
    }
    if (s->also) {
        s->also(s);
    }
    *value = bytes_of(s->value);
    return s->status;
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

/* Waits until a loader is inside its source. */
static void be_inside(source *s, const char *did) {
    struct timespec late = in_ms(patience_ms());
    pthread_mutex_lock(&stage);
    while (s->inside == 0
           && pthread_cond_timedwait(&stage_changed, &stage, &late) == 0) {
    }
    bool inside = s->inside > 0;
    pthread_mutex_unlock(&stage);
    want_true(inside, did, "the loader is not called");
}

/* One call of the cache, and what came of it. */
typedef struct call {
    cache *cache;
    const char *key;
    source *source;        /* NULL: a set */
    void (*run)(cache *c); /* or anything else */
    int64_t wait_ms;
    size_t stops; /* at the n-th moment without a lock, until it may go on */
    bool stopped, over;
    status status;
    size_t len;
    char got[ROOM];
    pthread_t thread;
} call;

static call calls[THREADS];

static void make(call *c) {
    if (c->run) {
        c->run(c->cache);
        return;
    }
    if (!c->source) {
        c->status = cache_set(c->cache, bytes_of(c->key), bytes_of("set"));
        return;
    }
    c->status =
        cache_get_or_load(c->cache, bytes_of(c->key), from_source, c->source,
                          c->wait_ms, c->got, sizeof c->got - 1, &c->len);
}

static bool at_moment(void *context, moment m) {
    call *c = context;
    if (m != MOMENT_UNLOCKED || c->stops == 0 || --c->stops > 0) {
        return false;
    }
    struct timespec late = in_ms(2 * patience_ms());
    pthread_mutex_lock(&stage);
    c->stopped = true;
    pthread_cond_broadcast(&stage_changed);
    while (c->stopped
           && pthread_cond_timedwait(&stage_changed, &stage, &late) == 0) {
    }
    c->stopped = false;
    pthread_mutex_unlock(&stage);
    return false;
}

static void *run_call(void *argument) {
    call *c = argument;
    moments_watch(at_moment, c);
    make(c);
    moments_watch(NULL, NULL);
    pthread_mutex_lock(&stage);
    c->over = true;
    pthread_cond_broadcast(&stage_changed);
    pthread_mutex_unlock(&stage);
    return NULL;
}

/* A first call of each kind, by the main thread, on a cache of its own. */
static void be_written(void) {
    cache *c = create(1 << 16, 1);
    call ask = {.cache = c, .key = "k", .source = source_of(3, "v")};
    make(&ask);
    cache_get(c, bytes_of("k"), ask.got, 1, &ask.len);
    cache_set(c, bytes_of("k"), bytes_of("v"));
    cache_delete(c, bytes_of("k"));
    cache_statistics(c);
    cache_destroy(c);
}

static void begin(call *c) {
    pthread_create(&c->thread, NULL, run_call, c);
}

/* A get_or_load by a thread of its own. */
static call *begin_load(size_t i, cache *c, const char *key, source *s,
                        int64_t wait_ms) {
    calls[i] = (call){.cache = c, .key = key, .source = s, .wait_ms = wait_ms};
    begin(&calls[i]);
    return &calls[i];
}

static bool is_over_within(call *c, int64_t ms) {
    struct timespec late = in_ms(ms);
    pthread_mutex_lock(&stage);
    while (!c->over
           && pthread_cond_timedwait(&stage_changed, &stage, &late) == 0) {
    }
    bool over = c->over;
    pthread_mutex_unlock(&stage);
    return over;
}

static void end(call *c, const char *did, const char *likely) {
    want_that(is_over_within(c, patience_ms()),
              "%s\nwanted  an end of the call\ngot     none; it hangs\n"
              "likely  %s",
              did, likely);
    pthread_join(c->thread, NULL);
}

/* A get_or_load by this thread. */
static const call *load(cache *c, const char *key, source *s) {
    static call asked[4];
    static size_t turn;
    call *ask = &asked[turn++ % 4];
    *ask = (call){.cache = c, .key = key, .source = s, .len = 77};
    make(ask);
    return ask;
}

static void want_loaded(const call *c, status want, const char *value,
                        const char *did, const char *likely) {
    want_status(c->status, want, did, likely);
    want_bytes(((bytes){c->got, c->len}), bytes_of(value), did, likely);
}

static void be_joined(cache *c, uint64_t joins, const char *did) {
    struct timespec pause = {0, 1000000};
    uint64_t got = 0;
    for (int64_t ms = 0; got < joins && ms < patience_ms(); ms++) {
        got = cache_statistics(c).joins;
        if (got < joins) {
            nanosleep(&pause, NULL);
        }
    }
    want_int(got, joins, text("%s, look at joins", did),
             "who waits for another's load is counted before it waits");
}

#define LEFT_LOCKED \
    "a lock was left locked, or is taken by a thread that holds it"

static void go_every_way(cache *c) {
    char buffer[4];
    size_t len;
    cache_set(c, bytes_of("x"), bytes_of("Alice"));
    cache_get(c, bytes_of("x"), buffer, 1, &len);
    cache_get(c, bytes_of("nobody"), buffer, 1, &len);
    cache_set(c, bytes_of("x"), long_bytes(100000, 1));
    cache_set(c, bytes_of("x"), bytes_of("v"));
    cache_get(c, bytes_of("x"), buffer, 1, &len);
}

TEST(every_way_out_leaves_the_lock_open, "P2", "14.2") {
    cache *c = create(1 << 16, 1);
    char buffer[1];
    size_t len;
    cache_set(c, bytes_of("x"), bytes_of("v"));
    cache_get(c, bytes_of("x"), buffer, 1, &len);
    calls[0] = (call){.cache = c, .run = go_every_way};
    begin(&calls[0]);
    end(&calls[0],
        "set, get into a small buffer, get nobody, set too much, set",
        LEFT_LOCKED);
    cache_destroy(c);
}

static bool count_unlocks(void *context, moment m) {
    int *unlocks = context;
    *unlocks += m == MOMENT_UNLOCKED;
    return false;
}

TEST(who_is_alone_takes_no_lock, "P2", "14.2") {
    cache_options o = plain();
    o.one_thread = true;
    cache *c = create_with(1 << 16, 4, o);
    char got[8];
    size_t len = 0;
    int unlocks = 0;
    moments_watch(count_unlocks, &unlocks);
    status was_set = cache_set(c, bytes_of("x"), bytes_of("v"));
    status was_got = cache_get(c, bytes_of("x"), got, sizeof got, &len);
    moments_watch(NULL, NULL);
    want_status(was_set, STATUS_OK, "one_thread, set x", "as with threads");
    want_status(was_got, STATUS_OK, "one_thread, set x, get x",
                "as with threads");
    want_int(unlocks, 0, "one_thread, set x, get x: locks that were opened",
             "who says that he is alone pays for no lock: look at one_thread "
             "before each lock and each unlock");
    cache_destroy(c);
}

/* --- 14.3: the budget -------------------------------------------------------
 */

TEST(a_million_sets_stay_within_the_budget, "P3", "14.3") {
    enum { BUDGET = 2 << 20, SHARDS = 4 };
    size_t sets = test_scale(1000000, 30000), bad = 0, most = 0, seen = 0;
    static char buffer[2048];
    cache *warm = create(4096, 1); /* so that heap.c has its own tables */
    size_t held_before = heap_held(), live_before = heap_live_bytes();
    cache *c = create(BUDGET, SHARDS);
    size_t blocks = heap_allocations();
    uint64_t random = test_seed();
    for (size_t i = 0; i < sets; i++) {
        uint64_t r = test_random(&random);
        char key[16];
        size_t len = r >> 8 & 1023;
        len = r >> 32 & 15 ? len / 8 : len * 2; /* mostly short */
        bytes k = {key, (size_t)snprintf(key, sizeof key, "k%u",
                                         (unsigned)(r >> 40) % 20000)};
        memset(buffer, key[k.len - 1], len);
        bad += cache_set(c, k, (bytes){buffer, len}) != STATUS_OK;
        if (i % 64 == 0
            && cache_get(c, k, buffer, sizeof buffer, &seen) == STATUS_OK) {
            bad += seen != len
                   || (len > 0
                       && (buffer[0] != key[k.len - 1]
                           || buffer[len - 1] != buffer[0]));
        } else if (i % 64 == 0) {
            bad++;
        }
        if (i % 4096 == 0) {
            size_t held = heap_held() - held_before;
            most = held > most ? held : most;
        }
    }
    const char *did = text("%zu sets of mixed sizes, budget %d", sets, BUDGET);
    want_int(bad, 0, text("%s, count those that failed or read wrong", did),
             "an entry is written over another one that is still there");
    want_int(heap_allocations() - blocks, 0, text("%s, allocations", did),
             "entries live in the memory that create has asked for");
    want_at_most(heap_live_bytes() - live_before, BUDGET,
                 text("%s, count the bytes asked for", did),
                 "everything counts: entries, index, locks, the struct");
    want_at_most(most, BUDGET + CACHE_BEYOND_BYTES,
                 text("%s, ask malloc what it gave", did),
                 "everything counts: entries, index, locks, the struct");
    cache_destroy(c);
    cache_destroy(warm);
}

TEST(what_is_got_stays_and_what_is_not_goes, "P6", "14.3") {
    cache *c = create(1 << 16, 1);
    set(c, "hot", "h");
    set(c, "cold", "c");
    get(c, "cold");
    size_t sets = test_scale(20000, 5000);
    for (size_t i = 0; i < sets; i++) {
        set(c, text("new-%zu", i), "value");
        if (!has(c, "hot")) {
            want_that(false,
                      "budget 64 KiB: set keys, get hot after each one\n"
                      "wanted  hot to stay\ngot     a miss after %zu sets\n"
                      "likely  what was hit is dropped when its turn comes: it "
                      "has a second chance",
                      i + 1);
        }
    }
    want_text(get(c, "cold"), NULL,
              text("budget 64 KiB: set cold, get it once, set %zu others, "
                   "get cold",
                   sets),
              "a second chance is no third one: the mark of the hit must go");
    size_t newest = 0;
    for (size_t i = sets - 200; i < sets; i++) {
        newest += has(c, text("new-%zu", i));
    }
    want_int(newest, 200,
             "budget 64 KiB: set many keys, count the newest 200 that are "
             "there",
             "what goes is among the oldest");
    cache_destroy(c);
}

TEST(a_full_cache_takes_sets_at_the_same_cost, "P18", "14.3") {
    double steps[2];
    const size_t budgets[2] = {1 << 15, test_scale(1 << 20, 1 << 18)};
    for (size_t b = 0; b < 2; b++) {
        cache *c = create(budgets[b], 1);
        size_t n = budgets[b] / 40, total = 0;
        for (size_t i = 0; i < n; i++) {
            set(c, text("key-%zu", i), "value");
        }
        for (size_t i = 0; i < n; i++) {
            has(c, text("key-%zu", i));
        }
        for (size_t i = 0; i < n; i++) {
            bytes key = bytes_of(text("new-%zu", i));
            size_t begun = work_steps();
            cache_set(c, key, bytes_of("value"));
            total += work_steps() - begun;
        }
        steps[b] = (double)total / (double)n;
        cache_destroy(c);
    }
    want_that(steps[1] <= 2 * steps[0] + 20,
              "fill 32 KiB and %zu, get all, set as many again\n"
              "wanted  as many steps for each set\ngot     %.0f and %.0f\n"
              "likely  each set walks past many entries to find what goes",
              budgets[1], steps[0], steps[1]);
}

TEST(nothing_goes_while_half_is_free, "P5", "14.3") {
    enum { BUDGET = 1 << 16, KEYS = 150, EACH = 130 };
    cache *c = create(BUDGET, 1);
    size_t costs[KEYS] = {0}, lens[KEYS] = {0}, used = 0, len;
    static char buffer[2 * EACH];
    uint64_t random = test_seed();
    for (size_t i = 0; i < test_scale(30000, 6000); i++) {
        uint64_t r = test_random(&random);
        size_t k = r % KEYS, at = (r >> 32) % KEYS;
        len = (r >> 16) % (2 * EACH);
        const char *key = text("k%zu", k);
        size_t cost = len + strlen(key) + CACHE_ENTRY_OVERHEAD_MAX;
        if (used - costs[k] + cost > BUDGET / 2) {
            continue;
        }
        want_status(cache_set(c, bytes_of(key), long_bytes(len, (unsigned)k)),
                    STATUS_OK, "set a small entry", "it fits");
        used += cost - costs[k];
        costs[k] = cost;
        lens[k] = len;
        if (costs[at] == 0) {
            continue;
        }
        const char *did = text("budget 64 KiB: set %d keys again and again to "
                               "values of other lengths, get k%zu",
                               KEYS, at);
        want_status(cache_get(c, bytes_of(text("k%zu", at)), buffer,
                              sizeof buffer, &len),
                    STATUS_OK, did,
                    "what was replaced takes room for ever: what is live moves "
                    "on while there is enough of the rest");
        want_bytes(((bytes){buffer, len}), long_bytes(lens[at], (unsigned)at),
                   did, "an entry that moves takes all of its bytes along");
    }
    cache_destroy(c);
}

/* --- 14.4: delete and clear --------------------------------------------------
 */

TEST(a_deleted_key_is_gone, "P1", "14.4") {
    cache *c = create(1 << 16, 1);
    for (unsigned i = 0; i < 200; i++) {
        set(c, text("key-%u", i), text("%u", i));
    }
    for (unsigned i = 0; i < 200; i += 2) {
        want_true(cache_delete(c, bytes_of(text("key-%u", i))),
                  "set 200 keys, delete every second one",
                  "delete must say that it was there");
        want_false(cache_delete(c, bytes_of(text("key-%u", i))),
                   "delete a key twice", "the second one finds nothing");
    }
    for (unsigned i = 0; i < 200; i++) {
        want_text(get(c, text("key-%u", i)), i % 2 ? text("%u", i) : NULL,
                  text("set 200 keys, delete every second one, get key-%u", i),
                  "the deleted one is gone, and every other one still found");
    }
    cache_destroy(c);
}

TEST(clear_removes_all, "P1", "14.4") {
    cache *c = create(1 << 18, 4);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 1000; i++) {
            set(c, text("key-%u", i), "value");
        }
        cache_clear(c);
        size_t there = 0;
        for (unsigned i = 0; i < 1000; i++) {
            there += has(c, text("key-%u", i));
        }
        want_int(there, 0, "set 1000 keys, clear, count those that are there",
                 "clear empties every shard");
        set(c, "after", "clear");
        want_text(get(c, "after"), "clear", "clear, set after, get it",
                  "a cache that was cleared is as good as new");
    }
    cache_destroy(c);
}

/* --- 14.5: time
 * ---------------------------------------------------------------
 */

TEST(an_entry_is_there_for_exactly_its_time, "P7", "14.5") {
    cache_options o = plain();
    o.default_ttl_ms = 50;
    cache *c = create_with(1 << 16, 2, o);
    bytes x = bytes_of("x");
    int64_t remaining = -5;
    set(c, "brief", "b");
    want_status(cache_set_for(c, x, bytes_of("v"), 100), STATUS_OK,
                "set_for x, 100 ms", "it fits");
    want_status(
        cache_set_for(c, bytes_of("always"), bytes_of("a"), CACHE_NEVER),
        STATUS_OK, "set_for always, CACHE_NEVER", "it fits");
    the_time += 49;
    want_true(has(c, "brief"), "ttl 50: set brief, 49 ms pass, get brief",
              "set gives the default ttl");
    the_time += 1;
    want_false(has(c, "brief"), "ttl 50: set brief, 50 ms pass, get brief",
               "at exactly its end an entry is over");
    want_false(cache_delete(c, bytes_of("brief")),
               "ttl 50: set brief, 50 ms pass, delete brief",
               "what is over is not there");
    the_time += 49;
    want_true(cache_remaining_ms(c, x, &remaining),
              "set_for x, 100 ms; 99 pass; remaining", "it is still there");
    want_int(remaining, 1, "set_for x, 100 ms; 99 pass; remaining",
             "the end is 100 ms after the set");
    want_true(has(c, "x"), "set_for x, 100 ms; 99 pass; get x",
              "set_for's own ttl counts, not the default");
    the_time += 1;
    want_false(cache_remaining_ms(c, x, &remaining),
               "set_for x, 100 ms; 100 pass; remaining", "it is over");
    want_int(remaining, 1, "remaining of what is over, look at the number",
             "it is written only if the key is there");
    want_false(has(c, "x"), "set_for x, 100 ms; a get at 99; get at 100",
               "a get renews nothing");
    the_time += 1000000000;
    want_true(has(c, "always"), "set_for always, CACHE_NEVER; 11 days pass",
              "never is never");
    want_true(cache_remaining_ms(c, bytes_of("always"), &remaining),
              "remaining of what never ends", "it is there");
    want_true(remaining == CACHE_NEVER, "remaining of what never ends",
              "it is CACHE_NEVER");
    cache_destroy(c);
}

TEST(a_set_gives_a_new_time, "P7", "14.5") {
    cache *c = create(1 << 16, 2);
    cache_set_for(c, bytes_of("x"), bytes_of("v"), 100);
    cache_set_for(c, bytes_of("y"), bytes_of("v"), 100);
    the_time += 60;
    cache_set_for(c, bytes_of("x"), bytes_of("w"), 100);
    set(c, "y", "w");
    the_time += 60;
    want_true(has(c, "x"),
              "set_for x 100 at 0, set_for x 100 at 60, get at "
              "120",
              "the second set gives a new end, also where it writes over the "
              "old value");
    the_time += 1000;
    want_false(has(c, "x"), "set_for x 100 at 60, get at 1120", "it is over");
    want_true(has(c, "y"), "set_for y 100 at 0, set y at 60, get at 1120",
              "set takes the old end away");
    cache_destroy(c);
}

TEST(times_out_of_range_are_refused_or_never, "P16", "14.5") {
    cache *c = create(1 << 16, 1);
    bytes x = bytes_of("x");
    set(c, "x", "old");
    const int64_t bad[] = {0, -1, INT64_MIN};
    for (size_t i = 0; i < 3; i++) {
        want_status(cache_set_for(c, x, bytes_of("new"), bad[i]),
                    STATUS_INVALID,
                    text("set_for x, %lld ms", (long long)bad[i]),
                    "a ttl is 1 or more");
    }
    want_text(get(c, "x"), "old", "set x, set_for x with a bad ttl, get x",
              "a refused set changes nothing");
    const int64_t far[] = {(int64_t)1 << 41, INT64_MAX - 1, INT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        cache_set_for(c, x, bytes_of("new"), far[i]);
        the_time += (int64_t)1 << 33;
        want_true(
            has(c, "x"),
            text("set_for x, %lld ms; 100 days pass; get x", (long long)far[i]),
            "no ttl is too large: an end out of reach is never");
    }
    cache_set_for(c, x, bytes_of("new"), 1000);
    the_time = INT64_MAX;
    want_false(has(c, "x"), "set_for x, 1000 ms; the clock leaps to its end",
               "it is over");
    cache_destroy(c);
}

TEST(a_clock_that_steps_back_costs_nothing, "P7", "14.5") {
    cache *c = create(1 << 16, 1);
    bytes x = bytes_of("x");
    int64_t remaining = 0;
    cache_set_for(c, x, bytes_of("v"), 100);
    the_time -= 600;
    want_true(cache_remaining_ms(c, x, &remaining),
              "set_for x, 100 ms; the clock steps back", "it is there");
    want_int(remaining, 100, "set_for x, 100 ms; the clock steps back",
             "the step counts as no time");
    the_time += 99;
    want_true(has(c, "x"), "set_for x, 100 ms; a step back; 99 ms pass; get x",
              "it is there for 100 ms");
    the_time += 1;
    want_false(has(c, "x"),
               "set_for x, 100 ms; a step back; 100 ms pass; get x",
               "it does not live longer than its time: count the steps "
               "forward from where the clock stands now");
    cache_destroy(c);
}

TEST(a_look_at_the_time_left_keeps_nothing_alive, "P6", "14.5") {
    cache *c = create(1 << 16, 1);
    int64_t remaining;
    set(c, "x", "v");
    size_t sets = 5000, asked = 0;
    while (asked < sets && cache_remaining_ms(c, bytes_of("x"), &remaining)) {
        set(c, text("new-%zu", asked++), "value");
    }
    want_true(asked < sets,
              text("budget 64 KiB: set x, then %zu others, ask for the time "
                   "left of x before each; x is gone",
                   sets),
              "cache_remaining_ms is no get: it does not mark the entry");
    cache_destroy(c);
}

/* A clock that stays inside, with the lock of its shard held; but only in one
 * thread, as a set without a ttl may look at the clock, too. */
static _Thread_local bool stays;

static int64_t held_clock(void *context) {
    bytes none;
    if (stays) {
        from_source(context, bytes_of("clock"), &none);
    }
    return 1000;
}

static void set_for_a_while(cache *c) {
    stays = true;
    cache_set_for(c, bytes_of("x"), bytes_of("v"), 100);
    stays = false;
}

TEST(a_shard_in_use_holds_up_no_other, "P2", "14.5") {
    const char *did = "16 shards: while a set_for looks at the clock, set 16 "
                      "other keys without a ttl";
    cache_options o = plain();
    o.clock = (ms_clock){held_clock, source_of(0, "")};
    cache *c = create_with(1 << 20, 16, o);
    set(c, "x", "v");
    cache_set_for(c, bytes_of("x"), bytes_of("v"), 100);
    sources[0].held = true;
    calls[16] = (call){.cache = c, .run = set_for_a_while};
    begin(&calls[16]);
    be_inside(&sources[0], did);
    static char keys[16][8];
    size_t over = 0;
    for (size_t i = 0; i < 16; i++) {
        snprintf(keys[i], sizeof keys[i], "key-%zu", i);
        calls[i] = (call){.cache = c, .key = keys[i]};
        begin(&calls[i]);
    }
    for (size_t i = 0; i < 16 && over < 8; i++) {
        over += is_over_within(&calls[i], i < 8 ? patience_ms() / 8 : 10);
    }
    let_go(&sources[0]);
    for (size_t i = 0; i <= 16; i++) {
        end(&calls[i], did, LEFT_LOCKED);
    }
    want_that(
        over >= 8,
        "%s\nwanted  most of these sets to end meanwhile\n"
        "got     %zu of 16\nlikely  all keys share one lock, or one shard",
        did, over);
    cache_destroy(c);
}

/* --- random runs
 * ------------------------------------------------------------------- */

enum { MODEL_KEYS = 8 };

/* A cache in which nothing is evicted, beside plain arrays. */
struct beside {
    cache *cache;
    bool there[MODEL_KEYS];
    unsigned values[MODEL_KEYS];
    int64_t ends[MODEL_KEYS]; /* 0: never */
};

static void *model_begin(void) {
    struct beside *b = calloc(1, sizeof *b);
    cache_options o = plain();
    if (b && cache_create(1 << 13, 1, &o, &b->cache) != STATUS_OK) {
        free(b);
        return NULL;
    }
    return b;
}

static const char *model_key(unsigned k) {
    return text(k % 2 ? "k%u" : "a rather long key, number %u", k);
}

static const char *model_value(unsigned v) {
    return text("%0*u", (int)(v * v % 120) + 1, v);
}

static bool model_has(struct beside *b, unsigned k) {
    return b->there[k] && (b->ends[k] == 0 || the_time < b->ends[k]);
}

static const char *model_apply(void *state, model_step step) {
    struct beside *b = state;
    unsigned k = step.key, v = step.value;
    bytes key = bytes_of(model_key(k));
    char got[ROOM];
    size_t len;
    status s;
    switch (step.operation) {
    case 0:
    case 1:
        s = step.operation == 0
                ? cache_set(b->cache, key, bytes_of(model_value(v)))
                : cache_set_for(b->cache, key, bytes_of(model_value(v)), v + 1);
        b->there[k] = true;
        b->values[k] = v;
        b->ends[k] = step.operation == 0 ? 0 : the_time + v + 1;
        return s == STATUS_OK ? NULL : text("a set was %s", status_name(s));
    case 2:
        s = cache_delete(b->cache, key) == model_has(b, k) ? STATUS_OK
                                                           : STATUS_MISS;
        b->there[k] = false;
        return s == STATUS_OK ? NULL : "delete was wrong";
    case 3: the_time += v; return NULL;
    default:
        s = cache_get(b->cache, key, got, sizeof got, &len);
        if ((s == STATUS_OK) != model_has(b, k)) {
            return text("a get was %s", status_name(s));
        }
        return s != STATUS_OK
                       || bytes_equal((bytes){got, len},
                                      bytes_of(model_value(b->values[k])))
                   ? NULL
                   : "another value than the one set last";
    }
}

static const char *model_end(void *state) {
    struct beside *b = state;
    cache_destroy(b->cache);
    free(b);
    return NULL;
}

static void model_print(FILE *out, model_step step) {
    const char *calls_of_it[] = {"set", "set_for", "delete", "wait", "get"};
    fprintf(out, "%s(\"%s\", %u);", calls_of_it[step.operation],
            model_key(step.key), step.value);
}

TEST(any_mix_of_calls_agrees_with_plain_arrays, "P1", "14.5") {
    model_check(&(model){
        .operations = 5,
        .keys = MODEL_KEYS,
        .values = 40,
        .lists = 60,
        .steps = 150,
        .begin = model_begin,
        .apply = model_apply,
        .end = model_end,
        .print = model_print,
    });
}

/* --- 14.6: statistics
 * ---------------------------------------------------------
 */

TEST(everything_is_counted_exactly, "P8", "14.6") {
    const char *did = "set 3000 keys, get 3000 and one, expire one, refuse one";
    cache *c = create(1 << 16, 2);
    size_t hits = 0, bytes_there = 0;
    for (unsigned i = 0; i < 3000; i++) {
        set(c, text("key-%u", i), "value");
    }
    cache_stats before = cache_statistics(c);
    for (unsigned i = 0; i < 3000; i++) {
        if (has(c, text("key-%u", i))) {
            hits++;
            bytes_there += strlen(text("key-%u", i)) + 5;
        }
    }
    char one[1];
    size_t len;
    cache_get(c, bytes_of("key-2999"), one, 1, &len);
    cache_stats s = cache_statistics(c);
    want_int(s.hits, hits + 1, text("%s: hits", did),
             "a get that finds its key is a hit, even if it does not fit");
    want_int(s.misses, 3000 - hits, text("%s: misses", did),
             "all shards count");
    want_int(s.entries, hits, text("%s: entries", did),
             "as many as can be got");
    want_int(s.entry_bytes, bytes_there, text("%s: entry_bytes", did),
             "keys and values of what is there");
    want_int(s.evictions, 3000 - hits, text("%s: evictions", did),
             "what was set and is not there was evicted");
    want_true(s.held_bytes <= 1 << 16 && s.held_bytes > s.entry_bytes,
              text("%s: held_bytes", did), "what was taken of the budget");
    want_int(before.hits + before.misses, 0, "set 3000 keys: hits + misses",
             "a set is no get");
    cache_set_for(c, bytes_of("key-2999"), bytes_of("longer than before"), 10);
    the_time += 10;
    has(c, "key-2999");
    cache_set(c, bytes_of("large"), long_bytes(1 << 16, 1));
    cache_delete(c, bytes_of("key-2998"));
    cache_stats after = cache_statistics(c);
    want_int(after.expirations, 1, text("%s: expirations", did),
             "an entry that is met after its time counts once");
    want_int(after.refusals, 1, text("%s: refusals", did),
             "what is too large is counted");
    want_int(after.entries + after.evictions, s.entries + s.evictions - 2,
             text("%s: entries + evictions", did),
             "one has expired and one was deleted: neither is an eviction");
    cache_clear(c);
    want_int(cache_statistics(c).entry_bytes, 0, "clear: entry_bytes",
             "nothing is there");
    cache_destroy(c);
}

enum { WORKERS = 4 };

typedef struct worker {
    cache *cache;
    size_t number, turns, gets, torn, lost;
    pthread_t thread;
} worker;

static worker workers[WORKERS];

/* Values say in each byte what all of them are. */
static void *work(void *argument) {
    worker *w = argument;
    char value[300], got[300], own[16];
    uint64_t random = test_seed() + w->number;
    size_t len;
    bytes mine = {own, (size_t)snprintf(own, sizeof own, "own-%zu", w->number)};
    for (size_t i = 0; i < w->turns; i++) {
        uint64_t r = test_random(&random);
        char name[4] = {'k', (char)('0' + r % 8), 0, 0};
        size_t n = 100 + r / 8 % 3 * 50;
        memset(value, (char)(r >> 32), n);
        if (r >> 20 & 1) {
            cache_set(w->cache, (bytes){name, 2}, (bytes){value, n});
        }
        w->gets++;
        if (cache_get(w->cache, (bytes){name, 2}, got, sizeof got, &len)
            == STATUS_OK) {
            w->torn += memcmp(got, got + 1, len - 1) != 0;
        }
        memcpy(value, &i, sizeof i);
        cache_set(w->cache, mine, (bytes){value, sizeof i});
        w->gets++;
        w->lost += cache_get(w->cache, mine, got, sizeof got, &len) != STATUS_OK
                   || memcmp(got, &i, sizeof i) != 0;
    }
    return NULL;
}

static void begin_work(cache *c) {
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i] =
            (worker){.cache = c, .number = i, .turns = test_scale(20000, 1500)};
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
}

/* Returns: how many gets they made. */
static uint64_t end_work(const char *did) {
    uint64_t gets = 0;
    for (size_t i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        gets += workers[i].gets;
        want_int(workers[i].torn, 0, text("%s, count torn values", did),
                 "a value was read while it was changed");
        want_int(workers[i].lost, 0, text("%s, count lost updates", did),
                 "a thread did not find what it had set itself");
    }
    return gets;
}

TEST(many_threads_lose_tear_and_miscount_nothing, "P8", "14.6") {
    const char *did = "four threads set and get keys that they share";
    cache *first = create(1 << 16, 1);
    set(first, "x", "v");
    get(first, "x");
    cache_statistics(first);
    cache_destroy(first);
    cache *c = create(1 << 18, 2);
    begin_work(c);
    uint64_t gets = end_work(did);
    cache_stats s = cache_statistics(c);
    want_int(s.hits + s.misses, gets, text("%s, hits + misses", did),
             "counters are raised under the lock of the shard");
    cache_destroy(c);
}

TEST(prometheus_can_read_the_statistics, "P8", "14.6") {
    static const char want[] = "# TYPE cache_hits_total counter\n"
                               "cache_hits_total{cache=\"users\"} 2\n"
                               "# TYPE cache_misses_total counter\n"
                               "cache_misses_total{cache=\"users\"} 1\n"
                               "# TYPE cache_stale_total counter\n"
                               "cache_stale_total{cache=\"users\"} 0\n"
                               "# TYPE cache_loads_total counter\n"
                               "cache_loads_total{cache=\"users\"} 0\n"
                               "# TYPE cache_refreshes_total counter\n"
                               "cache_refreshes_total{cache=\"users\"} 0\n"
                               "# TYPE cache_failures_total counter\n"
                               "cache_failures_total{cache=\"users\"} 0\n"
                               "# TYPE cache_joins_total counter\n"
                               "cache_joins_total{cache=\"users\"} 0\n"
                               "# TYPE cache_evictions_total counter\n"
                               "cache_evictions_total{cache=\"users\"} 0\n"
                               "# TYPE cache_expirations_total counter\n"
                               "cache_expirations_total{cache=\"users\"} 0\n"
                               "# TYPE cache_refusals_total counter\n"
                               "cache_refusals_total{cache=\"users\"} 0\n"
                               "# TYPE cache_entries gauge\n"
                               "cache_entries{cache=\"users\"} 1\n"
                               "# TYPE cache_entry_bytes gauge\n"
                               "cache_entry_bytes{cache=\"users\"} 9\n"
                               "# TYPE cache_held_bytes gauge\n"
                               "cache_held_bytes{cache=\"users\"} ";
    cache *c = create(1 << 16, 1);
    char buffer[4096];
    size_t len = 0, more;
    set(c, "name", "Alice");
    get(c, "name");
    get(c, "name");
    get(c, "nobody");
    want_status(cache_prometheus(c, bytes_of("users"), buffer, 0, &len),
                STATUS_TOO_LARGE, "prometheus into 0 bytes",
                "a text that does not fit is not cut");
    memset(buffer, 'z', sizeof buffer);
    want_status(cache_prometheus(c, bytes_of("users"), buffer, len, &more),
                STATUS_OK, "prometheus into as much as it asked for",
                "len says how large a buffer must be");
    want_int(more, len, "prometheus twice, compare the lengths",
             "nothing has happened in between");
    want_true(buffer[len] == 'z' && buffer[len - 1] == '\n',
              "prometheus, look at its end",
              "each line ends with a line's end, and no zero byte follows");
    buffer[sizeof want - 1] = '\0';
    want_text(buffer, want,
              "set name=Alice, get it twice, get nobody, prometheus",
              "two lines for each field, in their order");
    const char *names[] = {"a\"b", "a\\b", "a\nb", text("%065d", 1)};
    for (size_t i = 0; i < 4; i++) {
        want_status(cache_prometheus(c, bytes_of(names[i]), buffer,
                                     sizeof buffer, &len),
                    STATUS_INVALID, text("prometheus of %.8s", names[i]),
                    "a name that would break the format is refused");
    }
    cache_destroy(c);
}

/* --- 14.7: loads
 * ---------------------------------------------------------------
 */

TEST(a_miss_loads_once_and_keeps, "P9", "14.7") {
    cache *c = create(1 << 16, 2);
    source *s = source_of(0, "Alice");
    want_loaded(load(c, "user:1", s), STATUS_OK, "Alice", "get_or_load user:1",
                "what the loader brings is copied out");
    want_text(s->key, "user:1", "get_or_load user:1, the loader's key",
              "the loader is called with the key that was asked for");
    want_loaded(load(c, "user:1", s), STATUS_OK, "Alice",
                "get_or_load user:1 twice", "the second one is a hit");
    want_int(s->calls, 1, "get_or_load user:1 twice, count the loads",
             "what was loaded is kept, and a hit never loads");
    want_text(get(c, "user:1"), "Alice", "get_or_load user:1, get it",
              "what was loaded is kept");
    const status bad[] = {STATUS_BACKEND, STATUS_MISS, STATUS_TIMEOUT};
    for (size_t i = 0; i < 3; i++) {
        source *f = failing(1, bad[i]);
        const char *did =
            text("get_or_load x; its loader says %s", status_name(bad[i]));
        const call *asked = load(c, "x", f);
        want_status(asked->status, bad[i], did,
                    "the loader's status comes back as it is");
        want_int(asked->len, 77, did, "without a value nothing is written");
        load(c, "x", f);
        want_int(f->calls, 2, text("%s, twice, count the loads", did),
                 "a failure is not kept");
    }
    cache_stats stats = cache_statistics(c);
    want_int(stats.loads, 7, "one load and 6 failures: loads",
             "each loader called is counted");
    want_int(stats.failures, 6, "one load and 6 failures: failures",
             "a loader that brought no value is counted");
    want_int(stats.misses, 7, "one load and 6 failures: misses",
             "each get_or_load is counted once");
    cache_destroy(c);
}

TEST(what_is_loaded_has_the_default_time, "P7", "14.7") {
    cache_options o = plain();
    o.default_ttl_ms = 50;
    cache *c = create_with(1 << 16, 1, o);
    source *s = source_of(0, "v");
    load(c, "x", s);
    the_time += 49;
    load(c, "x", s);
    want_int(s->calls, 1, "ttl 50: load x, load x 49 ms later, count", "a hit");
    the_time += 1;
    load(c, "x", s);
    want_int(s->calls, 2, "ttl 50: load x, load x 50 ms later, count",
             "its time is over");
    cache_destroy(c);
}

TEST(a_value_too_large_to_keep_is_given, "P9", "14.7") {
    cache *c = create(4096, 1);
    static char large[1000];
    memset(large, 'l', sizeof large - 1);
    source *s = source_of(0, large);
    static char buffer[1000];
    size_t len = 0;
    set(c, "y", "there");
    want_status(cache_get_or_load(c, bytes_of("x"), from_source, s, 0, buffer,
                                  sizeof buffer, &len),
                STATUS_OK, "get_or_load 999 bytes, where 512 fit",
                "what cannot be kept can still be given");
    want_int(len, 999, "get_or_load 999 bytes, where 512 fit", "all of it");
    want_true(has(c, "y") && !has(c, "x"), "the same, get x and y",
              "nothing is evicted for what does not fit");
    cache_destroy(c);
}

TEST(a_load_without_sense_is_refused, "P16", "14.7") {
    cache *c = create(1 << 16, 1);
    source *s = source_of(0, "v");
    char buffer[8];
    size_t len = 7;
    bytes x = bytes_of("x");
    want_status(cache_get_or_load(c, x, NULL, s, 1, buffer, 8, &len),
                STATUS_INVALID, "get_or_load with a loader of NULL",
                "look at the arguments first");
    want_status(cache_get_or_load(c, x, from_source, s, -1, buffer, 8, &len),
                STATUS_INVALID, "get_or_load with wait_ms = -1",
                "nobody can wait for less than no time");
    cache_stats stats = cache_statistics(c);
    want_true(s->calls == 0 && len == 7 && stats.misses == 0,
              "two calls that are refused, look around",
              "a refused call does nothing and counts nothing");
    cache_destroy(c);
}

TEST(sixty_four_threads_load_once, "P10", "14.7") {
    const char *did = "64 threads get_or_load x, which nobody has";
    be_written();
    cache *c = create(1 << 16, 4);
    source *s = source_of(0, "once");
    s->held = true;
    for (size_t i = 0; i < THREADS; i++) {
        begin_load(i, c, "x", s, INT64_MAX);
    }
    be_joined(c, THREADS - 1, did);
    let_go(s);
    for (size_t i = 0; i < THREADS; i++) {
        end(&calls[i], did, "nobody woke it: broadcast when the load is done");
        want_loaded(&calls[i], STATUS_OK, "once", did,
                    "all get what the one has loaded");
    }
    want_int(s->calls, 1, text("%s, count the loads", did),
             "one load serves all");
    cache_destroy(c);
}

TEST(a_failed_load_fails_for_all_who_wait, "P10", "14.7") {
    const char *did = "one thread loads x in vain, three wait for it";
    be_written();
    cache *c = create(1 << 16, 1);
    source *s = failing(0, STATUS_BACKEND);
    s->held = true;
    for (size_t i = 0; i < 4; i++) {
        begin_load(i, c, "x", s, INT64_MAX);
    }
    be_joined(c, 3, did);
    let_go(s);
    for (size_t i = 0; i < 4; i++) {
        end(&calls[i], did, "nobody woke it: a failure ends the wait, too");
        want_status(calls[i].status, STATUS_BACKEND, did,
                    "all hear what came of it");
    }
    want_int(s->calls, 1, text("%s, count the loads", did),
             "those who waited do not ask the failing source again");
    cache_destroy(c);
}

TEST(nobody_slips_in_between_look_and_announce, "P10", "14.7") {
    const char *did = "get_or_load x; before its loader runs, while it holds "
                      "no lock, get_or_load x in another thread";
    be_written();
    bool stopped = true;
    for (size_t nth = 1; stopped && nth < 10; nth++) {
        cache *c = create(1 << 16, 1);
        source *s = source_of(0, "once");
        calls[0] = (call){.cache = c, .key = "x", .source = s, .stops = nth};
        begin(&calls[0]);
        struct timespec late = in_ms(patience_ms());
        pthread_mutex_lock(&stage);
        while (!calls[0].stopped && !calls[0].over
               && pthread_cond_timedwait(&stage_changed, &stage, &late) == 0) {
        }
        stopped = calls[0].stopped;
        pthread_mutex_unlock(&stage);
        if (stopped) {
            begin_load(1, c, "x", s, INT64_MAX);
            is_over_within(&calls[1], 50);
            pthread_mutex_lock(&stage);
            calls[0].stopped = false;
            pthread_cond_broadcast(&stage_changed);
            pthread_mutex_unlock(&stage);
            end(&calls[1], did, LEFT_LOCKED);
        }
        end(&calls[0], did, LEFT_LOCKED);
        want_int(calls_of(s), 1, text("%s, count the loads", did),
                 "look into the cache, look for a load and list the own one "
                 "without opening the lock in between");
        cache_destroy(c);
    }
}

TEST(who_waits_waits_no_longer_than_said, "P10", "14.7") {
    const char *did = "while one thread loads x, get_or_load x with a wait";
    be_written();
    cache *c = create(1 << 16, 1);
    source *s = source_of(0, "late");
    s->held = true;
    call *loader = begin_load(0, c, "x", s, 0);
    be_inside(s, did);
    const int64_t waits[] = {0, 30};
    for (size_t i = 0; i < 2; i++) {
        call *waiter = begin_load(1, c, "x", s, waits[i]);
        end(waiter, text("%s of %d ms", did, (int)waits[i]),
            "the wait has no end, or another clock");
        want_status(waiter->status, STATUS_TIMEOUT,
                    text("%s of %d ms", did, (int)waits[i]),
                    "the load is still running");
    }
    let_go(s);
    end(loader, did, LEFT_LOCKED);
    want_loaded(loader, STATUS_OK, "late", did, "the load goes on");
    want_text(get(c, "x"), "late", text("%s, let it end, get x", did),
              "the load goes on for those who come later");
    cache_destroy(c);
}

/* Inside a loader: uses another key of the only shard, then asks for its own.
 */
static void ask_for_own_key(source *s) {
    char buffer[8];
    size_t len;
    cache_set(s->cache, bytes_of("y"), bytes_of("from inside"));
    s->saw = cache_get_or_load(s->cache, bytes_of("x"), from_source,
                               source_of(1, "never"), 100000, buffer,
                               sizeof buffer, &len);
}

TEST(a_loader_that_asks_for_its_own_key_is_told, "P10", "14.7") {
    const char *did = "a loader of x sets y, then asks for x";
    be_written();
    cache *c = create(1 << 16, 1);
    source *s = source_of(0, "outer");
    s->also = ask_for_own_key;
    s->cache = c;
    call *asked = begin_load(0, c, "x", s, 0);
    end(asked, did,
        "the lock is held while the loader runs, or it waits for "
        "itself");
    want_status(s->saw, STATUS_DEADLOCK, did,
                "the thread that loads a key must not wait for it");
    want_loaded(asked, STATUS_OK, "outer", did, "the load can still end well");
    want_text(get(c, "y"), "from inside", did, "a loader may use the cache");
    cache_destroy(c);
}

TEST(what_comes_during_a_load_wins, "P11", "14.7") {
    const char *what[] = {"set x", "delete x", "clear"};
    const char *left[] = {"new", NULL, NULL};
    be_written();
    for (size_t i = 0; i < 3; i++) {
        const char *did = text("while a loader of x is busy, %s", what[i]);
        cache *c = create(1 << 16, 1);
        source *s = source_of(0, "old");
        s->held = true;
        call *loader = begin_load(0, c, "x", s, 0);
        be_inside(s, did);
        i == 0   ? set(c, "x", "new")
        : i == 1 ? (void)cache_delete(c, bytes_of("x"))
                 : cache_clear(c);
        let_go(s);
        end(loader, did, LEFT_LOCKED);
        want_loaded(loader, STATUS_OK, "old", did, "who waited gets it");
        want_text(get(c, "x"), left[i],
                  text("%s, let the load end, get x", did),
                  "the load began before: what it brings is out of date, and "
                  "is not kept");
        cache_destroy(c);
    }
}

TEST(a_refused_set_leaves_the_load_alone, "P4", "14.7") {
    const char *did = "while a loader of x is busy, set x to too much";
    cache *c = create(1 << 16, 1);
    source *s = source_of(0, "loaded");
    s->held = true;
    call *loader = begin_load(0, c, "x", s, 0);
    be_inside(s, did);
    want_status(cache_set(c, bytes_of("x"), long_bytes(1 << 14, 1)),
                STATUS_TOO_LARGE, did, "it does not fit");
    let_go(s);
    end(loader, did, LEFT_LOCKED);
    want_text(get(c, "x"), "loaded", text("%s, let the load end, get x", did),
              "a set that is refused changes nothing: the load is kept");
    cache_destroy(c);
}

static void try_to_load(void *context) {
    cache *c = context;
    cache_delete(c, bytes_of("x"));
    const call *asked = load(c, "x", source_of(0, "v"));
    want_status(asked->status, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "get_or_load x while an allocation fails",
                "the load's own memory can fail, and so can that of what it "
                "brought");
    want_text(get(c, "x"), asked->status == STATUS_OK ? "v" : NULL,
              "get_or_load x while an allocation fails, get x",
              "what was not given is not kept");
    want_text(get(c, "y"), "there", "a load that failed, get y",
              "nothing that was there is lost");
}

TEST(without_memory_a_load_says_so, "P17", "14.7") {
    cache *c = create(1 << 16, 1);
    set(c, "y", "there");
    want_that(heap_fail_each(try_to_load, c) >= 1,
              "get_or_load, count allocations\nwanted  one at least\n"
              "got     none\nlikely  a load is not listed");
    want_int(heap_live_blocks(), 1, "load x in vain, count live blocks",
             "a load that failed must be given back");
    cache_destroy(c);
}

/* --- 14.8: stale
 * ----------------------------------------------------------------
 */

static cache *create_stale(void) {
    cache_options o = plain();
    o.default_ttl_ms = 100;
    o.stale_ms = 50;
    return create_with(1 << 16, 1, o);
}

TEST(the_old_value_stands_in_within_its_bound, "P12", "14.8") {
    cache *c = create_stale();
    source *f = failing(0, STATUS_BACKEND);
    set(c, "x", "old");
    the_time += 100;
    want_text(get(c, "x"), NULL, "ttl 100, stale 50: set x, get at 100",
              "for a get the old value is a miss");
    int64_t remaining;
    want_false(cache_remaining_ms(c, bytes_of("x"), &remaining),
               "ttl 100, stale 50: set x, remaining at 100", "it is not fresh");
    want_loaded(load(c, "x", f), STATUS_STALE, "old",
                "ttl 100, stale 50: set x, get_or_load in vain at 100",
                "where the load fails the old value is given, and marked");
    the_time += 49;
    want_loaded(load(c, "x", f), STATUS_STALE, "old",
                "ttl 100, stale 50: set x, get_or_load in vain at 149",
                "the bound is 50 ms after its time");
    want_int(cache_statistics(c).stale, 2, "two old values given: stale",
             "they are counted");
    want_int(cache_statistics(c).hits, 0, "two old values given: hits",
             "an old value is no hit");
    the_time += 1;
    want_status(load(c, "x", f)->status, STATUS_BACKEND,
                "ttl 100, stale 50: set x, get_or_load in vain at 150",
                "after its bound it is gone");
    set(c, "y", "old");
    the_time += 100;
    want_status(load(c, "y", failing(0, STATUS_MISS))->status, STATUS_MISS,
                "set y; after its time its loader finds that there is no y",
                "that is an answer, not a failure");
    want_status(load(c, "y", f = failing(0, STATUS_BACKEND))->status,
                STATUS_BACKEND,
                "the source says that there is no y; then it fails",
                "what the source does not have any more is gone");
    set(c, "z", "old");
    the_time += 100;
    want_loaded(load(c, "z", source_of(0, "new")), STATUS_OK, "new",
                "set z; after its time load it", "a good load is fresh");
    cache_destroy(c);
}

TEST(a_deleted_old_value_was_not_there, "P12", "14.8") {
    cache *c = create_stale();
    set(c, "x", "old");
    the_time += 100;
    want_false(cache_delete(c, bytes_of("x")),
               "ttl 100, stale 50: set x, delete it at 100",
               "delete says whether the key was there, and fresh");
    want_status(load(c, "x", failing(0, STATUS_BACKEND))->status,
                STATUS_BACKEND,
                "ttl 100, stale 50: set x, delete it at 100, load in vain",
                "what was deleted does not stand in");
    cache_destroy(c);
}

TEST(who_cannot_wait_gets_the_old_value, "P12", "14.8") {
    const char *did = "after the time of x, while one thread loads it anew, "
                      "get_or_load x with wait_ms = 0";
    be_written();
    cache *c = create_stale();
    set(c, "x", "old");
    the_time += 100;
    source *s = source_of(0, "new");
    s->held = true;
    call *loader = begin_load(0, c, "x", s, 0);
    be_inside(s, did);
    call *other = begin_load(1, c, "x", s, 0);
    end(other, did, "it waits though it said that it cannot");
    want_loaded(other, STATUS_STALE, "old", did,
                "a load that takes too long has failed, for this caller");
    let_go(s);
    end(loader, did, LEFT_LOCKED);
    want_loaded(loader, STATUS_OK, "new", did, "the load goes on");
    cache_destroy(c);
}

/* --- 14.9: early refresh
 * -----------------------------------------------------------
 */

/* How many of n keys, whose loads took 100 ms, load early so long before their
 * end. */
static double early(double beta, int64_t before_end_ms, size_t n) {
    cache_options o = plain();
    o.default_ttl_ms = 1000000;
    o.refresh_beta = beta;
    o.seed = test_seed();
    cache *c = create_with(4 << 20, 4, o);
    source *s = source_of(0, "v");
    s->takes_ms = 100;
    for (size_t i = 0; i < n; i++) {
        load(c, text("key-%zu", i), s);
    }
    source *f = failing(0, STATUS_BACKEND);
    for (size_t i = 0; i < n; i++) {
        the_time =
            1000 + 100 * (int64_t)(i + 1) + o.default_ttl_ms - before_end_ms;
        const call *asked = load(c, text("key-%zu", i), f);
        want_loaded(asked, STATUS_OK, "v",
                    "get_or_load a fresh key, whose early load fails",
                    "it is fresh: if the early load fails it stays");
    }
    want_int(cache_statistics(c).refreshes, f->calls,
             "get_or_load fresh keys: refreshes", "early loads are counted");
    want_int(cache_statistics(c).misses, n, "get_or_load fresh keys: misses",
             "a hit that loads early is still a hit");
    cache_destroy(c);
    return (double)f->calls / (double)n;
}

TEST(the_refresh_comes_as_early_as_its_law_says, "P13", "14.9") {
    const struct {
        double beta;
        int64_t before_end_ms;
    } tries[] = {{1, 1},   {1, 50},   {1, 100},    {1, 300}, {2, 100},
                 {2, 200}, {0.5, 50}, {1, 100000}, {0, 1}};
    size_t n = test_scale(2000, 500);
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        double beta = tries[i].beta, r = (double)tries[i].before_end_ms;
        double want = beta > 0 ? exp(-r / (beta * 100)) : 0;
        double got = early(beta, tries[i].before_end_ms, n);
        want_that(fabs(got - want) <= (n > 1000 ? 0.05 : 0.09),
                  "beta %.1f: get_or_load %zu keys, whose loads took 100 ms, "
                  "%.0f ms before their end\nwanted  %.2f of them to load "
                  "early: e^(-r / (beta * c))\ngot     %.2f\nlikely  -c * "
                  "beta * log(u) is compared with what is left of the time, u "
                  "drawn evenly from 0 to 1",
                  beta, n, r, want, got);
    }
}

static cache *create_eager(source *s) {
    cache_options o = plain();
    o.default_ttl_ms = 1000;
    o.refresh_beta = 1e9; /* each hit loads early */
    cache *c = create_with(1 << 16, 1, o);
    s->takes_ms = 10;
    load(c, "x", s);
    s->takes_ms = 0;
    return c;
}

TEST(one_refreshes_and_nobody_waits, "P13", "14.9") {
    const char *did = "while one thread loads x early, get_or_load x";
    be_written();
    source *s = source_of(0, "old");
    cache *c = create_eager(s);
    s = source_of(0, "new");
    s->held = true;
    call *loader = begin_load(0, c, "x", s, 0);
    be_inside(s, did);
    for (size_t i = 1; i < 9; i++) {
        call *other = begin_load(i, c, "x", s, INT64_MAX);
        end(other, did,
            "it waits for the load, though what it asks for is "
            "there and fresh");
        want_loaded(other, STATUS_OK, "old", did,
                    "all others get what is there");
    }
    want_text(get(c, "x"), "old", did, "so does a get");
    want_int(calls_of(s), 1, text("%s eight times, count the loads", did),
             "never do two load a key at once: look for a load first");
    let_go(s);
    end(loader, did, LEFT_LOCKED);
    want_loaded(loader, STATUS_OK, "new", did, "who has loaded gets the new");
    want_text(get(c, "x"), "new", text("%s, let it end, get x", did),
              "what was loaded early is kept");
    cache_destroy(c);
}

TEST(a_refresh_takes_away_what_the_source_has_no_more, "P12", "14.9") {
    source *s = source_of(0, "old");
    cache *c = create_eager(s);
    want_status(load(c, "x", failing(0, STATUS_MISS))->status, STATUS_MISS,
                "load x early; the source says that there is no x",
                "that is an answer, not a failure");
    want_text(get(c, "x"), NULL,
              "load x early; the source says that there is no x; get x",
              "what the source does not have any more is gone");
    cache_destroy(c);
}

/* --- 14.10: the log
 * -------------------------------------------------------------- */

static char heard[2048];

static void hear(void *context, cache_level level, const char *event, bytes key,
                 const char *reason) {
    const char *levels[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    size_t at = strlen(heard);
    snprintf(heard + at, sizeof heard - at, "%s%s %s %.*s: %s\n",
             context == heard ? "" : "context? ", levels[level], event,
             (int)(key.len < 20 ? key.len : 20), (const char *)key.data,
             reason);
}

static const char *play(cache_level least) {
    cache_options o = plain();
    o.default_ttl_ms = 100;
    o.stale_ms = 50;
    o.refresh_beta = 1e9;
    o.log = hear;
    o.log_context = heard;
    o.log_level = least;
    heard[0] = '\0';
    cache *c = create_with(4096, 1, o);
    source *s = source_of(0, "secret");
    s->takes_ms = 1;
    load(c, "x", s);                                    /* load */
    load(c, "x", s);                                    /* an early one */
    cache_set(c, bytes_of("big"), long_bytes(2000, 1)); /* refused */
    the_time += 100;
    load(c, "x", failing(0, STATUS_BACKEND)); /* fails, stale */
    the_time += 50;
    get(c, "x"); /* expires */
    set(c, "y", "secret");
    the_time += 100;
    load(c, "y", failing(0, STATUS_MISS)); /* invalid */
    cache_destroy(c);
    return heard;
}

TEST(the_log_is_told_what_happens, "P14", "14.10") {
    const char *all = "INFO load x: miss\n"
                      "INFO load x: early refresh\n"
                      "WARNING refuse big: too large\n"
                      "INFO load x: miss\n"
                      "ERROR fail x: backend failed\n"
                      "WARNING stale x: backend failed\n"
                      "DEBUG expire x: ttl\n"
                      "INFO load y: miss\n"
                      "DEBUG invalidate y: miss\n";
    want_text(play(CACHE_DEBUG), all,
              "load x, early too; set too much; fail; expire; invalidate",
              "an event is told once, when it happens, with key and reason");
    want_text(play(CACHE_WARNING),
              "WARNING refuse big: too large\nERROR fail x: backend failed\n"
              "WARNING stale x: backend failed\n",
              "the same, with the least level WARNING",
              "nothing below the level is told");
}

static void measure_key(void *context, cache_level level, const char *event,
                        bytes key, const char *reason) {
    (void)level, (void)event, (void)reason;
    *(size_t *)context = key.len;
}

TEST(the_log_is_told_no_key_longer_than_the_longest, "P14", "14.10") {
    size_t told = 0;
    cache_options o = plain();
    o.log = measure_key;
    o.log_context = &told;
    cache *c = create_with(1 << 16, 1, o);
    cache_set(c, long_bytes(CACHE_KEY_MAX + 1, 1), bytes_of("v"));
    want_int(told, CACHE_KEY_MAX,
             "set a key of 64 KiB and a byte, read the log: the key's bytes",
             "of a key that is too long the log has the first CACHE_KEY_MAX");
    cache_destroy(c);
}

TEST(the_log_is_told_of_each_eviction, "P14", "14.10") {
    static size_t told;
    cache_options o = plain();
    o.log = hear;
    o.log_context = heard;
    cache *c = create_with(4096, 1, o);
    told = 0;
    for (unsigned i = 0; i < 300; i++) {
        heard[0] = '\0';
        set(c, text("key-%u", i), "secret");
        for (const char *at = heard; (at = strstr(at, "DEBUG evict key-"));
             at++) {
            told++;
        }
        want_true(strstr(heard, "secret") == NULL, "set keys, read the log",
                  "a value is nobody's business");
    }
    want_true(told > 0, "set 300 keys in 4 KiB, count what was evicted",
              "evict is told with the reason budget");
    want_int(told, cache_statistics(c).evictions,
             "set 300 keys in 4 KiB, compare log and statistics",
             "each eviction is told once, with its key");
    cache_destroy(c);
}

/* --- 14.11: JSON
 * ------------------------------------------------------------------ */

static const char *json_key(const char *json) {
    char buffer[ROOM];
    size_t len = 0;
    status s = cache_json_key(bytes_of(json), buffer, sizeof buffer, &len);
    return s == STATUS_OK ? text("%.*s", (int)len, buffer) : status_name(s);
}

TEST(a_json_text_has_one_key, "P15", "14.11") {
    const char *same[][2] = {
        {" { \"b\" : 1 , \"a\" : [ true , null ] } ",
         "{\"a\":[true,null],\"b\":1}"},
        {"{\"b\":{\"d\":1,\"c\":2},\"a\":0}",
         "{\"a\":0,\"b\":{\"c\":2,\"d\":1}}"},
        {"[1.0, 1e0, 10e-1, 1]", "[1,1,1,1]"},
        {"[-0.0, 0, -0]", "[0,0,0]"},
        {"{\"a\":[{\"b\":100e-2}]}", "{\"a\":[{\"b\":1}]}"},
        {"[0.5, 5e-1, 0.50]", "[0.5,0.5,0.5]"},
        {"1152921504606846976.0", "1152921504606846976"},
        {"9223372036854775808.0", "9.2233720368547758e18"},
        {"9007199254740993", "9007199254740993"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"\"\\u0041\\u00e9\\/\"", "\"A\xc3\xa9/\""},
        {"\"a\\u0000b\"", "\"a\\u0000b\""},
        {"3", "3"},
        {"\"3\"", "\"3\""},
        {"3.5", "3.5"},
        {"null", "null"},
        {"{}", "{}"},
        {"[]", "[]"},
        {"10e299", "1.0000000000000001e300"},
        {"1e-1", "0.10000000000000001"},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        want_text(json_key(same[i][0]), same[i][1],
                  text("cache_json_key(%s)", same[i][0]),
                  "sort the members, leave out blanks, give each number one "
                  "form at every level");
    }
    want_true(strcmp(json_key("0.1"), json_key("0.10000000000000002")) != 0,
              "the keys of 0.1 and of 0.10000000000000002",
              "17 digits tell doubles apart");
}

static const char *nested(unsigned levels) {
    static char json[4096];
    memset(json, '[', levels);
    memset(json + levels, ']', levels);
    json[2 * levels] = '\0';
    return json;
}

TEST(what_is_not_json_is_refused, "P15", "14.11") {
    const char *bad[] = {"",         "NaN",          "[NaN]",
                         "Infinity", "[1,]",         "{\"a\":1,\"a\":2}",
                         "\"\xff\"", "{\"\xc3\":1}", "\"\\ud800\"",
                         "[1] [2]",  "1e999",        "123456789012345678901",
                         "'a'",      "{a:1}"};
    char buffer[8] = "zzzzzzz";
    size_t len = 77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        want_status(cache_json_key(bytes_of(bad[i]), buffer, 8, &len),
                    STATUS_INVALID, text("cache_json_key(%s)", bad[i]),
                    "what Jansson does not take is refused, a member twice as "
                    "well");
    }
    want_int(len, 77, "cache_json_key in vain, look at len",
             "nothing is written");
    want_text(json_key(nested(100)), nested(100), "100 levels of arrays",
              "CACHE_JSON_DEPTH_MAX levels are fine");
    want_text(json_key(nested(101)), "invalid argument", "101 levels of arrays",
              "one more is refused");
    want_status(cache_json_key(bytes_of("[1, 2, 3]"), buffer, 6, &len),
                STATUS_TOO_LARGE, "cache_json_key([1, 2, 3]) into 6 bytes",
                "the key has seven");
    want_int(len, 7, "cache_json_key([1, 2, 3]) into 6 bytes, len",
             "len says how large a buffer must be");
    want_text(buffer, "zzzzzzz", "cache_json_key into 6 bytes, look at them",
              "the buffer is written on STATUS_OK only");
    want_status(cache_json_key(bytes_of("[1, 2, 3]"), buffer, 7, &len),
                STATUS_OK, "cache_json_key([1, 2, 3]) into 7 bytes", "it fits");
}

static const call *call_add(cache *c, const char *arguments, source *s) {
    static call asked;
    asked = (call){.cache = c, .len = 77};
    asked.status =
        cache_with_json(c, bytes_of("add"), bytes_of(arguments), from_source, s,
                        0, asked.got, sizeof asked.got, &asked.len);
    return &asked;
}

TEST(the_same_arguments_are_the_same_call, "P15", "14.11") {
    cache *c = create(1 << 16, 1);
    source *s = source_of(0, "5");
    want_loaded(call_add(c, "[2, 3, {\"round\": true, \"base\": 10}]", s),
                STATUS_OK, "5", "with_json add(...)", "it calls and keeps");
    want_text(s->key, "add([2,3,{\"base\":10,\"round\":true}])",
              "with_json add(...), look at the loader's key",
              "the key is function(arguments)");
    call_add(c, "[2.0,3,{\"base\":1e1,\"round\":true}]", s);
    want_int(s->calls, 1, "with_json add twice, members in another order",
             "the same arguments in another order are the same key");
    call_add(c, "[3,2,{\"base\":10,\"round\":true}]", s);
    want_int(s->calls, 2, "with_json add(2, 3), then add(3, 2)",
             "an array's order is not one of writing");
    char buffer[8];
    size_t len;
    cache_with_json(c, bytes_of("sub"),
                    bytes_of("[2,3,{\"base\":10,\"round\":true}]"), from_source,
                    s, 0, buffer, 8, &len);
    want_int(s->calls, 3, "with_json add(...), then sub(...)",
             "the function is part of the key");
    want_status(call_add(c, "[NaN]", s)->status, STATUS_INVALID,
                "with_json add(NaN)", "bad arguments are refused");
    static char large[CACHE_KEY_MAX + 8];
    memset(large, '1', sizeof large - 1);
    large[0] = large[CACHE_KEY_MAX + 6] = '"';
    const call *too_long = call_add(c, large, s);
    want_status(too_long->status, STATUS_TOO_LARGE,
                "with_json add(64 KiB of text)", "no key is that long");
    want_int(too_long->len, 0, "with_json add(64 KiB of text), len",
             "it is not the buffer that is too small");
    want_int(s->calls, 3, "with_json with bad arguments, count the loads",
             "nothing is called");
    cache_destroy(c);
}

static void try_json(void *context) {
    char buffer[64] = "zzz";
    size_t len = 77;
    status s = cache_json_key(bytes_of("{\"b\":[1.0,\"x\"],\"a\":2.5}"), buffer,
                              sizeof buffer, &len);
    size_t *told = context;
    *told += s == STATUS_NO_MEMORY;
    if (!heap_has_failed()) {
        want_status(s, STATUS_OK, "cache_json_key with memory", "it is JSON");
        return;
    }
    want_true(s == STATUS_NO_MEMORY || s == STATUS_INVALID,
              "cache_json_key while an allocation fails",
              "look at what Jansson returns");
    want_true(len == 77 && strcmp(buffer, "zzz") == 0,
              "cache_json_key while an allocation fails, look around",
              "what fails writes nothing");
}

TEST(without_memory_json_gives_all_back, "P17", "14.11") {
    size_t told = 0;
    libraries_count(true);
    size_t live = heap_live_blocks();
    heap_fail_each(try_json, &told);
    libraries_count(false);
    want_true(told >= 3, "cache_json_key while each allocation fails",
              "a lack of memory is no bad JSON");
    want_int(heap_live_blocks(), live,
             "cache_json_key while each allocation fails, count live blocks",
             "each json_t is given back once, whatever fails");
}

/* --- 14.12: keys that will be asked for ----------------------------------- */

static size_t clock_looks;

static int64_t watched_clock(void *context) {
    (void)context;
    clock_looks++;
    return the_time;
}

TEST(to_expect_keys_changes_nothing, "P20", "14.12") {
    enum { KEYS = 40 };
    const char *did = "set five keys, one of which is over; expect these and "
                      "others";
    static bytes keys[KEYS];
    cache_options o = plain();
    o.clock = (ms_clock){watched_clock, NULL};
    o.log = hear;
    o.log_context = heard;
    cache *c = create_with(4 << 20, 2, o);
    const bytes there[] = {bytes_of("there"),
                           {NULL, 0},
                           {"a\0b", 3},
                           long_bytes(CACHE_KEY_MAX, 1)};
    for (size_t i = 0; i < KEYS; i++) {
        keys[i] = i < 4 ? there[i] : bytes_of(i < 20 ? "over" : "nobody");
    }
    keys[KEYS - 1] = long_bytes(CACHE_KEY_MAX + 1, 2);
    for (size_t i = 0; i < 4; i++) {
        cache_set(c, there[i], bytes_of("v"));
    }
    cache_set_for(c, bytes_of("over"), bytes_of("v"), 10);
    the_time += 10;
    heard[0] = '\0';
    size_t looks = clock_looks, blocks = heap_allocations();
    cache_stats before = cache_statistics(c);
    cache_expect(c, NULL, 0);
    cache_expect(c, keys, KEYS);
    cache_stats after = cache_statistics(c);
    want_int(clock_looks, looks, text("%s, looks at the clock", did),
             "nobody needs the time to fetch a line of memory");
    want_int(heap_allocations(), blocks, text("%s, allocations", did),
             "the hashes of a group have room in a local array");
    want_text(heard, "", text("%s, hear the log", did), "nothing has happened");
    want_int(after.hits, before.hits, text("%s: hits", did), "it is no get");
    want_int(after.misses, before.misses, text("%s: misses", did),
             "it is no get: who asks for nothing misses nothing");
    want_int(after.entries, before.entries, text("%s: entries", did),
             "an entry that is over waits for who meets it: here nobody does");
    want_true(memcmp(&after, &before, sizeof after) == 0,
              text("%s, compare the statistics", did), "nothing is counted");
    for (size_t i = 0; i < 4; i++) {
        char got[8];
        size_t len = 0;
        want_status(cache_get(c, there[i], got, sizeof got, &len), STATUS_OK,
                    text("%s, get a key of %zu bytes", did, there[i].len),
                    "it was set, and is there");
    }
    want_false(has(c, "over"), text("%s, get the one that is over", did),
               "to be expected makes nobody younger");
    want_int(cache_statistics(c).expirations, 1, text("%s, get all", did),
             "now it was met");
    cache_destroy(c);
}

TEST(to_be_expected_keeps_nothing_alive, "P20", "14.12") {
    cache *c = create(1 << 16, 1);
    bytes x = bytes_of("x");
    int64_t remaining;
    set(c, "x", "v");
    size_t sets = 5000, done = 0;
    while (done < sets && cache_remaining_ms(c, x, &remaining)) {
        cache_expect(c, &x, 1);
        set(c, text("new-%zu", done++), "value");
    }
    want_true(done < sets,
              text("budget 64 KiB: set x, then %zu others, expect x before "
                   "each; x is gone",
                   sets),
              "only a get marks an entry: what is expected may never be asked "
              "for");
    cache_destroy(c);
}

static void expect_and_set(cache *c) {
    const bytes keys[] = {bytes_of("x"), bytes_of("nobody")};
    cache_expect(c, keys, 2);
    cache_set(c, bytes_of("x"), bytes_of("v"));
}

TEST(who_expects_leaves_the_lock_open, "P2", "14.12") {
    cache_options o = plain();
    int unlocks = 0;
    o.one_thread = true;
    cache *alone = create_with(1 << 16, 4, o), *c = create(1 << 18, 1);
    const bytes some[] = {bytes_of("k0"), bytes_of("k1"), bytes_of("k2"),
                          bytes_of("k3"), bytes_of("none")};
    moments_watch(count_unlocks, &unlocks);
    cache_expect(alone, some, 5);
    moments_watch(NULL, NULL);
    want_int(unlocks, 0, "one_thread, expect keys: locks that were opened",
             "who says that he is alone pays for no lock");
    cache_destroy(alone);
    cache_set(c, bytes_of("x"), bytes_of("v"));
    calls[0] = (call){.cache = c, .run = expect_and_set};
    begin(&calls[0]);
    end(&calls[0], "expect x and nobody, set x", LEFT_LOCKED);
    begin_work(c);
    for (size_t i = 0; i < test_scale(20000, 1500); i++) {
        cache_expect(c, some, 5);
    }
    end_work("four threads set and get keys that another one expects");
    cache_destroy(c);
}
