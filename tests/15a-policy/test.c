/* Tests of the policies. Objects are letters, so that a trace is a word and
 * what came of it is a line of + and -, hits and misses. */
#include "policy.h"

#include "support/check.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/work.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { LETTERS = 26, LINE = 256, TRACE_MAX = 20000 };

static const char *const names[POLICY_KINDS] = {
    "FIFO", "LRU", "CLOCK", "SIEVE", "S3-FIFO", "W-TinyLFU", "Belady"};

static policy *fresh_of(policy_kind kind, size_t capacity, size_t objects) {
    policy *p = NULL;
    want_status(policy_create(kind, capacity, objects, 42, &p), STATUS_OK,
                text("create a %s of %zu", names[kind], capacity),
                "create fails though all is well");
    want_true(p != NULL, text("create a %s, look at *out", names[kind]),
              "create must write *out");
    return p;
}

static uint32_t object_of(char letter) {
    return (uint32_t)(letter - 'a');
}

/* Asks for each letter of a word. Returns: a line of + and -; blanks stay. */
static const char *ask(policy *p, const char *word) {
    static char line[LINE];
    size_t n = 0;
    for (; word[n]; n++) {
        line[n] = ' ';
        if (islower((unsigned char)word[n])) {
            line[n] = policy_request(p, object_of(word[n])) ? '+' : '-';
        }
    }
    line[n] = '\0';
    return line;
}

/* The letters that are held, in the order of the alphabet. */
static const char *held(const policy *p) {
    static char line[LETTERS + 1];
    size_t n = 0;
    for (char letter = 'a'; letter <= 'z'; letter++) {
        if (policy_holds(p, object_of(letter))) {
            line[n++] = letter;
        }
    }
    line[n] = '\0';
    return line;
}

/* What a fresh policy of letters makes of a word that was worked by hand. */
static void want_line(policy_kind kind, size_t capacity, const char *word,
                      const char *line, const char *likely) {
    policy *p = fresh_of(kind, capacity, LETTERS);
    const char *did =
        text("%s of %zu, asked for\n          %s", names[kind], capacity, word);
    want_text(ask(p, word), line, did, likely);
    policy_destroy(p);
}

/* -- seeded traces -----------------------------------------------------------
 */

static uint32_t trace[TRACE_MAX];

/* Small numbers come up most; now and then a run of numbers in a row. */
static void draw_trace(size_t n, size_t objects, uint64_t seed) {
    for (size_t i = 0; i < n; i++) {
        uint64_t a = test_random(&seed) % objects;
        uint64_t b = test_random(&seed) % objects;
        trace[i] = (uint32_t)(a * b / objects);
        if (test_random(&seed) % 64 == 0) {
            for (uint32_t k = 0; k < objects / 4 && i + 1 < n; k++) {
                trace[++i] = (uint32_t)((a + k) % objects);
            }
        }
    }
}

static size_t misses(policy *p, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += !policy_request(p, trace[i]);
    }
    return count;
}

/* -- models: arrays, and nothing clever --------------------------------------
 */

/* All that are held, the oldest first. */
typedef struct line {
    uint32_t object[LINE];
    unsigned uses[LINE];
    size_t count, capacity, hand;
} line;

static size_t find(const line *l, uint32_t object) {
    size_t i = 0;
    while (i < l->count && l->object[i] != object) {
        i++;
    }
    return i;
}

static void take_out(line *l, size_t at) {
    l->count--;
    for (size_t i = at; i < l->count; i++) {
        l->object[i] = l->object[i + 1];
        l->uses[i] = l->uses[i + 1];
    }
}

static void put_last(line *l, uint32_t object, unsigned uses) {
    l->object[l->count] = object;
    l->uses[l->count++] = uses;
}

static bool model_fifo(line *l, uint32_t object) {
    if (find(l, object) < l->count) {
        return true;
    }
    if (l->count == l->capacity) {
        take_out(l, 0);
    }
    put_last(l, object, 0);
    return false;
}

static bool model_lru(line *l, uint32_t object) {
    size_t at = find(l, object);
    if (at == l->count) {
        return model_fifo(l, object);
    }
    take_out(l, at);
    put_last(l, object, 0);
    return true;
}

static bool model_clock(line *l, uint32_t object) {
    size_t at = find(l, object);
    if (at < l->count) {
        l->uses[at] = 1;
        return true;
    }
    while (l->count == l->capacity) {
        uint32_t oldest = l->object[0];
        bool spared = l->uses[0] > 0;
        take_out(l, 0);
        if (spared) {
            put_last(l, oldest, 0);
        }
    }
    put_last(l, object, 0);
    return false;
}

static bool model_sieve(line *l, uint32_t object) {
    size_t at = find(l, object);
    if (at < l->count) {
        l->uses[at] = 1;
        return true;
    }
    if (l->count == l->capacity) {
        while (l->hand == l->count || l->uses[l->hand] > 0) {
            if (l->hand == l->count) {
                l->hand = 0;
            } else {
                l->uses[l->hand++] = 0;
            }
        }
        take_out(l, l->hand);
        l->hand = l->hand == l->count ? 0 : l->hand;
    }
    put_last(l, object, 0);
    return false;
}

/* S3-FIFO has three lines: its small one is the line that the others have. */
static line s3_main, s3_ghost;

static void model_main_gives(void) {
    while (s3_main.uses[0] > 0) {
        uint32_t object = s3_main.object[0];
        unsigned uses = s3_main.uses[0];
        take_out(&s3_main, 0);
        put_last(&s3_main, object, uses - 1);
    }
    take_out(&s3_main, 0);
}

static bool model_small_gives(line *small, size_t size) {
    while (small->count > 0) {
        uint32_t object = small->object[0];
        unsigned uses = small->uses[0];
        take_out(small, 0);
        if (uses < 2) {
            put_last(&s3_ghost, object, 0);
            if (s3_ghost.count > small->capacity - size) {
                take_out(&s3_ghost, 0);
            }
            return true;
        }
        put_last(&s3_main, object, uses);
    }
    return false;
}

