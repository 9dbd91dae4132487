/* Tests of the ttl cache. The clock is frozen: it stands at `now` until a test
 * turns it. Values are pointers into `cells`, so that each can be told from
 * every other and its destruction counted. */
#include "ttl.h"

#include "support/check.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/work.h"

#include <stdlib.h>

enum { CELLS = 64, START = 1000000, MINUTE = 60000 };

static int cells[CELLS]; /* how often each value was destroyed */
static int64_t now;

static void destroy(void *value) {
    ++*(int *)value;
}

static ttl *fresh_with(int64_t default_ttl_ms, uint64_t seed) {
    memset(cells, 0, sizeof cells);
    now = START;
    ttl *t = NULL;
    status s =
        ttl_create(default_ttl_ms, ms_clock_frozen(&now), destroy, seed, &t);
    want_status(s, STATUS_OK,
                text("ttl_create(%lld, ...)", (long long)default_ttl_ms),
                "create fails though all is well");
    want_true(t != NULL, "create, look at *out", "create must write *out");
    return t;
}

static ttl *fresh(int64_t default_ttl_ms) {
    return fresh_with(default_ttl_ms, 42);
}

/* Sets that the test takes for granted. */
static void set(ttl *t, const char *key, void *value) {
    want_status(ttl_set(t, bytes_of(key), value), STATUS_OK,
                text("set %s", key), "set fails though all is well");
}

static void set_for(ttl *t, const char *key, void *value, int64_t ttl_ms) {
    want_status(ttl_set_for(t, bytes_of(key), value, ttl_ms), STATUS_OK,
                text("set %s for %lld ms", key, (long long)ttl_ms),
                "set_for fails though all is well");
}

static void *get(ttl *t, const char *key) {
    void *value = NULL;
    return ttl_get(t, bytes_of(key), &value) ? value : NULL;
}

/* What remains; -1 for a miss. */
static int64_t remaining(ttl *t, const char *key) {
    int64_t ms = -1;
    return ttl_remaining_ms(t, bytes_of(key), &ms) ? ms : -1;
}

static const char *key_number(size_t n) {
    return text("key-%zu", n);
}

TEST(a_fresh_cache_is_empty_and_ends_without_a_trace, "P14", "4.1") {
    ttl *t = fresh(1000);
    want_int(ttl_count(t), 0, "create, count", "the count must start at 0");
    ttl_destroy(t);
    ttl_destroy(NULL);
}

TEST(create_refuses_a_ttl_of_nothing, "P6", "4.1") {
    static const int64_t bad[] = {0, -1, INT64_MIN};
    ttl *untouched = (ttl *)cells;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ttl *t = untouched;
        want_status(ttl_create(bad[i], ms_clock_frozen(&now), NULL, 42, &t),
                    STATUS_INVALID,
                    text("create with %lld ms", (long long)bad[i]),
                    "a ttl of 0 or less means nothing, and must be refused");
        want_pointer(t, untouched, "a create that fails, look at *out",
                     "*out is written on success only");
    }
}

TEST(create_refuses_a_clock_that_cannot_be_read, "P6", "4.1") {
    ttl *t = NULL;
    want_status(ttl_create(1, (ms_clock){NULL, NULL}, NULL, 42, &t),
                STATUS_INVALID, "create with a clock that has no now_ms",
                "the first get would call NULL");
}

TEST(set_then_get_gives_the_value, "P1", "4.2") {
    ttl *t = fresh(1000);
    set(t, "menu", &cells[0]);
    set_for(t, "offer", &cells[1], 500);
    want_pointer(get(t, "menu"), &cells[0], "set menu, get menu",
                 "set stores nothing, or get looks elsewhere");
    want_pointer(get(t, "offer"), &cells[1], "set offer for 500 ms, get offer",
                 "set_for stores nothing");
    want_int(ttl_count(t), 2, "set menu and offer, count",
             "each of the two is held");
    want_true(ttl_get(t, bytes_of("menu"), NULL), "get menu with value NULL",
              "the caller may pass NULL for the value");
    ttl_destroy(t);
}

TEST(an_absent_key_is_a_miss_and_writes_nothing, "P1", "4.2") {
    ttl *t = fresh(1000);
    set(t, "menu", &cells[0]);
    void *value = &cells[9];
    want_false(ttl_get(t, bytes_of("absent"), &value), "set menu, get absent",
               "a key that was never set is found");
    want_pointer(value, &cells[9], "get absent with value = v",
                 "the out-parameter is written on a miss");
    ttl_destroy(t);
}

TEST(keys_may_hold_any_byte_and_are_copied, "P1", "4.2") {
    static const bytes keys[] = {
        {"", 0},     {"\0", 1},   {"a\0b", 3},
        {"a\0c", 3}, {"\xff", 1}, {"a key of more than sixteen bytes", 32},
    };
    enum { KEYS = sizeof keys / sizeof keys[0] };
    ttl *t = fresh(1000);
    want_status(ttl_set(t, (bytes){NULL, 0}, &cells[0]), STATUS_OK,
                "set the key of no bytes, at NULL",
                "it is a key; but memcpy may not be given NULL, even for none");
    for (size_t i = 0; i < KEYS; i++) {
        char buffer[64] = "";
        memcpy(buffer, keys[i].data, keys[i].len);
        bytes key = {buffer, keys[i].len};
        want_status(ttl_set(t, key, &cells[i]), STATUS_OK,
                    text("set key number %zu", i), "some key is refused");
        memset(buffer, 'x', sizeof buffer);
    }
    for (size_t i = 0; i < KEYS; i++) {
        void *value = NULL;
        ttl_get(t, keys[i], &value);
        want_pointer(value, &cells[i],
                     text("set \"\", \"\\0\", \"a\\0b\", \"a\\0c\", ..., "
                          "overwrite the buffers, get key number %zu",
                          i),
                     "keys are bytes with a length, and the cache's own");
    }
    ttl_destroy(t);
}

