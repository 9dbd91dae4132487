/* http_cache: libcurl asks, a ttl cache keeps, Jansson reads. */
#include "http_cache.h"

#include "common/todo.h"
#include "ttl.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEADER_MAX = 64 * 1024, FIRST_BODY = 1024, REDIRECTS_MAX = 5 };
enum { SWEPT_PER_STORING = 2, REASON_SIZE = 512 };

#define SECONDS_MAX                                           \
    INT64_C(0x80000000) /* as RFC 9111, section 1.2.2, has it \
                         */
#define UNSAID (-1)

/* What a URL stood for when the API was last asked. */
struct content {
    size_t holders; /* entries with it, and the caller it is lent to */
    int code;
    char *body;
    size_t len;
    char *condition; /* a header field that asks about it; NULL: none can */
    json_t *json;    /* NULL: not parsed yet */
};

/* What Cache-Control says, as far as it means something here. */
struct control {
    bool no_store;
    bool no_cache;
    bool must_revalidate;
    int64_t max_age_s; /* or UNSAID, as the next */
    int64_t stale_if_error_s;
};

/* What the API said of keeping an answer: the table in http_cache.h. */
struct rules {
    struct control control;
    int64_t expires_s; /* since 1970; 0: it cannot be read; or UNSAID */
    bool varies;       /* Vary: * */
};

struct entry {
    struct content *content;
    struct rules rules;
    int64_t fresh_until_ms;
    int64_t stale_until_ms; /* until then it may stand in for an error */
};

/* An answer while it arrives. */
struct download {
    char *body;
    size_t len, capacity;
    size_t max_bytes;
    size_t header_len;
    bool in_header; /* a line of it came, and not yet the empty one */
    status trouble; /* why we ended it ourselves */
};

/* One of "no-cache, max-age=60, max-age=\"60\"". */
struct directive {
    const char *name, *value;
    size_t name_len, value_len;
};

/* A get on its way. */
struct visit {
    const char *url;
    char *redirected; /* the url, when a redirect led to it */
    bool moved;       /* a redirect has just changed it */
    bool as_json;
    long left_ms;
    http_cache_from from;
};

struct http_cache {
    ttl *entries; /* URL to struct entry */
    CURL *curl;   /* keeps the connections open */
    http_cache_options options;
    struct content *lent; /* to the caller; NULL: nothing */
    http_cache_stats stats;
    char curl_said[CURL_ERROR_SIZE];
    char reason[REASON_SIZE];
};

/* -- the lesson's functions ----------------------------------------------- */

status http_cache_create(const http_cache_options *options, http_cache **out) {
    TODO("12.1: refuse bad options, make a ttl cache and a curl handle");
}

status http_cache_get(http_cache *h, const char *url,
                      http_cache_response *response) {
    TODO("12.2: only http and https; send a GET, give the body");
}

status http_cache_get_json(http_cache *h, const char *url,
                           http_cache_response *response,
                           const http_json **json) {
    TODO("12.8: get, and parse the body once");
}

status http_json_text(const http_json *json, const char *name, bytes *value) {
    TODO("12.8: find the member, and check that it is a text");
}

status http_json_integer(const http_json *json, const char *name,
                         int64_t *value) {
    TODO("12.8: find the member, and check that it is an integer");
}

const char *http_cache_error(const http_cache *h) {
    TODO("12.1: the line of the last failure");
}

http_cache_stats http_cache_statistics(const http_cache *h) {
    TODO("12.1: what was counted");
}

size_t http_cache_count(const http_cache *h) {
    TODO("12.1: how many answers are stored");
}

void http_cache_destroy(http_cache *h) {
    TODO("12.1: end the entries, the content lent, the curl handle");
}
