/* Tests of readthrough. The source plays a script: one letter for each load,
 * see play(). Its n-th load gives the value "load-n", so that every value
 * tells which load it came from. */
#include "readthrough.h"

#include "support/check.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/work.h"

#include <stdlib.h>

typedef struct script {
    const char *letters; /* what is still to be played; at its end: '+' */
    size_t loads;
    int64_t now_ms;  /* the frozen clock */
    int64_t late_ms; /* how long a load takes that is marked with '~' */
    bytes asked;     /* the key of the load before */
    char copy[64];   /* its bytes */
    /* For nested loads: */
    readthrough *cache;
    status inner;   /* how the get inside of a load ended */
    size_t refused; /* how many of those ended with STATUS_DEADLOCK */
} script;

static script source;

static status give(readthrough_reply *reply, const char *value) {
    return readthrough_give(reply, bytes_of(value));
}

/* Gives from memory that is overwritten before the load ends. */
static status give_and_spoil(readthrough_reply *reply, const char *value) {
    char buffer[32];
    snprintf(buffer, sizeof buffer, "%s", value);
    status s = readthrough_give(reply, (bytes){buffer, strlen(buffer)});
    memset(buffer, 'x', sizeof buffer);
    return s;
}

static status play(char letter, bytes key, readthrough_reply *reply) {
    const char *value = text("load-%zu", source.loads);
    switch (letter) {
    case '-': return STATUS_MISS;
    case '!': return STATUS_BACKEND;
    case '?': return STATUS_TIMEOUT;
    case 'o': return STATUS_OK; /* gives nothing */
    case 'f': give(reply, value); return STATUS_BACKEND;
    case 'm': give(reply, value); return STATUS_MISS;
    case 'i': give(reply, value); return STATUS_OK; /* ignores the status */
    case 'd': give(reply, "another"); return give(reply, value);
    case 's': return give_and_spoil(reply, value);
    case '=': return readthrough_give(reply, key);
    default: return give(reply, value);
    }
}

/* '~' before a letter turns the clock while the load runs. */
static status load(void *context, bytes key, readthrough_reply *reply) {
    want_pointer(context, &source, "get, look at the source's context",
                 "create must keep the context, and each load pass it on");
    source.loads++;
    if (key.len > 0) { /* no bytes may lie at NULL, which memcpy may not see */
        memcpy(source.copy, key.data,
               key.len < sizeof source.copy ? key.len : sizeof source.copy);
    }
    source.asked = (bytes){source.copy, key.len};
    if (*source.letters == '~') {
        source.letters++;
        source.now_ms += source.late_ms;
    }
    return play(*source.letters ? *source.letters++ : '+', key, reply);
}

static readthrough *fresh_with(readthrough_source *load_key,
                               readthrough_options options,
                               const char *letters) {
    source = (script){.letters = letters, .now_ms = 5000, .late_ms = 30};
    options.clock = ms_clock_frozen(&source.now_ms);
    readthrough *r = NULL;
    want_status(readthrough_create(load_key, &source, &options, &r), STATUS_OK,
                "create with a source", "create must answer STATUS_OK");
    want_true(r != NULL, "create with a source, look at *out",
              "create must write the cache to *out");
    source.cache = r;
    return r;
}

static readthrough *fresh(readthrough_options options, const char *letters) {
    return fresh_with(load, options, letters);
}

/* What a get ends with, as a text: the value, or else the status. */
static const char *get(readthrough *r, const char *key) {
    bytes value = {"untouched", 9};
    status s = readthrough_get(r, bytes_of(key), &value);
    if (s == STATUS_OK) {
        return text("%.*s", (int)value.len, (const char *)value.data);
    }
    want_bytes(value, bytes_of("untouched"),
               text("get %s, which ends with \"%s\"", key, status_name(s)),
               "the out-parameter is written though there is no value");
    return text("(%s)", status_name(s));
}

/* All values that are held, in the order of their loads: "a=load-1 ". */
static const char *held(const readthrough *r) {
    const char *all = "";
    size_t cursor = 0, most = 20;
    bytes key, value;
    while (most-- > 0 && readthrough_next(r, &cursor, &key, &value)) {
        all = text("%s%.*s=%.*s ", all, (int)key.len, (const char *)key.data,
                   (int)value.len, (const char *)value.data);
    }
    return all;
}

/* --- 3.1: an empty cache --------------------------------------------- */

TEST(a_fresh_cache_is_empty_and_ends_without_a_trace, "P15", "3.1") {
    readthrough *r = fresh((readthrough_options){0}, "");
    readthrough_stats s = readthrough_statistics(r);
    want_int(s.hits + s.misses + s.loads + s.failures + s.stale, 0,
             "create, sum up the statistics", "all counts start at 0");
    want_int(source.loads, 0, "create, count the loads",
             "create has nothing to ask the source");
    readthrough_destroy(r);
    readthrough_destroy(NULL);
}

TEST(what_makes_no_sense_is_refused, "P11", "3.1") {
    static const struct {
        const char *what;
        readthrough_options options;
    } refused[] = {
        {"fresh_ms -1", {.fresh_ms = -1}},
        {"stale_ms -1", {.fresh_ms = 10, .stale_ms = -1}},
        {"absent_ms -1", {.absent_ms = -1}},
        {"fresh_ms INT64_MIN", {.fresh_ms = INT64_MIN}},
        {"stale_ms 5 without fresh_ms", {.stale_ms = 5}},
    };
    readthrough *untouched = (readthrough *)&source;
    readthrough *r = untouched;
    want_status(readthrough_create(NULL, NULL, NULL, &r), STATUS_INVALID,
                "create without a source",
                "a cache that cannot load is of no use: refuse NULL");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        want_status(readthrough_create(load, &source, &refused[i].options, &r),
                    STATUS_INVALID, text("create with %s", refused[i].what),
                    "look at each time before anything is made");
    }
    want_pointer(r, untouched, "create with bad arguments, look at *out",
                 "*out is written though create refused");
    want_int(heap_allocations(), 0,
             "create with bad arguments, count allocations",
             "look at the arguments before you allocate");
}

