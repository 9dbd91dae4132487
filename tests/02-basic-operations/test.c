/* Tests of the dict. The values are pointers into `cells`, so that each can be
 * told from every other and its destructions counted; messages call the value
 * &cells[7] "v7". */
#include "dict.h"

#include "support/check.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/work.h"

#include <stdlib.h>
#include <xxhash.h>

enum { CELLS = 64 };

static int cells[CELLS]; /* how often each value was destroyed */

static void destroy(void *value) {
    ++*(int *)value;
}

/* Which of the cells a value is; CELLS: none of them. */
static size_t cell_of(const void *value) {
    size_t n = 0;
    while (n < CELLS && value != &cells[n]) {
        n++;
    }
    return n;
}

static const char *value_name(const void *value) {
    size_t n = cell_of(value);
    return n < CELLS ? text("v%zu", n) : value ? "a stray pointer" : "nothing";
}

/* A value is the one wanted; NULL: a miss. */
#define want_value(got, want, did, likely) \
    want_text(value_name(got), value_name(want), did, likely)

static dict *fresh(void) {
    memset(cells, 0, sizeof cells);
    dict *d = dict_create(destroy, 42);
    want_true(d != NULL, "create a dict, look whether it is there",
              "create returns NULL though there is memory");
    return d;
}

static void set_bytes(dict *d, bytes key, void *value) {
    want_status(dict_set(d, key, value), STATUS_OK,
                text("set %.*s", (int)key.len, (const char *)key.data),
                "set fails though there is memory");
}

static void set(dict *d, const char *key, void *value) {
    set_bytes(d, bytes_of(key), value);
}

static void *get_bytes(const dict *d, bytes key) {
    void *value = NULL;
    return dict_get(d, key, &value) ? value : NULL;
}

static void *get(const dict *d, const char *key) {
    return get_bytes(d, bytes_of(key));
}

/* key-0, key-1, ...: the n-th key of a large table. */
static const char *key_number(size_t n) {
    return text("key-%zu", n);
}

/* A dict of key-0=v0, key-1=v1, ... */
static dict *filled(size_t count) {
    dict *d = fresh();
    for (size_t i = 0; i < count; i++) {
        set(d, key_number(i), &cells[i % CELLS]);
    }
    return d;
}

/* --- 2.1 create, count, destroy --------------------------------------- */

TEST(a_fresh_dict_is_empty_and_ends_without_a_trace, "P10", "2.1") {
    dict *d = fresh();
    want_int(dict_count(d), 0, "create, count", "the count must start at 0");
    dict_destroy(d);
    dict_destroy(NULL);
}

/* --- 2.2 set inserts ---------------------------------------------------- */

TEST(an_insert_is_counted, "P1", "2.2") {
    dict *d = fresh();
    set(d, "name", &cells[0]);
    want_int(dict_count(d), 1, "set name, count",
             "set must count an insert; and are all hashes 0 from the start?");
    set(d, "city", &cells[1]);
    want_int(dict_count(d), 2, "set name, set city, count",
             "set must count an insert");
    dict_destroy(d);
}

TEST(destroy_destroys_every_value_once, "P10", "2.2") {
    dict *d = filled(3);
    dict_destroy(d);
    for (size_t i = 0; i < 3; i++) {
        want_int(cells[i], 1,
                 text("set key-0=v0 ... key-2=v2, destroy, count the "
                      "destructions of v%zu",
                      i),
                 "destroy must end the value in every place that is in use, "
                 "and in no other: are all hashes 0 from the start?");
    }
}

/* --- 2.3 get ------------------------------------------------------------ */

TEST(set_then_get_gives_the_value, "P1", "2.3") {
    dict *d = fresh();
    set(d, "name", &cells[0]);
    set(d, "city", &cells[1]);
    want_value(get(d, "name"), &cells[0], "set name=v0, set city=v1, get name",
               "set stores nothing, or get looks in another place");
    want_value(get(d, "city"), &cells[1], "set name=v0, set city=v1, get city",
               "set stores nothing, or get looks in another place");
    dict_destroy(d);
}

/* Many dicts side by side, since in some of them a walk must go on at the
 * start: one that runs on instead meets the next dict, which is filled first.
 */
