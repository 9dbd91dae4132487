/* Bench of lesson 14: what the cache holds and hits, and what it costs.
 *
 *     14-best-practices counts label=cache.so...  hits and bytes over time
 *     14-best-practices speed label=cache.so...   ns per call, bytes per entry
 *     14-best-practices one label=cache.so...     the gets callgrind counts
 *
 * The peers hold copies of their own of keys and values, as the cache does:
 * GHashTable and uthash in blocks from malloc, Abseil's flat_hash_map in
 * std::string (14-absl.cc). They have no lock, no budget and no eviction. For
 * the overhead there are also a redis-server and a memcached, each started for
 * this and filled through its socket; where one is not installed its row is
 * left out. */
#include "measure.h"

#include "cache.h"

#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#define HASH_FUNCTION(key, len, hash) hash = (unsigned)XXH3_64bits(key, len)
#include <uthash.h>
#include <xxhash.h>

enum { VALUE_LEN = 100, ENTRY_LEN = BENCH_KEY_LEN + VALUE_LEN };
/* A large cache has many shards, so that two threads seldom meet in one. */
enum { SHARDS_OF_SMALL = 16, SHARDS = 64 };
enum { SEED = 42, ZIPF_PERCENT = 99 };
enum { COUNTED_GETS = 1024, GROUP = 16 };

typedef struct implementation {
    const char *label;
    status (*create)(size_t budget_bytes, size_t shards,
                     const cache_options *options, cache **out);
    status (*set)(cache *c, bytes key, bytes value);
    status (*get)(cache *c, bytes key, void *buffer, size_t size, size_t *len);
    void (*expect)(const cache *c, const bytes *keys, size_t n);
    cache_stats (*statistics)(cache *c);
    void (*destroy)(cache *c);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "cache_create", &i.create);
    measure_function(handle, "cache_set", &i.set);
    measure_function(handle, "cache_get", &i.get);
    measure_function(handle, "cache_expect", &i.expect);
    measure_function(handle, "cache_statistics", &i.statistics);
    measure_function(handle, "cache_destroy", &i.destroy);
    return i;
}

static cache *create(const implementation *i, size_t budget, size_t shards,
                     bool one_thread) {
    cache *c;
    cache_options o = {
        .entry_bytes = ENTRY_LEN, .seed = SEED, .one_thread = one_thread};
    if (i->create(budget, shards, &o, &c) != STATUS_OK) {
        measure_die("%s: cache_create failed", i->label);
    }
    return c;
}

/* Bytes with their length: a key, or what the peers in C hold of keys and
 * values. */
typedef struct blob {
    size_t len;
    char data[];
} blob;

enum { KEY_STRIDE = sizeof(blob) + (BENCH_KEY_LEN + 7) / 8 * 8 };

static bytes bytes_in(const blob *b) {
    return (bytes){b->data, b->len};
}

static blob *fill(void *room, const void *data, size_t len) {
    blob *b = room;
    b->len = len;
    memcpy(b->data, data, len);
    return b;
}

static const blob *key_at(const char *keys, size_t i) {
    return (const blob *)(keys + i * KEY_STRIDE);
}

static char *random_keys(size_t n, uint64_t *state) {
    char *keys = measure_alloc(n, KEY_STRIDE);
    for (size_t i = 0; i < n; i++) {
        bench_key k = bench_random_key(state);
        fill(keys + i * KEY_STRIDE, k.text, BENCH_KEY_LEN);
    }
    return keys;
}

/* -- hits and bytes over time --------------------------------------------- */

enum { WINDOWS = 40, KNOWN = 40000, MIXED_MAX = 400 };

/* Asks for keys by Zipf's law; from half-time on other keys are the popular
 * ones. A miss sets a value whose length depends on the key. */
static void shifting_load(bench_report *out, const implementation *i,
                          size_t requests) {
    uint64_t state = SEED;
    char *keys = random_keys(KNOWN, &state);
    bench_zipf *z = measure_zipf(KNOWN, ZIPF_PERCENT);
    static char value[MIXED_MAX];
    cache *c = create(i, 1 << 20, SHARDS_OF_SMALL, true);
    uint64_t hits = 0;
    for (size_t r = 1; r <= requests * WINDOWS; r++) {
        size_t rank = bench_zipf_next(z, &state);
        size_t moved = r > requests * WINDOWS / 2 ? KNOWN / 2 : 0;
        size_t k = (rank + moved) % KNOWN, len;
        bytes key = bytes_in(key_at(keys, k));
        if (i->get(c, key, value, sizeof value, &len) == STATUS_MISS) {
            i->set(c, key, (bytes){value, k * 37 % MIXED_MAX});
        }
        if (r % requests == 0) {
            cache_stats s = i->statistics(c);
            measure_add(out, i->label, "hits", r,
                        (double)(s.hits - hits) / (double)requests);
            measure_add(out, i->label, "entries", r, (double)s.entry_bytes);
            measure_add(out, i->label, "held", r, (double)s.held_bytes);
            hits = s.hits;
        }
    }
    i->destroy(c);
    bench_zipf_destroy(z);
    free(keys);
}

