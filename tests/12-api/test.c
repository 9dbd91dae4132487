/* Tests of the HTTP cache, against an API that plays what a test wrote down.
 * Time stands still unless a test turns it. */
#include "http_cache.h"

#include "support/check.h"
#include "support/heap.h"
#include "support/http.h"
#include "support/libraries.h"
#include "support/model.h"
#include "support/work.h"

#include <stdlib.h>
#include <string.h>

enum { SOON_MS = 200, LONG_MS = 20000 };

#define SENT "Date: Tue, 10 Mar 2026 12:00:00 GMT\n"

static int64_t now_ms;
static http *api;

static void begin_api(void) {
    now_ms = 1000000;
    api = http_start();
}

/* A cache whose clock is ours; options in which 0 is not said. */
static http_cache *made(http_cache_options options) {
    http_cache *h = NULL;
    options.clock = ms_clock_frozen(&now_ms);
    options.seed = 42;
    options.timeout_ms = options.timeout_ms ? options.timeout_ms : LONG_MS;
    want_status(http_cache_create(&options, &h), STATUS_OK,
                "http_cache_create(&options, &h)",
                "create fails though there is memory and the options are good");
    want_true(h != NULL, "http_cache_create(&options, &h)",
              "create says ok and does not write the cache to *out");
    return h;
}

static http_cache *fresh(void) {
    begin_api();
    return made((http_cache_options){0});
}

static void end(http_cache *h) {
    http_cache_destroy(h);
    http_stop(api);
}

/* What the API has from now on: a body, and header fields. */
static void play(const char *path, const char *body, const char *header) {
    http_play(api, path, &(http_answer){.body = body, .header = header});
}

/* The same with an ETag. */
static void play_tagged(const char *path, const char *body, const char *etag,
                        const char *header) {
    http_play(api, path,
              &(http_answer){.body = body, .etag = etag, .header = header});
}

static void play_code(const char *path, int code) {
    http_play(api, path, &(http_answer){.code = code, .body = "an error"});
}

static const char *from_name(http_cache_from from) {
    switch (from) {
    case HTTP_CACHE_API: return "fetched";
    case HTTP_CACHE_STORED: return "stored";
    case HTTP_CACHE_RENEWED: return "renewed";
    case HTTP_CACHE_STALE: return "stale";
    }
    return "from nowhere";
}

/* What a get of the path gives: its body and where that is from, or how it
 * failed. */
static const char *seen(http_cache *h, const char *path) {
    http_cache_response r = {0};
    status s = http_cache_get(h, http_url(api, path), &r);
    if (s != STATUS_OK) {
        return text("no answer: %s", status_name(s));
    }
    return text("%.*s, %s", (int)r.body.len,
                r.body.len > 0 ? (const char *)r.body.data : "",
                from_name(r.from));
}

static status got(http_cache *h, const char *path) {
    return http_cache_get(h, http_url(api, path), NULL);
}

/* --- 12.1: create, look, destroy ----------------------------------------- */

TEST(a_fresh_cache_is_empty_and_ends_without_a_trace, "P17", "12.1") {
    http_cache *h = NULL;
    want_status(http_cache_create(NULL, &h), STATUS_OK,
                "http_cache_create(NULL, &h)", "NULL stands for the default");
    want_int(http_cache_count(h), 0, "create, count",
             "nothing is stored at first");
    want_text(http_cache_error(h), "", "create, ask for the reason",
              "nothing went wrong yet");
    http_cache_stats none = {0}, stats = http_cache_statistics(h);
    want_true(memcmp(&stats, &none, sizeof none) == 0,
              "create, look at the statistics", "all counts start at 0");
    http_cache_destroy(h);
    http_cache_destroy(NULL);
}

TEST(bad_options_are_refused, "P16", "12.1") {
    static const struct {
        const char *what;
        http_cache_options options;
    } bad[] = {{"default_ttl_ms = -1", {.default_ttl_ms = -1}},
               {"keep_ms = -1", {.keep_ms = -1}},
               {"stale_if_error_ms = -1", {.stale_if_error_ms = -1}},
               {"timeout_ms = -1", {.timeout_ms = -1}},
               {"timeout_ms = 2^31", {.timeout_ms = 1LL << 31}}};
    static char untouched;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        http_cache *h = (http_cache *)&untouched;
        const char *did = text("create with %s", bad[i].what);
        want_status(http_cache_create(&bad[i].options, &h), STATUS_INVALID, did,
                    "what can never make sense is refused at once");
        want_pointer(h, &untouched, did,
                     "out-parameters are written only on success");
    }
    http_cache_options most = {.default_ttl_ms = INT64_MAX,
                               .keep_ms = INT64_MAX,
                               .timeout_ms = INT32_MAX};
    http_cache *h = NULL;
    want_status(http_cache_create(&most, &h), STATUS_OK,
                "create with the longest times", "they are allowed");
    http_cache_destroy(h);
}

static void try_to_create(void *context) {
    static char untouched;
    http_cache *h = (http_cache *)&untouched;
    status s = http_cache_create(NULL, &h);
    ++*(size_t *)context;
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "create while an allocation fails",
                "every result of malloc and ttl_create must be looked at");
    if (s == STATUS_OK) {
        http_cache_destroy(h);
    } else {
        want_pointer(h, &untouched, "create without memory, look at h",
                     "out-parameters are written only on success");
    }
}

TEST(without_memory_create_says_so_and_leaves_nothing, "P15", "12.1") {
    size_t tries = 0;
    heap_fail_each(try_to_create, &tries);
    want_that(tries > 1, "create, count allocations\nwanted  at least one\n"
                         "got     none\nlikely  where do the answers live?");
}

/* --- 12.2: ask ----------------------------------------------------------- */

TEST(a_body_comes_byte_for_byte, "P1", "12.2") {
    http_cache *h = fresh();
    http_cache_response r = {0};
    enum { MANY = 100 * 1000 };
    http_play(api, "/many",
              &(http_answer){.body = "0123456", .body_size = MANY});
    http_play(api, "/zeros", &(http_answer){.body_size = 3});
    http_play(api, "/none", &(http_answer){.code = 204});
    want_status(http_cache_get(h, http_url(api, "/many"), &r), STATUS_OK,
                "get a body of 100,000 bytes", "the API sends it, with a 200");
    want_int(r.body.len, MANY, "get a body of 100,000 bytes; its length",
             "it comes in pieces: libcurl calls you more than once");
    for (size_t i = 0; i < MANY; i++) {
        want_int(((const char *)r.body.data)[i], "0123456"[i % 7],
                 "get a body of 100,000 bytes; each of them",
                 "a piece goes behind those before it");
    }
    want_int(r.code, 200, "get a body; its code", "CURLINFO_RESPONSE_CODE");
    want_int(r.from, HTTP_CACHE_API, "get a body; where it came from",
             "the API has just sent it");
    want_status(http_cache_get(h, http_url(api, "/zeros"), &r), STATUS_OK,
                "get three zero bytes", "a body is any bytes");
    want_bytes(r.body, ((bytes){"\0\0\0", 3}), "get three zero bytes",
               "a body is no text, and does not end at a zero byte");
    want_status(http_cache_get(h, http_url(api, "/none"), &r), STATUS_OK,
                "get what is a 204", "every code from 200 to 299 is an answer");
    want_true(r.code == 204 && r.body.len == 0, "get what is a 204",
              "its code is 204, and it has no body; nothing may be left of the "
              "body before");
    end(h);
}

TEST(an_answer_costs_one_get_over_one_connection, "P1", "12.2") {
    http_cache *h = fresh();
    play("/a", "one", NULL);
    play("/b", "two", NULL);
    want_status(got(h, "/a"), STATUS_OK, "get /a", "the API answers it");
    want_text(http_asked(api, ""), "GET /a", "get /a; what the API was asked",
              "one GET of that path");
    want_status(got(h, "/b"), STATUS_OK, "get /a, get /b", "both are there");
    want_int(http_requests(api), 2,
             "get /a, get /b; how often the API is asked", "once for each");
    want_int(http_connections(api), 1, "get /a, get /b; count connections",
             "keep one curl handle for all requests: it keeps the connection "
             "open");
    want_text(http_asked(api, "If-None-Match"), "",
              "get what was never here; its If-None-Match",
              "there is nothing to ask about");
    end(h);
}

