/* Tests of the LRU cache. Values are pointers into `cells`, so that each can
 * be told from every other and its destruction counted. Most caches hold keys
 * of one letter, set in the order of the alphabet; the value of "a" is cell 0,
 * that of "b" cell 1, and so on. */
#include "lru.h"

#include "support/check.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/work.h"

#include <stdlib.h>
#include <xxhash.h>

enum { CELLS = 64, OTHER = 40, FRESH = 12 };

#define LONG_KEY "a key of more than sixteen bytes"

static int cells[CELLS]; /* how often each value was destroyed */

static void destroy(void *value) {
    if (value) {
        ++*(int *)value;
    }
}

static lru *fresh(size_t capacity) {
    memset(cells, 0, sizeof cells);
    lru *l = NULL;
    want_status(lru_create(capacity, destroy, 42, &l), STATUS_OK,
                text("lru_create(%zu, destroy, 42, &l)", capacity),
                "create fails though there is memory");
    want_true(l != NULL, text("lru_create(%zu, destroy, 42, &l)", capacity),
              "create says ok and does not write the cache to *out");
    return l;
}

/* A set that the test takes for granted. */
static void set(lru *l, const char *key, void *value) {
    want_status(lru_set(l, bytes_of(key), value), STATUS_OK,
                text("set %s", key), "set fails though there is memory");
}

static void *peek(const lru *l, const char *key) {
    void *value = NULL;
    return lru_peek(l, bytes_of(key), &value) ? value : NULL;
}

static bool has(const lru *l, const char *key) {
    return lru_peek(l, bytes_of(key), NULL);
}

static void *get(lru *l, const char *key) {
    void *value = NULL;
    return lru_get(l, bytes_of(key), &value) ? value : NULL;
}

static const char *letter(size_t n) {
    return text("%c", (int)('a' + n));
}

/* key-0, key-1, ...: the n-th key of a large cache. */
static const char *key_number(size_t n) {
    return text("key-%zu", n);
}

static void set_letters(lru *l, size_t count) {
    for (size_t i = 0; i < count; i++) {
        set(l, letter(i), &cells[i]);
    }
}

/* A full cache of that many letters. */
static lru *full_of_letters(size_t capacity) {
    lru *l = fresh(capacity);
    set_letters(l, capacity);
    return l;
}

static lru *full_of_numbers(size_t capacity) {
    lru *l = fresh(capacity);
    for (size_t i = 0; i < capacity; i++) {
        set(l, key_number(i), &cells[i % CELLS]);
    }
    return l;
}

/* What the callback saw last, and how often it was called. */
struct sight {
    size_t calls;
    char key[CELLS];
    void *value;
    int destroyed; /* how often that value was, when the callback saw it */
};

static void see(void *context, bytes key, void *value) {
    struct sight *s = context;
    s->calls++;
    s->key[0] = '\0';
    if (key.data && key.len < sizeof s->key) {
        memcpy(s->key, key.data, key.len);
        s->key[key.len] = '\0';
    }
    s->value = value;
    s->destroyed = value ? *(int *)value : -1;
}

/* The first `count` letters, without the one at `at`, then that one again if
 * it is to be last. */
static const char *letters_without(size_t count, size_t at, bool last) {
    char order[CELLS];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (i != at) {
            order[used++] = (char)('a' + i);
        }
    }
    if (last) {
        order[used++] = (char)('a' + at);
    }
    order[used] = '\0';
    return text("%s", order);
}

/* The order in which these keys leave while fresh ones come in; what never
 * leaves is missing in it. */
static const char *leaving_order(lru *l, const char *letters) {
    static char left[CELLS];
    size_t count = 0;
    bool gone[CELLS] = {false};
    for (size_t fresh_key = 0; fresh_key < FRESH; fresh_key++) {
        set(l, text("fresh-%zu", fresh_key), &cells[OTHER]);
        for (size_t i = 0; letters[i] != '\0'; i++) {
            if (!gone[i] && !has(l, text("%c", letters[i]))) {
                gone[i] = true;
                left[count++] = letters[i];
            }
        }
    }
    left[count] = '\0';
    return left;
}

/* Fails unless these letters are there, and leave in this order. */
static void want_order(lru *l, const char *oldest_first, const char *did,
                       const char *likely) {
    char want[CELLS], done[CELLS * 2], alphabetic[CELLS] = "", whole[CELLS * 4];
    snprintf(want, sizeof want, "%s", oldest_first);
    snprintf(done, sizeof done, "%s", did);
    snprintf(whole, sizeof whole,
             "%s; then set fresh keys: the order in which the old ones leave",
             done);
    for (char c = 'a'; c <= 'z'; c++) {
        if (strchr(want, c)) {
            strncat(alphabetic, &c, 1);
            want_true(has(l, text("%c", c)), text("%s, peek %c", done, c),
                      "it was evicted though there was room, or lost");
        }
    }
    want_text(leaving_order(l, alphabetic), want, whole, likely);
}

/* --- 5.1: create, count, destroy --------------------------------------- */

TEST(a_fresh_cache_is_empty_and_ends_without_a_trace, "P12", "5.1") {
    lru *l = fresh(3);
    want_int(lru_count(l), 0, "create, count", "the count must start at 0");
    lru_destroy(l);
    lru_destroy(NULL);
}

TEST(a_capacity_of_zero_is_refused, "P5", "5.1") {
    static char untouched;
    lru *l = (lru *)&untouched;
    want_status(lru_create(0, NULL, 42, &l), STATUS_INVALID,
                "lru_create(0, NULL, 42, &l)",
                "a cache that can hold nothing must be refused");
    want_pointer(l, &untouched, "create with a capacity of 0, look at l",
                 "out-parameters are written only on success");
}

/* The second allocation fails, so that code which does not look at the
 * capacity does not take what the machine has. */
TEST(a_capacity_beyond_the_maximum_is_refused, "P5", "5.1") {
    lru *l = NULL;
    heap_fail_at(2);
    want_status(lru_create(LRU_CAPACITY_MAX + 1, NULL, 42, &l), STATUS_INVALID,
                "lru_create(LRU_CAPACITY_MAX + 1, NULL, 42, &l)",
                "the capacity must be compared with LRU_CAPACITY_MAX");
}

static void try_to_create(void *context) {
    static char untouched;
    lru *l = (lru *)&untouched;
    status s = lru_create(100, NULL, 42, &l);
    ++*(size_t *)context;
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "create while an allocation fails",
                "every result of malloc must be looked at");
    if (s == STATUS_OK) {
        lru_destroy(l);
    } else {
        want_pointer(l, &untouched, "create without memory, look at l",
                     "out-parameters are written only on success");
    }
}

