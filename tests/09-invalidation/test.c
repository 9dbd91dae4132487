/* Tests of the invalidated cache. Values are pointers into `cells`, so that
 * each can be told from every other and its destruction counted. */
#include "versioned.h"

#include "bus.h"
#include "support/check.h"
#include "support/crash.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/pause.h"
#include "support/redis.h"
#include "support/work.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CELLS = 64, TIMEOUT_MS = 3000 };

#define LONG_KEY "a key of more than sixteen bytes"
#define CHANNEL "invalidations"

static int cells[CELLS]; /* how often each value was destroyed */

static void destroy(void *value) {
    if (value) {
        ++*(int *)value;
    }
}

static versioned *another(void) {
    versioned *v = NULL;
    want_status(versioned_create(destroy, 42, &v), STATUS_OK,
                "versioned_create(destroy, 42, &v)",
                "create fails though there is memory");
    want_true(v != NULL, "versioned_create(destroy, 42, &v)",
              "create says ok and does not write the cache to *out");
    return v;
}

static versioned *fresh(void) {
    memset(cells, 0, sizeof cells);
    return another();
}

/* What a test takes for granted. */
static void set(versioned *v, const char *key, void *value, uint64_t version) {
    status s = versioned_set(v, bytes_of(key), value, version);
    want_status(
        s, STATUS_OK,
        text("set %s in version %llu", key, (unsigned long long)version),
        s == STATUS_BACKEND
            ? "connect or poll has said ok: then the subscription is "
              "confirmed, and what is set is kept"
            : "set fails, though nothing newer is held");
}

static void tag(versioned *v, const char *key, const char *name) {
    want_status(versioned_tag(v, bytes_of(key), bytes_of(name)), STATUS_OK,
                text("set %s, tag it with %s", key, name),
                "tag fails, though the key is there");
}

static void invalidate(versioned *v, const char *key) {
    want_status(versioned_invalidate(v, bytes_of(key)), STATUS_OK,
                text("invalidate %s", key),
                "an invalidation in one process cannot fail; with Redis it "
                "must be published");
}

static void invalidate_tag(versioned *v, const char *name) {
    want_status(versioned_invalidate_tag(v, bytes_of(name)), STATUS_OK,
                text("invalidate the tag %s", name),
                "an invalidation in one process cannot fail; with Redis it "
                "must be published");
}

static bool is_hit(status s, const char *key) {
    want_that(s == STATUS_OK || s == STATUS_MISS,
              "get %s\nwanted  ok or miss\ngot     %s\n"
              "likely  a get hits or misses, and nothing else: without a "
              "connection nothing is held",
              key, status_name(s));
    return s == STATUS_OK;
}

/* The value for a reader who wants at least this version; NULL on a miss. */
static void *get(versioned *v, const char *key, uint64_t at_least) {
    void *value = NULL;
    status s = versioned_get(v, bytes_of(key), at_least, &value, NULL);
    return is_hit(s, key) ? value : NULL;
}

static bool has(versioned *v, const char *key) {
    return is_hit(versioned_get(v, bytes_of(key), 0, NULL, NULL), key);
}

/* The lease of a get that must miss: the key is not held, or in the version
 * before at_least. */
static uint64_t miss(versioned *v, const char *key, uint64_t at_least) {
    uint64_t lease = 0;
    status s = versioned_get(v, bytes_of(key), at_least, NULL, &lease);
    const char *did =
        at_least ? text("%s is held in version %llu; get it of at least %llu",
                        key, (unsigned long long)at_least - 1,
                        (unsigned long long)at_least)
                 : text("get %s, which is not held", key);
    want_status(s, STATUS_MISS, did, "the key is not held in that version");
    want_true(lease != 0, text("%s; look at the lease", did),
              at_least ? "too old is a miss as well, and gets a lease"
                       : "every miss hands out a lease, and none is 0");
    return lease;
}

static status set_leased(versioned *v, const char *key, void *value,
                         uint64_t version, uint64_t lease) {
    return versioned_set_leased(v, bytes_of(key), value, version, lease);
}

/* --- 9.1: create, count, destroy --------------------------------------- */

TEST(a_fresh_cache_is_empty_and_ends_without_a_trace, "P10", "9.1") {
    versioned *v = fresh();
    want_int(versioned_count(v), 0, "create, count",
             "the count must start at 0");
    versioned_destroy(v);
    versioned_destroy(NULL);
}

static void try_to_create(void *context) {
    static char untouched;
    versioned *v = (versioned *)&untouched;
    status s = versioned_create(NULL, 42, &v);
    ++*(size_t *)context;
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "create while an allocation fails",
                "every result of malloc and dict_create must be looked at");
    if (s == STATUS_OK) {
        versioned_destroy(v);
    } else {
        want_pointer(v, &untouched, "create without memory, look at v",
                     "out-parameters are written only on success");
    }
}

TEST(without_memory_create_says_so_and_leaves_nothing, "P9", "9.1") {
    size_t tries = 0;
    heap_fail_each(try_to_create, &tries);
    want_that(tries > 1, "create, count allocations\nwanted  at least one\n"
                         "got     none\nlikely  where do the entries live?");
}

/* --- 9.2: set and get, by version -------------------------------------- */

TEST(a_set_value_is_found_and_a_miss_writes_nothing, "P1", "9.2") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 1);
    set(v, "b", &cells[1], 1);
    want_pointer(get(v, "a", 0), &cells[0], "set a, set b, get a",
                 "set must store the pointer, get give it back");
    want_pointer(get(v, "b", 0), &cells[1], "set a, set b, get b",
                 "the keys must be told apart");
    void *value = &cells[9];
    want_status(versioned_get(v, bytes_of("c"), 0, &value, NULL), STATUS_MISS,
                "set a, set b, get c", "c was never set");
    want_pointer(value, &cells[9], "get a key that is missing, look at value",
                 "on a miss *value must not be written");
    want_status(versioned_get(v, bytes_of("a"), 0, NULL, NULL), STATUS_OK,
                "set a, set b, get a with a value of NULL",
                "who only asks whether the key is there passes NULL: look "
                "before you write");
    want_int(versioned_count(v), 2, "set a, set b, count",
             "two keys are two entries");
    versioned_destroy(v);
}

TEST(the_version_just_set_is_new_enough, "P1", "9.2") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 7);
    want_pointer(get(v, "a", 7), &cells[0],
                 "set a in version 7, get a of at least 7",
                 "at least means >=, not >");
    want_pointer(get(v, "a", 6), &cells[0],
                 "set a in version 7, get a of at least 6",
                 "a newer version than asked for will do");
    versioned_destroy(v);
}

TEST(too_old_a_version_misses_and_stays_for_others, "P1", "9.2") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 7);
    want_pointer(get(v, "a", 8), NULL,
                 "set a in version 7, get a of at least 8",
                 "the reader knows of version 8, so 7 is stale for it");
    want_pointer(get(v, "a", 7), &cells[0],
                 "set a in version 7, get a of at least 8, then of at least 7",
                 "a reader who asks for more must not take the entry away");
    want_int(cells[0], 0, "the same; count how often the value was destroyed",
             "a miss of this kind removes nothing");
    versioned_destroy(v);
}

TEST(an_older_set_never_replaces_a_newer_one, "P2", "9.2") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 5);
    want_status(versioned_set(v, bytes_of("a"), &cells[1], 4), STATUS_STALE,
                "set a in version 5, set a in version 4",
                "two writers overtook each other: the older one must be "
                "refused");
    want_pointer(get(v, "a", 0), &cells[0],
                 "set a in version 5, set a in version 4, get a",
                 "a refused set must change nothing");
    want_pointer(get(v, "a", 5), &cells[0],
                 "set a in version 5, set a in version 4, get a of at least 5",
                 "a refused set must not touch the version either");
    want_int(cells[1], 0, "the same; was the refused value destroyed?",
             "a value that was refused is still the caller's");
    set(v, "a", &cells[2], 6);
    want_pointer(get(v, "a", 6), &cells[2], "then set a in version 6, get a",
                 "a newer version must replace the older one");
    versioned_destroy(v);
}

TEST(an_equal_version_replaces, "P2", "9.2") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 5);
    want_status(versioned_set(v, bytes_of("a"), &cells[1], 5), STATUS_OK,
                "set a in version 5, twice",
                "only an older version is refused: < and not <=");
    want_pointer(get(v, "a", 5), &cells[1], "set a in version 5, twice; get a",
                 "the second value must replace the first");
    versioned_destroy(v);
}