TEST(only_http_and_https_are_fetched, "P2", "12.2") {
    http_cache *h = fresh();
    static const char *const bad[] = {"file:///etc/hostname",
                                      "FILE:///etc/hostname",
                                      "ftp://127.0.0.1/a",
                                      "gopher://127.0.0.1/a",
                                      "127.0.0.1/a",
                                      "httpx://127.0.0.1/a",
                                      "http:/a",
                                      "http://",
                                      ""};
    char reply;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        http_cache_response r = {.body = {&reply, 1}};
        const char *did = text("get \"%s\"", bad[i]);
        want_status(http_cache_get(h, bad[i], &r), STATUS_INVALID, did,
                    "only http:// and https://, and a host behind it");
        want_pointer(r.body.data, &reply, did,
                     "out-parameters are written only on success");
        want_true(http_cache_error(h)[0] != '\0', did,
                  "a failure comes with a line that says what to do");
    }
    play("/a", "one", NULL);
    const char *loud = text("HTTP%s", http_url(api, "/a") + 4);
    want_status(http_cache_get(h, loud, NULL), STATUS_OK,
                "get HTTP://127.0.0.1/a", "a scheme counts in any case");
    end(h);
}

TEST(each_failure_has_a_status_of_its_own, "P3", "12.2") {
    http_cache *h = fresh();
    static const struct {
        int code;
        status wanted;
    } of[] = {
        {404, STATUS_MISS},    {410, STATUS_MISS},    {400, STATUS_INVALID},
        {403, STATUS_INVALID}, {429, STATUS_INVALID}, {500, STATUS_BACKEND},
        {503, STATUS_BACKEND}, {304, STATUS_BACKEND}, {300, STATUS_BACKEND}};
    char reply;
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        http_cache_response r = {.body = {&reply, 1}};
        const char *path = text("/%d", of[i].code);
        const char *did = text("get what is a %d", of[i].code);
        play_code(path, of[i].code);
        want_status(http_cache_get(h, http_url(api, path), &r), of[i].wanted,
                    did,
                    "404 and 410: a miss; other 4xx: invalid; what is not "
                    "2xx besides: the API failed");
        want_pointer(r.body.data, &reply, did,
                     "out-parameters are written only on success");
        want_true(strstr(http_cache_error(h), path + 1) != NULL,
                  text("%s; the reason", did),
                  "the line says what the API answered");
    }
    end(h);
}

TEST(a_body_cut_short_is_a_failure, "P3", "12.2") {
    http_cache *h = fresh();
    http_play(api, "/cut",
              &(http_answer){.body = "a whole body", .cut_after = 4});
    want_text(seen(h, "/cut"), "no answer: backend failed",
              "get a body of 12 bytes, of which 4 come",
              "half a body is none: libcurl says CURLE_PARTIAL_FILE");
    http_play(api, "/more",
              &(http_answer){.body = "a whole body", .content_length = "99"});
    want_text(seen(h, "/more"), "no answer: backend failed",
              "get 12 bytes that are announced as 99", "87 are missing");
    http_play(api, "/word",
              &(http_answer){.body = "a whole body", .content_length = "ten"});
    want_text(seen(h, "/word"), "no answer: backend failed",
              "get a body with Content-Length: ten", "that is no length");
    const char *why = text("%s", http_cache_error(h));
    play("/whole", "a whole body", NULL);
    seen(h, "/whole");
    want_text(http_cache_error(h), why,
              "get a body with Content-Length: ten, then a good one; the "
              "reason",
              "it is that of the last get that went wrong, until another does");
    http_kill(api);
    want_text(seen(h, "/cut"), "no answer: backend failed",
              "kill the API, get /cut", "nobody listens any more");
    want_true(http_cache_error(h)[0] != '\0', "the same; the reason",
              "a failure comes with a line that says what to do");
    end(h);
}

TEST(a_body_is_as_long_as_the_limit_and_no_longer, "P4", "12.2") {
    begin_api();
    int64_t limit_ms = (int64_t)test_scale(1500, LONG_MS);
    http_cache *h = made(
        (http_cache_options){.max_body_bytes = 5000, .timeout_ms = limit_ms});
    http_play(api, "/just", &(http_answer){.body = "x", .body_size = 5000});
    http_play(api, "/over", &(http_answer){.body = "x", .body_size = 5001});
    http_play(api, "/endless",
              &(http_answer){.body = "x", .endless = true, .pause_ms = 1});
    want_status(got(h, "/just"), STATUS_OK,
                "get 5,000 bytes with max_body_bytes 5000",
                "the limit itself is allowed");
    want_text(seen(h, "/over"), "no answer: too large",
              "get 5,001 bytes with max_body_bytes 5000",
              "one byte more than the limit");
    want_text(seen(h, "/endless"), "no answer: too large",
              "get a body that never ends",
              "count as the bytes come: no length is announced, and the "
              "transfer must be ended by you");
    want_at_most(heap_live_bytes(), 64 * 1024,
                 "the same; bytes held on the heap",
                 "what is beyond the limit must not be kept");
    http_cache_destroy(h);
    h = made((http_cache_options){0});
    http_play(api, "/mib", &(http_answer){.body = "x", .body_size = 1 << 20});
    http_play(api, "/more",
              &(http_answer){.body = "x", .body_size = (1 << 20) + 1});
    want_status(got(h, "/mib"), STATUS_OK, "get 1 MiB by the default",
                "1 MiB is the limit if none is said");
    want_status(got(h, "/more"), STATUS_TOO_LARGE,
                "get 1 MiB and a byte by the default",
                "1 MiB is the limit if none is said");
    end(h);
}

TEST(a_header_is_bounded_too, "P4", "12.2") {
    http_cache *h = fresh();
    http_play(api, "/fair", &(http_answer){.header_size = 60000});
    http_play(api, "/large", &(http_answer){.header_size = 70000});
    http_play(api, "/huge", &(http_answer){.header_size = 1 << 20});
    static char rest[1001];
    memset(rest, 'r', sizeof rest - 1);
    memcpy(rest, "Rest: ", 6);
    http_play(api, "/sum",
              &(http_answer){.header = rest, .header_size = 64 * 1024 - 500});
    want_status(got(h, "/fair"), STATUS_OK, "get with a header of 60,000 bytes",
                "64 KiB are allowed");
    want_text(seen(h, "/large"), "no answer: too large",
              "get with a header of 70,000 bytes",
              "set CURLOPT_HEADERFUNCTION, and count what comes");
    want_text(seen(h, "/sum"), "no answer: too large",
              "get with a header line of 65,036 bytes and one of 1,000",
              "the bound is for all lines together");
    want_text(seen(h, "/huge"), "no answer: too large",
              "get with a header line of 1 MiB",
              "libcurl gives up first, and calls it CURLE_OUT_OF_MEMORY: while "
              "the header is not whole, it is too large");
    want_status(got(h, "/fair"), STATUS_OK, "then get a fair one again",
                "the next get must not suffer");
    end(h);
}

static int64_t real_ms(void) {
    return ms_clock_now(ms_clock_monotonic());
}

TEST(a_get_ends_in_time, "P5", "12.2") {
    begin_api();
    http_cache *h = made((http_cache_options){.timeout_ms = SOON_MS});
    http_play(api, "/silent", &(http_answer){.delay_ms = 1000});
    http_play(api, "/drip",
              &(http_answer){
                  .body = "x", .body_size = 50, .piece = 1, .pause_ms = 20});
    int64_t start = real_ms();
    want_text(seen(h, "/silent"), "no answer: timeout",
              "get with a timeout of 200 ms what takes a second",
              "set CURLOPT_TIMEOUT_MS");
    want_text(
        seen(h, "/drip"), "no answer: timeout",
        "get with a timeout of 200 ms what comes byte by byte, for a second",
        "the timeout is for all of the answer, not for each byte");
    want_at_most(real_ms() - start, test_scale(900, 5000),
                 "both; how many ms they took",
                 "two times 200 ms, and a little");
    end(h);
}

/* --- 12.3: keep ---------------------------------------------------------- */

TEST(the_second_get_asks_nobody, "P6", "12.3") {
    http_cache *h = fresh();
    play("/a", "one", NULL);
    want_text(seen(h, "/a"), "one, fetched", "get /a", "nothing is stored yet");
    play("/a", "two", NULL);
    want_text(seen(h, "/a"), "one, stored", "get /a twice",
              "the answer is stored, and fresh");
    want_int(http_requests(api), 1, "get /a twice; how often the API is asked",
             "a hit asks nobody");
    want_int(http_cache_count(h), 1, "get /a twice; count",
             "one URL is one answer");
    end(h);
}

TEST(an_answer_is_fresh_until_its_time_is_over, "P6", "12.3") {
    begin_api();
    http_cache *h = made((http_cache_options){.default_ttl_ms = 500});
    play("/a", "one", NULL);
    seen(h, "/a");
    now_ms += 499;
    want_text(seen(h, "/a"), "one, stored",
              "get /a with default_ttl_ms 500; 499 ms later get it again",
              "it is fresh until 500 ms have passed");
    now_ms += 1;
    want_text(seen(h, "/a"), "one, fetched", "a millisecond later, again",
              "at exactly 500 ms its time is over; and a hit renews nothing");
    now_ms += 499;
    want_text(seen(h, "/a"), "one, stored", "499 ms later, again",
              "what is fetched anew has its whole time");
    http_cache_destroy(h);
    h = made((http_cache_options){0});
    seen(h, "/a");
    now_ms += 59999;
    want_text(seen(h, "/a"), "one, stored", "by the default; 59,999 ms later",
              "60 seconds are the default");
    now_ms += 1;
    want_text(seen(h, "/a"), "one, fetched", "by the default; 60,000 ms later",
              "60 seconds are the default");
    http_cache_destroy(h);
    h = made((http_cache_options){.default_ttl_ms = INT64_MAX});
    seen(h, "/a");
    now_ms += 1LL << 60;
    want_text(seen(h, "/a"), "one, stored",
              "with default_ttl_ms INT64_MAX; 2^60 ms later",
              "now + ttl must not overflow");
    end(h);
}