TEST(without_memory_create_says_so_and_leaves_nothing, "P10", "5.1") {
    size_t tries = 0;
    heap_fail_each(try_to_create, &tries);
    want_that(tries > 1, "create, count allocations\nwanted  at least one\n"
                         "got     none\nlikely  where do the entries live?");
}

/* --- 5.2: the table: set of a new key, peek ----------------------------- */

TEST(set_then_peek_finds_the_value, "P1", "5.2") {
    lru *l = fresh(3);
    set(l, "a", &cells[0]);
    set(l, "b", &cells[1]);
    want_pointer(peek(l, "a"), &cells[0], "set a, set b, peek a",
                 "set stores nothing, or peek looks in another chain");
    want_pointer(peek(l, "b"), &cells[1], "set a, set b, peek b",
                 "set stores nothing, or peek looks in another chain");
    want_int(lru_count(l), 2, "set a, set b, count",
             "set must count an insert");
    lru_destroy(l);
}

TEST(an_absent_key_is_a_miss_and_writes_nothing, "P1", "5.2") {
    lru *l = full_of_letters(3);
    void *value = &cells[9];
    want_false(lru_peek(l, bytes_of("absent"), &value),
               "set a b c, peek absent", "the chain must end, with a no");
    want_pointer(value, &cells[9], "peek absent with value = v",
                 "the out-parameter is written on a miss");
    want_true(lru_peek(l, bytes_of("b"), NULL), "peek b with value NULL",
              "the caller may pass NULL for the value");
    lru_destroy(l);
}

TEST(any_value_may_be_stored, "P8", "5.2") {
    lru *l = NULL;
    lru_create(2, NULL, 42, &l);
    void *minus_one = (void *)(intptr_t)-1, *value = &cells[0];
    lru_set(l, bytes_of("nothing"), NULL);
    lru_set(l, bytes_of("minus one"), minus_one);
    want_true(lru_peek(l, bytes_of("nothing"), &value),
              "set nothing=NULL, peek nothing",
              "a value of NULL is taken for an absent key");
    want_pointer(value, NULL, "set nothing=NULL, peek nothing, look at value",
                 "a value of NULL is a value like any other");
    want_true(lru_peek(l, bytes_of("minus one"), &value),
              "set minus one = -1, peek it",
              "a value of -1 is taken for an absent key");
    want_pointer(value, minus_one, "set minus one = -1, look at the value",
                 "a value of -1 is a value like any other");
    lru_destroy(l);
}

TEST(keys_may_hold_any_byte, "P1", "5.2") {
    static const bytes keys[] = {
        {"", 0},
        {"\0", 1},
        {"\0\0", 2},
        {"a\0b", 3},
        {"a\0c", 3},
        {"a", 1},
        {"\xff\0", 2},
        {"\xff", 1},
        {"exactly sixteen!", 16},
        {"exactly sixteen!\0", 17},
        {"the same sixteen bytes, then one", 32},
        {"the same sixteen bytes, then two", 32},
    };
    enum { KEYS = sizeof keys / sizeof keys[0] };
    lru *l = fresh(KEYS);
    for (size_t i = 0; i < KEYS; i++) {
        want_status(lru_set(l, keys[i], &cells[i]), STATUS_OK,
                    text("set key number %zu", i), "some key is refused");
    }
    for (size_t i = 0; i < KEYS; i++) {
        void *value = NULL;
        lru_peek(l, keys[i], &value);
        want_pointer(
            value, &cells[i],
            text("set \"\", \"\\0\", \"\\0\\0\", \"a\\0b\", \"a\\0c\", "
                 "..., peek key number %zu",
                 i),
            "a key is cut at its zero byte or at 16 bytes; its whole "
            "length must decide");
    }
    lru_destroy(l);
}

TEST(keys_are_copied, "P1", "5.2") {
    char near[] = "name", far[] = LONG_KEY;
    lru *l = fresh(2);
    set(l, near, &cells[0]);
    set(l, far, &cells[1]);
    memset(near, 'x', sizeof near - 1);
    memset(far, 'x', sizeof far - 1);
    want_pointer(peek(l, "name"), &cells[0],
                 "set from a buffer, overwrite the buffer, peek name",
                 "the cache keeps the caller's pointer instead of a copy");
    want_pointer(peek(l, LONG_KEY), &cells[1],
                 "set a long key from a buffer, overwrite it, peek the key",
                 "the cache keeps the caller's pointer instead of a copy");
    lru_destroy(l);
}

/* The two 8-byte halves of a 16-byte key enter XXH3 as x and y, after an
 * exclusive or with constants of XXH3 and the seed, and the hash is a function
 * of 16 + swap(x) + y + fold(x * y). Where one of them is 0 the product is
 * gone, so (0, swap(x)) and (x, 0) have the same 64 bits. */
static void colliding_keys(uint64_t seed, char one[16], char other[16]) {
    uint64_t flip_x = (0x1f67b3b7a4a44072ULL ^ 0x78e5c0cc4ee679cbULL) + seed;
    uint64_t flip_y = (0x2172ffcc7dd05a82ULL ^ 0x8e2443f7744608b8ULL) - seed;
    uint64_t x = 0x0123456789abcdefULL, swapped = 0xefcdab8967452301ULL;
    uint64_t lanes[4] = {0 ^ flip_x, swapped ^ flip_y, x ^ flip_x, 0 ^ flip_y};
    memcpy(one, &lanes[0], 16);
    memcpy(other, &lanes[2], 16);
    want_that(XXH3_64bits_withSeed(one, 16, seed)
                  == XXH3_64bits_withSeed(other, 16, seed),
              "this test needs two keys of equal hash and has none");
}

TEST(keys_with_equal_hashes_are_told_apart, "P1", "5.2") {
    char one[16], other[16];
    colliding_keys(42, one, other);
    lru *l = fresh(4);
    lru_set(l, (bytes){one, 16}, &cells[0]);
    want_false(lru_peek(l, (bytes){other, 16}, NULL),
               "set one key, peek another key with the same 64-bit hash",
               "equal hashes do not prove equal keys: compare the bytes");
    lru_set(l, (bytes){other, 16}, &cells[1]);
    want_int(lru_count(l), 2, "set two keys with the same 64-bit hash, count",
             "equal hashes do not prove equal keys: compare the bytes");
    lru_destroy(l);
}

/* Work that does not grow with the cache may still vary with its load. */
static void want_flat(double few, double many, const char *did,
                      const char *likely) {
    want_that(many <= 3 * few + 10,
              "%s\nwanted  as many steps per call with many entries as with "
              "few\ngot     %.0f steps with few, %.0f with many\nlikely  %s",
              did, few, many, likely);
}