TEST(the_largest_times_and_no_options_are_fine, "P11", "3.1") {
    readthrough *r = NULL;
    readthrough_options most = {INT64_MAX, INT64_MAX, INT64_MAX, {0}, 0};
    want_status(readthrough_create(load, &source, &most, &r), STATUS_OK,
                "create with all times INT64_MAX", "no time is too large");
    readthrough_destroy(r);
    want_status(readthrough_create(load, &source, NULL, &r), STATUS_OK,
                "create without options", "NULL stands for the default");
    readthrough_destroy(r);
}

static void try_to_create(void *context) {
    readthrough *r = context;
    status s = readthrough_create(load, &source, NULL, &r);
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "create while an allocation fails",
                "every result of malloc and of dict_create must be looked at");
    if (s == STATUS_OK) {
        readthrough_destroy(r);
    } else {
        want_pointer(r, context, "create that failed, look at *out",
                     "*out is written on STATUS_OK only");
    }
}

TEST(without_memory_create_says_so, "P12", "3.1") {
    want_true(heap_fail_each(try_to_create, &source) > 0,
              "create, count failed allocations",
              "a cache cannot do without memory");
    want_int(heap_live_blocks(), 0, "create that failed, count live blocks",
             "what was allocated before the failure must be freed");
}

/* --- 3.2: a miss ----------------------------------------------------- */

TEST(a_miss_asks_the_source_once, "P2", "3.2") {
    readthrough *r = fresh((readthrough_options){0}, "");
    want_text(get(r, "a"), "load-1", "get a",
              "a miss must load, and answer with what the source gave");
    want_int(source.loads, 1, "get a, count loads",
             "a miss asks the source once");
    want_bytes(source.asked, bytes_of("a"),
               "get a, look at the key that the source was asked for",
               "the source must be asked for the key of the get");
    readthrough_destroy(r);
}

TEST(keys_and_values_are_any_bytes, "P2", "3.2") {
    static const bytes keys[] = {
        {NULL, 0},     {"", 0},
        {"\0", 1},     {"a\0b", 3},
        {"a\0c", 3},   {"a", 1},
        {"\xff\0", 2}, {"a key of more than sixteen bytes", 31},
    };
    enum { KEYS = sizeof keys / sizeof keys[0] };
    readthrough *r = fresh((readthrough_options){0}, "==============");
    for (size_t i = 0; i < 2 * KEYS; i++) {
        bytes key = keys[i % KEYS], value = {"untouched", 9};
        want_status(readthrough_get(r, key, &value), STATUS_OK,
                    text("get key number %zu", i % KEYS),
                    "some key or value is refused");
        want_bytes(value, key,
                   text("get key number %zu of NULL and no bytes, \"\", "
                        "\"\\0\", \"a\\0b\", \"a\\0c\", ..., from a "
                        "source that gives the key",
                        i % KEYS),
                   "lengths decide: nothing may be cut at a zero byte");
    }
    readthrough_destroy(r);
}

TEST(a_value_is_copied_when_it_is_given, "P9", "3.2") {
    readthrough *r = fresh((readthrough_options){0}, "s");
    want_text(get(r, "a"), "load-1",
              "get a; the source gives from a buffer and overwrites it",
              "give must copy: the source's memory is the source's");
    readthrough_destroy(r);
}

TEST(the_last_give_counts, "P2", "3.2") {
    readthrough *r = fresh((readthrough_options){0}, "d");
    want_text(get(r, "a"), "load-1", "get a; the source gives twice",
              "another give in the same load replaces the value");
    readthrough_destroy(r);
}

TEST(absent_and_failed_are_different_results, "P3", "3.2") {
    readthrough *r = fresh((readthrough_options){0}, "-!?");
    want_text(get(r, "a"), "(miss)", "get a; the source says: not there",
              "\"not there\" is an answer, and not a failure");
    want_text(get(r, "b"), "(backend failed)",
              "get b; the source fails with STATUS_BACKEND",
              "a failure must not read as \"not there\"");
    want_text(get(r, "c"), "(timeout)",
              "get c; the source fails with STATUS_TIMEOUT",
              "pass on the failure as the source told it");
    readthrough_destroy(r);
}

TEST(a_source_that_gives_nothing_has_failed, "P4", "3.2") {
    readthrough *r = fresh((readthrough_options){0}, "o");
    want_text(get(r, "a"), "(backend failed)",
              "get a; the source ends with STATUS_OK and gives nothing",
              "STATUS_OK without a value is a fault of the source");
    want_text(get(r, "a"), "load-2", "get a; nothing was given; get a",
              "a failure must not be kept");
    readthrough_destroy(r);
}

TEST(what_is_given_before_a_failure_is_dropped, "P4", "3.2") {
    readthrough *r = fresh((readthrough_options){0}, "fm");
    want_text(get(r, "a"), "(backend failed)",
              "get a; the source gives, and then fails",
              "the status decides, not whether there was a give");
    want_text(get(r, "b"), "(miss)",
              "get b; the source gives, and then says: not there",
              "the status decides, not whether there was a give");
    want_text(get(r, "a"), "load-3", "get a; the source gives and fails; get a",
              "what was given before a failure must not be kept");
    readthrough_destroy(r);
}

/* --- 3.3: a hit ------------------------------------------------------ */

