/* Bench of lesson 15a: how much each policy misses, and how fast it chooses.
 *
 *     15a-policy counts label=policy.so...   misses per request, as TSV
 *     15a-policy speed label=policy.so...    requests per second, as TSV
 *     15a-policy one label=policy.so...      the requests that callgrind counts
 *
 * With TRACE=file in the environment the first two count on that trace: one key
 * a line, plain or gzip. Without it the traces are generated from a seed. Where
 * policies are counted, it is with the last implementation, yours if there. */
#include "measure.h"

#include "policy.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define SEED 42
#define ZIPF_PERCENT 99

typedef struct implementation {
    const char *label;
    status (*create)(policy_kind kind, size_t capacity, size_t objects,
                     uint64_t seed, policy **out);
    status (*foretell)(policy *p, const uint32_t *trace, size_t n);
    bool (*request)(policy *p, uint32_t object);
    void (*destroy)(policy *p);
} implementation;

/* The optimum last: it is the line that bounds the others. */
static const char *const names[POLICY_KINDS] = {
    "FIFO", "LRU", "CLOCK", "SIEVE", "S3-FIFO", "W-TinyLFU", "Belady"};

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "policy_create", &i.create);
    measure_function(handle, "policy_foretell", &i.foretell);
    measure_function(handle, "policy_request", &i.request);
    measure_function(handle, "policy_destroy", &i.destroy);
    return i;
}

/* -- traces ------------------------------------------------------------------
 */

/* Requests for objects, which are numbered in the order of appearance. */
typedef struct trace {
    const char *name;
    uint32_t *requests;
    size_t n;
    size_t objects;
} trace;

/* Gives the objects the numbers of their first appearance.
 * bound: above all numbers that they have. */
static void renumber(trace *t, size_t bound) {
    uint32_t *numbers = measure_alloc(bound, sizeof *numbers);
    for (size_t i = 0; i < t->n; i++) {
        uint32_t *number = &numbers[t->requests[i]];
        if (*number == 0) {
            *number = (uint32_t)++t->objects;
        }
        t->requests[i] = *number - 1;
    }
    free(numbers);
}

/* Which number request i of a generated trace asks for. */
typedef uint64_t draw(const bench_zipf *z, uint64_t *state, size_t i);

enum {
    RANKS = 20000,      /* popular objects, by Zipf's law */
    SCAN_EVERY = 20000, /* after so many requests for them comes a scan */
    SCAN = 10000,       /* of so many objects that nobody asks for again */
    LOOP = 10000,
    PHASE = 50000, /* requests until others are popular */
    SHIFT = 5000,  /* ranks by which they differ */
};

static uint64_t draw_zipf(const bench_zipf *z, uint64_t *state, size_t i) {
    (void)i;
    return bench_zipf_next(z, state);
}

static uint64_t draw_scan(const bench_zipf *z, uint64_t *state, size_t i) {
    bool popular = i % (SCAN_EVERY + SCAN) < SCAN_EVERY;
    return popular ? bench_zipf_next(z, state) : RANKS + i;
}

static uint64_t draw_loop(const bench_zipf *z, uint64_t *state, size_t i) {
    (void)z, (void)state;
    return i % LOOP;
}

/* Popular objects, of which some are replaced at each phase; a loop and single
 * requests in between. */
static uint64_t draw_mix(const bench_zipf *z, uint64_t *state, size_t i) {
    switch (bench_random_below(state, 10)) {
    case 0: return RANKS + i;
    case 1: return i / 10 % SHIFT;
    default:
        return RANKS - 1
               - (bench_zipf_next(z, state) + i / PHASE * SHIFT) % RANKS;
    }
}

static trace draw_trace(const char *name, draw *next, size_t ranks, size_t n) {
    uint64_t state = SEED;
    bench_zipf *z = measure_zipf(ranks, ZIPF_PERCENT);
    trace t = {name, measure_alloc(n, sizeof *t.requests), n, 0};
    for (size_t i = 0; i < n; i++) {
        t.requests[i] = (uint32_t)next(z, &state, i);
    }
    bench_zipf_destroy(z);
    renumber(&t, ranks + n);
    return t;
}