/* Steps per set of keys whose hashes under seed 0 end in as many zeros. */
static double steps_per_chosen_key(unsigned zeros, size_t keys) {
    lru *l = NULL;
    lru_create(keys, NULL, 0x5eed, &l);
    size_t steps = 0, made = 0;
    for (uint64_t n = 0; made < keys; n++) {
        char key[24];
        int len = snprintf(key, sizeof key, "%llu", (unsigned long long)n);
        if ((XXH3_64bits(key, (size_t)len) & ((1u << zeros) - 1)) == 0) {
            size_t before = work_steps();
            lru_set(l, (bytes){key, (size_t)len}, NULL);
            steps += work_steps() - before;
            made++;
        }
    }
    lru_destroy(l);
    return (double)steps / (double)keys;
}

TEST(who_does_not_know_the_seed_cannot_make_it_slow, "P9", "5.2") {
    enum { KEYS = 100 };
    want_flat(steps_per_chosen_key(0, KEYS), steps_per_chosen_key(10, KEYS),
              "seed 0x5eed, set 100 keys that would collide under seed 0",
              "the hash does not use the seed");
}

/* Pairs of keys that are not the same; "" and a zero byte look alike to some.
 */
TEST(a_hash_depends_on_the_seed_and_on_every_byte, "P13", "5.2") {
    static const bytes pairs[][2] = {
        {{"a", 1}, {"b", 1}},
        {{"", 0}, {"\0", 1}},
        {{"a\0b", 3}, {"a\0c", 3}},
        {{"the same sixteen bytes, then one", 32},
         {"the same sixteen bytes, then two", 32}},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        want_true(lru_hash(pairs[i][0], 42) == lru_hash(pairs[i][0], 42),
                  text("hash a key twice, pair number %zu", i),
                  "the hash of a key must always be the same");
        want_false(lru_hash(pairs[i][0], 42) == lru_hash(pairs[i][1], 42),
                   text("hash both keys of pair number %zu: equal?", i),
                   "every byte of the key must enter the hash");
        want_false(
            lru_hash(pairs[i][0], 42) == lru_hash(pairs[i][0], 43),
            text("hash a key of pair number %zu with the seeds 42 and 43: "
                 "equal?",
                 i),
            "the hash does not use the seed");
    }
}

/* Of n fair coins, n / 2 show heads, give or take a few times sqrt(n) / 2. */
TEST(a_hash_spreads_keys_over_all_its_bits, "P13", "5.2") {
    enum { KEYS = 4096, MARGIN = 256 };
    size_t ones[64] = {0};
    for (size_t n = 0; n < KEYS; n++) {
        uint64_t hash = lru_hash(bytes_of(key_number(n)), 42);
        for (size_t bit = 0; bit < 64; bit++) {
            ones[bit] += hash >> bit & 1;
        }
    }
    for (size_t bit = 0; bit < 64; bit++) {
        want_that(ones[bit] > KEYS / 2 - MARGIN
                      && ones[bit] < KEYS / 2 + MARGIN,
                  "hash key-0 ... key-4095, look at bit %zu\n"
                  "wanted  a 1 in about half of the hashes\n"
                  "got     a 1 in %zu of %d\n"
                  "likely  only a part of the 64 bits is returned",
                  bit, ones[bit], KEYS);
    }
}

TEST(destroy_destroys_every_value_once, "P12", "5.2") {
    lru *l = fresh(CELLS);
    set_letters(l, CELLS - 4);
    set(l, LONG_KEY, &cells[CELLS - 4]);
    lru_destroy(l);
    for (size_t i = 0; i <= CELLS - 4; i++) {
        want_int(cells[i], 1,
                 text("fill a cache, destroy it, count the destructions of "
                      "value %zu",
                      i),
                 "destroy must end every value that is in the cache");
    }
}

/* --- 5.3: the order by age, eviction ------------------------------------ */

TEST(a_cache_holds_exactly_its_capacity, "P4", "5.3") {
    for (size_t capacity = 1; capacity <= 17; capacity++) {
        lru *l = full_of_letters(capacity);
        want_int(lru_count(l), capacity,
                 text("capacity %zu, set %zu keys, count", capacity, capacity),
                 "the cache evicts before it is full");
        want_true(has(l, "a"),
                  text("capacity %zu, set %zu keys, peek the first", capacity,
                       capacity),
                  "the cache evicts before it is full");
        set(l, letter(capacity), &cells[capacity]);
        want_int(
            lru_count(l), capacity,
            text("capacity %zu, set %zu keys, count", capacity, capacity + 1),
            "the cache holds more entries than it may, or counts an "
            "evicted one");
        lru_destroy(l);
    }
}

TEST(a_full_cache_evicts_the_least_recent, "P3", "5.3") {
    lru *l = full_of_letters(3);
    set(l, "d", &cells[3]);
    want_false(has(l, "a"), "capacity 3, set a b c d, peek a",
               "a new key in a full cache must evict the oldest entry");
    want_true(has(l, "b") && has(l, "c"), "capacity 3, set a b c d, peek b c",
              "only one entry may go, and the oldest was a");
    want_pointer(peek(l, "d"), &cells[3], "capacity 3, set a b c d, peek d",
                 "the new entry was evicted instead of the oldest");
    lru_destroy(l);
}

TEST(entries_leave_one_by_one_in_the_order_they_came, "P3", "5.3") {
    lru *l = fresh(3);
    size_t rounds = test_scale(200, 50);
    for (size_t i = 0; i < rounds; i++) {
        set(l, key_number(i), &cells[i % CELLS]);
        for (size_t age = 0; age < 4 && age <= i; age++) {
            want_int(has(l, key_number(i - age)), age < 3,
                     text("capacity 3, set key-0 ... key-%zu, peek %s", i,
                          key_number(i - age)),
                     "each new key must evict the oldest, and nothing else");
        }
    }
    lru_destroy(l);
}

TEST(a_cache_of_one_entry_works, "P4", "5.3") {
    lru *l = fresh(1);
    for (size_t i = 0; i < 5; i++) {
        set(l, letter(i), &cells[i]);
        want_pointer(
            peek(l, letter(i)), &cells[i],
            text("capacity 1, set a ... %s, peek %s", letter(i), letter(i)),
            "with one entry the newest is also the oldest: both ends "
            "must be mended when it leaves and when it comes");
        want_int(lru_count(l), 1,
                 text("capacity 1, set a ... %s, count", letter(i)),
                 "the only entry must make way");
    }
    lru_destroy(l);
}

TEST(a_peek_changes_nothing, "P2", "5.3") {
    lru *l = full_of_letters(3);
    peek(l, "a");
    peek(l, "absent");
    want_order(l, "abc", "set a b c, peek a", "a peek must not promote");
    lru_destroy(l);
}