TEST(a_hit_costs_the_same_among_many, "P6", "12.3") {
    http_cache *h = fresh();
    play("/a", "one", NULL);
    seen(h, "/a");
    const char *url = http_url(api, "/a");
    http_cache_response r;
    size_t before = heap_allocations();
    work_begin();
    http_cache_get(h, url, &r);
    size_t alone = work_steps();
    want_int(heap_allocations() - before, 0, "get /a twice; count allocations",
             "a hit gives what is stored, and copies nothing");
    for (size_t i = 0; i < test_scale(300, 50); i++) {
        const char *path = text("/%zu", i);
        play("/a", "one", NULL);
        http_cache_get(h, text("%s?%s", url, path), NULL);
    }
    work_begin();
    http_cache_get(h, url, &r);
    want_at_most(work_steps(), 2 * alone + 100,
                 "the same among 300 answers; count steps",
                 "a hit looks the URL up, and does not walk");
    end(h);
}

TEST(an_error_is_never_stored, "P7", "12.3") {
    http_cache *h = fresh();
    static const int codes[] = {500, 503, 404, 410, 403, 300};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        play_code("/a", codes[i]);
        seen(h, "/a");
        const char *did = text("get what is a %d; count", codes[i]);
        want_int(http_cache_count(h), 0, did, "an error is no answer to store");
        play_code("/a", 500);
        did = text("get what is a %d, then a 500", codes[i]);
        want_text(seen(h, "/a"), "no answer: backend failed", did,
                  "the API must be asked again");
    }
    http_play(api, "/a",
              &(http_answer){.body = "a whole body", .cut_after = 4});
    seen(h, "/a");
    want_int(http_cache_count(h), 0, "get a body that is cut short; count",
             "half a body is not stored");
    play("/a", "one", NULL);
    want_text(seen(h, "/a"), "one, fetched", "the API is well again; get /a",
              "errors are not stored");
    end(h);
}

TEST(only_a_200_is_stored, "P7", "12.3") {
    http_cache *h = fresh();
    static const int codes[] = {201, 202, 203, 206};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        const char *did = text("get what is a %d, twice", codes[i]);
        http_play(api, "/a", &(http_answer){.code = codes[i], .body = "part"});
        seen(h, "/a");
        want_text(seen(h, "/a"), "part, fetched", did,
                  "it is an answer, but only a 200 is stored");
    }
    want_int(http_cache_count(h), 0, "the same; count", "only a 200 is stored");
    end(h);
}

TEST(each_url_has_an_answer_of_its_own, "P7", "12.3") {
    http_cache *h = fresh();
    play("/a", "one", NULL);
    const char *first = text("%s?page=1", http_url(api, "/a"));
    const char *second = text("%s?page=2", http_url(api, "/a"));
    http_cache_response r = {0};
    http_cache_get(h, first, NULL);
    play("/a", "two", NULL);
    want_status(http_cache_get(h, second, &r), STATUS_OK,
                "get /a?page=1, get /a?page=2", "both are there");
    want_bytes(r.body, bytes_of("two"), "get /a?page=1, get /a?page=2",
               "the whole URL is the key, and what stands behind ? too");
    http_cache_get(h, first, &r);
    want_bytes(r.body, bytes_of("one"), "then get /a?page=1 again",
               "each answer is stored under its own URL");
    char changing[128];
    snprintf(changing, sizeof changing, "%s", first);
    play("/b", "three", NULL);
    changing[strlen(changing) - 1] = '3';
    http_cache_get(h, changing, NULL);
    changing[strlen(changing) - 1] = '1';
    http_cache_get(h, changing, &r);
    want_bytes(r.body, bytes_of("one"),
               "get /a?page=3 and /a?page=1 by one buffer that is changed",
               "the cache must keep its own copy of the URL");
    end(h);
}

TEST(what_is_of_no_more_use_is_freed, "P15", "12.3") {
    http_cache *h = fresh();
    play("/a", "one", NULL);
    size_t many = test_scale(40, 10);
    for (size_t i = 0; i < many; i++) {
        http_cache_get(h, text("%s?%zu", http_url(api, "/a"), i), NULL);
    }
    want_int(http_cache_count(h), many, "get many URLs, count",
             "each of them is stored");
    now_ms += 60000;
    for (size_t i = 0; i < many; i++) {
        http_cache_get(h, text("%s?new%zu", http_url(api, "/a"), i), NULL);
    }
    want_at_most(http_cache_count(h), many,
                 "a minute later get as many others, count",
                 "each storing frees up to two others that are of no more use: "
                 "ttl_sweep");
    end(h);
}

/* --- 12.4: what the API says --------------------------------------------- */

/* How long an answer with such a header is fresh, by trying: 0, or the first
 * of some times at which the API is asked again; -1: none of them. */
static int64_t found_fresh_ms(http_cache *h, const char *header) {
    static const int64_t tried[] = {999,
                                    1000,
                                    2000,
                                    4999,
                                    5000,
                                    6999,
                                    7000,
                                    9999,
                                    10000,
                                    59999,
                                    60000,
                                    3599999,
                                    3600000,
                                    (1LL << 31) * 1000 - 1,
                                    (1LL << 31) * 1000};
    static unsigned turn;
    const char *path = text("/%u", turn++ % 50);
    play(path, "one", header);
    now_ms += 1LL << 42; /* what was stored there before is of no use now */
    got(h, path);
    int64_t start = now_ms, found = -1;
    size_t asked = http_requests(api);
    got(h, path);
    if (http_requests(api) > asked) {
        return 0;
    }
    for (size_t i = 0; i < sizeof tried / sizeof tried[0] && found < 0; i++) {
        now_ms = start + tried[i];
        got(h, path);
        found = http_requests(api) > asked ? tried[i] : -1;
    }
    return found;
}

static void want_fresh(http_cache *h, const char *header, int64_t ms,
                       const char *likely) {
    const char *did = text("get what says \"%s\"; for how many ms it is fresh",
                           header ? header : "");
    want_int(found_fresh_ms(h, header), ms, did, likely);
}

TEST(max_age_says_how_long_in_seconds, "P8", "12.4") {
    http_cache *h = fresh();
    const char *likely =
        "the API says how long, in seconds, and the clock counts milliseconds: "
        "the default ttl is only for what says nothing";
    want_fresh(h, "Cache-Control: max-age=10", 10000, likely);
    want_fresh(h, "Cache-Control: max-age=1", 1000, likely);
    want_fresh(h, "Cache-Control: max-age=0", 0, "0 seconds are over at once");
    want_fresh(h, "Cache-Control: public, max-age=5, immutable", 5000,
               "directives stand between commas, and unknown ones do no harm");
    want_fresh(h, "Cache-Control: max-age=5, max-age=10", 5000,
               "of several the first counts");
    want_fresh(h, NULL, 60000, "what says nothing has the default ttl");
    want_fresh(h, "Cache-Control: private", 60000,
               "this says nothing of how long: the default ttl");
    end(h);
}

TEST(a_number_is_read_with_care, "P8", "12.4") {
    http_cache *h = fresh();
    want_fresh(h, "Cache-Control: max-age=\"10\"", 10000,
               "a number may stand in quotes");
    want_fresh(h, "Cache-Control: max-age = 10 , public", 10000,
               "blanks may stand around it");
    want_fresh(h, "Cache-Control: max-age=soon", 0, "what is no number is 0");
    want_fresh(h, "Cache-Control: max-age=10s", 0, "what is no number is 0");
    want_fresh(h, "Cache-Control: max-age=-10", 0, "what is no number is 0");
    want_fresh(h, "Cache-Control: max-age=", 0, "what is no number is 0");
    want_fresh(h, "Cache-Control: max-age", 0, "what is no number is 0");
    want_fresh(h, "Cache-Control: max-age=99999999999999999999999",
               (1LL << 31) * 1000, "a number above 2^31 is 2^31");
    end(h);
}

