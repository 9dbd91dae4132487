/* Tests of the bench. None of them asks how late it is: runs are driven by
 * clocks that are turned by hand, and where the machine's own clock is meant,
 * clock_gettime is answered here. */
#include "bench.h"

#include "support/check.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/work.h"

#include <math.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FEW = 100, DRAWS = 200 };

/* -- the machine's clocks, as these tests want them --------------------- */

static struct {
    bool on;
    int64_t monotonic, step, wall;
} machine;

static void from_ns(int64_t ns, struct timespec *out) {
    out->tv_sec = ns / 1000000000;
    out->tv_nsec = ns % 1000000000;
}

/* Takes the place of the C library's. */
int clock_gettime(clockid_t id, struct timespec *out) {
    if (!machine.on) {
        return (int)syscall(SYS_clock_gettime, id, out);
    }
    switch (id) {
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        machine.monotonic += machine.step;
        from_ns(machine.monotonic, out);
        break;
    case CLOCK_REALTIME: from_ns(machine.wall, out); break;
    default: from_ns(0, out); /* a process that waits uses no time */
    }
    return 0;
}

/* -- a clock that is turned by hand --------------------------------------- */

typedef struct hand {
    int64_t now, tick; /* each reading takes a tick */
    size_t waits;
} hand;

static int64_t read_hand(void *context) {
    hand *h = context;
    h->now += h->tick;
    return h->now;
}

static void wait_hand(void *context, int64_t until) {
    hand *h = context;
    h->waits++;
    h->now = h->now < until ? until : h->now;
}

static bench_clock clock_of(hand *h) {
    return (bench_clock){read_hand, wait_hand, h};
}

/* -- work that takes a known time ------------------------------------------ */

enum { JOBS = 64 };

typedef struct job {
    hand hand;
    int64_t takes[JOBS]; /* operation i takes takes[i % JOBS] */
    int64_t began[JOBS]; /* when it began, last */
    char calls[256];     /* numbers of the operations, as text */
    size_t count;        /* of calls */
    size_t prepared;     /* calls of prepare; */
    uint64_t prepared_for;
    int64_t preparing; /* how long that takes, */
    status refuses;    /* and what it says */
    bool late;         /* prepare was called after an operation */
} job;

static status prepare_job(void *context, uint64_t count) {
    job *j = context;
    j->prepared++;
    j->prepared_for = count;
    j->late = j->count > 0;
    j->hand.now += j->preparing;
    return j->refuses;
}

static uint64_t do_job(void *context, uint64_t number) {
    job *j = context;
    size_t len = strlen(j->calls);
    snprintf(j->calls + len, sizeof j->calls - len, "%s%llu", len ? " " : "",
             (unsigned long long)number);
    j->began[number % JOBS] = j->hand.now;
    j->hand.now += j->takes[number % JOBS];
    j->count++;
    return 1000 + number;
}

static bench_work work_of(job *j) {
    return (bench_work){prepare_job, do_job, j};
}

static bench_histogram *fresh(void) {
    bench_histogram *h = bench_histogram_create();
    want_true(h != NULL, "bench_histogram_create()",
              "create fails though there is memory");
    return h;
}

static void record(bench_histogram *h, int64_t ns) {
    want_status(bench_histogram_record(h, ns), STATUS_OK,
                text("record %lld", (long long)ns),
                "a time from 0 on must be counted");
}

static long long percentile(const bench_histogram *h, uint32_t per_million) {
    return bench_histogram_percentile(h, per_million);
}

/* Runs a job by its own clock. */
static status run_job(job *j, uint64_t count, int64_t interval_ns, bool cold,
                      bench_histogram *h, uint64_t *sum) {
    bench_work work = work_of(j);
    bench_options options = {interval_ns, cold, clock_of(&j->hand)};
    return bench_run(&work, count, &options, h, sum);
}

static void want_near(double got, double want, const char *did,
                      const char *likely) {
    want_that(fabs(got - want) <= 1e-9 * fabs(want),
              "%s\nwanted  %.6f\ngot     %.6f\nlikely  %s", did, want, got,
              likely);
}

/* --- 13.1: time and chance ------------------------------------------------ */

TEST(time_goes_on_when_the_wall_clock_is_set_back, "P1", "13.1") {
    machine.on = true;
    machine.monotonic = INT64_C(3000000000000007);
    machine.wall = INT64_C(1700000000000000000);
    int64_t before = bench_now_ns();
    machine.monotonic += 5000000;
    machine.wall -= INT64_C(3600000000000);
    int64_t passed = bench_now_ns() - before;
    machine.on = false;
    want_int(passed, 5000000,
             "read the time; 5 ms pass, and somebody sets the wall clock back "
             "by an hour; read it again: nanoseconds passed",
             "ask CLOCK_MONOTONIC, and count seconds as 10^9 nanoseconds");
}

TEST(a_seed_gives_the_same_numbers_on_every_machine, "P2", "13.1") {
    static const uint64_t want[] = {0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4,
                                    0x06c45d188009454f};
    uint64_t state = 0;
    for (size_t i = 0; i < 3; i++) {
        uint64_t got = bench_random(&state);
        want_that(got == want[i],
                  "seed 0, random number %zu\nwanted  %016llx\ngot     "
                  "%016llx\nlikely  compare each line with the header: add, "
                  "then mix the sum; the sum is the new state",
                  i, (unsigned long long)want[i], (unsigned long long)got);
    }
}

TEST(below_gives_each_number_as_often_as_any_other, "P3", "13.1") {
    static const uint64_t third = UINT64_C(1) << 62;
    uint64_t state = test_seed();
    size_t draws = 3000, first = 0, divisible = 0;
    for (size_t i = 0; i < draws; i++) {
        uint64_t x = bench_random_below(&state, 3 * third);
        first += x < third;
        divisible += x % 3 == 0;
    }
    want_that(first > 800 && first < 1200,
              "3000 times below(3 * 2^62), how many are in the first "
              "third\nwanted  about 1000\ngot     %zu\nlikely  a remainder "
              "alone gives small numbers more often: some draws must be done "
              "again",
              first);
    want_that(divisible > 800 && divisible < 1200,
              "3000 times below(3 * 2^62), how many are divisible by "
              "3\nwanted  about 1000\ngot     %zu\nlikely  stretching 2^64 "
              "over n alone leaves gaps: some draws must be done again",
              divisible);
}

TEST(below_is_made_as_the_header_says, "P2", "13.1") {
    static const uint64_t small[] = {487, 804, 346, 203, 674, 305, 798, 182};
    static const uint64_t large[] = {UINT64_C(7191089600892374487),
                                     UINT64_C(309689372594955804),
                                     UINT64_C(10753165928301472203)};
    uint64_t state = 7;
    for (size_t i = 0; i < 8; i++) {
        want_int(bench_random_below(&state, 1000), small[i],
                 text("seed 7, number %zu below 1000", i),
                 "the number is a remainder, 0 to n - 1");
    }
    state = 7;
    for (size_t i = 0; i < 3; i++) {
        want_int(bench_random_below(&state, UINT64_C(3) << 62), large[i],
                 text("seed 7, number %zu below 3 * 2^62", i),
                 "draw again from the greatest multiple of n on, not before");
    }
    state = 7;
    for (uint64_t i = 0, again = 7; i < 8; i++) {
        want_int(bench_random_below(&state, UINT64_C(1) << 63),
                 bench_random(&again) % (UINT64_C(1) << 63),
                 text("seed 7, number %d below 2^63", (int)i),
                 "2^64 is a multiple of 2^63: no number may be left out");
    }
    want_int(bench_random_below(&state, 1), 0, "a number below 1",
             "only 0 is below 1");
}

TEST(a_key_is_the_same_on_every_machine, "P2", "13.1") {
    static const char *const want[] = {"bPBajO4lke", "DNK9Bf09HX",
                                       "4vBmXXKEt8"};
    uint64_t state = 1;
    for (size_t i = 0; i < 3; i++) {
        bench_key key = bench_random_key(&state);
        want_int(key.text[BENCH_KEY_LEN], 0,
                 text("seed 1, key %zu, its end", i),
                 "behind its characters a key holds zero bytes");
        want_text(key.text, want[i], text("seed 1, key %zu", i),
                  "one random number gives one key, its lowest 6 bits the "
                  "first character");
    }
    bench_key key = bench_random_key(&state);
    for (size_t i = BENCH_KEY_LEN; i < sizeof key.text; i++) {
        want_int(key.text[i], 0, text("a key, byte %zu", i),
                 "behind its characters a key holds zero bytes");
    }
}