TEST(an_evicted_value_is_destroyed_once, "P7", "5.3") {
    lru *l = fresh(2);
    set(l, LONG_KEY, &cells[0]);
    set(l, "b", &cells[1]);
    set(l, "c", &cells[2]);
    want_int(cells[0], 1,
             "capacity 2, set A b c, count the destructions of A's value",
             "an evicted value must be destroyed, once");
    want_int(cells[1] + cells[2], 0,
             "capacity 2, set A b c, count the other destructions",
             "a value that stays was destroyed");
    lru_destroy(l);
    want_int(cells[0], 1,
             "capacity 2, set A b c, destroy, count the destructions of A's",
             "an evicted value was destroyed a second time");
}

TEST(an_eviction_takes_the_entry_and_not_its_bucket_mate, "P3", "5.3") {
    char one[16], other[16];
    colliding_keys(42, one, other);
    for (size_t first = 0; first < 2; first++) {
        lru *l = fresh(2);
        char *old = first ? one : other, *young = first ? other : one;
        lru_set(l, (bytes){old, 16}, &cells[0]);
        lru_set(l, (bytes){young, 16}, &cells[1]);
        set(l, "c", &cells[2]);
        void *value = NULL;
        want_false(lru_peek(l, (bytes){old, 16}, NULL),
                   "set two keys of equal hash, evict the older, peek it",
                   "another entry of the chain was taken out of it");
        want_true(lru_peek(l, (bytes){young, 16}, &value),
                  "set two keys of equal hash, evict the older, peek the other",
                  "another entry of the chain was taken out of it");
        want_pointer(value, &cells[1], "the same, look at its value",
                     "another entry of the chain was taken out of it");
        lru_destroy(l);
    }
}

enum { FEW = 250, ASKED = 200 };

/* Steps of the lesson's code per set of a new key in a full cache. */
static double steps_per_eviction(size_t capacity) {
    lru *l = full_of_numbers(capacity);
    size_t before = work_steps();
    for (size_t i = 0; i < ASKED; i++) {
        lru_set(l, bytes_of(text("new-%zu", i)), &cells[OTHER]);
    }
    double steps = (double)(work_steps() - before) / ASKED;
    lru_destroy(l);
    return steps;
}

TEST(an_eviction_costs_the_same_in_a_large_cache, "P9", "5.3") {
    size_t many = test_scale(4000, 2000);
    want_flat(steps_per_eviction(FEW), steps_per_eviction(many),
              text("set a new key in a full cache of %d and of %zu", FEW, many),
              "the victim, or the link that leads to it, is looked for entry "
              "by entry");
}

/* --- 5.4: set of a key that is there ------------------------------------- */

TEST(an_update_replaces_the_value_and_destroys_the_old_one, "P7", "5.4") {
    lru *l = fresh(3);
    set(l, "a", &cells[0]);
    set(l, "a", &cells[1]);
    want_pointer(peek(l, "a"), &cells[1], "set a=A, set a=B, peek a",
                 "the second set must replace the value");
    want_int(lru_count(l), 1, "set a=A, set a=B, count",
             "an update was counted as an insert");
    want_int(cells[0], 1, "set a=A, set a=B, count A's destructions",
             "the value that is replaced must be destroyed, once");
    want_int(cells[1], 0, "set a=A, set a=B, count B's destructions",
             "the new value was destroyed instead of the old one");
    lru_destroy(l);
}

TEST(an_update_makes_its_entry_the_most_recent, "P2", "5.4") {
    for (size_t count = 1; count <= 5; count++) {
        for (size_t at = 0; at < count; at++) {
            lru *l = full_of_letters(count);
            set(l, letter(at), &cells[OTHER]);
            want_order(l, letters_without(count, at, true),
                       text("set %s, set %s again",
                            letters_without(count, count, false), letter(at)),
                       "a set of a key that is there must promote it, and keep "
                       "the order of the others");
            lru_destroy(l);
        }
    }
}

TEST(an_update_never_evicts, "P3", "5.4") {
    lru *l = full_of_letters(3);
    set(l, "a", &cells[10]);
    set(l, "c", &cells[12]);
    want_int(lru_count(l), 3, "capacity 3, set a b c a c, count",
             "an update needs no room: look for the key before you evict");
    want_true(has(l, "b"), "capacity 3, set a b c a c, peek b",
              "an update needs no room: look for the key before you evict");
    lru_destroy(l);
}

TEST(an_update_allocates_nothing, "P9", "5.4") {
    lru *l = full_of_letters(20);
    set(l, LONG_KEY, &cells[30]);
    size_t before = heap_allocations();
    set(l, "e", &cells[31]);
    set(l, LONG_KEY, &cells[32]);
    want_int(heap_allocations() - before, 0,
             "set a key and a long key that are there: allocations",
             "only a new key needs a copy: look for it first");
    lru_destroy(l);
}

/* --- 5.5: get and the statistics ----------------------------------------- */

TEST(a_get_gives_the_value_and_a_miss_writes_nothing, "P1", "5.5") {
    lru *l = full_of_letters(3);
    want_pointer(get(l, "b"), &cells[1], "set a b c, get b",
                 "get must give what set stored last");
    want_true(lru_get(l, bytes_of("b"), NULL), "get b with value NULL",
              "the caller may pass NULL for the value");
    void *value = &cells[9];
    want_false(lru_get(l, bytes_of("absent"), &value), "set a b c, get absent",
               "get found a key that nobody set");
    want_pointer(value, &cells[9], "get absent with value = v",
                 "the out-parameter is written on a miss");
    lru_destroy(l);
}

static void *get_hashed(lru *l, bytes key) {
    void *value = NULL;
    return lru_get_hashed(l, key, lru_hash(key, 42), &value) ? value : NULL;
}

TEST(a_get_with_the_hash_is_the_same_get, "P13", "5.5") {
    lru *l = full_of_letters(3);
    void *value = &cells[9];
    bytes absent = bytes_of("absent");
    want_pointer(
        get_hashed(l, bytes_of("a")), &cells[0],
        "set a b c, get a with its hash",
        "the lower 32 bits of the hash must name the same bucket as in "
        "a set");
    want_false(lru_get_hashed(l, absent, lru_hash(absent, 42), &value),
               "set a b c, get absent with its hash",
               "get found a key that nobody set");
    want_pointer(value, &cells[9], "get absent with its hash and value = v",
                 "the out-parameter is written on a miss");
    want_int(lru_statistics(l).hits, 1, "get a and absent so: hits",
             "a get counts, whoever has hashed the key");
    want_int(lru_statistics(l).misses, 1, "get a and absent so: misses",
             "a get counts, whoever has hashed the key");
    want_order(l, "bca", "set a b c, get a with its hash",
               "a get promotes, whoever has hashed the key");
    lru_destroy(l);
}

