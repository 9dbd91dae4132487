/* Tests of the hierarchy. Most levels are fakes: small arrays that write down
 * each call, fail when they are told to, and lend a value until their next
 * call and not a moment longer. */
#include "layers.h"

#include "support/check.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/redis.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum {
    ROOM = 16,
    SIZE = 40,
    RETRY_MS = 200,
    MISSED_MAX = 3,
    DAY_MS = 86400000
};

/* --- fakes --------------------------------------------------------------- */

struct pair {
    char key[SIZE], value[SIZE];
    size_t key_len, value_len;
};

/* What a set that timed out had to do is done late: before the next call that
 * succeeds, or when the fake is mended. */
struct fake {
    int number;                                         /* of its level */
    status get_says, set_says, delete_says, clear_says; /* STATUS_OK: works */
    size_t room, count, late_count;
    struct pair held[ROOM], late[ROOM];
    char lent[SIZE];
    uint64_t hits, misses, failures; /* what it answered to gets */
    size_t calls, ends;
    int64_t failed_ms; /* when a call failed last */
};

static struct fake fakes[LAYERS_MAX];
static char asked[512], changed[512]; /* the gets, and all other calls */
static int64_t now_ms;
static size_t clock_reads;

/* Writes a call down: its letter, its level, its key, and perhaps a value. */
static void note(char *journal, char call, const struct fake *f, bytes key,
                 const bytes *value) {
    size_t used = strlen(journal), left = sizeof asked - used;
    if (value) {
        snprintf(journal + used, left, "%c%d(%.*s=%.*s) ", call, f->number,
                 (int)key.len, (const char *)key.data, (int)value->len,
                 (const char *)value->data);
    } else {
        snprintf(journal + used, left, "%c%d(%.*s) ", call, f->number,
                 (int)key.len, (const char *)key.data);
    }
}

static struct pair *find(struct fake *f, bytes key) {
    for (size_t i = 0; i < f->count; i++) {
        struct pair *p = &f->held[i];
        if (bytes_equal((bytes){p->key, p->key_len}, key)) {
            return p;
        }
    }
    return NULL;
}

static void drop(struct fake *f, bytes key) {
    struct pair *p = find(f, key);
    if (p) {
        size_t after = f->count - (size_t)(p - f->held) - 1;
        memmove(p, p + 1, after * sizeof *p);
        f->count--;
    }
}

static struct pair pair_of(bytes key, bytes value) {
    struct pair p = {.key_len = key.len < SIZE ? key.len : SIZE,
                     .value_len = value.len < SIZE ? value.len : SIZE};
    memcpy(p.key, key.len ? key.data : "", p.key_len);
    memcpy(p.value, value.len ? value.data : "", p.value_len);
    return p;
}

static void keep(struct fake *f, struct pair p) {
    drop(f, (bytes){p.key, p.key_len});
    if (f->count == f->room) {
        memmove(f->held, f->held + 1, --f->count * sizeof p);
    }
    f->held[f->count++] = p;
}

static void catch_up(struct fake *f) {
    for (size_t i = 0; i < f->late_count; i++) {
        keep(f, f->late[i]);
    }
    f->late_count = 0;
}

/* Every call of a fake takes back what it had lent, and one that will succeed
 * comes after all that were made before. */
static void called(struct fake *f, status says) {
    f->calls++;
    memset(f->lent, '#', sizeof f->lent);
    if (says == STATUS_OK) {
        catch_up(f);
    }
}

static status answer(struct fake *f, status s) {
    if (s != STATUS_OK && s != STATUS_MISS) {
        f->failed_ms = now_ms;
    }
    return s;
}

static status fake_get(void *context, bytes key, bytes *value) {
    struct fake *f = context;
    called(f, f->get_says);
    note(asked, 'g', f, key, NULL);
    const struct pair *p = find(f, key);
    if (f->get_says != STATUS_OK) {
        f->failures++;
        return answer(f, f->get_says);
    }
    if (!p) {
        f->misses++;
        return STATUS_MISS;
    }
    f->hits++;
    memcpy(f->lent, p->value, p->value_len);
    *value = (bytes){f->lent, p->value_len};
    return STATUS_OK;
}

static status fake_set(void *context, bytes key, bytes value) {
    struct fake *f = context;
    called(f, f->set_says);
    note(changed, 's', f, key, &value);
    if (f->set_says == STATUS_OK) {
        keep(f, pair_of(key, value));
    } else if (f->set_says == STATUS_TIMEOUT && f->late_count < ROOM) {
        f->late[f->late_count++] = pair_of(key, value);
    }
    return answer(f, f->set_says);
}

static status fake_delete(void *context, bytes key) {
    struct fake *f = context;
    called(f, f->delete_says);
    note(changed, 'd', f, key, NULL);
    if (f->delete_says == STATUS_OK) {
        drop(f, key);
    }
    return answer(f, f->delete_says);
}

static status fake_clear(void *context) {
    struct fake *f = context;
    called(f, f->clear_says);
    note(changed, 'c', f, (bytes){"", 0}, NULL);
    if (f->clear_says == STATUS_OK) {
        f->count = 0;
    }
    return answer(f, f->clear_says);
}

static void fake_destroy(void *context) {
    struct fake *f = context;
    f->ends++;
}

/* Lets every call of a level fail, from now on. */
static void break_level(size_t level, status s) {
    struct fake *f = &fakes[level - 1];
    f->get_says = f->set_says = f->delete_says = f->clear_says = s;
}

static void mend_level(size_t level) {
    struct fake *f = &fakes[level - 1];
    break_level(level, STATUS_OK);
    catch_up(f);
}

static int64_t read_clock(void *context) {
    ++*(size_t *)context;
    return now_ms;
}

static void forget_calls(void) {
    asked[0] = changed[0] = '\0';
}

static void reset(void) {
    memset(fakes, 0, sizeof fakes);
    forget_calls();
    now_ms = 5000;
    clock_reads = 0;
    for (size_t i = 0; i < LAYERS_MAX; i++) {
        fakes[i].number = (int)i + 1;
        fakes[i].room = ROOM;
        fakes[i].failed_ms = -DAY_MS;
    }
}

static layer cache_level(size_t level) {
    return (layer){.get = fake_get,
                   .set = fake_set,
                   .del = fake_delete,
                   .clear = fake_clear,
                   .destroy = fake_destroy,
                   .context = &fakes[level - 1]};
}

static layer source_level(size_t level) {
    layer y = cache_level(level);
    y.clear = NULL;
    return y;
}

/* A source that others write. */
static layer read_only_level(size_t level) {
    layer y = source_level(level);
    y.set = NULL;
    y.del = NULL;
    return y;
}

/* --- hierarchies --------------------------------------------------------- */

static layers *join(const layer *levels, size_t count) {
    layers *l = NULL;
    layers_options o = {.retry_ms = RETRY_MS,
                        .missed_max = MISSED_MAX,
                        .clock = {read_clock, &clock_reads},
                        .seed = 42};
    want_status(layers_create(levels, count, &o, &l), STATUS_OK,
                text("layers_create(levels, %zu, &options, &l)", count),
                "create fails though there is memory");
    want_true(l != NULL, "layers_create(levels, count, &options, &l)",
              "create says ok and does not write the hierarchy to *out");
    return l;
}

/* So many fakes, all of them caches. */
static layers *caches(size_t count) {
    layer levels[LAYERS_MAX];
    reset();
    for (size_t i = 0; i < count; i++) {
        levels[i] = cache_level(i + 1);
    }
    return join(levels, count);
}

/* So many fakes, the last of them a source. */
static layers *over_source(size_t count) {
    layer levels[LAYERS_MAX];
    reset();
    for (size_t i = 0; i < count; i++) {
        levels[i] = i + 1 < count ? cache_level(i + 1) : source_level(i + 1);
    }
    return join(levels, count);
}

static layer lru_level(size_t capacity) {
    layer y = {0};
    want_status(layer_lru(capacity, 42, &y), STATUS_OK,
                text("layer_lru(%zu, 42, &level)", capacity),
                "it fails though there is memory");
    want_true(
        y.get && y.set && y.del && y.clear && y.destroy,
        text("layer_lru(%zu, 42, &level), look at its functions", capacity),
        "a cache has get, set, del and clear; this one has something to end, "
        "too");
    return y;
}

/* What a fake holds, without asking it. */
static void put(size_t level, const char *key, const char *value) {
    keep(&fakes[level - 1], pair_of(bytes_of(key), bytes_of(value)));
}

static const char *held(size_t level, const char *key) {
    const struct pair *p = find(&fakes[level - 1], bytes_of(key));
    return p ? text("%.*s", (int)p->value_len, p->value) : "nothing";
}

/* What one level answers, when it is asked by itself. */
static const char *level_get(layer y, bytes key) {
    bytes value = {"unwritten", 9};
    status s = y.get(y.context, key, &value);
    return s == STATUS_OK ? text("%.*s", (int)value.len,
                                 value.len ? (const char *)value.data : "")
                          : status_name(s);
}

static void level_set(layer y, const char *key, const char *value) {
    want_status(y.set(y.context, bytes_of(key), bytes_of(value)), STATUS_OK,
                text("on the level itself: set %s=%s", key, value),
                "a set of a level fails");
}

/* "Alice from 2", or the status. */
static const char *get(layers *l, const char *key) {
    bytes value = {NULL, 0};
    size_t level = 0;
    status s = layers_get(l, bytes_of(key), &value, &level);
    return s == STATUS_OK
               ? text("%.*s from %zu", (int)value.len,
                      value.len ? (const char *)value.data : "", level)
               : status_name(s);
}

static status set(layers *l, const char *key, const char *value) {
    return layers_set(l, bytes_of(key), bytes_of(value));
}

static status del(layers *l, const char *key) {
    return layers_delete(l, bytes_of(key));
}

#define want_get(l, key, want, did, likely) \
    do {                                    \
        const char *came = get(l, key);     \
        want_text(came, want, did, likely); \
    } while (0)

#define want_held(level, key, want, did, likely) \
    do {                                         \
        const char *came = held(level, key);     \
        want_text(came, want, did, likely);      \
    } while (0)

/* --- 10.1: an lru as a level --------------------------------------------- */

