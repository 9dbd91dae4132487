/* http_cache: libcurl asks, a ttl cache keeps, Jansson reads. */
#include "http_cache.h"

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

/* -- contents and entries ------------------------------------------------- */

static void content_release(struct content *c) {
    if (c && --c->holders == 0) {
        json_decref(c->json);
        free(c->condition);
        free(c->body);
        free(c);
    }
}

static void entry_destroy(void *value) {
    struct entry *e = value;
    content_release(e->content);
    free(e);
}

static void lend(http_cache *h, struct content *c) {
    if (h->lent != c) {
        content_release(h->lent);
        h->lent = c;
        c->holders++;
    }
}

/* -- what went wrong ------------------------------------------------------ */

/* Notes the line for http_cache_error. Returns: s. */
static status fail(http_cache *h, status s, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(h->reason, sizeof h->reason, format, values);
    va_end(values);
    return s;
}

static status no_memory(http_cache *h) {
    return fail(h, STATUS_NO_MEMORY, "out of memory: free some, and try again");
}

static status too_large(http_cache *h) {
    return fail(h, STATUS_TOO_LARGE,
                "more than %zu bytes of body or %d of header: raise "
                "max_body_bytes if the API is to be trusted",
                h->options.max_body_bytes, HEADER_MAX);
}

static status timed_out(http_cache *h) {
    return fail(h, STATUS_TIMEOUT,
                "no whole answer in %lld ms: try again, or raise timeout_ms",
                (long long)h->options.timeout_ms);
}

/* -- asking --------------------------------------------------------------- */

/* The length of the scheme that a URL begins with, 0 for any but these two. */
static size_t scheme_len(const char *url) {
    if (strncasecmp(url, "http://", 7) == 0) {
        return 7;
    }
    return strncasecmp(url, "https://", 8) == 0 ? 8 : 0;
}

/* libcurl's two callbacks: less than all taken ends the transfer. */
static size_t stop(struct download *d, status trouble) {
    d->trouble = trouble;
    return 0;
}

/* Called line by line; the last one is empty. */
static size_t take_header(char *line, size_t size, size_t count,
                          void *context) {
    struct download *d = context;
    d->in_header = line[0] != '\r' && line[0] != '\n';
    d->header_len += size * count;
    return d->header_len > HEADER_MAX ? stop(d, STATUS_TOO_LARGE)
                                      : size * count;
}

static bool make_room(struct download *d, size_t more) {
    size_t capacity = d->capacity ? d->capacity : FIRST_BODY;
    while (capacity < d->len + more) {
        capacity *= 2;
    }
    if (capacity == d->capacity) {
        return true;
    }
    char *body = realloc(d->body, capacity);
    if (!body) {
        return false;
    }
    d->body = body;
    d->capacity = capacity;
    return true;
}

static size_t take_body(char *data, size_t size, size_t count, void *context) {
    struct download *d = context;
    size_t more = size * count;
    if (more > d->max_bytes - d->len) {
        return stop(d, STATUS_TOO_LARGE);
    }
    if (!make_room(d, more)) {
        return stop(d, STATUS_NO_MEMORY);
    }
    memcpy(d->body + d->len, data, more);
    d->len += more;
    return more;
}

/* A header line beyond libcurl's own bound is CURLE_OUT_OF_MEMORY to it. */
static status judge_transfer(http_cache *h, CURLcode code,
                             const struct download *d) {
    const char *said =
        h->curl_said[0] ? h->curl_said : curl_easy_strerror(code);
    bool out_of_memory = code == CURLE_OUT_OF_MEMORY;
    if (d->trouble == STATUS_TOO_LARGE || (out_of_memory && d->in_header)) {
        return too_large(h);
    }
    if (d->trouble == STATUS_NO_MEMORY || out_of_memory) {
        return no_memory(h);
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return timed_out(h);
    }
    if (code == CURLE_URL_MALFORMAT) {
        return fail(h, STATUS_INVALID, "this is no URL: %s", said);
    }
    if (code != CURLE_OK) {
        return fail(h, STATUS_BACKEND, "%s: is the URL right, the API up?",
                    said);
    }
    return STATUS_OK;
}

/* Sends a GET and waits for all of the answer.
 * known: what is to be asked about; NULL: nothing. */