TEST(a_second_set_replaces_and_destroys_the_old_value, "P7", "4.2") {
    ttl *t = fresh(1000);
    set(t, "menu", &cells[0]);
    set_for(t, "menu", &cells[1], 700);
    want_pointer(get(t, "menu"), &cells[1], "set menu=A, set menu=B, get menu",
                 "the second value does not replace the first");
    want_int(cells[0], 1, "set menu=A, set menu=B, count A's destructions",
             "a replaced value must be destroyed, once");
    want_int(cells[1], 0, "set menu=A, set menu=B, count B's destructions",
             "the new value is destroyed with the old");
    want_int(ttl_count(t), 1, "set menu, set menu, count",
             "a renewal is counted as an insert");
    ttl_destroy(t);
    want_int(cells[0], 1, "set menu=A, set menu=B, destroy, count A's",
             "the old value is destroyed a second time");
    want_int(cells[1], 1, "set menu=A, set menu=B, destroy, count B's",
             "destroy must destroy what is held, once");
}

TEST(a_ttl_of_nothing_is_refused_and_changes_nothing, "P6", "4.2") {
    static const int64_t bad[] = {0, -1, -1000, INT64_MIN};
    ttl *t = fresh(1000);
    set(t, "menu", &cells[0]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        want_status(ttl_set_for(t, bytes_of("menu"), &cells[1], bad[i]),
                    STATUS_INVALID,
                    text("set menu for %lld ms", (long long)bad[i]),
                    "0 and less is no duration, and not \"for ever\" either");
        want_status(ttl_set_for(t, bytes_of("new"), &cells[1], bad[i]),
                    STATUS_INVALID,
                    text("set a new key for %lld ms", (long long)bad[i]),
                    "0 and less is no duration, and not \"for ever\" either");
    }
    want_pointer(get(t, "menu"), &cells[0],
                 "set menu=A, set menu=B for 0 ms, get menu",
                 "a refused set must leave the old value");
    want_int(cells[0] + cells[1], 0, "refused sets, count destructions",
             "a refused value is still the caller's");
    want_int(ttl_count(t), 1, "set menu, refused sets, count",
             "a refused set left something behind");
    ttl_destroy(t);
}

TEST(an_entry_is_valid_until_its_last_millisecond, "P2", "4.3") {
    ttl *t = fresh(5000);
    set(t, "menu", &cells[0]);
    now += 4999;
    want_pointer(get(t, "menu"), &cells[0],
                 "set menu for 5,000 ms, 4,999 ms later get menu",
                 "it is valid while now - stored < ttl: is a unit mixed up?");
    now += 1;
    void *value = &cells[9];
    want_false(ttl_get(t, bytes_of("menu"), &value),
               "set menu for 5,000 ms, exactly 5,000 ms later get menu",
               "now - stored < ttl no longer holds, so it is a miss");
    want_pointer(value, &cells[9], "get an expired key with value = v",
                 "the out-parameter is written on a miss");
    ttl_destroy(t);
}

TEST(each_entry_has_a_ttl_of_its_own, "P4", "4.3") {
    ttl *t = fresh(1000);
    set_for(t, "short", &cells[0], 10);
    set(t, "default", &cells[1]);
    set_for(t, "long", &cells[2], 100000);
    now += 10;
    want_pointer(get(t, "short"), NULL, "set short for 10 ms, wait 10, get",
                 "its own ttl is ignored");
    want_pointer(get(t, "default"), &cells[1],
                 "default 1,000 ms; set default, wait 10, get",
                 "another entry's ttl is taken for all");
    now += 990;
    want_pointer(get(t, "default"), NULL,
                 "default 1,000 ms; set default, wait 1,000, get",
                 "a set_for must not change the default");
    now += 98999;
    want_pointer(get(t, "long"), &cells[2],
                 "set long for 100,000 ms, wait 99,999, get",
                 "its own ttl is ignored");
    now += 1;
    want_pointer(get(t, "long"), NULL,
                 "set long for 100,000 ms, wait 100,000, get",
                 "its own ttl is ignored");
    ttl_destroy(t);
}

TEST(ends_are_found_in_whatever_order_they_were_set, "P4", "4.3") {
    enum { ENTRIES = 20 };
    ttl *t = fresh(1000);
    for (size_t i = 0; i < ENTRIES; i++) { /* the later set, the sooner due */
        set_for(t, key_number(i), &cells[i], (int64_t)(10 * (ENTRIES - i)));
    }
    for (size_t i = ENTRIES; i-- > 0;) {
        const char *key = key_number(i);
        const char *did = text("set key-0 for 200 ms, key-1 for 190, and so on "
                               "to key-19 for 10; get %s",
                               key);
        now += 9;
        want_pointer(get(t, key), &cells[i], did,
                     "it is valid for 1 ms more: whose end was looked at? A "
                     "timer that moves in the heap must note its new place");
        now += 1;
        want_pointer(get(t, key), NULL, did,
                     "it ended this very millisecond: whose end was looked at? "
                     "A timer that moves in the heap must note its new place");
    }
    want_int(ttl_count(t), 0, "let 20 entries expire, get each, count",
             "a get that meets an expired entry frees it");
    ttl_destroy(t);
}

TEST(a_get_renews_nothing, "P3", "4.3") {
    ttl *t = fresh(100);
    set(t, "menu", &cells[0]);
    for (int i = 0; i < 9; i++) {
        now += 10;
        want_pointer(get(t, "menu"), &cells[0],
                     "set menu for 100 ms, get it every 10 ms", "it is valid");
    }
    now += 10;
    want_pointer(get(t, "menu"), NULL,
                 "set menu for 100 ms, get it every 10 ms, get it at 100",
                 "a get must not prolong: data that is read often would never "
                 "be fetched afresh");
    ttl_destroy(t);
}

TEST(a_set_renews, "P3", "4.3") {
    ttl *t = fresh(100);
    set(t, "menu", &cells[0]);
    now += 60;
    set(t, "menu", &cells[1]);
    now += 99;
    want_pointer(get(t, "menu"), &cells[1],
                 "set menu for 100 ms, 60 ms later again, 99 ms later get",
                 "the second set kept the first one's end");
    now += 1;
    want_pointer(get(t, "menu"), NULL,
                 "set menu for 100 ms, 60 ms later again, 100 ms later get",
                 "the second set must end after its own ttl");
    set_for(t, "menu", &cells[2], 1000);
    set_for(t, "menu", &cells[3], 10);
    now += 10;
    want_pointer(get(t, "menu"), NULL,
                 "set menu for 1,000 ms, set it for 10 ms, 10 ms later get",
                 "a set may also end sooner than the one before");
    ttl_destroy(t);
}