TEST(an_lru_level_gives_back_what_was_set, "P5", "10.1") {
    layer y = lru_level(4);
    char value[] = "Alice";
    want_status(y.set(y.context, bytes_of("a"), bytes_of(value)), STATUS_OK,
                "set a=Alice", "a set of a level fails");
    value[0] = 'x';
    const char *got = level_get(y, bytes_of("a"));
    want_text(got, "Alice", "set a=Alice, write over the caller's copy, get a",
              "the level must copy the value: its length and its bytes");
    level_set(y, "a", "Bob");
    got = level_get(y, bytes_of("a"));
    want_text(got, "Bob", "set a=Alice, set a=Bob, get a",
              "a second set must replace the value");
    got = level_get(y, bytes_of("b"));
    want_text(got, "miss", "set a, get b", "b was never set");
    want_status(y.del(y.context, bytes_of("a")), STATUS_OK, "set a, delete a",
                "a delete of a level says ok");
    got = level_get(y, bytes_of("a"));
    want_text(got, "miss", "set a, delete a, get a", "delete must delete");
    want_status(y.del(y.context, bytes_of("a")), STATUS_OK,
                "delete a once more",
                "gone is gone: for a level, a key that is not there is no "
                "failure of delete");
    y.destroy(y.context);
}

TEST(an_lru_level_takes_any_bytes, "P4", "10.1") {
    layer y = lru_level(4);
    bytes key = {"k\0y", 3}, value = {"v\0l", 3}, found = {NULL, 0};
    want_status(y.set(y.context, key, value), STATUS_OK, "set k\\0y=v\\0l",
                "keys and values are any bytes");
    want_status(y.get(y.context, key, &found), STATUS_OK,
                "set k\\0y=v\\0l; then get k\\0y",
                "a key does not end at a zero byte");
    want_bytes(found, value,
               "set k\\0y=v\\0l; then get k\\0y; then look at the value",
               "a value does not end at a zero byte");
    want_status(y.set(y.context, key, (bytes){NULL, 0}), STATUS_OK,
                "set k\\0y to no bytes", "a value of no bytes is one");
    want_status(y.get(y.context, key, &found), STATUS_OK,
                "set k\\0y to no bytes; then get k\\0y",
                "a value of no bytes is no miss");
    want_int(found.len, 0,
             "set k\\0y to no bytes; then get k\\0y; then look at its length",
             "the set must replace the longer value");
    y.destroy(y.context);
}

TEST(an_lru_level_gives_up_the_least_recent, "P5", "10.1") {
    layer y = lru_level(2);
    level_set(y, "a", "1");
    level_set(y, "b", "2");
    level_get(y, bytes_of("a"));
    level_set(y, "c", "3");
    const char *a = level_get(y, bytes_of("a"));
    want_text(a, "1", "capacity 2: set a, set b, get a, set c; get a",
              "a get must promote within the lru: b was the least recent");
    const char *b = level_get(y, bytes_of("b"));
    want_text(b, "miss", "capacity 2: set a, set b, get a, set c; get b",
              "a level holds at most its capacity");
    want_status(y.clear(y.context), STATUS_OK,
                "capacity 2: set a, set b, get a, set c; get b; then clear",
                "with memory, a clear says ok");
    a = level_get(y, bytes_of("a"));
    want_text(
        a, "miss",
        "capacity 2: set a, set b, get a, set c; get b; then clear; then get a",
        "clear deletes every key");
    level_set(y, "a", "4");
    level_set(y, "b", "5");
    level_set(y, "c", "6");
    a = level_get(y, bytes_of("a"));
    want_text(a, "miss",
              "capacity 2: set a, set b, get a, set c; get b; then clear; then "
              "get a; then set a, set b, set c; get a",
              "after a clear the capacity is what it was: 2");
    b = level_get(y, bytes_of("b"));
    want_text(b, "5",
              "capacity 2: set a, set b, get a, set c; get b; then clear; then "
              "set a, set b, set c; get b",
              "after a clear the capacity is what it was: 2");
    const char *c = level_get(y, bytes_of("c"));
    want_text(c, "6",
              "capacity 2: set a, set b, get a, set c; get b; then clear; then "
              "get a; then set a, set b, set c; get a; get c",
              "after a clear the level must work");
    y.destroy(y.context);
    layer none;
    want_status(layer_lru(0, 42, &none), STATUS_INVALID, "layer_lru(0, ...)",
                "hand on what lru_create says, and free what you had");
}

static void try_lru_level(void *context) {
    layer y = {0};
    status s = layer_lru(2, 42, &y);
    ++*(size_t *)context;
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "layer_lru while an allocation fails",
                "every result of malloc and lru_create must be looked at");
    if (s != STATUS_OK) {
        want_true(y.get == NULL, "layer_lru without memory, look at *out",
                  "out-parameters are written only on success");
        return;
    }
    bytes key = bytes_of("a key of more than sixteen bytes");
    s = y.set(y.context, key, bytes_of("old"));
    bool kept = s == STATUS_OK;
    want_status(s, kept || !heap_has_failed() ? STATUS_OK : STATUS_NO_MEMORY,
                "set on a level while an allocation fails",
                "the copy of the value may fail, and lru_set may");
    s = y.set(y.context, key, bytes_of("new"));
    const char *got = level_get(y, key);
    const char *want = s == STATUS_OK ? "new" : kept ? "old" : "miss";
    want_text(got, want, "set old, set new while an allocation fails; get",
              "a set that fails changes nothing on this level");
    s = y.clear(y.context);
    want_that(s == STATUS_OK || (s == STATUS_NO_MEMORY && heap_has_failed()),
              "clear a level while an allocation fails\n"
              "wanted  no memory\ngot     %s\n"
              "likely  make the new lru before you end the old one",
              status_name(s));
    got = level_get(y, key);
    want = s == STATUS_OK ? "miss" : want;
    want_text(got, want, "set old, set new while an allocation fails; get; get",
              "a clear that fails keeps the old");
    y.destroy(y.context);
}

TEST(an_lru_level_without_memory_refuses, "P13", "10.1") {
    size_t tries = 0;
    heap_fail_each(try_lru_level, &tries);
    want_that(tries > 3, "make a level, set twice, clear; count allocations\n"
                         "wanted  some\ngot     none\n"
                         "likely  where do the values live?");
}

/* --- 10.2: create and destroy -------------------------------------------- */

TEST(a_hierarchy_ends_each_of_its_levels_once, "P15", "10.2") {
    layer levels[3] = {cache_level(1), cache_level(2), source_level(3)};
    reset();
    layers *l = join(levels, 3);
    memset(levels, 0, sizeof levels);
    want_int(fakes[0].calls + fakes[1].calls + fakes[2].calls, 0,
             "create; count the calls of the levels", "nothing needs them yet");
    layers_destroy(l);
    for (size_t i = 0; i < 3; i++) {
        want_int(fakes[i].ends, 1,
                 text("create with three levels, write over the array of "
                      "levels, destroy; count the ends of level %zu",
                      i + 1),
                 "create copies the structs; destroy ends each level");
    }
    layers_destroy(NULL);
    reset();
    layer only = source_level(1);
    only.destroy = NULL;
    l = join(&only, 1);
    layers_destroy(l);
    want_int(fakes[0].ends, 0, "one level, whose destroy is NULL; destroy",
             "there is nothing to call");
}

static void refuse(const layer *levels, size_t count, int64_t retry_ms,
                   const char *did, const char *likely) {
    static char untouched;
    layers *l = (layers *)&untouched;
    layers_options o = {.retry_ms = retry_ms};
    want_status(layers_create(levels, count, &o, &l), STATUS_INVALID, did,
                likely);
    want_pointer(l, &untouched, did,
                 "out-parameters are written only on success");
}

TEST(a_source_can_only_be_the_last, "P12", "10.2") {
    reset();
    layer above[2] = {source_level(1), cache_level(2)};
    refuse(above, 2, 0, "create with a source above a cache",
           "below a source nothing is ever asked: it knows for all");
    layer two[2] = {source_level(1), read_only_level(2)};
    refuse(two, 2, 0, "create with a source above a source",
           "below a source nothing is ever asked: it knows for all");
}

TEST(no_levels_and_too_many_are_refused, "P12", "10.2") {
    reset();
    layer good = cache_level(1);
    layer many[LAYERS_MAX + 1];
    for (size_t i = 0; i <= LAYERS_MAX; i++) {
        many[i] = cache_level(1);
    }
    refuse(NULL, 1, 0, "create with no levels at all: NULL",
           "NULL is no array of levels, whatever the count");
    refuse(&good, 0, 0, "create with 0 levels",
           "there must be one level to ask");
    refuse(many, LAYERS_MAX + 1, 0, "create with LAYERS_MAX + 1 levels",
           "LAYERS_MAX levels are allowed, and no more");
    layers *l = NULL;
    want_status(layers_create(many, LAYERS_MAX, NULL, &l), STATUS_OK,
                "create with LAYERS_MAX levels",
                "LAYERS_MAX levels are allowed");
    layers_destroy(l);
}

TEST(bad_hierarchies_are_refused, "P12", "10.2") {
    reset();
    layer good = cache_level(1), bad = good;
    refuse(&good, 1, -1, "create with a retry_ms of -1",
           "0 means the default, less is refused");
    bad.get = NULL;
    refuse(&bad, 1, 0, "create with a level without get",
           "every level is asked");
    bad = good;
    bad.del = NULL;
    refuse(&bad, 1, 0, "create with a cache without del",
           "a cache needs get, set, del and clear");
    bad.clear = NULL;
    refuse(&bad, 1, 0, "create with a source that has set and no del",
           "a source has set and del both or neither");
    bad = read_only_level(1);
    bad.clear = fake_clear;
    refuse(&bad, 1, 0, "create with a cache that has neither set nor del",
           "a cache needs get, set, del and clear");
    want_int(fakes[0].ends, 0, "create with bad levels; count their ends",
             "when create fails, the levels are still the caller's");
    layers *l = NULL;
    want_status(layers_create(&good, 1, NULL, &l), STATUS_OK,
                "create with one level and options of NULL",
                "no options are the default ones");
    layers_destroy(l);
}