static bool model_s3_fifo(line *small, uint32_t object) {
    size_t size = small->capacity / 10 > 0 ? small->capacity / 10 : 1;
    line *both[] = {small, &s3_main};
    for (size_t i = 0; i < 2; i++) {
        size_t at = find(both[i], object);
        if (at < both[i]->count) {
            both[i]->uses[at] += both[i]->uses[at] < 3;
            return true;
        }
    }
    if (small->count + s3_main.count == small->capacity) {
        bool gave = small->count >= size && model_small_gives(small, size);
        if (!gave) {
            model_main_gives();
        }
    }
    size_t ghost = find(&s3_ghost, object);
    bool known = ghost < s3_ghost.count;
    if (known) {
        take_out(&s3_ghost, ghost);
    }
    put_last(known ? &s3_main : small, object, 0);
    return false;
}

static bool (*const models[])(line *l, uint32_t object) = {
    model_fifo, model_lru, model_clock, model_sieve, model_s3_fifo};

/* A policy beside its model. */
struct beside {
    policy *p;
    line line;
};

static policy_kind tried;
static size_t tried_capacity;

static size_t model_count(const struct beside *b) {
    return b->line.count + s3_main.count;
}

static void *begin_beside(void) {
    struct beside *b = calloc(1, sizeof *b);
    b->line.capacity = tried_capacity;
    s3_main.count = s3_ghost.count = 0;
    b->p = fresh_of(tried, b->line.capacity, LETTERS);
    return b;
}

static const char *apply_beside(void *state, model_step s) {
    struct beside *b = state;
    bool want = models[tried](&b->line, s.key);
    bool got = policy_request(b->p, s.key);
    if (got != want) {
        return text("%s of %zu: %c is a %s, where it should be a %s",
                    names[tried], tried_capacity, 'a' + (int)s.key,
                    got ? "hit" : "miss", want ? "hit" : "miss");
    }
    if (policy_count(b->p) != model_count(b)) {
        return text("%s of %zu: %zu are held, not %zu", names[tried],
                    tried_capacity, policy_count(b->p), model_count(b));
    }
    for (uint32_t i = 0; i < LETTERS; i++) {
        bool here = find(&b->line, i) < b->line.count
                    || find(&s3_main, i) < s3_main.count;
        if (policy_holds(b->p, i) != here) {
            return text("%s of %zu: %c is %sheld", names[tried], tried_capacity,
                        'a' + (int)i, here ? "not " : "");
        }
    }
    return NULL;
}

static const char *end_beside(void *state) {
    struct beside *b = state;
    policy_destroy(b->p);
    free(b);
    return NULL;
}

static void print_step(FILE *out, model_step s) {
    fprintf(out, "policy_request(p, '%c' - 'a');", 'a' + (int)s.key);
}

static void check_beside(policy_kind kind) {
    static const size_t capacities[] = {1, 2, 3, 7, 14, 19};
    tried = kind;
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        tried_capacity = capacities[i];
        model_check(&(model){.operations = 1,
                             .keys = LETTERS,
                             .values = 1,
                             .lists = test_scale(10, 2),
                             .steps = 200,
                             .begin = begin_beside,
                             .apply = apply_beside,
                             .end = end_beside,
                             .print = print_step});
    }
}

/* -- 15a.1: create, destroy --------------------------------------------------
 */

TEST(a_fresh_cache_holds_nobody, "P2", "15a.1") {
    for (policy_kind kind = 0; kind < POLICY_KINDS; kind++) {
        policy *p = fresh_of(kind, 3, LETTERS);
        want_int(policy_count(p), 0, text("create a %s, count", names[kind]),
                 "the count must start at 0");
        want_text(held(p), "", text("create a %s, who is held?", names[kind]),
                  "nobody was asked for yet");
        policy_destroy(p);
    }
}

TEST(to_end_nothing_is_fine, "P13", "15a.1") {
    policy_destroy(NULL);
}