static status transfer(http_cache *h, struct visit *v,
                       const struct content *known, struct download *d) {
    struct curl_slist condition = {known ? known->condition : NULL, NULL};
    bool asks = condition.data != NULL;
    curl_off_t took_us = 0;
    if (v->left_ms <= 0) {
        return timed_out(h);
    }
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, asks ? &condition : NULL);
    curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, v->left_ms);
    curl_easy_setopt(h->curl, CURLOPT_HEADERDATA, d);
    curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, d);
    h->curl_said[0] = '\0';
    CURLcode code = curl_easy_setopt(h->curl, CURLOPT_URL, v->url);
    if (code == CURLE_OK) {
        h->stats.requests++;
        code = curl_easy_perform(h->curl);
    }
    h->stats.bytes += d->len;
    curl_easy_getinfo(h->curl, CURLINFO_TOTAL_TIME_T, &took_us);
    v->left_ms -= (long)(took_us / 1000);
    return judge_transfer(h, code, d);
}

/* -- reading the header --------------------------------------------------- */

/* A header field of the last answer, the index-th of that name; NULL: there are
 * fewer. libcurl compares names in any case. */
static const char *field(CURL *curl, const char *name, size_t index) {
    struct curl_header *found;
    CURLHcode code =
        curl_easy_header(curl, name, index, CURLH_HEADER, -1, &found);
    return code == CURLHE_OK ? found->value : NULL;
}

/* Reads the directive at *at and steps behind it. Each call but the last takes
 * a character at least. Returns: whether there was one. */
static bool next_directive(const char **at, struct directive *d) {
    const char *s = *at + strspn(*at, " \t,");
    *d = (struct directive){.name = s, .name_len = strcspn(s, " \t,=")};
    s += d->name_len;
    s += strspn(s, " \t");
    if (*s == '=') {
        s += 1 + strspn(s + 1, " \t");
        bool quoted = *s == '"';
        d->value = s += quoted;
        d->value_len = strcspn(s, quoted ? "\"" : " \t,");
        s += d->value_len;
        s += quoted && *s == '"';
    }
    *at = s;
    return d->name[0] != '\0';
}

static bool is(const struct directive *d, const char *name) {
    return d->name_len == strlen(name)
           && strncasecmp(d->name, name, d->name_len) == 0;
}

static int64_t seconds(const char *digits, size_t len) {
    int64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return 0;
        }
        n = n * 10 + (digits[i] - '0');
        n = n < SECONDS_MAX ? n : SECONDS_MAX;
    }
    return n;
}

static void obey(struct control *c, const struct directive *d) {
    if (is(d, "no-store")) {
        c->no_store = true;
    } else if (is(d, "no-cache")) {
        c->no_cache = true;
    } else if (is(d, "must-revalidate")) {
        c->must_revalidate = true;
    } else if (is(d, "max-age") && c->max_age_s == UNSAID) {
        c->max_age_s = seconds(d->value, d->value_len);
    } else if (is(d, "stale-if-error") && c->stale_if_error_s == UNSAID) {
        c->stale_if_error_s = seconds(d->value, d->value_len);
    }
}

static const struct rules nothing_said = {
    {.max_age_s = UNSAID, .stale_if_error_s = UNSAID}, .expires_s = UNSAID};

static void read_control(CURL *curl, struct control *c) {
    const char *line;
    for (size_t i = 0; (line = field(curl, "Cache-Control", i)); i++) {
        struct directive d;
        if (i == 0) {
            *c = nothing_said.control;
        }
        while (next_directive(&line, &d)) {
            obey(c, &d);
        }
    }
}

/* Reads what the last answer says; what it does not name stays in *r. */
static void read_rules(CURL *curl, struct rules *r) {
    const char *value;
    read_control(curl, &r->control);
    if ((value = field(curl, "Expires", 0))) {
        time_t expires = curl_getdate(value, NULL);
        r->expires_s = expires > 0 ? expires : 0;
    }
    for (size_t i = 0; (value = field(curl, "Vary", i)); i++) {
        r->varies = (i > 0 && r->varies) || strchr(value, '*');
    }
}

/* How to ask later whether this answer still holds.
 * condition: out; NULL: there is no way, or (false) no memory. */
static bool read_condition(CURL *curl, char **condition) {
    const char *names[][2] = {{"ETag", "If-None-Match"},
                              {"Last-Modified", "If-Modified-Since"}};
    *condition = NULL;
    for (size_t i = 0; i < 2; i++) {
        const char *value = field(curl, names[i][0], 0);
        if (value && value[0]) {
            size_t size = strlen(names[i][1]) + strlen(value) + sizeof ": ";
            *condition = malloc(size);
            if (*condition) {
                snprintf(*condition, size, "%s: %s", names[i][1], value);
            }
            return *condition != NULL;
        }
    }
    return true;
}