static void counts(const implementation *impls, size_t count) {
    bench_report *out = measure_report();
    for (size_t i = 0; i < count; i++) {
        shifting_load(out, &impls[i], 5000);
    }
    measure_print_counts(out, "make plot-14: hits per request in each 5,000 "
                              "requests, bytes of keys and values, and bytes "
                              "held, after so many requests; other keys are "
                              "popular from half-time on");
    bench_report_destroy(out);
}

/* -- the contenders ---------------------------------------------------------
 */

void *absl_create(void);
void absl_set(void *map, const char *key, size_t key_len, const char *value,
              size_t value_len);
size_t absl_get(void *map, const char *key, size_t key_len, char *value);
void absl_destroy(void *map);

typedef enum style { CACHE, GLIB, UTHASH, ABSL, STYLES } style;

static const char *const style_names[] = {NULL, "GHashTable", "uthash",
                                          "flat_hash_map"};

typedef struct node {
    UT_hash_handle hh;
    blob *value;
    char key[];
} node;

typedef struct table {
    const implementation *impl;
    style style;
    bool one_thread;
    cache *cache;
    GHashTable *glib;
    node *uthash;
    void *absl;
} table;

static guint glib_hash(gconstpointer key) {
    const blob *k = key;
    return (guint)XXH3_64bits(k->data, k->len);
}

static gboolean glib_equal(gconstpointer a, gconstpointer b) {
    const blob *k = a, *l = b;
    return k->len == l->len && memcmp(k->data, l->data, k->len) == 0;
}

/* 1e6 entries of 110 bytes take 139 each; an uneven spread over the shards
 * some more. */
static size_t budget_for(size_t n) {
    return n * 142 + SHARDS * 49152;
}

static void table_open(table *t, size_t n) {
    switch (t->style) {
    case CACHE:
        t->cache = create(t->impl, budget_for(n), SHARDS, t->one_thread);
        break;
    case GLIB:
        t->glib = g_hash_table_new_full(glib_hash, glib_equal, free, free);
        break;
    case ABSL: t->absl = absl_create(); break;
    default: t->uthash = NULL;
    }
}

static blob *copy_of(bytes b) {
    void *room = malloc(sizeof(blob) + b.len);
    if (!room) {
        measure_die("bench: no memory");
    }
    return fill(room, b.data, b.len);
}

static void uthash_set(table *t, const blob *k, bytes v) {
    node *found;
    HASH_FIND(hh, t->uthash, k->data, k->len, found);
    if (found) {
        free(found->value);
        found->value = copy_of(v);
        return;
    }
    found = measure_alloc(1, sizeof *found + k->len);
    memcpy(found->key, k->data, k->len);
    found->value = copy_of(v);
    HASH_ADD_KEYPTR(hh, t->uthash, found->key, k->len, found);
}

static void table_set(table *t, const blob *k, bytes v) {
    switch (t->style) {
    case CACHE:
        if (t->impl->set(t->cache, bytes_in(k), v) != STATUS_OK) {
            measure_die("%s: cache_set failed", t->impl->label);
        }
        break;
    case GLIB:
        g_hash_table_insert(t->glib, copy_of(bytes_in(k)), copy_of(v));
        break;
    case ABSL: absl_set(t->absl, k->data, k->len, v.data, v.len); break;
    default: uthash_set(t, k, v);
    }
}

/* Returns: the length of the value, which was copied; 0 for a miss. */
static size_t table_get(table *t, const blob *k, char *buffer) {
    size_t len = 0;
    const blob *value = NULL;
    node *found;
    switch (t->style) {
    case CACHE:
        t->impl->get(t->cache, bytes_in(k), buffer, VALUE_LEN, &len);
        return len;
    case GLIB: value = g_hash_table_lookup(t->glib, k); break;
    case ABSL: return absl_get(t->absl, k->data, k->len, buffer);
    default:
        HASH_FIND(hh, t->uthash, k->data, k->len, found);
        value = found ? found->value : NULL;
    }
    if (!value || value->len > VALUE_LEN) {
        return 0;
    }
    memcpy(buffer, value->data, value->len);
    return value->len;
}

