/* Tests of the memoizer. Most results are cells of a pool: each run of the
 * test's function gives the next one, so that every result can be told from
 * every other, and its destruction counted. */
#include "memo.h"

#include "support/check.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/work.h"

#include "lru.h"

#include <gmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum { CELLS = 4096, BUDGET = 3000, SEED = 42 };

typedef struct cell {
    uint64_t number;
    unsigned destroyed;
} cell;

static cell cells[CELLS];
static size_t cells_used;
static size_t bigs_used;     /* of another pool, further down */
static size_t runs;          /* of the function that is under test */
static bool died_while_held; /* a result was destroyed too early */

static void destroy(void *value) {
    ((cell *)value)->destroyed++;
}

/* Recursion that never finds what is known would take for ever; so no
 * function runs more often than this. */
static bool too_many_runs(void) {
    return ++runs > BUDGET;
}

static status give(uint64_t number, void **result) {
    if (cells_used == CELLS) {
        return STATUS_BACKEND;
    }
    cells[cells_used] = (cell){number, 0};
    *result = &cells[cells_used++];
    return STATUS_OK;
}

static void start_over(void) {
    runs = 0;
    cells_used = 0;
    bigs_used = 0;
    died_while_held = false;
}

static memo *memo_of(size_t capacity, memo_function *function, void *context,
                     void (*destroy_result)(void *result)) {
    memo *m = NULL;
    start_over();
    want_status(
        memo_create(capacity, function, context, destroy_result, SEED, &m),
        STATUS_OK, text("memo_create(%zu, function, ...)", capacity),
        "create fails though there is memory");
    want_true(m != NULL, text("memo_create(%zu, function, ...)", capacity),
              "create says ok and does not write the memo to *out");
    return m;
}

/* A number's bytes, in one of eight buffers used in turn. */
static bytes number(uint64_t n) {
    static uint64_t buffers[8];
    static unsigned turn;
    uint64_t *buffer = &buffers[turn++ % 8];
    *buffer = n;
    return (bytes){buffer, sizeof *buffer};
}

static uint64_t number_in(bytes argument) {
    uint64_t n = 0;
    if (argument.len == sizeof n) {
        memcpy(&n, argument.data, sizeof n);
    }
    return n;
}

/* Asks, wants a result, and holds it. */
static memo_result *hold(memo *m, bytes argument, const char *did) {
    memo_result *result = NULL;
    want_status(memo_get(m, argument, &result), STATUS_OK, did,
                "the call must give what the function gave, with its status");
    want_true(result != NULL, did, "a call that says ok must write *out");
    return result;
}

/* Asks for a number, and lets go of the result at once. */
static void ask(memo *m, uint64_t n) {
    memo_release(hold(m, number(n), text("call %llu", (unsigned long long)n)));
}

/* The cell that a result leads to; fails the test if there is none, or if it
 * was destroyed. */
static cell *cell_of(const memo_result *result, const char *did) {
    cell *value = memo_value(result);
    bool is_cell = false;
    for (size_t i = 0; i < cells_used && !is_cell; i++) {
        is_cell = value == &cells[i];
    }
    want_true(is_cell,
              text("%s; look whether its value is what a run gave", did),
              "the result was freed while it is held, or has no value");
    want_int(value->destroyed, 0,
             text("%s; count the destructions of its value", did),
             "a result was ended while somebody holds it");
    return value;
}

static void want_all_destroyed_once(const char *did) {
    for (size_t i = 0; i < cells_used; i++) {
        want_int(cells[i].destroyed, 1,
                 text("%s; count the destructions of result %zu", did, i),
                 cells[i].destroyed ? "a result was ended by two of its holders"
                                    : "the last holder must end the result");
    }
}

/* While a memo has room for all, it is a holder of all. */
static void want_none_destroyed(const char *did) {
    for (size_t i = 0; i < cells_used; i++) {
        want_int(cells[i].destroyed, 0,
                 text("%s; count the destructions of result %zu", did, i),
                 "the memo is a holder too: remembering a result counts");
    }
}

/* --- functions to remember --------------------------------------------- */

/* Gives the number of its run; context, if any: the status it gives. */
static status count_runs(void *context, memo *m, bytes argument,
                         void **result) {
    (void)m, (void)argument;
    if (too_many_runs()) {
        return STATUS_BACKEND;
    }
    const status *outcome = context;
    if (outcome && *outcome != STATUS_OK) {
        return *outcome;
    }
    return give(runs, result);
}

/* The number itself, by recursion down to 0. */
static status countdown(void *context, memo *m, bytes argument, void **result) {
    uint64_t n = number_in(argument);
    if (too_many_runs()) {
        return STATUS_BACKEND;
    }
    if (n > 0) {
        memo_result *less;
        status s = memo_get(m, number(n - 1), &less);
        if (s != STATUS_OK) {
            return s;
        }
        memo_release(less);
    } else if (context && *(const status *)context != STATUS_OK) {
        return *(const status *)context;
    }
    return give(n, result);
}

/* Fibonacci in 64 bits: holds both terms, then adds. */
static status fibonacci(void *context, memo *m, bytes argument, void **result) {
    (void)context;
    uint64_t n = number_in(argument);
    if (too_many_runs()) {
        return STATUS_BACKEND;
    }
    if (n < 2) {
        return give(n, result);
    }
    memo_result *one = NULL, *two = NULL;
    status s = memo_get(m, number(n - 1), &one);
    if (s == STATUS_OK) {
        const cell *held = memo_value(one);
        s = memo_get(m, number(n - 2), &two);
        died_while_held = died_while_held || held->destroyed;
    }
    if (s == STATUS_OK && !died_while_held) {
        uint64_t a = ((const cell *)memo_value(one))->number;
        uint64_t b = ((const cell *)memo_value(two))->number;
        s = a > UINT64_MAX - b ? STATUS_TOO_LARGE : give(a + b, result);
    } else if (s == STATUS_OK) {
        s = STATUS_BACKEND;
    }
    if (!died_while_held) {
        memo_release(two);
        memo_release(one);
    }
    return s;
}

/* Fibonacci in integers of any size: results that own memory. They lie in a
 * pool, so that one which was destroyed is known as such, and not read. */
typedef struct big {
    mpz_t number;
    void *block; /* memory that can run out */
    bool live;
} big;

static big bigs[12000];
static void destroy_big(void *value) {
    big *b = value;
    want_true(b->live, "count the destructions of a result",
              "a result was ended by two of its holders");
    b->live = false;
    mpz_clear(b->number);
    free(b->block);
}

