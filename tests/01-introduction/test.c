/* Tests of the kv. Equal texts that must not be one text in memory stand in
 * arrays of their own: a compiler may merge equal string literals. */
#include "kv.h"

#include "support/check.h"
#include "support/crash.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static kv *fresh(void) {
    kv *cache = kv_create();
    want_true(cache != NULL, "create",
              "create returns NULL though there is memory");
    return cache;
}

/* A set that the test takes for granted. */
static void set(kv *cache, const char *key, const char *value) {
    want_status(kv_set(cache, key, value), STATUS_OK,
                text("set %.40s=%.40s", key, value),
                "set fails though there is memory");
}

/* key-0=value-0, key-1=value-1, ... */
static kv *filled(size_t count) {
    kv *cache = fresh();
    for (size_t i = 0; i < count; i++) {
        set(cache, text("key-%zu", i), text("value-%zu", i));
    }
    return cache;
}

static void want_filled(const kv *cache, size_t count, const char *did,
                        const char *likely) {
    char done[200]; /* what text() gives does not outlast the loop */
    snprintf(done, sizeof done, "%s", did);
    for (size_t i = 0; i < count; i++) {
        want_text(kv_get(cache, text("key-%zu", i)), text("value-%zu", i),
                  text("%s, get key-%zu", done, i), likely);
    }
}

/* The runner finds every leak; here the likely cause is known as well. */
static void want_all_freed(const char *did, const char *likely) {
    heap_block left;
    if (heap_leaked(&left)) {
        want_that(false,
                  "LEAK  %s\nwanted  no block left on the heap\n"
                  "got     %zu left; the first has %zu bytes, allocated at %s\n"
                  "likely  %s",
                  did, heap_live_blocks(), left.size,
                  crash_line_of(left.caller), likely);
    }
}

/* --- 1.1: a cache begins and ends -------------------------------------- */

TEST(a_fresh_cache_is_empty, "P1", "1.1") {
    kv *cache = fresh();
    want_int(kv_count(cache), 0, "create, count",
             "malloc does not clear what it gives: write the 0 yourself");
    kv_destroy(cache);
}

TEST(destroy_gives_an_empty_cache_back, "P8", "1.1") {
    kv *cache = fresh();
    kv_destroy(cache);
    want_all_freed("create, destroy",
                   "one free for each malloc: the array, then the cache");
}

TEST(destroy_of_null_does_nothing, "P8", "1.1") {
    kv_destroy(NULL);
}

/* --- 1.2: set copies and appends ---------------------------------------- */

TEST(new_keys_are_counted, "P1", "1.2") {
    kv *cache = fresh();
    set(cache, "key1", "value1");
    want_int(kv_count(cache), 1, "set key1=value1, count",
             "each new key must raise the count by one");
    set(cache, "key2", "value2");
    want_int(kv_count(cache), 2, "set key1=value1, set key2=value2, count",
             "each new key must raise the count by one");
    kv_destroy(cache);
}

TEST(destroy_gives_every_key_and_value_back, "P8", "1.2") {
    kv *cache = filled(3);
    kv_destroy(cache);
    want_all_freed("set three keys, destroy",
                   "each entry owns two blocks, its key and its value; free "
                   "them before the array that points to them");
}

enum { LONG = 1000 };

/* A long text is told from the rest by its size. */
TEST(set_makes_copies_of_its_own, "P4", "1.2") {
    char long_text[LONG + 1];
    memset(long_text, 'x', LONG);
    long_text[LONG] = '\0';
    kv *cache = fresh();
    size_t before = heap_live_bytes();
    set(cache, long_text, "value");
    want_true(heap_live_bytes() - before > LONG,
              "set a key of 1,000 letters, look whether the heap holds a copy",
              "set keeps the caller's pointer to the key; the cache needs a "
              "copy of its own");
    before = heap_live_bytes();
    set(cache, "key", long_text);
    want_true(heap_live_bytes() - before > LONG,
              "set a value of 1,000 letters, look whether the heap holds a "
              "copy",
              "set keeps the caller's pointer to the value; the cache needs a "
              "copy of its own");
    kv_destroy(cache);
}

/* --- 1.3: get finds by text --------------------------------------------- */