TEST(versions_are_compared_to_the_last_bit, "P2", "9.2") {
    versioned *v = fresh();
    const uint64_t most = UINT64_MAX, beyond_double = (1ull << 53) + 1;
    set(v, "a", &cells[0], beyond_double);
    want_status(versioned_set(v, bytes_of("a"), &cells[1], beyond_double - 1),
                STATUS_STALE, "set a in version 2^53 + 1, then in 2^53",
                "a version is a 64-bit integer: a double loses its last bit");
    set(v, "b", &cells[2], most);
    want_pointer(get(v, "b", most), &cells[2],
                 "set b in version 2^64 - 1, get b of at least that",
                 "a version may not be cut or signed");
    want_pointer(get(v, "b", 1), &cells[2],
                 "set b in version 2^64 - 1, get b of at least 1",
                 "a version may not be signed");
    want_status(versioned_set(v, bytes_of("b"), &cells[4], 1), STATUS_STALE,
                "set b in version 2^64 - 1, then in 1",
                "compare the versions: their difference has another sign when "
                "they lie far apart");
    set(v, "c", &cells[3], 0);
    want_pointer(get(v, "c", 0), &cells[3],
                 "set c in version 0, get c of at least 0",
                 "0 is a version like any other");
    want_pointer(get(v, "c", 1ull << 32), NULL,
                 "set c in version 0, get c of at least 2^32",
                 "a version may not be cut to 32 bits");
    want_pointer(get(v, "c", most), NULL,
                 "set c in version 0, get c of at least 2^64 - 1",
                 "compare the versions: their difference has another sign when "
                 "they lie far apart");
    versioned_destroy(v);
}

/* The slide's program takes the clock on the wall for a version, at the set
 * and at the get. Its numbers are given here; ours are counted. */
TEST(the_clock_on_the_wall_is_a_bad_version, "P2", "9.2") {
    versioned *v = fresh();
    const uint64_t set_at = 1700000000, asked_at = set_at + 1;
    set(v, "user:1", &cells[0], set_at);
    want_pointer(get(v, "user:1", asked_at), NULL,
                 "set user:1 at second 1700000000, ask a second later for a "
                 "version of now",
                 "the time of asking is newer than everything set before it, "
                 "so such a get always misses; but versions are compared all "
                 "the same");
    want_status(versioned_set(v, bytes_of("user:1"), &cells[1], set_at - 60),
                STATUS_STALE,
                "a second machine, whose clock is a minute behind, sets its "
                "change",
                "whatever the numbers come from, the smaller one is older: "
                "the later change is lost, which is why they must be counted");
    set(v, "user:2", &cells[2], 1);
    set(v, "user:2", &cells[3], 2);
    want_pointer(get(v, "user:2", 2), &cells[3],
                 "set user:2 in version 1 and in 2, get it of at least 2",
                 "a counted version is the number that was given to set, not "
                 "the time of the call");
    want_pointer(get(v, "user:2", 3), NULL,
                 "set user:2 in version 1 and in 2, get it of at least 3",
                 "set stores the time of the call, which is larger than any "
                 "counted version");
    versioned_destroy(v);
}

TEST(keys_are_any_bytes_and_copied, "P4", "9.2") {
    versioned *v = fresh();
    char key[] = {'a', '\0', 'b'};
    bytes whole = {key, sizeof key};
    want_status(versioned_set(v, whole, &cells[0], 1), STATUS_OK,
                "set the key a\\0b", "a key may hold any byte");
    set(v, "", &cells[1], 1);
    char far[] = LONG_KEY;
    set(v, far, &cells[2], 1);
    far[0] = key[0] = 'x';
    want_pointer(get(v, LONG_KEY, 0), &cells[2],
                 "set a long key, write over the caller's copy, get it",
                 "the cache must keep its own copy of the key");
    want_pointer(get(v, "a", 0), NULL, "set the key a\\0b, get a",
                 "a key does not end at a zero byte");
    want_pointer(get(v, "", 0), &cells[1], "set the empty key, get it",
                 "the empty key is a key");
    versioned_destroy(v);
}

TEST(a_value_is_destroyed_once_when_it_leaves, "P10", "9.2") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 1);
    set(v, "a", &cells[1], 2);
    set(v, LONG_KEY, &cells[2], 1);
    want_int(cells[0], 1,
             "set a in version 1 and in 2, count how often the first value "
             "was destroyed",
             "an update ends the old value, once");
    want_int(cells[1] + cells[2], 0, "the same, for the values still held",
             "they are in the cache");
    versioned_destroy(v);
    want_int(cells[0] + cells[1] + cells[2], 3,
             "then destroy; count how often the three values were",
             "destroy ends each value that is still held, once");
    want_true(cells[0] == 1 && cells[1] == 1, "the same, each by itself",
              "one value was destroyed twice, another one never");
}

TEST(values_may_need_no_end, "P10", "9.2") {
    versioned *v = NULL;
    want_status(versioned_create(NULL, 42, &v), STATUS_OK,
                "versioned_create(NULL, 42, &v)",
                "values that need no end come with no destroy_value");
    set(v, "a", &cells[0], 1);
    set(v, "a", &cells[1], 2);
    want_pointer(get(v, "a", 2), &cells[1],
                 "create without a destroy_value, set a twice, get a",
                 "there is nothing to call");
    versioned_destroy(v);
}

static int ends; /* how often a value of any kind was destroyed */

static void count_ends(void *value) {
    (void)value;
    ends++;
}

TEST(null_is_a_value_like_any_other, "P10", "9.2") {
    versioned *v = NULL;
    void *value = &cells[9];
    ends = 0;
    want_status(versioned_create(count_ends, 42, &v), STATUS_OK, "create",
                "create fails though there is memory");
    set(v, "a", NULL, 1);
    want_status(versioned_get(v, bytes_of("a"), 1, &value, NULL), STATUS_OK,
                "set a to NULL, get a",
                "whether a key is held, its entry says, not its value");
    want_pointer(value, NULL, "set a to NULL, get a, look at value",
                 "the value that was set is NULL");
    set(v, "a", &cells[0], 2);
    want_int(ends, 1,
             "set a to NULL, then to something else: how often destroy_value "
             "was called",
             "it is called for each value that leaves; what NULL means, only "
             "it can know");
    set(v, "b", NULL, 1);
    versioned_destroy(v);
    want_int(ends, 3, "then set b to NULL, destroy: how often it was called",
             "once for each value that is still held");
}

TEST(a_hit_and_an_update_allocate_nothing, "P10", "9.2") {
    versioned *v = fresh();
    set(v, LONG_KEY, &cells[0], 1);
    size_t before = heap_allocations();
    set(v, LONG_KEY, &cells[1], 2);
    get(v, LONG_KEY, 2);
    want_int(heap_allocations() - before, 0,
             "set a key in version 2 that is there in version 1, get it; "
             "count allocations",
             "the entry is there already: change it in place");
    versioned_destroy(v);
}

/* The n-th allocation from here fails, for each n, until one set of many new
 * keys gets through. */
TEST(without_memory_set_says_so_and_changes_nothing, "P9", "9.2") {
    for (size_t n = 1; n < 100; n++) {
        versioned *v = fresh();
        set(v, "a", &cells[0], 1);
        heap_fail_at(n);
        size_t done = 0;
        status s = STATUS_OK;
        while (done < 20 && s == STATUS_OK) {
            const char *key = text("%s %zu", LONG_KEY, done);
            s = versioned_set(v, bytes_of(key), &cells[1 + done], 1);
            done += s == STATUS_OK;
        }
        bool failed = heap_has_failed();
        heap_fail_at(0);
        want_that(s == STATUS_OK || (failed && s == STATUS_NO_MEMORY),
                  "set 20 keys while allocation %zu fails\n"
                  "wanted  no memory\ngot     %s\n"
                  "likely  another status was taken for it",
                  n, status_name(s));
        want_int(versioned_count(v), done + 1, "the same; count",
                 "a set that failed must leave nothing behind, and one that "
                 "said ok must hold: look at what table_add gave");
        want_int(cells[1 + done], 0,
                 "the same; was the value that failed destroyed?",
                 "a value that was not taken is still the caller's");
        want_true(has(v, "a"), "the same; get what was there before",
                  "a set that fails must not lose another entry");
        versioned_destroy(v);
        if (!failed) {
            return;
        }
    }
    want_true(false, "set 20 keys with 99 allocations", "so many for so few?");
}

/* --- 9.3: invalidate ---------------------------------------------------- */

TEST(an_invalidated_key_misses_and_its_value_ends, "P3", "9.3") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 1);
    set(v, "b", &cells[1], 1);
    invalidate(v, "a");
    want_int(cells[0], 1,
             "set a, invalidate a; how often was its value destroyed?",
             "the entry goes at once: nobody may ever ask for that key again");
    want_pointer(get(v, "a", 0), NULL, "set a, invalidate a, get a",
                 "an invalidated key is gone");
    want_int(cells[0], 1, "the same; how often was its value destroyed?",
             "the value leaves the cache once");
    want_pointer(get(v, "b", 0), &cells[1], "set a, set b, invalidate a, get b",
                 "other keys stay");
    want_int(versioned_count(v), 1, "set a, set b, invalidate a, count",
             "an invalidated key is no entry");
    invalidate(v, "never set");
    versioned_destroy(v);
}

TEST(an_invalidated_key_forgets_its_version_too, "P3", "9.3") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 9);
    invalidate(v, "a");
    want_status(versioned_set(v, bytes_of("a"), &cells[1], 3), STATUS_OK,
                "set a in version 9, invalidate a, set a in version 3",
                "the value was forgotten and the version kept: with every key "
                "that ever was, such a cache grows for ever");
    want_pointer(get(v, "a", 3), &cells[1], "the same; get a of at least 3",
                 "what was set after the invalidation is held");
    want_pointer(get(v, "a", 9), NULL, "the same; get a of at least 9",
                 "the version of the value before is still there");
    versioned_destroy(v);
}