TEST(what_makes_no_sense_is_refused, "P12", "15a.1") {
    static const struct {
        int kind;
        size_t capacity, objects;
        const char *what;
    } bad[] = {{POLICY_LRU, 0, 1, "capacity 0"},
               {POLICY_LRU, 1, 0, "0 objects"},
               {POLICY_KINDS, 1, 1, "a kind past the last one"},
               {-1, 1, 1, "kind -1"},
               {POLICY_LRU, POLICY_OBJECTS_MAX + 1, 1, "too large a capacity"},
               {POLICY_LRU, 1, POLICY_OBJECTS_MAX + 1, "too many objects"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        policy *untouched = (policy *)trace;
        policy *p = untouched;
        status s = policy_create((policy_kind)bad[i].kind, bad[i].capacity,
                                 bad[i].objects, 42, &p);
        want_status(s, STATUS_INVALID, text("create with %s", bad[i].what),
                    "the header says which values are possible");
        want_pointer(p, untouched, "a create that fails, look at *out",
                     "*out is written on success only");
    }
}

static void create_and_destroy(void *kind) {
    policy *untouched = (policy *)trace;
    policy *p = untouched;
    status s = policy_create(*(policy_kind *)kind, 3, LETTERS, 42, &p);
    if (!heap_has_failed()) {
        policy_destroy(p);
        return;
    }
    want_status(s, STATUS_NO_MEMORY, "create without memory",
                "an allocation that failed must be told");
    want_pointer(p, untouched, "create without memory, look at *out",
                 "*out is written on success only");
}

TEST(without_memory_create_says_so, "P13", "15a.1") {
    for (policy_kind kind = 0; kind < POLICY_KINDS; kind++) {
        want_that(heap_fail_each(create_and_destroy, &kind) >= 2,
                  "create a %s without memory\n"
                  "likely  a policy and its nodes are two blocks at least",
                  names[kind]);
    }
}

/* -- 15a.2: FIFO -------------------------------------------------------------
 */

TEST(fifo_gives_up_who_came_first, "P3", "15a.2") {
    want_line(POLICY_FIFO, 3, "abc abc d a bcd", "--- +++ - - ---",
              "d makes a go, who came first; a makes b go; b makes c go");
}

TEST(fifo_does_not_notice_a_hit, "P3", "15a.2") {
    want_line(POLICY_FIFO, 3, "abc aaaa d a", "--- ++++ - -",
              "a was asked for often, and came first all the same");
}

TEST(whoever_is_asked_for_gets_in, "P1", "15a.2") {
    policy *p = fresh_of(POLICY_FIFO, 2, LETTERS);
    ask(p, "a");
    want_text(held(p), "a", "FIFO of 2, asked for a; who is held?",
              "a miss must let its object in");
    ask(p, "bc");
    want_text(held(p), "bc", "FIFO of 2, asked for abc; who is held?",
              "who was evicted is still there, or a newcomer is not");
    want_int(policy_count(p), 2, "FIFO of 2, asked for abc; count",
             "one came and one went");
    policy_destroy(p);
}

TEST(a_cache_of_one_holds_the_last, "P2", "15a.2") {
    want_line(POLICY_FIFO, 1, "aa b a bb", "-+ - - -+",
              "the queue of one: its first is its last");
}

TEST(where_there_is_room_for_all_nobody_goes, "P2", "15a.2") {
    policy *p = fresh_of(POLICY_FIFO, 2 * LETTERS, 3);
    want_text(ask(p, "abcabc"), "---+++",
              "FIFO of 52, 3 objects, asked for abcabc",
              "a capacity may be larger than the number of objects");
    want_int(policy_count(p), 3, "FIFO of 52, 3 objects, all asked for; count",
             "each of them came in once");
    policy_destroy(p);
}

TEST(fifo_agrees_with_a_plain_array, "P3", "15a.2") {
    check_beside(POLICY_FIFO);
}

/* -- 15a.3: LRU --------------------------------------------------------------
 */

TEST(lru_gives_up_who_was_not_used_for_longest, "P4", "15a.3") {
    want_line(POLICY_LRU, 3, "abc a d a b", "--- + - + -",
              "a hit makes a the most recent, so d makes b go");
}

TEST(lru_agrees_with_a_plain_array, "P4", "15a.3") {
    check_beside(POLICY_LRU);
}

/* -- 15a.4: CLOCK ------------------------------------------------------------
 */

TEST(clock_spares_who_was_used, "P5", "15a.4") {
    want_line(POLICY_CLOCK, 3, "abc a d a b", "--- + - + -",
              "a was hit, so d makes b go");
}

TEST(clock_spares_once_for_any_number_of_hits, "P5", "15a.4") {
    want_line(POLICY_CLOCK, 2, "ab aaaa c d a", "-- ++++ - - -",
              "c makes b go and spends a's mark; then d makes a go");
}

TEST(sparing_takes_the_mark_off, "P5", "15a.4") {
    want_line(POLICY_CLOCK, 2, "ab a c d a", "-- + - - -",
              "c makes b go and spends a's one mark; then d makes a go");
}

TEST(who_is_spared_by_the_clock_goes_to_the_front, "P5", "15a.4") {
    want_line(POLICY_CLOCK, 3, "abc a d e a f g a", "--- + - - + - - +",
              "a goes to the front, behind c: d makes b go and e makes c go; "
              "hit again, a goes round once more: f makes d go, g makes e go");
}

TEST(clock_agrees_with_a_plain_array, "P5", "15a.4") {
    check_beside(POLICY_CLOCK);
}

/* -- 15a.5: SIEVE ------------------------------------------------------------
 */

TEST(sieve_spares_who_was_used_and_leaves_it_in_place, "P6", "15a.5") {
    want_line(POLICY_SIEVE, 3, "abc a d e f a d", "--- + - - - + -",
              "a is spared and stays the oldest; d makes b go, and the hand "
              "goes on from there: e makes c go, f makes d go");
}

TEST(the_hand_goes_on_from_where_it_is, "P6", "15a.5") {
    want_line(POLICY_SIEVE, 3, "abc a d e a", "--- + - - +",
              "a has lost its mark, but the hand is past it: e makes c go");
}

TEST(the_hand_begins_again_at_the_oldest, "P6", "15a.5") {
    want_line(POLICY_SIEVE, 2, "ab ab c a", "-- ++ - -",
              "both are spared, the hand comes round, and a goes");
}

TEST(the_hand_leaves_with_whom_it_removes, "P6", "15a.5") {
    want_line(POLICY_SIEVE, 2, "ab b c d bd c", "-- + - - ++ -",
              "c makes a go and the hand moves on to b; b is spared, then the "
              "hand meets c, and d makes c go");
}

TEST(after_the_newest_comes_the_oldest, "P6", "15a.5") {
    want_line(POLICY_SIEVE, 2, "ab a c b c", "-- + - - +",
              "c makes b go, the newest, before c is in the queue: the hand "
              "begins again at a, and not at c, so b makes a go");
}

TEST(sieve_agrees_with_a_plain_array, "P6", "15a.5") {
    check_beside(POLICY_SIEVE);
}

/* -- 15a.6: S3-FIFO ----------------------------------------------------------
 */

TEST(most_newcomers_leave_the_small_queue_soon, "P7", "15a.6") {
    want_line(POLICY_S3_FIFO, 10, "abcdefghij k a lmnopqrstu a",
              "---------- - - ---------- +",
              "k makes a go, whose name is kept: so a comes back into the main "
              "queue, where the newcomers l to u do it no harm");
}

TEST(one_hit_is_not_enough_to_move_on, "P7", "15a.6") {
    want_line(POLICY_S3_FIFO, 10, "abcdefghij a k a", "---------- + - -",
              "a was hit once in the small queue, and goes");
}

TEST(who_is_hit_twice_moves_on, "P7", "15a.6") {
    want_line(POLICY_S3_FIFO, 10, "abcdefghij aa k a b", "---------- ++ - + -",
              "a was hit twice in the small queue and moves on; b goes");
}

TEST(the_small_queue_gives_while_it_has_its_tenth, "P7", "15a.6") {
    want_line(POLICY_S3_FIFO, 2, "aaa b c d a", "-++ - - - +",
              "c makes b go, and a moves on; c is a tenth (at least 1), so d "
              "makes c go, and a stays");
}

TEST(the_queue_that_gives_is_chosen_once, "P7", "15a.6") {
    want_line(POLICY_S3_FIFO, 20,
              "abcdefghijklmnopqrst aabbccddeeffgghhiijjkkllmmnnooppqqrr u tt "
              "v a",
              "-------------------- ++++++++++++++++++++++++++++++++++++ - ++ "
              "- +",
              "u makes a to r move on and s go; of t and u, a tenth, v makes t "
              "move on and u go: the small queue gives although only u was "
              "left in it");
}

TEST(the_main_queue_gives_while_the_small_one_is_short, "P7", "15a.6") {
    want_line(
        POLICY_S3_FIFO, 20,
        "abcdefghijklmnopqrst aabbccddeeffgghhiijjkkllmmnnooppqqrr u tt "
        "v w va",
        "-------------------- ++++++++++++++++++++++++++++++++++++ - ++ "
        "- - +-",
        "u makes s go and v makes u go, so v is alone in the small queue, "
        "whose tenth is two: w makes a go, the oldest in the main queue");
}

TEST(room_is_made_before_the_ghosts_are_asked, "P7", "15a.6") {
    want_line(POLICY_S3_FIFO, 2, "ab c a d e a", "-- - - - - -",
              "there is one ghost: c makes a go, and a makes b go, whose name "
              "pushes a's out; so a comes into the small queue and goes again");
}

TEST(who_comes_back_has_no_hits, "P7", "15a.6") {
    want_line(POLICY_S3_FIFO, 2, "aa b c a a d e a", "-+ - - - + - - -",
              "a goes with one hit and comes back with none: the next one is "
              "its first, which is not enough to move on");
}

TEST(hits_move_on_with_their_object, "P7", "15a.6") {
    want_line(POLICY_S3_FIFO, 2, "aaaa b c cc d a", "-+++ - - ++ - +",
              "a moves on with three hits, c with two: so in the main queue c "
              "is the first without any, and goes");
}

TEST(three_hits_are_the_most_that_count, "P7", "15a.6") {
    want_line(POLICY_S3_FIFO, 2, "aaaaaa b c ccc d c", "-+++++ - - +++ - +",
              "a was hit five times and c three times, which is worth the "
              "same: a came first, and goes");
}

TEST(who_leaves_the_main_queue_leaves_no_ghost, "P7", "15a.6") {
    want_line(POLICY_S3_FIFO, 3, "aaa b c d cc dd e a f a",
              "-++ - - - ++ ++ - - - -",
              "e makes a go, from the main queue: when it comes back it begins "
              "in the small one, and f makes it go");
}

TEST(s3_fifo_agrees_with_plain_arrays, "P7", "15a.6") {
    check_beside(POLICY_S3_FIFO);
}

/* -- 15a.7: W-TinyLFU --------------------------------------------------------
 */

enum { TINY = 100, HOT_ROUNDS = 4, NEWCOMERS = 500 };

static policy *hot(uint32_t capacity) {
    policy *p = fresh_of(POLICY_W_TINYLFU, capacity, 2000);
    for (uint32_t i = 0; i < HOT_ROUNDS * capacity; i++) {
        policy_request(p, i % capacity);
    }
    return p;
}

static policy *tiny_with_hot(void) {
    return hot(TINY);
}

static size_t held_below(const policy *p, uint32_t from, uint32_t to) {
    size_t count = 0;
    for (uint32_t i = from; i < to; i++) {
        count += policy_holds(p, i);
    }
    return count;
}

TEST(a_newcomer_begins_in_the_window, "P8", "15a.7") {
    policy *p = tiny_with_hot();
    want_false(policy_request(p, 1000), "ask for 1000, which is new",
               "nobody has asked for it");
    want_true(policy_request(p, 1000), "ask for 1000 twice",
              "whoever is asked for gets in, at least into the window");
    policy_destroy(p);
}

TEST(a_cache_of_one_is_a_window, "P8", "15a.7") {
    want_line(POLICY_W_TINYLFU, 1, "aaa b bb a", "-++ - ++ -",
              "a window has one place at least, and then nothing is left for "
              "a main part: who drops out of the window goes");
}

TEST(the_window_gives_up_its_least_recent, "P8", "15a.7") {
    policy *p = hot(200);
    for (size_t i = 0; i < 4; i++) {
        policy_request(p, i == 2 ? 1000 : 1000 + (uint32_t)i);
    }
    want_true(policy_holds(p, 1000),
              "200 objects, each asked for 4 times; then 1000, 1001, 1000 and "
              "1003; is 1000 held?",
              "the window of 2 is LRU: the second request for 1000 makes it "
              "the newest there");
    policy_destroy(p);
}

/* The hot ones fill a cache of 299; then come five that are asked for once.
 * Returns: how many of them are held. */
static size_t newcomers_held(uint32_t first) {
    policy *p = hot(299);
    for (uint32_t i = 0; i < 5; i++) {
        policy_request(p, first + i);
    }
    size_t count = held_below(p, first, first + 5);
    policy_destroy(p);
    return count;
}

/* A sketch may be wrong about a newcomer, but hardly in all of three tries. */
TEST(the_window_is_a_hundredth_rounded_down, "P8", "15a.7") {
    size_t fewest_held = newcomers_held(1000);
    for (uint32_t first = 1100; first <= 1200; first += 100) {
        size_t count = newcomers_held(first);
        fewest_held = count < fewest_held ? count : fewest_held;
    }
    want_int(fewest_held, 2,
             "W-TinyLFU of 299, all asked for 4 times; then 5 newcomers, once "
             "each;\n        how many of them are held?",
             "the window of 2 takes them all, and all but the last 2 drop out "
             "of it and lose the contest");
}

TEST(newcomers_asked_for_once_harm_nobody, "P8", "15a.7") {
    policy *p = tiny_with_hot();
    for (uint32_t i = 0; i < NEWCOMERS; i++) {
        policy_request(p, 1000 + i);
    }
    size_t left = held_below(p, 0, TINY);
    want_that(
        left >= TINY * 9 / 10,
        "100 objects, each asked for 4 times; 500 newcomers, once "
        "each\n"
        "wanted  90 or more of the 100 still held\n"
        "got     %zu\n"
        "likely  a newcomer enters the main part only if it was asked for "
        "more often\n"
        "        than the one that would go",
        left);
    policy_destroy(p);
}

TEST(a_tie_lets_nobody_in, "P8", "15a.7") {
    policy *p = fresh_of(POLICY_W_TINYLFU, TINY, 2000);
    for (uint32_t i = 0; i < TINY; i++) {
        policy_request(p, i);
    }
    for (uint32_t i = 0; i < TINY; i++) {
        policy_request(p, 1000 + i);
    }
    size_t left = held_below(p, 0, TINY);
    want_that(left >= TINY * 7 / 10,
              "100 objects, asked for once each; then 100 others, once each\n"
              "wanted  70 or more of the first still held\n"
              "got     %zu\n"
              "likely  asked for as often is not asked for more often: at a "
              "tie, who is there stays",
              left);
    policy_destroy(p);
}

TEST(a_newcomer_asked_for_often_gets_in, "P8", "15a.7") {
    policy *p = tiny_with_hot();
    for (int i = 0; i < 8; i++) {
        policy_request(p, 1000);
    }
    for (uint32_t i = 1; i <= 20; i++) {
        policy_request(p, 1000 + i);
    }
    want_true(policy_holds(p, 1000),
              "100 objects, each asked for 4 times; 1000 asked for 8 times, "
              "then 20 newcomers; is 1000 held?",
              "it was asked for more often than anybody: its hits in the "
              "window count, too");
    policy_destroy(p);
}

TEST(a_count_does_not_begin_again, "P8", "15a.7") {
    policy *p = tiny_with_hot();
    for (int i = 0; i < 256; i++) {
        policy_request(p, 1000);
    }
    for (uint32_t i = 1; i <= 20; i++) {
        policy_request(p, 1000 + i);
    }
    want_true(policy_holds(p, 1000),
              "100 objects, each asked for 4 times; 1000 asked for 256 times, "
              "then 20 newcomers; is 1000 held?",
              "a counter that is full stays full: it must not go from its "
              "last value to 0");
    policy_destroy(p);
}

TEST(what_was_popular_long_ago_gives_way, "P8", "15a.7") {
    policy *p = tiny_with_hot();
    for (uint32_t i = 0; i < 20 * TINY; i++) {
        policy_request(p, i % TINY); /* as popular as can be counted */
    }
    for (uint32_t i = 0; i < 60 * TINY; i++) {
        policy_request(p, 1000 + i % TINY);
    }
    size_t left = held_below(p, 1000, 1000 + TINY);
    want_that(left >= TINY * 8 / 10,
              "100 objects, each asked for 24 times; then 100 others, "
              "60 times\n"
              "wanted  80 or more of the others held\n"
              "got     %zu\n"
              "likely  counts that never shrink keep the popular of yesterday "
              "for ever",
              left);
    policy_destroy(p);
}

TEST(what_was_popular_still_counts_for_half, "P8", "15a.7") {
    policy *p = tiny_with_hot();
    for (uint32_t i = 0; i <= (10 - HOT_ROUNDS) * TINY; i++) {
        policy_request(p, i % TINY);
    }
    for (uint32_t i = 0; i < 30 * 2; i++) {
        policy_request(p, 1000 + i / 2);
    }
    size_t left = held_below(p, 0, TINY);
    want_that(left >= TINY * 9 / 10,
              "100 objects, asked for 10 times each, when all counts are "
              "halved;\n        then 30 newcomers, twice each\n"
              "wanted  90 or more of the 100 still held\n"
              "got     %zu\n"
              "likely  half of 10 is more than 2: counts are halved, not "
              "forgotten",
              left);
    policy_destroy(p);
}

/* 100 objects, asked for four times each; 500 others, once. Numbers in a row
 * would lie well apart in any row of counters, so these are scattered.
 * Returns: how many of the 100 are held. */
static size_t left_of_scattered(uint64_t seed) {
    enum { OBJECTS = 100000 };
    policy *p = NULL;
    want_status(policy_create(POLICY_W_TINYLFU, TINY, OBJECTS, seed, &p),
                STATUS_OK, "create a W-TinyLFU of 100",
                "create fails though all is well");
    for (uint32_t i = 0; i < TINY; i++) {
        trace[i] = (uint32_t)(test_random(&seed) % OBJECTS);
    }
    for (uint32_t i = 0; i < HOT_ROUNDS * TINY; i++) {
        policy_request(p, trace[i % TINY]);
    }
    for (uint32_t i = 0; i < NEWCOMERS; i++) {
        policy_request(p, (uint32_t)(test_random(&seed) % OBJECTS));
    }
    size_t left = 0;
    for (uint32_t i = 0; i < TINY; i++) {
        left += policy_holds(p, trace[i]);
    }
    policy_destroy(p);
    return left;
}

TEST(four_rows_know_more_than_one, "P8", "15a.7") {
    enum { SEEDS = 8 };
    size_t left = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        left += left_of_scattered(seed);
    }
    want_that(left / SEEDS >= 94,
              "100 objects with scattered numbers, asked for 4 times each; "
              "500\n        newcomers, once each; with 8 seeds\n"
              "wanted  94 or more of the 100 still held, on average\n"
              "got     %zu\n"
              "likely  two objects that share a counter in one row must not "
              "share it in\n"
              "        all: each row hashes by a factor of its own",
              left / SEEDS);
}