TEST(every_key_of_many_small_dicts_is_found, "P1", "2.3") {
    enum { DICTS = 64, KEYS = 4 };
    dict *dicts[DICTS];
    for (size_t n = 0; n < DICTS; n++) {
        dicts[n] = dict_create(NULL, n);
    }
    for (size_t n = DICTS; n-- > 0;) {
        for (size_t i = 0; i < KEYS; i++) {
            set(dicts[n], key_number(i), &cells[i]);
        }
    }
    for (size_t n = 0; n < DICTS; n++) {
        for (size_t i = 0; i < KEYS; i++) {
            void *got = get(dicts[n], key_number(i));
            want_value(got, &cells[i],
                       text("create 64 dicts with seeds 0 ... 63, set key-0=v0 "
                            "... key-3=v3 in each, get key-%zu from number %zu",
                            i, n),
                       "after the last place comes place 0: a walk that does "
                       "not wrap round runs out of the table");
        }
    }
    heap_check_guards();
    for (size_t n = 0; n < DICTS; n++) {
        dict_destroy(dicts[n]);
    }
}

TEST(an_absent_key_is_a_miss_and_writes_nothing, "P1", "2.3") {
    dict *d = filled(3);
    void *value = &cells[9];
    want_false(dict_get(d, bytes_of("absent"), &value),
               "set key-0, key-1, key-2, get absent",
               "the walk must end at an empty place and say no");
    want_value(value, &cells[9], "value = v9, get absent, look at value",
               "the out-parameter is written on a miss");
    dict_destroy(d);
}

TEST(a_null_value_is_a_value, "P1", "2.3") {
    dict *d = dict_create(NULL, 42);
    set(d, "nothing", NULL);
    want_true(dict_get(d, bytes_of("nothing"), NULL),
              "set nothing=NULL, get nothing",
              "a value of NULL is taken for an absent key");
    dict_destroy(d);
}