/* --- 13.2: Zipf ----------------------------------------------------------- */

static bench_zipf *law(size_t n, unsigned exponent_percent) {
    bench_zipf *z = NULL;
    want_status(bench_zipf_create(n, exponent_percent, &z), STATUS_OK,
                text("bench_zipf_create(%zu, %u, &z)", n, exponent_percent),
                "create fails though there is memory");
    want_true(z != NULL, text("bench_zipf_create(%zu, ...)", n),
              "create says ok and does not write the law to *out");
    return z;
}

static size_t draw(const bench_zipf *z, uint64_t *state, size_t n) {
    size_t rank = bench_zipf_next(z, state);
    want_that(rank < n,
              "draw one of %zu ranks\nwanted  0 to %zu\ngot     %zu\nlikely  "
              "ranks are counted from 0; the walk ends at the last one",
              n, n - 1, rank);
    return rank;
}

/* How far the counts are from the law: Pearson's chi-square, by how many
 * standard deviations it is beyond what chance makes of it. */
static double surprise(const size_t *counts, size_t n, double exponent,
                       double draws) {
    double total = 0, chi = 0;
    for (size_t r = 0; r < n; r++) {
        total += pow((double)(r + 1), -exponent);
    }
    for (size_t r = 0; r < n; r++) {
        double wanted = draws * pow((double)(r + 1), -exponent) / total;
        double off = (double)counts[r] - wanted;
        chi += off * off / wanted;
    }
    double freedom = (double)n - 1;
    return (chi - freedom) / sqrt(2 * freedom);
}

static void want_law(size_t n, unsigned exponent_percent) {
    static size_t counts[200];
    memset(counts, 0, sizeof counts);
    size_t draws = test_scale(200000, 20000);
    uint64_t state = test_seed();
    bench_zipf *z = law(n, exponent_percent);
    for (size_t i = 0; i < draws; i++) {
        counts[draw(z, &state, n)]++;
    }
    bench_zipf_destroy(z);
    double off = surprise(counts, n, exponent_percent / 100.0, (double)draws);
    want_that(off < 6,
              "draw %zu times from %zu ranks, exponent %.2f; rank 0 came %zu "
              "times, rank 1 %zu, rank %zu %zu\nwanted  shares of 1 / (rank + "
              "1)^%.2f; chance is off by 1 or 2 (chi-square, in standard "
              "deviations)\ngot     off by %.1f\nlikely  the weight of rank "
              "r is that of the number r + 1, and a draw must be compared "
              "with sums of weights",
              draws, n, exponent_percent / 100.0, counts[0], counts[1], n - 1,
              counts[n - 1], exponent_percent / 100.0, off);
}

TEST(ranks_follow_the_law_of_zipf, "P4", "13.2") {
    want_law(200, 99);
    want_law(20, 150);
    want_law(2, 100);
}

TEST(an_exponent_of_zero_is_even_chance, "P4", "13.2") {
    want_law(200, 0);
    want_law(3, 0);
}

TEST(a_rank_is_the_same_on_every_machine, "P2", "13.2") {
    static const size_t few[] = {151, 1,  4, 7,  0,  384, 2,  234,
                                 7,   60, 2, 23, 27, 29,  86, 2};
    static const size_t many[] = {5041, 3,     18, 42,   0, 22044,
                                  8,    10058, 39, 1176, 7, 260};
    uint64_t state = 42;
    bench_zipf *z = law(1000, 99);
    for (size_t i = 0; i < 16; i++) {
        want_int(draw(z, &state, 1000), few[i],
                 text("seed 42, 1000 ranks, exponent 0.99, draw %zu", i),
                 "one draw takes one random number, and the rank is the one "
                 "in whose weight the point lies");
    }
    bench_zipf_destroy(z);
    state = 42;
    size_t n = test_scale(100000, 1000);
    z = law(n, 99);
    for (size_t i = 0; i < 12 && n == 100000; i++) {
        want_int(draw(z, &state, n), many[i],
                 text("seed 42, 100,000 ranks, exponent 0.99, draw %zu", i),
                 "all weights must count, down to the smallest");
    }
    bench_zipf_destroy(z);
}

/* Each seed gives a point at the very border of two ranks. */
TEST(the_last_bit_decides_between_two_ranks, "P2", "13.2") {
    static const struct {
        unsigned exponent_percent;
        size_t rank;
        uint64_t seed;
    } cases[] = {
        {99, 1, 0x5011fcf80da7f177},    {99, 2, 0x3cbf2e84ba07d7ed},
        {99, 900, 0x32f7d0b1540f076d},  {99, 901, 0xb86a8bc92efc261f},
        {300, 400, 0xa9dab58a95aa436d}, {300, 401, 0x4c8c98b0ff280d90},
        {300, 900, 0x1cbcb035a63ef3ad}, {300, 901, 0xe7ffcfcdf42af5f6}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bench_zipf *z = law(1000, cases[i].exponent_percent);
        uint64_t state = cases[i].seed;
        want_int(draw(z, &state, 1000), cases[i].rank,
                 text("seed %016llx, 1000 ranks, exponent %.2f, draw 0",
                      (unsigned long long)cases[i].seed,
                      cases[i].exponent_percent / 100.0),
                 "weights have the bits that the header says, and a point "
                 "where one rank ends belongs to the next");
        bench_zipf_destroy(z);
    }
}

TEST(one_rank_is_a_law_too, "P4", "13.2") {
    uint64_t state = 1;
    for (unsigned percent = 0; percent <= 1000; percent += 250) {
        bench_zipf *z = law(1, percent);
        for (size_t i = 0; i < 10; i++) {
            want_int(draw(z, &state, 1), 0, "draw one of 1 rank",
                     "there is only rank 0");
        }
        bench_zipf_destroy(z);
    }
    bench_zipf_destroy(NULL);
}

/* Work that does not grow with the size may still vary. */
static void want_flat(double few, double many, const char *did,
                      const char *likely) {
    want_that(many <= 3 * few + 10,
              "%s\nwanted  about as many steps as with few\ngot     %.0f steps "
              "with few, %.0f with many\nlikely  %s",
              did, few, many, likely);
}

static double steps_per_draw(size_t n) {
    uint64_t state = 42;
    bench_zipf *z = law(n, 99);
    size_t allocations = heap_allocations();
    size_t before = work_steps();
    for (size_t i = 0; i < DRAWS; i++) {
        bench_zipf_next(z, &state);
    }
    double steps = (double)(work_steps() - before) / DRAWS;
    want_int(heap_allocations() - allocations, 0,
             text("draw %d times: allocations", DRAWS),
             "all that a draw needs is made by create");
    bench_zipf_destroy(z);
    return steps;
}

TEST(a_draw_is_as_cheap_among_many_ranks, "P5", "13.2") {
    size_t many = test_scale(50000, 5000);
    want_flat(steps_per_draw(FEW), steps_per_draw(many),
              text("draw one of %d ranks, and one of %zu", FEW, many),
              "all ranks are walked through: halve what is left, or begin "
              "where a guide says");
}

TEST(a_law_that_cannot_be_is_refused, "P17", "13.2") {
    static char untouched;
    bench_zipf *z = (bench_zipf *)&untouched;
    want_status(bench_zipf_create(0, 99, &z), STATUS_INVALID,
                "bench_zipf_create(0, 99, &z)", "there is no rank to draw");
    want_status(bench_zipf_create(10, 1001, &z), STATUS_INVALID,
                "bench_zipf_create(10, 1001, &z)",
                "the exponent must be compared with its maximum");
    heap_fail_at(1);
    want_status(bench_zipf_create(BENCH_ZIPF_MAX + 1, 99, &z), STATUS_INVALID,
                "bench_zipf_create(BENCH_ZIPF_MAX + 1, 99, &z)",
                "n must be compared with BENCH_ZIPF_MAX, before any malloc");
    heap_fail_at(0);
    want_pointer(z, &untouched, "bad arguments to create, look at z",
                 "out-parameters are written only on success");
}

static void try_law(void *context) {
    static char untouched;
    bench_zipf *z = (bench_zipf *)&untouched;
    status s = bench_zipf_create(FEW, 99, &z);
    ++*(size_t *)context;
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "create a law while an allocation fails",
                "every result of malloc must be looked at");
    if (s == STATUS_OK) {
        bench_zipf_destroy(z);
    } else {
        want_pointer(z, &untouched, "create without memory, look at z",
                     "out-parameters are written only on success");
    }
}