TEST(a_hash_proves_no_key, "P13", "5.5") {
    char one[16], other[16];
    colliding_keys(42, one, other);
    lru *l = fresh(4);
    lru_set(l, (bytes){one, 16}, &cells[0]);
    want_pointer(get_hashed(l, (bytes){other, 16}), NULL,
                 "set one key, get another key with the same 64-bit hash",
                 "equal hashes do not prove equal keys: compare the bytes");
    want_pointer(get_hashed(l, (bytes){one, 16}), &cells[0],
                 "set a key, get it with its hash",
                 "a get with the hash must find what a set has stored");
    lru_destroy(l);
}

TEST(a_get_makes_its_entry_the_most_recent, "P2", "5.5") {
    lru *l = full_of_letters(3);
    get(l, "a");
    set(l, "d", &cells[3]);
    want_true(has(l, "a"), "capacity 3, set a b c, get a, set d, peek a",
              "a get must promote its entry; this is first in, first out");
    want_false(has(l, "b"), "capacity 3, set a b c, get a, set d, peek b",
               "after the get of a, the least recent entry is b");
    lru_destroy(l);
}

TEST(a_get_keeps_the_order_of_the_others, "P2", "5.5") {
    for (size_t count = 1; count <= 5; count++) {
        for (size_t at = 0; at < count; at++) {
            lru *l = full_of_letters(count);
            get(l, letter(at));
            want_order(l, letters_without(count, at, true),
                       text("set %s, get %s",
                            letters_without(count, count, false), letter(at)),
                       "mend both neighbours of the entry that moves, also "
                       "when it is the newest or the oldest");
            lru_destroy(l);
        }
    }
}

TEST(a_miss_changes_nothing, "P2", "5.5") {
    lru *l = full_of_letters(3);
    get(l, "absent");
    want_int(lru_count(l), 3, "set a b c, get absent, count",
             "a miss must not insert or evict");
    want_order(l, "abc", "set a b c, get absent", "a miss moved an entry");
    lru_destroy(l);
}

TEST(a_stored_null_is_a_hit, "P8", "5.5") {
    lru *l = NULL;
    lru_create(2, NULL, 42, &l);
    lru_set(l, bytes_of("nothing"), NULL);
    want_true(lru_get(l, bytes_of("nothing"), NULL), "set nothing=NULL, get it",
              "a value of NULL is taken for an absent key");
    want_int(lru_statistics(l).hits, 1, "set nothing=NULL, get it, hits",
             "a hit is a key that is there, whatever its value");
    lru_destroy(l);
}

TEST(a_stored_minus_one_is_a_hit, "P8", "5.5") {
    lru *l = NULL;
    lru_create(2, NULL, 42, &l);
    lru_set(l, bytes_of("minus one"), (void *)(intptr_t)-1);
    want_true(lru_get(l, bytes_of("minus one"), NULL),
              "set minus one = -1, get it",
              "a value of -1 is taken for an absent key");
    want_int(lru_statistics(l).hits, 1, "set minus one = -1, get it, hits",
             "a hit is a key that is there, whatever its value");
    lru_destroy(l);
}

TEST(gets_are_counted_as_hits_and_misses, "P11", "5.5") {
    lru *l = full_of_letters(3);
    lru_stats before = lru_statistics(l);
    get(l, "a");
    get(l, "absent");
    get(l, "b");
    lru_get(l, bytes_of("c"), NULL);
    lru_get(l, bytes_of("absent"), NULL);
    want_int(lru_statistics(l).hits - before.hits, 3,
             "set a b c, get a, absent, b, c, absent: hits",
             "hits are the gets that found their key");
    want_int(lru_statistics(l).misses - before.misses, 2,
             "set a b c, get a, absent, b, c, absent: misses",
             "misses are the gets that did not find their key");
    lru_destroy(l);
}

/* Fails unless nobody has counted a hit or a miss. */
static void want_no_gets(const lru *l, const char *did, const char *likely) {
    want_int(lru_statistics(l).hits, 0, text("%s: hits", did), likely);
    want_int(lru_statistics(l).misses, 0, text("%s: misses", did), likely);
}

TEST(a_set_is_neither_hit_nor_miss, "P11", "5.5") {
    lru *l = full_of_letters(3);
    set(l, "a", &cells[OTHER]);
    set(l, "d", &cells[3]);
    want_no_gets(l, "capacity 3, set a b c a d",
                 "the look-up inside a set is not a get");
    lru_destroy(l);
}

TEST(a_peek_is_neither_hit_nor_miss, "P11", "5.5") {
    lru *l = fresh(3);
    peek(l, "absent");
    set(l, "a", &cells[0]);
    peek(l, "a");
    want_no_gets(l, "peek a, set a, peek a", "a peek leaves no trace");
    lru_destroy(l);
}

TEST(evictions_are_counted, "P11", "5.5") {
    lru *l = full_of_letters(3);
    set(l, "a", &cells[OTHER]);
    want_int(lru_statistics(l).evictions, 0,
             "capacity 3, set a b c a, evictions",
             "neither an insert nor an update is an eviction");
    set(l, "d", &cells[3]);
    set(l, "e", &cells[4]);
    want_int(lru_statistics(l).evictions, 2,
             "capacity 3, set a b c a d e, evictions",
             "each entry that is given up for a new one counts");
    lru_destroy(l);
}

TEST(a_get_allocates_nothing, "P9", "5.5") {
    lru *l = full_of_letters(20);
    set(l, LONG_KEY, &cells[30]);
    size_t before = heap_allocations();
    get(l, "d");
    get(l, LONG_KEY);
    get(l, "absent");
    want_int(heap_allocations() - before, 0,
             "get a key, a long key and an absent one: allocations",
             "moving an entry needs no memory: only links change");
    lru_destroy(l);
}

/* Steps per get, of keys that are there (the oldest) and of absent ones. */
static void steps_per_get(size_t capacity, double *hit, double *miss) {
    lru *l = full_of_numbers(capacity);
    size_t start = work_steps();
    for (size_t i = 0; i < ASKED; i++) {
        get(l, key_number(i));
    }
    size_t middle = work_steps();
    for (size_t i = 0; i < ASKED; i++) {
        get(l, text("absent-%zu", i));
    }
    *hit = (double)(middle - start) / ASKED;
    *miss = (double)(work_steps() - middle) / ASKED;
    lru_destroy(l);
}

