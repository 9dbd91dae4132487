/* Bench of lesson 12: what a cache spares an API, and what a hit costs.
 *
 *     12-api counts label=http_cache.so...   requests and mean time, as TSV
 *     12-api speed label=http_cache.so...    time per get, as TSV
 *     12-api one label=http_cache.so...      the hits that callgrind counts
 *
 * The API is the one that the tests ask, on loopback. The peer is libcurl,
 * bare: one handle that keeps its connection, and a callback that drops the
 * bytes. */
#include "measure.h"

#include "http_cache.h"
#include "support/http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 42
#define ZIPF_PERCENT 99

enum { COUNTED_GETS = 1024, COUNTED_MAX = 64, BODY_MAX = 2000000 };

typedef struct implementation {
    const char *label;
    status (*create)(const http_cache_options *options, http_cache **out);
    status (*get)(http_cache *h, const char *url,
                  http_cache_response *response);
    http_cache_stats (*statistics)(const http_cache *h);
    void (*destroy)(http_cache *h);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "http_cache_create", &i.create);
    measure_function(handle, "http_cache_get", &i.get);
    measure_function(handle, "http_cache_statistics", &i.statistics);
    measure_function(handle, "http_cache_destroy", &i.destroy);
    return i;
}

static http_cache *create(const implementation *i, int64_t *now_ms) {
    http_cache *h;
    http_cache_options options = {.clock = ms_clock_frozen(now_ms),
                                  .seed = SEED,
                                  .max_body_bytes = BODY_MAX};
    if (i->create(&options, &h) != STATUS_OK) {
        measure_die("%s: http_cache_create failed", i->label);
    }
    return h;
}

static http_cache_response get(const implementation *i, http_cache *h,
                               const char *url) {
    http_cache_response r;
    status s = i->get(h, url, &r);
    if (s != STATUS_OK) {
        measure_die("%s: %s: %s", i->label, url, status_name(s));
    }
    return r;
}

/* -- what reaches the API ------------------------------------------------- */

/* A get every 200 ms; every two seconds one document changes. The API is far
 * away: a request takes FAR_MS, and the line carries LINE bytes a millisecond.
 */
enum { DOCUMENTS = 100, GETS = 1000, GET_MS = 200, CHANGE = 10 };
enum { BODY = 20000, FAR_MS = 50, LINE = 200 };

typedef enum strategy { NO_CACHE, BY_TTL, BY_TTL_AND_ETAG } strategy;

static const char *const names[] = {"no cache", "ttl", "ttl, ETag"};

static void play(http *api, strategy how, size_t age_s, size_t document,
                 unsigned version) {
    char path[32], etag[32], header[64];
    snprintf(path, sizeof path, "/%zu", document);
    snprintf(etag, sizeof etag, "\"%u\"", version);
    snprintf(header, sizeof header, "Cache-Control: max-age=%zu", age_s);
    http_play(api, path,
              &(http_answer){.body = "0123456789",
                             .body_size = BODY,
                             .etag = how == BY_TTL_AND_ETAG ? etag : NULL,
                             .header = how == NO_CACHE
                                           ? "Cache-Control: no-store"
                                           : header});
}

static http_cache_stats simulate(const implementation *i, http *api,
                                 strategy how, size_t age_s) {
    static unsigned versions[DOCUMENTS];
    int64_t now_ms = 0;
    uint64_t random = SEED;
    http_cache *h = create(i, &now_ms);
    bench_zipf *popularity = measure_zipf(DOCUMENTS, ZIPF_PERCENT);
    for (size_t d = 0; d < DOCUMENTS; d++) {
        versions[d] = 1;
        play(api, how, age_s, d, versions[d]);
    }
    for (size_t g = 0; g < GETS; g++, now_ms += GET_MS) {
        char path[32];
        if (g % CHANGE == 0) {
            size_t d = bench_random_below(&random, DOCUMENTS);
            play(api, how, age_s, d, ++versions[d]);
        }
        snprintf(path, sizeof path, "/%zu",
                 bench_zipf_next(popularity, &random));
        get(i, h, http_url(api, path));
    }
    http_cache_stats stats = i->statistics(h);
    bench_zipf_destroy(popularity);
    i->destroy(h);
    return stats;
}