TEST(keys_may_hold_any_byte, "P4", "2.3") {
    /* Each pair differs only in what a C string would not show. */
    static const struct {
        bytes one, other;
        const char *shown;
    } pairs[] = {
        {{NULL, 0}, {"\0", 1}, "the empty key and \\0"},
        {{"\0", 1}, {"\0\0", 2}, "\\0 and \\0\\0"},
        {{"a", 1}, {"a\0", 2}, "a and a\\0"},
        {{"a\0b", 3}, {"a\0c", 3}, "a\\0b and a\\0c"},
        {{"sixteen letters.", 16},
         {"sixteen letters.\0", 17},
         "keys of 16 and of 17 bytes with the same beginning"},
        {{"rather a long key, number 1", 27},
         {"rather a long key, number 2", 27},
         "two long keys with the same beginning"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        dict *d = fresh();
        set_bytes(d, pairs[i].one, &cells[0]);
        set_bytes(d, pairs[i].other, &cells[1]);
        const char *did = text("set %s to v0 and v1, get", pairs[i].shown);
        const char *likely = "a key is cut short; its length must decide";
        want_value(get_bytes(d, pairs[i].one), &cells[0], did, likely);
        want_value(get_bytes(d, pairs[i].other), &cells[1], did, likely);
        dict_destroy(d);
    }
}

TEST(keys_are_copied, "P4", "2.3") {
    char near[] = "name";
    char far[] = "a name of more than sixteen bytes";
    dict *d = fresh();
    set(d, near, &cells[0]);
    set(d, far, &cells[1]);
    memset(near, 'x', sizeof near - 1);
    memset(far, 'x', sizeof far - 1);
    want_value(get(d, "name"), &cells[0],
               "set name=v0 from a buffer, overwrite the buffer, get name",
               "the dict keeps the caller's pointer instead of a copy");
    want_value(get(d, "a name of more than sixteen bytes"), &cells[1],
               "set a long key from a buffer, overwrite the buffer, get it",
               "the dict keeps the caller's pointer instead of a copy");
    dict_destroy(d);
}

enum { SIXTEEN = 16 };

/* Makes a key of 16 bytes with a known hash. XXH3 mixes its two halves with
 * constants of its own and the seed, which gives x and y; the hash is then a
 * one-to-one function of 16 + swap_bytes(x) + y + fold(x * y), and of 0 it is
 * 0. This turns the mixing round. */
static bytes key_with(uint64_t x, uint64_t y, uint64_t seed,
                      char room[SIXTEEN]) {
    uint64_t flip_x = (0x1f67b3b7a4a44072 ^ 0x78e5c0cc4ee679cb) + seed;
    uint64_t flip_y = (0x2172ffcc7dd05a82 ^ 0x8e2443f7744608b8) - seed;
    uint64_t halves[2] = {x ^ flip_x, y ^ flip_y};
    memcpy(room, halves, SIXTEEN);
    return (bytes){room, SIXTEEN};
}

static uint64_t hash_of(bytes key, uint64_t seed) {
    return XXH3_64bits_withSeed(key.data, key.len, seed);
}

TEST(keys_with_equal_hashes_are_told_apart, "P1", "2.3") {
    char room[2][SIXTEEN]; /* where x or y is 0, so is their product */
    bytes one = key_with(0x0123456789abcdef, 0, 42, room[0]);
    bytes other = key_with(0, 0xefcdab8967452301, 42, room[1]);
    want_that(hash_of(one, 42) == hash_of(other, 42),
              "make two keys of equal hash\nwanted  equal hashes\n"
              "got     others\nlikely  this libxxhash is not XXH3 as released");
    dict *d = fresh();
    set_bytes(d, one, &cells[0]);
    want_false(dict_get(d, other, NULL),
               "set one key, get another one with the same 64-bit hash",
               "equal hashes do not prove equal keys: compare the bytes");
    set_bytes(d, other, &cells[1]);
    want_int(dict_count(d), 2, "set two keys with the same 64-bit hash, count",
             "equal hashes do not prove equal keys: compare the bytes");
    dict_destroy(d);
}

TEST(a_key_with_a_hash_of_zero_is_found, "P1", "2.3") {
    char room[SIXTEEN];
    bytes key = key_with(0, (uint64_t)-SIXTEEN, 42, room);
    want_that(hash_of(key, 42) == 0,
              "make a key with a hash of 0\nwanted  0\ngot     another\n"
              "likely  this libxxhash is not XXH3 as released");
    dict *d = fresh();
    set_bytes(d, key, &cells[0]);
    want_value(get_bytes(d, key), &cells[0],
               "set a key whose hash is 0 to v0, get it",
               "0 marks an empty place, so no key's stored hash may be 0");
    dict_destroy(d);
}

/* --- 2.4 set updates ---------------------------------------------------- */

TEST(an_update_replaces_the_value_and_keeps_the_count, "P2", "2.4") {
    dict *d = fresh();
    set(d, "name", &cells[0]);
    set(d, "name", &cells[1]);
    want_value(get(d, "name"), &cells[1], "set name=v0, set name=v1, get name",
               "the second set must find the key that is there");
    want_int(dict_count(d), 1, "set name=v0, set name=v1, count",
             "an update was counted as an insert");
    dict_destroy(d);
}

TEST(an_update_destroys_the_old_value_once, "P2", "2.4") {
    dict *d = fresh();
    set(d, "name", &cells[0]);
    set(d, "name", &cells[1]);
    want_int(cells[0], 1, "set name=v0, set name=v1, count v0's destructions",
             "the value that is replaced must be destroyed, once");
    want_int(cells[1], 0, "set name=v0, set name=v1, count v1's destructions",
             "the new value was destroyed, though it is in the dict");
    dict_destroy(d);
}

TEST(get_and_update_allocate_nothing, "P6", "2.4") {
    const char *key = "a key of more than sixteen bytes";
    dict *d = fresh();
    set(d, key, &cells[0]);
    size_t before = heap_allocations();
    get(d, key);
    get(d, "absent");
    set(d, key, &cells[1]);
    want_int(heap_allocations() - before, 0,
             "set a long key, then count the allocations of: get it, get "
             "absent, update it",
             "only a new key needs memory");
    dict_destroy(d);
}

/* --- 2.5 set grows the table -------------------------------------------- */

TEST(growing_keeps_every_entry, "P5", "2.5") {
    enum { MANY = 1000 };
    dict *d = filled(MANY);
    want_int(dict_count(d), MANY, "set key-0 ... key-999, count",
             "entries were lost or doubled while the table grew");
    for (size_t i = 0; i < MANY; i++) {
        want_value(get(d, key_number(i)), &cells[i % CELLS],
                   text("set key-0 ... key-999, get key-%zu", i),
                   "in a larger table a key has another home: each must be "
                   "placed anew by its hash");
    }
    want_int(cells[0], 0, "set key-0 ... key-999, count v0's destructions",
             "growing moves values, it does not destroy them");
    dict_destroy(d);
}

/* At every fill level: the fullest tables are those just before they grow. */
TEST(an_update_needs_no_memory_however_full_the_table, "P6", "2.5") {
    dict *d = dict_create(NULL, 42);
    for (size_t i = 0; i < CELLS; i++) {
        const char *key = key_number(i);
        set(d, key, &cells[0]);
        heap_fail_at(1);
        status s = dict_set(d, bytes_of(key), &cells[1]);
        bool asked = heap_has_failed();
        heap_fail_at(0);
        const char *did = text("set key-0 ... key-%zu, set key-%zu again with "
                               "no memory left",
                               i, i);
        const char *likely = "an update needs no new place: look for the key "
                             "before you ask whether the table is full";
        want_status(s, STATUS_OK, did, likely);
        want_false(asked, text("%s, look whether it allocates", did), likely);
    }
    dict_destroy(d);
}

/* Costs are counted in steps of the lesson's code (support/work.h), in a small
 * and in a large dict, both just before a power of two, where tables are
 * fullest. What is O(1) may still vary with the load. */
enum { FEW = 255 };

static size_t many(void) {
    return test_scale(4095, 1023);
}

static size_t flat(size_t steps) {
    return 3 * steps + 5;
}

/* Steps of one set, on average. */
static size_t steps_per_set(size_t count) {
    size_t before = work_steps();
    dict *d = filled(count);
    size_t steps = (work_steps() - before) / count;
    dict_destroy(d);
    return steps;
}

TEST(a_set_costs_the_same_in_a_large_dict, "P5", "2.5") {
    size_t small = steps_per_set(FEW), large = steps_per_set(many());
    want_at_most(large, flat(small),
                 text("insert %d keys (%zu steps each), then %zu keys into "
                      "another dict, count the steps of each",
                      FEW, small, many()),
                 "the table moves too often (double it when it grows), or the "
                 "runs are too long");
}

/* Steps of one get, on average, for keys that begin with this. */
static size_t steps_per_get(size_t count, const char *prefix) {
    enum { ASKED = 200 };
    dict *d = filled(count);
    size_t before = work_steps();
    for (size_t i = 0; i < ASKED; i++) {
        get(d, text("%s-%zu", prefix, i));
    }
    size_t steps = (work_steps() - before) / ASKED;
    dict_destroy(d);
    return steps;
}

TEST(a_get_costs_the_same_in_a_large_dict, "P6", "2.5") {
    size_t small = steps_per_get(FEW, "key");
    size_t large = steps_per_get(many(), "key");
    want_at_most(large, flat(small),
                 text("get a key that is there, among %d (%zu steps) and "
                      "among %zu, count steps",
                      FEW, small, many()),
                 "the walk does not start at the key's home, or the hashes "
                 "do not spread the keys");
    small = steps_per_get(FEW, "absent");
    large = steps_per_get(many(), "absent");
    want_at_most(large, flat(small),
                 text("get an absent key, among %d (%zu steps) and among "
                      "%zu, count steps",
                      FEW, small, many()),
                 "the walk must stop at the first empty place, and a full "
                 "table has hardly any");
}

/* The attacker takes keys whose last eleven bits of hash agree under seed 0,
 * so that they share one home in a table of up to 2048 places. */
TEST(keys_that_collide_under_one_seed_do_not_under_another, "P11", "2.5") {
    enum { SAME = (1 << 11) - 1, KEYS = 300 };
    dict *d = dict_create(NULL, 0x5eed);
    size_t start = work_steps(), made = 0;
    for (size_t n = 0; made < KEYS; n++) {
        bytes key = bytes_of(text("%zu", n));
        if ((hash_of(key, 0) & SAME) == 0) {
            set_bytes(d, key, NULL);
            made++;
        }
    }
    want_at_most((work_steps() - start) / KEYS, 60,
                 "insert 300 keys that collide under seed 0 into a dict with "
                 "another seed, count the steps of each",
                 "the hash does not depend on the seed");
    dict_destroy(d);
}

/* --- 2.6 delete and take ------------------------------------------------- */

TEST(a_deleted_key_is_gone_and_its_value_destroyed_once, "P3", "2.6") {
    dict *d = fresh();
    set(d, "name", &cells[0]);
    want_true(dict_delete(d, bytes_of("name")), "set name, delete name",
              "delete must say that the key was there");
    want_int(cells[0], 1, "set name=v0, delete name, count v0's destructions",
             "delete must destroy the value, once");
    want_false(dict_get(d, bytes_of("name"), NULL),
               "set name, delete name, get name", "the key is still found");
    want_int(dict_count(d), 0, "set name, delete name, count",
             "delete must lower the count");
    want_false(dict_delete(d, bytes_of("name")),
               "set name, delete name, delete name",
               "delete must say that the key was not there");
    dict_destroy(d);
}

TEST(a_taken_value_belongs_to_the_caller, "P3", "2.6") {
    dict *d = fresh();
    set(d, "name", &cells[0]);
    void *value = NULL;
    want_true(dict_take(d, bytes_of("name"), &value), "set name, take name",
              "take must say that the key was there");
    want_value(value, &cells[0], "set name=v0, take name",
               "take must hand over the value");
    want_int(cells[0], 0, "set name=v0, take name, count v0's destructions",
             "take hands over; only delete destroys");
    want_int(dict_count(d), 0, "set name, take name, count",
             "take must remove the key");
    value = &cells[9];
    want_false(dict_take(d, bytes_of("name"), &value),
               "set name, take name, take name", "the key is still there");
    want_value(value, &cells[9], "value = v9, take an absent key",
               "the out-parameter is written on a miss");
    dict_destroy(d);
}

/* Many tables, since which keys are neighbours is up to the hash. */
TEST(a_delete_keeps_the_neighbours, "P3", "2.6") {
    for (size_t seed = 0; seed < 40; seed++) {
        dict *d = dict_create(NULL, seed);
        for (size_t i = 0; i < 32; i++) {
            set(d, key_number(i), &cells[i]);
        }
        for (size_t i = 0; i < 32; i += 2) {
            dict_delete(d, bytes_of(key_number(i)));
        }
        for (size_t i = 1; i < 32; i += 2) {
            want_value(get(d, key_number(i)), &cells[i],
                       text("create with seed %zu, set key-0 ... key-31, "
                            "delete all even ones, get key-%zu",
                            seed, i),
                       "the deleted key's place, now empty, ends the walk for "
                       "keys that had been pushed past it; or the hole was "
                       "closed with an entry that may not move there, or a "
                       "walk did not wrap round");
        }
        dict_destroy(d);
    }
}

static size_t steps_per_delete(size_t count) {
    enum { ASKED = 100 };
    dict *d = filled(count);
    size_t before = work_steps();
    for (size_t i = 0; i < ASKED; i++) {
        dict_delete(d, bytes_of(key_number(i)));
    }
    size_t steps = (work_steps() - before) / ASKED;
    dict_destroy(d);
    return steps;
}

TEST(a_delete_costs_the_same_in_a_large_dict, "P6", "2.6") {
    dict *d = filled(3);
    size_t before = heap_allocations();
    dict_delete(d, bytes_of("key-1"));
    want_int(heap_allocations() - before, 0,
             "set key-0, key-1, key-2, count the allocations of delete key-1",
             "a delete moves entries at most, it needs no new table");
    dict_destroy(d);
    size_t small = steps_per_delete(FEW), large = steps_per_delete(many());
    want_at_most(large, flat(small),
                 text("delete a key, among %d (%zu steps) and among %zu, "
                      "count steps",
                      FEW, small, many()),
                 "delete looks at the whole table, not just at the run of "
                 "the key");
}

/* A dict in which keys came and went; 32 of them are there at any time. */
static dict *churned(size_t times) {
    dict *d = dict_create(NULL, 42);
    for (size_t i = 0; i < times; i++) {
        set(d, key_number(i), NULL);
        if (i >= 32) {
            dict_delete(d, bytes_of(key_number(i - 32)));
        }
    }
    return d;
}

/* Steps of the longest of 20 misses. */
static size_t steps_of_a_miss(const dict *d) {
    size_t most = 0;
    for (size_t i = 0; i < 20; i++) {
        size_t before = work_steps();
        get(d, text("absent-%zu", i));
        size_t steps = work_steps() - before;
        most = steps > most ? steps : most;
    }
    return most;
}

TEST(deletes_leave_no_trace, "P7", "2.6") {
    size_t times = test_scale(20000, 3000);
    dict *d = churned(64);
    size_t fresh_bytes = heap_live_bytes();
    size_t fresh_steps = steps_of_a_miss(d);
    dict_destroy(d);
    d = churned(times);
    want_at_most(
        heap_live_bytes(), 2 * fresh_bytes,
        text("insert and delete %zu keys, 32 at a time, count bytes", times),
        "the places of deleted keys stay in use, so the table grows");
    size_t steps = steps_of_a_miss(d);
    want_at_most(steps, 3 * fresh_steps + 20,
                 text("insert and delete 64 keys, 32 at a time (a miss takes "
                      "up to %zu steps), then %zu, count steps",
                      fresh_steps, times),
                 "tombstones pile up, and every walk passes them");
    dict_destroy(d);
}

/* --- 2.6 random runs against a plain array ------------------------------ */

enum { MODEL_KEYS = 24 };

/* The dict beside its model: an array of values, NULL where a key is absent,
 * and how often each value should have been destroyed. */
typedef struct beside {
    dict *d;
    int *values[MODEL_KEYS];
    int destroyed[CELLS];
} beside;

static void *model_begin(void) {
    beside *b = calloc(1, sizeof *b);
    b->d = fresh();
    return b;
}

/* Every other key is longer than what fits into a slot. */
static const char *model_key(unsigned n) {
    return text(n % 2 ? "k%u" : "a rather long key, number %u", n);
}

/* A value leaves the model, destroyed or not. */
static void model_remove(beside *b, unsigned key, bool destroyed) {
    if (b->values[key] && destroyed) {
        b->destroyed[b->values[key] - cells]++;
    }
    b->values[key] = NULL;
}

static const char *model_set(beside *b, model_step s, bytes key) {
    model_remove(b, s.key, true);
    b->values[s.key] = &cells[s.value];
    return dict_set(b->d, key, &cells[s.value]) == STATUS_OK ? NULL
                                                             : "set failed";
}

static const char *model_delete(beside *b, model_step s, bytes key) {
    bool had = b->values[s.key] != NULL;
    model_remove(b, s.key, true);
    return dict_delete(b->d, key) == had ? NULL
           : had                         ? "delete did not find the key"
                 : "delete found a key that is not there";
}

static const char *model_take(beside *b, model_step s, bytes key) {
    int *want = b->values[s.key];
    void *value = NULL;
    model_remove(b, s.key, false);
    return dict_take(b->d, key, &value) == (want != NULL) && value == want
               ? NULL
               : text("take %s gave %s, wanted %s", model_key(s.key),
                      value_name(value), value_name(want));
}

static const char *model_get(beside *b, model_step s, bytes key) {
    void *value = get_bytes(b->d, key);
    return value == b->values[s.key]
               ? NULL
               : text("get gave %s, wanted %s", value_name(value),
                      value_name(b->values[s.key]));
}

static const char *(*const model_calls[])(beside *b, model_step s,
                                          bytes key) = {
    model_set, model_set, model_get, model_delete, model_take,
};

static const char *model_apply(void *state, model_step s) {
    return model_calls[s.operation](state, s, bytes_of(model_key(s.key)));
}

static const char *model_end(void *state) {
    beside *b = state;
    size_t count = 0;
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        count += b->values[i] != NULL;
    }
    const char *why = NULL;
    if (dict_count(b->d) != count) {
        why = text("count gave %zu, wanted %zu", dict_count(b->d), count);
    }
    for (unsigned i = 0; i < CELLS && !why; i++) {
        if (cells[i] != b->destroyed[i]) {
            why = text("v%u was destroyed %d times, wanted %d", i, cells[i],
                       b->destroyed[i]);
        }
    }
    dict_destroy(b->d);
    free(b);
    return why;
}