TEST(a_hit_never_calls_the_source, "P1", "3.3") {
    readthrough *r = fresh((readthrough_options){0}, "");
    get(r, "a");
    want_text(get(r, "a"), "load-1", "get a, get a",
              "look into the dict before you ask the source");
    source.now_ms += INT64_MAX / 2;
    want_text(get(r, "a"), "load-1", "get a, wait for ages, get a",
              "fresh_ms 0 means: for ever");
    want_int(source.loads, 1, "get a, get a, get a, count loads",
             "a hit must not call the source");
    readthrough_destroy(r);
}

TEST(each_key_has_a_value_of_its_own, "P2", "3.3") {
    readthrough *r = fresh((readthrough_options){0}, "");
    for (size_t i = 1; i <= 40; i++) {
        want_text(get(r, text("key-%zu", i % 20)),
                  text("load-%zu", (i - 1) % 20 + 1),
                  text("get key-1 ... key-20 twice, at get number %zu", i),
                  "a value must be kept under the key that was asked for");
    }
    readthrough_destroy(r);
}

TEST(a_failure_is_never_kept, "P4", "3.3") {
    readthrough *r = fresh((readthrough_options){.absent_ms = 100}, "!?");
    get(r, "a");
    want_text(get(r, "a"), "(timeout)",
              "get a; the source fails; get a; it fails in another way",
              "the next get after a failure must ask the source again");
    want_text(get(r, "a"), "load-3", "get a, get a; both fail; get a",
              "the next get after a failure must ask the source again");
    want_text(get(r, "a"), "load-3", "get a, a value at last; get a",
              "a value that follows a failure must be kept");
    readthrough_destroy(r);
}

TEST(a_caller_may_leave_the_value, "P1", "3.3") {
    readthrough *r = fresh((readthrough_options){0}, "");
    want_status(readthrough_get(r, bytes_of("a"), NULL), STATUS_OK,
                "get a with value NULL", "to load ahead, value may be NULL");
    want_status(readthrough_get(r, bytes_of("a"), NULL), STATUS_OK,
                "get a, get a with value NULL", "value may be NULL on a hit");
    want_text(get(r, "a"), "load-1", "get a with value NULL, get a",
              "whether the value is wanted or not, it is kept");
    readthrough_destroy(r);
}

static void want_stats(const readthrough *r, readthrough_stats want,
                       const char *did) {
    readthrough_stats s = readthrough_statistics(r);
    want_int(s.hits, want.hits, text("%s, look at hits", did),
             "a hit is a get that is answered without a load");
    want_int(s.misses, want.misses, text("%s, look at misses", did),
             "each get that is not a hit is a miss, also one that fails");
    want_int(s.loads, want.loads, text("%s, look at loads", did),
             "each call of the source is a load, also one that fails");
    want_int(s.failures, want.failures, text("%s, look at failures", did),
             "a failure is a load that ends neither well nor with a miss");
    want_int(s.stale, want.stale, text("%s, look at stale", did),
             "stale counts the failures that an old value stood in for");
}

TEST(every_get_is_a_hit_or_a_miss, "P10", "3.3") {
    readthrough *r = fresh((readthrough_options){0}, "+-!o?+");
    const char *keys[] = {"a", "a", "b", "c", "c", "c", "c", "c"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        get(r, keys[i]);
    }
    want_stats(r, (readthrough_stats){2, 6, 6, 3, 0},
               "get a a b c c c c c; the source gives a, has no b, and fails "
               "three times for c");
    readthrough_destroy(r);
}

TEST(a_lent_value_outlives_the_loads_of_others, "P9", "3.3") {
    readthrough *r = fresh((readthrough_options){0}, "");
    bytes lent, again;
    readthrough_get(r, bytes_of("a"), &lent);
    for (size_t i = 0; i < 100; i++) {
        get(r, text("key-%zu", i));
    }
    want_bytes(lent, bytes_of("load-1"),
               "get a, get key-0 ... key-99, look at the value of a",
               "each value needs memory of its own, which no load moves");
    readthrough_get(r, bytes_of("a"), &again);
    want_pointer(again.data, lent.data,
                 "get a, get key-0 ... key-99, get a, compare the addresses",
                 "a value must stay where it is when the table grows");
    readthrough_destroy(r);
}

/* Steps of 100 hits, after `count` keys were loaded; *miss: steps per load. */
static size_t steps_of_hits(size_t count, size_t *miss) {
    enum { ASKED = 100 };
    const char *keys[ASKED];
    char names[ASKED][8];
    readthrough *r = fresh((readthrough_options){0}, "");
    size_t start = work_steps();
    for (size_t i = 0; i < count; i++) {
        get(r, text("k%zu", i));
    }
    *miss = (work_steps() - start) / count;
    for (size_t i = 0; i < ASKED; i++) {
        snprintf(names[i], sizeof names[i], "k%u", (unsigned)i);
        keys[i] = names[i];
    }
    size_t allocations = heap_allocations();
    start = work_steps();
    for (size_t i = 0; i < ASKED; i++) {
        readthrough_get(r, bytes_of(keys[i]), NULL);
    }
    size_t steps = work_steps() - start;
    want_int(heap_allocations() - allocations, 0,
             text("load %zu keys, get 100 of them, count allocations", count),
             "a hit must not allocate");
    want_int(source.loads, count,
             text("load %zu keys, get 100 of them, count loads", count),
             "a hit must not call the source");
    readthrough_destroy(r);
    return steps;
}