static void try_to_create(void *context) {
    static char untouched;
    layers *l = (layers *)&untouched;
    layer levels[2] = {cache_level(1), cache_level(2)};
    status s = layers_create(levels, 2, NULL, &l);
    ++*(size_t *)context;
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "create while an allocation fails",
                "every result of malloc must be looked at");
    if (s == STATUS_OK) {
        layers_destroy(l);
        return;
    }
    want_pointer(l, &untouched, "create without memory, look at l",
                 "out-parameters are written only on success");
    want_int(fakes[0].ends, 0,
             "create without memory, look at l; count the ends of level 1",
             "when create fails, the levels are still the caller's");
}

TEST(without_memory_create_leaves_the_levels_alone, "P13", "10.2") {
    size_t tries = 0;
    reset();
    heap_fail_each(try_to_create, &tries);
    want_that(tries > 1, "create, count allocations\nwanted  at least one\n"
                         "got     none\nlikely  where do the levels live?");
}

/* --- 10.3: gets walk down ------------------------------------------------ */

TEST(a_get_ends_with_the_first_level_that_has_the_key, "P1", "10.3") {
    layers *l = caches(3);
    put(2, "a", "two");
    put(3, "a", "three");
    put(3, "b", "deep");
    want_get(l, "a", "two from 2",
             "level 2 holds a=two, level 3 a=three; get a",
             "walk from the fastest level down, and stop at the first hit; ### "
             "is a lent value that a later call of that level took back");
    want_text(
        asked, "g1(a) g2(a) ",
        "level 2 holds a=two, level 3 a=three; get a; which levels were asked",
        "each level once, from the fastest, and none below the hit");
    forget_calls();
    want_get(l, "b", "deep from 3", "level 3 holds b=deep; get b",
             "a level that misses is no end: ask the next");
    want_text(asked, "g1(b) g2(b) g3(b) ",
              "level 3 holds b=deep; get b; which levels were asked",
              "each level once, from the fastest to the slowest");
    want_status(layers_get(l, bytes_of("a"), NULL, NULL), STATUS_OK,
                "get a without out-parameters", "both may be NULL");
    layers_destroy(l);
}

TEST(a_miss_asks_every_level_and_writes_nothing, "P1", "10.3") {
    layers *l = over_source(3);
    bytes value = {"untouched", 9};
    size_t level = 77;
    want_status(layers_get(l, bytes_of("a"), &value, &level), STATUS_MISS,
                "three empty levels; get a", "nobody has it");
    want_text(asked, "g1(a) g2(a) g3(a) ",
              "three empty levels; get a; which were asked",
              "only when all levels have missed it is a miss");
    want_that(value.len == 9 && level == 77,
              "three empty levels, get a; look at value and level\n"
              "wanted  both as they were\ngot     %zu bytes from level %zu\n"
              "likely  out-parameters are written only on success",
              value.len, level);
    want_text(changed, "",
              "three empty levels; get a; which levels were changed",
              "a miss changes nothing");
    layers_destroy(l);
}

TEST(each_level_counts_its_hits_and_misses, "P11", "10.3") {
    layers *l = caches(2);
    put(2, "a", "1");
    layers_get(l, bytes_of("a"), NULL, NULL);
    layers_get(l, bytes_of("b"), NULL, NULL);
    layers_get(l, bytes_of("b"), NULL, NULL);
    layers_stats one = layers_statistics(l, 1), two = layers_statistics(l, 2);
    want_int(one.misses, 3,
             "level 2 holds a; get a, get b, get b: misses of level 1",
             "each get that passes a level by is one of its misses");
    want_int(one.hits, 0,
             "level 2 holds a; get a, get b, get b: hits of level 1",
             "it held nothing");
    want_int(two.hits, 1,
             "level 2 holds a; get a, get b, get b: hits of level 2",
             "the level that answers counts the hit");
    want_int(two.misses, 2,
             "level 2 holds a; get a, get b, get b: misses of level 2",
             "level 2 was asked for b twice");
    want_int(one.failures + two.failures, 0,
             "level 2 holds a; get a, get b, get b: failures",
             "a miss is no failure");
    layers_destroy(l);
}

TEST(a_hit_on_level_1_is_cheap, "P14", "10.3") {
    layers *l = caches(3);
    put(1, "a", "1");
    size_t before = heap_allocations();
    clock_reads = 0;
    want_get(l, "a", "1 from 1", "level 1 holds a=1; get a",
             "a hit on level 1 is the value that it lends");
    want_int(heap_allocations() - before, 0,
             "level 1 holds a, get a; count allocations",
             "the value is lent, not copied");
    want_int(
        clock_reads, 0,
        "level 1 holds a, get a; count allocations; count looks at the clock",
        "the time matters only for a level that is out");
    want_text(
        asked, "g1(a) ",
        "level 1 holds a, get a; count allocations; which levels were asked",
        "one call of one level is all that a hit costs");
    layers_destroy(l);
}

/* --- 10.4: promotion ----------------------------------------------------- */

TEST(a_hit_is_promoted_to_every_faster_level, "P2", "10.4") {
    layers *l = caches(4);
    put(3, "a", "deep");
    want_get(l, "a", "deep from 3", "level 3 of 4 holds a=deep; get a",
             "the value is the one that level 3 lends");
    want_held(1, "a", "deep",
              "level 3 of 4 holds a=deep; get a; what level 1 holds under a",
              "without promotion every get goes the whole way down");
    want_held(2, "a", "deep",
              "level 3 of 4 holds a=deep; get a; what level 2 holds under a",
              "promotion goes to all faster levels, not to the first alone");
    want_text(changed, "s2(a=deep) s1(a=deep) ",
              "level 3 of 4 holds a=deep; get a; which levels were changed",
              "only faster levels: what is at hand, or below, has no need");
    want_get(l, "a", "deep from 1",
             "level 3 of 4 holds a=deep; get a; then get a again",
             "the second get must find it on level 1");
    want_int(
        fakes[2].calls, 1,
        "level 3 of 4 holds a=deep; get a; then get a again; calls of level 3",
        "a hit above asks and changes nobody below");
    layers_destroy(l);
}

TEST(a_hit_on_level_1_changes_nothing, "P2", "10.4") {
    layers *l = over_source(3);
    put(1, "a", "1");
    want_get(l, "a", "1 from 1", "level 1 holds a=1; get a",
             "a hit on level 1 is the value that it lends");
    want_text(changed, "",
              "level 1 holds a=1; get a; which levels were changed",
              "promotion goes up only, and nothing stands above level 1");
    put(3, "b", "2");
    forget_calls();
    want_get(l, "b", "2 from 3", "the source holds b=2; get b",
             "the source is asked last");
    want_text(changed, "s2(b=2) s1(b=2) ",
              "the source holds b=2; get b; which were changed",
              "the level that had the value needs no copy of it");
    layers_destroy(l);
}

TEST(a_promotion_evicts_the_least_recent, "P5", "10.4") {
    reset();
    layer levels[2] = {lru_level(2), cache_level(2)};
    layers *l = join(levels, 2);
    put(2, "a", "1");
    put(2, "b", "2");
    put(2, "c", "3");
    get(l, "a");
    get(l, "b");
    get(l, "c");
    want_get(l, "c", "3 from 1",
             "an lru of 2 over a level that holds a, b and c; get a, b, c, c",
             "c was promoted last");
    want_get(l, "b", "2 from 1",
             "an lru of 2 over a level that holds a, b and c; get a, b, c, c; "
             "then get b",
             "an lru of 2 holds two entries");
    want_get(l, "a", "1 from 2",
             "an lru of 2 over a level that holds a, b and c; get a, b, c, c; "
             "then get b; then get a",
             "level 1 is bounded: the promotion of c evicts a");
    layers_destroy(l);
}

TEST(a_promoted_value_is_whole, "P4", "10.4") {
    reset();
    layer levels[2] = {lru_level(2), cache_level(2)};
    layers *l = join(levels, 2);
    bytes key = {"k\0y", 3}, value = {"v\0l", 3}, found = {NULL, 0};
    bytes empty = {"", 0};
    keep(&fakes[1], pair_of(key, value));
    keep(&fakes[1], pair_of(empty, empty));
    for (size_t level = 2; level >= 1; level--) {
        size_t from = 0;
        want_status(layers_get(l, key, &found, &from), STATUS_OK,
                    "level 2 holds k\\0y=v\\0l; get it, and again",
                    "a key does not end at a zero byte");
        want_int(
            from, level,
            "level 2 holds k\\0y=v\\0l; get it, and again; which level had it",
            "the first get promotes, the second finds it on level 1");
        want_bytes(
            found, value,
            text("level 2 holds k\\0y=v\\0l; get it; the value of level %zu",
                 level),
            "promote all of the bytes, and lend a value that no call of yours "
            "has taken back since");
        from = 0;
        want_status(layers_get(l, empty, &found, &from), STATUS_OK,
                    "level 2 holds no bytes under the empty key; get it",
                    "a value of no bytes is no miss");
        want_int(from * 100 + found.len, level * 100,
                 "level 2 holds no bytes under the empty key; get it; the "
                 "level, times 100, and the length",
                 "an empty value is promoted like any other");
    }
    layers_destroy(l);
}

/* --- 10.5: changes walk up ----------------------------------------------- */

TEST(a_set_reaches_every_level_the_slowest_first, "P3", "10.5") {
    layers *l = over_source(3);
    want_status(set(l, "a", "1"), STATUS_OK, "three levels that work; set a=1",
                "a set that every level took is ok");
    want_text(changed, "s3(a=1) s2(a=1) s1(a=1) ",
              "set a=1; which levels were changed, in order",
              "every level once, from the slowest to the fastest");
    want_get(l, "a", "1 from 1", "set a=1, get a",
             "after a set, level 1 has the value");
    set(l, "a", "2");
    want_get(l, "a", "2 from 1", "set a=1, set a=2, get a",
             "a second set must replace the value on every level");
    want_held(3, "a", "2", "set a=1, set a=2, get a; what level 3 holds",
              "a second set must replace the value on every level");
    layers_destroy(l);
}