TEST(only_whole_directives_count, "P8", "12.4") {
    http_cache *h = fresh();
    want_fresh(h, "Cache-Control: s-maxage=10, x-max-age=5", 60000,
               "max-age at the end of another name is not max-age");
    want_fresh(h, "Cache-Control: max-age-of=5, max-ag=5", 60000,
               "another name that begins in the same way is not max-age");
    want_fresh(h, "Cache-Control: no-storex, not-no-store", 60000,
               "no-store in another name is not no-store");
    want_fresh(h, "Cache-Control: note=\"no-store, max-age=5\", max-age=10",
               10000, "what stands in quotes is a value, commas and all");
    end(h);
}

TEST(expires_is_by_the_clock_of_the_api, "P8", "12.4") {
    http_cache *h = fresh();
    want_fresh(h, SENT "Expires: Tue, 10 Mar 2026 12:00:10 GMT", 10000,
               "Expires - Date, in seconds; our own clock has no part in it");
    want_fresh(h,
               SENT "Expires: Tue, 10 Mar 2026 12:00:10 GMT\n"
                    "Cache-Control: max-age=5",
               5000, "max-age goes before Expires");
    want_fresh(h, SENT "Expires: Tue, 10 Mar 2026 11:59:59 GMT", 0,
               "that was before it was sent");
    want_fresh(h, SENT "Expires: 0", 0, "what cannot be read is over already");
    want_fresh(h, "Expires: Tue, 10 Mar 2026 12:00:10 GMT", 0,
               "without Date nobody knows how far that is away");
    want_fresh(h, SENT, 60000, "Date alone says nothing of how long");
    end(h);
}

TEST(age_is_gone_already, "P8", "12.4") {
    http_cache *h = fresh();
    want_fresh(h, "Cache-Control: max-age=10\nAge: 3", 7000,
               "3 seconds have passed on the way");
    want_fresh(h, "Cache-Control: max-age=10\nAge: 10", 0,
               "all of its time has passed on the way");
    want_fresh(h, "Cache-Control: max-age=10\nAge: 20", 0,
               "more than its time has passed on the way");
    want_fresh(h, SENT "Expires: Tue, 10 Mar 2026 12:00:10 GMT\nAge: 5", 5000,
               "Age counts against Expires, too");
    want_fresh(h, "Age: 53", 7000, "and against the default ttl");
    want_fresh(h, "Cache-Control: max-age=10\nAge: old", 10000,
               "what is no number is 0");
    end(h);
}

/* A clock that moves by 3 seconds with each request. */
static int64_t moving_ms(void *context) {
    (void)context;
    return now_ms + 3000 * (int64_t)http_requests(api);
}

TEST(time_counts_from_the_request, "P8", "12.4") {
    begin_api();
    http_cache *h = NULL;
    http_cache_options options = {.clock = {moving_ms, NULL}};
    want_status(http_cache_create(&options, &h), STATUS_OK,
                "create with a clock of our own", "it is a good clock");
    play("/a", "one", "Cache-Control: max-age=10");
    seen(h, "/a");
    now_ms += 6999;
    want_text(seen(h, "/a"), "one, stored",
              "get /a, which takes 3 s and is fresh for 10; 6,999 ms later "
              "again",
              "9,999 ms after the request it is fresh");
    now_ms += 1;
    want_text(seen(h, "/a"), "one, fetched", "a millisecond later, again",
              "the API may have read it 10 s ago: count from before the "
              "request");
    end(h);
}

TEST(nothing_is_guessed_from_last_modified, "P8", "12.4") {
    http_cache *h = fresh();
    http_play(api, "/a",
              &(http_answer){.body = "one",
                             .changed = "Tue, 10 Mar 2015 12:00:00 GMT",
                             .header = SENT "X-Nothing: said"});
    got(h, "/a");
    now_ms += 59999;
    want_text(seen(h, "/a"), "one, stored",
              "get what has not changed for ten years; 59,999 ms later again",
              "the default ttl is a minute");
    now_ms += 1;
    got(h, "/a");
    want_int(http_requests(api), 2, "a millisecond later, again; requests",
             "a ttl guessed from the age of a thing is no part of this cache");
    end(h);
}

TEST(no_store_and_vary_star_are_not_stored, "P8", "12.4") {
    http_cache *h = fresh();
    static const char *const headers[] = {
        "Cache-Control: no-store",
        "Cache-Control: max-age=10, no-store",
        "Cache-Control: private,no-store,max-age=10",
        "Vary: *",
        "Vary: Accept, *",
        "Vary: Accept\nVary: *"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        const char *did = text("get what says \"%s\", count", headers[i]);
        play_tagged("/a", "secret", "\"1\"", headers[i]);
        want_text(seen(h, "/a"), "secret, fetched", did,
                  "it is an answer all the same");
        want_int(http_cache_count(h), 0, did, "it may not be stored");
    }
    want_fresh(h, "Cache-Control: max-age=10\nVary: Accept-Encoding, Cookie",
               10000,
               "each request of a cache carries the same fields, so but for * "
               "Vary changes nothing");
    end(h);
}

TEST(names_count_in_any_case, "P9", "12.4") {
    http_cache *h = fresh();
    want_fresh(h, "cache-control: max-age=10", 10000,
               "the name of a header field counts in any case");
    want_fresh(h, "CACHE-CONTROL: Max-Age=10", 10000,
               "the name of a directive counts in any case");
    want_fresh(h, "cAcHe-CoNtRoL: NO-STORE", 0,
               "the name of a directive counts in any case");
    want_fresh(h, "cache-control: max-age=10\nAGE: 3", 7000,
               "the name of a header field counts in any case");
    want_fresh(h,
               "date: Tue, 10 Mar 2026 12:00:00 GMT\n"
               "EXPIRES: Tue, 10 Mar 2026 12:00:10 GMT",
               10000, "the name of a header field counts in any case");
    end(h);
}

TEST(several_lines_count_as_one, "P9", "12.4") {
    http_cache *h = fresh();
    want_fresh(h, "Cache-Control: public\nCache-Control: max-age=10", 10000,
               "curl_easy_header gives one line at a time: ask for all");
    want_fresh(h, "Cache-Control: max-age=10\nCache-Control: no-store", 0,
               "curl_easy_header gives one line at a time: ask for all");
    want_fresh(h, "Cache-Control: max-age=5\nCache-Control: max-age=10", 5000,
               "of several the first counts");
    end(h);
}

/* --- 12.5: does it still hold? ------------------------------------------- */

TEST(a_304_renews_what_is_stored, "P10", "12.5") {
    http_cache *h = fresh();
    play_tagged("/a", "one", "\"v1\"", "Cache-Control: max-age=10");
    seen(h, "/a");
    uint64_t bytes_before = http_cache_statistics(h).bytes;
    now_ms += 10000;
    want_text(seen(h, "/a"), "one, renewed",
              "get /a with an ETag; when its time is over, again",
              "the API says 304: what is stored still holds");
    want_text(http_asked(api, "If-None-Match"), "\"v1\"",
              "the same; what the second request asks",
              "send the ETag as it came, quotes and all");
    want_int(http_cache_statistics(h).bytes - bytes_before, 0,
             "the same; how many bytes of body came", "a 304 has none");
    now_ms += 9999;
    want_text(seen(h, "/a"), "one, stored", "9,999 ms later, again",
              "a 304 gives it its whole time once more");
    now_ms += 1;
    play_tagged("/a", "two", "\"v2\"", "Cache-Control: max-age=10");
    want_text(seen(h, "/a"), "two, fetched",
              "then it changes, and its time is over; get /a",
              "the API answers 200 with the new body, which counts");
    now_ms += 10000;
    want_text(seen(h, "/a"), "two, renewed", "when that is over, again",
              "a new answer brings its own ETag");
    end(h);
}

TEST(last_modified_is_asked_about_too, "P10", "12.5") {
    http_cache *h = fresh();
    const char *when = "Tue, 10 Mar 2015 12:00:00 GMT";
    http_play(api, "/a", &(http_answer){.body = "one", .changed = when});
    seen(h, "/a");
    now_ms += 60000;
    want_text(seen(h, "/a"), "one, renewed",
              "get /a with Last-Modified; when its time is over, again",
              "the API says 304");
    want_text(http_asked(api, "If-Modified-Since"), when,
              "the same; what the second request asks",
              "send the date as it came");
    http_play(
        api, "/b",
        &(http_answer){.body = "one", .changed = when, .etag = "W/\"1\""});
    seen(h, "/b");
    now_ms += 60000;
    seen(h, "/b");
    want_text(http_asked(api, "If-None-Match"), "W/\"1\"",
              "get /b with Last-Modified and ETag; what the second request "
              "asks",
              "an ETag tells more than a date; a weak one will do");
    want_text(http_asked(api, "If-Modified-Since"), "",
              "the same; does it ask with the date too?",
              "the date is for answers without an ETag");
    play("/c", "one", NULL);
    seen(h, "/c");
    now_ms += 60000;
    seen(h, "/c");
    want_text(text("%s%s", http_asked(api, "If-None-Match"),
                   http_asked(api, "If-Modified-Since")),
              "", "get /c with neither; what the second request asks",
              "nothing of another URL's may be left in the request");
    end(h);
}