TEST(without_memory_there_is_no_law, "P16", "13.2") {
    size_t tries = 0;
    heap_fail_each(try_law, &tries);
    want_that(tries > 1, "create a law, count allocations\nwanted  at least "
                         "one\ngot     none\nlikely  where do the sums live?");
}

/* --- 13.3: the histogram: recording ----------------------------------------
 */

static void try_histogram(void *context) {
    bench_histogram *h = bench_histogram_create();
    ++*(size_t *)context;
    want_true((h == NULL) == heap_has_failed(),
              "create a histogram while an allocation fails: NULL",
              "every result of malloc must be looked at");
    bench_histogram_destroy(h);
}

TEST(an_empty_histogram_is_all_zeros, "P6", "13.3") {
    bench_histogram *h = fresh();
    bench_summary s = bench_histogram_summary(h);
    want_int(s.count, 0, "create, count", "the count must start at 0");
    want_int(s.least_ns, 0, "create, least", "nothing was recorded: all zero");
    want_int(s.most_ns, 0, "create, most", "nothing was recorded: all zero");
    want_true(s.mean_ns == 0, "create, is the mean 0",
              "do not divide by a count of 0");
    bench_histogram_destroy(h);
    bench_histogram_destroy(NULL);
    size_t tries = 0;
    heap_fail_each(try_histogram, &tries);
    want_that(tries > 1, "create a histogram, count allocations\nwanted  at "
                         "least one\ngot     none\nlikely  where do the "
                         "buckets live?");
}

TEST(count_least_most_and_mean_are_exact, "P6", "13.3") {
    static const int64_t times[] = {1234567, 17, 60000000000, 0, 999, 17};
    bench_histogram *h = fresh();
    double sum = 0;
    for (size_t i = 0; i < 6; i++) {
        record(h, times[i]);
        sum += (double)times[i];
    }
    bench_summary s = bench_histogram_summary(h);
    const char *did = "record 1234567, 17, 60 s, 0, 999, 17";
    want_int(s.count, 6, text("%s: count", did), "each record counts once");
    want_int(s.least_ns, 0, text("%s: least", did),
             "compare with the least so far");
    want_int(s.most_ns, 60000000000, text("%s: most", did),
             "compare with the most so far, and keep the time, not its bucket");
    want_near(s.mean_ns, sum / 6, text("%s: mean", did),
              "add the times up, not the middles of their buckets");
    bench_histogram_destroy(h);
    h = fresh();
    record(h, 500);
    want_int(bench_histogram_summary(h).least_ns, 500, "record 500, least",
             "a least that starts at 0 stays 0 for ever");
    bench_histogram_destroy(h);
}

TEST(a_time_beyond_the_range_is_not_lost, "P7", "13.3") {
    bench_histogram *h = fresh();
    record(h, 1000);
    record(h, 90 * INT64_C(1000000000));
    record(h, INT64_MAX / 4);
    bench_summary s = bench_histogram_summary(h);
    want_int(s.count, 3, "record 1 us, 90 s and 73 years, count",
             "the worst times are those that matter: count them");
    want_int(s.most_ns, INT64_MAX / 4, "record 1 us, 90 s and 73 years, most",
             "the summary holds the time itself");
    bench_histogram_destroy(h);
}

TEST(a_negative_time_is_refused, "P7", "13.3") {
    bench_histogram *h = fresh();
    record(h, 5);
    want_status(bench_histogram_record(h, -1), STATUS_INVALID, "record -1",
                "a clock that went back must not look like a quick operation");
    want_status(bench_histogram_record(h, INT64_MIN), STATUS_INVALID,
                "record INT64_MIN", "any negative time must be refused");
    bench_summary s = bench_histogram_summary(h);
    want_int(s.count, 1, "record 5, -1, INT64_MIN, count",
             "what is refused is not counted");
    want_int(s.least_ns, 5, "record 5, -1, INT64_MIN, least",
             "what is refused changes nothing");
    bench_histogram_destroy(h);
}

static double steps_per_record(int64_t from) {
    bench_histogram *h = fresh();
    size_t before = work_steps();
    for (size_t i = 0; i < FEW; i++) {
        bench_histogram_record(h, from + (int64_t)i);
    }
    double steps = (double)(work_steps() - before) / FEW;
    bench_histogram_destroy(h);
    return steps;
}

TEST(recording_is_as_cheap_for_any_time, "P8", "13.3") {
    want_flat(steps_per_record(1), steps_per_record(59000000000),
              "record 100 short times, and 100 of 59 s",
              "the bucket is looked for one by one: compute its number");
    size_t blocks = heap_live_bytes();
    bench_histogram *h = fresh();
    size_t before = heap_allocations();
    uint64_t state = 1;
    for (size_t i = 0; i < 2000; i++) {
        record(h, (int64_t)bench_random_below(&state, BENCH_NS_MAX));
    }
    want_int(heap_allocations() - before, 0,
             "record 2000 times of up to 60 s: allocations",
             "all buckets are there from the start");
    want_at_most(heap_live_bytes() - blocks, 64 << 10,
                 "record 2000 times of up to 60 s: bytes held",
                 "buckets must grow wider with the time: a fixed number for "
                 "each power of two");
    bench_histogram_destroy(h);
}

/* --- 13.4: percentiles -----------------------------------------------------
 */

/* Fails unless got is within 1 % of want: exactly equal up to 100. */
static void want_within(long long got, int64_t want, const char *did,
                        const char *likely) {
    want_that(100 * llabs(got - want) <= want && (want > 100 || got == want),
              "%s\nwanted  %lld, or within 1 %% if above 100\ngot     "
              "%lld\nlikely  %s",
              did, (long long)want, got, likely);
}

TEST(a_time_alone_is_every_percentile, "P6", "13.4") {
    bench_histogram *h = fresh();
    want_int(percentile(h, 500000), 0, "create, median",
             "without times a percentile is 0");
    bench_histogram_destroy(h);
    for (int64_t power = 1; power <= BENCH_NS_MAX; power *= 2) {
        for (int64_t ns = power - 1; ns <= power + 1; ns++) {
            h = fresh();
            record(h, ns);
            want_int(percentile(h, 500000), ns,
                     text("record %lld, median", (long long)ns),
                     "a percentile lies between the least and the greatest");
            want_int(percentile(h, 0), ns,
                     text("record %lld, percentile 0", (long long)ns),
                     "of one time, each percentile is that time");
            bench_histogram_destroy(h);
        }
    }
}

/* Between a low and a high one, so that neither end helps. */
TEST(a_percentile_is_within_one_percent_at_every_size, "P6", "13.4") {
    uint64_t state = test_seed();
    for (int64_t power = 1; power <= BENCH_NS_MAX / 2; power *= 2) {
        for (size_t i = 0; i < 12; i++) {
            int64_t ns = i < 3    ? power + (int64_t)i - 1
                         : i == 3 ? power + power / 64 - (power >= 64)
                                  : power
                                        + (int64_t)bench_random_below(
                                            &state, (uint64_t)power);
            bench_histogram *h = fresh();
            record(h, 0);
            record(h, ns);
            record(h, BENCH_NS_MAX);
            want_within(percentile(h, 500000), ns,
                        text("record 0, %lld and 60 s, median", (long long)ns),
                        "a bucket is too wide, or the neighbour's is taken: "
                        "look at what happens at a power of two. Or one end "
                        "of the bucket is reported: report its middle");
            bench_histogram_destroy(h);
        }
    }
}

static int by_time(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

TEST(percentiles_of_known_times_are_within_one_percent, "P6", "13.4") {
    static const uint32_t asked[] = {0,      1,      100,    10000,  100000,
                                     250000, 499999, 500000, 500001, 900000,
                                     990000, 999000, 999900, 999999, 1000000};
    size_t n = test_scale(5000, 500);
    uint64_t state = test_seed();
    int64_t *times = calloc(n, sizeof *times);
    bench_histogram *h = fresh();
    for (size_t i = 0; i < n; i++) { /* as many for each power of two */
        unsigned bits = (unsigned)bench_random_below(&state, 36);
        times[i] =
            (int64_t)(bench_random(&state) >> (63 - bits)) % BENCH_NS_MAX;
        record(h, times[i]);
    }
    qsort(times, n, sizeof *times, by_time);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        size_t k = (n * asked[i] + 999999) / 1000000;
        want_within(percentile(h, asked[i]), times[k ? k - 1 : 0],
                    text("record %zu random times of 0 to 60 s, percentile "
                         "%.4f",
                         n, asked[i] / 1e4),
                    "count through the buckets until so many times are seen");
    }
    free(times);
    bench_histogram_destroy(h);
}