TEST(a_delete_reaches_every_level_the_slowest_first, "P3", "10.5") {
    layers *l = over_source(3);
    for (size_t level = 1; level <= 3; level++) {
        put(level, "a", "1");
        put(level, "b", "2");
    }
    want_status(del(l, "a"), STATUS_OK, "all levels hold a; delete a",
                "a delete that every level took is ok");
    want_text(changed, "d3(a) d2(a) d1(a) ",
              "delete a; which levels were changed, in order",
              "from the slowest up: else another program may promote the dead "
              "value into a level that the delete has passed");
    want_get(l, "a", "miss", "all levels hold a; delete a, get a",
             "what any level keeps comes back by promotion");
    want_get(l, "b", "2 from 1", "all levels hold a; delete a, get a; get b",
             "only the key that was named goes");
    want_status(del(l, "nobody"), STATUS_OK, "delete a key that nobody has",
                "gone is gone: that is no failure");
    layers_destroy(l);
}

TEST(a_deleted_value_does_not_come_back, "P3", "10.5") {
    reset();
    layer levels[2] = {lru_level(1), lru_level(4)};
    layers *l = join(levels, 2);
    set(l, "a", "dead");
    set(l, "b", "1");
    want_status(del(l, "a"), STATUS_OK,
                "an lru of 1 over an lru of 4: set a, set b, delete a",
                "level 1 does not hold a any more, and that is no failure");
    want_get(l, "a", "miss",
             "an lru of 1 over an lru of 4: set a, set b, delete a; get a",
             "a delete goes to every level, also when a faster one misses");
    want_get(l, "b", "1 from 1",
             "an lru of 1 over an lru of 4: set a, set b, delete a; get b",
             "b was never deleted");
    layers_destroy(l);
}

TEST(the_slides_program_hits_1_then_2_then_1, "P2", "10.5") {
    reset();
    layer first = lru_level(1), second = lru_level(4);
    layers *l = join((const layer[]){first, second}, 2);
    set(l, "user:1", "Alice");
    want_get(l, "user:1", "Alice from 1", "set user:1=Alice, get it",
             "a set goes to level 1 too");
    first.clear(first.context);
    want_get(l, "user:1", "Alice from 2", "clear level 1, get user:1",
             "a set goes to level 2 too");
    want_get(l, "user:1", "Alice from 1",
             "clear level 1, get user:1; then get user:1 again",
             "the get before must have promoted it");
    layers_destroy(l);
}

TEST(a_source_that_others_write_is_only_asked, "P3", "10.5") {
    reset();
    layer levels[2] = {cache_level(1), read_only_level(2)};
    layers *l = join(levels, 2);
    put(2, "a", "true");
    want_get(l, "a", "true from 2", "a read-only source holds a=true; get a",
             "a source is asked like any level");
    want_status(del(l, "a"), STATUS_OK,
                "a read-only source holds a=true; get a; then delete a",
                "a source without del is passed by, and that is no failure");
    want_held(1, "a", "nothing",
              "a read-only source holds a=true; get a; then delete a; then "
              "look at level 1",
              "the cache above must forget the key");
    want_get(l, "a", "true from 2",
             "a read-only source holds a=true; get a; then delete a; then look "
             "at level 1; then get a",
             "the source still has it: it decides what is there");
    want_status(set(l, "a", "new"), STATUS_OK,
                "a read-only source holds a=true; get a; then delete a; then "
                "look at level 1; then get a; then set a=new",
                "a source without set is passed by, and that is no failure");
    want_get(l, "a", "new from 1",
             "a read-only source holds a=true; get a; then delete a; then look "
             "at level 1; then get a; then set a=new; then get a",
             "the caches take what is set, for who has written the source in "
             "his own way");
    layers_destroy(l);
}

/* --- 10.6: levels that fail ---------------------------------------------- */

TEST(a_level_that_fails_is_skipped_and_reported, "P7", "10.6") {
    layers *l = over_source(3);
    put(3, "a", "1");
    want_get(l, "a", "1 from 3", "the source holds a=1; get a",
             "the source is asked last");
    want_int(layers_failed(l), 0, "the source holds a=1; get a; layers_failed",
             "no level has failed");
    put(3, "b", "2");
    break_level(2, STATUS_BACKEND);
    want_get(l, "b", "2 from 3", "the source holds b=2, level 2 fails; get b",
             "a level that fails is passed by: ask the next one");
    want_int(layers_failed(l), 2,
             "the source holds b=2, level 2 fails; get b; layers_failed",
             "the get went well, but not without loss: say where");
    want_held(1, "b", "2",
              "the source holds b=2, level 2 fails; get b; what level 1 holds",
              "what was found is promoted to the levels that work");
    want_get(l, "b", "2 from 1",
             "the source holds b=2, level 2 fails; get b; then get b again",
             "level 1 serves while level 2 is down");
    want_int(layers_failed(l), 0,
             "the source holds b=2, level 2 fails; get b; then get b again; "
             "layers_failed",
             "this get had no need of level 2: each call starts anew");
    layers_destroy(l);
}

TEST(a_level_that_failed_is_left_alone_for_a_while, "P7", "10.6") {
    layers *l = over_source(2);
    put(2, "a", "1");
    put(2, "b", "2");
    put(2, "c", "3");
    break_level(1, STATUS_TIMEOUT);
    get(l, "a");
    mend_level(1);
    forget_calls();
    now_ms += RETRY_MS - 1;
    want_get(l, "a", "1 from 2",
             "level 1 times out, and retry_ms - 1 later works again; get a",
             "a level that is out is passed by");
    want_that(strcmp(asked, "g2(a) ") == 0 && changed[0] == '\0',
              "level 1 times out, and retry_ms - 1 later works again; get a; "
              "which levels were called\nwanted  g2(a)\n"
              "got     %s%s\nlikely  each call of a level that is out may cost "
              "a whole timeout, also that of a promotion",
              asked, changed);
    want_int(layers_failed(l), 1,
             "level 1 times out, and retry_ms - 1 later works again; get a; "
             "layers_failed",
             "a level that is passed by is reported too");
    now_ms += 1;
    want_get(l, "b", "2 from 2",
             "level 1 times out, and retry_ms - 1 later works again; get a; "
             "after retry_ms; get b",
             "after retry_ms the level is asked again, and has not got b");
    want_get(l, "b", "2 from 1",
             "level 1 times out, and retry_ms - 1 later works again; get a; "
             "then get b again",
             "retry_ms have passed: try it; it works, so b was promoted to it");
    want_int(layers_failed(l), 0,
             "level 1 times out, and retry_ms - 1 later works again; get a; "
             "then get b again; layers_failed",
             "a level that works again is no failure");
    layers_destroy(l);
}

TEST(a_failed_retry_begins_the_wait_anew, "P7", "10.6") {
    layers *l = over_source(2);
    put(2, "a", "1");
    break_level(1, STATUS_LOST);
    get(l, "a");
    now_ms += RETRY_MS;
    get(l, "a");
    size_t calls = fakes[0].calls;
    now_ms += RETRY_MS - 1;
    get(l, "a");
    want_int(fakes[0].calls - calls, 0,
             "level 1 fails; after retry_ms it fails again; retry_ms - 1 after "
             "that get a; count its calls",
             "each failure starts the wait anew");
    layers_destroy(l);
}

/* Two caches. */
static layers *with_options(const layers_options *o) {
    reset();
    layers *l = NULL;
    want_status(layers_create((const layer[]){cache_level(1), cache_level(2)},
                              2, o, &l),
                STATUS_OK,
                "create two levels, with zeros in the options, or none",
                "a zero in the options is the default");
    return l;
}

TEST(a_level_is_left_alone_for_a_second_by_default, "P7", "10.6") {
    layers *l =
        with_options(&(layers_options){.clock = {read_clock, &clock_reads}});
    break_level(1, STATUS_BACKEND);
    get(l, "a");
    now_ms += LAYERS_RETRY_MS - 1;
    get(l, "a");
    want_int(fakes[0].calls, 1,
             "a retry_ms of 0; level 1 fails a get; LAYERS_RETRY_MS - 1 later "
             "get again; its calls",
             "0 means the default");
    now_ms += 1;
    get(l, "a");
    want_int(fakes[0].calls, 2,
             "a retry_ms of 0; level 1 fails a get; LAYERS_RETRY_MS later get "
             "again; its calls",
             "0 means the default; when it has passed, try the level");
    layers_destroy(l);
    ms_clock machine = ms_clock_monotonic();
    int64_t begun = ms_clock_now(machine);
    l = with_options(NULL);
    break_level(1, STATUS_BACKEND);
    get(l, "a");
    get(l, "a");
    size_t calls = fakes[0].calls;
    want_that(calls == 1 || ms_clock_now(machine) - begun >= LAYERS_RETRY_MS,
              "options of NULL; level 1 fails a get; get again at once; count "
              "its calls\nwanted  1\ngot     %zu\n"
              "likely  no options are the default ones, also for the time and "
              "the clock",
              calls);
    layers_destroy(l);
}

TEST(a_miss_is_none_while_a_level_could_not_say, "P6", "10.6") {
    layers *l = caches(3);
    break_level(2, STATUS_TIMEOUT);
    want_get(l, "a", "timeout",
             "three caches: 1 and 3 miss, 2 times out; get a",
             "level 2 may hold a: nobody can say that it is not there");
    want_get(l, "a", "timeout",
             "three caches: 1 and 3 miss, 2 times out; get a; then get a again",
             "level 2 is out and not asked: it may hold a all the same");
    break_level(3, STATUS_BACKEND);
    want_get(l, "a", "backend failed",
             "three caches: 1 and 3 miss, 2 times out; get a; then get a "
             "again; and now level 3 fails too; get a",
             "of two failures that of the slowest level counts");
    want_int(layers_failed(l), 3,
             "three caches: 1 and 3 miss, 2 times out; get a; then get a "
             "again; layers_failed",
             "of two levels the slowest counts");
    layers_destroy(l);
    l = caches(3);
    break_level(1, STATUS_TIMEOUT);
    break_level(2, STATUS_BACKEND);
    want_get(l, "a", "backend failed",
             "three caches: 1 times out, 2 fails, 3 misses; get a",
             "of two failures that of the slowest level counts");
    want_get(l, "a", "backend failed",
             "three caches: 1 times out, 2 fails, 3 misses; get a; then get a "
             "again, which passes 1 and 2 by",
             "of two failures that of the slowest level counts, also of levels "
             "that are out");
    layers_destroy(l);
    l = over_source(3);
    break_level(2, STATUS_TIMEOUT);
    want_get(l, "a", "miss", "level 2 times out, the source says no; get a",
             "a source is right by definition: what it has not is not there");
    want_int(layers_failed(l), 2,
             "level 2 times out, the source says no; get a; layers_failed",
             "the answer is sure, and level 2 is out all the same");
    layers_destroy(l);
}