/* -- times ---------------------------------------------------------------- */

/* A time past the end of time is the end of time. */
static int64_t later(int64_t time_ms, int64_t by_ms) {
    return by_ms > 0 && time_ms > INT64_MAX - by_ms ? INT64_MAX
                                                    : time_ms + by_ms;
}

/* Both dates are by the clock of the API. */
static int64_t until_expiry_s(CURL *curl, const struct rules *r) {
    const char *date = field(curl, "Date", 0);
    time_t sent = date ? curl_getdate(date, NULL) : -1;
    if (sent < 0 || r->expires_s <= sent) {
        return 0;
    }
    int64_t left_s = r->expires_s - sent;
    return left_s < SECONDS_MAX ? left_s : SECONDS_MAX;
}

/* How long the last answer is fresh from its request on; less than 0 if its
 * time was over before that. */
static int64_t fresh_ms(const http_cache *h, const struct rules *r) {
    const char *age = field(h->curl, "Age", 0);
    int64_t ms = h->options.default_ttl_ms;
    if (r->control.no_cache) {
        ms = 0;
    } else if (r->control.max_age_s != UNSAID) {
        ms = 1000 * r->control.max_age_s;
    } else if (r->expires_s != UNSAID) {
        ms = 1000 * until_expiry_s(h->curl, r);
    }
    return ms - (age ? 1000 * seconds(age, strlen(age)) : 0);
}

static int64_t stale_ms(const http_cache *h, const struct control *c) {
    if (c->no_cache || c->must_revalidate) {
        return 0;
    }
    return c->stale_if_error_s != UNSAID ? 1000 * c->stale_if_error_s
                                         : h->options.stale_if_error_ms;
}

/* -- storing -------------------------------------------------------------- */

static void forget(http_cache *h, const char *url) {
    ttl_delete(h->entries, bytes_of(url));
}

static status store(http_cache *h, const char *url, struct entry entry,
                    int64_t for_ms) {
    struct entry *e = malloc(sizeof *e);
    if (!e) {
        return no_memory(h);
    }
    *e = entry;
    e->content->holders++;
    if (ttl_set_for(h->entries, bytes_of(url), e, for_ms) != STATUS_OK) {
        entry_destroy(e);
        return no_memory(h);
    }
    ttl_sweep(h->entries, SWEPT_PER_STORING);
    return STATUS_OK;
}

/* Puts a content in the place of what is stored for the URL, for as long as it
 * is of use; or nothing in its place, if it is of none. */
static status keep(http_cache *h, const char *url, struct content *c,
                   const struct rules *rules, int64_t asked_ms) {
    int64_t now_ms = ms_clock_now(h->options.clock);
    int64_t fresh_until = later(asked_ms, fresh_ms(h, rules));
    int64_t stale_until = later(fresh_until, stale_ms(h, &rules->control));
    int64_t end = c->condition ? later(fresh_until, h->options.keep_ms) : 0;
    end = end > stale_until ? end : stale_until;
    if (rules->control.no_store || rules->varies || end <= now_ms) {
        forget(h, url);
        return STATUS_OK;
    }
    struct entry entry = {c, *rules, fresh_until, stale_until};
    return store(h, url, entry, end - now_ms);
}

/* -- answers -------------------------------------------------------------- */

static status parse(http_cache *h, struct content *c) {
    json_error_t error;
    if (c->json) {
        return STATUS_OK;
    }
    c->json =
        json_loadb(c->body ? c->body : "", c->len, JSON_ALLOW_NUL, &error);
    if (c->json) {
        return STATUS_OK;
    }
    if (json_error_code(&error) == json_error_out_of_memory) {
        return no_memory(h);
    }
    return fail(h, STATUS_BACKEND, "line %d of the body is no JSON: %s",
                error.line, error.text);
}

/* Makes a content of what arrived. Takes the body over, unless it returns NULL
 * for want of memory. */
static struct content *content_create(http_cache *h, struct download *d,
                                      int code) {
    struct content *c = malloc(sizeof *c);
    char *condition;
    if (!c || !read_condition(h->curl, &condition)) {
        free(c);
        return NULL;
    }
    *c = (struct content){.holders = 1,
                          .code = code,
                          .body = d->body,
                          .len = d->len,
                          .condition = condition};
    d->body = NULL;
    return c;
}