static status add_term(memo *m, uint64_t n, mpz_ptr sum) {
    memo_result *term;
    status s = memo_get(m, number(n), &term);
    if (s != STATUS_OK) {
        return s;
    }
    const big *value = memo_value(term);
    if (value < bigs || value >= bigs + bigs_used || !value->live) {
        died_while_held = true;
        return STATUS_BACKEND;
    }
    mpz_add(sum, sum, value->number);
    memo_release(term);
    return STATUS_OK;
}

/* context: how many runs it may take. */
static status big_fibonacci(void *context, memo *m, bytes argument,
                            void **result) {
    uint64_t n = number_in(argument);
    if (++runs > *(const size_t *)context
        || bigs_used == sizeof bigs / sizeof bigs[0]) {
        return STATUS_BACKEND;
    }
    void *block = malloc(1);
    if (!block) {
        return STATUS_NO_MEMORY;
    }
    big *sum = &bigs[bigs_used++];
    sum->block = block;
    sum->live = true;
    mpz_init_set_ui(sum->number, n < 2 ? n : 0);
    status s = n < 2 ? STATUS_OK : add_term(m, n - 1, sum->number);
    if (s == STATUS_OK && n >= 2) {
        s = add_term(m, n - 2, sum->number);
    }
    if (s != STATUS_OK) {
        destroy_big(sum);
        return s;
    }
    *result = sum;
    return STATUS_OK;
}

static size_t live_bigs(void) {
    size_t live = 0;
    for (size_t i = 0; i < bigs_used; i++) {
        live += bigs[i].live;
    }
    return live;
}

static mpz_srcptr number_of(const memo_result *result) {
    return ((const big *)memo_value(result))->number;
}

/* --- 6.1: create, count, destroy --------------------------------------- */

TEST(a_fresh_memo_is_empty_and_ends_without_a_trace, "P14", "6.1") {
    memo *m = memo_of(3, count_runs, NULL, destroy);
    want_int(memo_count(m), 0, "create, count", "nothing is known yet");
    memo_destroy(m);
    memo_destroy(NULL);
}

TEST(a_capacity_of_zero_or_beyond_the_maximum_is_refused, "P10", "6.1") {
    static char untouched;
    memo *m = (memo *)&untouched;
    want_status(memo_create(0, count_runs, NULL, destroy, SEED, &m),
                STATUS_INVALID, "memo_create(0, function, ...)",
                "a memo that may remember nothing must be refused");
    heap_fail_at(3); /* so that nobody takes what the machine has */
    want_status(
        memo_create(LRU_CAPACITY_MAX + 1, count_runs, NULL, destroy, SEED, &m),
        STATUS_INVALID, "memo_create(LRU_CAPACITY_MAX + 1, ...)",
        "the status of lru_create must come through");
    heap_fail_at(0);
    want_pointer(m, &untouched, "two creates that are refused, look at m",
                 "out-parameters are written only on success");
}

TEST(a_memo_without_a_function_is_refused, "P10", "6.1") {
    static char untouched;
    memo *m = (memo *)&untouched;
    want_status(memo_create(3, NULL, NULL, destroy, SEED, &m), STATUS_INVALID,
                "memo_create(3, NULL, ...)",
                "without a function there is nothing to run");
    want_pointer(m, &untouched, "a create that is refused, look at m",
                 "out-parameters are written only on success");
}

static void try_to_create(void *context) {
    static char untouched;
    memo *m = (memo *)&untouched;
    status s = memo_create(100, count_runs, NULL, destroy, SEED, &m);
    ++*(size_t *)context;
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "create while an allocation fails",
                "the status of each lru_create and each malloc counts");
    if (s == STATUS_OK) {
        memo_destroy(m);
    } else {
        want_pointer(m, &untouched, "create without memory, look at m",
                     "out-parameters are written only on success");
    }
}

TEST(without_memory_create_says_so_and_leaves_nothing, "P12", "6.1") {
    size_t tries = 0;
    heap_fail_each(try_to_create, &tries);
    want_that(tries > 1, "create, count allocations\nwanted  at least one\n"
                         "got     none\nlikely  where do the results live?");
}

/* --- 6.2: a call runs the function ------------------------------------- */

/* What the function was given. */
static struct seen {
    void *context;
    memo *m;
    char argument[64];
    size_t argument_len;
} seen;

static status look(void *context, memo *m, bytes argument, void **result) {
    seen = (struct seen){.context = context, .m = m};
    seen.argument_len = argument.len;
    memcpy(seen.argument, argument.data, argument.len);
    return give(7, result);
}

TEST(a_call_gives_what_the_function_gives, "P1", "6.2") {
    int context;
    memo *m = memo_of(3, look, &context, destroy);
    memo_result *result = hold(m, bytes_of("an argument"), "call");
    bytes given = {seen.argument, seen.argument_len};
    want_bytes(given, bytes_of("an argument"),
               "call \"an argument\", look at what the function is given",
               "the function needs the whole argument");
    want_pointer(seen.context, &context,
                 "create with a context, call, look at the function's context",
                 "the context must be kept and passed on");
    want_pointer(seen.m, m, "call, look at the function's memo",
                 "for recursion the function needs the memo that runs it");
    want_int(cell_of(result, "call")->number, 7, "call, look at the result",
             "the call must hand out what the function wrote to *result");
    memo_release(result);
    memo_destroy(m);
}

/* Gives what the context leads to. */
static status give_context(void *context, memo *m, bytes argument,
                           void **result) {
    (void)m, (void)argument;
    runs++;
    *result = *(void **)context;
    return STATUS_OK;
}

TEST(any_pointer_is_a_result, "P5", "6.2") {
    static void *const values[] = {
        NULL, (void *)(intptr_t)-1, (void *)(uintptr_t)1,
        (void *)(uintptr_t)12200160415121876738u, /* fibonacci(93) */
    };
    void *value = NULL;
    memo *m = memo_of(9, give_context, &value, NULL);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        value = values[i];
        const char *did = text("a function that gives %p, call", value);
        memo_result *result = hold(m, number(i), did);
        want_pointer(memo_value(result), value, did,
                     "a result is handed on as it is: no pointer means "
                     "\"nothing\", and 64 bits are 64 bits");
        memo_release(result);
    }
    memo_destroy(m);
}

TEST(every_result_is_destroyed_once, "P7", "6.2") {
    memo *m = memo_of(2, count_runs, NULL, destroy);
    for (uint64_t n = 0; n < 5; n++) {
        ask(m, n);
    }
    memo_destroy(m);
    want_all_destroyed_once("capacity 2, call and release 0 ... 4, destroy");
}