TEST(a_get_that_meets_an_expired_entry_frees_it, "P8", "4.3") {
    ttl *t = fresh(100);
    static char long_key[1000];
    bytes key = {long_key, sizeof long_key};
    set_for(t, "other", &cells[1], 100000);
    ttl_set(t, key, &cells[0]);
    size_t before = heap_live_bytes();
    now += 100;
    want_false(ttl_get(t, key, NULL), "set for 100 ms, wait 100, get",
               "it has expired");
    want_int(cells[0], 1, "get an expired key, count its value's destructions",
             "a miss alone is not enough: the memory must come back");
    want_int(ttl_count(t), 1, "two entries, get the expired one, count",
             "the entry is hidden and not removed");
    want_at_most(heap_live_bytes() + sizeof long_key, before,
                 "get an expired key of 1,000 bytes, count live bytes",
                 "the entry or its key was kept");
    ttl_destroy(t);
    want_int(cells[0], 1, "get an expired key, destroy, count destructions",
             "its value is destroyed again");
}

TEST(an_expired_key_can_be_set_anew, "P7", "4.3") {
    ttl *t = fresh(100);
    set(t, "menu", &cells[0]);
    now += 250;
    set(t, "menu", &cells[1]);
    want_int(cells[0], 1, "let menu expire, set menu, count destructions",
             "the expired value must go when the new one comes, once");
    want_int(ttl_count(t), 1, "let menu expire, set menu, count",
             "the expired entry is still held beside the new one");
    now += 99;
    want_pointer(get(t, "menu"), &cells[1],
                 "let menu expire, set menu for 100 ms, get 99 ms later",
                 "the new entry ends with the old one");
    ttl_destroy(t);
}

TEST(time_is_what_the_clock_shows, "P11", "4.3") {
    static const int64_t starts[] = {-5000, 0, 1, 1800000000000};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        ttl *t = fresh(100);
        now = starts[i];
        set(t, "menu", &cells[0]);
        now += 99;
        want_pointer(get(t, "menu"), &cells[0],
                     text("a clock that starts at %lld; set menu for 100 ms, "
                          "99 ms later get",
                          (long long)starts[i]),
                     "a clock may start anywhere; only differences count");
        now += 1;
        want_pointer(get(t, "menu"), NULL,
                     text("a clock that starts at %lld; set menu for 100 ms, "
                          "100 ms later get",
                          (long long)starts[i]),
                     "a clock may start anywhere; only differences count");
        set(t, "menu", &cells[1]);
        now += 1000000;
        want_pointer(get(t, "menu"), NULL,
                     text("a clock that starts at %lld; set menu for 100 ms, "
                          "then let the clock leap ahead, get",
                          (long long)starts[i]),
                     "the time comes from elsewhere than from the clock");
        ttl_destroy(t);
    }
}

/* A clock that moves on by 5 ms each time it is read. */
static int64_t restless(void *context) {
    int64_t *reads = context;
    return 5 * (*reads)++;
}

TEST(a_call_reads_the_clock_once, "P11", "4.4") {
    int64_t reads = 0, ms = 0;
    ttl *t = NULL;
    memset(cells, 0, sizeof cells);
    want_status(ttl_create(1000, (ms_clock){restless, &reads}, destroy, 42, &t),
                STATUS_OK, "create", "create fails though all is well");
    reads = 0;
    set_for(t, "menu", &cells[0], 8); /* at 0 ms */
    want_int(reads, 1, "set, count the readings of the clock",
             "two readings may differ: one call, one time");
    want_true(ttl_remaining_ms(t, bytes_of("menu"), &ms),
              "set menu for 8 ms, remaining 5 ms later, by a clock that moves "
              "on with each reading",
              "the first reading says that it is valid, so it is");
    want_int(ms, 3, "set menu for 8 ms, remaining 5 ms later",
             "two readings may differ, and what remains would be negative");
    want_int(reads, 2, "set, remaining; count the readings of the clock",
             "two readings may differ: one call, one time");
    ttl_get(t, bytes_of("menu"), NULL);
    want_int(reads, 3, "set, remaining, get; count the readings of the clock",
             "two readings may differ: one call, one time");
    ttl_destroy(t);
}

TEST(an_entry_for_ever_stays, "P5", "4.4") {
    ttl *t = fresh(TTL_NEVER);
    set(t, "a", &cells[0]);
    set_for(t, "b", &cells[1], 10);
    set_for(t, "b", &cells[2], TTL_NEVER);
    set_for(t, "c", &cells[3], TTL_NEVER);
    set_for(t, "c", &cells[4], 10);
    want_true(remaining(t, "a") == TTL_NEVER,
              "set a with the default TTL_NEVER, remaining of a",
              "what remains of never is never");
    want_true(remaining(t, "b") == TTL_NEVER,
              "set b for 10 ms, set b for ever, remaining of b",
              "the second set must take the end away");
    want_int(remaining(t, "c"), 10,
             "set c for ever, set c for 10 ms, remaining of c",
             "the second set must give it an end");
    now = INT64_MAX;
    want_pointer(get(t, "a"), &cells[0],
                 "set a for ever, turn the clock to INT64_MAX, get a",
                 "never is not a point in time");
    want_pointer(get(t, "b"), &cells[2],
                 "set b for 10 ms, set b for ever, turn the clock to "
                 "INT64_MAX, get b",
                 "the end of the first set is still there");
    want_pointer(get(t, "c"), NULL,
                 "set c for ever, set c for 10 ms, turn the clock, get c",
                 "the second set must give it an end");
    ttl_destroy(t);
}

TEST(no_ttl_is_too_large, "P5", "4.4") {
    static const int64_t large[] = {INT64_MAX - 1, INT64_MAX - START,
                                    INT64_MAX / 2 + 1, INT64_MAX / 1000};
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        ttl *t = fresh(1000);
        const char *did =
            text("at clock %d set for %lld ms", START, (long long)large[i]);
        set_for(t, "menu", &cells[0], large[i]);
        want_pointer(get(t, "menu"), &cells[0], text("%s, get", did),
                     "now + ttl overflowed and lies in the past");
        now += 1000000000;
        want_pointer(get(t, "menu"), &cells[0],
                     text("%s, get after ten days", did),
                     "now + ttl overflowed and lies in the past");
        want_true(remaining(t, "menu") > INT64_MAX / 2000,
                  text("%s, remaining after ten days", did),
                  "the large ttl was cut");
        ttl_destroy(t);
    }
    ttl *t = fresh(1000);
    now = INT64_MAX - 10;
    set(t, "menu", &cells[0]);
    now = INT64_MAX;
    want_pointer(get(t, "menu"), &cells[0],
                 "10 ms before the last millisecond of the clock set menu for "
                 "1,000 ms, get it at the last",
                 "an end past the end of time is never");
    ttl_destroy(t);
}