TEST(a_percentile_is_the_nearest_rank, "P6", "13.4") {
    static const struct {
        uint32_t per_million;
        int want;
    } cases[] = {{0, 1},       {1, 1},       {10000, 1},    {10001, 2},
                 {20000, 2},   {490000, 49}, {490001, 50},  {500000, 50},
                 {500001, 51}, {990000, 99}, {999000, 100}, {1000000, 100}};
    bench_histogram *h = fresh();
    for (int ns = 100; ns >= 1; ns--) {
        record(h, ns);
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        want_int(percentile(h, cases[i].per_million), cases[i].want,
                 text("record 1 to 100, percentile %.4f",
                      cases[i].per_million / 1e4),
                 "the k-th time in order, k = 100 * share rounded up, "
                 "counted from 1");
    }
    bench_histogram_destroy(h);
}

TEST(a_few_slow_ones_show_in_the_percentiles, "P6", "13.4") {
    bench_histogram *h = fresh();
    for (size_t i = 0; i < 990; i++) {
        record(h, 50);
    }
    for (size_t i = 0; i < 10; i++) {
        record(h, 1000000);
    }
    const char *did = "record 990 times 50 ns and 10 times 1 ms";
    want_int(percentile(h, 500000), 50, text("%s, median", did),
             "a percentile is a time that occurred; the mean (10 us) is not");
    want_int(percentile(h, 990000), 50, text("%s, percentile 99", did),
             "990 of 1000 do not exceed 50 ns");
    want_within(percentile(h, 991000), 1000000,
                text("%s, percentile 99.1", did), "the 991st is a slow one");
    bench_histogram_destroy(h);
}

TEST(the_whole_is_the_greatest_exactly, "P6", "13.4") {
    bench_histogram *h = fresh();
    record(h, 12345678);
    record(h, 7);
    record(h, 12345679);
    want_int(percentile(h, 1000000), 12345679,
             "record 12345678, 7, 12345679, percentile 100",
             "all times do not exceed the greatest, which is known exactly");
    bench_histogram_destroy(h);
}

TEST(a_percentile_of_very_many_times_is_right_too, "P6", "13.4") {
    bench_histogram *h = fresh();
    for (int ns = 10; ns <= 40; ns += 10) {
        record(h, ns);
    }
    for (size_t i = 0; i < 50; i++) {
        bench_histogram *copy = fresh();
        bench_histogram_add(copy, h);
        bench_histogram_add(h, copy);
        bench_histogram_destroy(copy);
    }
    const char *did = "record 10, 20, 30, 40, add a copy of all 50 times";
    want_true(bench_histogram_summary(h).count == (uint64_t)1 << 52,
              text("%s: is the count 2^52", did), "counts are added");
    want_int(percentile(h, 500000), 20, text("%s: median", did),
             "the count times per_million is beyond 64 bits: divide first");
    want_int(percentile(h, 500001), 30, text("%s: percentile 50.0001", did),
             "what the division leaves over counts too");
    want_int(percentile(h, 1000000), 40, text("%s: percentile 100", did),
             "the count times per_million is beyond 64 bits: divide first");
    bench_histogram_destroy(h);
}

TEST(a_percentile_beyond_the_range_says_60_seconds, "P7", "13.4") {
    bench_histogram *h = fresh();
    record(h, 5);
    record(h, 70 * INT64_C(1000000000));
    record(h, 80 * INT64_C(1000000000));
    record(h, 90 * INT64_C(1000000000));
    want_within(percentile(h, 500000), BENCH_NS_MAX,
                "record 5 ns, 70 s, 80 s, 90 s, median",
                "a time beyond the range counts in the last bucket");
    bench_histogram_destroy(h);
}

TEST(an_added_histogram_counts_as_if_recorded_here, "P9", "13.4") {
    bench_histogram *a = fresh(), *b = fresh();
    for (int ns = 1; ns <= 50; ns++) {
        record(a, ns + 50);
        record(b, ns);
    }
    record(b, 5000);
    bench_histogram_add(a, b);
    bench_summary s = bench_histogram_summary(a);
    const char *did = "record 51 to 100 here, 1 to 50 and 5000 there, add";
    want_int(s.count, 101, text("%s: count", did), "counts are added");
    want_int(s.least_ns, 1, text("%s: least", did), "the lesser of two");
    want_int(s.most_ns, 5000, text("%s: most", did), "the greater of two");
    want_near(s.mean_ns, 10050.0 / 101, text("%s: mean", did),
              "sums are added, not means");
    want_int(percentile(a, 490000), 50, text("%s: percentile 49", did),
             "buckets are added one by one");
    want_int(bench_histogram_summary(b).count, 51, text("%s: its count", did),
             "the other histogram stays as it is");
    bench_histogram_destroy(b);
    b = fresh();
    bench_histogram_add(a, b);
    want_int(bench_histogram_summary(a).least_ns, 1,
             "add an empty histogram: least", "an empty one has no least");
    bench_histogram_destroy(a);
    bench_histogram_destroy(b);
}

/* -- random runs against plain arrays: two histograms -----------------------
 */

enum { MODEL_MOST = 2048 };

/* 0 and 1: record into a or b; 2: add b to a; 3: record a negative time. */
enum { RECORD_A, RECORD_B, ADD_B_TO_A, RECORD_NEGATIVE, KINDS };

struct beside {
    bench_histogram *h[2];
    int64_t times[2][MODEL_MOST]; /* sorted */
    size_t count[2];
};

/* A time of each magnitude: key gives the power of two, value what follows. */
static int64_t model_time(model_step s) {
    int64_t power = INT64_C(1) << s.key % 36;
    return (power + power * s.value / 16) % BENCH_NS_MAX;
}

static void *model_begin(void) {
    struct beside *b = calloc(1, sizeof *b);
    b->h[0] = fresh();
    b->h[1] = fresh();
    return b;
}

static void model_insert(struct beside *b, size_t which, int64_t ns) {
    size_t at = b->count[which]++;
    int64_t *times = b->times[which];
    for (; at > 0 && times[at - 1] > ns; at--) {
        times[at] = times[at - 1];
    }
    times[at] = ns;
}

static const char *model_compare(const struct beside *b, size_t which) {
    size_t n = b->count[which];
    bench_summary s = bench_histogram_summary(b->h[which]);
    if (s.count != n) {
        return text("a count of %zu, where %zu were recorded", (size_t)s.count,
                    n);
    }
    if (n == 0) {
        return NULL;
    }
    if (s.least_ns != b->times[which][0]
        || s.most_ns != b->times[which][n - 1]) {
        return "another least or greatest than the one recorded";
    }
    for (uint32_t percent = 0; percent <= 100; percent += 10) {
        size_t k = (n * percent + 99) / 100;
        int64_t want = b->times[which][k ? k - 1 : 0];
        long long got = percentile(b->h[which], percent * 10000);
        if (100 * llabs(got - want) > want) {
            return text("percentile %u is %lld, where it should be %lld",
                        percent, got, (long long)want);
        }
    }
    return NULL;
}

static const char *model_apply(void *state, model_step s) {
    struct beside *b = state;
    size_t which = s.operation % 2;
    bool room = b->count[0] + b->count[1] < MODEL_MOST / 2;
    if (s.operation == ADD_B_TO_A && room) {
        for (size_t i = 0; i < b->count[1]; i++) {
            model_insert(b, 0, b->times[1][i]);
        }
        bench_histogram_add(b->h[0], b->h[1]);
    } else if (s.operation == RECORD_NEGATIVE) {
        if (bench_histogram_record(b->h[1], -model_time(s) - 1) == STATUS_OK) {
            return "a negative time was taken";
        }
    } else if (s.operation <= RECORD_B) {
        model_insert(b, which, model_time(s));
        if (bench_histogram_record(b->h[which], model_time(s)) != STATUS_OK) {
            return "a time was refused";
        }
    }
    const char *why = model_compare(b, 0);
    return why ? why : model_compare(b, 1);
}

static const char *model_end(void *state) {
    struct beside *b = state;
    bench_histogram_destroy(b->h[0]);
    bench_histogram_destroy(b->h[1]);
    free(b);
    return NULL;
}

