/* Tests that fail on purpose: the proof that a leak, a crash, an endless loop,
 * an exit and a missing step are each reported as what they are, with the line
 * in the code under test. tests/faults/expected.tsv says what must come out. */
#include "faults/alternates/faulty.h"

#include "support/check.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/work.h"

#include <pthread.h>
#include <stdlib.h>

TEST(a_leak, "P0", "0.0") {
    want_true(faulty_leak() != NULL, "leak", "no memory");
}

TEST(a_crash, "P0", "0.0") {
    faulty_read_null();
}

TEST(an_endless_loop, "P0", "0.0") {
    faulty_loop(1);
}

TEST(an_exit, "P0", "0.0") {
    faulty_exit();
}

TEST(a_stack_overflow, "P0", "0.0") {
    faulty_recurse(0);
}

TEST(a_missing_step, "P0", "0.0") {
    faulty_todo();
}

TEST(a_skip, "P0", "0.0") {
    test_skip("there is no server");
}

TEST(a_use_after_free, "P0", "0.0") {
    want_int(faulty_use_after_free(), 'x', "free a block, read it",
             "it was freed");
}

TEST(an_overflow, "P0", "0.0") {
    faulty_overflow();
}

TEST(a_double_free, "P0", "0.0") {
    faulty_double_free();
}

static void *fail_there(void *unused) {
    want_int(1, 2, "fail on another thread", "it is not the test's own");
    return unused;
}

TEST(a_failure_on_another_thread, "P0", "0.0") {
    pthread_t other;
    pthread_create(&other, NULL, fail_there, NULL);
    pthread_join(other, NULL);
}

TEST(a_scan, "P0", "0.0") {
    size_t before = work_steps();
    faulty_scan(1000);
    want_at_most(work_steps() - before, 100, "scan 1000", "a scan");
}

TEST(a_failed_allocation, "P0", "0.0") {
    heap_fail_at(1);
    want_true(faulty_leak() != NULL, "malloc with its first one failing",
              "the allocator gave memory all the same");
}

/* A model whose code forgets the key 3 when 5 is set after it. */
struct set {
    unsigned last, broken;
};

static void *set_begin(void) {
    return calloc(1, sizeof(struct set));
}

static const char *set_apply(void *state, model_step s) {
    struct set *set = state;
    set->broken = set->broken || (set->last == 3 && s.key == 5);
    set->last = s.key == 3 ? 3 : set->last;
    return set->broken ? "key 3 is gone" : NULL;
}

static const char *set_end(void *state) {
    free(state);
    return NULL;
}

static void set_print(FILE *out, model_step s) {
    fprintf(out, "set(%u);", s.key);
}

TEST(a_model_that_shrinks, "P0", "0.0") {
    model_check(&(model){.operations = 1,
                         .keys = 9,
                         .values = 1,
                         .lists = 20,
                         .steps = 100,
                         .begin = set_begin,
                         .apply = set_apply,
                         .end = set_end,
                         .print = set_print});
}