TEST(who_is_hit_in_the_main_part_is_protected, "P8", "15a.7") {
    policy *p = fresh_of(POLICY_W_TINYLFU, TINY, 2000);
    for (uint32_t i = 0; i < TINY; i++) {
        policy_request(p, i);
    }
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < TINY / 2; i++) {
            policy_request(p, i);
        }
    }
    for (uint32_t i = 0; i < NEWCOMERS; i++) {
        policy_request(p, 1000 + i); /* twice each: more than half of them */
        policy_request(p, 1000 + i);
    }
    size_t left = held_below(p, 0, TINY / 2);
    want_that(left >= TINY / 2 * 9 / 10,
              "100 objects, 50 of them hit twice more; 500 newcomers, "
              "asked for\n"
              "        twice each\n"
              "wanted  45 or more of the 50 still held\n"
              "got     %zu\n"
              "likely  a hit moves its object into the protected segment, and "
              "the\n"
              "        main part gives up the oldest of the other one",
              left);
    policy_destroy(p);
}

TEST(who_no_longer_fits_is_on_probation_again, "P8", "15a.7") {
    policy *p = fresh_of(POLICY_W_TINYLFU, TINY, 2000);
    for (uint32_t i = 0; i < 2 * TINY; i++) {
        policy_request(p, i % TINY);
    }
    for (uint32_t i = 0; i < 30 * 6; i++) {
        policy_request(p, 1000 + i / 6);
    }
    size_t in = held_below(p, 1000, 1000 + 30);
    want_that(in >= 15,
              "100 objects, asked for twice each; then 30 others, six times "
              "each\n"
              "wanted  15 or more of the others held\n"
              "got     %zu\n"
              "likely  a fifth of the main part is not protected, even if all "
              "were hit: the oldest of them must give way",
              in);
    policy_destroy(p);
}