static void model_print(FILE *out, model_step s) {
    if (s.operation == ADD_B_TO_A) {
        fprintf(out, "bench_histogram_add(a, b);");
    } else {
        fprintf(out, "bench_histogram_record(%s, %lld);",
                s.operation % 2 ? "b" : "a",
                s.operation == RECORD_NEGATIVE ? -(long long)model_time(s) - 1
                                               : (long long)model_time(s));
    }
}

TEST(any_mix_of_records_agrees_with_a_sorted_array, "P9", "13.4") {
    model_check(&(model){
        .operations = KINDS,
        .keys = 36,
        .values = 16,
        .lists = test_scale(40, 4),
        .steps = 60,
        .begin = model_begin,
        .apply = model_apply,
        .end = model_end,
        .print = model_print,
    });
}

/* --- 13.5: figures ---------------------------------------------------------
 */

static bench_report *fresh_report(void) {
    bench_report *r = bench_report_create();
    want_true(r != NULL, "bench_report_create()",
              "create fails though there is memory");
    return r;
}

static void add(bench_report *r, const char *implementation,
                const char *operation, size_t size, double value) {
    want_status(
        bench_report_add(r, implementation, operation, size, value), STATUS_OK,
        text("add %s %s %zu %g", implementation, operation, size, value),
        "add fails though there is memory");
}

/* The figure at this place. */
static bench_figure figure(const bench_report *r, size_t at) {
    bench_figure f = {.implementation = "none", .operation = "none"};
    size_t cursor = 0;
    for (size_t i = 0; i <= at; i++) {
        want_true(bench_report_next(r, &cursor, &f),
                  text("figure number %zu", at), "a figure is missing");
    }
    return f;
}

static size_t figures(const bench_report *r) {
    bench_figure f;
    size_t count = 0;
    for (size_t cursor = 0; bench_report_next(r, &cursor, &f);) {
        count++;
    }
    return count;
}

TEST(a_figure_is_the_median_with_its_spread, "P10", "13.5") {
    bench_report *r = fresh_report();
    static const double odd[] = {30, 10, 100, 20, 11};
    for (size_t i = 0; i < 5; i++) {
        add(r, "lru", "get", 1000, odd[i]);
    }
    bench_figure f = figure(r, 0);
    const char *did = "add 30, 10, 100, 20, 11";
    want_int(f.runs, 5, text("%s: runs", did), "each add is a run");
    want_near(f.median, 20, text("%s: median", did),
              "the middle one in order; a mean lets one bad run decide");
    want_near(f.least, 10, text("%s: least", did), "the first in order");
    want_near(f.most, 100, text("%s: most", did), "the last in order");
    add(r, "lru", "get", 1000, 40);
    want_near(figure(r, 0).median, 25, "add 30, 10, 100, 20, 11, 40: median",
              "of an even number, the mean of the middle two");
    want_status(bench_report_add(NULL, "lru", "get", 1000, 40), STATUS_OK,
                "add lru get 1000 40 to NULL",
                "in a warm-up the report is NULL, which is no mistake");
    want_int(figure(r, 0).runs, 6, "add 6 values, and one to NULL: runs",
             "without a report, as in a warm-up, nothing is noted");
    bench_report_destroy(r);
    bench_report_destroy(NULL);
}

TEST(reading_a_figure_changes_nothing, "P10", "13.5") {
    bench_report *r = fresh_report();
    add(r, "lru", "get", 1, 3);
    add(r, "lru", "get", 1, 1);
    add(r, "lru", "get", 1, 1);
    want_int(figures(r), 1, "add to one point three times, count figures",
             "the same names and size are the same figure");
    want_near(figure(r, 0).median, 1, "add 3, 1, 1: median",
              "the middle one in order; a mean lets one bad run decide");
    want_near(figure(r, 0).least, 1, "the same figure again: least",
              "a figure may be read as often as one likes");
    bench_figure untouched = {.size = 77};
    size_t cursor = 1;
    want_false(bench_report_next(r, &cursor, &untouched),
               "one figure, step beyond it", "there is no second figure");
    want_int(untouched.size, 77, "step beyond the end, look at the figure",
             "nothing is written when there is no figure");
    bench_report_destroy(r);
}

TEST(figures_come_in_the_order_of_their_first_mention, "P10", "13.5") {
    static const struct {
        const char *implementation, *operation;
        size_t size;
    } points[] = {{"b", "get", 10},
                  {"a", "get", 10},
                  {"b", "set", 10},
                  {"b", "get", 2},
                  {"get", "b", 10}};
    bench_report *r = fresh_report();
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < 5; i++) {
            size_t at = round ? 4 - i : i;
            char implementation[8], operation[8];
            snprintf(implementation, sizeof implementation, "%s",
                     points[at].implementation);
            snprintf(operation, sizeof operation, "%s", points[at].operation);
            add(r, implementation, operation, points[at].size, (double)at);
        }
    }
    for (size_t i = 0; i < 40; i++) { /* so that the report has to grow */
        add(r, "more", "get", i, 1);
    }
    want_int(figures(r), 45, "add to 45 points, to some twice, count figures",
             "implementation, operation and size together name a figure");
    for (size_t i = 0; i < 5; i++) {
        bench_figure f = figure(r, i);
        const char *got =
            text("%s %s %zu", f.implementation, f.operation, f.size);
        const char *want = text("%s %s %zu", points[i].implementation,
                                points[i].operation, points[i].size);
        want_text(got, want, text("figure number %zu", i),
                  "names are copied, and stay in the order of their first add");
        want_near(f.median, (double)i, text("figure number %zu: median", i),
                  "a value was added to another figure");
    }
    bench_report_destroy(r);
}

TEST(what_would_spoil_a_table_is_refused, "P17", "13.5") {
    static const char *const bad[] = {"", "a\tb", "a\nb", "a\rb",
                                      "thirty-two bytes are one too much"};
    bench_report *r = fresh_report();
    for (size_t i = 0; i < 5; i++) {
        want_status(bench_report_add(r, bad[i], "get", 1, 1), STATUS_INVALID,
                    text("add with bad implementation number %zu", i),
                    "a name of 1 to 31 bytes without tabs and line ends");
        want_status(bench_report_add(r, "lru", bad[i], 1, 1), STATUS_INVALID,
                    text("add with bad operation number %zu", i),
                    "a name of 1 to 31 bytes without tabs and line ends");
    }
    static const double worse[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        want_status(bench_report_add(r, "lru", "get", 1, worse[i]),
                    STATUS_INVALID, text("add the value %f", worse[i]),
                    "no order, and so no median, has a place for it");
    }
    want_int(figures(r), 0, "add what is refused, count figures",
             "what is refused changes nothing");
    want_status(bench_report_add(NULL, bad[1], "get", 1, 1), STATUS_INVALID,
                "add with a bad implementation to NULL",
                "a bad name shows in the warm-up, before any run: check first");
    want_status(bench_report_add(NULL, "lru", "get", 1, NAN), STATUS_INVALID,
                "add the value nan to NULL",
                "a bad value shows in the warm-up, before any run: check "
                "first");
    add(r, "a name of thirty-one bytes, lru", "get", 1, -5);
    want_text(figure(r, 0).implementation, "a name of thirty-one bytes, lru",
              "add with a name of 31 bytes", "31 bytes are allowed");
    bench_report_destroy(r);
}

TEST(a_figure_takes_99_runs_and_not_one_more, "P17", "13.5") {
    bench_report *r = fresh_report();
    for (size_t i = 0; i < BENCH_RUNS_MAX; i++) {
        add(r, "lru", "get", 1, (double)i);
    }
    want_status(bench_report_add(r, "lru", "get", 1, 1000), STATUS_TOO_LARGE,
                "add 100 values to one figure",
                "the number of runs must be compared with BENCH_RUNS_MAX");
    want_near(figure(r, 0).most, 98, "add 0 to 98, then 1000: most",
              "what is refused changes nothing");
    bench_report_destroy(r);
}

static void try_report(void *context) {
    ++*(size_t *)context;
    bench_report *r = bench_report_create();
    if (!r) {
        want_true(heap_has_failed(), "create a report", "it fails for nothing");
        return;
    }
    size_t added = 0;
    double last = -1;
    for (size_t i = 0; i < 100; i++) {
        bool failed_before = heap_has_failed();
        status s = bench_report_add(r, "lru", "get", i, (double)i);
        bool fails = !failed_before && heap_has_failed();
        want_status(s, fails ? STATUS_NO_MEMORY : STATUS_OK,
                    text("add figure %zu while an allocation fails", i),
                    "every result of realloc must be looked at");
        added += s == STATUS_OK;
        last = s == STATUS_OK ? (double)i : last;
    }
    want_int(figures(r), added, "add while an allocation fails, count figures",
             "a failed add changes nothing, and loses nothing");
    want_near(figure(r, added - 1).median, last, "the last figure",
              "a failed realloc leaves the old block: keep the pointer to it");
    bench_report_destroy(r);
}