static void table_close(table *t) {
    node *n, *next;
    switch (t->style) {
    case CACHE: t->impl->destroy(t->cache); break;
    case GLIB: g_hash_table_destroy(t->glib); break;
    case ABSL: absl_destroy(t->absl); break;
    default:
        HASH_ITER(hh, t->uthash, n, next) {
            HASH_DEL(t->uthash, n);
            free(n->value);
            free(n);
        }
    }
}

/* -- ns per call -------------------------------------------------------------
 */

typedef struct contest {
    const implementation *impls;
    size_t count, n;
    char *keys; /* in another order for each phase */
    uint64_t state;
} contest;

/* The keys themselves change places: so they are read one after the other, and
 * what is measured is the table, not the way to its keys. */
static void shuffle(contest *c) {
    char other[KEY_STRIDE];
    for (size_t i = c->n - 1; i > 0; i--) {
        char *a = c->keys + i * KEY_STRIDE;
        char *b = c->keys + bench_random_below(&c->state, i + 1) * KEY_STRIDE;
        memcpy(other, a, KEY_STRIDE);
        memmove(a, b, KEY_STRIDE);
        memcpy(b, other, KEY_STRIDE);
    }
}

static double set_all(contest *c, table *t) {
    static char value[VALUE_LEN];
    memset(value, 'v', sizeof value);
    shuffle(c);
    int64_t began = bench_now_ns();
    for (size_t i = 0; i < c->n; i++) {
        table_set(t, key_at(c->keys, i), (bytes){value, VALUE_LEN});
    }
    return (double)(bench_now_ns() - began) / (double)c->n;
}

/* group: so many keys at a time; of more than one the cache is told first. */
static double get_all(contest *c, table *t, size_t group) {
    char buffer[VALUE_LEN];
    const blob *blobs[GROUP];
    bytes keys[GROUP];
    size_t found = 0, n = 0;
    shuffle(c);
    int64_t began = bench_now_ns();
    for (size_t i = 0; i < c->n; i += n) {
        for (n = 0; n < group && i + n < c->n; n++) {
            blobs[n] = key_at(c->keys, i + n);
            keys[n] = bytes_in(blobs[n]);
        }
        if (n > 1) {
            t->impl->expect(t->cache, keys, n);
        }
        for (size_t k = 0; k < n; k++) {
            found += table_get(t, blobs[k], buffer);
        }
    }
    double ns = (double)(bench_now_ns() - began) / (double)c->n;
    if (found != c->n * VALUE_LEN) {
        measure_die("bench: a key is missing");
    }
    return ns;
}

static void time_calls(contest *c, table *t, bench_report *r, const char *label,
                       const char *const names[4]) {
    table_open(t, c->n);
    measure_add(r, label, names[0], c->n, set_all(c, t));
    measure_add(r, label, names[1], c->n, get_all(c, t, 1));
    if (t->style == CACHE) {
        measure_add(r, label, names[3], c->n, get_all(c, t, GROUP));
    }
    measure_add(r, label, names[2], c->n, set_all(c, t));
    table_close(t);
    measure_tidy_memory();
}

static status take_turn(void *context, size_t contender, bench_report *r) {
    contest *c = context;
    bool is_peer = contender >= c->count;
    table t = {.impl = &c->impls[is_peer ? 0 : contender],
               .style = is_peer ? contender - c->count + 1 : CACHE};
    const char *label = is_peer ? style_names[t.style] : t.impl->label;
    t.one_thread = true;
    time_calls(c, &t, r, label,
               (const char *[]){"insert", "hit", "update", "group-hit"});
    if (!is_peer) {
        t.one_thread = false;
        time_calls(c, &t, r, label,
                   (const char *[]){"locked-insert", "locked-hit",
                                    "locked-update", "locked-group-hit"});
    }
    return STATUS_OK;
}

/* -- two threads --------------------------------------------------------------
 */

enum { THREADS = 2, READS_PERCENT = 95 };

typedef struct worker {
    const implementation *impl;
    cache *cache;
    const char *keys;
    size_t n, calls;
    uint64_t state;
    pthread_barrier_t *start;
    int64_t began, ended;
} worker;