static void model_print(FILE *out, model_step s) {
    static const char *const names[] = {"set", "set", "get", "delete", "take"};
    fprintf(out, "dict_%s(d, bytes_of(\"%s\")", names[s.operation],
            model_key(s.key));
    if (s.operation < 2) {
        fprintf(out, ", &cells[%u]", s.value);
    } else if (s.operation != 3) {
        fprintf(out, ", &value");
    }
    fprintf(out, ");");
}

TEST(any_mix_of_calls_agrees_with_a_plain_array, "P3", "2.6") {
    model_check(&(model){
        .operations = sizeof model_calls / sizeof model_calls[0],
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

/* --- 2.7 next ------------------------------------------------------------- */

TEST(an_iteration_sees_every_entry_once, "P8", "2.7") {
    dict *d = filled(CELLS);
    for (size_t i = 0; i < CELLS; i += 3) {
        dict_delete(d, bytes_of(key_number(i)));
    }
    int seen[CELLS + 1] = {0};
    size_t cursor = 0, steps = 0;
    bytes key;
    void *value;
    while (steps++ <= CELLS && dict_next(d, &cursor, &key, &value)) {
        size_t n = cell_of(value);
        want_bytes(key, bytes_of(key_number(n)),
                   "set key-0=v0 ... key-63=v63, delete every third, iterate",
                   "the key of one entry came with the value of another");
        seen[n]++;
    }
    for (size_t i = 0; i < CELLS; i++) {
        want_int(seen[i], i % 3 != 0,
                 text("set key-0 ... key-63, delete every third, iterate, "
                      "count how often key-%zu came",
                      i),
                 "the cursor must pass the entry that was returned and the "
                 "empty places, and nothing else");
    }
    dict_destroy(d);
}

TEST(an_iteration_of_nothing_ends_at_once, "P8", "2.7") {
    dict *d = fresh();
    size_t cursor = 0;
    bytes key = bytes_of("untouched");
    void *value = &cells[9];
    want_false(dict_next(d, &cursor, &key, &value), "create, iterate",
               "an empty dict has no first entry");
    want_bytes(key, bytes_of("untouched"), "create, iterate, look at key",
               "out-parameters are written only on success");
    want_value(value, &cells[9], "value = v9, create, iterate, look at value",
               "out-parameters are written only on success");
    dict_destroy(d);
}

/* --- 2.8 failed allocations ----------------------------------------------- */

static void try_to_create(void *context) {
    (void)context;
    dict *d = dict_create(NULL, 42);
    bool failed = heap_has_failed();
    want_text(d ? "a dict" : "NULL", failed ? "NULL" : "a dict",
              failed ? "create while an allocation fails" : "create",
              "create must look at every allocation, and give back the first "
              "when the second fails");
    dict_destroy(d);
}

TEST(without_memory_create_gives_null, "P9", "2.8") {
    heap_fail_each(try_to_create, NULL);
}

/* One set of a long key, perhaps with an allocation failing. */
static void try_to_set(void *context) {
    dict *d = context;
    size_t before = dict_count(d);
    bytes key = bytes_of("a key of more than sixteen bytes");
    status s = dict_set(d, key, &cells[40]);
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "set while an allocation fails",
                "set must look at every allocation");
    if (s != STATUS_OK) {
        want_int(dict_count(d), before, "set that failed, count",
                 "a failed set was counted");
        want_false(dict_get(d, key, NULL), "set that failed, get the key",
                   "a failed set left its key behind");
        want_int(cells[40], 0,
                 "set of a key to v40 that failed, count v40's destructions",
                 "after a failure the value is still the caller's");
    }
    for (size_t i = 0; i < before; i++) {
        want_value(get(d, key_number(i)), &cells[i],
                   text("set key-0 ... key-%zu, set that failed, get key-%zu",
                        before - 1, i),
                   "growing failed halfway and lost what was there");
    }
}

TEST(without_memory_a_set_changes_nothing, "P9", "2.8") {
    size_t failures = 0;
    for (size_t count = 0; count < 20; count++) {
        dict *d = filled(count); /* some of these are just about to grow */
        failures += heap_fail_each(try_to_set, d);
        dict_destroy(d);
    }
    want_true(failures > 0,
              "set a long key, look whether any allocation could fail",
              "the dict does not copy its keys");
}