/* --- 9.4: subscribers --------------------------------------------------- */

/* What a subscriber heard, as a text: k(a) t(staff) all. */
struct ear {
    char heard[400];
    const char *who; /* written in front of each event into `all_ears` */
    int destroyed;   /* how often cell 0 was, at the last event */
};

static char all_ears[400];

static void listen_in(void *context, versioned_event event, bytes name) {
    struct ear *e = context;
    static const char *kinds[] = {"k", "t", "all"};
    size_t used = strlen(e->heard);
    if (event == VERSIONED_ALL) {
        snprintf(e->heard + used, sizeof e->heard - used, "all%.*s ",
                 (int)name.len, name.len ? (const char *)name.data : "");
    } else {
        snprintf(e->heard + used, sizeof e->heard - used, "%s(%.*s) ",
                 kinds[event], (int)name.len,
                 name.len ? (const char *)name.data : "");
    }
    used = strlen(all_ears);
    snprintf(all_ears + used, sizeof all_ears - used, "%s",
             e->who ? e->who : "");
    e->destroyed = cells[0];
}

static void subscribe(versioned *v, struct ear *e, const char *who) {
    *e = (struct ear){.who = who};
    all_ears[0] = '\0';
    want_status(versioned_subscribe(v, listen_in, e), STATUS_OK, "subscribe",
                "subscribe fails though there is memory");
}

TEST(every_subscriber_hears_of_every_invalidation, "P8", "9.4") {
    versioned *v = fresh();
    struct ear ears[7];
    for (size_t i = 0; i < 7; i++) {
        static const char *names[] = {"0", "1", "2", "3", "4", "5", "6"};
        subscribe(v, &ears[i], names[i]);
    }
    set(v, "a", &cells[0], 1);
    invalidate(v, "a");
    invalidate(v, "never set");
    invalidate(v, "a");
    for (size_t i = 0; i < 7; i++) {
        want_text(ears[i].heard, "k(a) k(never set) k(a) ",
                  text("7 subscribers; invalidate a, another key, and a "
                       "again: what number %zu heard",
                       i),
                  "each hears of each, also of keys that are not held here: "
                  "they may be held elsewhere");
    }
    want_text(all_ears, "012345601234560123456",
              "the same: in which order they were called",
              "an event is told to all, in the order in which they came, "
              "before the next event");
    versioned_destroy(v);
}

TEST(a_subscriber_hears_after_the_fact, "P8", "9.4") {
    versioned *v = fresh();
    struct ear ear;
    subscribe(v, &ear, NULL);
    set(v, "a", &cells[0], 1);
    want_text(ear.heard, "", "subscribe, set a: what was heard",
              "a set is no invalidation");
    invalidate(v, "a");
    want_int(ear.destroyed, 1,
             "set a, invalidate a; was the value gone when the subscriber was "
             "called?",
             "it was told first and done afterwards");
    versioned_destroy(v);
}

TEST(a_subscriber_without_a_function_is_refused, "P14", "9.4") {
    versioned *v = fresh();
    want_status(versioned_subscribe(v, NULL, NULL), STATUS_INVALID,
                "versioned_subscribe(v, NULL, NULL)",
                "there is nothing to call");
    invalidate(v, "a");
    versioned_destroy(v);
}

TEST(without_memory_subscribe_says_so_and_loses_nobody, "P9", "9.4") {
    versioned *v = fresh();
    struct ear ears[3];
    subscribe(v, &ears[0], NULL);
    size_t refused = 0;
    for (size_t i = 1; i < 3; i++) {
        ears[i] = (struct ear){.who = NULL};
        heap_fail_at(1);
        status s = versioned_subscribe(v, listen_in, &ears[i]);
        want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                    "subscribe while an allocation fails",
                    "the result of malloc or realloc must be looked at");
        refused += heap_has_failed();
        heap_fail_at(0);
    }
    invalidate(v, "a");
    want_text(ears[0].heard, "k(a) ",
              "subscribe once more without memory, invalidate a: what the "
              "first one heard",
              "when realloc fails, the old block is still there");
    want_that(refused > 0 || strcmp(ears[2].heard, "k(a) ") == 0,
              "subscribe, invalidate a\nwanted  k(a)\ngot     nothing\n"
              "likely  it says ok and forgets the subscriber");
    versioned_destroy(v);
}

/* --- 9.5: tags ---------------------------------------------------------- */

TEST(a_tag_hides_all_that_carry_it_and_nothing_else, "P5", "9.5") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 1);
    set(v, "b", &cells[1], 1);
    set(v, "c", &cells[2], 1);
    tag(v, "a", "staff");
    tag(v, "b", "staff");
    tag(v, "c", "staf");
    invalidate_tag(v, "staff");
    want_false(has(v, "a"), "set a, tag it with staff, invalidate staff, get a",
               "it carries the tag");
    want_false(has(v, "b"), "the same for b", "every entry that carries it");
    want_true(has(v, "c"), "tag c with staf, invalidate staff, get c",
              "another tag is another tag");
    invalidate_tag(v, "a tag that nobody carries");
    want_true(has(v, "c"), "invalidate a tag that nobody carries, get c",
              "it must touch nothing");
    versioned_destroy(v);
}

TEST(a_hidden_entry_is_freed_when_it_is_met, "P5", "9.5") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 1);
    set(v, "b", &cells[1], 1);
    tag(v, "a", "staff");
    tag(v, "b", "staff");
    invalidate_tag(v, "staff");
    get(v, "a", 0);
    want_int(cells[0], 1,
             "tag a, invalidate the tag, get a: how often its value was "
             "destroyed",
             "a get that meets a hidden entry frees it");
    want_int(versioned_count(v), cells[1] ? 0 : 1, "the same; count",
             "an entry that was freed is counted still");
    want_false(has(v, "a"), "get a again", "it was freed");
    versioned_destroy(v);
    want_int(cells[0] + cells[1], 2, "destroy: how often both were destroyed",
             "each once, also the one that nobody met");
}

TEST(a_hidden_version_holds_nobody_back, "P5", "9.5") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 9);
    tag(v, "a", "staff");
    invalidate_tag(v, "staff");
    want_status(versioned_set(v, bytes_of("a"), &cells[1], 3), STATUS_OK,
                "set a in version 9, tag it, invalidate the tag, set a in "
                "version 3",
                "a hidden entry is as good as gone, its version too");
    want_pointer(get(v, "a", 3), &cells[1], "the same; get a",
                 "what was set after the invalidation must not inherit its "
                 "old mark");
    versioned_destroy(v);
}

TEST(only_what_is_held_takes_a_tag, "P5", "9.5") {
    versioned *v = fresh();
    want_status(versioned_tag(v, bytes_of("a"), bytes_of("staff")), STATUS_MISS,
                "tag a key that is not there", "there is nothing to mark");
    set(v, "b", &cells[0], 1);
    tag(v, "b", "staff");
    invalidate_tag(v, "staff");
    want_status(versioned_tag(v, bytes_of("b"), bytes_of("paris")), STATUS_MISS,
                "tag b with staff, invalidate staff, tag b with paris",
                "a hidden entry is as good as gone");
    want_false(has(v, "b"), "the same; get b",
               "a tag must not bring a hidden entry back");
    versioned_destroy(v);
}

TEST(what_is_tagged_after_the_invalidation_stays, "P5", "9.5") {
    versioned *v = fresh();
    set(v, "old", &cells[0], 1);
    tag(v, "old", "staff");
    invalidate_tag(v, "staff");
    set(v, "new", &cells[1], 1);
    tag(v, "new", "staff");
    want_true(has(v, "new"),
              "invalidate staff; then set new, tag it with staff, get new",
              "the mark must note the generation that the tag has now");
    want_false(has(v, "old"), "the same; get old",
               "a later entry must not bring it back");
    versioned_destroy(v);
}

TEST(a_tag_can_be_invalidated_again, "P5", "9.5") {
    versioned *v = fresh();
    set(v, "old", &cells[0], 1);
    tag(v, "old", "staff");
    invalidate_tag(v, "staff");
    set(v, "new", &cells[1], 1);
    tag(v, "new", "staff");
    invalidate_tag(v, "staff");
    want_false(has(v, "new"),
               "tag old with staff, invalidate staff, tag new with staff, "
               "invalidate staff, get new",
               "each invalidation gives the tag a number of its own");
    want_false(has(v, "old"), "the same; get old, which nobody met in between",
               "the number that a mark notes must never come back");
    versioned_destroy(v);
}

TEST(any_of_many_tags_hides_an_entry, "P6", "9.5") {
    for (size_t which = 0; which < 3; which++) {
        static const char *names[] = {"staff", "paris", ""};
        versioned *v = fresh();
        set(v, "a", &cells[0], 1);
        for (size_t i = 0; i < 3; i++) {
            tag(v, "a", names[i]);
        }
        invalidate_tag(v, names[which]);
        want_false(has(v, "a"),
                   text("tag a with staff, paris and the empty tag; "
                        "invalidate \"%s\", get a",
                        names[which]),
                   "each of the marks must be looked at");
        versioned_destroy(v);
    }
}