TEST(releasing_nothing_does_nothing, "P14", "6.2") {
    memo *m = memo_of(2, count_runs, NULL, destroy);
    memo_release(NULL);
    ask(m, 1);
    memo_destroy(m);
}

/* --- 6.3: what is known is not run again -------------------------------- */

TEST(a_second_call_runs_nothing, "P1", "6.3") {
    memo *m = memo_of(3, count_runs, NULL, destroy);
    memo_result *first = hold(m, bytes_of("x"), "call x");
    memo_result *second = hold(m, bytes_of("x"), "call x, call x again");
    want_int(runs, 1, "call x, call x again, count the runs",
             "the result must be looked up before the function runs");
    want_pointer(cell_of(second, "the second call of x"), &cells[0],
                 "call x, call x again, compare the results",
                 "both calls must give the result of the one run");
    want_int(memo_count(m), 1, "call x twice, count",
             "one argument is one result");
    memo_release(second);
    memo_release(first);
    memo_destroy(m);
    want_all_destroyed_once("call x twice, release both, destroy");
}

TEST(a_released_result_is_still_known, "P7", "6.3") {
    memo *m = memo_of(3, count_runs, NULL, destroy);
    ask(m, 1);
    want_int(cells[0].destroyed, 0, "call 1, release, count destructions",
             "the memo is a holder too: remembering a result counts");
    for (int i = 0; i < 3; i++) {
        memo_result *again = hold(m, number(1), "call 1, release, call 1");
        cell_of(again, "call 1, release, call 1 again");
        memo_release(again);
        want_int(cells[0].destroyed, 0,
                 "call 1, release, call 1, release, count destructions",
                 "each hit adds one holder, and memo_release takes just that "
                 "one away");
    }
    want_int(runs, 1, "call 1 four times, count the runs",
             "the result was forgotten when its caller let go");
    memo_destroy(m);
}

TEST(every_byte_of_the_argument_counts, "P2", "6.3") {
    static const bytes keys[] = {
        {"", 0},
        {"\0", 1},
        {"\0\0", 2},
        {"a\0b", 3},
        {"a\0c", 3},
        {"a", 1},
        {"\xff", 1},
        {"eight by", 8},
        {"eight bytes and more", 20},
        {"the same thirty-one bytes, and 1", 32},
        {"the same thirty-one bytes, and 2", 32},
    };
    enum { KEYS = sizeof keys / sizeof keys[0] };
    memo *m = memo_of(KEYS, count_runs, NULL, destroy);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < KEYS; i++) {
            const char *did =
                text("call \"\", \"\\0\", \"\\0\\0\", \"a\\0b\", \"a\\0c\", "
                     "..., then key number %zu",
                     i);
            memo_result *result = hold(m, keys[i], did);
            want_int(cell_of(result, did)->number, i + 1, did,
                     "two arguments are taken for one: the key is all of the "
                     "bytes, zero bytes too");
            memo_release(result);
        }
    }
    want_int(runs, KEYS, "call eleven arguments, twice each, count the runs",
             "each argument must run once");
    memo_destroy(m);
}

TEST(the_key_is_the_bytes_and_not_where_they_lie, "P2", "6.3") {
    memo *m = memo_of(4, count_runs, NULL, destroy);
    char here[] = "same bytes", there[] = "same bytes";
    memo_release(hold(m, (bytes){here, 10}, "call"));
    memo_release(hold(m, (bytes){there, 10}, "call equal bytes elsewhere"));
    want_int(runs, 1, "call with equal bytes at two places, count the runs",
             "the key is the bytes' address; it must be the bytes");
    here[0] = 'c';
    memo_release(hold(m, (bytes){here, 10}, "call other bytes there"));
    want_int(runs, 2, "call, change the bytes, call from the same place, runs",
             "the key is the bytes' address; it must be the bytes");
    memo_destroy(m);
}

/* A struct as it comes about: on memory that holds something already. Three
 * bytes between `kind` and `id` belong to no field, so nothing sets them. */
struct query {
    char kind;
    int32_t id;
};

static void put_query(struct query *q, char kind, int32_t id, int garbage) {
    memset(q, garbage, sizeof *q);
    memcpy((char *)q + offsetof(struct query, kind), &kind, sizeof kind);
    memcpy((char *)q + offsetof(struct query, id), &id, sizeof id);
}

TEST(two_structs_of_equal_fields_may_be_two_keys, "P2", "6.3") {
    struct query one, two;
    put_query(&one, 'u', 7, 0x00);
    put_query(&two, 'u', 7, 0xff);
    memo *m = memo_of(4, count_runs, NULL, destroy);
    memo_release(hold(m, (bytes){&one, sizeof one}, "call {'u', 7}"));
    memo_release(hold(m, (bytes){&two, sizeof two}, "call {'u', 7} again"));
    want_int(runs, 2,
             "call {char 'u'; int 7} as a whole struct, call an equal one "
             "with other bytes between the fields, count the runs",
             "the memo must not guess which bytes mean something: all do");
    memo_destroy(m);
}

/* The remedy: the fields, one after another, without gaps. */
static bytes fields_of(const struct query *q, char out[5]) {
    out[0] = q->kind;
    memcpy(out + 1, &q->id, sizeof q->id);
    return (bytes){out, 5};
}

TEST(fields_without_gaps_are_one_key, "P2", "6.3") {
    struct query one, two;
    put_query(&one, 'u', 7, 0x00);
    put_query(&two, 'u', 7, 0xff);
    char first[5], second[5];
    memo *m = memo_of(4, count_runs, NULL, destroy);
    memo_release(hold(m, fields_of(&one, first), "call 'u' 7"));
    memo_release(hold(m, fields_of(&two, second), "call 'u' 7 again"));
    want_int(runs, 1,
             "call with the fields 'u' and 7 written one after another, "
             "again from another struct, count the runs",
             "equal bytes must be one key: is the key a struct of your own, "
             "with a gap that nothing sets?");
    memo_destroy(m);
}

/* Uses one buffer for all its arguments, its own too. */
static status countdown_in_place(void *context, memo *m, bytes argument,
                                 void **result) {
    uint64_t n = number_in(argument);
    if (too_many_runs()) {
        return STATUS_BACKEND;
    }
    if (n > 0) {
        uint64_t *buffer = context;
        *buffer = n - 1;
        memo_result *less;
        status s = memo_get(m, (bytes){buffer, sizeof *buffer}, &less);
        if (s != STATUS_OK) {
            return s;
        }
        memo_release(less);
    }
    return give(n, result);
}