/* Gives a content that the API has just sent, or said to hold. */
static status give(http_cache *h, const struct visit *v, struct content *c,
                   struct rules rules, int64_t asked_ms) {
    status s = v->as_json ? parse(h, c) : STATUS_OK;
    if (s != STATUS_OK) {
        return s;
    }
    read_rules(h->curl, &rules);
    rules.control.no_store = rules.control.no_store || c->code != 200;
    s = keep(h, v->url, c, &rules, asked_ms);
    if (s == STATUS_OK) {
        lend(h, c);
    }
    return s;
}

static status accept_new(http_cache *h, struct visit *v, struct download *d,
                         int code, int64_t asked_ms) {
    struct content *c = content_create(h, d, code);
    if (!c) {
        return no_memory(h);
    }
    status s = give(h, v, c, nothing_said, asked_ms);
    content_release(c);
    v->from = HTTP_CACHE_API;
    return s;
}

/* The entry may go on the way, its content may not. */
static status renew(http_cache *h, struct visit *v, const struct entry *e,
                    int64_t asked_ms) {
    struct content *c = e->content;
    c->holders++;
    status s = give(h, v, c, e->rules, asked_ms);
    content_release(c);
    v->from = HTTP_CACHE_RENEWED;
    return s;
}

static bool is_redirect(long code) {
    return code == 301 || code == 302 || code == 303 || code == 307
           || code == 308;
}

/* Notes where the last answer leads. */
static status redirect(http_cache *h, struct visit *v) {
    const char *next = NULL;
    curl_easy_getinfo(h->curl, CURLINFO_REDIRECT_URL, &next);
    if (!next || scheme_len(next) != scheme_len(v->url)) {
        return fail(h, STATUS_BACKEND,
                    "a redirect to %.200s is not followed: ask for that "
                    "yourself, if it is right",
                    next ? next : "nowhere");
    }
    char *copy = strdup(next);
    if (!copy) {
        return no_memory(h);
    }
    forget(h, v->url);
    free(v->redirected);
    v->url = v->redirected = copy;
    v->moved = true;
    return STATUS_OK;
}

static status judge_answer(http_cache *h, struct visit *v,
                           const struct entry *e, struct download *d,
                           int64_t asked_ms) {
    long code = 0;
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code == 304 && e && e->content->condition) {
        return renew(h, v, e, asked_ms);
    }
    if (code / 100 == 2) {
        return accept_new(h, v, d, (int)code, asked_ms);
    }
    if (is_redirect(code)) {
        return redirect(h, v);
    }
    if (code / 100 != 4) {
        return fail(h, STATUS_BACKEND, "the API answered %ld: try again later",
                    code);
    }
    forget(h, v->url);
    return fail(h, code == 404 || code == 410 ? STATUS_MISS : STATUS_INVALID,
                "the API answered %ld: look at the URL, and what it is allowed",
                code);
}

/* -- a get ---------------------------------------------------------------- */

static bool may_stand_in(http_cache *h, const struct visit *v,
                         const struct entry *e, status s) {
    return (s == STATUS_BACKEND || s == STATUS_TIMEOUT)
           && ms_clock_now(h->options.clock) < e->stale_until_ms
           && (!v->as_json || parse(h, e->content) == STATUS_OK);
}

/* Asks for one URL.
 * e: what is stored for it, and not fresh; NULL: nothing. */
static status ask(http_cache *h, struct visit *v, const struct entry *e,
                  int64_t now_ms) {
    struct download d = {.max_bytes = h->options.max_body_bytes};
    status s = transfer(h, v, e ? e->content : NULL, &d);
    if (s == STATUS_OK) {
        s = judge_answer(h, v, e, &d, now_ms);
    }
    if (e && may_stand_in(h, v, e, s)) {
        lend(h, e->content);
        v->from = HTTP_CACHE_STALE;
        s = STATUS_OK;
    }
    free(d.body);
    return s;
}

/* Answers one URL, from the store or from the API, unless that moves us on. */
static status answer(http_cache *h, struct visit *v) {
    int64_t now_ms = ms_clock_now(h->options.clock);
    void *found = NULL;
    ttl_get(h->entries, bytes_of(v->url), &found);
    struct entry *e = found;
    if (!e || now_ms >= e->fresh_until_ms) {
        return ask(h, v, e, now_ms);
    }
    v->from = HTTP_CACHE_STORED;
    lend(h, e->content);
    return v->as_json ? parse(h, e->content) : STATUS_OK;
}

static status follow(http_cache *h, struct visit *v) {
    for (unsigned redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
        v->moved = false;
        status s = answer(h, v);
        if (s != STATUS_OK || !v->moved) {
            return s;
        }
    }
    return fail(h, STATUS_BACKEND,
                "more than %d redirects, the last one to %.200s: it may be a "
                "circle",
                REDIRECTS_MAX, v->url);
}