TEST(an_update_keeps_the_tags, "P6", "9.5") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 1);
    tag(v, "a", "staff");
    tag(v, "a", "staff");
    set(v, "a", &cells[1], 2);
    want_true(has(v, "a"), "set a, tag it twice, set a again, get a",
              "an update of a tagged entry is no invalidation");
    invalidate_tag(v, "staff");
    want_false(has(v, "a"),
               "set a, tag it, set a again, invalidate the tag, get a",
               "an update keeps the tags of its entry");
    versioned_destroy(v);
}

TEST(a_tag_that_nobody_carries_takes_no_memory, "P6", "9.5") {
    versioned *v = fresh();
    size_t blocks = 0;
    for (size_t i = 0; i < 300; i++) {
        set(v, "a", &cells[0], 1);
        tag(v, "a", text("tag %zu", i));
        tag(v, "a", text("tag %zu", i));
        invalidate_tag(v, text("nobody carries %zu", i));
        if (i % 2) {
            invalidate(v, "a");
        } else {
            invalidate_tag(v, text("tag %zu", i));
            get(v, "a", 0);
        }
        if (i == 9) {
            blocks = heap_live_blocks();
        }
    }
    want_at_most(heap_live_blocks(), blocks + 2,
                 "300 times: set a, tag it with a tag of its own, let a go; "
                 "compare the blocks on the heap after 10 and after 300",
                 "with its last entry a tag must go; and a tag that nobody "
                 "carries need not be made when it is invalidated");
    versioned_destroy(v);
}

TEST(a_tag_given_again_takes_no_memory, "P6", "9.5") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 1);
    tag(v, "a", "paris");
    tag(v, "a", "staff");
    size_t blocks = heap_live_blocks(), size = heap_live_bytes();
    for (size_t i = 0; i < 1000; i++) {
        tag(v, "a", i % 2 ? "paris" : "staff");
    }
    want_int(heap_live_blocks() - blocks, 0,
             "tag a with paris and with staff, 500 times more each; blocks on "
             "the heap, beside those after the first time",
             "once is enough: look whether the entry carries the tag already");
    want_int(heap_live_bytes() - size, 0, "the same; bytes on the heap",
             "once is enough: look whether the entry carries the tag already");
    invalidate_tag(v, "paris");
    want_false(has(v, "a"), "the same; invalidate paris, get a",
               "it carries the tag");
    versioned_destroy(v);
}

static size_t steps_to_invalidate(size_t entries) {
    versioned *v = fresh();
    for (size_t i = 0; i < entries; i++) {
        const char *key = text("key %zu", i);
        set(v, key, NULL, 1);
        tag(v, key, "staff");
    }
    work_begin();
    invalidate_tag(v, "staff");
    size_t steps = work_steps();
    want_false(has(v, "key 0"), "tag many, invalidate the tag, get the first",
               "it must be hidden");
    versioned_destroy(v);
    return steps;
}

TEST(a_tag_is_invalidated_in_the_same_steps_for_any_number, "P5", "9.5") {
    size_t many = test_scale(20000, 2000);
    size_t few_steps = steps_to_invalidate(1);
    size_t many_steps = steps_to_invalidate(many);
    want_at_most(many_steps, few_steps + 200,
                 text("tag %zu entries, invalidate the tag: steps, beside "
                      "those for 1 entry",
                      many),
                 "a walk over all that carry the tag, or over all entries: "
                 "count a generation up instead");
}

TEST(a_get_costs_the_same_in_a_large_cache, "P5", "9.5") {
    size_t many = test_scale(20000, 2000);
    versioned *v = fresh();
    for (size_t i = 0; i < many; i++) {
        const char *key = text("key %zu", i);
        set(v, key, NULL, 1);
        tag(v, key, text("tag %zu", i % 100));
    }
    invalidate_tag(v, "tag 1");
    work_begin();
    for (size_t i = 0; i < 100; i++) {
        has(v, text("key %zu", i));
    }
    want_at_most(work_steps() / 100, 400,
                 text("%zu tagged entries, one tag of 100 invalidated; get "
                      "100 of them: steps per get",
                      many),
                 "hidden entries are freed as they are met, not by a walk");
    versioned_destroy(v);
}

TEST(without_memory_tag_says_so_and_changes_nothing, "P9", "9.5") {
    for (size_t n = 1; n < 20; n++) {
        versioned *v = fresh();
        set(v, "a", &cells[0], 1);
        tag(v, "a", "paris");
        size_t blocks = heap_live_blocks();
        heap_fail_at(n);
        status s = versioned_tag(v, bytes_of("a"), bytes_of(LONG_KEY));
        bool failed = heap_has_failed();
        heap_fail_at(0);
        want_status(s, failed ? STATUS_NO_MEMORY : STATUS_OK,
                    text("tag a while allocation %zu fails", n),
                    "the results of malloc and of dict_set must be looked at");
        want_that(!failed || heap_live_blocks() == blocks,
                  "tag a while allocation %zu fails; blocks on the heap\n"
                  "wanted  %zu, as before\ngot     %zu\n"
                  "likely  a tag that was made stays behind with no entry to "
                  "carry it, or half a mark does",
                  n, blocks, heap_live_blocks());
        want_true(has(v, "a"), "the same; get a", "the entry must stay");
        invalidate_tag(v, LONG_KEY);
        want_int(has(v, "a"), failed, "the same; invalidate that tag, get a",
                 "a tag that was refused must not stick, one that was taken "
                 "must");
        if (failed) {
            invalidate_tag(v, "paris");
            want_false(has(v, "a"), "then invalidate the tag it had before",
                       "a failed tag must not lose another one");
        }
        versioned_destroy(v);
        if (!failed) {
            return;
        }
    }
}

TEST(without_memory_a_tag_in_use_stays, "P9", "9.5") {
    bool failed = true;
    for (size_t n = 1; failed && n < 20; n++) {
        versioned *v = fresh();
        set(v, "a", &cells[0], 1);
        set(v, "b", &cells[1], 1);
        tag(v, "a", "staff");
        size_t blocks = heap_live_blocks();
        heap_fail_at(n);
        versioned_tag(v, bytes_of("b"), bytes_of("staff"));
        failed = heap_has_failed();
        heap_fail_at(0);
        want_that(!failed || heap_live_blocks() == blocks,
                  "a carries staff; tag b with staff while allocation %zu "
                  "fails; blocks on the heap\nwanted  %zu, as before\n"
                  "got     %zu\nlikely  undo only what this call has made: a "
                  "carries the tag still",
                  n, blocks, heap_live_blocks());
        want_true(has(v, "a"), "the same; get a",
                  "nothing has happened to its tag");
        invalidate_tag(v, "staff");
        want_false(has(v, "a"), "then invalidate staff, get a",
                   "a failed tag must not take the tag from others");
        versioned_destroy(v);
    }
}

TEST(a_subscriber_hears_of_tags_as_tags, "P8", "9.5") {
    versioned *v = fresh();
    struct ear ear;
    subscribe(v, &ear, NULL);
    set(v, "a", &cells[0], 1);
    set(v, "b", &cells[1], 1);
    tag(v, "a", "staff");
    tag(v, "b", "staff");
    invalidate_tag(v, "staff");
    invalidate(v, "c");
    invalidate_tag(v, "nobody");
    get(v, "a", 0);
    want_text(ear.heard, "t(staff) k(c) t(nobody) ",
              "tag two entries with staff; invalidate staff, the key c, and a "
              "tag of nobody; meet a hidden entry: what was heard",
              "one event for one invalidation, whatever it hides, and none "
              "when a hidden entry is freed");
    versioned_destroy(v);
}

/* --- 9.6: leases -------------------------------------------------------- */

TEST(a_load_with_a_lease_is_stored, "P7", "9.6") {
    versioned *v = fresh();
    uint64_t lease = miss(v, "a", 0);
    want_status(set_leased(v, "a", &cells[0], 3, lease), STATUS_OK,
                "get a: a miss; set a with its lease",
                "nothing happened in between, so the lease is good");
    want_pointer(get(v, "a", 3), &cells[0], "the same; get a",
                 "the value must be stored in its version");
    uint64_t newer = miss(v, "a", 4);
    want_status(set_leased(v, "a", &cells[1], 4, newer), STATUS_OK,
                "get a of at least 4: a miss; set a in version 4 with its "
                "lease",
                "too old a version is a miss like any other");
    versioned_destroy(v);
}

TEST(a_hit_writes_no_lease, "P7", "9.6") {
    versioned *v = fresh();
    uint64_t untouched = 77;
    set(v, "a", &cells[0], 1);
    versioned_get(v, bytes_of("a"), 0, NULL, &untouched);
    want_int(untouched, 77, "get a: a hit; look at the lease",
             "only a miss writes the lease");
    versioned_destroy(v);
}