TEST(a_set_says_which_level_missed_it, "P7", "10.6") {
    layers *l = caches(3);
    break_level(2, STATUS_LOST);
    want_status(
        set(l, "a", "1"), STATUS_LOST,
        "three levels, the second fails; set a=1",
        "a set that a level missed is not ok: nothing is lost silently");
    want_int(layers_failed(l), 2,
             "three levels, the second fails; set a=1; layers_failed",
             "say which level has not got the value");
    want_text(
        changed, "s3(a=1) s2(a=1) s1(a=1) ",
        "three levels, the second fails; set a=1; which levels were changed",
        "a cache that fails does not keep the others from the value");
    want_get(l, "a", "1 from 1",
             "three levels, the second fails; set a=1; then get a",
             "the levels that work hold the value");
    want_status(
        del(l, "a"), STATUS_LOST,
        "three levels, the second fails; set a=1; then get a; then delete a",
        "a delete that a level missed is not ok either");
    want_held(1, "a", "nothing",
              "three levels, the second fails; set a=1; then get a; then "
              "delete a; then look at level 1",
              "the levels that work delete the key");
    want_held(3, "a", "nothing",
              "three levels, the second fails; set a=1; then get a; then "
              "delete a; then look at level 1; then look at level 3",
              "the levels that work delete the key");
    break_level(3, STATUS_BACKEND);
    want_status(set(l, "a", "2"), STATUS_BACKEND, "level 3 fails too; set a=2",
                "of two failures that of the slowest level counts");
    want_int(layers_failed(l), 3, "level 3 fails too; set a=2; layers_failed",
             "of two levels the slowest counts");
    layers_destroy(l);
    l = caches(3);
    break_level(3, STATUS_BACKEND);
    set(l, "a", "1");
    for (size_t level = 1; level <= 2; level++) {
        want_held(level, "a", "1",
                  text("three caches, the third fails; set a=1; what level %zu "
                       "holds",
                       level),
                  "the last level is a source only if it has no clear; a cache "
                  "that fails does not keep the others from the value");
    }
    layers_destroy(l);
}

TEST(each_get_that_comes_to_a_level_is_counted_once, "P11", "10.6") {
    layers *l = over_source(3);
    put(3, "a", "1");
    break_level(1, STATUS_BACKEND);
    break_level(2, STATUS_INVALID);
    for (int i = 0; i < 5; i++) {
        get(l, "a");
    }
    layers_stats one = layers_statistics(l, 1), two = layers_statistics(l, 2);
    want_int(one.failures, 5,
             "level 1 fails and is out, level 2 refuses; get a 5 times: "
             "failures of level 1",
             "a get that passes a level by since it is out counts as well");
    want_int(two.failures, 5,
             "level 1 fails and is out, level 2 refuses; get a 5 times: "
             "failures of level 2",
             "a level that will not give the value has not answered");
    want_int(one.hits + one.misses + two.hits + two.misses, 0,
             "level 1 fails and is out, level 2 refuses; get a 5 times: their "
             "hits and misses",
             "a failure is no miss");
    want_int(layers_statistics(l, 3).hits, 5,
             "level 1 fails and is out, level 2 refuses; get a 5 times: hits "
             "of the source",
             "the misses and failures of a level are the gets of the next");
    layers_destroy(l);
}

/* --- 10.7: refusals, and the source -------------------------------------- */

TEST(a_cache_that_refuses_keeps_no_older_value, "P9", "10.7") {
    static const status refusals[] = {STATUS_TOO_LARGE, STATUS_NO_MEMORY,
                                      STATUS_INVALID, STATUS_STALE};
    for (size_t i = 0; i < 4; i++) {
        const char *name = status_name(refusals[i]);
        layers *l = over_source(2);
        set(l, "a", "old");
        set(l, "b", "1");
        fakes[0].set_says = refusals[i];
        want_status(
            set(l, "a", "new"), refusals[i],
            text("set a=old, set a=new, which level 1 refuses: %s", name),
            "a value that a level does not hold is reported");
        want_int(layers_failed(l), 1,
                 text("set a=old, set a=new, which level 1 refuses: %s; "
                      "layers_failed",
                      name),
                 "say which level has not got the value");
        want_get(l, "a", "new from 2",
                 text("set a=old, set a=new, which level 1 refuses: %s; get a",
                      name),
                 "level 1 would not have the new value and still held the old "
                 "one: delete the key there");
        want_int(layers_failed(l), 1,
                 text("set a=old, set a=new, which level 1 refuses: %s; get a; "
                      "layers_failed",
                      name),
                 "the promotion was refused as well");
        want_get(
            l, "b", "1 from 1",
            text(
                "set b, set a=old, set a=new, which level 1 refuses: %s; get b",
                name),
            "a level that refuses one value works: it stays in use");
        layers_destroy(l);
    }
}

TEST(a_cache_that_refuses_to_delete_is_out, "P9", "10.7") {
    layers *l = over_source(2);
    set(l, "a", "old");
    fakes[0].delete_says = STATUS_NO_MEMORY;
    want_status(del(l, "a"), STATUS_NO_MEMORY,
                "set a=old; delete a, which level 1 refuses",
                "a delete that a level did not do is reported");
    want_get(l, "a", "miss",
             "set a=old; delete a, which level 1 refuses; get a",
             "level 1 still holds the dead value: put it out");
    layers_destroy(l);
    l = over_source(2);
    set(l, "a", "old");
    fakes[0].set_says = STATUS_TOO_LARGE;
    fakes[0].delete_says = STATUS_NO_MEMORY;
    want_status(set(l, "a", "new"), STATUS_TOO_LARGE,
                "set a=old; set a=new, which level 1 refuses, and the delete "
                "too",
                "what is told is why the value is not there");
    want_get(l, "a", "new from 2",
             "set a=old; set a=new, which level 1 refuses, and the delete too; "
             "get a",
             "level 1 still holds the old value: put it out");
    layers_destroy(l);
}

TEST(a_level_that_can_not_give_a_value_stays_in_use, "P9", "10.7") {
    layers *l = over_source(2);
    set(l, "a", "1");
    fakes[0].get_says = STATUS_INVALID;
    want_get(l, "a", "1 from 2",
             "level 1 holds something under a that it cannot give; get a",
             "ask the next level, as after any failure");
    want_int(layers_failed(l), 1,
             "level 1 holds something under a that it cannot give; get a; "
             "layers_failed",
             "a level that refuses is one that the call had to do without");
    fakes[0].get_says = STATUS_OK;
    set(l, "b", "2");
    want_int(layers_failed(l), 0,
             "level 1 holds something under a that it cannot give; get a; then "
             "set b; layers_failed",
             "a refusal does not put a level out");
    want_get(l, "a", "1 from 1",
             "level 1 holds something under a that it cannot give; get a; then "
             "set b; layers_failed; then get a",
             "a refusal does not put a level out: the promotion has put a good "
             "value there");
    layers_destroy(l);
    l = caches(3);
    fakes[1].get_says = STATUS_INVALID;
    want_get(l, "a", "invalid argument",
             "three caches: 1 and 3 miss, 2 refuses; get a",
             "a level that refuses holds something under a: that is no miss");
    layers_destroy(l);
}

TEST(what_the_source_did_not_take_no_cache_holds, "P10", "10.7") {
    layers *l = over_source(3);
    set(l, "a", "old");
    forget_calls();
    break_level(3, STATUS_TIMEOUT);
    want_status(set(l, "a", "new"), STATUS_TIMEOUT,
                "set a=old; the source times out, set a=new",
                "a set that the source did not take has failed");
    want_int(layers_failed(l), 3,
             "set a=old; the source times out, set a=new; layers_failed",
             "the slowest level that failed is the source");
    want_text(changed, "s3(a=new) d2(a) d1(a) ",
              "set a=old; the source times out, set a=new; which levels were "
              "changed, in order",
              "nobody knows whether the source holds old or new: no cache may "
              "pretend to");
    want_get(l, "a", "timeout",
             "set a=old; the source times out, set a=new; then get a",
             "only the source could say, and it is out");
    mend_level(3);
    now_ms += RETRY_MS;
    want_get(l, "a", "new from 3",
             "the source works again, and has done the set late; get a",
             "the source decides");
    fakes[2].set_says = STATUS_INVALID;
    want_status(set(l, "a", "bad"), STATUS_INVALID, "the source refuses a=bad",
                "a set that the source did not take has failed");
    want_get(l, "a", "new from 3", "the source refuses a=bad; then get a",
             "a source that refuses keeps what it has, and stays in use");
    fakes[2].delete_says = STATUS_INVALID;
    want_status(del(l, "a"), STATUS_INVALID, "the source refuses to delete a",
                "a delete that the source did not do has failed");
    want_get(l, "a", "new from 3", "the source refuses to delete a; then get a",
             "only a cache that refuses a delete is of no use: a source is "
             "right whatever it refuses, and stays in use");
    layers_destroy(l);
}

TEST(a_source_is_never_cleaned, "P10", "10.7") {
    layers *l = over_source(2);
    set(l, "a", "1");
    set(l, "b", "2");
    break_level(2, STATUS_BACKEND);
    want_status(del(l, "a"), STATUS_BACKEND, "the source fails; delete a",
                "a delete that the source did not take has failed");
    want_held(1, "a", "nothing",
              "the source fails; delete a; then look at level 1",
              "the caches forget what nobody can be sure of");
    mend_level(2);
    now_ms += RETRY_MS;
    want_get(l, "a", "1 from 2", "the source works again; get a",
             "the delete failed, so a is still there: a source is the truth, "
             "whatever it missed");
    break_level(2, STATUS_BACKEND);
    for (int i = 0; i <= MISSED_MAX; i++) {
        set(l, text("key %d", i), "3");
    }
    mend_level(2);
    now_ms += RETRY_MS;
    forget_calls();
    want_get(l, "b", "2 from 1",
             "the source fails more than missed_max sets, and works again; get "
             "b, which level 1 holds",
             "the source has nothing to do with b");
    want_get(l, "key 0", "miss",
             "the source fails more than missed_max sets, and works again; get "
             "b, which level 1 holds; get a key that it did not take",
             "the source has not got it, and so nobody has");
    want_text(changed, "",
              "the source fails more than missed_max sets, and works again; "
              "get b, which level 1 holds; which levels were changed",
              "never delete from a source what nobody asked to delete");
    layers_destroy(l);
}