TEST(what_remains_counts_down_and_ends_as_a_miss, "P2", "4.4") {
    ttl *t = fresh(5000);
    set(t, "menu", &cells[0]);
    want_int(remaining(t, "menu"), 5000, "set menu for 5,000 ms, remaining",
             "at first all of the ttl remains, in milliseconds");
    now += 3000;
    want_int(remaining(t, "menu"), 2000,
             "set menu for 5,000 ms, remaining after 3,000",
             "what remains is the end less now");
    now += 1999;
    want_int(remaining(t, "menu"), 1,
             "set menu for 5,000 ms, remaining after 4,999",
             "remaining renewed the entry, or counts one off");
    now += 1;
    want_int(remaining(t, "menu"), -1,
             "set menu for 5,000 ms, remaining after 5,000 (-1: a miss)",
             "an expired entry is a miss, and *remaining_ms is not written");
    want_int(cells[0], 1, "remaining of an expired key, count destructions",
             "a remaining that meets an expired entry frees it");
    want_int(remaining(t, "absent"), -1,
             "remaining of a key that was never set (-1: a miss)",
             "an absent key is a miss");
    ttl_destroy(t);
}

TEST(a_deleted_key_is_gone_and_its_value_destroyed_once, "P7", "4.5") {
    ttl *t = fresh(1000);
    set(t, "menu", &cells[0]);
    set_for(t, "logo", &cells[1], TTL_NEVER);
    want_true(ttl_delete(t, bytes_of("menu")), "set menu, delete menu",
              "delete must say that the key was there");
    want_true(ttl_delete(t, bytes_of("logo")), "set logo for ever, delete logo",
              "a key without an end can be deleted too");
    want_int(cells[0], 1, "set menu, delete menu, count destructions",
             "delete must destroy the value, once");
    want_pointer(get(t, "menu"), NULL, "set menu, delete menu, get menu",
                 "the key is still found");
    want_int(ttl_count(t), 0, "set two keys, delete both, count",
             "delete must lower the count");
    want_false(ttl_delete(t, bytes_of("menu")),
               "set menu, delete menu, delete menu",
               "the second delete found something");
    ttl_destroy(t);
    want_int(cells[0], 1, "set menu, delete menu, destroy, count destructions",
             "the value is destroyed again");
}

TEST(a_delete_of_an_expired_key_finds_nothing_and_frees_it, "P8", "4.5") {
    ttl *t = fresh(1000);
    set(t, "menu", &cells[0]);
    now += 1000;
    want_false(ttl_delete(t, bytes_of("menu")), "let menu expire, delete menu",
               "for the caller an expired key is not there");
    want_int(cells[0], 1, "let menu expire, delete menu, count destructions",
             "the value must be destroyed, once");
    want_int(ttl_count(t), 0, "let menu expire, delete menu, count",
             "the entry is still held");
    ttl_destroy(t);
}

TEST(a_deleted_key_leaves_no_end_behind, "P1", "4.5") {
    ttl *t = fresh(1000);
    for (size_t i = 0; i < 20; i++) {
        set_for(t, key_number(i), &cells[i], 100 + (int64_t)i);
    }
    for (size_t i = 0; i < 20; i += 2) {
        ttl_delete(t, bytes_of(key_number(i)));
        set_for(t, key_number(i), &cells[20 + i], 5000);
    }
    now += 1000;
    for (size_t i = 0; i < 20; i++) {
        want_pointer(get(t, key_number(i)), i % 2 ? NULL : &cells[20 + i],
                     text("set 20 keys for 100 to 119 ms, delete every other "
                          "and set it for 5,000, after 1,000 ms get %s",
                          key_number(i)),
                     "the end of the deleted entry is still in force, or a "
                     "delete disturbed the others' ends");
    }
    ttl_destroy(t);
}

TEST(a_sweep_frees_at_most_max, "P9", "4.6") {
    ttl *t = fresh(100);
    for (size_t i = 0; i < 10; i++) {
        set(t, key_number(i), &cells[i]);
    }
    set_for(t, "later", &cells[10], 101);
    now += 100;
    want_int(ttl_sweep(t, 0), 0, "10 expired entries, sweep(0)",
             "at most none is none");
    want_int(ttl_count(t), 11, "10 expired entries of 11, sweep(0), count",
             "at most none is none");
    want_int(ttl_sweep(t, 4), 4, "10 expired entries, sweep(4)",
             "max bounds what one call frees");
    want_int(ttl_count(t), 7, "10 expired entries of 11, sweep(4), count",
             "what the sweep counts must be what it frees");
    want_int(ttl_sweep(t, 100), 6, "6 expired entries left, sweep(100)",
             "all that is expired must be found, and nothing else");
    want_int(ttl_sweep(t, 100), 0, "nothing expired left, sweep(100)",
             "a sweep must not free what is valid");
    want_pointer(get(t, "later"), &cells[10],
                 "10 keys for 100 ms and one for 101, sweep after 100, get it",
                 "an entry with 1 ms left was swept");
    for (size_t i = 0; i < 10; i++) {
        want_int(cells[i], 1,
                 text("sweep all, count the destructions of %s's value",
                      key_number(i)),
                 "a swept value must be destroyed, once");
    }
    ttl_destroy(t);
}

TEST(a_sweep_frees_keys_of_any_bytes, "P1", "4.6") {
    static const bytes keys[] = {
        {"", 0},
        {"\0", 1},
        {"a\0b", 3},
        {"a\0c", 3},
        {"twice sixteen bytes, all of them", 32},
    };
    enum { KEYS = sizeof keys / sizeof keys[0] };
    ttl *t = fresh(1000);
    for (size_t i = 0; i < KEYS; i++) {
        char buffer[64] = "";
        memcpy(buffer, keys[i].data, keys[i].len);
        ttl_set(t, (bytes){buffer, keys[i].len}, &cells[i]);
        memset(buffer, 'x', sizeof buffer);
    }
    now += 1000;
    want_int(ttl_sweep(t, KEYS), KEYS,
             "set \"\", \"\\0\", \"a\\0b\", ..., overwrite the buffers, let "
             "all expire, sweep",
             "a key is cut or borrowed on the way to the sweep");
    want_int(ttl_count(t), 0, "set some keys, let all expire, sweep, count",
             "the sweep removes the end and not the value");
    ttl_destroy(t);
}