static void note(bench_report *r, const implementation *i, strategy how,
                 size_t age_s, http_cache_stats s) {
    char operation[24];
    snprintf(operation, sizeof operation, "requests, %s", names[how]);
    measure_add(r, i->label, operation, age_s, 100 * (double)s.requests / GETS);
    snprintf(operation, sizeof operation, "ms, %s", names[how]);
    measure_add(r, i->label, operation, age_s,
                ((double)s.requests * FAR_MS + (double)s.bytes / LINE) / GETS);
}

static void counts(const implementation *impls, size_t count) {
    static const size_t ages_s[] = {1, 3, 10, 30, 100};
    bench_report *r = measure_report();
    http *api = http_start();
    for (size_t i = 0; i < count; i++) {
        http_cache_stats none = simulate(&impls[i], api, NO_CACHE, 0);
        for (size_t a = 0; a < sizeof ages_s / sizeof ages_s[0]; a++) {
            note(r, &impls[i], NO_CACHE, ages_s[a], none);
            for (strategy how = BY_TTL; how <= BY_TTL_AND_ETAG; how++) {
                note(r, &impls[i], how, ages_s[a],
                     simulate(&impls[i], api, how, ages_s[a]));
            }
        }
    }
    http_stop(api);
    measure_print_counts(r, "make plot-12: requests per 100 gets, and ms per "
                            "get from an API 50 ms away, by max-age in s");
    bench_report_destroy(r);
}

/* -- time per get --------------------------------------------------------- */

enum { TURNS = 10, HITS = 1000, REQUESTS = 20 };

/* A cache, or bare libcurl, on its turn. */
typedef struct contender {
    const implementation *implementation;
    http_cache *cache;
    CURL *curl; /* NULL: it is a cache */
    int64_t now_ms;
    int64_t hit_ns, renew_ns, fetch_ns;
} contender;

static size_t drop(char *data, size_t size, size_t count, void *context) {
    (void)data;
    *(size_t *)context += size * count;
    return size * count;
}

static void begin(contender *c, const implementation *i) {
    *c = (contender){.implementation = i};
    if (i) {
        c->cache = create(i, &c->now_ms);
        return;
    }
    c->curl = curl_easy_init();
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, drop);
}

static void finish(contender *c) {
    if (c->curl) {
        curl_easy_cleanup(c->curl);
    } else {
        c->implementation->destroy(c->cache);
    }
}

static void fetch_bare(contender *c, const char *url, size_t size) {
    size_t got = 0;
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &got);
    if (curl_easy_perform(c->curl) != CURLE_OK || got != size) {
        measure_die("curl: %s: %zu bytes of %zu", url, got, size);
    }
}

/* Some gets that must all come from the same place. Returns: ns for all. */
static int64_t time_gets(contender *c, const char *url, size_t count,
                         int64_t pass_ms, http_cache_from from) {
    int64_t start = bench_now_ns();
    for (size_t n = 0; n < count; n++) {
        c->now_ms += pass_ms;
        if (get(c->implementation, c->cache, url).from != from) {
            measure_die("%s: %s: not from where it should be",
                        c->implementation->label, url);
        }
    }
    return bench_now_ns() - start;
}

static void take_turn(contender *c, const http *api, size_t size) {
    const char *plain = http_url(api, "/plain");
    if (c->curl) {
        int64_t start = bench_now_ns();
        for (size_t n = 0; n < REQUESTS; n++) {
            fetch_bare(c, plain, size);
        }
        c->fetch_ns += bench_now_ns() - start;
        return;
    }
    const char *kept = http_url(api, "/kept"), *tagged = http_url(api, "/tag");
    get(c->implementation, c->cache, kept);
    get(c->implementation, c->cache, tagged);
    c->hit_ns += time_gets(c, kept, HITS, 0, HTTP_CACHE_STORED);
    c->renew_ns += time_gets(c, tagged, REQUESTS, 2000, HTTP_CACHE_RENEWED);
    c->fetch_ns += time_gets(c, plain, REQUESTS, 2000, HTTP_CACHE_API);
}