TEST(who_wins_the_contest_is_on_probation, "P8", "15a.7") {
    policy *p = fresh_of(POLICY_W_TINYLFU, TINY, 2000);
    for (uint32_t i = 0; i < 2 * TINY; i++) {
        policy_request(p, i % TINY);
    }
    for (uint32_t i = 0; i < 30 * 6; i++) {
        policy_request(p, 1000 + i / 6);
    }
    for (uint32_t i = 0; i < 30 * 12; i++) {
        policy_request(p, 1100 + i / 12);
    }
    size_t in = held_below(p, 1100, 1100 + 30);
    want_that(
        in >= 15,
        "100 objects, asked for twice each; 30 others, six times each; "
        "then 30\n        more, twelve times each\n"
        "wanted  15 or more of the last 30 held\n"
        "got     %zu\n"
        "likely  who wins the contest begins on probation, and must be hit "
        "there to\n        be protected from the next one",
        in);
    policy_destroy(p);
}

/* Each is asked for six times, so most get in: they push out those that are on
 * probation, and can push out nobody else. */
static void push_out(policy *p, uint32_t newcomers) {
    for (uint32_t i = 0; i < 6 * newcomers; i++) {
        policy_request(p, 1000 + i / 6);
    }
}

TEST(four_fifths_of_the_main_part_are_protected, "P8", "15a.7") {
    policy *p = fresh_of(POLICY_W_TINYLFU, TINY, 2000);
    for (uint32_t i = 0; i < TINY + 79; i++) {
        policy_request(p, i % TINY);
    }
    push_out(p, 60);
    want_int(held_below(p, 0, 79), 79,
             "100 objects, asked for once, 79 of them twice; then 60 others, "
             "six times each;\n        how many of the 79 are held?",
             "the main part has 99 places, and four fifths of them are 79: so "
             "many can be protected at once");
    policy_destroy(p);
}