TEST(a_sweep_leaves_what_never_expires, "P5", "4.6") {
    ttl *t = fresh(TTL_NEVER);
    set(t, "a", &cells[0]);
    set_for(t, "b", &cells[1], 10);
    set_for(t, "b", &cells[2], TTL_NEVER);
    set_for(t, "c", &cells[3], INT64_MAX - 1);
    now = INT64_MAX;
    want_int(ttl_sweep(t, 10), 0,
             "set a for ever, b for 10 ms and then for ever, c for INT64_MAX - "
             "1 ms, turn the clock to INT64_MAX, sweep",
             "never must not be swept, and an end past the end of time is "
             "never");
    want_int(ttl_count(t), 3, "a, b and c never expire, sweep, count",
             "never must not be swept");
    ttl_destroy(t);
}

TEST(a_sweep_finds_all_that_expired_and_only_that, "P9", "4.6") {
    uint64_t random = test_seed();
    for (size_t round = 0; round < test_scale(24, 8); round++) {
        unsigned longest = 1u << 2 * (round % 8);
        enum { KEYS = 60 };
        int64_t ends[KEYS];
        ttl *t = fresh(1000);
        for (size_t i = 0; i < KEYS; i++) {
            int64_t ms = 1 + (int64_t)(test_random(&random) % longest);
            set_for(t, key_number(i), &cells[i], ms);
            ends[i] = now + ms;
        }
        for (size_t i = round % 3; i < KEYS; i += 3) {
            ttl_delete(t, bytes_of(key_number(i)));
            ends[i] = now;
        }
        for (size_t step = 1; step <= 16; step++) {
            now = START + (int64_t)((longest * step + 15) / 16);
            ttl_sweep(t, KEYS);
            for (size_t i = 0; i < KEYS; i++) {
                want_int(cells[i], ends[i] <= now,
                         text("seed %llu: set 60 keys for 1 to %u ms, delete "
                              "a third, sweep after %lld ms, count the "
                              "destructions of one "
                              "set for %lld",
                              (unsigned long long)test_seed(), longest,
                              (long long)(now - START),
                              (long long)(ends[i] - START)),
                         "the order of the ends is not kept: an entry that is "
                         "due hides behind one that is not, or the reverse");
            }
        }
        ttl_destroy(t);
    }
}

TEST(a_renewed_entry_is_not_swept_by_its_old_end, "P3", "4.6") {
    ttl *t = fresh(100);
    for (size_t i = 0; i < 20; i++) {
        set(t, key_number(i), &cells[i]);
    }
    now += 60;
    for (size_t i = 0; i < 20; i += 2) {
        set(t, key_number(i), &cells[20 + i]);
    }
    now += 60;
    want_int(ttl_sweep(t, 100), 10,
             "set 20 keys for 100 ms, renew every other after 60, sweep after "
             "120",
             "the sweep must go by the latest set of a key");
    for (size_t i = 0; i < 20; i += 2) {
        want_pointer(
            get(t, key_number(i)), &cells[20 + i],
            text("renew %s, sweep after its first end, get it", key_number(i)),
            "the sweep must go by the latest set of a key");
    }
    now += 40;
    want_int(ttl_sweep(t, 100), 10, "sweep after the second end of the others",
             "a renewed entry's new end got lost");
    ttl_destroy(t);
}

TEST(a_sweep_gives_the_memory_back, "P9", "4.6") {
    enum { MANY = 100, LONG = 1000 };
    static char key[LONG];
    ttl *t = fresh(100);
    size_t before = heap_live_bytes();
    for (size_t i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "%zu", i);
        ttl_set(t, (bytes){key, sizeof key}, &cells[0]);
    }
    want_that(heap_live_bytes() > before + MANY * LONG,
              "set 100 keys of 1,000 bytes, count live bytes\n"
              "wanted  at least the keys\ngot     %zu\n"
              "likely  the cache does not copy its keys",
              heap_live_bytes() - before);
    now += 100;
    want_int(ttl_sweep(t, MANY), MANY, "let 100 keys expire, sweep",
             "the sweep does not find them all");
    want_at_most(heap_live_bytes() - before, 32 * 1024,
                 "set 100 keys of 1,000 bytes, let them expire, sweep, count "
                 "live bytes",
                 "the sweep hides the entries and keeps their memory");
    ttl_destroy(t);
}

/* A cache with `valid` entries for an hour and more, settled by a sweep. */
static ttl *settled(size_t valid) {
    ttl *t = fresh(100);
    for (size_t i = 0; i < valid; i++) {
        set_for(t, text("valid-%zu", i), &cells[0],
                60 * MINUTE + (int64_t)(i * 7919 % 60 * MINUTE));
    }
    now += 1;
    ttl_sweep(t, 10);
    return t;
}

/* Steps that the sweeps take for each entry they free, while entries come and
 * go among `valid` others. */
static double steps_per_freed(size_t valid) {
    enum { ROUNDS = 40, EACH = 5 };
    ttl *t = settled(valid);
    size_t steps = 0;
    size_t freed = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < EACH; i++) {
            set_for(t, key_number(i), &cells[1], 1 + (int64_t)i % 3);
        }
        now += 3;
        size_t before = work_steps();
        freed += ttl_sweep(t, 100);
        steps += work_steps() - before;
    }
    ttl_destroy(t);
    want_int(freed, ROUNDS * EACH,
             text("40 times set 5 keys for 1 to 3 ms and sweep 3 ms later, "
                  "among %zu valid entries; count what was freed",
                  valid),
             "a sweep must find all that has expired");
    return (double)steps / (double)freed;
}