TEST(a_get_gives_the_value_that_was_set, "P1", "1.3") {
    kv *cache = fresh();
    set(cache, "key1", "value1");
    want_text(kv_get(cache, "key1"), "value1", "set key1=value1, get key1",
              "set stores nothing, or get does not find the one entry");
    set(cache, "key2", "value2");
    want_text(kv_get(cache, "key2"), "value2",
              "set key1=value1, set key2=value2, get key2",
              "get must look at every entry, and return the value of the one "
              "whose key is equal");
    kv_destroy(cache);
}

TEST(an_absent_key_reads_as_null, "P2", "1.3") {
    kv *cache = fresh();
    want_text(kv_get(cache, "absent"), NULL, "create, get absent",
              "a cache without entries holds no key: return NULL");
    set(cache, "key1", "value1");
    set(cache, "key2", "value2");
    want_text(kv_get(cache, "absent"), NULL, "set key1, set key2, get absent",
              "when the loop has seen every entry, return NULL");
    kv_destroy(cache);
}

TEST(a_get_changes_nothing, "P2", "1.3") {
    kv *cache = fresh();
    set(cache, "key1", "value1");
    kv_get(cache, "absent");
    want_int(kv_count(cache), 1, "set key1, get absent, count",
             "get must not insert: only set does");
    kv_get(cache, "key1");
    want_text(kv_get(cache, "key1"), "value1",
              "set key1=value1, get absent, get key1, get key1",
              "get lends the value; it must not take it out");
    want_int(kv_count(cache), 1,
             "set key1, get absent, get key1, get key1, count",
             "get must not remove the entry");
    kv_destroy(cache);
}

TEST(two_lent_values_can_be_held_at_once, "P2", "1.3") {
    kv *cache = fresh();
    set(cache, "key1", "value1");
    set(cache, "key2", "value2");
    const char *first = kv_get(cache, "key1");
    kv_get(cache, "key2");
    want_text(first, "value1", "a = get key1, b = get key2, look at a again",
              "get answers from one buffer that the next get overwrites; lend "
              "the entry's own value");
    kv_destroy(cache);
}

TEST(the_key_is_copied, "P4", "1.3") {
    char key[] = "name";
    kv *cache = fresh();
    set(cache, key, "Alice");
    memcpy(key, "xxxx", 4);
    want_text(kv_get(cache, "name"), "Alice",
              "set name=Alice from a buffer, overwrite the buffer, get name",
              "kv_set (step 1.2) keeps the caller's pointer instead of a copy "
              "of the key");
    kv_destroy(cache);
}

TEST(the_value_is_copied, "P4", "1.3") {
    char value[] = "Alice";
    kv *cache = fresh();
    set(cache, "name", value);
    memcpy(value, "xxxxx", 5);
    want_text(kv_get(cache, "name"), "Alice",
              "set name=Alice from a buffer, overwrite the buffer, get name",
              "kv_set (step 1.2) keeps the caller's pointer instead of a copy "
              "of the value");
    kv_destroy(cache);
}

TEST(equal_texts_at_two_addresses_are_one_key, "P5", "1.3") {
    char one[] = "name", other[] = "name";
    kv *cache = fresh();
    set(cache, one, "Alice");
    want_text(kv_get(cache, other), "Alice",
              "set name=Alice, get name, from two buffers",
              "== compares addresses; strcmp compares texts");
    kv_destroy(cache);
}

TEST(keys_must_end_together, "P5", "1.3") {
    kv *cache = fresh();
    set(cache, "name", "Alice");
    want_text(kv_get(cache, "nam"), NULL, "set name=Alice, get nam",
              "only the letters of the key asked for were compared; the keys "
              "must end together");
    want_text(kv_get(cache, ""), NULL, "set name=Alice, get the empty key",
              "the empty text is the start of every text, and equal to none");
    want_text(kv_get(cache, "names"), NULL, "set name=Alice, get names",
              "only the letters of the stored key were compared; the keys "
              "must end together");
    kv_destroy(cache);
}

TEST(the_empty_text_is_a_key_and_a_value, "P5", "1.3") {
    kv *cache = fresh();
    set(cache, "", "nobody");
    set(cache, "nothing", "");
    want_text(kv_get(cache, ""), "nobody",
              "set the empty key to nobody, get the empty key",
              "the empty key is taken for an absent one");
    want_text(kv_get(cache, "nothing"), "",
              "set nothing to the empty text, get nothing",
              "the empty value is taken for an absent one: NULL and \"\" "
              "differ");
    kv_destroy(cache);
}