TEST(a_hit_makes_the_protected_the_most_recent, "P8", "15a.7") {
    policy *p = fresh_of(POLICY_W_TINYLFU, TINY, 2000);
    for (uint32_t i = 0; i < TINY + 79; i++) {
        policy_request(p, i % TINY);
    }
    policy_request(p, 0);
    policy_request(p, 79); /* the first too many: who makes room for it? */
    push_out(p, 60);
    want_true(policy_holds(p, 0),
              "100 objects, 0 to 78 asked for again (which makes 79 "
              "protected), then 0\n        and 79; 60 others, six times each; "
              "is 0 held?",
              "the protected segment is LRU: its oldest is 1 when 79 comes in, "
              "since 0 was just hit");
    policy_destroy(p);
}

TEST(the_same_seed_answers_the_same, "P10", "15a.7") {
    size_t n = test_scale(5000, 1000);
    draw_trace(n, 300, test_seed());
    policy *a = fresh_of(POLICY_W_TINYLFU, 30, 300);
    policy *b = fresh_of(POLICY_W_TINYLFU, 30, 300);
    for (size_t i = 0; i < n; i++) {
        want_int(policy_request(b, trace[i]), policy_request(a, trace[i]),
                 text("two W-TinyLFUs with one seed, request %zu", i),
                 "something but the requests and the seed has a say");
    }
    policy_destroy(a);
    policy_destroy(b);
}

/* -- 15a.8: Belady -----------------------------------------------------------
 */

static policy *told(size_t capacity, size_t objects, size_t n) {
    policy *p = fresh_of(POLICY_BELADY, capacity, objects);
    want_status(policy_foretell(p, trace, n), STATUS_OK,
                text("foretell %zu requests", n),
                "foretell fails though all is well");
    return p;
}