/* log n of 4,000 is twice that of 60; no more than that may show. */
TEST(a_sweep_does_not_scan_what_is_valid, "P10", "4.6") {
    size_t many = test_scale(4000, 1000);
    double few_steps = steps_per_freed(60);
    double many_steps = steps_per_freed(many);
    want_that(many_steps <= 4 * few_steps + 60,
              "sweep 5 expired entries at a time, among 60 valid entries and "
              "among %zu\n"
              "wanted  about as many steps per entry freed\n"
              "got     %.0f steps among 60, %.0f among %zu\n"
              "likely  the sweep walks through all entries",
              many, few_steps, many_steps, many);
}

TEST(a_sweep_with_nothing_to_do_does_nothing, "P10", "4.6") {
    enum { SWEEPS = 100 };
    size_t many = test_scale(4000, 1000);
    ttl *t = settled(many);
    size_t before = work_steps();
    for (size_t i = 0; i < SWEEPS; i++) {
        now += 1;
        ttl_sweep(t, 1000);
    }
    want_at_most((work_steps() - before) / SWEEPS, 300,
                 text("%zu valid entries, sweep 100 times, count the steps of "
                      "each sweep",
                      many),
                 "whether anything is due must be known without a search");
    ttl_destroy(t);
}

/* Steps of a hit, and of a renewal, among n entries of which one is due. */
static void steps_per_call(size_t n, double *hit, double *renewal) {
    enum { ASKED = 100 };
    ttl *t = settled(n);
    set_for(t, "due", &cells[1], 1);
    now += 1;
    size_t start = work_steps();
    for (size_t i = 0; i < ASKED; i++) {
        get(t, text("valid-%zu", i % n));
    }
    size_t middle = work_steps();
    for (size_t i = 0; i < ASKED; i++) {
        set_for(t, text("valid-%zu", i % n), &cells[2], 3 * 60 * MINUTE);
    }
    *hit = (double)(middle - start) / ASKED;
    *renewal = (double)(work_steps() - middle) / ASKED;
    ttl_destroy(t);
}

TEST(a_get_and_a_set_cost_the_same_in_a_large_cache, "P10", "4.6") {
    double few_hit, few_renewal, many_hit, many_renewal;
    size_t many = test_scale(4000, 1000);
    steps_per_call(60, &few_hit, &few_renewal);
    steps_per_call(many, &many_hit, &many_renewal);
    want_that(many_hit <= 3 * few_hit + 40,
              "get a valid key while another has expired, among 60 entries "
              "and among %zu\nwanted  about as many steps\n"
              "got     %.0f among 60, %.0f among %zu\n"
              "likely  the get walks through the entries to expire them",
              many, few_hit, many_hit, many);
    want_that(many_renewal <= 4 * few_renewal + 60,
              "renew a key among 60 entries and among %zu\n"
              "wanted  about as many steps\ngot     %.0f among 60, %.0f among "
              "%zu\nlikely  the set searches for its place from the front",
              many, few_renewal, many_renewal, many);
}

TEST(hits_and_renewals_allocate_nothing, "P10", "4.6") {
    ttl *t = fresh(1000);
    for (size_t i = 0; i < 20; i++) {
        set(t, key_number(i), &cells[i]);
    }
    size_t before = heap_allocations();
    size_t bytes_before = heap_live_bytes();
    for (size_t i = 0; i < 500; i++) {
        now += 1;
        get(t, key_number(i % 20));
        set(t, key_number(i % 20), &cells[20]);
    }
    want_int(heap_allocations() - before, 0,
             "set 20 keys; 500 times get one and set it again, count "
             "allocations",
             "a renewal moves the end that is there; it needs no new one");
    want_int(heap_live_bytes() - bytes_before, 0,
             "set 20 keys; 500 times get one and set it again, count bytes",
             "each renewal leaves its old end behind");
    now += 1000;
    want_int(ttl_sweep(t, 1000), 20, "20 keys, renewed 500 times, sweep",
             "the sweep counts ends that were renewed away");
    ttl_destroy(t);
}

/* Sets `count` keys for ttl_ms under a jitter, and notes what each is given. */
static void given(ttl *t, unsigned percent, int64_t ttl_ms, int64_t *ms,
                  size_t count) {
    want_status(ttl_jitter(t, percent), STATUS_OK,
                text("ttl_jitter(%u)", percent), "0 to 99 percent are fine");
    for (size_t i = 0; i < count; i++) {
        set_for(t, key_number(i), &cells[0], ttl_ms);
        ms[i] = remaining(t, key_number(i));
    }
}

TEST(a_jitter_shortens_by_up_to_its_share, "P12", "4.7") {
    enum { KEYS = 400, TTL = 1000, PERCENT = 20 };
    int64_t ms[KEYS];
    ttl *t = fresh(TTL);
    given(t, PERCENT, TTL, ms, KEYS);
    int64_t least = INT64_MAX, most = 0;
    for (size_t i = 0; i < KEYS; i++) {
        least = ms[i] < least ? ms[i] : least;
        most = ms[i] > most ? ms[i] : most;
    }
    want_that(least >= 800 && most <= 1000,
              "jitter of 20 percent, set 400 keys for 1,000 ms, remaining\n"
              "wanted  800 to 1,000 ms\ngot     %lld to %lld\n"
              "likely  the share is taken of something else, or added",
              (long long)least, (long long)most);
    want_that(least < 820 && most > 980,
              "jitter of 20 percent, set 400 keys for 1,000 ms, remaining\n"
              "wanted  ends all over 800 to 1,000 ms\ngot     %lld to %lld\n"
              "likely  the share is drawn once, or not at all",
              (long long)least, (long long)most);
    set(t, "default", &cells[0]);
    want_true(remaining(t, "default") <= 1000 && remaining(t, "default") >= 800,
              "jitter of 20 percent, default 1,000 ms; set, remaining",
              "the default ttl is shortened in the same way");
    given(t, 99, 1, ms, 50);
    for (size_t i = 0; i < 50; i++) {
        want_int(ms[i], 1, "jitter of 99 percent, set for 1 ms, remaining",
                 "no jitter may take all of a ttl");
    }
    given(t, 0, TTL, ms, 50);
    for (size_t i = 0; i < 50; i++) {
        want_int(ms[i], TTL, "jitter of 0, set for 1,000 ms, remaining",
                 "a jitter of 0 is no jitter");
    }
    ttl_destroy(t);
}