TEST(a_lease_may_be_used_again, "P7", "9.6") {
    versioned *v = fresh();
    uint64_t lease = miss(v, "a", 0);
    for (uint64_t version = 1; version <= 3; version++) {
        want_status(
            set_leased(v, "a", &cells[version], version, lease), STATUS_OK,
            text("get a: a miss; set a with its lease, for the time number %d",
                 (int)version),
            "only an invalidation voids a lease, a set does not");
    }
    set(v, "a", &cells[4], 4);
    want_status(set_leased(v, "a", &cells[5], 5, lease), STATUS_OK,
                "then set a without a lease, and once more with it",
                "only an invalidation voids a lease, a set does not");
    versioned_destroy(v);
}

/* The race: a reader misses and loads the old value; the source changes, and
 * the key is invalidated; only now the reader sets what it has loaded. */
TEST(a_stale_set_after_an_invalidation_is_refused, "P7", "9.6") {
    versioned *v = fresh();
    uint64_t lease = miss(v, "a", 0);
    invalidate(v, "a");
    want_status(set_leased(v, "a", &cells[0], 3, lease), STATUS_STALE,
                "get a: a miss; invalidate a; set a with the lease of before",
                "the value was read before the change: an invalidation voids "
                "the lease, also when the key is not held");
    want_false(has(v, "a"), "the same; get a",
               "a refused set must store nothing");
    want_int(cells[0], 0, "the same; was the refused value destroyed?",
             "it is still the caller's");
    lease = miss(v, "a", 0);
    want_status(set_leased(v, "a", &cells[1], 4, lease), STATUS_OK,
                "get a again: a miss; set a with the new lease",
                "the next miss hands out a lease that is good");
    versioned_destroy(v);
}

TEST(the_invalidation_of_any_tag_voids_a_lease, "P7", "9.6") {
    versioned *v = fresh();
    uint64_t lease = miss(v, "a", 0);
    invalidate_tag(v, "staff");
    want_status(set_leased(v, "a", &cells[0], 3, lease), STATUS_STALE,
                "get a: a miss; invalidate the tag staff; set a with the "
                "lease of before",
                "nobody knows yet whether a would have carried that tag");
    versioned_destroy(v);
}

TEST(a_lease_of_an_earlier_invalidation_never_comes_back, "P7", "9.6") {
    versioned *v = fresh();
    uint64_t old = miss(v, "a", 0);
    for (size_t i = 0; i < 40; i++) {
        if (i % 3) {
            invalidate(v, "a");
        } else {
            invalidate_tag(v, "staff");
        }
        uint64_t lease = miss(v, "a", 0);
        want_true(lease != old, "get a, invalidate a or a tag, get a again",
                  "two leases with an invalidation between must differ");
        want_status(
            set_leased(v, "a", &cells[0], 1, old), STATUS_STALE,
            text("%zu invalidations later, set a with the first lease", i + 1),
            "a void lease stays void");
    }
    versioned_destroy(v);
}

TEST(other_keys_void_a_lease_seldom, "P7", "9.6") {
    versioned *v = fresh();
    enum { KEYS = 1000 };
    static uint64_t leases[KEYS];
    for (size_t i = 0; i < KEYS; i++) {
        leases[i] = miss(v, text("key %04zu", i), 0);
    }
    invalidate(v, "key 1000");
    size_t refused = 0;
    for (size_t i = 0; i < KEYS; i++) {
        status s = set_leased(v, text("key %04zu", i), NULL, 1, leases[i]);
        refused += s != STATUS_OK;
    }
    want_at_most(refused, KEYS / 100,
                 "take leases for key 0000 to key 0999, invalidate key 1000, "
                 "set them all: how many were refused",
                 "keys must have counters of their own, chosen by a hash of "
                 "the whole key");
    versioned_destroy(v);
}

TEST(a_lease_is_no_way_round_the_version, "P2", "9.6") {
    versioned *v = fresh();
    uint64_t lease = miss(v, "a", 0);
    set(v, "a", &cells[0], 5);
    want_status(set_leased(v, "a", &cells[1], 4, lease), STATUS_STALE,
                "get a: a miss; a writer sets a in version 5; set version 4 "
                "with the lease",
                "an older set never replaces a newer one, lease or not");
    want_pointer(get(v, "a", 0), &cells[0], "the same; get a",
                 "a refused set must change nothing");
    versioned_destroy(v);
}

/* A plain model beside the cache. A lease that the model holds for good may
 * still be refused: the header allows it. */
enum { MODEL_KEYS = 6, MODEL_TAGS = 3 };

struct beside {
    versioned *v;
    struct {
        bool there;
        uint64_t version;
        int *value;
        unsigned tags; /* a bit for each */
        uint64_t lease;
        bool leased; /* it has one, and that is good */
    } keys[MODEL_KEYS];
};

static const char *model_key(unsigned n) {
    return n % 2 ? text("a rather long key, number %u", n) : text("k%u", n);
}

static const char *model_tag(unsigned n) {
    return text("tag %u", n % MODEL_TAGS);
}

static void *model_begin(void) {
    struct beside *b = calloc(1, sizeof *b);
    b->v = fresh();
    return b;
}

static const char *model_set(struct beside *b, model_step s, bool leased) {
    const char *key = model_key(s.key);
    uint64_t version = s.value % 8;
    bool good = !b->keys[s.key].there || version >= b->keys[s.key].version;
    status got;
    if (leased) {
        got = set_leased(b->v, key, &cells[s.value], version,
                         b->keys[s.key].lease);
        bool may = b->keys[s.key].leased && good;
        if (got == STATUS_OK && !may) {
            return "a set with a void lease, or of an older version, was taken";
        }
        good = got == STATUS_OK;
    } else {
        got = versioned_set(b->v, bytes_of(key), &cells[s.value], version);
    }
    if (got != (good ? STATUS_OK : STATUS_STALE)) {
        return text("set said %s", status_name(got));
    }
    if (good) {
        b->keys[s.key].tags = b->keys[s.key].there ? b->keys[s.key].tags : 0;
        b->keys[s.key].there = true;
        b->keys[s.key].version = version;
        b->keys[s.key].value = &cells[s.value];
    }
    return NULL;
}

static const char *model_get(struct beside *b, model_step s) {
    void *value = NULL;
    uint64_t lease = 0, at_least = s.value % 8;
    bool there = b->keys[s.key].there && b->keys[s.key].version >= at_least;
    status got = versioned_get(b->v, bytes_of(model_key(s.key)), at_least,
                               &value, &lease);
    if (got != (there ? STATUS_OK : STATUS_MISS)) {
        return text("get said %s", status_name(got));
    }
    if (there && value != b->keys[s.key].value) {
        return "get gave another value";
    }
    if (!there) {
        b->keys[s.key].lease = lease;
        b->keys[s.key].leased = true;
    }
    return NULL;
}

static const char *model_invalidate_tag(struct beside *b, unsigned t) {
    versioned_invalidate_tag(b->v, bytes_of(model_tag(t)));
    for (size_t k = 0; k < MODEL_KEYS; k++) {
        b->keys[k].leased = false;
        if (b->keys[k].tags & 1u << t % MODEL_TAGS) {
            b->keys[k].there = false;
            b->keys[k].tags = 0;
        }
    }
    return NULL;
}

static const char *model_apply(void *state, model_step s) {
    struct beside *b = state;
    status got;
    switch (s.operation) {
    case 0: return model_set(b, s, false);
    case 1: return model_set(b, s, true);
    case 2:
    case 3: return model_get(b, s);
    case 4:
        versioned_invalidate(b->v, bytes_of(model_key(s.key)));
        b->keys[s.key].there = b->keys[s.key].leased = false;
        b->keys[s.key].tags = 0;
        return NULL;
    case 5: return model_invalidate_tag(b, s.value);
    default:
        got = versioned_tag(b->v, bytes_of(model_key(s.key)),
                            bytes_of(model_tag(s.value)));
        if (got != (b->keys[s.key].there ? STATUS_OK : STATUS_MISS)) {
            return text("tag said %s", status_name(got));
        }
        if (b->keys[s.key].there) {
            b->keys[s.key].tags |= 1u << s.value % MODEL_TAGS;
        }
        return NULL;
    }
}

static const char *model_end(void *state) {
    struct beside *b = state;
    const char *why = NULL;
    for (unsigned k = 0; k < MODEL_KEYS && !why; k++) {
        why = model_get(b, (model_step){2, k, 0});
    }
    versioned_destroy(b->v);
    free(b);
    return why;
}

static void model_print(FILE *out, model_step s) {
    const char *key = model_key(s.key), *name = model_tag(s.value);
    unsigned version = s.value % 8;
    switch (s.operation) {
    case 0: fprintf(out, "set(\"%s\", version %u)", key, version); break;
    case 1:
        fprintf(out, "set_leased(\"%s\", version %u, its last lease)", key,
                version);
        break;
    case 2:
    case 3: fprintf(out, "get(\"%s\", at least %u)", key, version); break;
    case 4: fprintf(out, "invalidate(\"%s\")", key); break;
    case 5: fprintf(out, "invalidate_tag(\"%s\")", name); break;
    default: fprintf(out, "tag(\"%s\", \"%s\")", key, name);
    }
}

TEST(any_mix_of_calls_agrees_with_a_plain_array, "P5", "9.6") {
    model_check(&(model){.operations = 7,
                         .keys = MODEL_KEYS,
                         .values = CELLS,
                         .lists = 100,
                         .steps = 60,
                         .begin = model_begin,
                         .apply = model_apply,
                         .end = model_end,
                         .print = model_print});
}