TEST(without_memory_a_report_keeps_what_it_has, "P16", "13.5") {
    size_t tries = 0;
    heap_fail_each(try_report, &tries);
    want_that(tries > 1, "fill a report, count allocations\nwanted  at least "
                         "one\ngot     none\nlikely  where do the figures "
                         "live?");
}

/* --- 13.6: taking turns ------------------------------------------------------
 */

struct turns {
    char log[256];
    size_t fails_at; /* the turn that fails, counted from 1; 0: none */
    size_t count;
};

static status take_turn(void *context, size_t contender, bench_report *report) {
    struct turns *t = context;
    size_t len = strlen(t->log);
    snprintf(t->log + len, sizeof t->log - len, "%c",
             (int)((report ? 'a' : 'A') + contender));
    want_status(bench_report_add(report, text("%c", (int)('a' + contender)),
                                 "get", 1, (double)++t->count),
                STATUS_OK, "add in a turn",
                "in a warm-up the report is NULL, which is no mistake");
    return t->count == t->fails_at ? STATUS_TIMEOUT : STATUS_OK;
}

TEST(everyone_takes_a_turn_and_each_run_begins_with_another, "P11", "13.6") {
    struct turns t = {.log = ""};
    bench_report *r = fresh_report();
    status s = bench_interleave(r, (bench_plan){.contenders = 3, .runs = 4},
                                take_turn, &t);
    want_status(s, STATUS_OK, "interleave 3 contenders, 4 runs",
                "all turns went well");
    want_text(t.log, "ABCabcbcacababc",
              "interleave a, b, c, 4 runs: the turns (a warm-up in capitals)",
              "first a warm-up of all; then rounds, not one contender after "
              "the other, and run i begins with contender i modulo 3");
    want_int(figure(r, 2).runs, 4, "interleave 3 contenders, 4 runs: runs of c",
             "one turn in each run");
    bench_report_destroy(r);
}

TEST(the_warm_up_leaves_no_figure, "P11", "13.6") {
    struct turns t = {.log = ""};
    bench_report *r = fresh_report();
    bench_interleave(r, (bench_plan){.contenders = 1, .runs = 2}, take_turn,
                     &t);
    want_int(t.count, 3, "interleave 1 contender, 2 runs: turns",
             "a warm-up comes before the runs");
    want_int(figure(r, 0).runs, 2,
             "interleave 1 contender, 2 runs: runs in the report",
             "in the warm-up the turn gets no report");
    want_near(figure(r, 0).least, 2, "the first turn that counts",
              "the warm-up comes first");
    bench_report_destroy(r);
}

TEST(a_cold_plan_has_no_warm_up, "P11", "13.6") {
    struct turns t = {.log = ""};
    bench_report *r = fresh_report();
    bench_interleave(r, (bench_plan){.contenders = 2, .runs = 2, .cold = true},
                     take_turn, &t);
    want_text(t.log, "abba", "interleave 2 contenders, 2 runs, cold: the turns",
              "cold: the first time is what counts");
    bench_report_destroy(r);
}

TEST(five_runs_unless_said_otherwise, "P11", "13.6") {
    struct turns t = {.log = ""};
    bench_report *r = fresh_report();
    bench_interleave(r, (bench_plan){.contenders = 2}, take_turn, &t);
    want_text(t.log, "ABabbaabbaab", "interleave 2 contenders: the turns",
              "runs 0 means 5");
    bench_report_destroy(r);
}

TEST(a_turn_that_fails_ends_the_plan, "P17", "13.6") {
    static const char *const want[] = {"A", "AB", "ABa", "ABab", "ABabb"};
    for (size_t i = 0; i < 5; i++) {
        struct turns t = {.log = "", .fails_at = i + 1};
        bench_report *r = fresh_report();
        want_status(
            bench_interleave(r, (bench_plan){.contenders = 2}, take_turn, &t),
            STATUS_TIMEOUT, text("turn %zu fails", i + 1),
            "what a turn says must be looked at, and handed on");
        want_text(t.log, want[i], text("turn %zu fails: the turns", i + 1),
                  "after a failure there are no more turns");
        bench_report_destroy(r);
    }
}

TEST(a_plan_that_cannot_be_is_refused, "P17", "13.6") {
    struct turns t = {.log = ""};
    bench_report *r = fresh_report();
    want_status(
        bench_interleave(r, (bench_plan){.contenders = 0}, take_turn, &t),
        STATUS_INVALID, "interleave 0 contenders",
        "there is nobody to take a turn");
    want_status(bench_interleave(r, (bench_plan){.contenders = 1, .runs = 100},
                                 take_turn, &t),
                STATUS_INVALID, "interleave 100 runs",
                "a figure takes BENCH_RUNS_MAX runs");
    want_text(t.log, "", "bad plans: the turns",
              "refuse before the first turn");
    bench_report_destroy(r);
}

/* --- 13.7: a closed loop -----------------------------------------------------
 */

TEST(each_operation_is_timed_by_itself, "P12", "13.7") {
    job j = {.takes = {5, 7, 1000, 9}};
    uint64_t sum;
    bench_histogram *h = fresh();
    want_status(run_job(&j, 4, 0, false, h, &sum), STATUS_OK,
                "run 4 operations of 5, 7, 1000 and 9 ns", "nothing failed");
    bench_summary s = bench_histogram_summary(h);
    const char *did = "run operations of 5, 7, 1000 and 9 ns";
    want_int(s.count, 4, text("%s: count", did),
             "each operation is recorded, not the run as a whole");
    want_int(s.least_ns, 5, text("%s: least", did),
             "from before an operation to after it");
    want_int(s.most_ns, 1000, text("%s: most", did),
             "from before an operation to after it");
    want_int(percentile(h, 500000), 7, text("%s: median", did),
             "from before an operation to after it");
    bench_histogram_destroy(h);
}

TEST(the_preparation_is_not_timed, "P12", "13.7") {
    job j = {.preparing = 1000000, .takes = {5, 5, 5}};
    uint64_t sum;
    bench_histogram *h = fresh();
    run_job(&j, 3, 0, false, h, &sum);
    want_int(j.prepared, 1, "run with a preparation: calls of it",
             "prepare is called once");
    want_int(j.prepared_for, 3, "run 3 operations: what prepare is told",
             "prepare is told how many operations come");
    want_false(j.late, "run with a preparation: was it called too late",
               "also the warm-up needs what is prepared");
    want_int(bench_histogram_summary(h).most_ns, 5,
             "prepare for 1 ms, run 3 operations of 5 ns: most",
             "the clock must be read after the preparation: else the making "
             "of keys is measured");
    bench_histogram_destroy(h);
}

TEST(the_warm_up_is_not_timed_and_not_counted, "P12", "13.7") {
    job j = {.takes = {0}};
    uint64_t sum;
    bench_histogram *h = fresh();
    run_job(&j, 11, 0, false, h, &sum);
    want_text(j.calls, "0 1 0 1 2 3 4 5 6 7 8 9 10",
              "run 11 operations: the numbers of all calls",
              "the first tenth, rounded up, is called beforehand");
    want_int(bench_histogram_summary(h).count, 11, "run 11 operations: count",
             "the warm-up is not recorded");
    job slow = {.takes = {100, 3, 3}};
    bench_histogram *g = fresh();
    run_job(&slow, 3, 0, false, g, &sum);
    want_int(bench_histogram_summary(g).count, 3, "run 3 operations: count",
             "the warm-up is not recorded");
    want_int(bench_histogram_summary(g).most_ns, 100,
             "operation 0 takes 100 "
             "ns, two take 3: most",
             "the clock must be read after the warm-up");
    bench_histogram_destroy(g);
    bench_histogram_destroy(h);
}