TEST(a_get_costs_the_same_in_a_large_cache, "P9", "5.5") {
    double hit_few, miss_few, hit_many, miss_many;
    size_t many = test_scale(4000, 2000);
    steps_per_get(FEW, &hit_few, &miss_few);
    steps_per_get(many, &hit_many, &miss_many);
    want_flat(
        hit_few, hit_many,
        text("get a key that is there, among %d and among %zu", FEW, many),
        "the key is looked for along the list, or all keys share a few "
        "chains");
    want_flat(miss_few, miss_many,
              text("get an absent key, among %d and among %zu", FEW, many),
              "the key is looked for along the list, or all keys share a few "
              "chains");
}

/* --- 5.6: delete ---------------------------------------------------------- */

TEST(a_deleted_key_is_gone_and_its_value_destroyed_once, "P6", "5.6") {
    lru *l = fresh(3);
    set(l, LONG_KEY, &cells[0]);
    set(l, "b", &cells[1]);
    want_true(lru_delete(l, bytes_of(LONG_KEY)), "set A, delete A",
              "delete must say that the key was there");
    want_false(has(l, LONG_KEY), "set A, delete A, peek A",
               "the key is still found");
    want_int(cells[0], 1, "set A, delete A, count destructions",
             "delete must destroy the value, once");
    want_int(lru_count(l), 1, "set A b, delete A, count",
             "delete must lower the count");
    want_false(lru_delete(l, bytes_of(LONG_KEY)), "set A, delete A, delete A",
               "the second delete found something");
    lru_destroy(l);
}

TEST(a_delete_keeps_the_order_of_the_others, "P6", "5.6") {
    for (size_t count = 1; count <= 5; count++) {
        for (size_t at = 0; at < count; at++) {
            lru *l = full_of_letters(count);
            lru_delete(l, bytes_of(letter(at)));
            want_order(l, letters_without(count, at, false),
                       text("set %s, delete %s",
                            letters_without(count, count, false), letter(at)),
                       "a link still leads to the deleted entry: mend both "
                       "neighbours, also at the two ends");
            lru_destroy(l);
        }
    }
}

TEST(a_delete_takes_the_entry_and_not_its_bucket_mate, "P6", "5.6") {
    char one[16], other[16];
    colliding_keys(42, one, other);
    for (size_t first = 0; first < 2; first++) {
        lru *l = fresh(2);
        lru_set(l, (bytes){one, 16}, &cells[0]);
        lru_set(l, (bytes){other, 16}, &cells[1]);
        lru_delete(l, (bytes){first ? one : other, 16});
        want_true(lru_peek(l, (bytes){first ? other : one, 16}, NULL),
                  "set two keys of equal hash, delete one, peek the other",
                  "the chain was cut: what followed the deleted entry is lost");
        want_false(lru_peek(l, (bytes){first ? one : other, 16}, NULL),
                   "set two keys of equal hash, delete one, peek it",
                   "another entry of the chain was taken out of it");
        lru_destroy(l);
    }
}

TEST(a_delete_makes_room_for_one, "P6", "5.6") {
    lru *l = full_of_letters(3);
    for (size_t i = 0; i < 20; i++) {
        lru_delete(l, bytes_of(i == 0 ? "b" : key_number(i - 1)));
        set(l, key_number(i), &cells[OTHER]);
        want_int(lru_count(l), 3,
                 text("capacity 3, set a b c, then %zu times delete one and "
                      "set another, count",
                      i + 1),
                 "the place of a deleted entry is not used again");
        want_true(has(l, "a") && has(l, "c"),
                  text("capacity 3, set a b c, then %zu times delete one and "
                       "set another, peek a and c",
                       i + 1),
                  "a set evicts though a delete has just made room");
    }
    lru_destroy(l);
}

TEST(an_emptied_cache_fills_again, "P6", "5.6") {
    lru *l = full_of_letters(4);
    for (size_t i = 0; i < 4; i++) {
        lru_delete(l, bytes_of(letter((i + 2) % 4)));
    }
    want_int(lru_count(l), 0, "set abcd, delete cdab, count",
             "delete must lower the count");
    set_letters(l, 4);
    want_int(lru_count(l), 4, "set abcd, delete cdab, set abcd, count",
             "the places of deleted entries are not used again");
    want_order(l, "abcd", "set abcd, delete cdab, set abcd",
               "something still leads to a deleted entry");
    lru_destroy(l);
}

/* Steps per delete, of the entries in the middle of the order. */
static double steps_per_delete(size_t capacity) {
    lru *l = full_of_numbers(capacity);
    size_t before = work_steps();
    for (size_t i = 0; i < ASKED; i++) {
        lru_delete(l, bytes_of(key_number((capacity - ASKED) / 2 + i)));
    }
    double steps = (double)(work_steps() - before) / ASKED;
    lru_destroy(l);
    return steps;
}

TEST(a_delete_costs_the_same_in_a_large_cache, "P9", "5.6") {
    size_t many = test_scale(4000, 2000);
    want_flat(steps_per_delete(FEW), steps_per_delete(many),
              text("delete a key among %d and among %zu", FEW, many),
              "the entry's neighbours are looked for from one end: an entry "
              "must know both");
}

/* --- random runs against an array ordered by age ---------------------------
 */

enum { MODEL_KEYS = 9, MODEL_CAPACITY = 4 };

struct beside {
    lru *l;
    struct {
        unsigned key;
        int *value;
    } entries[MODEL_CAPACITY + 1]; /* the plain model: newest first */
    size_t count;
    lru_stats stats;
    int ended[CELLS];     /* how often each value must have been destroyed */
    struct sight sight;   /* what the callback saw last */
    struct sight evicted; /* what it must have seen */
};

static void *model_begin(void) {
    struct beside *b = calloc(1, sizeof *b);
    b->l = fresh(MODEL_CAPACITY);
    return b;
}

static void *model_begin_watched(void) {
    struct beside *b = model_begin();
    lru_on_evict(b->l, see, &b->sight);
    return b;
}

/* Every other key is longer than what fits into a node. */
static const char *model_key(unsigned n) {
    static const char *keys[MODEL_KEYS] = {
        "k0", "a rather long key, number 1",
        "k2", "a rather long key, number 3",
        "k4", "a rather long key, number 5",
        "k6", "a rather long key, number 7",
        "k8",
    };
    return keys[n];
}

/* Where the model has the key; its count if it has not. */
static size_t model_find(const struct beside *b, unsigned key) {
    size_t at = 0;
    while (at < b->count && b->entries[at].key != key) {
        at++;
    }
    return at;
}

/* Moves entry `at` to the front; `at` may be the first free place. */
static void model_promote(struct beside *b, size_t at, unsigned key,
                          int *value) {
    memmove(b->entries + 1, b->entries, at * sizeof b->entries[0]);
    b->entries[0].key = key;
    b->entries[0].value = value;
}