/* The number of a key, which is its place in the order of appearance. */
static uint32_t number_of(GHashTable *numbers, const char *key) {
    void *number;
    if (!g_hash_table_lookup_extended(numbers, key, NULL, &number)) {
        number = GUINT_TO_POINTER(g_hash_table_size(numbers));
        g_hash_table_insert(numbers, g_strdup(key), number);
    }
    return GPOINTER_TO_UINT(number);
}

/* zlib's gzgets reads what is not compressed, too. */
static trace read_trace(const char *path) {
    enum { LINE = 1 << 16 };
    static char line[LINE];
    gzFile file = gzopen(path, "rb");
    if (!file) {
        measure_die("%s cannot be read", path);
    }
    GArray *requests = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    GHashTable *numbers =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    while (gzgets(file, line, LINE)) {
        line[strcspn(line, "\r\n")] = '\0';
        uint32_t number = number_of(numbers, line);
        g_array_append_val(requests, number);
    }
    int failed;
    const char *why = gzerror(file, &failed);
    if (failed != Z_OK || requests->len == 0) {
        measure_die("%s: %s", path, failed != Z_OK ? why : "no requests");
    }
    trace t = {"trace", NULL, requests->len, g_hash_table_size(numbers)};
    t.requests = (uint32_t *)(void *)g_array_free(requests, FALSE);
    g_hash_table_destroy(numbers);
    gzclose(file);
    return t;
}

/* -- runs --------------------------------------------------------------------
 */

static policy *create(const implementation *i, policy_kind kind,
                      size_t capacity, size_t objects) {
    policy *p;
    if (i->create(kind, capacity, objects, SEED, &p) != STATUS_OK) {
        measure_die("%s: policy_create fails", i->label);
    }
    return p;
}

static void foretell(const implementation *i, policy *p, policy_kind kind,
                     const trace *t) {
    if (kind == POLICY_BELADY
        && i->foretell(p, t->requests, t->n) != STATUS_OK) {
        measure_die("%s: policy_foretell fails", i->label);
    }
}

/* Returns: the misses. */
static size_t replay(const implementation *i, policy *p, const trace *t) {
    size_t misses = 0;
    for (size_t r = 0; r < t->n; r++) {
        misses += !i->request(p, t->requests[r]);
    }
    return misses;
}

/* -- misses ------------------------------------------------------------------
 */

/* So many thousandths of the objects fit into the cache. */
static const size_t sizes[] = {1,   2,   5,   10,  20,  50,
                               100, 200, 400, 600, 800, 1000};

static void count_misses(bench_report *r, const implementation *impl, trace t) {
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t capacity = t.objects * sizes[s] / 1000;
        for (policy_kind kind = 0; capacity > 0 && kind < POLICY_KINDS;
             kind++) {
            policy *p = create(impl, kind, capacity, t.objects);
            foretell(impl, p, kind, &t);
            size_t misses = replay(impl, p, &t);
            measure_add(r, names[kind], t.name, capacity,
                        (double)misses / (double)t.n);
            impl->destroy(p);
        }
    }
    free(t.requests);
}

/* path: of a trace; NULL: the generated ones. */
static void counts(const implementation *impl, const char *path) {
    bench_report *r = measure_report();
    if (path) {
        count_misses(r, impl, read_trace(path));
    } else {
        size_t n = 400000;
        count_misses(r, impl, draw_trace("zipf", draw_zipf, RANKS, n));
        count_misses(r, impl, draw_trace("scan", draw_scan, RANKS, n));
        count_misses(r, impl, draw_trace("loop", draw_loop, RANKS, n));
        count_misses(r, impl, draw_trace("mix", draw_mix, RANKS, n));
    }
    char what[128];
    snprintf(what, sizeof what,
             "make plot-15a: misses per request, against capacity in objects; "
             "counted with %s",
             impl->label);
    measure_print_counts(r, what);
    bench_report_destroy(r);
}

/* -- times -------------------------------------------------------------------
 */

/* All policies of all implementations take turns at one trace. */
typedef struct race {
    const implementation *impls;
    const trace *trace;
    size_t misses[POLICY_KINDS]; /* what all must agree on; 0: not known */
} race;