/* Once stored by a 200, the same is a 304 with another header. */
static void renew_with(http_cache *h, const char *path, const char *header) {
    http_play(api, path, &(http_answer){.code = 304, .header = header});
    const char *did =
        text("%s is renewed by a 304 with \"%s\"", path, header ? header : "");
    want_text(seen(h, path), "one, renewed", did, "a 304 renews");
}

TEST(a_304_brings_new_rules, "P10", "12.5") {
    http_cache *h = fresh();
    static const char rule[] = "Cache-Control: max-age=10";
    static const char *const paths[] = {"/new", "/old", "/aged", "/dated",
                                        "/gone"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        play_tagged(paths[i], "one", "\"1\"",
                    i == 3 ? SENT "Expires: Tue, 10 Mar 2026 12:00:30 GMT"
                           : rule);
        seen(h, paths[i]);
    }
    now_ms += 30000;
    renew_with(h, "/new", "Cache-Control: max-age=20");
    renew_with(h, "/old", NULL);
    renew_with(h, "/aged", "Age: 4");
    renew_with(h, "/dated", "Date: Tue, 10 Mar 2026 12:00:23 GMT");
    renew_with(h, "/gone", "Cache-Control: no-store");
    want_int(http_cache_count(h), 4, "a 304 says no-store; count",
             "it may not be stored any more");
    now_ms += 5999;
    want_text(seen(h, "/aged"), "one, stored",
              "max-age=10 before, Age: 4 in the 304; 5,999 ms later",
              "what the 304 does not say stays as it was");
    want_text(seen(h, "/old"), "one, stored", "a 304 that says nothing",
              "what the 304 does not say stays as it was");
    now_ms += 1;
    renew_with(h, "/aged", NULL);
    now_ms += 1000;
    renew_with(h, "/dated", NULL);
    now_ms += 2999;
    want_text(seen(h, "/old"), "one, stored",
              "max-age=10 before, nothing in the 304; 9,999 ms later",
              "what the 304 does not say stays as it was");
    now_ms += 1;
    renew_with(h, "/old", NULL);
    now_ms += 9999;
    want_text(seen(h, "/new"), "one, stored",
              "max-age=10 before, max-age=20 in the 304; 19,999 ms later",
              "what the 304 says counts");
    end(h);
}

TEST(what_is_asked_with_is_that_of_the_body, "P10", "12.5") {
    http_cache *h = fresh();
    play_tagged("/a", "one", "\"1\"", "Cache-Control: max-age=10");
    seen(h, "/a");
    http_play(api, "/a", &(http_answer){.code = 304, .header = "ETag: \"2\""});
    for (int i = 0; i < 2; i++) {
        now_ms += 10000;
        want_text(seen(h, "/a"), "one, renewed",
                  "get /a with an ETag; when its time is over the API says 304",
                  "what is stored still holds");
    }
    want_text(http_asked(api, "If-None-Match"), "\"1\"",
              "get /a with the ETag 1; a 304 that has the ETag 2; what the "
              "next request asks with",
              "an ETag is the name of a body, and the body that is here came "
              "with 1");
    end(h);
}

TEST(no_cache_asks_each_time, "P8", "12.5") {
    http_cache *h = fresh();
    play_tagged("/a", "one", "\"1\"", "Cache-Control: no-cache, max-age=10");
    seen(h, "/a");
    want_text(seen(h, "/a"), "one, renewed",
              "get what says no-cache, max-age=10, twice",
              "no-cache means: store it, and ask each time");
    want_text(seen(h, "/a"), "one, renewed", "and again",
              "no-cache means: store it, and ask each time");
    play_tagged("/b", "one", "\"1\"", "Cache-Control: no-cache=\"Set-Cookie\"");
    seen(h, "/b");
    want_text(seen(h, "/b"), "one, renewed",
              "get what says no-cache=\"Set-Cookie\", twice",
              "with a value it is taken for plain no-cache");
    end(h);
}

TEST(what_can_be_renewed_is_kept_so_long, "P10", "12.5") {
    begin_api();
    http_cache *h = made((http_cache_options){.keep_ms = 5000});
    play_tagged("/a", "one", "\"1\"", "Cache-Control: max-age=10");
    seen(h, "/a");
    now_ms += 14999;
    want_text(seen(h, "/a"), "one, renewed",
              "get /a, fresh for 10 s, with keep_ms 5000; 14,999 ms later "
              "again",
              "it is kept for 5 s after it was fresh");
    now_ms += 15000;
    want_text(seen(h, "/a"), "one, fetched", "15,000 ms later, again",
              "then it is gone, and the body must come anew");
    want_text(http_asked(api, "If-None-Match"), "", "the same; the request",
              "what is gone cannot be asked about");
    play("/b", "one", "Cache-Control: max-age=1");
    seen(h, "/b");
    now_ms += 1000;
    play_code("/b", 500);
    seen(h, "/b");
    want_int(http_cache_count(h), 1,
             "get /b without an ETag; when its time is over, count",
             "what can neither be asked about nor stand in is of no use");
    http_cache *other = made((http_cache_options){0});
    seen(other, "/a");
    now_ms += 10000 + 3599999;
    want_text(seen(other, "/a"), "one, renewed",
              "get /a, fresh for 10 s, with keep_ms 0; 3,599,999 ms after that "
              "again",
              "0 stands for an hour");
    http_cache_destroy(other);
    end(h);
}

TEST(an_error_takes_nothing_away, "P7", "12.5") {
    http_cache *h = fresh();
    play_tagged("/a", "one", "\"1\"", "Cache-Control: max-age=10");
    seen(h, "/a");
    now_ms += 10000;
    play_code("/a", 500);
    want_text(seen(h, "/a"), "no answer: backend failed",
              "get /a; when its time is over the API fails",
              "nothing says that a stale answer will do");
    http_play(api, "/a", &(http_answer){.body = "two", .cut_after = 1});
    seen(h, "/a");
    play_tagged("/a", "one", "\"1\"", "Cache-Control: max-age=10");
    want_text(seen(h, "/a"), "one, renewed", "then the API is well again",
              "what was stored is still there, and need not be sent again");
    end(h);
}

TEST(what_the_api_says_takes_the_place, "P7", "12.5") {
    http_cache *h = fresh();
    static const struct {
        int code;
        const char *header;
    } answers[] = {{404, NULL},
                   {410, NULL},
                   {403, NULL},
                   {203, NULL},
                   {200, "Cache-Control: no-store"}};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const char *did =
            text("get /a with an ETag; then it is a %d, \"%s\"; count",
                 answers[i].code, answers[i].header ? answers[i].header : "");
        play_tagged("/a", "one", "\"1\"", "Cache-Control: max-age=10");
        seen(h, "/a");
        now_ms += 10000;
        http_play(api, "/a",
                  &(http_answer){.code = answers[i].code,
                                 .header = answers[i].header,
                                 .body = "two"});
        seen(h, "/a");
        want_int(http_cache_count(h), 0, did,
                 "the old answer is no longer true, and the new one may not be "
                 "stored");
    }
    end(h);
}

/* --- 12.6: redirects ----------------------------------------------------- */

static void play_redirect(const char *path, int code, const char *to) {
    const char *header = text("Location: %s", to);
    http_play(api, path, &(http_answer){.code = code, .header = header});
}

TEST(a_redirect_is_followed, "P11", "12.6") {
    http_cache *h = fresh();
    static const int codes[] = {301, 302, 303, 307, 308};
    play("/end", "one", "Cache-Control: no-store");
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        const char *did = text("get what is a %d to /end", codes[i]);
        play_redirect("/a", codes[i], "/end");
        want_text(seen(h, "/a"), "one, fetched", did,
                  "a redirect leads to the answer");
    }
    play_redirect("/a", 302, http_url(api, "/end"));
    want_text(seen(h, "/a"), "one, fetched", "get a redirect to a whole URL",
              "CURLINFO_REDIRECT_URL is a whole URL in any case");
    play_redirect("/a", 300, "/end");
    want_text(seen(h, "/a"), "no answer: backend failed",
              "get what is a 300 with /end as its Location",
              "a 300 lets somebody choose, and leads nowhere by itself");
    play_tagged("/tagged", "two", "\"2\"", "Cache-Control: max-age=10");
    play_redirect("/a", 302, "/tagged");
    seen(h, "/a");
    now_ms += 10000;
    want_text(seen(h, "/a"), "two, renewed",
              "get what leads to /tagged; when its time is over, again",
              "behind a redirect as anywhere: what is stored can be asked "
              "about");
    end(h);
}