/* --- 10.8: cleaning ------------------------------------------------------ */

/* Level 2 missed that a changed, and level 1 has lost a since. */
static layers *missed_a(void) {
    layers *l = caches(2);
    set(l, "a", "old");
    set(l, "b", "kept");
    break_level(2, STATUS_BACKEND);
    set(l, "a", "new");
    drop(&fakes[0], bytes_of("a"));
    drop(&fakes[0], bytes_of("b"));
    mend_level(2);
    return l;
}

TEST(an_old_value_is_not_read_when_a_level_is_back, "P8", "10.8") {
    layers *l = missed_a();
    want_get(l, "a", "backend failed",
             "set a=old; level 2 fails, set a=new; level 1 loses a, level 2 "
             "works; get a before retry_ms",
             "level 2 is not asked before it is clean");
    now_ms += RETRY_MS;
    want_get(l, "a", "miss",
             "set a=old; level 2 fails, set a=new; level 1 loses a, level 2 "
             "works; get a before retry_ms; after retry_ms; get a",
             "level 2 still holds the old value: delete from it what it "
             "missed, before it is asked for anything");
    want_get(l, "b", "kept from 2",
             "set a=old; level 2 fails, set a=new; level 1 loses a, level 2 "
             "works; get a before retry_ms; get b",
             "what level 2 did not miss is as good as ever: do not clear it");
    set(l, "a", "newer");
    drop(&fakes[0], bytes_of("a"));
    want_get(
        l, "a", "newer from 2",
        "set a=old; level 2 fails, set a=new; level 1 loses a, level 2 works; "
        "get a before retry_ms; then set a=newer; level 1 loses a; get a",
        "a level that is clean is a level like any other");
    layers_destroy(l);
}

TEST(a_level_is_clean_for_good, "P8", "10.8") {
    layers *l = missed_a();
    now_ms += RETRY_MS;
    get(l, "a");
    set(l, "a", "newer");
    break_level(2, STATUS_BACKEND);
    get(l, "nobody");
    drop(&fakes[0], bytes_of("a"));
    mend_level(2);
    now_ms += RETRY_MS;
    want_get(l, "a", "newer from 2",
             "level 2 is cleaned of a; set a=newer; level 2 fails a get and "
             "works again after retry_ms; get a",
             "a key that was cleaned is forgotten: level 2 has missed nothing "
             "since");
    layers_destroy(l);
}

TEST(a_missed_delete_does_not_come_back, "P8", "10.8") {
    layers *l = caches(3);
    set(l, "a", "dead");
    break_level(3, STATUS_BACKEND);
    del(l, "a");
    mend_level(3);
    now_ms += RETRY_MS;
    want_get(l, "a", "miss",
             "set a; level 3 fails, delete a; level 3 works again; get a",
             "a delete that a level missed is a change that it missed");
    layers_destroy(l);
}

TEST(a_change_that_passed_a_level_by_is_missed_too, "P8", "10.8") {
    layers *l = caches(2);
    set(l, "a", "old");
    set(l, "b", "old");
    set(l, "c", "old");
    break_level(2, STATUS_TIMEOUT);
    set(l, "a", "new");
    mend_level(2);
    set(l, "b", "new");
    del(l, "c");
    want_held(2, "b", "old", "level 2 is out; set b=new; what level 2 holds",
              "a level that is out is passed by until retry_ms is over");
    drop(&fakes[0], bytes_of("a"));
    drop(&fakes[0], bytes_of("b"));
    now_ms += RETRY_MS;
    want_get(l, "b", "miss",
             "a, b and c are old on level 2; it fails at set a=new, and set "
             "b=new and delete c pass it by; after retry_ms get b",
             "what passed it by while it was out, it missed as well");
    want_get(l, "c", "miss",
             "a, b and c are old on level 2; it fails at set a=new, and set "
             "b=new and delete c pass it by; after retry_ms get b; get c",
             "what passed it by while it was out, it missed as well");
    want_get(l, "a", "miss",
             "a, b and c are old on level 2; it fails at set a=new, and set "
             "b=new and delete c pass it by; after retry_ms get b; get a",
             "the set that timed out was done late: that too must go");
    layers_destroy(l);
}

TEST(a_late_promotion_gives_no_old_value, "P8", "10.8") {
    layers *l = over_source(2);
    put(2, "a", "old");
    fakes[0].set_says = STATUS_TIMEOUT;
    want_get(
        l, "a", "old from 2",
        "the source holds a=old, the promotion to level 1 times out; get a",
        "a promotion that fails is no failure of the get");
    want_int(layers_failed(l), 1,
             "the source holds a=old, the promotion to level 1 times out; get "
             "a; layers_failed",
             "a promotion that fails is reported");
    forget_calls();
    get(l, "a");
    want_text(asked, "g2(a) ",
              "the source holds a=old, the promotion to level 1 times out; get "
              "a; get a again; which levels were asked",
              "a promotion that fails puts the level out like any other call");
    set(l, "a", "new");
    mend_level(1);
    now_ms += RETRY_MS;
    want_get(l, "a", "new from 2",
             "the source holds a=old, the promotion to level 1 times out; get "
             "a; then set a=new; level 1 works again, and does the promotion "
             "of old late; get a",
             "a promotion that fails puts the level out like any other call; "
             "what timed out may be done later, and must be cleaned away");
    layers_destroy(l);
}

TEST(a_skipped_promotion_is_nothing_missed, "P8", "10.8") {
    layers *l = over_source(2);
    set(l, "a", "1");
    put(2, "b", "2");
    fakes[0].get_says = STATUS_TIMEOUT;
    get(l, "b");
    get(l, "a");
    mend_level(1);
    now_ms += RETRY_MS;
    want_get(l, "a", "1 from 1",
             "level 1 holds a; it fails at a get of b; while it is out, get a "
             "from the source; after retry_ms get a",
             "a copy that passed a level by is no change that it missed: what "
             "it holds is still right");
    layers_destroy(l);
}

static void can_not_be_cleaned(status why) {
    const char *name = status_name(why);
    layers *l = missed_a();
    fakes[1].delete_says = why;
    now_ms += RETRY_MS;
    want_get(l, "a", name,
             text("level 2 missed a change of a; after retry_ms its get works "
                  "and its delete says %s; get a",
                  name),
             "a level is not asked before it is clean, whatever its delete "
             "says instead of ok");
    want_int(layers_failed(l), 2,
             text("level 2 missed a change of a; after retry_ms its get works "
                  "and its delete says %s; get a; layers_failed",
                  name),
             "a level that could not be cleaned is one that the call had to do "
             "without");
    want_get(l, "b", name,
             text("level 2 missed a change of a; after retry_ms its get works "
                  "and its delete says %s; get a; get b",
                  name),
             "it is out for every key");
    fakes[1].delete_says = STATUS_OK;
    want_get(l, "a", name, "its delete works again; get a at once",
             "a cleaning that fails starts the wait anew");
    now_ms += RETRY_MS;
    want_get(l, "a", "miss", "after another retry_ms, get a",
             "a cleaning that failed is done anew");
    want_get(l, "b", "kept from 2", "after another retry_ms, get a; then get b",
             "what level 2 did not miss it keeps");
    layers_destroy(l);
}

TEST(a_level_that_can_not_be_cleaned_stays_out, "P8", "10.8") {
    can_not_be_cleaned(STATUS_TIMEOUT);
    can_not_be_cleaned(STATUS_NO_MEMORY);
}

TEST(a_key_that_was_missed_twice_is_one_key, "P8", "10.8") {
    layers *l = caches(2);
    set(l, "kept", "1");
    for (int i = 0; i < MISSED_MAX; i++) {
        set(l, text("key %d", i), "old");
    }
    break_level(2, STATUS_BACKEND);
    for (int i = 0; i < MISSED_MAX; i++) {
        set(l, text("key %d", i), "new");
        set(l, text("key %d", i), "newer");
    }
    fakes[0].count = 0;
    mend_level(2);
    forget_calls();
    now_ms += RETRY_MS;
    want_get(l, "kept", "1 from 2",
             "level 2 missed changes of missed_max keys; after retry_ms get a "
             "key that it did not miss",
             "count keys, not changes; missed_max of them can be noted");
    want_get(l, "key 0", "miss",
             "level 2 missed changes of missed_max keys; after retry_ms get a "
             "key that it did not miss; get one that it missed",
             "all keys that were noted are deleted");
    layers_destroy(l);
}

TEST(a_level_that_missed_too_much_is_cleared, "P8", "10.8") {
    layers *l = caches(2);
    set(l, "kept", "1");
    for (int i = 0; i <= MISSED_MAX; i++) {
        set(l, text("key %d", i), "old");
    }
    break_level(2, STATUS_BACKEND);
    for (int i = 0; i <= MISSED_MAX; i++) {
        set(l, text("key %d", i), "newest");
    }
    fakes[0].count = 0;
    mend_level(2);
    put(2, text("key %d", MISSED_MAX), "old");
    fakes[1].clear_says = STATUS_TIMEOUT;
    now_ms += RETRY_MS;
    want_get(l, "kept", "timeout",
             "level 2 missed one key more, and its clear fails; get another",
             "a level that cannot be cleared stays out");
    fakes[1].clear_says = STATUS_NO_MEMORY;
    now_ms += RETRY_MS;
    want_get(l, "kept", "no memory",
             "level 2 missed one key more, and after retry_ms its clear has no "
             "memory; get another",
             "a clear that is refused has cleared nothing: the level stays "
             "out");
    fakes[1].clear_says = STATUS_OK;
    now_ms += RETRY_MS;
    want_get(l, text("key %d", MISSED_MAX), "miss",
             "its clear works again; after retry_ms get the key that was one "
             "too many",
             "a level that missed more than can be noted is cleared");
    want_int(fakes[1].count, 0,
             "its clear works again; after retry_ms get the key that was one "
             "too many; entries on level 2",
             "a clear is what it takes: nobody knows which keys are old");
    set(l, "kept", "2");
    fakes[0].count = 0;
    now_ms += RETRY_MS;
    want_get(l, "kept", "2 from 2",
             "its clear works again; after retry_ms get the key that was one "
             "too many; then set a key; level 1 loses it; get it",
             "a level is cleared once, not each time it is asked");
    break_level(2, STATUS_BACKEND);
    set(l, "key 0", "last");
    fakes[0].count = 0;
    mend_level(2);
    now_ms += RETRY_MS;
    want_get(l, "kept", "2 from 2",
             "level 2 was cleared; then it misses a change of one key; after "
             "retry_ms get another",
             "after a clear nothing is missed: begin a new list");
    layers_destroy(l);
}