TEST(a_get_costs_the_same_among_many_keys, "P13", "3.3") {
    size_t miss_few, miss_many;
    size_t few = steps_of_hits(100, &miss_few);
    size_t count = test_scale(4000, 1500);
    size_t many = steps_of_hits(count, &miss_many);
    want_that(many <= 2 * few + 500,
              "get 100 keys among 100, and among %zu\n"
              "wanted  about as many steps\ngot     %zu steps and %zu\n"
              "likely  a get walks over the entries; let the dict find it",
              count, few, many);
    want_that(miss_many <= 3 * miss_few + 50,
              "load 100 keys, and load %zu\n"
              "wanted  about as many steps for each\n"
              "got     %zu steps each and %zu\n"
              "likely  a load walks over the entries; let the dict keep it",
              count, miss_few, miss_many);
}

/* --- 3.4: a walk over the values ------------------------------------- */

TEST(a_walk_meets_every_value_once, "P14", "3.4") {
    enum { KEYS = 40 };
    unsigned met[KEYS + 1] = {0};
    readthrough *r = fresh((readthrough_options){0}, "");
    for (size_t i = 1; i <= KEYS; i++) {
        get(r, text("load-%zu", i));
    }
    size_t cursor = 0, steps = 0;
    bytes key, value;
    while (steps++ <= KEYS && readthrough_next(r, &cursor, &key, &value)) {
        want_bytes(value, key, "load 40 keys, walk over the values",
                   "key and value of a step must belong together");
        met[strtoul((const char *)key.data + 5, NULL, 10) % (KEYS + 1)]++;
    }
    for (size_t i = 1; i <= KEYS; i++) {
        want_int(met[i], 1, text("load 40 keys, walk, count load-%zu", i),
                 "each step must move the cursor on by one value");
    }
    readthrough_destroy(r);
}

TEST(a_walk_over_nothing_ends_at_once, "P14", "3.4") {
    readthrough *r = fresh((readthrough_options){0}, "!");
    get(r, "a");
    size_t cursor = 0;
    bytes key = {"untouched", 9}, value = {"untouched", 9};
    want_false(readthrough_next(r, &cursor, &key, &value),
               "get a; the source fails; walk",
               "a failure leaves nothing behind");
    want_bytes(key, bytes_of("untouched"), "walk over nothing, look at key",
               "key is written at the end");
    want_bytes(value, bytes_of("untouched"), "walk over nothing, look at value",
               "value is written at the end");
    readthrough_destroy(r);
}

/* --- 3.5: absences --------------------------------------------------- */

TEST(without_absent_ms_an_absence_is_not_kept, "P5", "3.5") {
    readthrough *r = fresh((readthrough_options){0}, "--");
    size_t blocks = heap_live_blocks();
    get(r, "a");
    want_int(heap_live_blocks(), blocks,
             "get a; it is not there; count live blocks",
             "with absent_ms 0 nothing of an absent key may be kept");
    want_text(get(r, "a"), "(miss)", "get a, get a; the source has no a",
              "an absence ends with STATUS_MISS every time");
    want_text(get(r, "a"), "load-3", "get a, get a, not there; get a",
              "without absent_ms each get must ask the source");
    readthrough_destroy(r);
}

TEST(a_walk_passes_absences_by, "P14", "3.5") {
    readthrough *r = fresh((readthrough_options){.absent_ms = 100}, "--");
    get(r, "a");
    get(r, "b");
    size_t cursor = 0;
    bytes key = bytes_of("untouched"), value = bytes_of("untouched");
    want_false(readthrough_next(r, &cursor, &key, &value),
               "absent_ms 100: get a and b, which are absent; walk",
               "an absence is kept, but it is no value");
    want_bytes(
        key, bytes_of("untouched"),
        "absent_ms 100: get a and b, which are absent; walk; look at key",
        "a walk writes only when it returns true: not what it passes");
    want_bytes(value, bytes_of("untouched"),
               "absent_ms 100: a and b are absent; walk; look at value",
               "a walk writes only when it returns true: not what it passes");
    readthrough_destroy(r);
}

TEST(an_absence_holds_for_absent_ms_and_no_longer, "P5", "3.5") {
    readthrough *r = fresh((readthrough_options){.absent_ms = 100}, "--");
    get(r, "a");
    source.now_ms += 99;
    want_text(get(r, "a"), "(miss)", "absent_ms 100: get a, 99 ms, get a",
              "a kept absence must read as \"not there\"");
    want_int(source.loads, 1,
             "absent_ms 100: get a, not there, 99 ms, get a, count loads",
             "an absence must be kept for absent_ms");
    source.now_ms += 1;
    get(r, "a");
    want_int(source.loads, 2,
             "absent_ms 100: get a, not there, 100 ms, get a, count loads",
             "at exactly absent_ms the source must be asked again");
    source.now_ms += 99;
    get(r, "a");
    want_int(source.loads, 2,
             "absent_ms 100: get a, 100 ms, get a, 99 ms, get a, count loads",
             "the second absence must hold as long as the first");
    source.now_ms += 1;
    want_text(get(r, "a"), "load-3",
              "absent_ms 100: a is absent twice, and then there",
              "a value must take the place of an absence");
    want_stats(r, (readthrough_stats){2, 3, 3, 0, 0},
               "an absent key: two gets within absent_ms, three loads");
    readthrough_destroy(r);
}

TEST(an_absence_is_as_old_as_its_question, "P5", "3.5") {
    readthrough *r = fresh((readthrough_options){.absent_ms = 100}, "~-");
    get(r, "a"); /* the load takes 30 ms */
    source.now_ms += 69;
    get(r, "a");
    want_int(source.loads, 1,
             "absent_ms 100: a load of 30 ms, 69 ms, get a, count loads",
             "99 ms after the question the absence must still hold");
    source.now_ms += 1;
    get(r, "a");
    want_int(source.loads, 2,
             "absent_ms 100: a load of 30 ms, 70 ms, get a, count loads",
             "the time counts from the beginning of the load: the key may be "
             "there since");
    readthrough_destroy(r);
}