TEST(an_answer_is_stored_under_the_url_that_gave_it, "P11", "12.6") {
    http_cache *h = fresh();
    play("/x", "one", NULL);
    play("/y", "two", NULL);
    play_redirect("/a", 302, "/x");
    seen(h, "/a");
    want_text(seen(h, "/x"), "one, stored", "get /a, which leads to /x; get /x",
              "the answer is that of /x, so it is stored there");
    want_text(seen(h, "/a"), "one, stored", "get /a again",
              "/a must be asked again, and leads to what is stored");
    want_int(http_requests(api), 3, "the same; how often the API is asked",
             "/a, /x, and /a once more: a redirect is not stored");
    play_redirect("/a", 302, "/y");
    want_text(seen(h, "/a"), "two, fetched", "then /a leads to /y; get /a",
              "a redirect is not stored, so the new one counts");
    end(h);
}

TEST(five_redirects_are_enough, "P11", "12.6") {
    http_cache *h = fresh();
    for (int i = 1; i <= 6; i++) {
        const char *from = text("/%d", i), *to = text("/%d", i - 1);
        play_redirect(from, 302, to);
    }
    play("/0", "one", "Cache-Control: no-store");
    want_text(seen(h, "/5"), "one, fetched", "get what is 5 redirects away",
              "5 are allowed");
    size_t before = http_requests(api);
    want_text(seen(h, "/6"), "no answer: backend failed",
              "get what is 6 redirects away", "at most 5 are followed");
    want_int(http_requests(api) - before, 6, "the same; count requests",
             "the first, and 5 redirects: then it ends");
    want_true(strstr(http_cache_error(h), http_url(api, "/0")) != NULL,
              text("the same; the reason, \"%s\", has %s in it",
                   http_cache_error(h), http_url(api, "/0")),
              "who knows where the last one leads can ask for that himself");
    play_redirect("/circle", 301, "/circle");
    want_text(seen(h, "/circle"), "no answer: backend failed",
              "get what leads to itself", "count, or it never ends");
    end(h);
}

TEST(a_redirect_leads_to_no_other_scheme, "P11", "12.6") {
    http_cache *h = fresh();
    static const char *const bad[] = {"file:///etc/hostname",
                                      "https://127.0.0.1/", "ftp://127.0.0.1/a",
                                      "gopher://127.0.0.1/"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *did = text("get what leads to %s", bad[i]);
        play_redirect("/a", 302, bad[i]);
        want_text(seen(h, "/a"), "no answer: backend failed", did,
                  "a redirect stays with the scheme of the URL asked for");
        want_that(strstr(http_cache_error(h), bad[i]) != NULL,
                  "did     %s; http_cache_error\n"
                  "wanted  a line with %s in it\n"
                  "got     %s\n"
                  "likely  the line must say where the redirect leads",
                  did, bad[i], http_cache_error(h));
    }
    play_code("/a", 302);
    want_text(seen(h, "/a"), "no answer: backend failed",
              "get a redirect without Location", "it leads nowhere");
    end(h);
}

TEST(the_timeout_is_for_all_redirects_together, "P5", "12.6") {
    begin_api();
    http_cache *h = made((http_cache_options){.timeout_ms = 500});
    for (int i = 1; i <= 4; i++) {
        const char *from = text("/%d", i);
        const char *header = text("Location: /%d", i - 1);
        http_play(
            api, from,
            &(http_answer){.code = 302, .header = header, .delay_ms = 200});
    }
    play("/0", "one", NULL);
    want_text(seen(h, "/4"), "no answer: timeout",
              "get with a timeout of 500 ms what is 4 redirects of 200 ms away",
              "each request has only the time that those before it have left "
              "(CURLINFO_TOTAL_TIME_T)");
    http_play(api, "/first",
              &(http_answer){
                  .code = 302, .header = "Location: /last", .delay_ms = 300});
    http_play(api, "/last", &(http_answer){.body = "two", .delay_ms = 400});
    want_text(seen(h, "/first"), "no answer: timeout",
              "get with a timeout of 500 ms what takes 300 ms to redirect and "
              "then 400 ms to answer",
              "the last request, too, has only the time that is left");
    end(h);
}

TEST(a_redirect_takes_the_place_of_an_answer, "P7", "12.6") {
    http_cache *h = fresh();
    play_tagged("/a", "one", "\"1\"", "Cache-Control: max-age=10");
    play_tagged("/b", "two", "\"1\"", "Cache-Control: max-age=10");
    seen(h, "/a");
    now_ms += 10000;
    play_redirect("/a", 302, "/b");
    want_text(seen(h, "/a"), "two, fetched",
              "get /a; later /a leads to /b, which has the same ETag; get /a",
              "the ETag of /a means nothing to /b");
    want_text(http_asked(api, "If-None-Match"), "",
              "the same; the last request",
              "nothing is stored of /b that could be asked about");
    want_int(http_cache_count(h), 1, "the same; count",
             "what /a was is no longer true");
    end(h);
}

/* --- 12.7: an old answer for an error ------------------------------------ */

TEST(an_old_answer_stands_in_for_an_error, "P12", "12.7") {
    begin_api();
    http_cache *h = made((http_cache_options){0});
    http_cache *hasty = made((http_cache_options){.timeout_ms = SOON_MS});
    play("/a", "one", "Cache-Control: max-age=10, stale-if-error=20");
    seen(h, "/a");
    for (int tries = 0; got(hasty, "/a") != STATUS_OK && tries < 20; tries++) {
    }
    now_ms += 10000;
    play_code("/a", 503);
    want_text(seen(h, "/a"), "one, stale",
              "get what is fresh for 10 s, and good for an error for 20 more; "
              "10 s later the API says 503",
              "this is what stale-if-error is for");
    want_true(strstr(http_cache_error(h), "503") != NULL,
              "the same; the reason",
              "the caller can learn what went wrong all the same");
    http_play(api, "/a", &(http_answer){.body = "two", .cut_after = 1});
    want_text(seen(h, "/a"), "one, stale", "then its body is cut short",
              "that is an error, too");
    http_play(api, "/a", &(http_answer){.body = "two", .delay_ms = 1000});
    want_text(seen(hasty, "/a"), "one, stale",
              "then it does not answer in time", "that is an error, too");
    http_cache_destroy(hasty);
    http_kill(api);
    now_ms += 19999;
    want_text(seen(h, "/a"), "one, stale",
              "then it is killed; 29,999 ms after the first get",
              "20 s after the 10 are not over");
    now_ms += 1;
    want_text(seen(h, "/a"), "no answer: backend failed",
              "30,000 ms after the first get",
              "at exactly the end of its time it stands in no more");
    end(h);
}

TEST(an_option_says_so_where_the_api_does_not, "P12", "12.7") {
    begin_api();
    http_cache *h = made((http_cache_options){.stale_if_error_ms = 5000});
    play("/a", "one", "Cache-Control: max-age=10");
    play("/b", "one", "Cache-Control: max-age=10, stale-if-error=0");
    play("/c", "one", "Cache-Control: max-age=10, stale-if-error=1");
    seen(h, "/a"), seen(h, "/b"), seen(h, "/c");
    now_ms += 10999;
    play_code("/a", 500), play_code("/b", 500), play_code("/c", 500);
    want_text(seen(h, "/a"), "one, stale",
              "get what is fresh for 10 s, with stale_if_error_ms 5000; 10,999 "
              "ms later the API fails",
              "where the API does not say, the option does");
    want_text(seen(h, "/b"), "no answer: backend failed",
              "the same for what says stale-if-error=0",
              "what the API says goes before the option");
    want_text(seen(h, "/c"), "one, stale",
              "the same for what says stale-if-error=1", "1 s is not over");
    now_ms += 1;
    want_text(seen(h, "/c"), "no answer: backend failed", "a millisecond later",
              "what the API says goes before the option");
    now_ms += 3999;
    want_text(seen(h, "/a"), "one, stale", "/a after 14,999 ms",
              "the option's 5 s are not over");
    now_ms += 1;
    want_text(seen(h, "/a"), "no answer: backend failed", "/a after 15,000 ms",
              "the option's 5 s are over");
    end(h);
}

TEST(some_answers_never_stand_in, "P12", "12.7") {
    begin_api();
    http_cache *h = made((http_cache_options){.stale_if_error_ms = 50000,
                                              .max_body_bytes = 1000});
    static const char *const headers[] = {
        "Cache-Control: max-age=10, must-revalidate",
        "Cache-Control: max-age=10, must-revalidate, stale-if-error=50",
        "Cache-Control: no-cache, stale-if-error=50"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        const char *did =
            text("get what says \"%s\"; later the API fails", headers[i]);
        play_tagged("/a", "one", "\"1\"", headers[i]);
        seen(h, "/a");
        now_ms += 10000;
        play_code("/a", 500);
        want_text(seen(h, "/a"), "no answer: backend failed", did,
                  "it says that it is never to be given stale");
    }
    play("/b", "one", "Cache-Control: max-age=10");
    seen(h, "/b");
    now_ms += 10000;
    http_play(api, "/b", &(http_answer){.body = "x", .body_size = 2000});
    want_text(seen(h, "/b"), "no answer: too large",
              "get /b; later its body is too large",
              "only for what failed, or was late, an old answer stands in");
    play_code("/b", 403);
    want_text(seen(h, "/b"), "no answer: invalid argument",
              "get /b; later it is a 403",
              "the API is up, and says no: that is no error of its own");
    play("/c", "one", "Cache-Control: max-age=10");
    seen(h, "/c");
    now_ms += 10000;
    play_code("/c", 404);
    want_text(seen(h, "/c"), "no answer: miss", "get /c; later it is a 404",
              "that it is gone is the truth, and no error");
    end(h);
}