/* From long to short, so that each copy comes to lie where a longer text was:
 * a zero byte that nobody wrote is then missed. */
TEST(texts_of_every_length_come_back_whole, "P1", "1.3") {
    char key[301], value[301];
    memset(key, 'k', 300);
    memset(value, 'v', 300);
    for (size_t len = 300; len > 0; len--) {
        key[len] = value[len] = '\0';
        kv *cache = fresh();
        set(cache, key, value);
        want_text(kv_get(cache, key), value,
                  text("set a key of %zu letters to a value of %zu, get it",
                       len, len),
                  "a text of n letters takes n + 1 bytes: the zero byte that "
                  "ends it must be allocated and copied too");
        kv_destroy(cache);
    }
}

TEST(two_caches_share_nothing, "P2", "1.3") {
    kv *one = fresh(), *other = fresh();
    set(one, "name", "Alice");
    want_text(kv_get(other, "name"), NULL,
              "set name=Alice in one cache, get name from another",
              "the entries stand in a global or static variable; they belong "
              "into the struct");
    want_int(kv_count(other), 0, "set name=Alice in one cache, count another",
             "the count stands in a global or static variable");
    kv_destroy(one);
    kv_destroy(other);
}

TEST(a_get_allocates_nothing, "P9", "1.3") {
    kv *cache = fresh();
    set(cache, "key1", "value1");
    size_t before = heap_allocations();
    kv_get(cache, "key1");
    kv_get(cache, "absent");
    want_int(heap_allocations() - before, 0,
             "set key1, get key1, get absent, count the gets' allocations",
             "get returns a copy that nobody would free; it must lend");
    kv_destroy(cache);
}

/* --- 1.4: a second set replaces ----------------------------------------- */

TEST(a_second_set_replaces_the_value, "P3", "1.4") {
    kv *cache = fresh();
    set(cache, "name", "Alice");
    set(cache, "name", "Bob");
    want_text(kv_get(cache, "name"), "Bob",
              "set name=Alice, set name=Bob, get name",
              "set appends without looking for the key first");
    want_int(kv_count(cache), 1, "set name=Alice, set name=Bob, count",
             "the second set added an entry, or counted one");
    kv_destroy(cache);
}

TEST(the_other_keys_keep_their_values, "P3", "1.4") {
    const char *longer = "a value that needs a good deal more room than before";
    kv *cache = filled(3);
    set(cache, "key-1", longer);
    want_text(kv_get(cache, "key-0"), "value-0",
              "set key-0 key-1 key-2, set key-1 to a long text, get key-0",
              "the first entry was changed instead of the one found");
    want_text(kv_get(cache, "key-1"), longer,
              "set key-0 key-1 key-2, set key-1 to a long text, get key-1",
              "the entry found must get the new value, and the old block has "
              "room for the old one only");
    want_text(kv_get(cache, "key-2"), "value-2",
              "set key-0 key-1 key-2, set key-1 to a long text, get key-2",
              "the last entry was changed instead of the one found, or the "
              "long value ran over the end of the old block");
    kv_destroy(cache);
}

TEST(the_replaced_value_is_freed, "P8", "1.4") {
    kv *cache = fresh();
    set(cache, "name", "Alice");
    set(cache, "name", "Bob");
    size_t before = heap_live_blocks();
    for (size_t i = 0; i < 10; i++) {
        set(cache, "name", i % 2 ? "Alice" : "Bob");
    }
    want_at_most(heap_live_blocks(), before,
                 "set name=Alice, set name=Bob, ten more of these, count "
                 "the blocks on the heap",
                 "the old value is forgotten, not freed: a leak");
    kv_destroy(cache);
}

TEST(a_lent_value_may_be_set_again, "P4", "1.4") {
    kv *cache = fresh();
    set(cache, "name", "Alice");
    kv_set(cache, "name", kv_get(cache, "name"));
    want_text(kv_get(cache, "name"), "Alice",
              "set name=Alice, set name to what get name lent, get name",
              "the old value was freed before the new one was copied: here "
              "they are the same");
    kv_set(cache, kv_get(cache, "name"), kv_get(cache, "name"));
    want_text(kv_get(cache, "Alice"), "Alice",
              "set name=Alice, set with what get name lent as key and value, "
              "get Alice",
              "a text that the cache lent must be copied like any other");
    kv_destroy(cache);
}