TEST(one_absence_says_nothing_of_other_keys, "P5", "3.5") {
    readthrough *r = fresh((readthrough_options){.absent_ms = 100}, "-+");
    get(r, "a");
    want_text(get(r, "b"), "load-2", "get a, which is absent; get b",
              "an absence must be kept under its own key");
    want_text(get(r, "a"), "(miss)", "get a, which is absent; get b; get a",
              "an absence must be kept under its own key");
    want_text(held(r), "b=load-2 ", "get a, which is absent; get b; walk",
              "a walk must leave out the absences");
    readthrough_destroy(r);
}

/* --- 3.6: freshness -------------------------------------------------- */

TEST(a_value_is_fresh_for_fresh_ms_and_no_longer, "P6", "3.6") {
    readthrough *r = fresh((readthrough_options){.fresh_ms = 100}, "");
    get(r, "a");
    source.now_ms += 99;
    want_text(get(r, "a"), "load-1", "fresh_ms 100: get a, 99 ms, get a",
              "a value younger than fresh_ms is fresh");
    source.now_ms += 1;
    want_text(get(r, "a"), "load-2", "fresh_ms 100: get a, 100 ms, get a",
              "at exactly fresh_ms it must be loaded anew, and a hit in "
              "between does not renew it");
    source.now_ms += 99;
    want_text(get(r, "a"), "load-2",
              "fresh_ms 100: get a, 100 ms, get a, 99 ms, get a",
              "a value that was loaded anew is fresh anew");
    readthrough_destroy(r);
}

TEST(a_value_is_as_old_as_its_question, "P6", "3.6") {
    readthrough *r = fresh((readthrough_options){.fresh_ms = 100}, "~+");
    get(r, "a"); /* the load takes 30 ms */
    source.now_ms += 69;
    want_text(get(r, "a"), "load-1",
              "fresh_ms 100: a load of 30 ms, 69 ms, get a",
              "99 ms after the question the value is fresh");
    source.now_ms += 1;
    want_text(get(r, "a"), "load-2",
              "fresh_ms 100: a load of 30 ms, 70 ms, get a",
              "the time counts from the beginning of the load: the value may "
              "have changed since");
    readthrough_destroy(r);
}

TEST(no_bound_is_too_large, "P6", "3.6") {
    readthrough_options most = {INT64_MAX, INT64_MAX, INT64_MAX, {0}, 0};
    readthrough *r = fresh(most, "+-");
    get(r, "a");
    get(r, "b");
    source.now_ms += INT64_MAX / 2;
    want_text(get(r, "a"), "load-1",
              "fresh_ms INT64_MAX: get a, wait for ages, get a",
              "now + fresh_ms overflows: compare an age with a bound");
    want_text(get(r, "b"), "(miss)",
              "absent_ms INT64_MAX: get b, not there, wait for ages, get b",
              "now + absent_ms overflows: compare an age with a bound");
    want_int(source.loads, 2, "get a, b, wait for ages, get a, b, count loads",
             "now + a bound overflows: compare an age with a bound");
    readthrough_destroy(r);
}

TEST(a_reload_takes_the_place_of_the_old_value, "P6", "3.6") {
    readthrough *r = fresh((readthrough_options){.fresh_ms = 100}, "");
    get(r, "a");
    size_t blocks = heap_live_blocks();
    source.now_ms += 100;
    get(r, "a");
    want_int(heap_live_blocks(), blocks,
             "fresh_ms 100: get a, 100 ms, get a, count live blocks",
             "the old value must be freed once the new one is there");
    want_text(held(r), "a=load-2 ", "fresh_ms 100: get a, 100 ms, get a, walk",
              "there is one value per key");
    readthrough_destroy(r);
}

TEST(an_absence_ends_the_old_value, "P7", "3.6") {
    readthrough_options options = {.fresh_ms = 100, .stale_ms = 1000};
    for (options.absent_ms = 0; options.absent_ms <= 50;
         options.absent_ms += 50) {
        const char *with = text("fresh_ms 100, stale_ms 1000, absent_ms %d",
                                (int)options.absent_ms);
        readthrough *r = fresh(options, "+-!");
        get(r, "a");
        source.now_ms += 100;
        want_text(get(r, "a"), "(miss)",
                  text("%s: get a, 100 ms, get a; now it is absent", with),
                  "\"not there\" is no failure: no old value stands in");
        want_text(held(r), "",
                  text("%s: get a, 100 ms, get a; absent; walk", with),
                  "an absence must end the old value");
        source.now_ms += 50;
        want_text(get(r, "a"), "(backend failed)",
                  text("%s: a value, an absence, a failure", with),
                  "neither an absence nor what was before it stands in for "
                  "a failure");
        readthrough_destroy(r);
    }
}

/* --- 3.7: stale answers ---------------------------------------------- */

TEST(without_stale_ms_a_failure_shows, "P7", "3.7") {
    readthrough *r = fresh((readthrough_options){.fresh_ms = 100}, "+!");
    get(r, "a");
    source.now_ms += 100;
    want_text(get(r, "a"), "(backend failed)",
              "fresh_ms 100, stale_ms 0: get a, 100 ms, get a, which fails",
              "with stale_ms 0 no old value stands in");
    want_text(get(r, "a"), "load-3", "a value, a failure, get a",
              "a failure must not be kept");
    readthrough_destroy(r);
}