TEST(every_get_is_counted_once, "P14", "12.7") {
    http_cache *h = fresh();
    play_tagged("/a", "12345", "\"1\"",
                "Cache-Control: max-age=10, stale-if-error=10");
    play_redirect("/r", 302, "/a");
    seen(h, "/r"), seen(h, "/a"), seen(h, "/a"); /* fetched, two hits */
    now_ms += 10000;
    seen(h, "/a"), seen(h, "/r"); /* renewed, a hit behind a redirect */
    now_ms += 10000;
    play_code("/a", 500);
    seen(h, "/a");    /* stale, for a body of 8 bytes */
    seen(h, "/none"); /* failed */
    http_cache_get(h, "file:///etc/hostname", NULL);
    http_cache_stats s = http_cache_statistics(h);
    const char *did = "fetch behind a redirect, two hits, a 304, a hit behind "
                      "a redirect, a 500 "
                      "that an old answer stands in for, a 404, a file:// URL";
    want_int(s.fetched, 1, text("%s; fetched", did), "only the first");
    want_int(s.hits, 3, text("%s; hits", did),
             "a get counts by how it ended: behind a redirect too");
    want_int(s.renewed, 1, text("%s; renewed", did), "a 304 is one");
    want_int(s.stale, 1, text("%s; stale", did), "a stale answer is one");
    want_int(s.failed, 2, text("%s; failed", did), "what gave no answer");
    want_int(s.requests, 6, text("%s; requests", did),
             "all that were sent, and no others");
    want_int(s.requests, http_requests(api),
             "the same; requests, and what the API counts",
             "all that were sent, and no others");
    want_int(s.bytes, 5 + 8, text("%s; bytes", did),
             "of all bodies, errors too");
    end(h);
}

/* --- a model of it ------------------------------------------------------- */

enum { MODEL_KEYS = 4, MODEL_RULES = 8, KEEP_MS = 4000, DEFAULT_MS = 3000 };

/* What an API may say, and what that means. */
static const struct rule {
    const char *header; /* NULL: nothing, so what was said before holds */
    int64_t fresh_ms, stale_ms;
    bool stores;
} rules[MODEL_RULES] = {
    {NULL, DEFAULT_MS, 0, true},
    {"Cache-Control: max-age=2", 2000, 0, true},
    {"Cache-Control: max-age=1, stale-if-error=3", 1000, 3000, true},
    {"Cache-Control: no-store", 0, 0, false},
    {"Cache-Control: no-cache", 0, 0, true},
    {"Cache-Control: max-age=0, stale-if-error=5", 0, 5000, true},
    {"Cache-Control: max-age=2, must-revalidate", 2000, 0, true},
    {"Cache-Control: public", DEFAULT_MS, 0, true},
};

struct model_key {
    unsigned version, rule; /* what the API has */
    bool tagged;
    bool stored; /* what the cache has */
    unsigned stored_version, stored_rule;
    bool stored_tagged;
    int64_t fresh_until, stale_until, end;
};

struct beside {
    http_cache *h;
    bool broken;
    struct model_key keys[MODEL_KEYS];
};

static const char *model_path(unsigned k) {
    static const char *const paths[] = {"/a", "/b", "/c", "/d"};
    return paths[k % MODEL_KEYS];
}

static void model_play(const struct beside *b, unsigned k) {
    const struct model_key *key = &b->keys[k];
    const char *body = text("%u", key->version);
    const char *etag = text("\"%u\"", key->version);
    http_play(api, model_path(k),
              &(http_answer){.code = b->broken ? 500 : 200,
                             .body = body,
                             .etag = key->tagged && !b->broken ? etag : NULL,
                             .header = rules[key->rule].header});
}

static void *model_begin(void) {
    struct beside *b = calloc(1, sizeof *b);
    if (!b) {
        abort();
    }
    now_ms = 1000000;
    b->h = made(
        (http_cache_options){.keep_ms = KEEP_MS, .default_ttl_ms = DEFAULT_MS});
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        b->keys[k] =
            (struct model_key){.version = 1, .rule = k, .tagged = true};
        model_play(b, k);
    }
    return b;
}

/* What the API has just sent, or said to hold, is stored; or not. */
static void model_store(struct model_key *k, bool renewed) {
    bool says = rules[k->rule].header != NULL;
    k->stored_rule = renewed && !says ? k->stored_rule : k->rule;
    const struct rule *r = &rules[k->stored_rule];
    k->stored_tagged = renewed ? k->stored_tagged : k->tagged;
    k->stored_version = k->version;
    k->fresh_until = now_ms + r->fresh_ms;
    k->stale_until = k->fresh_until + r->stale_ms;
    k->end = k->stored_tagged && k->fresh_until + KEEP_MS > k->stale_until
                 ? k->fresh_until + KEEP_MS
                 : k->stale_until;
    k->stored = r->stores && k->end > now_ms;
}

static const char *model_get(struct beside *b, unsigned at) {
    struct model_key *k = &b->keys[at % MODEL_KEYS];
    k->stored = k->stored && now_ms < k->end;
    const char *wanted;
    if (k->stored && now_ms < k->fresh_until) {
        wanted = text("%u, stored", k->stored_version);
    } else if (b->broken) {
        wanted = k->stored && now_ms < k->stale_until
                     ? text("%u, stale", k->stored_version)
                     : "no answer: backend failed";
    } else {
        bool renewed = k->stored && k->stored_tagged && k->tagged
                       && k->stored_version == k->version;
        wanted = text("%u, %s", k->version, renewed ? "renewed" : "fetched");
        model_store(k, renewed);
    }
    const char *found = seen(b->h, model_path(at));
    return strcmp(found, wanted) == 0
               ? NULL
               : text("\"%s\", not \"%s\"", found, wanted);
}

static const char *model_apply(void *state, model_step s) {
    struct beside *b = state;
    struct model_key *k = &b->keys[s.key];
    switch (s.operation) {
    case 0: k->version++; break;
    case 1:
        k->rule = s.value % MODEL_RULES;
        k->tagged = s.value / MODEL_RULES % 4 != 0;
        break;
    case 2: b->broken = s.value % 4 == 0; break;
    case 3: now_ms += 500 * (1 + s.value % 8); return NULL;
    default: return model_get(b, s.key);
    }
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        model_play(b, i);
    }
    return NULL;
}

static const char *model_end(void *state) {
    struct beside *b = state;
    http_cache_destroy(b->h);
    free(b);
    return NULL;
}

static void model_print(FILE *out, model_step s) {
    const char *path = model_path(s.key);
    const char *header = rules[s.value % MODEL_RULES].header;
    switch (s.operation) {
    case 0: fprintf(out, "/* %s changes */", path); break;
    case 1:
        fprintf(out, "/* %s says \"%s\"%s */", path, header ? header : "",
                s.value / MODEL_RULES % 4 ? ", ETag" : "");
        break;
    case 2:
        fprintf(out, "/* the API %s */", s.value % 4 ? "is well" : "fails");
        break;
    case 3: fprintf(out, "/* %u ms pass */", 500 * (1 + s.value % 8)); break;
    default: fprintf(out, "get(\"%s\")", path);
    }
}

TEST(any_mix_of_calls_agrees_with_a_plain_model, "P12", "12.7") {
    begin_api();
    model_check(&(model){.operations = 8,
                         .keys = MODEL_KEYS,
                         .values = 64,
                         .lists = 40,
                         .steps = 60,
                         .begin = model_begin,
                         .apply = model_apply,
                         .end = model_end,
                         .print = model_print});
    http_stop(api);
}