/* Whether level 2 is cleared when it missed so many keys. */
static bool cleared_for(layers *l, size_t keys) {
    put(2, "kept", "1");
    break_level(2, STATUS_BACKEND);
    for (size_t i = 0; i < keys; i++) {
        set(l, text("key %zu", i), "new");
    }
    mend_level(2);
    now_ms += LAYERS_RETRY_MS;
    get(l, "nobody");
    return find(&fakes[1], bytes_of("kept")) == NULL;
}

TEST(a_level_may_miss_a_thousand_keys_by_default, "P8", "10.8") {
    layers *l =
        with_options(&(layers_options){.clock = {read_clock, &clock_reads}});
    want_true(!cleared_for(l, LAYERS_MISSED_MAX),
              "a missed_max of 0; level 2 misses LAYERS_MISSED_MAX keys, and "
              "works again; look for another key there",
              "0 means the default: so many can be noted, and are deleted one "
              "by one");
    want_true(cleared_for(l, LAYERS_MISSED_MAX + 1),
              "a missed_max of 0; level 2 misses LAYERS_MISSED_MAX + 1 keys, "
              "and works again; look for another key there",
              "0 means the default: one more is too many, and the level is "
              "cleared");
    layers_destroy(l);
}

TEST(without_memory_to_note_it_all_is_missed, "P13", "10.8") {
    bool failed = true;
    for (size_t n = 1; failed && n < 20; n++) {
        layers *l = caches(2);
        set(l, "a key of more than sixteen bytes", "old");
        break_level(2, STATUS_BACKEND);
        heap_fail_at(n);
        status s = set(l, "a key of more than sixteen bytes", "new");
        failed = heap_has_failed();
        heap_fail_at(0);
        want_status(s, STATUS_BACKEND,
                    text("level 2 fails, and allocation %zu too; set a key", n),
                    "it is the level that failed");
        fakes[0].count = 0;
        mend_level(2);
        now_ms += RETRY_MS;
        want_get(l, "a key of more than sixteen bytes", "miss",
                 "level 2 fails a set that nobody could note for want of "
                 "memory; level 1 loses the key, level 2 works again; get it",
                 "what cannot be noted must not be forgotten: that all keys "
                 "are missed can be noted without memory");
        layers_destroy(l);
    }
}

/* --- random calls and random failures ------------------------------------ */

enum { MODEL_KEYS = 5, MODEL_VALUES = 64, MODEL_LEVELS = 3 };

struct beside {
    layers *l;
    bool has_source;
    uint64_t gets;
    unsigned last[MODEL_KEYS]; /* what was set last; 0: nothing */
};

static bool model_has_source;

static void *model_begin(void) {
    struct beside *b = calloc(1, sizeof *b);
    if (!b) {
        abort();
    }
    b->has_source = model_has_source;
    b->l = b->has_source ? over_source(MODEL_LEVELS) : caches(MODEL_LEVELS);
    fakes[0].room = 2;
    fakes[1].room = 3;
    return b;
}

static const char *model_key(unsigned key) {
    static const char *names[MODEL_KEYS] = {"a", "b", "c", "", "a longer one"};
    return names[key % MODEL_KEYS];
}

static const char *model_set(struct beside *b, model_step s) {
    char value[16];
    snprintf(value, sizeof value, "%u", s.value + 1);
    status got = set(b->l, model_key(s.key), value);
    b->last[s.key % MODEL_KEYS] = s.value + 1;
    for (size_t i = 1; got == STATUS_OK && i <= MODEL_LEVELS; i++) {
        if (strcmp(held(i, model_key(s.key)), value) != 0) {
            return text("set said ok, and level %zu holds %s", i,
                        held(i, model_key(s.key)));
        }
    }
    return NULL;
}

/* What is right: what the source holds; without one, what was set last. */
static const char *model_truth(struct beside *b, unsigned key) {
    if (b->has_source) {
        return held(MODEL_LEVELS, model_key(key));
    }
    unsigned last = b->last[key % MODEL_KEYS];
    return last ? text("%u", last) : "nothing";
}

static bool may_fail(size_t level) {
    const struct fake *f = &fakes[level - 1];
    return f->get_says != STATUS_OK || now_ms - f->failed_ms < RETRY_MS;
}

static const char *model_get(struct beside *b, model_step s) {
    bytes value = {NULL, 0};
    size_t level = 0, slowest = b->has_source ? MODEL_LEVELS : 1;
    status got = layers_get(b->l, bytes_of(model_key(s.key)), &value, &level);
    const char *truth = model_truth(b, s.key);
    b->gets++;
    if (got == STATUS_OK) {
        const char *came =
            text("%.*s", (int)value.len, (const char *)value.data);
        return strcmp(came, truth) == 0
                   ? NULL
                   : text("get gave %s from level %zu, right is %s", came,
                          level, truth);
    }
    if (got == STATUS_MISS) {
        return b->has_source && strcmp(truth, "nothing") != 0
                   ? text("get missed, and the source holds %s", truth)
                   : NULL;
    }
    for (size_t i = slowest; i <= MODEL_LEVELS; i++) {
        if (may_fail(i)) {
            return NULL;
        }
    }
    return text("get said %s, and all that it needs works", status_name(got));
}

/* Level 3 as a source fails as a whole: half a source is no truth. */
static void model_break(model_step s) {
    static const status ways[] = {STATUS_BACKEND, STATUS_TIMEOUT,
                                  STATUS_TOO_LARGE};
    size_t level = 1 + s.key % MODEL_LEVELS;
    status way = ways[s.value % 3];
    if (way == STATUS_TOO_LARGE) {
        fakes[level - 1].set_says = way;
        if (s.value / 3 % 2 == 0) {
            fakes[level - 1].delete_says = fakes[level - 1].clear_says = way;
        }
    } else if (s.value / 3 % 2 == 0) {
        break_level(level, way);
    } else {
        fakes[level - 1].set_says = way;
    }
}

static const char *model_apply(void *state, model_step s) {
    struct beside *b = state;
    switch (s.operation) {
    case 0:
    case 1: return model_set(b, s);
    case 2:
    case 3:
    case 4: return model_get(b, s);
    case 5:
        del(b->l, model_key(s.key));
        b->last[s.key % MODEL_KEYS] = 0;
        return NULL;
    case 6: model_break(s); return NULL;
    case 7: mend_level(1 + s.key % MODEL_LEVELS); return NULL;
    default: now_ms += RETRY_MS / 2; return NULL;
    }
}

static const char *model_end(void *state) {
    struct beside *b = state;
    const char *why = NULL;
    uint64_t come = b->gets;
    for (size_t i = 1; i <= MODEL_LEVELS && !why; i++) {
        layers_stats t = layers_statistics(b->l, i);
        const struct fake *f = &fakes[i - 1];
        if (t.hits + t.misses + t.failures != come || t.hits != f->hits
            || t.misses != f->misses || t.failures < f->failures) {
            why = text("%llu gets came to level %zu, and it counts %llu hits, "
                       "%llu misses, %llu failures",
                       (unsigned long long)come, i, (unsigned long long)t.hits,
                       (unsigned long long)t.misses,
                       (unsigned long long)t.failures);
        }
        come -= t.hits;
    }
    layers_destroy(b->l);
    free(b);
    return why;
}

static void model_print(FILE *out, model_step s) {
    static const char *ways[] = {"backend failed", "timeout", "too large"};
    const char *key = model_key(s.key);
    unsigned level = 1 + s.key % MODEL_LEVELS;
    switch (s.operation) {
    case 0:
    case 1: fprintf(out, "set(\"%s\", \"%u\")", key, s.value + 1); break;
    case 2:
    case 3:
    case 4: fprintf(out, "get(\"%s\")", key); break;
    case 5: fprintf(out, "delete(\"%s\")", key); break;
    case 6:
        fprintf(out, "let %s of level %u fail: %s",
                s.value / 3 % 2    ? "set"
                : s.value % 3 == 2 ? "all but get"
                                   : "all calls",
                level, ways[s.value % 3]);
        break;
    case 7: fprintf(out, "mend level %u", level); break;
    default: fprintf(out, "let retry_ms / 2 go by");
    }
}

static void check_against_model(bool has_source) {
    model_has_source = has_source;
    model_check(&(model){.operations = 9,
                         .keys = MODEL_KEYS,
                         .values = MODEL_VALUES,
                         .lists = 400,
                         .steps = 80,
                         .begin = model_begin,
                         .apply = model_apply,
                         .end = model_end,
                         .print = model_print});
}

TEST(no_mix_of_calls_and_failures_hides_the_source, "P10", "10.8") {
    check_against_model(true);
}

TEST(no_mix_of_calls_and_failures_brings_back_the_old, "P8", "10.8") {
    check_against_model(false);
}

/* --- 10.9: Redis --------------------------------------------------------- */

enum { TIMEOUT_MS = 3000, SHORT_MS = 250, PATIENCE_MS = 1000 };

static redis *server_for_test(void) {
    signal(SIGPIPE, SIG_IGN);
    reset();
    return redis_start();
}

static layer redis_level(const redis *server, int timeout_ms) {
    layer y = {0};
    want_status(layer_redis(redis_path(server), timeout_ms, DAY_MS, &y),
                STATUS_OK, "layer_redis(path, timeout, a day, &level)",
                "it fails though there is memory");
    want_true(y.get && y.set && y.del && y.clear && y.destroy,
              "layer_redis(...), look at the functions of the level",
              "a cache has get, set, del and clear; this one has something to "
              "end, too");
    return y;
}