/* --- 9.7: connected ----------------------------------------------------- */

static redis *server_for_test(void) {
    signal(SIGPIPE, SIG_IGN);
    memset(cells, 0, sizeof cells);
    return redis_start();
}

static void join(versioned *v, const redis *server) {
    want_status(versioned_connect(v, redis_path(server), CHANNEL, TIMEOUT_MS),
                STATUS_OK, "connect to a Redis that runs",
                "connect must wait for the subscription to be confirmed, for "
                "at most the timeout");
}

static versioned *joined(const redis *server) {
    versioned *v = another();
    join(v, server);
    return v;
}

/* Polls until the connection is back, which takes Redis a moment. */
static void poll_until_back(versioned *v) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    time_t end = now.tv_sec + 5;
    status s = versioned_poll(v);
    while (s != STATUS_OK && now.tv_sec < end) {
        s = versioned_poll(v);
        clock_gettime(CLOCK_MONOTONIC, &now);
    }
    want_status(s, STATUS_OK, "the server is back; poll for up to 5 seconds",
                "a poll without a connection must try to connect again");
}

TEST(a_cache_without_a_connection_has_nothing_to_poll, "P11", "9.7") {
    versioned *v = fresh();
    set(v, "a", &cells[0], 1);
    want_status(versioned_poll(v), STATUS_OK, "create, poll",
                "a cache that was never connected lacks nothing");
    want_true(has(v, "a"), "create, set a, poll, get a",
              "a poll without events changes nothing");
    versioned_destroy(v);
}

TEST(bad_connections_are_refused, "P14", "9.7") {
    versioned *v = fresh();
    struct ear ear;
    subscribe(v, &ear, NULL);
    set(v, "a", &cells[0], 1);
    want_status(versioned_connect(v, NULL, CHANNEL, 100), STATUS_INVALID,
                "connect to the path NULL", "a path is needed");
    want_status(versioned_connect(v, "/nowhere", NULL, 100), STATUS_INVALID,
                "connect to the channel NULL", "a channel is needed");
    want_status(versioned_connect(v, "/nowhere", "", 100), STATUS_INVALID,
                "connect to the channel \"\"", "a channel needs a name");
    want_status(versioned_connect(v, "/nowhere", CHANNEL, 0), STATUS_INVALID,
                "connect with a timeout of 0", "0 would never be enough");
    want_status(versioned_connect(v, "/nowhere", CHANNEL, -1), STATUS_INVALID,
                "connect with a timeout of -1", "a timeout is positive");
    want_true(has(v, "a"), "after these, get what was there before",
              "a connect that is refused changes nothing");
    want_text(ear.heard, "", "the same: what a subscriber heard",
              "a connect that is refused changes nothing");
    versioned_destroy(v);
}

TEST(a_connect_without_a_server_changes_nothing, "P14", "9.7") {
    versioned *v = fresh();
    struct ear ear;
    subscribe(v, &ear, NULL);
    set(v, "a", &cells[0], 1);
    want_status(versioned_connect(v, "/nowhere", CHANNEL, 100), STATUS_BACKEND,
                "connect to a path where no server is",
                "what bus_call says must be looked at");
    want_true(has(v, "a"), "set a, connect without a server, get a",
              "a connect that fails changes nothing");
    set(v, "b", &cells[1], 1);
    want_text(ear.heard, "", "the same: what a subscriber heard",
              "a connect that fails changes nothing");
    versioned_destroy(v);
}

TEST(a_cache_forgets_everything_when_it_joins, "P12", "9.7") {
    redis *server = server_for_test();
    versioned *v = fresh();
    struct ear ear;
    set(v, "a", &cells[0], 1);
    tag(v, "a", "staff");
    uint64_t lease = miss(v, "b", 0);
    subscribe(v, &ear, NULL);
    join(v, server);
    want_text(ear.heard, "all ", "subscribe, connect: what was heard",
              "connect waits for the subscription, and forgets everything "
              "then; a subscriber hears of that as of any other time");
    want_false(has(v, "a"), "set a, connect, get a",
               "what was set before may have been invalidated by others, "
               "unheard");
    want_status(set_leased(v, "b", &cells[1], 1, lease), STATUS_STALE,
                "get b: a miss; connect; set b with the lease of before",
                "the value was read before we could hear");
    set(v, "c", &cells[2], 1);
    want_true(has(v, "c"), "connect, set c, get c",
              "a cache that is connected caches");
    want_status(versioned_connect(v, redis_path(server), CHANNEL, 100),
                STATUS_INVALID, "connect twice", "it is connected already");
    want_true(has(v, "c"), "connect twice, get c",
              "a connect that is refused changes nothing");
    want_text(ear.heard, "all ", "the same: what a subscriber has heard by now",
              "that everything was forgotten is told once");
    versioned_destroy(v);
    redis_stop(server);
}

static void try_to_connect(const redis *server, size_t n, bool *failed) {
    versioned *v = another();
    heap_fail_at(n);
    status s = versioned_connect(v, redis_path(server), CHANNEL, TIMEOUT_MS);
    *failed = heap_has_failed();
    heap_fail_at(0);
    want_status(s, *failed ? STATUS_NO_MEMORY : STATUS_OK,
                text("connect while allocation %zu fails", n),
                "what bus_create gave must be looked at");
    set(v, "a", &cells[0], 1);
    want_true(has(v, "a"), "connect without memory, set a, get a",
              "it must still work, in one process");
    versioned_destroy(v);
}

TEST(without_memory_connect_says_so_and_changes_nothing, "P9", "9.7") {
    redis *server = server_for_test();
    bool failed = true;
    for (size_t n = 1; failed && n < 20; n++) {
        try_to_connect(server, n, &failed);
    }
    redis_stop(server);
}

/* Waits until all that was published has been delivered. */
static void settle(const redis *server) {
    want_text(redis_ask(server, "PING"), "+PONG", "ask Redis for a PONG",
              "the server is gone");
}

/* A message that no cache has sent. */
static void publish_raw(const redis *server, const char *message) {
    const char *answer =
        redis_ask(server, text("PUBLISH %s %s", CHANNEL, message));
    want_that(strcmp(answer, ":0") != 0 && answer[0] == ':',
              "connect, publish to the channel\nwanted  a subscriber\n"
              "got     %s\nlikely  nobody has subscribed to that channel",
              answer);
    settle(server);
}

TEST(a_message_that_is_not_understood_may_mean_anything, "P13", "9.7") {
    redis *server = server_for_test();
    static const char *messages[] = {
        "x----------------a", "nonsense", "k", "t-",
        "K----------------a", "\"\""};
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        versioned *v = joined(server);
        struct ear ear;
        set(v, "a", &cells[0], 1);
        uint64_t lease = miss(v, "b", 0);
        subscribe(v, &ear, NULL);
        publish_raw(server, messages[i]);
        want_status(versioned_poll(v), STATUS_OK,
                    text("publish %s, poll", messages[i]),
                    "the connection stands, whatever was said over it");
        want_false(has(v, "a"), text("publish %s, poll, get a", messages[i]),
                   "a later version of this program may have said something "
                   "about a: what is not understood voids everything");
        want_text(ear.heard, "all ", "the same: what a subscriber heard",
                  "the event is VERSIONED_ALL, once; that of connect came "
                  "before, for it waits for the subscription");
        want_status(set_leased(v, "b", &cells[1], 1, lease), STATUS_STALE,
                    "the same; set b with a lease of before",
                    "the event was about all keys");
        versioned_destroy(v);
    }
    redis_stop(server);
}

/* --- 9.8: two caches ---------------------------------------------------- */

TEST(two_caches_agree_after_a_write, "P11", "9.8") {
    redis *server = server_for_test();
    versioned *writer = joined(server), *reader = joined(server);
    set(writer, "a", &cells[0], 1);
    set(reader, "a", &cells[1], 1);
    set(reader, "other", &cells[2], 1);
    invalidate(writer, "a");
    set(writer, "a", &cells[3], 2);
    settle(server);
    want_false(has(reader, "a"),
               "two caches hold a; one invalidates it, the other one gets it",
               "an invalidation must be published, and a get must first "
               "handle what has arrived");
    want_pointer(
        get(writer, "a", 2), &cells[3],
        "invalidate a, set a in version 2, get a in the same cache",
        "our own event came back to us, by itself or told on by others, "
        "and took the new value away");
    want_true(has(reader, "other"), "the same; the reader gets another key",
              "only the key that was named goes");
    versioned_destroy(reader);
    versioned_destroy(writer);
    redis_stop(server);
}

TEST(a_set_is_nobody_elses_business, "P11", "9.8") {
    redis *server = server_for_test();
    versioned *writer = joined(server), *reader = joined(server);
    set(reader, "a", &cells[0], 1);
    set(writer, "a", &cells[1], 2);
    settle(server);
    want_pointer(get(reader, "a", 0), &cells[0],
                 "two caches: both set a; the first one gets it",
                 "only an invalidation is published: who changes the source "
                 "calls it, and a set may just be a load");
    versioned_destroy(reader);
    versioned_destroy(writer);
    redis_stop(server);
}