static size_t spell(const char *word) {
    size_t n = 0;
    for (; word[n]; n++) {
        trace[n] = object_of(word[n]);
    }
    return n;
}

static void want_told(const char *word, const char *answers,
                      const char *likely) {
    policy *p = told(3, LETTERS, spell(word));
    want_text(ask(p, word), answers,
              text("Belady of 3, told and asked for\n          %s", word),
              likely);
    policy_destroy(p);
}

TEST(belady_gives_up_who_is_needed_last, "P9", "15a.8") {
    want_told("abcdabdc", "----+++-",
              "d makes c go, for a, b and d are needed before c");
}

TEST(who_is_never_needed_again_goes_first, "P9", "15a.8") {
    want_told("abcdab", "----++",
              "d makes c go: never is later than any request");
}

TEST(a_hit_has_a_next_request_too, "P9", "15a.8") {
    want_told("abcabdabcd", "---++-++-+",
              "d makes c go, for a and b are needed before c; then c makes a "
              "or b go, which nobody needs again, and not d");
}

TEST(past_the_future_everything_is_a_surprise, "P9", "15a.8") {
    policy *p = told(2, LETTERS, spell("ab"));
    want_text(ask(p, "abab"), "--++", "Belady of 2, told ab, asked for abab",
              "past the end of the trace requests are served all the same");
    policy_destroy(p);
    p = fresh_of(POLICY_BELADY, 2, LETTERS);
    want_text(ask(p, "aabb"), "-+-+", "Belady of 2, told nothing, asked aabb",
              "without a future it is a cache all the same");
    policy_destroy(p);
}

TEST(a_future_that_makes_no_sense_is_refused, "P12", "15a.8") {
    policy *p = fresh_of(POLICY_LRU, 2, 3);
    size_t n = spell("abc");
    want_status(policy_foretell(p, trace, n), STATUS_INVALID, "foretell an LRU",
                "only Belady may look ahead");
    policy_destroy(p);
    p = fresh_of(POLICY_BELADY, 2, 2);
    want_status(policy_foretell(p, trace, n), STATUS_INVALID,
                "2 objects, foretell abc", "c is out of range");
    want_status(policy_foretell(p, trace, 2), STATUS_OK,
                "foretell abc, which is refused, then ab",
                "what was refused must have no effect");
    policy_destroy(p);
}

TEST(the_future_is_told_once, "P12", "15a.8") {
    policy *p = told(2, 2, spell("ab"));
    want_status(policy_foretell(p, trace, 2), STATUS_INVALID, "foretell twice",
                "it knows its future already");
    policy_destroy(p);
    p = told(2, 2, 0);
    want_status(policy_foretell(p, trace, 2), STATUS_INVALID,
                "foretell no requests, then two",
                "that nothing will be asked for is a future, too");
    policy_destroy(p);
}

TEST(the_future_is_told_before_it_begins, "P12", "15a.8") {
    policy *p = fresh_of(POLICY_BELADY, 2, LETTERS);
    ask(p, "a");
    want_status(policy_foretell(p, trace, spell("abc")), STATUS_INVALID,
                "request a, then foretell", "too late: it counts requests");
    policy_destroy(p);
}

static void foretell_or_not(void *unused) {
    (void)unused;
    policy *p = NULL;
    if (policy_create(POLICY_BELADY, 2, LETTERS, 42, &p) != STATUS_OK) {
        return;
    }
    size_t n = spell("abcabc");
    status s = policy_foretell(p, trace, n);
    if (s != STATUS_OK) {
        want_status(s, STATUS_NO_MEMORY, "foretell without memory",
                    "an allocation that failed must be told");
        want_status(policy_foretell(p, trace, n), STATUS_OK,
                    "foretell without memory, then with",
                    "a call that failed must have changed nothing");
    }
    want_text(ask(p, "abcabc"), "---+-+",
              "Belady of 2, told and asked for abcabc",
              "a foretell that failed left something behind");
    policy_destroy(p);
}

TEST(without_memory_the_future_can_be_told_later, "P13", "15a.8") {
    want_true(heap_fail_each(foretell_or_not, NULL) >= 3,
              "create and foretell, each allocation failing once",
              "the future is kept in memory of its own");
}

static void foretell_in_vain(void *unused) {
    (void)unused;
    policy *p = NULL;
    if (policy_create(POLICY_BELADY, 2, LETTERS, 42, &p) == STATUS_OK) {
        policy_foretell(p, trace, spell("abcabc"));
        want_text(ask(p, "aabb"), "-+-+",
                  "foretell without memory, then ask for aabb",
                  "a future that was not kept must not be looked at");
        policy_destroy(p);
    }
}

TEST(what_could_not_be_told_is_not_known, "P13", "15a.8") {
    heap_fail_each(foretell_in_vain, NULL);
}

/* The least that any choice can miss: tries them all. `cache` is a set. */
static size_t fewest(unsigned cache, size_t held_now, size_t capacity,
                     size_t at, size_t n) {
    if (at == n) {
        return 0;
    }
    unsigned asked = 1u << trace[at];
    if (cache & asked) {
        return fewest(cache, held_now, capacity, at + 1, n);
    }
    if (held_now < capacity) {
        return 1 + fewest(cache | asked, held_now + 1, capacity, at + 1, n);
    }
    size_t best = n;
    for (unsigned who = 1; who <= cache; who <<= 1) {
        if (cache & who) {
            size_t rest =
                fewest((cache & ~who) | asked, held_now, capacity, at + 1, n);
            best = rest < best ? rest : best;
        }
    }
    return 1 + best;
}