static void *work(void *argument) {
    worker *w = argument;
    char value[VALUE_LEN] = {0};
    size_t len;
    pthread_barrier_wait(w->start);
    w->began = bench_now_ns();
    for (size_t i = 0; i < w->calls; i++) {
        bytes k =
            bytes_in(key_at(w->keys, bench_random_below(&w->state, w->n)));
        if (bench_random_below(&w->state, 100) < READS_PERCENT) {
            w->impl->get(w->cache, k, value, sizeof value, &len);
        } else {
            w->impl->set(w->cache, k, (bytes){value, VALUE_LEN});
        }
    }
    w->ended = bench_now_ns();
    return NULL;
}

/* Two threads, on one cache or each on its own. Returns: ns per call of both
 * together. */
static double two_threads(const contest *c, const implementation *i,
                          bool share) {
    pthread_t ids[THREADS];
    worker w[THREADS];
    pthread_barrier_t start;
    table tables[THREADS] = {{.impl = i}, {.impl = i}};
    pthread_barrier_init(&start, NULL, THREADS);
    for (size_t t = 0; t < (share ? 1 : THREADS); t++) {
        table_open(&tables[t], c->n);
        for (size_t k = 0; k < c->n; k++) {
            static const char value[VALUE_LEN];
            table_set(&tables[t], key_at(c->keys, k),
                      (bytes){value, VALUE_LEN});
        }
    }
    for (size_t t = 0; t < THREADS; t++) {
        w[t] = (worker){.impl = i,
                        .cache = tables[share ? 0 : t].cache,
                        .keys = c->keys,
                        .n = c->n,
                        .calls = c->n,
                        .state = SEED + t,
                        .start = &start};
        if (pthread_create(&ids[t], NULL, work, &w[t]) != 0) {
            measure_die("bench: no thread");
        }
    }
    int64_t began = INT64_MAX, ended = 0;
    for (size_t t = 0; t < THREADS; t++) {
        pthread_join(ids[t], NULL);
        began = w[t].began < began ? w[t].began : began;
        ended = w[t].ended > ended ? w[t].ended : ended;
    }
    for (size_t t = 0; t < (share ? 1 : THREADS); t++) {
        table_close(&tables[t]);
    }
    pthread_barrier_destroy(&start);
    return (double)(ended - began) / (double)(THREADS * c->n);
}

static status take_threads_turn(void *context, size_t contender,
                                bench_report *r) {
    contest *c = context;
    const implementation *i = &c->impls[contender / 2];
    bool share = contender % 2 == 0;
    measure_add(r, i->label, share ? "threads-one" : "threads-two", c->n,
                two_threads(c, i, share));
    return STATUS_OK;
}

/* -- bytes per entry
 * ------------------------------------------------------------ */

/* The resident memory of a process. */
static double resident(pid_t process) {
    char path[64];
    long all, pages;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)process);
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%ld %ld", &all, &pages) != 2) {
        measure_die("bench: cannot read %s", path);
    }
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* In a process of its own, where nothing else is allocated or freed. */
static double overhead_of(const contest *c, table t) {
    int out[2];
    double bytes_each = 0;
    if (pipe(out) != 0) {
        measure_die("bench: no pipe");
    }
    pid_t child = fork();
    if (child == 0) {
        static const char value[VALUE_LEN];
        double before = resident(getpid());
        table_open(&t, c->n);
        for (size_t k = 0; k < c->n; k++) {
            table_set(&t, key_at(c->keys, k), (bytes){value, VALUE_LEN});
        }
        bytes_each = (resident(getpid()) - before) / (double)c->n;
        _exit(write(out[1], &bytes_each, sizeof bytes_each) > 0 ? 0 : 1);
    }
    if (child < 0 || read(out[0], &bytes_each, sizeof bytes_each) <= 0) {
        measure_die("bench: the child has failed");
    }
    waitpid(child, NULL, 0);
    close(out[0]);
    close(out[1]);
    return bytes_each - ENTRY_LEN;
}

/* Starts a server in a directory of its own. Returns: a stream to it, or NULL
 * if it does not come up. */
static FILE *start(const char *const argv[], const char *socket_path,
                   pid_t *process) {
    *process = fork();
    if (*process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!freopen("/dev/null", "w", stdout)
            || !freopen("/dev/null", "w", stderr)) {
            _exit(127);
        }
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", socket_path);
    for (int tries = 0; tries < 300; tries++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0) {
            return fdopen(fd, "r+");
        }
        close(fd);
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return NULL;
}

/* Waits for the server's word that all before was done. */
static void settle(FILE *f, const char *ask, const char *answer) {
    char line[256] = "";
    fputs(ask, f);
    fflush(f);
    while (!strstr(line, answer) && fgets(line, sizeof line, f)) {
    }
}