TEST(the_bytes_may_change_while_the_function_runs, "P3", "6.3") {
    uint64_t buffer = 5;
    memo *m = memo_of(10, countdown_in_place, &buffer, destroy);
    memo_release(hold(m, (bytes){&buffer, sizeof buffer}, "call 5"));
    for (uint64_t n = 0; n <= 5; n++) {
        const char *did = text("call 5, down to 0, all through one buffer; "
                               "call %llu",
                               (unsigned long long)n);
        memo_result *result = hold(m, number(n), did);
        want_int(cell_of(result, did)->number, n, did,
                 "the result is remembered under what the buffer holds after "
                 "the run: copy the argument before it");
        memo_release(result);
    }
    want_int(runs, 6, "call 5, down to 0, then each again, count the runs",
             "the result is remembered under what the buffer holds after the "
             "run: copy the argument before it");
    memo_destroy(m);
}

TEST(fibonacci_100_runs_101_times, "P4", "6.3") {
    size_t budget = BUDGET;
    memo *m = memo_of(200, big_fibonacci, &budget, destroy_big);
    memo_result *result = NULL;
    status s = memo_get(m, number(100), &result);
    want_int(runs, 101, "call fibonacci(100), count the runs",
             "one run for each of 0 ... 100: the calls that the function "
             "makes must be remembered as well");
    want_status(s, STATUS_OK, "call fibonacci(100)", "a call in between fails");
    char digits[64];
    gmp_snprintf(digits, sizeof digits, "%Zd", number_of(result));
    want_text(digits, "354224848179261915075", "fibonacci(100)",
              "some result is given out for another argument");
    memo_release(result);
    memo_destroy(m);
}

TEST(a_hit_allocates_nothing, "P11", "6.3") {
    memo *m = memo_of(4, count_runs, NULL, destroy);
    bytes key = bytes_of("an argument of more than sixteen bytes");
    memo_release(hold(m, key, "call"));
    size_t before = heap_allocations();
    memo_release(hold(m, key, "call again"));
    want_int(heap_allocations() - before, 0,
             "call, call again, count the second call's allocations",
             "look first, and allocate when it is a miss");
    memo_destroy(m);
}

static size_t steps_of_hits(size_t known) {
    memo *m = memo_of(known, give_context, &(void *){NULL}, NULL);
    for (uint64_t n = 0; n < known; n++) {
        ask(m, n);
    }
    size_t before = work_steps();
    for (uint64_t n = 0; n < 100; n++) {
        ask(m, n * known / 100);
    }
    size_t steps = work_steps() - before;
    memo_destroy(m);
    return steps;
}

TEST(a_hit_costs_the_same_at_any_size, "P11", "6.3") {
    size_t few = steps_of_hits(100);
    size_t many = steps_of_hits(test_scale(3000, 1000));
    want_at_most(many, few * 3,
                 "steps of 100 hits, with 30 times as many results known",
                 "a hit must not go through the results one by one");
}

/* --- 6.4: failures ------------------------------------------------------ */

TEST(a_failure_is_not_remembered, "P6", "6.4") {
    status outcome = STATUS_TIMEOUT;
    memo *m = memo_of(3, count_runs, &outcome, destroy);
    memo_result *result;
    for (int i = 1; i <= 3; i++) {
        want_status(memo_get(m, number(1), &result), STATUS_TIMEOUT,
                    text("a function that fails, call number %d", i),
                    "the function's status must come through, every time");
        want_int(runs, i, text("call %d times, count the runs", i),
                 "a failure must not be remembered: the next call tries again");
    }
    want_int(memo_count(m), 0, "three calls that failed, count",
             "a failure takes up room in the memo");
    outcome = STATUS_OK;
    ask(m, 1);
    want_int(runs, 4, "three calls that failed, one that succeeds, runs",
             "a failure must not be remembered: the next call tries again");
    memo_destroy(m);
}

TEST(the_status_of_a_failure_comes_through, "P6", "6.4") {
    static const status all[] = {
        STATUS_MISS,    STATUS_NO_MEMORY, STATUS_INVALID,   STATUS_BACKEND,
        STATUS_TIMEOUT, STATUS_DEADLOCK,  STATUS_TOO_LARGE,
    };
    static char untouched;
    status outcome = STATUS_OK;
    memo *m = memo_of(3, count_runs, &outcome, destroy);
    memo_result *result = (memo_result *)&untouched;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        outcome = all[i];
        want_status(
            memo_get(m, number(1), &result), all[i],
            text("a function that gives \"%s\", call", status_name(all[i])),
            "the caller needs the function's own status");
    }
    want_pointer(result, &untouched, "calls that fail, look at *out",
                 "out-parameters are written only on success");
    memo_destroy(m);
}

TEST(a_failure_deep_down_comes_up_through_every_level, "P6", "6.4") {
    status outcome = STATUS_BACKEND;
    memo *m = memo_of(30, countdown, &outcome, destroy);
    memo_result *result;
    want_status(memo_get(m, number(20), &result), STATUS_BACKEND,
                "20 levels of recursion, the innermost fails",
                "the status of a call that fails must not change on its way");
    want_int(memo_count(m), 0, "20 levels, the innermost fails; count",
             "no level has a result, so none may be remembered");
    outcome = STATUS_OK;
    memo_release(hold(m, number(20), "20 levels again, all succeed"));
    want_int(runs, 42, "21 runs that fail, 21 that succeed, count",
             "a failure must leave nothing behind");
    memo_destroy(m);
}

TEST(what_does_not_fit_64_bits_is_a_failure, "P6", "6.4") {
    memo *m = memo_of(100, fibonacci, NULL, destroy);
    memo_result *result = hold(m, number(93), "call fibonacci(93) in 64 bits");
    want_true(cell_of(result, "fibonacci(93)")->number == 12200160415121876738u,
              "fibonacci(93), the last that fits 64 bits",
              "some result is given out for another argument");
    memo_release(result);
    for (int i = 1; i <= 2; i++) {
        want_status(memo_get(m, number(94), &result), STATUS_TOO_LARGE,
                    text("call fibonacci(94) in 64 bits, time %d", i),
                    "the function says that 64 bits do not do");
    }
    want_int(runs, 96, "call 93, 94 and 94 again, count the runs",
             "94 for 0 ... 93, and one for each 94, which gave no result");
    memo_destroy(m);
}