TEST(no_choice_misses_less_than_belady, "P9", "15a.8") {
    enum { REQUESTS = 12, OBJECTS = 6 };
    uint64_t seed = test_seed();
    for (size_t run = 0; run < test_scale(100, 5); run++) {
        size_t capacity = 2 + run % 2;
        for (size_t i = 0; i < REQUESTS; i++) {
            trace[i] = (uint32_t)(test_random(&seed) % OBJECTS);
        }
        policy *p = told(capacity, OBJECTS, REQUESTS);
        char word[REQUESTS + 1] = "";
        for (size_t i = 0; i < REQUESTS; i++) {
            word[i] = (char)('a' + trace[i]);
        }
        const char *did = text("Belady of %zu, told and asked for %s; misses",
                               capacity, word);
        want_int(misses(p, REQUESTS), fewest(0, 0, capacity, 0, REQUESTS), did,
                 "another choice of who goes misses less");
        policy_destroy(p);
    }
}

/* What the next of an object is after request i: n if it never comes again. */
static size_t next_after(size_t i, uint32_t object, size_t n) {
    do {
        i++;
    } while (i < n && trace[i] != object);
    return i;
}

/* The misses of a line that gives up whose next request is farthest ahead. */
static size_t plain_belady(size_t capacity, size_t n) {
    line l = {.capacity = capacity};
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (find(&l, trace[i]) < l.count) {
            continue;
        }
        count++;
        if (l.count == l.capacity) {
            size_t last = 0, farthest = 0;
            for (size_t at = 0; at < l.count; at++) {
                size_t next = next_after(i, l.object[at], n);
                last = next > farthest ? at : last;
                farthest = next > farthest ? next : farthest;
            }
            take_out(&l, last);
        }
        put_last(&l, trace[i], 0);
    }
    return count;
}

TEST(belady_misses_as_a_plain_search_does, "P9", "15a.8") {
    enum { OBJECTS = 100 };
    size_t n = test_scale(3000, 500);
    draw_trace(n, OBJECTS, test_seed());
    for (size_t capacity = 4; capacity < OBJECTS; capacity *= 2) {
        policy *p = told(capacity, OBJECTS, n);
        want_int(misses(p, n), plain_belady(capacity, n),
                 text("Belady of %zu, %zu requests for %d objects; misses",
                      capacity, n, OBJECTS),
                 "with few places it works: look at the heap, where a wish is "
                 "two steps below the top or more");
        policy_destroy(p);
    }
}

/* -- 15a.8: what holds for all of them ---------------------------------------
 */

static policy *ready(policy_kind kind, size_t capacity, size_t objects,
                     size_t n) {
    return kind == POLICY_BELADY ? told(capacity, objects, n)
                                 : fresh_of(kind, capacity, objects);
}

TEST(nobody_goes_without_need_and_one_at_a_time, "P2", "15a.8") {
    enum { CAPACITY = 11, OBJECTS = 40 };
    size_t n = test_scale(3000, 300);
    draw_trace(n, OBJECTS, test_seed());
    for (policy_kind kind = 0; kind < POLICY_KINDS; kind++) {
        policy *p = ready(kind, CAPACITY, OBJECTS, n);
        for (size_t i = 0; i < n; i++) {
            size_t before = policy_count(p);
            bool was_held = policy_holds(p, trace[i]);
            bool hit = policy_request(p, trace[i]);
            const char *did = text("%s of %d, request %zu of a seeded trace",
                                   names[kind], CAPACITY, i);
            want_int(hit, was_held, did,
                     "a request is a hit exactly if the object is held");
            want_true(policy_holds(p, trace[i]), did,
                      "whoever was asked for is held afterwards");
            size_t wanted = before + (!hit && before < CAPACITY);
            want_int(policy_count(p), wanted, text("%s; count", did),
                     "a miss adds one while there is room, and then one goes "
                     "for each that comes");
            want_int(held_below(p, 0, OBJECTS), wanted,
                     text("%s; count who is held", did),
                     "count and holds must speak of the same objects");
        }
        policy_destroy(p);
    }
}

enum { STEP_OBJECTS = 8000 };

static void want_few_steps(policy_kind kind, size_t capacity, size_t most,
                           const char *likely) {
    size_t n = test_scale(TRACE_MAX, 2000);
    draw_trace(n, STEP_OBJECTS, test_seed());
    policy *p = ready(kind, capacity, STEP_OBJECTS, n);
    size_t before = heap_allocations();
    work_begin();
    misses(p, n);
    size_t steps = work_steps() / n;
    const char *did = text("%s of %zu, %zu requests", names[kind], capacity, n);
    want_at_most(steps, most, text("%s; steps for each", did), likely);
    want_int(heap_allocations(), before, text("%s; allocations", did),
             "memory is taken at creation");
    policy_destroy(p);
}

static const size_t step_capacities[] = {10, 200, 4000};

TEST(a_request_takes_a_bounded_number_of_steps, "P11", "15a.8") {
    for (policy_kind kind = 0; kind < POLICY_BELADY; kind++) {
        for (size_t c = 0; c < 3; c++) {
            want_few_steps(kind, step_capacities[c], 150,
                           "the work grows with the capacity: who goes must be "
                           "found without looking at all");
        }
    }
}

TEST(belady_does_not_look_at_all_wishes, "P11", "15a.8") {
    for (size_t c = 0; c < 3; c++) {
        want_few_steps(POLICY_BELADY, step_capacities[c], 150,
                       "the latest wish is on top of the heap: nobody else "
                       "must be looked at to find it");
    }
}

TEST(the_future_is_linked_in_one_pass, "P11", "15a.8") {
    enum { OBJECTS = 500, MOST = 30 };
    size_t n = test_scale(TRACE_MAX, 2000);
    draw_trace(n, OBJECTS, test_seed());
    policy *p = fresh_of(POLICY_BELADY, 50, OBJECTS);
    work_begin();
    policy_foretell(p, trace, n);
    want_at_most(work_steps() / n, MOST,
                 text("foretell %zu requests; steps for each", n),
                 "looking ahead from every request takes n steps each; one "
                 "pass from the end is enough");
    policy_destroy(p);
}