TEST(an_old_value_stands_in_for_a_failure, "P7", "3.7") {
    readthrough_options options = {.fresh_ms = 100, .stale_ms = 50};
    readthrough *r = fresh(options, "+!?!");
    get(r, "a");
    source.now_ms += 100;
    want_text(get(r, "a"), "load-1",
              "fresh_ms 100, stale_ms 50: get a, 100 ms, get a, which fails",
              "an old value within stale_ms must stand in for the failure");
    source.now_ms += 49;
    want_text(get(r, "a"), "load-1",
              "fresh_ms 100, stale_ms 50: get a, 149 ms, get a, which fails",
              "within fresh_ms + stale_ms the old value stands in");
    want_int(source.loads, 3, "two gets of an old value, count loads",
             "a stale answer is no hit: each get must ask the source");
    source.now_ms += 1;
    want_text(get(r, "a"), "(backend failed)",
              "fresh_ms 100, stale_ms 50: get a, 150 ms, get a, which fails",
              "at exactly fresh_ms + stale_ms the failure must show");
    want_stats(r, (readthrough_stats){0, 4, 4, 3, 2},
               "a value, two failures within stale_ms, one after it");
    want_text(get(r, "a"), "load-5", "three failures, then a value",
              "the source must be asked until it gives again");
    readthrough_destroy(r);
}

TEST(a_late_failure_is_judged_when_it_is_in, "P7", "3.7") {
    readthrough_options options = {.fresh_ms = 100, .stale_ms = 50};
    readthrough *r = fresh(options, "+~!~!");
    get(r, "a");
    source.now_ms += 119;
    want_text(get(r, "a"), "load-1",
              "fresh_ms 100, stale_ms 50: get a, 119 ms, get a, which fails "
              "after 30 ms",
              "the value is 149 ms old when the failure is in: usable");
    source.now_ms = 5000 + 120;
    want_text(get(r, "a"), "(backend failed)",
              "fresh_ms 100, stale_ms 50: get a, 120 ms, get a, which fails "
              "after 30 ms",
              "the value is 150 ms old when the failure is in: read the clock "
              "after the load");
    readthrough_destroy(r);
}

TEST(an_absence_does_not_stand_in_for_a_failure, "P7", "3.7") {
    readthrough_options options = {100, 1000, 10, {0}, 0};
    readthrough *r = fresh(options, "-!");
    get(r, "a");
    source.now_ms += 100;
    want_text(get(r, "a"), "(backend failed)",
              "absent_ms 10, stale_ms 1000: get a, not there, 100 ms, get a, "
              "which fails",
              "only values stand in: an absence past its bound is forgotten");
    readthrough_destroy(r);
}

TEST(a_stale_bound_may_be_as_large_as_any, "P7", "3.7") {
    readthrough_options options = {100, INT64_MAX, 0, {0}, 0};
    readthrough *r = fresh(options, "+!");
    get(r, "a");
    source.now_ms += 1000000;
    want_text(get(r, "a"), "load-1",
              "fresh_ms 100, stale_ms INT64_MAX: get a, wait, get a, which "
              "fails",
              "fresh_ms + stale_ms overflows: compare age - fresh_ms instead");
    readthrough_destroy(r);
}

/* --- 3.8: the source asks the cache ---------------------------------- */

/* The value of "n" is the value of "n-1" and one letter more. */
static status load_chain(void *context, bytes key, readthrough_reply *reply) {
    script *s = context;
    char name[32], longer[256];
    snprintf(name, sizeof name, "%.*s", (int)key.len, (const char *)key.data);
    unsigned long n = strtoul(name, NULL, 10);
    bytes before = {"", 0};
    s->loads++;
    if (n > 0) {
        snprintf(name, sizeof name, "%lu", n - 1);
        status inner = readthrough_get(s->cache, bytes_of(name), &before);
        if (inner != STATUS_OK) {
            return inner;
        }
    }
    before.len = before.len < sizeof longer ? before.len : sizeof longer - 1;
    memcpy(longer, before.data, before.len);
    longer[before.len] = 'x';
    return readthrough_give(reply, (bytes){longer, before.len + 1});
}

TEST(the_source_may_get_other_keys, "P8", "3.8") {
    enum { DEPTH = 100 };
    readthrough *r = fresh_with(load_chain, (readthrough_options){0}, "");
    bytes value = {"", 0};
    want_status(readthrough_get(r, bytes_of("100"), &value), STATUS_OK,
                "get 100, whose load gets 99, whose load gets 98, ...",
                "a load inside of a load is a load like any other");
    want_int(value.len, DEPTH + 1, "get 100, look at the length of its value",
             "a load inside of a load must not disturb the one around it");
    want_int(source.loads, DEPTH + 1, "get 100, count loads",
             "each key of the chain is loaded once");
    for (size_t n = 0; n <= DEPTH; n++) {
        readthrough_get(r, bytes_of(text("%zu", n)), &value);
        want_int(value.len, n + 1,
                 text("get 100, which loads all below it; get %zu", n),
                 "what an inner load gave must be kept under its own key");
    }
    want_stats(r, (readthrough_stats){DEPTH + 1, DEPTH + 1, DEPTH + 1, 0, 0},
               "get 100, which loads 0 to 99 too, then get each of them");
    readthrough_destroy(r);
}

/* a asks for b, and b for a; c asks for c. Then each asks for itself. */
static status load_ring(void *context, bytes key, readthrough_reply *reply) {
    script *s = context;
    bool is_a = bytes_equal(key, bytes_of("a"));
    bool is_b = bytes_equal(key, bytes_of("b"));
    bytes next = bytes_of(is_a ? "b" : is_b ? "a" : "c");
    if (++s->loads < 10) { /* an end, should nobody refuse */
        s->refused += readthrough_get(s->cache, next, NULL) == STATUS_DEADLOCK;
        s->refused += readthrough_get(s->cache, key, NULL) == STATUS_DEADLOCK;
    }
    return give(reply, text("load-%zu", s->loads));
}

