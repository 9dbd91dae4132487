/* Bench of lesson 09: who serves stale answers when, and what a hit costs.
 *
 *     09-invalidation counts label=v.so...   share of stale reads, as TSV
 *     09-invalidation speed label=v.so...    time per hit, as TSV
 *     09-invalidation one label=v.so...      the hits that callgrind counts;
 *                                            with the label dict, the dict's
 *
 * The peer is the dict of lesson 2, bare, from the shared object of the first
 * implementation. A hit reads the value that it got. */
#include "measure.h"

#include "dict.h"
#include "versioned.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 42
#define ZIPF_PERCENT 99

enum { TURN = 4096, ASKS = 100 * TURN, TAGGED = 1000000 };
enum { COUNTED_GETS = 1024, COUNTED_MAX = 1 << 16 };

typedef struct implementation {
    const char *label;
    status (*create)(void (*destroy_value)(void *value), uint64_t seed,
                     versioned **out);
    status (*set)(versioned *v, bytes key, void *value, uint64_t version);
    status (*get)(versioned *v, bytes key, uint64_t at_least, void **value,
                  uint64_t *lease);
    status (*invalidate)(versioned *v, bytes key);
    status (*tag)(versioned *v, bytes key, bytes tag);
    status (*invalidate_tag)(versioned *v, bytes tag);
    void (*destroy)(versioned *v);

    dict *(*dict_create)(void (*destroy_value)(void *value), uint64_t seed);
    status (*dict_set)(dict *d, bytes key, void *value);
    bool (*dict_get)(const dict *d, bytes key, void **value);
    void (*dict_destroy)(dict *d);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "versioned_create", &i.create);
    measure_function(handle, "versioned_set", &i.set);
    measure_function(handle, "versioned_get", &i.get);
    measure_function(handle, "versioned_invalidate", &i.invalidate);
    measure_function(handle, "versioned_tag", &i.tag);
    measure_function(handle, "versioned_invalidate_tag", &i.invalidate_tag);
    measure_function(handle, "versioned_destroy", &i.destroy);
    measure_function(handle, "dict_create", &i.dict_create);
    measure_function(handle, "dict_set", &i.dict_set);
    measure_function(handle, "dict_get", &i.dict_get);
    measure_function(handle, "dict_destroy", &i.dict_destroy);
    return i;
}

static bytes key_bytes(const bench_key *k) {
    return (bytes){k->text, BENCH_KEY_LEN};
}

static bench_key *random_keys(size_t n, uint64_t *state) {
    bench_key *keys = measure_alloc(n, sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        keys[i] = bench_random_key(state);
    }
    return keys;
}

static versioned *create(const implementation *i) {
    versioned *v;
    if (i->create(NULL, SEED, &v) != STATUS_OK) {
        measure_die("%s: versioned_create failed", i->label);
    }
    return v;
}

/* -- stale reads over time ---------------------------------------------- */

/* A tick is 10 ms. Between LOST and FOUND the connection that brings the
 * events is down. */
enum { SIM_KEYS = 1000, TICKS = 2400, LOST = 800, FOUND = 1200, BUCKET = 50 };
enum { READS = 50, DELAY = 2, TTL = 100 };

typedef enum strategy { BY_TIME, BY_EVENT, BY_EVENT_CLEARING, BY_VERSION } how;

static const char *const strategies[] = {"by time", "by event",
                                         "by event, clearing", "by version"};

typedef struct simulation {
    const implementation *impl;
    how how;
    versioned *cache;
    bench_zipf *popularity;
    uint64_t random;
    uint64_t version[SIM_KEYS]; /* what the source holds */
    uint64_t known[SIM_KEYS];   /* what a request knows of it */
    size_t until[SIM_KEYS];     /* by time: when the entry expires */
    size_t written[TICKS];      /* the key written in a tick */
} simulation;

static bytes number_bytes(const size_t *number) {
    return (bytes){number, sizeof *number};
}

static void forget_all(simulation *s) {
    s->impl->destroy(s->cache);
    s->cache = create(s->impl);
}

/* One read. Returns: whether its answer was stale. */
static bool read_one(simulation *s, size_t tick) {
    size_t k = bench_zipf_next(s->popularity, &s->random);
    uint64_t at_least = s->how == BY_VERSION ? s->known[k] : 0;
    bool up = s->how != BY_EVENT_CLEARING || tick < LOST || tick >= FOUND;
    bool expired = s->how == BY_TIME && tick >= s->until[k];
    void *value;
    if (!expired
        && s->impl->get(s->cache, number_bytes(&k), at_least, &value, NULL)
               == STATUS_OK) {
        return (uint64_t)(uintptr_t)value != s->version[k];
    }
    if (up) {
        s->impl->set(s->cache, number_bytes(&k),
                     (void *)(uintptr_t)s->version[k], s->version[k]);
        s->until[k] = tick + TTL;
    }
    return false;
}

/* What happens at the start of a tick: a write, and the events of earlier
 * ones. Requests learn of a new version a tick later. */