static void model_evict(struct beside *b, size_t at) {
    int *value = b->entries[at].value;
    int *ended = &b->ended[value - cells];
    see(&b->evicted, bytes_of(model_key(b->entries[at].key)), value);
    b->evicted.destroyed = (*ended)++;
    b->stats.evictions++;
}

static void model_set(struct beside *b, unsigned key, int *value) {
    size_t at = model_find(b, key);
    if (at < b->count) {
        b->ended[b->entries[at].value - cells]++;
    } else if (b->count == MODEL_CAPACITY) {
        at = b->count - 1;
        model_evict(b, at);
    } else {
        b->count++;
    }
    model_promote(b, at, key, value);
}

static void model_delete(struct beside *b, size_t at) {
    b->ended[b->entries[at].value - cells]++;
    b->count--;
    memmove(b->entries + at, b->entries + at + 1,
            (b->count - at) * sizeof b->entries[0]);
}

static const char *model_compare_sights(const struct sight *got,
                                        const struct sight *want) {
    if (got->calls != want->calls) {
        return text("%zu calls of the callback, where %zu were evicted",
                    got->calls, want->calls);
    }
    if (strcmp(got->key, want->key) != 0 || got->value != want->value) {
        return text("the callback saw \"%s\", where \"%s\" was evicted, or "
                    "another value",
                    got->key, want->key);
    }
    return got->destroyed == want->destroyed
               ? NULL
               : "the value was destroyed before the callback saw it";
}

/* Everything that can be seen from outside, without changing it. */
static const char *model_compare(const struct beside *b, bool watched) {
    lru_stats stats = lru_statistics(b->l);
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        size_t at = model_find(b, key);
        int *want = at < b->count ? b->entries[at].value : NULL;
        int *got = peek(b->l, model_key(key));
        if (got != want) {
            return text("\"%s\" %s", model_key(key),
                        !got    ? "is lost"
                        : !want ? "should have gone and is still there"
                                : "has another value than the one set last");
        }
    }
    if (lru_count(b->l) != b->count) {
        return text("a count of %zu, where there are %zu", lru_count(b->l),
                    b->count);
    }
    if (stats.hits != b->stats.hits || stats.misses != b->stats.misses
        || stats.evictions != b->stats.evictions) {
        return text("hits %d misses %d evictions %d, where there were %d %d %d",
                    (int)stats.hits, (int)stats.misses, (int)stats.evictions,
                    (int)b->stats.hits, (int)b->stats.misses,
                    (int)b->stats.evictions);
    }
    for (size_t i = 0; i < CELLS; i++) {
        if (cells[i] != b->ended[i]) {
            return text("value %zu was destroyed %d times, where it left %d "
                        "times",
                        i, cells[i], b->ended[i]);
        }
    }
    return watched ? model_compare_sights(&b->sight, &b->evicted) : NULL;
}

enum { SET, SET_TOO, GET, PEEK, DELETE, SET_WITHOUT_MEMORY };

/* A set whose n-th allocation fails, if it makes that many. */
static const char *set_without_memory(struct beside *b, model_step s) {
    heap_fail_at(1 + s.value % 3);
    status got = lru_set(b->l, bytes_of(model_key(s.key)), &cells[s.value]);
    bool failed = heap_has_failed();
    heap_fail_at(0);
    if (got != (failed ? STATUS_NO_MEMORY : STATUS_OK)) {
        return text("set said \"%s\"", status_name(got));
    }
    if (!failed) {
        model_set(b, s.key, &cells[s.value]);
    }
    return NULL;
}

/* Every other get brings the hash along. */
static bool model_get(struct beside *b, model_step s) {
    bytes key = bytes_of(model_key(s.key));
    return s.value % 2 ? lru_get_hashed(b->l, key, lru_hash(key, 42), NULL)
                       : lru_get(b->l, key, NULL);
}

static const char *model_do(struct beside *b, model_step s) {
    bytes key = bytes_of(model_key(s.key));
    size_t at = model_find(b, s.key);
    bool had = at < b->count;
    switch (s.operation) {
    case SET:
    case SET_TOO:
        if (lru_set(b->l, key, &cells[s.value]) != STATUS_OK) {
            return "set failed";
        }
        model_set(b, s.key, &cells[s.value]);
        break;
    case GET:
        if (model_get(b, s) != had) {
            return had ? "get did not find the key" : "get found the key";
        }
        b->stats.hits += had;
        b->stats.misses += !had;
        if (had) {
            model_promote(b, at, s.key, b->entries[at].value);
        }
        break;
    case PEEK: /* every comparison peeks at all keys */ break;
    case DELETE:
        if (lru_delete(b->l, key) != had) {
            return had ? "delete did not find the key" : "delete found it";
        }
        if (had) {
            model_delete(b, at);
        }
        break;
    default: return set_without_memory(b, s);
    }
    return NULL;
}

static const char *model_apply(void *state, model_step s) {
    const char *why = model_do(state, s);
    return why ? why : model_compare(state, false);
}

static const char *model_apply_watched(void *state, model_step s) {
    const char *why = model_do(state, s);
    return why ? why : model_compare(state, true);
}

static const char *model_end(void *state) {
    struct beside *b = state;
    for (size_t i = 0; i < b->count; i++) {
        b->ended[b->entries[i].value - cells]++;
    }
    lru_destroy(b->l);
    const char *why = NULL;
    for (size_t i = 0; i < CELLS && !why; i++) {
        if (cells[i] != b->ended[i]) {
            why = text("after destroy, value %zu was destroyed %d times, "
                       "where it left %d times",
                       i, cells[i], b->ended[i]);
        }
    }
    free(b);
    return why;
}

static void model_print(FILE *out, model_step s) {
    const char *calls[] = {"set", "set", "get", "peek", "delete", "set"};
    if (s.operation == SET_WITHOUT_MEMORY) {
        fprintf(out, "heap_fail_at(%u); ", 1 + s.value % 3);
    }
    bool hashed = s.operation == GET && s.value % 2;
    fprintf(out, "lru_%s%s(l, bytes_of(\"%s\")", calls[s.operation],
            hashed ? "_hashed" : "", model_key(s.key));
    if (hashed) {
        fprintf(out, ", lru_hash(bytes_of(\"%s\"), 42)", model_key(s.key));
    }
    if (s.operation == GET || s.operation == PEEK) {
        fprintf(out, ", &value");
    } else if (s.operation != DELETE) {
        fprintf(out, ", &cells[%u]", s.value);
    }
    fprintf(out, ");");
    if (s.operation == SET_WITHOUT_MEMORY) {
        fprintf(out, " heap_fail_at(0);");
    }
}