TEST(names_on_the_wire_are_any_bytes, "P4", "9.8") {
    redis *server = server_for_test();
    versioned *writer = joined(server), *reader = joined(server);
    char key[] = {'a', '\0', 'b', ' ', '\n'};
    bytes odd = {key, sizeof key};
    versioned_set(reader, odd, &cells[0], 1);
    set(reader, "", &cells[1], 1);
    set(reader, "other", &cells[2], 1);
    versioned_invalidate(writer, odd);
    versioned_invalidate(writer, bytes_of(""));
    settle(server);
    want_status(versioned_get(reader, odd, 0, NULL, NULL), STATUS_MISS,
                "invalidate the key a\\0b, with a blank and a newline",
                "names are any bytes, on the wire too");
    want_false(has(reader, ""), "invalidate the empty key",
               "the empty name is a name");
    want_true(has(reader, "other"), "the same; the reader gets another key",
              "the message was not understood, or cut");
    versioned_destroy(reader);
    versioned_destroy(writer);
    redis_stop(server);
}

TEST(a_tag_reaches_the_other_caches, "P11", "9.8") {
    redis *server = server_for_test();
    versioned *writer = joined(server), *reader = joined(server);
    set(reader, "a", &cells[0], 1);
    tag(reader, "a", "staff");
    set(reader, "staff", &cells[1], 1);
    uint64_t lease = miss(reader, "b", 0);
    invalidate_tag(writer, "staff");
    settle(server);
    want_false(has(reader, "a"),
               "one cache invalidates a tag that only the other one knows",
               "the tag must be published, whether anybody carries it here");
    want_true(has(reader, "staff"), "the same; get the key of that name",
              "a tag and a key of one name are two things");
    want_status(set_leased(reader, "b", &cells[2], 1, lease), STATUS_STALE,
                "the same; set b with a lease of before",
                "events of others void leases too");
    versioned_destroy(reader);
    versioned_destroy(writer);
    redis_stop(server);
}

/* The load ends after the event has arrived, and nobody has polled yet. */
TEST(an_event_that_waits_voids_a_lease, "P11", "9.8") {
    redis *server = server_for_test();
    versioned *writer = joined(server), *reader = joined(server);
    uint64_t lease = miss(reader, "a", 0);
    invalidate(writer, "a");
    settle(server);
    want_status(set_leased(reader, "a", &cells[0], 1, lease), STATUS_STALE,
                "get a: a miss; another cache invalidates a; set a with the "
                "lease of before",
                "a set with a lease must first handle what has arrived");
    versioned_destroy(reader);
    versioned_destroy(writer);
    redis_stop(server);
}

TEST(events_of_others_are_heard_once_and_in_order, "P8", "9.8") {
    redis *server = server_for_test();
    versioned *writer = joined(server), *reader = joined(server);
    struct ear near, far;
    subscribe(writer, &near, NULL);
    subscribe(reader, &far, NULL);
    static const char *want = "k(a) t(staff) k(b) k(a) t(paris) ";
    invalidate(writer, "a");
    invalidate_tag(writer, "staff");
    invalidate(writer, "b");
    invalidate(writer, "a");
    invalidate_tag(writer, "paris");
    settle(server);
    versioned_poll(writer);
    versioned_poll(reader);
    want_text(far.heard, want, "five invalidations in another cache, poll",
              "a poll handles all that has arrived, in order, each once");
    want_text(near.heard, want, "the same, in the cache that made them",
              "its own events must not be heard a second time when they come "
              "back");
    versioned_destroy(reader);
    versioned_destroy(writer);
    redis_stop(server);
}

TEST(who_has_spoken_still_hears_others, "P11", "9.8") {
    redis *server = server_for_test();
    versioned *one = joined(server), *other = joined(server);
    invalidate(one, "z");
    set(one, "a", &cells[0], 1);
    invalidate(other, "a");
    settle(server);
    want_false(
        has(one, "a"),
        "invalidate z, set a; another cache invalidates a; get a",
        "who publishes must still hear the others: leave out what carries "
        "all BUS_ORIGIN_LEN characters of the own origin, nothing else");
    set(other, "b", &cells[1], 1);
    invalidate(one, "b");
    settle(server);
    want_false(
        has(other, "b"),
        "the other one, which has spoken too, sets b; we invalidate b; "
        "it gets b",
        "who publishes must still hear the others: leave out what carries "
        "all BUS_ORIGIN_LEN characters of the own origin, nothing else");
    versioned_destroy(other);
    versioned_destroy(one);
    redis_stop(server);
}

/* The kind of the next message on a bare line to the channel, and what stands
 * behind the origin, as k(a); "" when none comes. */
static const char *next_on(bus *line) {
    const char *message = NULL;
    size_t len = 0;
    bus_event event = bus_next(line, &message, &len);
    if (event == BUS_NOTHING && bus_wait(line)) {
        event = bus_next(line, &message, &len);
    }
    if (event != BUS_MESSAGE || len <= BUS_ORIGIN_LEN) {
        return event == BUS_MESSAGE ? text("%.*s", (int)len, message) : "";
    }
    return text("%c(%.*s)", message[0], (int)(len - 1 - BUS_ORIGIN_LEN),
                message + 1 + BUS_ORIGIN_LEN);
}

/* Somebody who only listens counts what is said on the channel. */
TEST(what_is_heard_is_not_told_on, "P11", "9.8") {
    redis *server = server_for_test();
    versioned *one = joined(server), *other = joined(server);
    bus *line = bus_create(redis_path(server), CHANNEL, TIMEOUT_MS);
    want_true(line && bus_call(line) && bus_wait(line), "listen to the channel",
              "the server is gone");
    next_on(line); /* that the line is subscribed */
    invalidate(one, "a");
    invalidate_tag(one, "staff");
    settle(server);
    versioned_poll(other);
    versioned_poll(one);
    publish_raw(server, "end");
    static const char *const want[] = {"k(a)", "t(staff)", "end"};
    for (size_t i = 0; i < 3; i++) {
        want_text(next_on(line), want[i],
                  text("invalidate a and the tag staff; another cache polls: "
                       "message %zu on the channel",
                       i + 1),
                  "each invalidation is published once, by who made it: what "
                  "was heard from others must not be published again");
    }
    bus_destroy(line);
    versioned_destroy(other);
    versioned_destroy(one);
    redis_stop(server);
}

/* The child's part: holds a, says so, waits for the other's word, gets a, and
 * says whether it hit: '+' for each step that went well, 's' for a stale hit.
 * Its end is no ordinary one, for it has a copy of all that the parent has. */
static void be_other_process(const char *path, int say, int hear) {
    char word = '-';
    versioned *v;
    test_ends_us();
    alarm(10);
    if (versioned_create(NULL, 7, &v) == STATUS_OK
        && versioned_connect(v, path, CHANNEL, TIMEOUT_MS) == STATUS_OK
        && versioned_set(v, bytes_of("a"), &cells[0], 1) == STATUS_OK) {
        word = '+';
    }
    if (write(say, &word, 1) == 1 && read(hear, &word, 1) == 1) {
        word = '+';
        if (versioned_get(v, bytes_of("a"), 0, NULL, NULL) == STATUS_OK) {
            word = 's';
        }
        if (write(say, &word, 1) == 1) {
            pause(); /* the parent ends us */
        }
    }
}