static void begin_tick(simulation *s, size_t tick) {
    if (tick > 0) {
        size_t before = s->written[tick - 1];
        s->known[before] = s->version[before];
    }
    size_t k = bench_zipf_next(s->popularity, &s->random);
    s->written[tick] = k;
    s->version[k]++;
    bool events = s->how == BY_EVENT || s->how == BY_EVENT_CLEARING;
    bool heard = tick < LOST || tick - DELAY >= FOUND;
    if (events && heard && tick >= DELAY) {
        s->impl->invalidate(s->cache, number_bytes(&s->written[tick - DELAY]));
    }
    if (s->how == BY_EVENT_CLEARING && (tick == LOST || tick == FOUND)) {
        forget_all(s);
    }
}

static void simulate(bench_report *r, const implementation *impl, how h) {
    static simulation s;
    s = (simulation){.impl = impl, .how = h, .random = SEED};
    s.cache = create(impl);
    s.popularity = measure_zipf(SIM_KEYS, ZIPF_PERCENT);
    size_t stale = 0;
    for (size_t tick = 0; tick < TICKS; tick++) {
        begin_tick(&s, tick);
        for (size_t i = 0; i < READS; i++) {
            stale += read_one(&s, tick);
        }
        if ((tick + 1) % BUCKET == 0) {
            measure_add(r, impl->label, strategies[h], (tick + 1) * 10,
                        100 * (double)stale / (BUCKET * READS));
            stale = 0;
        }
    }
    bench_zipf_destroy(s.popularity);
    impl->destroy(s.cache);
}

static void counts(const implementation *impls, size_t count) {
    bench_report *r = measure_report();
    for (size_t i = 0; i < count; i++) {
        for (how h = BY_TIME; h <= BY_VERSION; h++) {
            simulate(r, &impls[i], h);
        }
    }
    measure_print_counts(r, "make plot-9: stale reads, % of all in the half "
                            "second up to that millisecond");
    bench_report_destroy(r);
}

/* -- time per hit ------------------------------------------------------- */

typedef struct questions {
    size_t n;
    bench_key *keys;
    bench_key *asked;
} questions;

static questions questions_create(size_t n) {
    uint64_t state = SEED + n;
    questions q = {.n = n, .keys = random_keys(n, &state)};
    q.asked = measure_alloc(ASKS, sizeof *q.asked);
    for (size_t i = 0; i < ASKS; i++) {
        q.asked[i] = q.keys[bench_random_below(&state, n)];
    }
    return q;
}

static void questions_destroy(questions *q) {
    free(q->keys);
    free(q->asked);
}

/* The value of a key: the key itself, at the head of 32 bytes. */
typedef struct payload {
    char text[32];
} payload;

static payload *payload_of(const bench_key *k) {
    payload *p = calloc(1, sizeof *p);
    if (!p) {
        measure_die("no memory");
    }
    memcpy(p->text, k->text, BENCH_KEY_LEN);
    return p;
}

/* One who takes turns: a cache, or without one the bare dict. */
typedef struct contender {
    const implementation *implementation;
    const char *label;
    dict *dict;
    versioned *cache;
    payload **values;
    int64_t ns;
} contender;

static contender filled(const implementation *i, bool bare,
                        const bench_key *keys, size_t n) {
    contender c = {.implementation = i, .label = bare ? "dict" : i->label};
    c.values = measure_alloc(n, sizeof(payload *));
    c.dict = bare ? i->dict_create(NULL, SEED) : NULL;
    c.cache = bare ? NULL : create(i);
    for (size_t k = 0; k < n; k++) {
        c.values[k] = payload_of(&keys[k]);
        status s = bare ? i->dict_set(c.dict, key_bytes(&keys[k]), c.values[k])
                        : i->set(c.cache, key_bytes(&keys[k]), c.values[k], 1);
        if (s != STATUS_OK) {
            measure_die("%s: %s", c.label, status_name(s));
        }
    }
    return c;
}

static void contender_end(contender *c, size_t n) {
    c->implementation->dict_destroy(c->dict);
    c->implementation->destroy(c->cache);
    for (size_t k = 0; k < n; k++) {
        free(c->values[k]);
    }
    free(c->values);
}

static size_t dict_find_all(const contender *c, const bench_key *asked,
                            size_t n) {
    size_t found = 0;
    for (size_t a = 0; a < n; a++) {
        void *value;
        if (c->implementation->dict_get(c->dict, key_bytes(&asked[a]),
                                        &value)) {
            found += memcmp(value, asked[a].text, 8) == 0;
        }
    }
    return found;
}

static size_t cache_find_all(const contender *c, const bench_key *asked,
                             size_t n) {
    size_t found = 0;
    for (size_t a = 0; a < n; a++) {
        void *value;
        if (c->implementation->get(c->cache, key_bytes(&asked[a]), 1, &value,
                                   NULL)
            == STATUS_OK) {
            found += memcmp(value, asked[a].text, 8) == 0;
        }
    }
    return found;
}

static void find_all(const contender *c, const bench_key *asked, size_t n) {
    size_t found =
        c->dict ? dict_find_all(c, asked, n) : cache_find_all(c, asked, n);
    if (found != n) {
        measure_die("%s: found %zu keys, not %zu", c->label, found, n);
    }
}