/* Making a policy is not timed; telling Belady the future is. */
static status take_turn(void *context, size_t contender, bench_report *out) {
    race *r = context;
    const trace *t = r->trace;
    const implementation *i = &r->impls[contender / POLICY_KINDS];
    policy_kind kind = (policy_kind)(contender % POLICY_KINDS);
    policy *p = create(i, kind, t->objects / 10, t->objects);
    int64_t start = bench_now_ns();
    foretell(i, p, kind, t);
    size_t misses = replay(i, p, t);
    int64_t end = bench_now_ns();
    i->destroy(p);
    /* W-TinyLFU estimates, and each may do so in its own way. */
    if (r->misses[kind] != 0 && r->misses[kind] != misses
        && kind != POLICY_W_TINYLFU) {
        measure_die("%s: %s misses %zu times, the first did %zu times",
                    i->label, names[kind], misses, r->misses[kind]);
    }
    r->misses[kind] = misses;
    measure_add(out, i->label, names[kind], t->objects,
                (double)t->n * 1e3 / (double)(end - start));
    return STATUS_OK;
}

static void speed(const implementation *impls, size_t count) {
    static const size_t ranks[] = {20000, 200000, 2000000};
    measure_keep_memory();
    size_t n = measure_quick() ? 400000 : 2000000;
    bench_report *out = measure_report();
    for (size_t s = 0; s < sizeof ranks / sizeof ranks[0]; s++) {
        trace t = draw_trace("zipf", draw_zipf, ranks[s], n);
        fprintf(stderr, "%zu requests for %zu objects\n", t.n, t.objects);
        race r = {impls, &t, {0}};
        measure_interleave(out, count * POLICY_KINDS, take_turn, &r);
        free(t.requests);
    }
    measure_print_times(out, "make bench-15a: million requests per second "
                             "(Zipf 0.99), by the number of objects, a tenth "
                             "of which are held");
    bench_report_destroy(out);
}

/* -- counts of instructions -------------------------------------------------
 */

enum { ASKED = 4096, ASKED_MAX = 8192 };

typedef struct ask {
    const implementation *impl;
    policy *p;
    const uint32_t *requests;
    size_t misses;
} ask;

static void ask_all(void *context) {
    ask *a = context;
    for (size_t i = 0; i < ASKED; i++) {
        a->misses += !a->impl->request(a->p, a->requests[i]);
    }
}

/* The last requests of a trace, in a cache that the others have filled. */
static void count_requests(const implementation *i, policy_kind kind,
                           const trace *t, size_t capacity) {
    trace before = *t;
    before.n -= ASKED;
    ask a = {i, create(i, kind, capacity, t->objects), t->requests + before.n,
             0};
    foretell(i, a.p, kind, t);
    replay(i, a.p, &before);
    measure_ask(ask_all, &a);
    printf("%s\t%s\t%zu\t%d\n", i->label, names[kind], capacity, ASKED);
    i->destroy(a.p);
}

static void one(const implementation *impls, size_t count) {
    for (size_t capacity = 32; capacity <= ASKED_MAX; capacity *= 4) {
        trace t =
            draw_trace("zipf", draw_zipf, 10 * capacity, 20 * capacity + ASKED);
        for (size_t i = 0; i < count * POLICY_KINDS; i++) {
            count_requests(&impls[i / POLICY_KINDS],
                           (policy_kind)(i % POLICY_KINDS), &t, capacity);
        }
        free(t.requests);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed label=policy.so...", argv[0]);
    }
    size_t count = (size_t)argc - 2;
    implementation *impls = measure_alloc(count, sizeof *impls);
    for (size_t i = 0; i < count; i++) {
        impls[i] = load(argv[i + 2]);
    }
    const char *path = getenv("TRACE");
    bool given = path && *path;
    if (strcmp(argv[1], "counts") == 0
        || (given && strcmp(argv[1], "speed") == 0)) {
        counts(&impls[count - 1], given ? path : NULL);
    } else if (strcmp(argv[1], "speed") == 0) {
        speed(impls, count);
    } else if (strcmp(argv[1], "one") == 0) {
        one(impls, count);
    } else {
        measure_die("%s: no mode '%s'", argv[0], argv[1]);
    }
    free(impls);
    return 0;
}