TEST(two_processes_agree_after_a_write, "P11", "9.8") {
    redis *server = server_for_test();
    versioned *v = joined(server);
    int up[2] = {-1, -1}, down[2] = {-1, -1};
    want_true(pipe(up) == 0 && pipe(down) == 0, "make two pipes", "no more?");
    pid_t child = fork();
    if (child == 0) {
        crash_ignore();
        be_other_process(redis_path(server), up[1], down[0]);
        kill(getpid(), SIGKILL);
    }
    close(up[1]);
    char first = '?', second = '?';
    if (read(up[0], &first, 1) == 1 && first == '+') {
        invalidate(v, "a");
        settle(server);
        if (write(down[1], &first, 1) != 1 || read(up[0], &second, 1) != 1) {
            second = '?';
        }
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(up[0]);
    close(down[0]);
    close(down[1]);
    want_true(first == '+', "another process connects and sets a",
              "it could not, or it crashed");
    want_true(second != '?',
              "another process holds a, we invalidate it, it "
              "gets a: whether it has come back from the get",
              "it crashed, or it waits");
    want_false(second == 's',
               "another process holds a, we invalidate it, it "
               "gets a: whether it hit",
               "events must travel through Redis, not through this process");
    versioned_destroy(v);
    redis_stop(server);
}

TEST(channels_are_apart, "P11", "9.8") {
    redis *server = server_for_test();
    versioned *here = joined(server), *there = another();
    want_status(versioned_connect(there, redis_path(server), "another channel",
                                  TIMEOUT_MS),
                STATUS_OK, "connect to a channel with a blank in its name",
                "a channel is any name that is not empty");
    set(here, "a", &cells[0], 1);
    invalidate(there, "a");
    settle(server);
    want_true(has(here, "a"), "a cache on another channel invalidates a; get a",
              "publish to the channel that was given to connect");
    versioned_destroy(there);
    versioned_destroy(here);
    redis_stop(server);
}

/* --- 9.9: lost connections ---------------------------------------------- */

TEST(a_cache_that_lost_its_connection_keeps_nothing, "P12", "9.9") {
    redis *server = server_for_test();
    versioned *v = joined(server);
    set(v, "a", &cells[0], 1);
    redis_kill(server);
    want_false(has(v, "a"), "connect, set a, kill Redis, get a",
               "without a connection no event comes, so a may be wrong by now");
    want_status(versioned_set(v, bytes_of("b"), &cells[1], 1), STATUS_BACKEND,
                "kill Redis, get, set b",
                "what is set without a connection could not be invalidated");
    want_false(has(v, "b"), "the same; get b", "nothing is kept");
    want_int(cells[1], 0, "the same; was b's value destroyed?",
             "a value that was not taken is still the caller's");
    versioned_destroy(v);
    redis_stop(server);
}

TEST(a_lost_connection_is_told_once, "P12", "9.9") {
    redis *server = server_for_test();
    versioned *v = joined(server);
    struct ear ear;
    subscribe(v, &ear, NULL);
    redis_kill(server);
    for (size_t i = 0; i < 3; i++) {
        want_status(versioned_poll(v), STATUS_BACKEND,
                    text("kill Redis, poll: number %zu", i + 1),
                    "poll must say that the connection is lost");
    }
    want_text(ear.heard, "all ",
              "kill Redis, poll three times: what a subscriber heard",
              "VERSIONED_ALL once, when the connection was lost");
    versioned_destroy(v);
    redis_stop(server);
}

TEST(an_invalidation_without_a_connection_says_so, "P11", "9.9") {
    redis *server = server_for_test();
    versioned *v = joined(server);
    struct ear ear;
    redis_kill(server);
    versioned_poll(v);
    subscribe(v, &ear, NULL);
    want_status(versioned_invalidate(v, bytes_of("a")), STATUS_BACKEND,
                "kill Redis, poll, invalidate a",
                "the others have not heard of it, and the caller must know");
    want_status(versioned_invalidate_tag(v, bytes_of("staff")), STATUS_BACKEND,
                "kill Redis, poll, invalidate the tag staff",
                "the others have not heard of it, and the caller must know");
    want_text(ear.heard, "k(a) t(staff) ", "the same: what a subscriber heard",
              "here both took effect");
    versioned_destroy(v);
    redis_stop(server);
}

TEST(a_quick_reconnection_is_a_lost_connection_too, "P12", "9.9") {
    redis *server = server_for_test();
    versioned *v = joined(server);
    set(v, "a", &cells[0], 1);
    redis_restart(server);
    want_false(has(v, "a"),
               "connect, set a, restart Redis before anyone looks, get a",
               "the server is back, but events may have been missed in "
               "between: clear before serving");
    poll_until_back(v);
    want_false(has(v, "a"), "the same; poll until it is connected, get a",
               "what was held before the loss must not come back");
    set(v, "a", &cells[1], 2);
    want_pointer(get(v, "a", 0), &cells[1], "then set a, get a",
                 "once connected again, it caches again");
    versioned_destroy(v);
    redis_stop(server);
}

/* The server lives on, and only the subscriber's line is cut. */
TEST(a_cut_line_is_a_lost_connection_too, "P12", "9.9") {
    redis *server = server_for_test();
    versioned *writer = joined(server), *v = joined(server);
    set(v, "a", &cells[0], 1);
    set(v, "b", &cells[1], 1);
    redis_ask(server, "CLIENT KILL TYPE pubsub");
    invalidate(writer, "a");
    settle(server);
    want_false(has(v, "a"),
               "cut the subscriber's connection; another cache invalidates a; "
               "get a",
               "the event was published while nobody here could hear it");
    poll_until_back(v);
    want_false(has(v, "a"), "poll until it is connected again, get a",
               "nobody will ever tell us what we missed");
    want_false(has(v, "b"), "the same for b",
               "which events were missed is not known: all must go");
    poll_until_back(writer);
    set(v, "a", &cells[2], 2);
    invalidate(writer, "a");
    settle(server);
    want_false(has(v, "a"), "set a again; another cache invalidates it; get a",
               "the new connection must be subscribed too");
    versioned_destroy(v);
    versioned_destroy(writer);
    redis_stop(server);
}

TEST(a_load_begun_without_a_connection_is_refused, "P12", "9.9") {
    redis *server = server_for_test();
    versioned *v = joined(server);
    redis_kill(server);
    uint64_t lease = miss(v, "a", 0);
    redis_restart(server);
    struct ear ear;
    subscribe(v, &ear, NULL);
    poll_until_back(v);
    want_status(set_leased(v, "a", &cells[0], 1, lease), STATUS_STALE,
                "kill Redis; get a: a miss; restart it, poll until connected; "
                "set a with the lease",
                "while the connection was down, an event about a may have been "
                "missed: coming back voids all leases");
    want_text(ear.heard, "all ", "the same: what a subscriber heard meanwhile",
              "it may keep something itself: tell it when the connection is "
              "back");
    versioned_destroy(v);
    redis_stop(server);
}

TEST(a_lease_from_before_the_loss_stays_void, "P12", "9.9") {
    redis *server = server_for_test();
    versioned *v = joined(server);
    uint64_t leases[5];
    for (size_t i = 0; i < 5; i++) {
        leases[i] = miss(v, "a", 0);
        invalidate(v, "a");
    }
    redis_restart(server);
    poll_until_back(v);
    for (size_t i = 0; i < 5; i++) {
        want_status(set_leased(v, "a", &cells[0], 1, leases[i]), STATUS_STALE,
                    text("get a after %zu invalidations: a miss; restart "
                         "Redis, poll until connected; set a with the lease",
                         i),
                    "what leases are made of may only count up, whatever is "
                    "forgotten");
    }
    versioned_destroy(v);
    redis_stop(server);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* No poll here, but those of the gets. */
TEST(gets_alone_bring_the_connection_back, "P12", "9.9") {
    redis *server = server_for_test();
    versioned *v = joined(server);
    redis_restart(server);
    status s = STATUS_BACKEND;
    for (int tries = 0; s == STATUS_BACKEND && tries < 200; tries++) {
        pause_ms(tries > 0 ? 5 : 0);
        has(v, "a");
        s = versioned_set(v, bytes_of("a"), &cells[0], 1);
    }
    want_status(s, STATUS_OK,
                "restart Redis; get a and set a, 200 times with pauses",
                "a get polls without a connection too, for that is what calls "
                "again");
    versioned_destroy(v);
    redis_stop(server);
}

/* A server that is stopped keeps its connections and answers nothing. */
TEST(a_server_that_hangs_makes_no_get_wait, "P12", "9.9") {
    redis *server = server_for_test();
    versioned *v = another();
    want_status(versioned_connect(v, redis_path(server), CHANNEL, 200),
                STATUS_OK, "connect with a timeout of 200 ms",
                "200 ms are enough for a server that runs");
    set(v, "a", &cells[0], 1);
    redis_pause(server);
    int64_t start = now_ms();
    for (size_t i = 0; i < 60 && now_ms() - start <= 900; i++) {
        has(v, "a");
    }
    want_at_most(now_ms() - start, 900,
                 "stop Redis in its tracks, get a 60 times: milliseconds",
                 "a get handles what has arrived and waits for nothing");
    want_status(versioned_invalidate(v, bytes_of("a")), STATUS_BACKEND,
                "stop Redis in its tracks, invalidate a",
                "no answer in the time given is a failure");
    want_false(has(v, "a"), "the same; get a",
               "here the invalidation takes effect all the same");
    redis_continue(server);
    want_status(versioned_invalidate(v, bytes_of("a")), STATUS_OK,
                "let Redis go on, invalidate a again",
                "after a failure the next call must use a new connection");
    versioned_destroy(v);
    redis_stop(server);
}

/* The line is cut, and who calls again gets no answer: the kernel takes the
 * call, and the server sleeps. */
TEST(a_call_without_an_answer_is_no_connection, "P12", "9.9") {
    redis *server = server_for_test();
    versioned *v = another();
    want_status(versioned_connect(v, redis_path(server), CHANNEL, 1000),
                STATUS_OK, "connect with a timeout of 1000 ms",
                "a second is enough for a server that runs");
    redis_ask(server, "CLIENT KILL TYPE pubsub");
    redis_pause(server);
    int64_t start = now_ms();
    for (size_t i = 0; i < 3; i++) {
        want_status(versioned_poll(v), STATUS_BACKEND,
                    text("cut the connection, stop Redis in its tracks, poll: "
                         "number %zu",
                         i + 1),
                    "until the subscription is confirmed, events are missed");
    }
    want_at_most(now_ms() - start, 900, "the same three polls: milliseconds",
                 "a poll calls again, and a later one hears the answer");
    want_status(versioned_set(v, bytes_of("a"), &cells[0], 1), STATUS_BACKEND,
                "the same; set a",
                "until the subscription is confirmed, nothing may be kept");
    redis_continue(server);
    versioned_destroy(v);
    redis_stop(server);
}