/* A get that stores, one that renews and one that is redirected. */
static void try_to_get(void *context) {
    const char *path = context;
    http_cache *h = NULL;
    http_cache_options options = {.clock = ms_clock_frozen(&now_ms)};
    if (http_cache_create(&options, &h) != STATUS_OK) {
        return; /* another test's matter */
    }
    bool failed_before = heap_has_failed();
    status s = got(h, path);
    bool failed = heap_has_failed() && !failed_before;
    const char *did = text("get %s while an allocation fails", path);
    want_status(s, failed ? STATUS_NO_MEMORY : STATUS_OK, did,
                "every result of malloc, realloc, strdup and ttl_set_for must "
                "be looked at");
    if (s == STATUS_OK) {
        now_ms += 60000;
        failed_before = heap_has_failed();
        s = got(h, path);
        failed = heap_has_failed() && !failed_before;
        did = text("get %s; when its time is over get it again, while an "
                   "allocation fails",
                   path);
        want_status(s, failed ? STATUS_NO_MEMORY : STATUS_OK, did,
                    "every result of malloc, realloc, strdup and ttl_set_for "
                    "must be looked at");
        want_int(http_cache_count(h), 1, text("%s; count", did),
                 "what was stored must not be lost for want of memory");
    }
    http_cache_destroy(h);
}

TEST(without_memory_a_get_says_so_and_loses_nothing, "P15", "12.7") {
    begin_api();
    play_tagged("/a", "one", "\"1\"", NULL);
    http_play(api, "/large",
              &(http_answer){.body = "x", .body_size = 5000, .etag = "\"1\""});
    play_redirect("/r", 302, "/a");
    heap_fail_each(try_to_get, "/a");
    heap_fail_each(try_to_get, "/large");
    heap_fail_each(try_to_get, "/r");
    http_stop(api);
}

/* --- 12.8: JSON ---------------------------------------------------------- */

#define DOCUMENT                                                        \
    "{\"login\": \"github\", \"followers\": 9007199254740993, "         \
    "\"name\": \"Zo\\u00eb\", \"zero\": \"a\\u0000b\", \"nil\": null, " \
    "\"ratio\": 1.5}"

/* What get_json gives for a path: NULL if it fails. */
static const http_json *json_of(http_cache *h, const char *path) {
    const http_json *json = NULL;
    status s = http_cache_get_json(h, http_url(api, path), NULL, &json);
    return s == STATUS_OK ? json : NULL;
}

/* As seen, by get_json. */
static const char *json_seen(http_cache *h, const char *path) {
    http_cache_response r = {0};
    status s = http_cache_get_json(h, http_url(api, path), &r, NULL);
    if (s != STATUS_OK) {
        return text("no answer: %s", status_name(s));
    }
    return text("%.*s, %s", (int)r.body.len, (const char *)r.body.data,
                from_name(r.from));
}

TEST(members_of_a_document_are_read, "P13", "12.8") {
    http_cache *h = fresh();
    play("/user", DOCUMENT, NULL);
    play("/list", "[1, 2]", NULL);
    const http_json *json = json_of(h, "/user");
    want_true(json != NULL, "get_json /user", "it is good JSON");
    bytes value = {0};
    int64_t number = 0;
    want_status(http_json_text(json, "login", &value), STATUS_OK,
                "read login, a text", "it is there");
    want_bytes(value, bytes_of("github"), "read login", "it is github");
    want_status(http_json_integer(json, "followers", &number), STATUS_OK,
                "read followers, an integer", "it is there");
    want_int(number, 9007199254740993, "read followers, 2^53 + 1",
             "an integer has 64 bits, a double only 53");
    http_json_text(json, "name", &value);
    want_bytes(value, bytes_of("Zo\xc3\xab"), "read a name with \\u00eb",
               "a text is UTF-8");
    want_status(http_json_text(json, "zero", &value), STATUS_OK,
                "read a text with \\u0000", "JSON_ALLOW_NUL lets it pass");
    want_bytes(value, ((bytes){"a\0b", 3}), "read a text with \\u0000",
               "json_string_length, not strlen");
    want_status(http_json_text(json, "followers", &value), STATUS_INVALID,
                "read followers as a text", "it is an integer");
    want_status(http_json_integer(json, "login", &number), STATUS_INVALID,
                "read login as an integer", "it is a text");
    want_status(http_json_integer(json, "ratio", &number), STATUS_INVALID,
                "read 1.5 as an integer", "it is none");
    want_status(http_json_text(json, "nil", &value), STATUS_INVALID,
                "read null as a text", "it is there, and no text");
    want_status(http_json_text(json, "age", &value), STATUS_MISS,
                "read a member that is not there", "it is not there");
    want_int(number, 9007199254740993, "after these, the number",
             "out-parameters are written only on success");
    json = json_of(h, "/list");
    want_true(json != NULL, "get_json of an array", "an array is JSON, too");
    want_status(http_json_integer(json, "followers", &number), STATUS_MISS,
                "read a member of an array", "an array has none");
    end(h);
}

TEST(what_is_no_json_is_a_failure_and_not_stored, "P13", "12.8") {
    http_cache *h = fresh();
    static const char *const bad[] = {"{\"login\": ", "",         "hello",
                                      "{} {}",        "\xff\xfe", "{\"a\": 1,}",
                                      "<html>",       "1",        "\"hello\""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *did = text("get_json of \"%s\"", bad[i]);
        play("/a", bad[i], NULL);
        want_text(json_seen(h, "/a"), "no answer: backend failed", did,
                  "that is no array and no object of JSON");
        want_true(http_cache_error(h)[0] != '\0', text("%s; the reason", did),
                  "a failure comes with a line that says what to do");
        want_int(http_cache_count(h), 0, text("%s; count", did),
                 "what is no JSON is not stored by get_json");
    }
    http_play(api, "/a",
              &(http_answer){.body = DOCUMENT, .content_length = "20"});
    want_text(json_seen(h, "/a"), "no answer: backend failed",
              "get_json with a Content-Length that is too small",
              "20 bytes of it are no JSON");
    play("/a", "{}", NULL);
    want_text(json_seen(h, "/a"), "{}, fetched", "then the API sends {}",
              "what failed was not stored");
    play("/text", "hello", NULL);
    want_text(seen(h, "/text"), "hello, fetched", "get hello, as bytes",
              "for get a body is any bytes");
    size_t before = http_requests(api);
    want_text(json_seen(h, "/text"), "no answer: backend failed",
              "then get_json, while it is fresh", "it is no JSON");
    want_int(http_requests(api) - before, 0, "the same; count requests",
             "what is fresh is not asked for again, JSON or not");
    want_text(seen(h, "/text"), "hello, stored", "then get it as bytes again",
              "for get it is as good as before");
    end(h);
}

TEST(what_is_no_json_takes_nothing_away, "P13", "12.8") {
    http_cache *h = fresh();
    play("/a", "{}", "Cache-Control: max-age=10, stale-if-error=10");
    json_seen(h, "/a");
    now_ms += 10000;
    play("/a", "{\"cut\": ", "Cache-Control: max-age=10");
    want_text(json_seen(h, "/a"), "{}, stale",
              "get_json of {}; later the API sends half a document",
              "an API that sends no JSON has failed: what is stored may stand "
              "in");
    play("/a", "{\"a\": 1}", "Cache-Control: max-age=10");
    want_text(json_seen(h, "/a"), "{\"a\": 1}, fetched",
              "then it is whole again", "a good answer is taken");
    end(h);
}

TEST(a_document_is_parsed_once, "P13", "12.8") {
    http_cache *h = fresh();
    libraries_count(true);
    play_tagged("/a", DOCUMENT, "\"1\"", "Cache-Control: max-age=10");
    got(h, "/a");
    want_int(libraries_json_blocks(), 0,
             "get /a as bytes; what Jansson allocates",
             "nobody asked for JSON");
    const http_json *first = json_of(h, "/a");
    size_t once = libraries_json_blocks();
    const http_json *second = json_of(h, "/a");
    want_true(first != NULL && first == second, "get_json /a twice",
              "a hit gives the document that was parsed before");
    now_ms += 10000;
    want_pointer(json_of(h, "/a"), first, "get_json after a 304",
                 "the body is the same, so the document is");
    want_int(libraries_json_blocks(), once, "the same; what Jansson allocates",
             "it is parsed once");
    http_cache_destroy(h);
    libraries_count(false);
    http_stop(api);
}

/* libcurl and Jansson allocate where we count. */
TEST(nothing_of_libcurl_or_jansson_is_left, "P17", "12.8") {
    libraries_count(true);
    http_cache *h = fresh();
    play_tagged("/a", DOCUMENT, "\"1\"",
                "Cache-Control: max-age=10, stale-if-error=10");
    play_redirect("/r", 302, "/a");
    json_seen(h, "/r");
    now_ms += 10000;
    json_seen(h, "/r");
    play("/a", "{\"cut\": ", NULL);
    json_seen(h, "/a");
    play_tagged("/a", "{}", "\"2\"", NULL);
    json_seen(h, "/a");
    http_kill(api);
    seen(h, "/b");
    end(h);
    libraries_count(false);
    heap_block left;
    bool leaked = heap_leaked(&left);
    want_false(leaked,
               "get_json with a redirect, a 304, half a document and a new "
               "one; destroy; does anything of libcurl or Jansson live on?",
               "every curl_easy_init, curl_global_init, curl_slist_append and "
               "json_loadb has its end");
}