TEST(a_cold_run_has_no_warm_up, "P12", "13.7") {
    job j = {.takes = {0}};
    uint64_t sum;
    bench_histogram *h = fresh();
    run_job(&j, 11, 0, true, h, &sum);
    want_text(j.calls, "0 1 2 3 4 5 6 7 8 9 10",
              "run 11 operations, cold: the numbers of all calls",
              "cold: the first time is what counts");
    want_int(j.prepared, 1, "run 11 operations, cold: calls of prepare",
             "a cold run has no warm-up, but needs its keys");
    want_int(j.prepared_for, 11,
             "run 11 operations, cold: what prepare is told",
             "prepare is told how many operations come");
    want_false(j.late, "run 11 operations, cold: was prepare called too late",
               "operation 0 needs what is prepared");
    bench_histogram_destroy(h);
}

TEST(all_results_are_added_up, "P13", "13.7") {
    job j = {.takes = {0}};
    uint64_t sum = 0;
    bench_histogram *h = fresh();
    run_job(&j, 20, 0, false, h, &sum);
    want_int(sum, 20 * 1000 + 190,
             "run 20 operations; number i returns 1000 + i: their sum",
             "each result is used once, and the warm-up's are left out");
    bench_histogram_destroy(h);
}

TEST(work_without_preparation_and_options_runs, "P12", "13.7") {
    job j = {.takes = {0}};
    bench_work work = {.operation = do_job, .context = &j};
    uint64_t sum;
    bench_histogram *h = fresh();
    machine.on = true;
    machine.step = 50;
    status s = bench_run(&work, 10, NULL, h, &sum);
    machine.on = false;
    want_status(s, STATUS_OK, "run without prepare and options",
                "both may be NULL");
    want_int(bench_histogram_summary(h).count, 10,
             "run without prepare and options: count",
             "each operation is recorded");
    want_true(bench_histogram_summary(h).least_ns >= 50,
              "each reading of the machine's clock takes 50 ns: is the least "
              "at least that",
              "a clock of all zeros is the machine's monotonic one");
    bench_histogram_destroy(h);
}

TEST(a_preparation_that_fails_ends_the_run, "P17", "13.7") {
    job j = {.refuses = STATUS_NO_MEMORY};
    uint64_t sum = 77;
    bench_histogram *h = fresh();
    want_status(run_job(&j, 10, 0, false, h, &sum), STATUS_NO_MEMORY,
                "prepare says: no memory", "what it says is handed on");
    want_int(j.count, 0, "prepare says: no memory: operations called",
             "without its keys no operation can run");
    want_int(sum, 77, "prepare says: no memory: the sum",
             "out-parameters are written only on success");
    bench_histogram_destroy(h);
}

TEST(a_clock_that_goes_back_ends_the_run, "P17", "13.7") {
    job j = {.takes = {5, 6, -20, 7}};
    uint64_t sum = 77;
    bench_histogram *h = fresh();
    want_status(run_job(&j, 4, 0, true, h, &sum), STATUS_BACKEND,
                "run operations of 5, 6, -20 and 7 ns",
                "a record that is refused must not pass unseen");
    want_int(bench_histogram_summary(h).count, 2,
             "run operations of 5, 6, -20 and 7 ns: count",
             "what was timed before stays");
    want_int(sum, 77, "run operations of 5, 6, -20 and 7 ns: the sum",
             "out-parameters are written only on success");
    bench_histogram_destroy(h);
}

TEST(a_run_that_cannot_be_is_refused, "P17", "13.7") {
    job j = {.takes = {0}};
    uint64_t sum = 77;
    bench_histogram *h = fresh();
    want_status(run_job(&j, 0, 0, false, h, &sum), STATUS_INVALID,
                "run 0 operations", "there is nothing to time");
    want_status(run_job(&j, 10, -1, false, h, &sum), STATUS_INVALID,
                "run with an interval of -1 ns", "time goes forward");
    want_int(j.prepared + j.count, 0, "refused runs: calls",
             "refuse before anything is called");
    want_int(sum, 77, "refused runs: the sum",
             "out-parameters are written only on success");
    bench_histogram_destroy(h);
}

/* --- 13.8: an open loop
 * --------------------------------------------------------
 */

TEST(an_operation_never_starts_before_it_is_due, "P14", "13.8") {
    job j = {.hand.now = 5000, .takes = {1, 1, 1, 1}};
    uint64_t sum;
    bench_histogram *h = fresh();
    want_status(run_job(&j, 4, 100, true, h, &sum), STATUS_OK,
                "run 4 operations of 1 ns, one each 100 ns", "nothing failed");
    for (size_t i = 0; i < 4; i++) {
        want_int(j.began[i] - j.began[0], 100 * i,
                 text("run operations of 1 ns, one each 100 ns: when number "
                      "%zu began after the first",
                      i),
                 "wait until the operation is due");
    }
    want_int(bench_histogram_summary(h).most_ns, 1,
             "run 4 operations of 1 ns, one each 100 ns: most",
             "the wait before an operation is due is not its time");
    want_int(bench_histogram_summary(h).count, 4,
             "run 4 operations of 1 ns, one each 100 ns: count",
             "each operation is recorded");
    want_int(sum, 4006, "run 4 operations: the sum of their results",
             "an open loop adds the results up too");
    bench_histogram_destroy(h);
}

TEST(who_waits_for_a_slow_one_waits_in_the_figures, "P14", "13.8") {
    job j = {.takes = {10, 350, 10, 10, 10, 10}};
    uint64_t sum;
    bench_histogram *h = fresh();
    run_job(&j, 6, 100, true, h, &sum);
    /* due:    0   100  200  300  400  500
     * begins: 0   100  450  460  470  500
     * ends:   10  450  460  470  480  510 */
    static const int64_t want[] = {10, 10, 80, 170, 260, 350};
    for (size_t i = 0; i < 6; i++) {
        want_within(percentile(h, (uint32_t)((i + 1) * 1000000 / 6)), want[i],
                    text("one operation each 100 ns, of 10, 350, 10, 10, 10, "
                         "10 ns: time number %zu in order",
                         i),
                    "a time counts from when the operation was due, not from "
                    "when it could begin");
    }
    bench_histogram_destroy(h);
}

TEST(the_schedule_does_not_slip, "P14", "13.8") {
    job j = {.takes = {250, 10, 10, 10, 10, 10}};
    uint64_t sum;
    bench_histogram *h = fresh();
    run_job(&j, 6, 100, true, h, &sum);
    want_int(j.began[5] - j.began[0], 500,
             "one operation each 100 ns, the first takes 250: when number 5 "
             "begins",
             "operation i is due i intervals after the start, however long "
             "others took");
    want_int(j.count, 6,
             "one operation each 100 ns, the first takes 250: calls",
             "an operation that is late is late, and not left out");
    bench_histogram_destroy(h);
}

TEST(preparation_and_warm_up_come_before_the_schedule, "P12", "13.8") {
    job j = {.preparing = 1000000, .takes = {10, 10, 10}};
    uint64_t sum;
    bench_histogram *h = fresh();
    run_job(&j, 3, 100, false, h, &sum);
    want_text(j.calls, "0 0 1 2", "run 3 operations in an open loop: the calls",
              "an open loop has a warm-up too");
    want_int(bench_histogram_summary(h).most_ns, 10,
             "prepare for 1 ms, warm up, then one each 100 ns of 10 ns: most",
             "the first one is due when all that is done");
    bench_histogram_destroy(h);
}

TEST(an_end_before_the_due_time_ends_the_run, "P17", "13.8") {
    job j = {.takes = {5, 6, -50, 7}};
    uint64_t sum = 77;
    bench_histogram *h = fresh();
    const char *did = "one operation each 100 ns, of 5, 6, -50 and 7 ns";
    want_status(run_job(&j, 4, 100, true, h, &sum), STATUS_BACKEND, did,
                "a record that is refused must not pass unseen");
    want_int(j.count, 3, text("%s: calls", did), "the run ends there");
    want_int(bench_histogram_summary(h).count, 2, text("%s: count", did),
             "what was timed before stays");
    want_int(sum, 77, text("%s: the sum", did),
             "out-parameters are written only on success");
    bench_histogram_destroy(h);
}

TEST(the_machines_clock_waits_too, "P14", "13.8") {
    job j = {.takes = {0}};
    bench_work work = {.operation = do_job, .context = &j};
    bench_options options = {.interval_ns = 1000, .cold = true};
    uint64_t sum;
    bench_histogram *h = fresh();
    machine.on = true;
    machine.step = 10;
    int64_t start = machine.monotonic;
    status s = bench_run(&work, 20, &options, h, &sum);
    int64_t took = machine.monotonic - start;
    machine.on = false;
    want_status(s, STATUS_OK, "an open loop on the machine's clock",
                "without a wait_until, ask for the time until it is there");
    want_true(took >= 19000, "20 operations, one each us: at least 19 us",
              "without a wait_until, ask for the time until it is there");
    bench_histogram_destroy(h);
}