static void time_size(bench_report *r, const implementation *impls,
                      size_t count, const http *api, size_t size) {
    contender *cs = measure_alloc(count + 1, sizeof *cs);
    for (size_t i = 0; i <= count; i++) {
        begin(&cs[i], i < count ? &impls[i] : NULL);
        take_turn(&cs[i], api, size); /* a warm-up */
        cs[i].hit_ns = cs[i].renew_ns = cs[i].fetch_ns = 0;
    }
    for (size_t turn = 0; turn < TURNS; turn++) {
        for (size_t i = 0; i <= count; i++) {
            take_turn(&cs[(i + turn) % (count + 1)], api, size);
        }
    }
    for (size_t i = 0; i < count; i++) {
        measure_add(r, impls[i].label, "hit", size,
                    (double)cs[i].hit_ns / (HITS * TURNS));
        measure_add(r, impls[i].label, "304", size,
                    (double)cs[i].renew_ns / (REQUESTS * TURNS));
        measure_add(r, impls[i].label, "200", size,
                    (double)cs[i].fetch_ns / (REQUESTS * TURNS));
    }
    measure_add(r, "curl", "200", size,
                (double)cs[count].fetch_ns / (REQUESTS * TURNS));
    for (size_t i = 0; i <= count; i++) {
        finish(&cs[i]);
    }
    free(cs);
}

static void play_size(http *api, size_t size) {
    char body[4001] = "";
    memset(body, 'x', sizeof body - 1); /* long, to be repeated quickly */
    http_answer a = {.body = body, .body_size = size};
    a.header = "Cache-Control: max-age=1";
    http_play(api, "/plain", &a);
    a.etag = "\"1\"";
    http_play(api, "/tag", &a);
    a.header = "Cache-Control: max-age=2147483648";
    http_play(api, "/kept", &a);
}

static void speed(const implementation *impls, size_t count) {
    static const size_t sizes[] = {100, 1000, 10000, 100000, 1000000};
    bench_report *r = measure_report();
    http *api = http_start();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    for (size_t run = 0; run < measure_runs(); run++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            fprintf(stderr, "%zu bytes, run %zu\n", sizes[s], run + 1);
            play_size(api, sizes[s]);
            time_size(r, impls, count, api, sizes[s]);
        }
    }
    curl_global_cleanup();
    http_stop(api);
    measure_print_times(r, "make bench-12: ns per get of n bytes, on loopback");
    bench_report_destroy(r);
}

/* -- counts of instructions ----------------------------------------------- */

typedef struct ask {
    const implementation *implementation;
    http_cache *cache;
    char (*urls)[64];
    size_t n;
} ask;

static void ask_all(void *context) {
    const ask *a = context;
    for (size_t g = 0; g < COUNTED_GETS; g++) {
        get(a->implementation, a->cache, a->urls[g % a->n]);
    }
}

static void one(const implementation *impls, size_t count) {
    http *api = http_start();
    ask a = {.urls = measure_alloc(COUNTED_MAX, sizeof a.urls[0])};
    play_size(api, 1000);
    for (size_t n = 0; n < COUNTED_MAX; n++) {
        snprintf(a.urls[n], sizeof a.urls[n], "%s?%zu", http_url(api, "/kept"),
                 n);
    }
    for (size_t i = 0; i < count; i++) {
        for (a.n = 1; a.n <= COUNTED_MAX; a.n *= 4) {
            int64_t now_ms = 0;
            a.implementation = &impls[i];
            a.cache = create(&impls[i], &now_ms);
            ask_all(&a);
            measure_ask(ask_all, &a);
            printf("%s\thit\t%zu\t%d\n", impls[i].label, a.n, COUNTED_GETS);
            impls[i].destroy(a.cache);
        }
    }
    free(a.urls);
    http_stop(api);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed|one label=http_cache.so...",
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