typedef struct contest {
    contender *cs;
    size_t count;
    const questions *q;
} contest;

/* Turns are short, so that whatever else the machine does befalls all alike. */
static status run_once(void *context, size_t all, bench_report *r) {
    const contest *c = context;
    (void)all; /* one for all: they take turns within */
    for (size_t i = 0; i < c->count; i++) {
        c->cs[i].ns = 0;
    }
    for (size_t at = 0; at < ASKS; at += TURN) {
        for (size_t i = 0; i < c->count; i++) {
            contender *who = &c->cs[(i + at / TURN) % c->count];
            int64_t start = bench_now_ns();
            find_all(who, &c->q->asked[at], TURN);
            who->ns += bench_now_ns() - start;
        }
    }
    for (size_t i = 0; i < c->count; i++) {
        measure_add(r, c->cs[i].label, "hit", c->q->n,
                    (double)c->cs[i].ns / ASKS);
    }
    return STATUS_OK;
}

static void time_hits(bench_report *r, const implementation *impls,
                      size_t count, size_t n) {
    questions q = questions_create(n);
    contender *cs = measure_alloc(count + 1, sizeof *cs);
    for (size_t i = 0; i <= count; i++) {
        cs[i] = filled(&impls[i ? i - 1 : 0], i == 0, q.keys, n);
    }
    fprintf(stderr, "%zu entries\n", n);
    contest c = {cs, count + 1, &q};
    measure_interleave(r, 1, run_once, &c);
    for (size_t i = 0; i <= count; i++) {
        contender_end(&cs[i], n);
    }
    free(cs);
    questions_destroy(&q);
}

/* A tag that a million entries carry. */
typedef struct tagged {
    const implementation *impls;
    versioned **caches;
    size_t n;
} tagged;

static versioned *filled_tagged(const implementation *i, size_t n) {
    versioned *v = create(i);
    for (size_t k = 0; k < n; k++) {
        if (i->set(v, number_bytes(&k), NULL, 1) != STATUS_OK
            || i->tag(v, number_bytes(&k), bytes_of("staff")) != STATUS_OK) {
            measure_die("%s: no memory", i->label);
        }
    }
    return v;
}

static status tag_turn(void *context, size_t who, bench_report *r) {
    const tagged *t = context;
    const implementation *i = &t->impls[who];
    int64_t start = bench_now_ns();
    i->invalidate_tag(t->caches[who], bytes_of("staff"));
    measure_add(r, i->label, "invalidate a tag", t->n,
                (double)(bench_now_ns() - start));
    return STATUS_OK;
}

static void time_tags(bench_report *r, const implementation *impls,
                      size_t count) {
    size_t n = measure_quick() ? TAGGED / 10 : TAGGED;
    tagged t = {impls, measure_alloc(count, sizeof(versioned *)), n};
    for (size_t i = 0; i < count; i++) {
        t.caches[i] = filled_tagged(&impls[i], n);
    }
    measure_interleave(r, count, tag_turn, &t);
    for (size_t i = 0; i < count; i++) {
        impls[i].destroy(t.caches[i]);
    }
    free(t.caches);
}

static void speed(const implementation *impls, size_t count) {
    static const size_t sizes[] = {1000, 10000, 100000};
    bench_report *r = measure_report();
    measure_keep_memory();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        time_hits(r, impls, count, sizes[i]);
    }
    time_tags(r, impls, count);
    measure_print_times(r, "make bench-9: ns per hit among n keys; ns per "
                           "invalidation of a tag that n entries carry");
    bench_report_destroy(r);
}

/* -- counts of instructions --------------------------------------------- */

typedef struct ask {
    contender contender;
    bench_key asked[COUNTED_GETS];
} ask;

static void ask_all(void *context) {
    const ask *a = context;
    find_all(&a->contender, a->asked, COUNTED_GETS);
}

static void one(const implementation *impls, size_t count) {
    static ask a;
    uint64_t state = SEED;
    bench_key *keys = random_keys(COUNTED_MAX, &state);
    for (size_t i = 0; i < count; i++) {
        bool bare = strcmp(impls[i].label, "dict") == 0;
        for (size_t n = 1; n <= COUNTED_MAX; n *= 4) {
            a.contender = filled(&impls[i], bare, keys, n);
            for (size_t k = 0; k < COUNTED_GETS; k++) {
                a.asked[k] = keys[(2 * k + 1) * n / (2 * COUNTED_GETS)];
            }
            measure_ask(ask_all, &a);
            printf("%s\thit\t%zu\t%d\n", a.contender.label, n, COUNTED_GETS);
            contender_end(&a.contender, n);
        }
    }
    free(keys);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed|one label=versioned.so...",
                    argv[0]);
    }
    size_t count = (size_t)argc - 2;
    implementation *impls = measure_alloc(count, sizeof *impls);
    for (size_t i = 0; i < count; i++) {
        impls[i] = load(argv[i + 2]);
    }
    if (strcmp(argv[1], "counts") == 0) {
        counts(impls, count);
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