/* --- 1.5: the array grows ------------------------------------------------ */

TEST(any_number_of_entries_fit, "P6", "1.5") {
    kv *cache = fresh();
    for (size_t i = 0; i < 70; i++) {
        want_status(kv_set(cache, text("key-%zu", i), text("value-%zu", i)),
                    STATUS_OK, text("set key-0 ... key-%zu", i),
                    "a full array must grow, not refuse");
        want_int(kv_count(cache), i + 1,
                 text("set key-0 ... key-%zu, count", i),
                 "growing must not change what is there");
        want_filled(cache, i + 1, text("set key-0 ... key-%zu", i),
                    "grow before the array overflows, count its size in "
                    "entries, and forget every pointer into the old array");
    }
    kv_destroy(cache);
}

/* Steps of the lesson's code that one get of an absent key takes. */
static size_t steps_per_get(size_t count) {
    kv *cache = filled(count);
    size_t before = work_steps();
    kv_get(cache, "absent");
    size_t steps = work_steps() - before;
    kv_destroy(cache);
    return steps;
}

TEST(a_get_looks_at_each_entry_at_most_once, "P9", "1.5") {
    size_t few = steps_per_get(20), many = steps_per_get(200);
    want_at_most(many, 15 * few + 50,
                 text("get an absent key among 20 entries (%zu steps), and "
                      "among 200",
                      few),
                 "ten times the entries may cost ten times the steps; here a "
                 "loop runs inside the loop");
}

TEST(a_count_looks_at_no_entry, "P9", "1.5") {
    kv *cache = filled(200);
    size_t before = work_steps();
    kv_count(cache);
    want_at_most(work_steps() - before, 10,
                 "set key-0 ... key-199, count: steps",
                 "count walks through the entries; keep the number instead");
    kv_destroy(cache);
}

/* --- random runs against an array, with steps 1.1 to 1.5 ------------------ */

enum { MODEL_KEYS = 24 };

struct beside {
    kv *cache;
    unsigned values[MODEL_KEYS]; /* the plain model: 0 is absent */
};

static void *model_begin(void) {
    struct beside *b = calloc(1, sizeof *b);
    b->cache = fresh();
    return b;
}

/* The empty text, "a", "ab", "abc", ...: each is the start of the next. */
static const char *model_key(unsigned n) {
    return text("%.*s", (int)n, "abcdefghijklmnopqrstuvwxyz");
}

static const char *model_value(unsigned n) {
    return n == 0 ? NULL : text("%0*u", (int)(n * 3), n);
}

static const char *model_apply(void *state, model_step s) {
    struct beside *b = state;
    if (s.operation < 2) {
        b->values[s.key] = s.value + 1;
        status done =
            kv_set(b->cache, model_key(s.key), model_value(s.value + 1));
        return done == STATUS_OK ? NULL : "set failed";
    }
    const char *got = kv_get(b->cache, model_key(s.key));
    const char *want = model_value(b->values[s.key]);
    if (got && want ? strcmp(got, want) != 0 : got != want) {
        return text("%s, where %s was wanted", got ? got : "NULL",
                    want ? want : "NULL");
    }
    return NULL;
}

static const char *model_end(void *state) {
    struct beside *b = state;
    size_t count = 0;
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        count += b->values[i] != 0;
    }
    const char *why = NULL;
    if (kv_count(b->cache) != count) {
        why = text("a count of %zu, where %zu keys were set",
                   kv_count(b->cache), count);
    }
    kv_destroy(b->cache);
    free(b);
    return why;
}

static void model_print(FILE *out, model_step s) {
    if (s.operation < 2) {
        fprintf(out, "kv_set(cache, \"%s\", \"%s\");", model_key(s.key),
                model_value(s.value + 1));
    } else {
        fprintf(out, "kv_get(cache, \"%s\");", model_key(s.key));
    }
}

TEST(any_mix_of_calls_agrees_with_a_plain_array, "P3", "1.5") {
    model_check(&(model){
        .operations = 3,
        .keys = MODEL_KEYS,
        .values = 12,
        .lists = 100,
        .steps = 120,
        .begin = model_begin,
        .apply = model_apply,
        .end = model_end,
        .print = model_print,
    });
}