TEST(hits_runs_and_evictions_are_counted, "P13", "6.4") {
    status outcome = STATUS_OK;
    memo *m = memo_of(2, count_runs, &outcome, destroy);
    ask(m, 1);
    ask(m, 2);
    ask(m, 1);
    ask(m, 3); /* evicts 2 */
    outcome = STATUS_BACKEND;
    memo_result *none;
    memo_get(m, number(4), &none);
    memo_stats stats = memo_statistics(m);
    const char *did = "capacity 2, call 1, 2, 1, 3, and 4, which fails";
    want_int(stats.hits, 1, text("%s; hits", did), "only the second 1 is one");
    want_int(stats.runs, 4, text("%s; runs", did),
             "a run that fails is a run, and a hit is none");
    want_int(stats.evictions, 1, text("%s; evictions", did),
             "3 makes 2 go, and 4 comes to nothing");
    memo_destroy(m);
}

/* --- 6.5: the bound, and who holds what --------------------------------- */

TEST(a_result_outlives_its_eviction_while_it_is_held, "P7", "6.5") {
    memo *m = memo_of(1, count_runs, NULL, destroy);
    memo_result *held = hold(m, number(1), "call 1");
    ask(m, 2); /* evicts 1 */
    const char *did = "capacity 1, call 1 and hold it, call 2";
    want_int(cell_of(held, did)->number, 1, did,
             "a result was ended while somebody holds it");
    memo_release(held);
    want_int(cells[0].destroyed, 1, text("%s, release 1", did),
             "the caller was the last holder: its release ends the result");
    want_int(cells[1].destroyed, 0, text("%s, look at 2", did),
             "the result that is remembered is another one");
    memo_destroy(m);
    want_all_destroyed_once(text("%s, release 1, destroy", did));
}

TEST(each_caller_holds_for_itself, "P7", "6.5") {
    memo *m = memo_of(1, count_runs, NULL, destroy);
    memo_result *held[3];
    for (int i = 0; i < 3; i++) {
        held[i] = hold(m, number(1), "call 1");
    }
    const char *did = "capacity 1, call 1 three times and hold all, release "
                      "one, call 2";
    memo_release(held[0]);
    cell_of(held[1], did);
    ask(m, 2); /* evicts 1 */
    cell_of(held[1], did);
    memo_release(held[1]);
    cell_of(held[2], text("%s, release another", did));
    memo_release(held[2]);
    want_int(cells[0].destroyed, 1, text("%s, release all", did),
             "the last of the holders must end the result");
    memo_destroy(m);
}

TEST(a_result_outlives_the_memo_while_it_is_held, "P7", "6.5") {
    memo *m = memo_of(3, count_runs, NULL, destroy);
    memo_result *held = hold(m, number(1), "call 1");
    ask(m, 2);
    memo_destroy(m);
    const char *did = "call 1 and hold it, call 2, destroy the memo";
    want_int(cell_of(held, did)->number, 1, did,
             "a result was ended while somebody holds it");
    want_int(cells[1].destroyed, 1, text("%s; look at 2", did),
             "nobody but the memo held it");
    memo_release(held);
    want_all_destroyed_once(text("%s, release 1", did));
}

/* A list: each result holds the one for a number less. */
struct list {
    uint64_t number;
    memo_result *rest;
};

static void destroy_list(void *value) {
    struct list *list = value;
    memo_release(list->rest);
    free(list);
}

static status build_list(void *context, memo *m, bytes argument,
                         void **result) {
    (void)context;
    uint64_t n = number_in(argument);
    struct list *list = malloc(sizeof *list);
    if (too_many_runs() || !list) {
        free(list);
        return STATUS_BACKEND;
    }
    *list = (struct list){n, NULL};
    status s = n > 1 ? memo_get(m, number(n - 1), &list->rest) : STATUS_OK;
    if (s != STATUS_OK) {
        free(list);
        return s;
    }
    *result = list;
    return STATUS_OK;
}

TEST(a_result_may_hold_other_results, "P7", "6.5") {
    memo *m = memo_of(2, build_list, NULL, destroy_list);
    const char *did = "capacity 2, call a list of 9 to 1 in which each result "
                      "holds the next, destroy the memo";
    memo_result *head = hold(m, number(9), did);
    memo_destroy(m);
    const memo_result *at = head;
    for (uint64_t n = 9; n >= 1; n--) {
        const struct list *list = memo_value(at);
        want_true(list != NULL, did, "a result is NULL in between");
        want_int(list->number, n, text("%s; go down the list", did),
                 "a result was ended while another result holds it");
        at = list->rest;
    }
    memo_release(head);
}

TEST(a_memo_remembers_exactly_its_capacity, "P8", "6.5") {
    for (size_t capacity = 1; capacity <= 9; capacity++) {
        memo *m = memo_of(capacity, count_runs, NULL, destroy);
        for (uint64_t n = 0; n < capacity; n++) {
            ask(m, n);
        }
        const char *did =
            text("capacity %zu, call 0 ... %zu", capacity, capacity - 1);
        want_int(memo_count(m), capacity, text("%s, count", did),
                 "so many results must be remembered");
        ask(m, 0);
        want_int(runs, capacity, text("%s, then 0 again, count the runs", did),
                 "a result was given up while there was room");
        want_none_destroyed(text("%s, then 0 again", did));
        ask(m, 100);
        want_int(memo_count(m), capacity, text("%s, one more, count", did),
                 "the memo must not outgrow its capacity");
        memo_destroy(m);
    }
}

TEST(what_was_not_asked_for_the_longest_makes_way, "P8", "6.5") {
    memo *m = memo_of(2, count_runs, NULL, destroy);
    ask(m, 1);
    ask(m, 2);
    ask(m, 1);
    ask(m, 3);
    ask(m, 1);
    want_int(runs, 3, "capacity 2, call 1, 2, 1, 3, 1, count the runs",
             "a hit makes its result the most recent: 3 evicts 2, not 1");
    ask(m, 2);
    want_int(runs, 4, "capacity 2, call 1, 2, 1, 3, 1, 2, count the runs",
             "2 was evicted, so it must be run again");
    memo_destroy(m);
}