TEST(a_jitter_overflows_nothing, "P12", "4.7") {
    static const int64_t large[] = {INT64_MAX - 1, INT64_MAX / 2,
                                    INT64_MAX / 60};
    enum { KEYS = 20 };
    int64_t ms[KEYS];
    for (size_t k = 0; k < sizeof large / sizeof large[0]; k++) {
        ttl *t = fresh(1000);
        now = 0;
        given(t, 50, large[k], ms, KEYS);
        int64_t least = INT64_MAX;
        for (size_t i = 0; i < KEYS; i++) {
            want_that(ms[i] >= large[k] / 2 && ms[i] <= large[k],
                      "jitter of 50 percent, set for %lld ms, remaining\n"
                      "wanted  half of that to all of it\ngot     %lld\n"
                      "likely  ttl * percent overflows",
                      (long long)large[k], (long long)ms[i]);
            least = ms[i] < least ? ms[i] : least;
        }
        want_that(least < large[k] / 4 * 3,
                  "jitter of 50 percent, set 20 keys for %lld ms, remaining\n"
                  "wanted  ends all over the last half\n"
                  "got     none in the first half of that: %lld at least\n"
                  "likely  ttl * percent overflows",
                  (long long)large[k], (long long)least);
        set_for(t, "never", &cells[0], TTL_NEVER);
        want_true(remaining(t, "never") == TTL_NEVER,
                  "jitter of 50 percent, set for ever, remaining",
                  "never less a share of it is still never");
        ttl_destroy(t);
    }
}

TEST(a_jitter_repeats_with_its_seed, "P12", "4.7") {
    enum { KEYS = 50 };
    int64_t one[KEYS], same[KEYS], other[KEYS];
    int64_t *into[] = {one, same, other};
    static const uint64_t seeds[] = {1, 1, 2};
    for (size_t i = 0; i < 3; i++) {
        ttl *t = fresh_with(1000, seeds[i]);
        given(t, 50, 100000, into[i], KEYS);
        ttl_destroy(t);
    }
    want_int(memcmp(one, same, sizeof one), 0,
             "jitter of 50 percent, the same 50 sets twice with seed 1, "
             "compare the ends (0: equal)",
             "the jitter must come from the seed alone");
    want_true(memcmp(one, other, sizeof one) != 0,
              "jitter of 50 percent, the same 50 sets with seeds 1 and 2, "
              "whether the ends differ",
              "the jitter ignores the seed: all servers would draw alike");
}

TEST(a_jitter_of_everything_is_refused, "P6", "4.7") {
    static const unsigned bad[] = {100, 101, 4294967295};
    ttl *t = fresh(1000);
    for (size_t i = 0; i < 3; i++) {
        want_status(ttl_jitter(t, bad[i]), STATUS_INVALID,
                    text("ttl_jitter(%u)", bad[i]),
                    "100 percent and more may leave nothing of a ttl");
    }
    set(t, "menu", &cells[0]);
    want_int(remaining(t, "menu"), 1000,
             "refused jitters, set menu for 1,000 ms, remaining",
             "a refused jitter is in force");
    ttl_destroy(t);
}

struct attempt {
    ttl *t;
    const char *key;
    int64_t ttl_ms;
};

/* One set into a cache of some keys, with an allocation failing. */
static void try_to_set(void *context) {
    struct attempt *a = context;
    size_t before = ttl_count(a->t);
    size_t blocks = heap_live_blocks();
    bytes key = bytes_of(a->key);
    status s = ttl_set_for(a->t, key, &cells[40], a->ttl_ms);
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "set a new key while an allocation fails",
                "every result of malloc and of dict_set must be looked at");
    if (s == STATUS_OK) {
        return;
    }
    want_int(ttl_count(a->t), before, "a set that failed, count",
             "a failed set was counted");
    want_false(ttl_get(a->t, key, NULL), "a set that failed, get the key",
               "a failed set left its key behind");
    want_at_most(heap_live_blocks(), blocks + 1,
                 "a set that failed, count live blocks (one may be new: a "
                 "table that was made for the first time)",
                 "a failed set left a part of its entry behind");
    want_int(cells[40], 0, "a set that failed, count destructions",
             "after a failure the value is still the caller's");
    for (size_t i = 0; i < before; i++) {
        want_int(remaining(a->t, key_number(i)), 1000 + (int64_t)i,
                 text("a set that failed, remaining of %s", key_number(i)),
                 "a failed set disturbed the others");
    }
}

TEST(without_memory_a_set_changes_nothing, "P13", "4.8") {
    size_t failures = 0;
    for (size_t count = 0; count < 20; count++) {
        for (size_t never = 0; never < 2; never++) {
            ttl *t = fresh(1000); /* some of these are just about to grow */
            for (size_t i = 0; i < count; i++) {
                set_for(t, key_number(i), &cells[i], 1000 + (int64_t)i);
            }
            struct attempt a = {t, "a key of more than sixteen bytes",
                                never ? TTL_NEVER : 5};
            failures += heap_fail_each(try_to_set, &a);
            now += 5;
            want_int(ttl_sweep(t, 100), never ? 0 : 1,
                     "sets that failed and one that did not, sweep",
                     "a failed set left an end behind");
            ttl_destroy(t);
        }
    }
    want_that(failures > 0, "set long keys, count failed allocations\n"
                            "wanted  at least one\ngot     none\n"
                            "likely  the cache does not copy its keys");
}

/* The n-th allocation from now fails, if there is one. */
static void set_without_memory(ttl *t, size_t n) {
    heap_fail_at(n);
    ttl_set(t, bytes_of("another key of more than sixteen bytes"), &cells[1]);
    heap_fail_at(0);
}

TEST(without_memory_the_jitter_does_not_move_on, "P13", "4.8") {
    int64_t wanted = 0;
    for (size_t n = 0; n < 3; n++) {
        ttl *t = fresh(1000000);
        ttl_jitter(t, 50);
        if (n > 0) {
            set_without_memory(t, n);
        }
        if (ttl_count(t) == 0) {
            set(t, "menu", &cells[0]);
            int64_t ms = remaining(t, "menu");
            wanted = n == 0 ? ms : wanted;
            want_int(ms, wanted,
                     "jitter of 50 percent; a set that fails for want of "
                     "memory, set menu, remaining",
                     "the failed set drew a number: it changed something");
        }
        ttl_destroy(t);
    }
}