static void count(http_cache *h, status s, http_cache_from from) {
    uint64_t *const counts[] = {&h->stats.fetched, &h->stats.hits,
                                &h->stats.renewed, &h->stats.stale};
    ++*(s == STATUS_OK ? counts[from] : &h->stats.failed);
}

static status get(http_cache *h, const char *url, bool as_json,
                  http_cache_response *response) {
    struct visit v = {
        .url = url, .as_json = as_json, .left_ms = (long)h->options.timeout_ms};
    status s =
        scheme_len(url) > 0
            ? follow(h, &v)
            : fail(h, STATUS_INVALID,
                   "only http:// and https:// are fetched, not %.200s", url);
    free(v.redirected);
    count(h, s, v.from);
    if (s == STATUS_OK && response) {
        *response = (http_cache_response){
            h->lent->code, {h->lent->body, h->lent->len}, v.from};
    }
    return s;
}

/* -- the lesson's functions ----------------------------------------------- */

static bool are_good(const http_cache_options *o) {
    return o->default_ttl_ms >= 0 && o->keep_ms >= 0
           && o->stale_if_error_ms >= 0 && o->timeout_ms >= 0
           && o->timeout_ms <= INT32_MAX;
}

static http_cache_options completed(http_cache_options o) {
    o.clock = o.clock.now_ms ? o.clock : ms_clock_monotonic();
    o.default_ttl_ms = o.default_ttl_ms ? o.default_ttl_ms : 60000;
    o.keep_ms = o.keep_ms ? o.keep_ms : 3600000;
    o.timeout_ms = o.timeout_ms ? o.timeout_ms : 10000;
    o.max_body_bytes = o.max_body_bytes ? o.max_body_bytes : 1024 * 1024;
    return o;
}

/* What is the same in every request. */
static bool set_up(http_cache *h) {
    curl_easy_setopt(h->curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, h->curl_said);
    curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L);
    return curl_easy_setopt(h->curl, CURLOPT_PROTOCOLS_STR, "http,https")
               == CURLE_OK
           && curl_easy_setopt(h->curl, CURLOPT_USERAGENT, "http_cache/1")
                  == CURLE_OK;
}

status http_cache_create(const http_cache_options *options, http_cache **out) {
    http_cache_options given = options ? *options : (http_cache_options){0};
    if (!are_good(&given)) {
        return STATUS_INVALID;
    }
    http_cache *h = calloc(1, sizeof *h);
    if (!h || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(h);
        return STATUS_NO_MEMORY;
    }
    h->options = completed(given);
    h->curl = curl_easy_init();
    if (!h->curl || !set_up(h)
        || ttl_create(TTL_NEVER, h->options.clock, entry_destroy,
                      h->options.seed, &h->entries)
               != STATUS_OK) {
        http_cache_destroy(h);
        return STATUS_NO_MEMORY;
    }
    *out = h;
    return STATUS_OK;
}

status http_cache_get(http_cache *h, const char *url,
                      http_cache_response *response) {
    return get(h, url, false, response);
}

status http_cache_get_json(http_cache *h, const char *url,
                           http_cache_response *response,
                           const http_json **json) {
    status s = get(h, url, true, response);
    if (s == STATUS_OK && json) {
        *json = (const http_json *)h->lent->json;
    }
    return s;
}

status http_json_text(const http_json *json, const char *name, bytes *value) {
    const json_t *member = json_object_get((const json_t *)json, name);
    if (!member) {
        return STATUS_MISS;
    }
    if (!json_is_string(member)) {
        return STATUS_INVALID;
    }
    *value = (bytes){json_string_value(member), json_string_length(member)};
    return STATUS_OK;
}

status http_json_integer(const http_json *json, const char *name,
                         int64_t *value) {
    const json_t *member = json_object_get((const json_t *)json, name);
    if (!member) {
        return STATUS_MISS;
    }
    if (!json_is_integer(member)) {
        return STATUS_INVALID;
    }
    *value = json_integer_value(member);
    return STATUS_OK;
}

const char *http_cache_error(const http_cache *h) {
    return h->reason;
}

http_cache_stats http_cache_statistics(const http_cache *h) {
    return h->stats;
}

size_t http_cache_count(const http_cache *h) {
    return ttl_count(h->entries);
}

void http_cache_destroy(http_cache *h) {
    if (!h) {
        return;
    }
    ttl_destroy(h->entries);
    content_release(h->lent);
    curl_easy_cleanup(h->curl);
    curl_global_cleanup();
    free(h);
}