/* 15: so small that no capacity needs many runs. */
TEST(recursion_gives_right_results_at_any_capacity, "P8", "6.5") {
    static const uint64_t right[] = {0,  1,  1,  2,  3,   5,   8,   13,
                                     21, 34, 55, 89, 144, 233, 377, 610};
    static const size_t runs_of_5[] = {15, 11, 6, 6}; /* by capacity */
    for (size_t capacity = 1; capacity <= 4; capacity++) {
        for (uint64_t n = 0; n <= test_scale(15, 12); n++) {
            const char *did = text("capacity %zu, fibonacci(%llu)", capacity,
                                   (unsigned long long)n);
            memo_result *result = NULL;
            memo *m = memo_of(capacity, fibonacci, NULL, destroy);
            status s = memo_get(m, number(n), &result);
            want_false(died_while_held, did,
                       "fibonacci(n - 2) evicts the result for n - 1, which "
                       "its caller holds: an eviction must leave it whole");
            want_status(s, STATUS_OK, did,
                        "it runs too often: something is never found");
            want_int(cell_of(result, did)->number, right[n], did,
                     "some result is given out for another argument");
            memo_release(result);
            memo_destroy(m);
            if (n == 5) {
                want_int(runs, runs_of_5[capacity - 1],
                         text("%s, count the runs", did),
                         "the one not asked for the longest makes way, and a "
                         "hit is asking too");
            }
        }
    }
}

/* --- 6.5: random runs against a plain model ----------------------------- */

enum { MODEL_KEYS = 12, MODEL_CAPACITY = 4, HELD = 3 };

/* The memo beside its model: the known keys, the oldest first. */
struct beside {
    memo *m;
    unsigned known[MODEL_CAPACITY];
    size_t count, runs, hits, evictions;
    memo_result *held[HELD];
    unsigned held_key[HELD];
    bool fails[MODEL_KEYS];
};

/* A number of 4 or more asks for the one that is 4 less, first. */
static status recurse_by_4(void *context, memo *m, bytes argument,
                           void **result) {
    const struct beside *b = context;
    uint64_t n = number_in(argument);
    if (too_many_runs()) {
        return STATUS_BACKEND;
    }
    if (b->fails[n]) {
        return STATUS_TIMEOUT;
    }
    if (n >= 4) {
        memo_result *less;
        status s = memo_get(m, number(n - 4), &less);
        if (s != STATUS_OK) {
            return s;
        }
        memo_release(less);
    }
    return give(n, result);
}

static void *model_begin(void) {
    struct beside *b = calloc(1, sizeof *b);
    b->m = memo_of(MODEL_CAPACITY, recurse_by_4, b, destroy);
    return b;
}

static void forget_at(struct beside *b, size_t at) {
    b->count--;
    memmove(&b->known[at], &b->known[at + 1],
            (b->count - at) * sizeof b->known[0]);
}

/* What a call must do. Returns: whether it succeeds. */
static bool model_call(struct beside *b, unsigned n) {
    for (size_t i = 0; i < b->count; i++) {
        if (b->known[i] == n) {
            forget_at(b, i);
            b->known[b->count++] = n;
            b->hits++;
            return true;
        }
    }
    b->runs++;
    if (b->fails[n] || (n >= 4 && !model_call(b, n - 4))) {
        return false;
    }
    if (b->count == MODEL_CAPACITY) {
        forget_at(b, 0);
        b->evictions++;
    }
    b->known[b->count++] = n;
    return true;
}

/* What is held must be whole, and what is counted right. */
static const char *model_compare(const struct beside *b) {
    memo_stats stats = memo_statistics(b->m);
    if (stats.runs != b->runs || stats.hits != b->hits
        || stats.evictions != b->evictions) {
        return text("%llu runs, %llu hits, %llu evictions, "
                    "not %zu, %zu and %zu",
                    (unsigned long long)stats.runs,
                    (unsigned long long)stats.hits,
                    (unsigned long long)stats.evictions, b->runs, b->hits,
                    b->evictions);
    }
    if (memo_count(b->m) != b->count) {
        return text("a count of %zu, not %zu", memo_count(b->m), b->count);
    }
    for (size_t i = 0; i < HELD; i++) {
        if (!b->held[i]) {
            continue;
        }
        const cell *value = memo_value(b->held[i]);
        if (value < cells || value >= cells + cells_used
            || value->destroyed != 0) {
            return text("held[%zu] was destroyed", i);
        }
        if (value->number != b->held_key[i]) {
            return text("held[%zu] is the result for %llu, not %u", i,
                        (unsigned long long)value->number, b->held_key[i]);
        }
    }
    return NULL;
}

static void let_go_of(struct beside *b, unsigned at) {
    if (b->held[at]) {
        memo_release(b->held[at]);
        b->held[at] = NULL;
    }
}

static const char *model_apply(void *state, model_step s) {
    struct beside *b = state;
    memo_result *result = NULL;
    bool want = false;
    status got = STATUS_OK;
    switch (s.operation) {
    case 0:
    case 1:
    case 2:
        want = model_call(b, s.key);
        got = memo_get(b->m, number(s.key), &result);
        if (got != (want ? STATUS_OK : STATUS_TIMEOUT)) {
            return text("\"%s\" for %u", status_name(got), s.key);
        }
        if (want) {
            let_go_of(b, s.value);
            b->held[s.value] = result;
            b->held_key[s.value] = s.key;
        }
        break;
    case 3: let_go_of(b, s.value); break;
    default: b->fails[s.key] = !b->fails[s.key];
    }
    return model_compare(b);
}

static const char *model_end(void *state) {
    struct beside *b = state;
    memo_destroy(b->m);
    for (size_t i = 0; i < HELD; i++) {
        if (b->held[i]) {
            const cell *value = memo_value(b->held[i]);
            if (value->destroyed != 0) {
                return text("the end of the memo destroyed held[%zu]", i);
            }
            memo_release(b->held[i]);
        }
    }
    free(b);
    for (size_t i = 0; i < cells_used; i++) {
        if (cells[i].destroyed != 1) {
            return text("%u destructions of one result", cells[i].destroyed);
        }
    }
    return NULL;
}

static void model_print(FILE *out, model_step s) {
    if (s.operation < 3) {
        fprintf(out,
                "memo_release(held[%u]); "
                "memo_get(m, number(%u), &held[%u]);",
                s.value, s.key, s.value);
    } else if (s.operation == 3) {
        fprintf(out, "memo_release(held[%u]);", s.value);
    } else {
        fprintf(out, "fails[%u] = !fails[%u];", s.key, s.key);
    }
}

TEST(any_mix_of_calls_agrees_with_a_plain_model, "P8", "6.5") {
    model_check(&(model){
        .operations = 5,
        .keys = MODEL_KEYS,
        .values = HELD,
        .lists = 60,
        .steps = 150,
        .begin = model_begin,
        .apply = model_apply,
        .end = model_end,
        .print = model_print,
    });
}