TEST(a_get_of_a_key_that_is_being_loaded_would_deadlock, "P8", "3.8") {
    readthrough *r = fresh_with(load_ring, (readthrough_options){0}, "");
    get(r, "c");
    want_int(source.refused, 2,
             "get c, whose load gets c twice, count STATUS_DEADLOCK",
             "keep track of the keys that are being loaded");
    want_int(source.loads, 1, "get c, whose load gets c twice, count loads",
             "a get that would deadlock must not call the source");
    want_text(get(r, "c"), "load-1", "get c, whose load gets c; get c",
              "the load around the refused get must go on undisturbed");
    source.refused = 0;
    get(r, "a");
    want_int(source.refused, 3,
             "get a; its load gets b, whose load gets a and b; then it gets "
             "a; count STATUS_DEADLOCK",
             "all loads in progress count, until each is over");
    want_int(source.loads, 3, "get c, get a, whose load gets b, count loads",
             "a get that would deadlock must not call the source");
    want_stats(r, (readthrough_stats){1, 8, 3, 0, 0},
               "get c, c, a; inside of loads get c, c, b, a, b, a");
    readthrough_destroy(r);
}

/* Fails, or says "not there", after a get of another key. */
static status load_pair(void *context, bytes key, readthrough_reply *reply) {
    script *s = context;
    s->loads++;
    if (bytes_equal(key, bytes_of("inner"))) {
        return play(*s->letters++, key, reply);
    }
    s->inner = readthrough_get(s->cache, bytes_of("inner"), NULL);
    return s->inner == STATUS_OK ? give(reply, text("load-%zu", s->loads))
                                 : s->inner;
}

TEST(a_load_that_failed_is_over, "P8", "3.8") {
    readthrough *r = fresh_with(load_pair, (readthrough_options){0}, "!-+");
    want_text(get(r, "a"), "(backend failed)",
              "get a, whose load gets inner, which fails",
              "the failure of an inner load reaches the outer by its source");
    want_text(get(r, "a"), "(miss)",
              "get a, which fails; get a, whose load gets inner: not there",
              "a load is over when the source returns, however it ends");
    want_text(get(r, "a"), "load-6",
              "get a, get a, both without a value; get a",
              "a load is over when the source returns, however it ends");
    want_text(get(r, "inner"), "load-6",
              "get a, whose load gets inner; "
              "get inner",
              "what an inner load gave is kept");
    readthrough_destroy(r);
}

/* Its first load gives; each later one asks for its own key, and fails. */
static status load_itself(void *context, bytes key, readthrough_reply *reply) {
    script *s = context;
    if (++s->loads == 1) {
        return give(reply, "load-1");
    }
    s->inner = s->loads < 10 ? readthrough_get(s->cache, key, NULL) : STATUS_OK;
    return STATUS_BACKEND;
}

TEST(an_old_value_does_not_hide_a_deadlock, "P8", "3.8") {
    readthrough_options options = {.fresh_ms = 100, .stale_ms = 100};
    readthrough *r = fresh_with(load_itself, options, "");
    get(r, "a");
    source.now_ms += 100;
    want_text(get(r, "a"), "load-1",
              "get a, 100 ms, get a, whose load gets a, and fails",
              "the old value must outlive the load that fails");
    want_status(source.inner, STATUS_DEADLOCK,
                "get a, 100 ms, get a, whose load gets a",
                "a key that is being loaded again is being loaded too");
    want_stats(r, (readthrough_stats){0, 3, 2, 1, 1},
               "get a, 100 ms, get a, whose load gets a, and fails");
    readthrough_destroy(r);
}

/* --- 3.9: memory runs out -------------------------------------------- */

/* Each attempt gets a key that is not held yet, with a name too long for the
 * dict's slots, so that every kind of allocation takes part. */
static void try_to_get(void *context) {
    readthrough *r = context;
    const char *key =
        text("a key of more than sixteen bytes, %zu", source.loads);
    size_t before = source.loads;
    const char *got = get(r, key);
    if (!heap_has_failed()) {
        want_text(got, text("load-%zu", before + 1), "get a new key",
                  "with memory the get must succeed");
        return;
    }
    want_text(got, "(no memory)", "get a new key while an allocation fails",
              "every result of malloc and of dict_set must be looked at");
    want_text(get(r, "first"), "load-1", "a get without memory, get first",
              "what was held must outlive a failed load");
    before = source.loads;
    want_text(get(r, key), text("load-%zu", before + 1),
              "a get without memory, get the same key",
              "a load without memory has failed, and nothing of it is kept");
}

TEST(without_memory_a_load_has_failed, "P12", "3.9") {
    static const char *const letters[] = {"", "i"};
    for (size_t i = 0; i < 2; i++) {
        readthrough *r = fresh((readthrough_options){0}, "");
        get(r, "first");
        size_t failed = 0;
        for (size_t round = 0; round < 6; round++) { /* the table grows too */
            source.letters = letters[i];
            failed += heap_fail_each(try_to_get, r);
        }
        want_true(failed > 0, "get new keys, count failed allocations",
                  "the cache must keep copies");
        want_int(readthrough_statistics(r).failures, failed,
                 "get new keys while allocations fail, look at failures",
                 "a load whose value finds no room is a failure");
        readthrough_destroy(r);
    }
}

static void try_to_reload(void *context) {
    readthrough_options options = {.fresh_ms = 100, .stale_ms = 100};
    const char *letters = context;
    heap_fail_at(0);
    readthrough *r = fresh(options, "+");
    get(r, "a");
    source.letters = letters;
    source.now_ms += 100;
    heap_fail_at(1);
    want_text(get(r, "a"), "load-1",
              "get a, 100 ms, get a; there is no memory for the new value",
              "a value without room is a failed load: the old one stands in");
    want_int(readthrough_statistics(r).stale, 1,
             "get a, 100 ms, get a without memory, look at stale",
             "count every old value that stands in");
    readthrough_destroy(r);
}