/* --- 1.6: without memory -------------------------------------------------- */

static void try_to_create(void *context) {
    (void)context;
    kv *cache = kv_create();
    want_int(cache == NULL, heap_has_failed(), "create, an allocation fails",
             "create must return NULL then, and only then");
    kv_destroy(cache);
    want_all_freed("create, an allocation fails",
                   "one malloc failed after another had succeeded: free what "
                   "was made before returning NULL");
}

TEST(without_memory_create_gives_null, "P7", "1.6") {
    heap_fail_each(try_to_create, NULL);
}

static void want_word_of_failure(status s, const char *did) {
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK, did,
                "set must look at every result of malloc and realloc, and "
                "tell its caller");
}

static void try_to_set(void *context) {
    kv *cache = context;
    size_t count = kv_count(cache);
    want_word_of_failure(
        kv_set(cache, "new", "newest"),
        text("set %zu keys, set a new one, an allocation fails", count));
}

static void try_to_set_again(void *context) {
    want_word_of_failure(
        kv_set(context, "key-1", "longer than before"),
        "set key-1=value-1, set key-1 again, an allocation fails");
}

TEST(without_memory_set_says_so, "P7", "1.6") {
    for (size_t count = 2; count < 20; count++) {
        kv *cache = filled(count); /* some of these are just about to grow */
        heap_fail_each(try_to_set, cache);
        heap_fail_each(try_to_set_again, cache);
        kv_destroy(cache);
    }
}

static void try_to_add(void *context) {
    kv *cache = context;
    size_t before = kv_count(cache);
    kv_set(cache, "new", "newest");
    bool failed = heap_has_failed();
    want_int(kv_count(cache), failed ? before : before + 1,
             "set new, an allocation fails, count",
             "the entry was counted before all of it was made");
    want_text(kv_get(cache, "new"), failed ? NULL : "newest",
              "set new, an allocation fails, get new",
              "a failed set left a part of its entry behind");
    want_filled(cache, before, "set new, an allocation fails",
                "realloc's NULL was written over the only pointer to the "
                "entries");
}

TEST(without_memory_a_new_key_changes_nothing, "P7", "1.6") {
    size_t failures = 0;
    for (size_t count = 0; count < 20; count++) {
        kv *cache = filled(count); /* some of these are just about to grow */
        failures += heap_fail_each(try_to_add, cache);
        kv_destroy(cache);
        want_all_freed("set new, an allocation fails, destroy",
                       "what was made before the failure must be freed");
    }
    want_that(failures >= 20,
              "set a new key in twenty caches, count the failed allocations\n"
              "wanted  at least one for each\ngot     %zu\n"
              "likely  the cache does not copy the texts",
              failures);
}

static void try_to_replace(void *context) {
    kv *cache = context;
    kv_set(cache, "key-1", "longer than before");
    want_text(kv_get(cache, "key-1"),
              heap_has_failed() ? "value-1" : "longer than before",
              "set key-1=value-1, set key-1 again, an allocation fails, get "
              "key-1",
              "the old value was given up before the new one was there");
}

TEST(without_memory_the_old_value_stays, "P7", "1.6") {
    kv *cache = filled(3);
    heap_fail_each(try_to_replace, cache);
    want_filled(cache, 1, "set key-1 again, an allocation fails",
                "a failed set must leave the other entries alone");
    kv_destroy(cache);
}

/* Each set is first tried with its third, second, first allocation failing. */
TEST(after_a_failed_set_the_cache_still_works, "P7", "1.6") {
    kv *cache = fresh();
    for (size_t i = 0; i < 40; i++) {
        char key[24], value[24];
        snprintf(key, sizeof key, "key-%zu", i);
        snprintf(value, sizeof value, "value-%zu", i);
        for (size_t n = 3; n > 0; n--) {
            heap_fail_at(n);
            kv_set(cache, key, value);
        }
        heap_fail_at(0);
        set(cache, key, value);
        want_filled(cache, i + 1,
                    text("set key-0 ... key-%zu, some with a failing "
                         "allocation first",
                         i),
                    "a failed growth left a new capacity with the old array, "
                    "or lost the array");
    }
    want_int(kv_count(cache), 40,
             "set key-0 ... key-39, some with a failing allocation first, "
             "count",
             "a failed set was counted");
    kv_destroy(cache);
}