/* --- 6.6: an answer that needs itself ----------------------------------- */

/* Asks for the next number of a circle; context: how many there are, and
 * whether it still asks. */
struct circle {
    uint64_t length;
    bool broken;
    memo_result *out; /* what the last call wrote */
};

static status ask_the_next(void *context, memo *m, bytes argument,
                           void **result) {
    struct circle *c = context;
    uint64_t n = number_in(argument);
    if (too_many_runs()) {
        return STATUS_BACKEND;
    }
    if (!c->broken) {
        status s = memo_get(m, number((n + 1) % c->length), &c->out);
        if (s != STATUS_OK) {
            return s;
        }
        memo_release(c->out);
    }
    return give(n, result);
}

TEST(a_call_that_needs_itself_is_refused, "P9", "6.6") {
    static char untouched;
    struct circle c = {.length = 1, .out = (memo_result *)&untouched};
    memo *m = memo_of(3, ask_the_next, &c, destroy);
    memo_result *result;
    want_status(memo_get(m, number(0), &result), STATUS_DEADLOCK,
                "a function that asks for its own argument, call",
                "the argument is being computed: running again never ends");
    want_int(runs, 1, "a function that asks for its own argument, runs",
             "the call that is refused must run nothing");
    want_int(memo_statistics(m).runs, 1,
             "a function that asks for its own argument, the runs counted",
             "a call that is refused is no run, and no miss makes one");
    want_pointer(c.out, &untouched, "the call that is refused, look at *out",
                 "out-parameters are written only on success");
    memo_destroy(m);
}

TEST(a_circle_is_refused_at_any_capacity, "P9", "6.6") {
    for (size_t capacity = 1; capacity <= 4; capacity++) {
        struct circle c = {.length = 3};
        memo *m = memo_of(capacity, ask_the_next, &c, destroy);
        memo_result *result;
        const char *did =
            text("capacity %zu, 0 asks for 1, 1 for 2, 2 for 0", capacity);
        want_status(memo_get(m, number(0), &result), STATUS_DEADLOCK, did,
                    "every call that runs must be looked at, not the last");
        want_int(runs, 3, text("%s; runs", did),
                 "each of the three runs once, and then 0 is refused");
        memo_destroy(m);
    }
}

TEST(a_circle_that_was_broken_can_be_computed, "P9", "6.6") {
    struct circle c = {.length = 3};
    memo *m = memo_of(3, ask_the_next, &c, destroy);
    memo_result *result;
    memo_get(m, number(0), &result);
    c.broken = true;
    for (uint64_t n = 0; n < 3; n++) {
        const char *did = text("a circle of three is refused, then broken; "
                               "call %llu",
                               (unsigned long long)n);
        memo_release(hold(m, number(n), did));
    }
    memo_destroy(m);
}

/* Asks for itself, and answers though it is refused. */
static status ask_anyway(void *context, memo *m, bytes argument,
                         void **result) {
    if (too_many_runs()) {
        return STATUS_BACKEND;
    }
    memo_result *mine;
    *(status *)context = memo_get(m, argument, &mine);
    return give(1, result);
}

TEST(a_function_may_answer_though_it_was_refused, "P9", "6.6") {
    status inner = STATUS_OK;
    memo *m = memo_of(3, ask_anyway, &inner, destroy);
    ask(m, 1);
    want_status(inner, STATUS_DEADLOCK, "a call for the own argument",
                "the argument is being computed");
    ask(m, 1);
    want_int(runs, 1, "it answers nevertheless; call it again, runs",
             "what is refused inside must not spoil the call outside");
    memo_destroy(m);
}

/* From `length` down to 0, which then asks for one further out. */
static status down_and_back(void *context, memo *m, bytes argument,
                            void **result) {
    uint64_t n = number_in(argument);
    if (too_many_runs()) {
        return STATUS_BACKEND;
    }
    uint64_t next = n > 0 ? n - 1 : *(uint64_t *)context;
    memo_result *other;
    status s = memo_get(m, number(next), &other);
    if (s != STATUS_OK) {
        return s;
    }
    memo_release(other);
    return give(n, result);
}

TEST(a_circle_is_refused_at_any_depth, "P9", "6.6") {
    static const uint64_t depths[] = {10, 63, 64, 65, 128, 200, 300};
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        uint64_t backs[] = {depths[i], depths[i] / 2, 1};
        for (size_t j = 0; j < 3; j++) {
            memo *m = memo_of(2, down_and_back, &backs[j], destroy);
            memo_result *result;
            const char *did = text(
                "%llu asks for one less, and so on; 0 asks for %llu",
                (unsigned long long)depths[i], (unsigned long long)backs[j]);
            want_status(memo_get(m, number(depths[i]), &result),
                        STATUS_DEADLOCK, did,
                        "a call that runs was forgotten, or the set of them "
                        "was full");
            want_int(runs, depths[i] + 1, text("%s; runs", did),
                     "the call that is refused must run nothing");
            memo_destroy(m);
        }
    }
}

static double steps_per_level(uint64_t depth) {
    memo *m = memo_of(depth + 1, countdown, NULL, destroy);
    size_t before = work_steps();
    ask(m, depth);
    double steps = (double)(work_steps() - before) / (double)(depth + 1);
    want_none_destroyed("levels of recursion, all remembered");
    memo_destroy(m);
    return steps;
}

TEST(a_call_costs_the_same_at_any_depth, "P4", "6.6") {
    double shallow = steps_per_level(100);
    double deep = steps_per_level(test_scale(BUDGET - 1, 1000));
    want_that(deep <= shallow * 2,
              "steps per level of a recursion, 100 and then 3,000 levels deep\n"
              "wanted  about the same\n"
              "got     %.0f and %.0f\n"
              "likely  the running calls are searched one by one",
              shallow, deep);
}

TEST(fibonacci_10000_is_right_to_the_last_digit, "P4", "6.6") {
    unsigned long n = test_scale(10000, 3000);
    size_t budget = 2 * n;
    memo *m = memo_of(n + 1, big_fibonacci, &budget, destroy_big);
    memo_result *result = NULL;
    const char *did = text("call fibonacci(%lu)", n);
    status s = memo_get(m, number(n), &result);
    want_int(runs, n + 1, text("%s, count the runs", did),
             "the calls that the function makes must be remembered");
    want_status(s, STATUS_OK, did, "a call in between fails");
    mpz_t right;
    mpz_init(right);
    mpz_fib_ui(right, n);
    bool same = mpz_cmp(right, number_of(result)) == 0;
    mpz_clear(right);
    want_true(same, text("%s, compare with mpz_fib_ui(%lu)", did, n),
              "some result is given out for another argument");
    want_int(live_bigs(), n + 1, text("%s, count the results that live", did),
             "the memo, which has room for all, is a holder of each: a release "
             "by others must not end one");
    memo_release(result);
    memo_destroy(m);
}