/* An lru of 1 over Redis. */
static layers *over_redis(const redis *server, int timeout_ms) {
    layer levels[2] = {lru_level(1), redis_level(server, timeout_ms)};
    return join(levels, 2);
}

TEST(a_redis_level_gives_back_what_was_set, "P16", "10.9") {
    redis *server = server_for_test();
    layer y = redis_level(server, TIMEOUT_MS);
    bytes key = {"k\0y %s", 6}, value = {"v\0l\r\n", 5}, found = {NULL, 0};
    want_status(y.get(y.context, key, &found), STATUS_MISS,
                "an empty server; get", "nothing was set yet");
    want_status(y.set(y.context, key, value), STATUS_OK, "set k\\0y %s",
                "hand on what redis_cache says");
    want_status(y.get(y.context, key, &found), STATUS_OK,
                "set k\\0y %s; then get it", "hand on what redis_cache says");
    want_bytes(found, value,
               "set k\\0y %s; then get it; then look at the value",
               "the value is lent as redis_cache lends it");
    want_status(
        y.del(y.context, key), STATUS_OK,
        "set k\\0y %s; then get it; then look at the value; then delete it",
        "hand on what redis_cache says");
    want_status(y.get(y.context, key, &found), STATUS_MISS,
                "set k\\0y %s; then get it; then look at the value; then "
                "delete it; then get it",
                "delete must delete");
    want_status(
        y.del(y.context, key), STATUS_OK, "delete it once more",
        "redis_cache calls it a miss, and a level calls it ok: gone is gone");
    y.set(y.context, bytes_of("a"), value);
    y.set(y.context, bytes_of("b"), value);
    want_status(y.clear(y.context), STATUS_OK, "set a, set b, clear",
                "FLUSHDB empties the server's database");
    want_text(redis_ask(server, "DBSIZE"), ":0",
              "set a, set b, clear; then ask Redis for its size",
              "clear deletes every key");
    y.destroy(y.context);
    redis_stop(server);
}

TEST(other_programs_find_what_a_redis_level_holds, "P16", "10.9") {
    redis *server = server_for_test();
    layers *l = over_redis(server, TIMEOUT_MS);
    want_status(set(l, "a", "1"), STATUS_OK, "an lru over Redis; set a=1",
                "both levels work");
    want_text(redis_ask(server, "GET a"), "$1",
              "an lru over Redis; set a=1; then ask Redis for a",
              "the key in Redis is the key of the level, byte for byte");
    long long left = strtoll(redis_ask(server, "PTTL a") + 1, NULL, 10);
    want_that(left > DAY_MS / 2 && left <= DAY_MS,
              "set a=1 with a ttl_ms of a day; ask Redis for its PTTL\n"
              "wanted  about %d\ngot     %lld\n"
              "likely  a set without a time stays for ever, and seconds are "
              "not milliseconds",
              DAY_MS, left);
    redis_ask(server, "SET b other");
    want_get(l, "b", "other from 2",
             "another program sets b=other in Redis; get b",
             "what others put there is found");
    want_get(l, "b", "other from 1",
             "another program sets b=other in Redis; get b; then get b again",
             "it was promoted, and its value must be whole");
    redis_ask(server, "LPUSH list x");
    want_get(l, "list", "invalid argument",
             "a key in Redis holds a list; get it",
             "the level cannot give a value of it, so it is no miss");
    want_get(l, "a", "1 from 2",
             "a key in Redis holds a list; get it; then get a",
             "a refusal does not put a level out");
    layers_destroy(l);
    redis_stop(server);
}

TEST(a_clear_that_redis_does_not_do_is_not_ok, "P8", "10.9") {
    redis *server = server_for_test();
    layer y = redis_level(server, SHORT_MS);
    redis_ask(server, "ACL SETUSER default -flushdb -flushall");
    want_status(y.clear(y.context), STATUS_BACKEND,
                "forbid FLUSHDB in Redis; clear",
                "an answer may be an error: look at its type");
    redis_pause(server);
    ms_clock machine = ms_clock_monotonic();
    int64_t begun = ms_clock_now(machine);
    want_true(y.clear(y.context) != STATUS_OK,
              "stop Redis in its tracks; clear",
              "no answer is not ok, and must be looked at");
    long long took = ms_clock_now(machine) - begun;
    redis_continue(server);
    want_that(took >= SHORT_MS / 2 && took < 2 * SHORT_MS + PATIENCE_MS,
              "a timeout_ms of %d; stop Redis in its tracks; clear; the time "
              "in ms\nwanted  %d to %d\ngot     %lld\n"
              "likely  tv_usec is in microseconds; redisSetTimeout bounds the "
              "wait for the answer",
              SHORT_MS, SHORT_MS, 2 * SHORT_MS, took);
    y.destroy(y.context);
    redis_stop(server);
}

TEST(bad_redis_levels_are_refused, "P12", "10.9") {
    layer y = {0};
    want_status(layer_redis(NULL, 100, 100, &y), STATUS_INVALID,
                "layer_redis with the path NULL", "a path is needed");
    want_status(layer_redis("localhost", 100, 100, &y), STATUS_INVALID,
                "layer_redis with the path \"localhost\"",
                "a path has a slash, so that it cannot be taken for a host");
    want_status(layer_redis("localhost:6379", 100, 100, &y), STATUS_INVALID,
                "layer_redis with the path \"localhost:6379\"",
                "redis_cache takes a host and a port, and clear could not "
                "connect to it: a path has a slash");
    want_status(layer_redis("/nowhere", 0, 100, &y), STATUS_INVALID,
                "layer_redis with a timeout of 0",
                "hand on what redis_cache_create says");
    want_status(layer_redis("/nowhere", 100, 0, &y), STATUS_INVALID,
                "layer_redis with a ttl_ms of 0",
                "an entry that is kept for 0 ms is none; and for ever is too "
                "long for a level that outlives the program");
    want_true(y.get == NULL, "layer_redis with a ttl_ms of 0; look at *out",
              "out-parameters are written only on success");
}

static void try_redis_level(void *context) {
    layer y = {0};
    status s = layer_redis("/nowhere/redis.sock", 100, 100, &y);
    ++*(size_t *)context;
    want_status(
        s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
        "layer_redis while an allocation fails",
        "every result of malloc and redis_cache_create must be looked at");
    if (s == STATUS_OK) {
        bytes value;
        want_status(y.get(y.context, bytes_of("a"), &value), STATUS_BACKEND,
                    "a level whose server is not there; get a",
                    "hand on what redis_cache says");
        want_true(y.clear(y.context) != STATUS_OK,
                  "a level whose server is not there; clear",
                  "what was not done is not ok: look at what hiredis gave");
        y.destroy(y.context);
    }
}

TEST(a_redis_level_needs_memory_but_no_server, "P13", "10.9") {
    size_t tries = 0;
    heap_fail_each(try_redis_level, &tries);
    want_that(tries > 1, "layer_redis; count allocations\nwanted  some\n"
                         "got     none\nlikely  where does the level live?");
}

/* Redis stops in its tracks; nobody tells it of the changes made meanwhile;
 * it goes on, with all that it held. */
TEST(a_redis_that_hung_gives_no_old_value, "P8", "10.9") {
    redis *server = server_for_test();
    layers *l = over_redis(server, SHORT_MS);
    set(l, "a", "old");
    set(l, "b", "old");
    set(l, "c", "right");
    redis_pause(server);
    want_status(set(l, "a", "new"), STATUS_TIMEOUT,
                "set a=old; stop Redis in its tracks; set a=new",
                "level 2 does not answer, and the caller must know");
    want_int(layers_failed(l), 2,
             "set a=old; stop Redis in its tracks; set a=new; layers_failed",
             "say which level has not got the value");
    want_get(l, "a", "new from 1",
             "set a=old; stop Redis in its tracks; set a=new; get a",
             "level 1 serves while level 2 is down");
    set(l, "b", "new");
    set(l, "d", "1");
    redis_continue(server);
    now_ms += RETRY_MS;
    const char *a = get(l, "a");
    want_that(strncmp(a, "old", 3) != 0,
              "set a=old; stop Redis; set a=new; level 1 evicts a; let Redis "
              "go on; get a\nwanted  anything but old\ngot     %s\n"
              "likely  Redis missed the change and was not cleaned of it",
              a);
    const char *b = get(l, "b");
    want_that(strncmp(b, "old", 3) != 0,
              "set b=old; stop Redis; set a=new, set b=new, which passes level "
              "2 by; let Redis go on; get b\n"
              "wanted  anything but old\ngot     %s\n"
              "likely  what passed a level by, it missed as well",
              b);
    want_get(
        l, "c", "right from 2",
        "set a=old; stop Redis in its tracks; set a=new; with c, which did not "
        "change",
        "what Redis did not miss, it keeps: delete the keys, do not clear");
    layers_destroy(l);
    redis_stop(server);
}

TEST(a_redis_that_died_is_used_again_when_it_is_back, "P7", "10.9") {
    redis *server = server_for_test();
    layers *l = over_redis(server, TIMEOUT_MS);
    set(l, "a", "1");
    redis_kill(server);
    want_get(l, "a", "1 from 1", "set a; kill Redis; get a",
             "level 1 serves while level 2 is down");
    status s = set(l, "a", "2");
    want_that(s == STATUS_BACKEND || s == STATUS_LOST,
              "kill Redis; set a=2\nwanted  backend failed\ngot     %s\n"
              "likely  hand on what redis_cache says",
              status_name(s));
    redis_restart(server);
    want_true(set(l, "b", "3") != STATUS_OK,
              "Redis is back; set b before retry_ms",
              "a level that failed is left alone for a while");
    now_ms += RETRY_MS;
    want_status(set(l, "a", "4"), STATUS_OK, "after retry_ms, set a=4",
                "the first call after that tries again");
    set(l, "b", "5");
    want_get(l, "a", "4 from 2",
             "after retry_ms, set a=4; then set b, which evicts a; get a",
             "a level that is back is a level like any other");
    layers_destroy(l);
    redis_stop(server);
}