TEST(any_mix_of_calls_agrees_with_a_plain_array, "P6", "5.6") {
    model_check(&(model){
        .operations = SET_WITHOUT_MEMORY,
        .keys = MODEL_KEYS,
        .values = CELLS,
        .lists = 60,
        .steps = 150,
        .begin = model_begin,
        .apply = model_apply,
        .end = model_end,
        .print = model_print,
    });
}

/* --- 5.7: the eviction callback ------------------------------------------- */

TEST(the_callback_sees_each_evicted_pair_once_and_whole, "P7", "5.7") {
    const char *keys[] = {"a", LONG_KEY, "c", LONG_KEY "!", "e"};
    struct sight sight = {0};
    lru *l = fresh(2);
    lru_on_evict(l, see, &sight);
    for (size_t i = 0; i < 5; i++) {
        set(l, keys[i], &cells[i]);
        if (i < 2) {
            continue;
        }
        want_int(sight.calls, i - 1,
                 text("capacity 2, set %zu keys, count calls", i + 1),
                 "each eviction calls the callback, once");
        want_text(sight.key, keys[i - 2],
                  text("capacity 2, set %zu keys, the key it saw", i + 1),
                  "the callback must be lent the key of the entry that goes, "
                  "before anything is freed or overwritten");
        want_pointer(sight.value, &cells[i - 2],
                     text("capacity 2, set %zu keys, the value it saw", i + 1),
                     "the callback must be lent the value of the entry that "
                     "goes");
        want_int(sight.destroyed, 0,
                 text("capacity 2, set %zu keys, was the value destroyed when "
                      "the callback saw it",
                      i + 1),
                 "first the callback, then the end of the value");
    }
    lru_destroy(l);
}

TEST(only_an_eviction_calls_the_callback, "P7", "5.7") {
    struct sight sight = {0};
    lru *l = full_of_letters(3);
    lru_on_evict(l, see, &sight);
    set(l, "a", &cells[OTHER]);
    want_int(sight.calls, 0, "capacity 3, set a b c a, count calls",
             "an update is no eviction");
    lru_delete(l, bytes_of("b"));
    want_int(sight.calls, 0, "set a b c, delete b, count calls",
             "the caller asked for the delete: it is no eviction");
    set(l, "d", &cells[3]);
    want_int(sight.calls, 0, "set a b c, delete b, set d, count calls",
             "there was room: nothing had to be evicted");
    lru_destroy(l);
    want_int(sight.calls, 0, "set a b c, destroy, count calls",
             "the caller asked for the end: it is no eviction");
}

TEST(a_new_callback_takes_the_place_of_the_old_one, "P7", "5.7") {
    struct sight first = {0}, second = {0};
    lru *l = full_of_letters(2);
    set(l, "c", &cells[2]);
    lru_on_evict(l, see, &first);
    set(l, "d", &cells[3]);
    lru_on_evict(l, see, &second);
    set(l, "e", &cells[4]);
    want_int(first.calls, 1,
             "evict once under the first callback, once under "
             "the second: calls of the first",
             "a callback sees evictions until the next one takes its place");
    want_int(second.calls, 1,
             "evict once under the first callback, once under "
             "the second: calls of the second",
             "the second callback must take the place of the first");
    lru_destroy(l);
}

TEST(a_callback_can_be_taken_away, "P7", "5.7") {
    struct sight sight = {0};
    lru *l = full_of_letters(2);
    lru_on_evict(l, see, &sight);
    lru_on_evict(l, NULL, NULL);
    set(l, "c", &cells[2]);
    want_int(sight.calls, 0, "on_evict(see), on_evict(NULL), evict: calls",
             "NULL means that nobody wants to be called any more");
    lru_destroy(l);
}

/* --- 5.8: when memory runs out ---------------------------------------------
 */

/* One set of a new key into a cache of letters, with an allocation failing. */
struct attempt {
    lru *l;
    const char *key;
    size_t letters;
    struct sight sight;
};

static void try_to_set(void *context) {
    struct attempt *a = context;
    status s = lru_set(a->l, bytes_of(a->key), &cells[OTHER]);
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                text("set %s while an allocation fails", a->key),
                "every result of malloc must be looked at");
    if (s == STATUS_OK) {
        return;
    }
    want_int(lru_count(a->l), a->letters, "set that failed, count",
             "a failed set was counted, or evicted before it was sure");
    want_int(a->sight.calls, 0, "set that failed, calls of the callback",
             "first allocate, then evict");
    want_false(has(a->l, a->key), "set that failed, peek the key",
               "a failed set left its key behind");
    want_int(cells[OTHER], 0, "set that failed, count destructions",
             "after a failure the value is still the caller's");
    for (size_t i = 0; i < a->letters; i++) {
        want_pointer(peek(a->l, letter(i)), &cells[i],
                     text("capacity 4, set %s, set that failed, peek %s",
                          letters_without(a->letters, a->letters, false),
                          letter(i)),
                     "first allocate, then evict");
    }
}

TEST(without_memory_a_set_changes_nothing, "P10", "5.8") {
    for (size_t letters = 0; letters <= 4; letters++) {
        const char *keys[] = {"new", LONG_KEY};
        for (size_t k = 0; k < 2; k++) {
            struct attempt a = {fresh(4), keys[k], letters, {0}};
            lru_on_evict(a.l, see, &a.sight);
            set_letters(a.l, letters);
            size_t failures = heap_fail_each(try_to_set, &a);
            want_that(k == 0 || failures > 0,
                      "set a long key, count failed allocations\n"
                      "wanted  at least one\ngot     none\n"
                      "likely  the cache does not copy its keys");
            lru_destroy(a.l);
        }
    }
}

TEST(a_failed_set_leaves_the_order_as_it_was, "P10", "5.8") {
    lru *l = full_of_letters(4);
    heap_fail_at(1);
    lru_set(l, bytes_of(LONG_KEY), &cells[OTHER]);
    heap_fail_at(0);
    want_int(lru_statistics(l).evictions, 0, "set that failed, evictions",
             "first allocate, then evict");
    want_order(l, "abcd", "capacity 4, set abcd, set that failed",
               "first allocate, then evict");
    lru_destroy(l);
}

TEST(any_mix_agrees_also_when_memory_runs_out, "P10", "5.8") {
    model_check(&(model){
        .operations = SET_WITHOUT_MEMORY + 1,
        .keys = MODEL_KEYS,
        .values = CELLS,
        .lists = 60,
        .steps = 150,
        .begin = model_begin_watched,
        .apply = model_apply_watched,
        .end = model_end,
        .print = model_print,
    });
}