/* --- 6.7: without memory ------------------------------------------------ */

static bytes long_argument(unsigned n) {
    return bytes_of(text("argument %u, of more than sixteen bytes", n));
}

/* A few calls, with one allocation failing somewhere in them. */
static void try_to_call(void *context) {
    (void)context;
    memo *m = NULL;
    start_over();
    if (memo_create(2, count_runs, NULL, destroy, SEED, &m) != STATUS_OK) {
        return;
    }
    for (unsigned n = 0; n < 4; n++) {
        size_t runs_before = runs;
        bool failed_before = heap_has_failed();
        memo_result *result;
        status s = memo_get(m, long_argument(n), &result);
        bool ran = runs != runs_before;
        bool fails_now = heap_has_failed() && !failed_before;
        const char *did =
            text("capacity 2, %u calls, then one while an allocation fails", n);
        want_true(s == STATUS_OK || (s == STATUS_NO_MEMORY && fails_now), did,
                  "the status is ok, or no memory when there was none");
        want_int(s == STATUS_OK, ran,
                 text("%s; whether it gives a result, and whether it ran", did),
                 "what the call needs must be allocated before the function "
                 "runs, and a result that cannot be remembered handed out");
        if (s == STATUS_OK) {
            cell_of(result, did);
            memo_release(result);
        }
    }
    size_t known = memo_count(m);
    memo_destroy(m);
    want_that(heap_has_failed() || known == 2,
              "four calls with memory, capacity 2, count\n"
              "wanted  2\ngot     %zu\nlikely  nothing is remembered",
              known);
    want_all_destroyed_once("calls while an allocation fails, destroy");
}

TEST(without_memory_a_call_loses_nothing, "P12", "6.7") {
    heap_fail_each(try_to_call, NULL);
}

/* What is known stays known while calls fail. */
TEST(without_memory_a_call_changes_nothing, "P12", "6.7") {
    memo *m = memo_of(3, count_runs, NULL, destroy);
    for (unsigned n = 0; n < 3; n++) {
        memo_release(hold(m, long_argument(n), "call"));
    }
    memo_stats before = memo_statistics(m);
    status s = STATUS_NO_MEMORY;
    for (size_t nth = 1; s == STATUS_NO_MEMORY; nth++) {
        memo_result *result;
        heap_fail_at(nth);
        s = memo_get(m, long_argument(9), &result);
        heap_fail_at(0);
        const char *did = text("capacity 3, call 0 1 2, call 9 while its "
                               "allocation %zu fails",
                               nth);
        if (s == STATUS_OK) {
            memo_release(result);
            break;
        }
        want_int(memo_statistics(m).runs, before.runs, text("%s; runs", did),
                 "a call without memory must not run the function");
        want_int(memo_statistics(m).evictions, before.evictions,
                 text("%s; evictions", did),
                 "a call that fails must not cost another result");
        want_int(memo_count(m), 3, text("%s; count", did),
                 "a call that fails must not cost another result");
    }
    want_status(s, STATUS_OK, "call 9 while ever later allocations fail",
                "no memory is the only reason to fail");
    memo_destroy(m);
    want_all_destroyed_once("calls while an allocation fails, destroy");
}

/* Levels of recursion, so many that the running calls need more room. */
static void try_to_recurse(void *context) {
    uint64_t depth = *(uint64_t *)context;
    memo *m = NULL;
    start_over();
    if (memo_create(depth + 1, countdown, NULL, destroy, SEED, &m)
        != STATUS_OK) {
        return;
    }
    const char *did = text("%llu levels while an allocation fails",
                           (unsigned long long)depth);
    memo_result *result;
    status s = memo_get(m, number(depth), &result);
    want_true(s == STATUS_OK || (s == STATUS_NO_MEMORY && heap_has_failed()),
              did, "the status is ok, or no memory when there was none");
    if (s == STATUS_OK) {
        memo_release(result);
    }
    memo_release(hold(m, number(depth), text("%s, then again", did)));
    want_none_destroyed(did);
    memo_destroy(m);
    want_all_destroyed_once(did);
}

TEST(without_memory_recursion_ends_well, "P12", "6.7") {
    uint64_t depth = test_scale(70, 10);
    heap_fail_each(try_to_recurse, &depth);
}

static void try_to_go_round(void *context) {
    uint64_t *depth = context;
    memo *m = NULL;
    start_over();
    if (memo_create(3, down_and_back, depth, destroy, SEED, &m) != STATUS_OK) {
        return;
    }
    memo_result *result;
    status s = memo_get(m, number(*depth), &result);
    const char *did = text("a circle of %llu while an allocation fails",
                           (unsigned long long)*depth + 1);
    want_true(
        s == STATUS_DEADLOCK || (s == STATUS_NO_MEMORY && heap_has_failed()),
        did, "without room for one more running call none may be forgotten");
    want_at_most(runs, *depth + 1, text("%s; runs", did),
                 "without room for one more running call none may be "
                 "forgotten");
    memo_destroy(m);
}

TEST(without_memory_a_circle_is_still_refused, "P9", "6.7") {
    uint64_t depth = 64; /* where the room for running calls just runs out */
    heap_fail_each(try_to_go_round, &depth);
}

/* Results that own memory, and a function that allocates for itself. */
static void try_fibonacci(void *context) {
    memo *m = NULL;
    start_over();
    if (memo_create(4, big_fibonacci, context, destroy_big, SEED, &m)
        != STATUS_OK) {
        return;
    }
    memo_result *result;
    status s = memo_get(m, number(12), &result);
    const char *did = "fibonacci(12) in GMP while an allocation fails";
    want_true(s == STATUS_OK || (s == STATUS_NO_MEMORY && heap_has_failed()),
              did, "the status is ok, or no memory when there was none");
    if (s == STATUS_OK) {
        want_int(mpz_get_ui(number_of(result)), 144, did,
                 "what could not be remembered must be run again, not wrong");
        memo_release(result);
    }
    memo_destroy(m);
}

TEST(without_memory_results_of_any_size_are_not_lost, "P12", "6.7") {
    size_t budget = BUDGET;
    heap_fail_each(try_fibonacci, &budget);
}