/* Returns: the overhead, or a negative number if there is no such server. */
static double overhead_of_server(const contest *c, bool redis) {
    char directory[] = "/tmp/bench-14-XXXXXX", path[64], value[VALUE_LEN + 1];
    if (!mkdtemp(directory)) {
        measure_die("bench: no directory");
    }
    snprintf(path, sizeof path, "%s/socket", directory);
    const char *const redis_argv[] = {
        "redis-server", "--port", "0",     "--unixsocket", path,
        "--save",       "",       "--dir", directory,      NULL};
    const char *const memcached_argv[] = {"memcached", "-s", path,   "-m",
                                          "1024",      "-u", "root", NULL};
    pid_t process;
    FILE *f = start(redis ? redis_argv : memcached_argv, path, &process);
    double result = -1;
    if (f) {
        memset(value, 'v', VALUE_LEN);
        value[VALUE_LEN] = '\0';
        const char *ask = redis ? "CLIENT REPLY ON\r\nPING\r\n" : "version\r\n";
        const char *answer = redis ? "PONG" : "VERSION";
        settle(f, ask, answer);
        double before = resident(process);
        fputs(redis ? "CLIENT REPLY OFF\r\n" : "", f);
        for (size_t k = 0; k < c->n; k++) {
            fprintf(f,
                    redis ? "SET %.*s %s\r\n"
                          : "set %.*s 0 0 100 noreply\r\n%s\r\n",
                    BENCH_KEY_LEN, key_at(c->keys, k)->data, value);
        }
        settle(f, ask, answer);
        result = (resident(process) - before) / (double)c->n - ENTRY_LEN;
        fclose(f);
    }
    kill(process, SIGKILL);
    waitpid(process, NULL, 0);
    unlink(path);
    rmdir(directory);
    return result;
}

static void overheads(bench_report *r, const contest *c) {
    for (size_t i = 0; i < c->count + STYLES - 1; i++) {
        bool is_peer = i >= c->count;
        table t = {.impl = &c->impls[is_peer ? 0 : i],
                   .style = is_peer ? i - c->count + 1 : CACHE};
        measure_add(r, is_peer ? style_names[t.style] : t.impl->label,
                    "overhead", c->n, overhead_of(c, t));
    }
    for (int redis = 1; redis >= 0; redis--) {
        double bytes_each = overhead_of_server(c, redis);
        if (bytes_each >= 0) {
            measure_add(r, redis ? "Redis" : "memcached", "overhead", c->n,
                        bytes_each);
        }
    }
}

static void speed(const implementation *impls, size_t count) {
    contest c = {.impls = impls,
                 .count = count,
                 .n = measure_quick() ? 200000 : 1000000,
                 .state = SEED};
    c.keys = random_keys(c.n, &c.state);
    bench_report *r = measure_report();
    overheads(r, &c);
    measure_keep_memory();
    measure_interleave(r, count + STYLES - 1, take_turn, &c);
    measure_interleave(r, 2 * count, take_threads_turn, &c);
    measure_print_times(r, "make bench-14: ns per call with keys of 10 bytes "
                           "and values of 100 (threads: 95 % reads by two, on "
                           "one cache or one each, ns per call of both), and "
                           "overhead, bytes of resident memory per entry");
    bench_report_destroy(r);
    free(c.keys);
}

/* -- counts of instructions --------------------------------------------------
 */

typedef struct ask {
    table table;
    const char *keys;
    size_t n;
} ask;

static void ask_all(void *context) {
    ask *a = context;
    char buffer[VALUE_LEN];
    for (size_t k = 0; k < COUNTED_GETS; k++) {
        if (table_get(&a->table, key_at(a->keys, k * 389 % a->n), buffer)
            == 0) {
            measure_die("%s: a key is missing", a->table.impl->label);
        }
    }
}

static void one(const implementation *impls, size_t count) {
    uint64_t state = SEED;
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 64; n <= 65536; n *= 8) {
            ask a = {.table = {.impl = &impls[i]},
                     .keys = random_keys(n, &state),
                     .n = n};
            table_open(&a.table, n + 1000);
            for (size_t k = 0; k < n; k++) {
                static const char value[VALUE_LEN];
                table_set(&a.table, key_at(a.keys, k),
                          (bytes){value, VALUE_LEN});
            }
            measure_ask(ask_all, &a);
            printf("%s\tget\t%zu\t%d\n", impls[i].label, n, COUNTED_GETS);
            table_close(&a.table);
            free((void *)a.keys);
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed|one label=cache.so...", argv[0]);
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
