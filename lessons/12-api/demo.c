/* The slide's program: one API, asked twice.
 *
 * API_URL=https://... asks a real one, and the times are those of this machine.
 * Without it a replica is asked, on this machine. That one is not far away, so
 * the demo counts FAR_MS for each request that it gets, and does not wait: its
 * clock stands still otherwise, and the times are the same everywhere. */
#include "http_cache.h"
#include "support/http.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { FAR_MS = 120 };

/* What the slide's program reads of the document that it asks for. */
static const http_answer github = {
    .header = "Cache-Control: private, max-age=60",
    .body = "{\"login\": \"github\", \"followers\": 51234}"};

typedef struct program {
    http_cache *cache;
    ms_clock clock;
    int64_t frozen_ms;
    const char *url;
} program;

static void must(const program *p, status s, const char *did) {
    if (s != STATUS_OK) {
        fprintf(stderr, "%s: %s: %s\n", did, status_name(s),
                p->cache ? http_cache_error(p->cache) : "");
        exit(EXIT_FAILURE);
    }
}

static void print_user(const program *p, const http_json *user) {
    bytes login;
    int64_t followers;
    must(p, http_json_text(user, "login", &login), "login");
    must(p, http_json_integer(user, "followers", &followers), "followers");
    printf("User: %.*s, Followers: %" PRId64 "\n", (int)login.len,
           (const char *)login.data, followers);
}

static void get_api_data(program *p, const char *which) {
    http_cache_response response;
    const http_json *user;
    uint64_t requests = http_cache_statistics(p->cache).requests;
    int64_t start_ms = ms_clock_now(p->clock);
    must(p, http_cache_get_json(p->cache, p->url, &response, &user), p->url);
    requests = http_cache_statistics(p->cache).requests - requests;
    p->frozen_ms += FAR_MS * (int64_t)requests;
    bool asked =
        response.from == HTTP_CACHE_API || response.from == HTTP_CACHE_RENEWED;
    printf("Fetching from %s\n", asked ? "API" : "cache");
    printf("%s request time: %.2f seconds\n", which,
           (double)(ms_clock_now(p->clock) - start_ms) / 1000);
    print_user(p, user);
}

static void run(program *p) {
    http_cache_options options = {.clock = p->clock, .default_ttl_ms = 60000};
    must(p, http_cache_create(&options, &p->cache), "create");
    get_api_data(p, "First");
    get_api_data(p, "Second");
    http_cache_destroy(p->cache);
}

int main(void) {
    program p = {.clock = ms_clock_monotonic(), .url = getenv("API_URL")};
    signal(SIGPIPE, SIG_IGN);
    if (p.url) {
        run(&p);
    } else {
        http *replica = http_start();
        http_play(replica, "/users/github", &github);
        p.url = http_url(replica, "/users/github");
        p.clock = ms_clock_frozen(&p.frozen_ms);
        run(&p);
        http_stop(replica);
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