TEST(without_memory_the_old_value_stays, "P12", "3.9") {
    static char passes_on[] = "+", ignores_it[] = "i", again[] = "d";
    try_to_reload(passes_on);
    try_to_reload(ignores_it);
    heap_fail_at(0);
    readthrough_options options = {.fresh_ms = 100};
    readthrough *r = fresh(options, "+");
    get(r, "a");
    source.now_ms += 100;
    source.letters = again;
    heap_fail_at(2); /* the second give of the load finds no room */
    want_text(get(r, "a"), "(no memory)",
              "get a, 100 ms, get a; the source gives twice, and there is no "
              "memory for the second value",
              "the last give decides: the first value was replaced");
    readthrough_destroy(r);
}

TEST(without_memory_an_absence_is_told_all_the_same, "P12", "3.9") {
    readthrough_options options = {100, 1000, 50, {0}, 0};
    for (size_t n = 1; n <= 3; n++) { /* the n-th allocation fails */
        readthrough *r = fresh(options, "+--!");
        get(r, "a");
        source.now_ms += 100;
        heap_fail_at(n);
        want_text(get(r, "an absent key of more than 16 bytes"), "(miss)",
                  text("get an absent key, allocation %zu fails", n),
                  "an absence is an answer, even if it cannot be kept");
        heap_fail_at(n);
        want_text(get(r, "a"), "(miss)",
                  text("get a, 100 ms, get a, now absent; allocation %zu "
                       "fails",
                       n),
                  "an absence is an answer, even if it cannot be kept");
        heap_fail_at(0);
        want_text(held(r), "",
                  text("get a, 100 ms, get a, now absent; allocation %zu "
                       "fails; walk",
                       n),
                  "an absence ends the old value, even if it cannot be kept");
        readthrough_destroy(r);
    }
}

/* --- random runs against an array ------------------------------------ */

enum { MODEL_KEYS = 6, FRESH = 20, STALE = 15, ABSENT = 10 };

/* What the model knows of a key: 0 nothing, and of a value its load. */
struct known {
    bool absent;
    size_t load;
    int64_t asked_ms;
};

struct beside {
    readthrough *r;
    struct known known[MODEL_KEYS];
    readthrough_stats stats;
};

static void *model_begin(void) {
    struct beside *b = calloc(1, sizeof *b);
    b->r = fresh((readthrough_options){FRESH, STALE, ABSENT, {0}, 7}, "");
    return b;
}

static const char *model_key(unsigned n) {
    return text(n % 2 ? "k%u" : "a rather long key, number %u", n);
}

static const char *const outcomes[] = {"+", "-", "!", "~+", "~-", "~!"};

/* What a get must end with, told by the plain model. */
static const char *model_get(struct beside *b, struct known *k, unsigned value,
                             size_t loads) {
    int64_t now = source.now_ms, age = now - k->asked_ms;
    if (k->absent ? age < ABSENT : k->load > 0 && age < FRESH) {
        b->stats.hits++;
        return k->absent ? "(miss)" : text("load-%zu", k->load);
    }
    b->stats.misses++;
    b->stats.loads++;
    char end = outcomes[value][strlen(outcomes[value]) - 1];
    if (end != '!') {
        *k = (struct known){end == '-', end == '-' ? 0 : loads + 1, now};
        return end == '-' ? "(miss)" : text("load-%zu", loads + 1);
    }
    b->stats.failures++;
    age += *outcomes[value] == '~' ? source.late_ms : 0;
    if (k->load > 0 && age < FRESH + STALE) {
        b->stats.stale++;
        return text("load-%zu", k->load);
    }
    return "(backend failed)";
}

static const char *model_apply(void *state, model_step s) {
    struct beside *b = state;
    if (s.operation == 0) {
        source.now_ms += s.value * 5;
        return NULL;
    }
    source.late_ms = 4;
    const char *want = model_get(b, &b->known[s.key], s.value, source.loads);
    source.letters = outcomes[s.value];
    const char *got = get(b->r, model_key(s.key));
    if (strcmp(got, want) != 0) {
        return text("%s, where %s was wanted", got, want);
    }
    readthrough_stats stats = readthrough_statistics(b->r);
    if (memcmp(&stats, &b->stats, sizeof stats) != 0) {
        return "other statistics than the plain model";
    }
    return NULL;
}

static const char *model_end(void *state) {
    struct beside *b = state;
    size_t want = 0, got = 0, cursor = 0;
    for (size_t i = 0; i < MODEL_KEYS; i++) {
        want += b->known[i].load > 0;
    }
    bytes key, value;
    while (got <= MODEL_KEYS && readthrough_next(b->r, &cursor, &key, &value)) {
        got++;
    }
    readthrough_destroy(b->r);
    free(b);
    return got == want
               ? NULL
               : text("%zu values in a walk, where %zu are held", got, want);
}

static void model_print(FILE *out, model_step s) {
    if (s.operation == 0) {
        fprintf(out, "source.now_ms += %u;", s.value * 5);
    } else {
        fprintf(out, "source.letters = \"%s\"; get(r, \"%s\");",
                outcomes[s.value], model_key(s.key));
    }
}

TEST(any_mix_of_calls_agrees_with_a_plain_array, "P10", "3.9") {
    model_check(&(model){
        .operations = 3,
        .keys = MODEL_KEYS,
        .values = sizeof outcomes / sizeof outcomes[0],
        .lists = 100,
        .steps = 150,
        .begin = model_begin,
        .apply = model_apply,
        .end = model_end,
        .print = model_print,
    });
}