TEST(a_schedule_beyond_all_time_is_refused, "P17", "13.8") {
    job j = {.takes = {0}};
    uint64_t sum;
    bench_histogram *h = fresh();
    want_status(run_job(&j, 4, INT64_MAX / 2, false, h, &sum), STATUS_INVALID,
                "run 4 operations, one each 146 years",
                "count times interval must fit: divide, do not multiply");
    want_int(j.prepared + j.count, 0, "a refused run: calls",
             "refuse before anything is called");
    bench_histogram_destroy(h);
}

/* --- 13.9: the cost, and the table
 * ---------------------------------------------
 */

TEST(the_cost_is_what_the_clock_takes, "P15", "13.9") {
    double one = -1, two = -1;
    hand slow = {.tick = 25}, slower = {.tick = 50};
    bench_clock clocks[] = {clock_of(&slow), clock_of(&slower)};
    want_status(bench_cost(&clocks[0], &one), STATUS_OK,
                "bench_cost on a clock that takes 25 ns", "nothing failed");
    bench_cost(&clocks[1], &two);
    want_that(one > 24.9 && one < 51,
              "bench_cost on a clock that takes 25 ns for each "
              "reading\nwanted  25 ns per operation, or 50 if it is read "
              "twice\ngot     %.2f\nlikely  the time of all operations, "
              "divided by their number",
              one);
    want_that(fabs(two - 2 * one) < 0.1,
              "bench_cost on clocks that take 25 and 50 ns\nwanted  twice as "
              "much\ngot     %.2f and %.2f\nlikely  the cost must be measured, "
              "by the clock that is given",
              one, two);
    machine.on = true;
    machine.step = 30;
    bench_cost(NULL, &one);
    machine.on = false;
    want_that(one > 29.9 && one < 61,
              "bench_cost(NULL) where the machine's clock takes 30 ns\nwanted  "
              "30 ns, or 60\ngot     %.2f\nlikely  NULL is the machine's clock",
              one);
}

/* A clock that is held up once, as by another program: for a millisecond, at
 * reading number 1000. */
static int64_t read_held_up(void *context) {
    hand *h = context;
    h->now += ++h->waits == 1000 ? 1000000 : h->tick;
    return h->now;
}

TEST(one_interruption_does_not_raise_the_cost, "P15", "13.9") {
    double ns = -1;
    hand held = {.tick = 20};
    bench_clock clock = {read_held_up, wait_hand, &held};
    bench_cost(&clock, &ns);
    want_that(ns > 19.9 && ns < 40.1 && fabs(ns - round(ns)) < 0.05,
              "bench_cost on a clock of 20 ns, held up once for 1 ms\nwanted  "
              "20 ns, or 40 if it is read twice\ngot     %.2f\nlikely  take "
              "the median of several runs: a mean lets one bad moment decide",
              ns);
}

/* What a report writes. */
struct paper {
    char text[8192];
    size_t pieces;
};

static void write_paper(void *context, bytes piece) {
    struct paper *p = context;
    size_t len = strlen(p->text);
    snprintf(p->text + len, sizeof p->text - len, "%.*s", (int)piece.len,
             (const char *)piece.data);
    p->pieces++;
}

static bench_report *two_figures(void) {
    bench_report *r = fresh_report();
    add(r, "lru", "get", 1000, 36);
    add(r, "lru", "get", 1000, 33);
    add(r, "lru", "get", 1000, 35.5);
    add(r, "uthash", "get, all hits", 1, 1234567.25);
    return r;
}

TEST(a_table_of_times_names_its_own_cost, "P15", "13.9") {
    static struct paper p;
    hand h = {.tick = 25};
    bench_table table = {.title = "make bench-5: ns per get",
                         .machine = "a machine, today",
                         .clock = clock_of(&h)};
    double cost = 0;
    bench_cost(&table.clock, &cost);
    bench_report *r = two_figures();
    want_status(bench_report_write(r, &table, write_paper, &p), STATUS_OK,
                "write a table of times", "nothing failed");
    want_text(p.text,
              text("# make bench-5: ns per get\n"
                   "# machine: a machine, today\n"
                   "# harness: %.1f ns per operation\n"
                   "implementation\toperation\tsize\tmedian\tmin\tmax\n"
                   "lru\tget\t1000\t35.5\t33\t36\n"
                   "uthash\tget, all hits\t1\t1.23457e+06\t1.23457e+06"
                   "\t1.23457e+06\n",
                   cost),
              "write a table of times",
              "compare with the header, byte by byte");
    bench_report_destroy(r);
}

TEST(a_table_of_counts_has_one_value_and_no_cost, "P10", "13.9") {
    static struct paper p;
    hand h = {.tick = 25};
    bench_report *r = two_figures();
    bench_table table = {.counts = true, .clock = clock_of(&h)};
    want_status(bench_report_write(r, &table, write_paper, &p), STATUS_OK,
                "write a table of counts", "nothing failed");
    want_text(p.text,
              "implementation\toperation\tsize\tvalue\n"
              "lru\tget\t1000\t35.5\n"
              "uthash\tget, all hits\t1\t1.23457e+06\n",
              "write a table of counts without title and machine",
              "what is counted has no spread and costs no time");
    want_int(h.now, 0, "write a table of counts: time passed on its clock",
             "what is counted is not timed");
    bench_report_destroy(r);
}

TEST(a_long_title_is_written_whole, "P10", "13.9") {
    static struct paper p;
    static char title[2001], where[2001];
    memset(title, 't', 2000);
    memset(where, 'm', 2000);
    bench_report *r = fresh_report();
    bench_table table = {title, where, .counts = true};
    bench_report_write(r, &table, write_paper, &p);
    const char *did = "write a title of 2000 bytes and a machine of as many";
    want_int(strcspn(p.text, "\n"), 2 + 2000,
             text("%s: bytes of the first line", did),
             "hand a title to write as it is: it may be longer than any array");
    want_int(strcspn(p.text + 2003, "\n"), 11 + 2000,
             text("%s: bytes of the second line", did),
             "hand a machine to write as it is: it may be longer than any "
             "array");
    want_text(p.text + 2003 + 2012, "implementation\toperation\tsize\tvalue\n",
              text("%s: the third line", did),
              "the lines after a long one are as always");
    bench_report_destroy(r);
}

TEST(the_longest_row_is_written_whole, "P10", "13.9") {
    static struct paper p;
    hand h = {.tick = 25};
    bench_report *r = fresh_report();
    add(r, "an implementation with 31 bytes", "an operation that has 31 bytes.",
        SIZE_MAX, -1.23456e-300);
    bench_table table = {.clock = clock_of(&h)};
    bench_report_write(r, &table, write_paper, &p);
    const char *row = strstr(p.text, "an impl");
    want_text(row ? row : p.text,
              text("an implementation with 31 bytes\t"
                   "an operation that has 31 bytes.\t%zu\t-1.23456e-300\t"
                   "-1.23456e-300\t-1.23456e-300\n",
                   SIZE_MAX),
              "write a row of the longest names and numbers",
              "two names of 31 bytes, a size of 20 digits and three values "
              "of 13 bytes must fit into the line");
    bench_report_destroy(r);
}

struct attempt {
    bench_report *report;
    size_t tries;
};

static void try_to_write(void *context) {
    struct attempt *a = context;
    static struct paper p;
    p = (struct paper){.text = ""};
    hand h = {.tick = 25};
    bench_table table = {.clock = clock_of(&h)};
    status s = bench_report_write(a->report, &table, write_paper, &p);
    a->tries++;
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "write while an allocation fails",
                "what bench_cost says must be looked at, and handed on");
    if (s != STATUS_OK) {
        want_int(p.pieces, 0, "write without memory: pieces written",
                 "measure the cost before the first line is written");
    }
}

TEST(without_memory_there_is_no_half_table, "P16", "13.9") {
    struct attempt a = {two_figures(), 0};
    heap_fail_each(try_to_write, &a);
    bench_report_destroy(a.report);
    hand back = {.tick = -1};
    bench_clock clock = clock_of(&back);
    double ns = 77;
    want_status(bench_cost(&clock, &ns), STATUS_BACKEND,
                "bench_cost on a clock that goes back",
                "what bench_run says must be looked at, and handed on");
    want_true(ns == 77, "bench_cost on a clock that goes back: is ns as it was",
              "out-parameters are written only on success");
}