static void try_to_create(void *context) {
    ttl **made = context;
    ttl *t = (ttl *)cells;
    status s = ttl_create(1000, ms_clock_frozen(&now), NULL, 42, &t);
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "create while an allocation fails",
                "every result of malloc and of dict_create must be looked at");
    if (s == STATUS_OK) {
        ttl_destroy(t);
        return;
    }
    want_pointer(t, cells, "a create that failed, look at *out",
                 "*out is written on success only");
    *made = NULL;
}

TEST(without_memory_create_says_so, "P13", "4.8") {
    ttl *made = NULL;
    heap_fail_each(try_to_create, &made);
}

/* --- random runs against an array ------------------------------------- */

enum { MODEL_KEYS = 12, MODEL_TTL = 40 };

struct beside {
    ttl *t;
    int *values[MODEL_KEYS]; /* the plain model: NULL is absent */
    int64_t ends[MODEL_KEYS];
    int sets[CELLS];
};

static void *model_begin(void) {
    struct beside *b = calloc(1, sizeof *b);
    b->t = fresh(MODEL_TTL);
    return b;
}

static bool valid(const struct beside *b, unsigned key) {
    return b->values[key] && now < b->ends[key];
}

static size_t valid_count(const struct beside *b) {
    size_t count = 0;
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        count += valid(b, i);
    }
    return count;
}

static const char *model_key(unsigned n) {
    return text(n % 2 ? "k%u" : "a rather long key, number %u", n);
}

enum { SET, SET_FOR, GET, REMAINING, DELETE, WAIT, SWEEP, OPERATIONS };

static int64_t own_ttl(model_step s) {
    return s.value % 8 == 0 ? TTL_NEVER : 1 + s.value * 3;
}

static const char *apply_set(struct beside *b, model_step s) {
    bytes key = bytes_of(model_key(s.key));
    int64_t ms = s.operation == SET ? MODEL_TTL : own_ttl(s);
    status got = s.operation == SET
                     ? ttl_set(b->t, key, &cells[s.value])
                     : ttl_set_for(b->t, key, &cells[s.value], ms);
    b->values[s.key] = &cells[s.value];
    b->ends[s.key] = ms == TTL_NEVER ? INT64_MAX : now + ms;
    b->sets[s.value]++;
    return got == STATUS_OK ? NULL : "set failed";
}

static const char *apply_sweep(struct beside *b, model_step s) {
    size_t max = s.value % 2 ? s.value % 5 : MODEL_KEYS;
    size_t before = ttl_count(b->t);
    size_t freed = ttl_sweep(b->t, max);
    if (freed > max) {
        return text("sweep(%zu) freed %zu", max, freed);
    }
    if (ttl_count(b->t) != before - freed) {
        return "sweep did not free as many as it said";
    }
    if (freed < max && ttl_count(b->t) != valid_count(b)) {
        return text("a count of %zu after a sweep, where %zu keys are valid",
                    ttl_count(b->t), valid_count(b));
    }
    return NULL;
}

static const char *apply_look_up(struct beside *b, model_step s) {
    bytes key = bytes_of(model_key(s.key));
    bool has = valid(b, s.key);
    void *value = NULL;
    int64_t ms = 0;
    if (s.operation == GET) {
        return ttl_get(b->t, key, &value) != has
                       || value != (has ? b->values[s.key] : NULL)
                   ? has ? "get did not give the value set last"
                         : "get found a key that is not there, or no longer"
                   : NULL;
    }
    if (s.operation == DELETE) {
        bool found = ttl_delete(b->t, key);
        b->values[s.key] = NULL;
        return found == has ? NULL
               : has        ? "delete did not find the key"
                            : "delete found it";
    }
    int64_t want = !has                          ? 0
                   : b->ends[s.key] == INT64_MAX ? TTL_NEVER
                                                 : b->ends[s.key] - now;
    return ttl_remaining_ms(b->t, key, &ms) == has && ms == want
               ? NULL
               : text("%lld ms remaining, where it should be %lld",
                      (long long)ms, (long long)want);
}

static const char *model_apply(void *state, model_step s) {
    switch (s.operation) {
    case SET:
    case SET_FOR: return apply_set(state, s);
    case WAIT: now += s.value; return NULL;
    case SWEEP: return apply_sweep(state, s);
    default: return apply_look_up(state, s);
    }
}

static const char *model_end(void *state) {
    struct beside *b = state;
    ttl_sweep(b->t, MODEL_KEYS);
    const char *why = NULL;
    if (ttl_count(b->t) != valid_count(b)) {
        why = text("a count of %zu after the last sweep, where %zu are valid",
                   ttl_count(b->t), valid_count(b));
    }
    ttl_destroy(b->t);
    for (unsigned i = 0; i < CELLS && !why; i++) {
        if (cells[i] != b->sets[i]) {
            why = text("cells[%u] destroyed %d times, set %d times", i,
                       cells[i], b->sets[i]);
        }
    }
    free(b);
    return why;
}

static void model_print(FILE *out, model_step s) {
    switch (s.operation) {
    case SET:
        fprintf(out, "ttl_set(t, bytes_of(\"%s\"), &cells[%u]);",
                model_key(s.key), s.value);
        break;
    case SET_FOR:
        fprintf(out, "ttl_set_for(t, bytes_of(\"%s\"), &cells[%u], %lld);",
                model_key(s.key), s.value, (long long)own_ttl(s));
        break;
    case GET:
        fprintf(out, "ttl_get(t, bytes_of(\"%s\"), &value);", model_key(s.key));
        break;
    case REMAINING:
        fprintf(out, "ttl_remaining_ms(t, bytes_of(\"%s\"), &ms);",
                model_key(s.key));
        break;
    case DELETE:
        fprintf(out, "ttl_delete(t, bytes_of(\"%s\"));", model_key(s.key));
        break;
    case WAIT: fprintf(out, "now += %u;", s.value); break;
    default:
        fprintf(out, "ttl_sweep(t, %u);",
                s.value % 2 ? s.value % 5 : (unsigned)MODEL_KEYS);
    }
}

TEST(any_mix_of_calls_agrees_with_a_plain_array, "P9", "4.6") {
    model_check(&(model){
        .operations = OPERATIONS,
        .keys = MODEL_KEYS,
        .values = CELLS,
        .lists = 100,
        .steps = 200,
        .begin = model_begin,
        .apply = model_apply,
        .end = model_end,
        .print = model_print,
    });
}
