/* http_cache as a proxy would keep it: the header is stored as it came, line by
 * line, and read anew at each look; a 304 puts its own lines before the old
 * ones. Redirects by recursion, and one deadline for them all. */
#include "http_cache.h"

#include "ttl.h"

#include <ctype.h>
#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEADER_MAX = 64 * 1024, REDIRECTS_MAX = 5 };

#define SECONDS_MAX INT64_C(0x80000000)

struct text {
    char *data;
    size_t len, room, max;
};

struct body {
    size_t holders;
    int code;
    struct text text;
    json_t *json;
};

/* One stored answer: what it said last, what it said first, and its body. */
struct page {
    struct body *body;
    char *newest, *oldest; /* header lines; newest may be NULL */
    int64_t asked_ms;
};

struct http_cache {
    ttl *pages;
    CURL *curl;
    http_cache_options options;
    struct body *lent;
    http_cache_from from;
    http_cache_stats stats;
    int64_t deadline_ms;
    struct text header, arriving;
    status trouble;
    char reason[512];
};

/* -- texts ---------------------------------------------------------------- */

static status text_add(struct text *t, const char *data, size_t len) {
    if (len > t->max - t->len) {
        return STATUS_TOO_LARGE;
    }
    if (t->len + len + 1 > t->room) {
        size_t room = 2 * (t->len + len + 1);
        char *grown = realloc(t->data, room);
        if (!grown) {
            return STATUS_NO_MEMORY;
        }
        t->data = grown;
        t->room = room;
    }
    memcpy(t->data + t->len, data, len);
    t->len += len;
    t->data[t->len] = '\0';
    return STATUS_OK;
}

static void text_clear(struct text *t) {
    free(t->data);
    *t = (struct text){.max = t->max};
}

static void body_release(struct body *b) {
    if (b && --b->holders == 0) {
        json_decref(b->json);
        text_clear(&b->text);
        free(b);
    }
}

static void page_destroy(void *value) {
    struct page *p = value;
    body_release(p->body);
    free(p->newest);
    free(p->oldest);
    free(p);
}

static status said(http_cache *h, status s, const char *what) {
    snprintf(h->reason, sizeof h->reason, "%s: %.300s", status_name(s), what);
    return s;
}

/* -- reading header lines ---------------------------------------------------
 */

/* The value of the index-th field of that name, NULL without one. */
static const char *field(const char *lines, const char *name, size_t index) {
    size_t len = strlen(name);
    while (lines && *lines) {
        if (strncasecmp(lines, name, len) == 0 && lines[len] == ':'
            && index-- == 0) {
            lines += len + 1;
            return lines + strspn(lines, " \t");
        }
        lines += strcspn(lines, "\n");
        lines += *lines == '\n';
    }
    return NULL;
}

/* The lines in which this page's answer has said something of a field. */
static const char *saying(const struct page *p, const char *name) {
    return field(p->newest, name, 0) ? p->newest : p->oldest;
}

static bool ends_value(char c) {
    return c == '\0' || c == '\r' || c == '\n';
}

/* Behind one directive of a line: at the comma, or the end. */
static const char *behind(const char *at) {
    bool quoted = false;
    while (!ends_value(*at) && (quoted || *at != ',')) {
        quoted ^= *at++ == '"';
    }
    return at;
}

/* Looks a directive up in all Cache-Control lines.
 * value: out, behind its '='; "" without one. */
static bool directive(const struct page *p, const char *name,
                      const char **value) {
    const char *lines = saying(p, "Cache-Control"), *at;
    size_t len = strlen(name);
    for (size_t i = 0; (at = field(lines, "Cache-Control", i)); i++) {
        while (!ends_value(*at)) {
            at += strspn(at, " \t,");
            const char *rest = at
                               + strspn(at, "abcdefghijklmnopqrstuvwxyz"
                                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789-_");
            bool same =
                (size_t)(rest - at) == len && strncasecmp(at, name, len) == 0;
            rest += strspn(rest, " \t");
            if (same) {
                *value = *rest == '=' ? rest + 1 : "";
                return true;
            }
            at = behind(at);
        }
    }
    return false;
}

static int64_t seconds(const char *value) {
    int64_t n = 0;
    value += strspn(value, " \t\"");
    size_t digits = strspn(value, "0123456789");
    char next = value[digits];
    if (!ends_value(next) && !strchr(" \t,\"", next)) {
        return 0;
    }
    for (size_t i = 0; i < digits && n < SECONDS_MAX; i++) {
        n = 10 * n + (value[i] - '0');
    }
    return n < SECONDS_MAX ? n : SECONDS_MAX;
}

static time_t date(const char *lines, const char *name) {
    char copy[64];
    const char *value = field(lines, name, 0);
    snprintf(copy, sizeof copy, "%.*s", value ? (int)strcspn(value, "\r\n") : 0,
             value ? value : "");
    return curl_getdate(copy, NULL);
}

/* -- what a header means -----------------------------------------------------
 */

static int64_t sum(int64_t a, int64_t b) {
    return b > 0 && a > INT64_MAX - b ? INT64_MAX : a + b;
}

static int64_t fresh_until(const http_cache *h, const struct page *p) {
    const char *lines = p->newest ? p->newest : p->oldest, *value;
    const char *age = field(lines, "Age", 0);
    int64_t ms = h->options.default_ttl_ms;
    if (directive(p, "no-cache", &value)) {
        ms = 0;
    } else if (directive(p, "max-age", &value)) {
        ms = 1000 * seconds(value);
    } else if (field(saying(p, "Expires"), "Expires", 0)) {
        time_t end = date(saying(p, "Expires"), "Expires");
        time_t start = date(lines, "Date");
        int64_t left = end > start && start >= 0 ? end - start : 0;
        ms = 1000 * (left < SECONDS_MAX ? left : SECONDS_MAX);
    }
    return sum(p->asked_ms, ms - (age ? 1000 * seconds(age) : 0));
}

static int64_t stale_until(const http_cache *h, const struct page *p) {
    const char *value;
    int64_t ms = h->options.stale_if_error_ms;
    if (directive(p, "no-cache", &value)
        || directive(p, "must-revalidate", &value)) {
        ms = 0;
    } else if (directive(p, "stale-if-error", &value)) {
        ms = 1000 * seconds(value);
    }
    return sum(fresh_until(h, p), ms);
}

static bool can_be_asked_about(const struct page *p) {
    return field(p->oldest, "ETag", 0) || field(p->oldest, "Last-Modified", 0);
}

static bool varies(const struct page *p) {
    const char *value;
    for (size_t i = 0; (value = field(p->oldest, "Vary", i)); i++) {
        if (memchr(value, '*', strcspn(value, "\r\n"))) {
            return true;
        }
    }
    return false;
}

/* -- asking -------------------------------------------------------------------
 */

static size_t take(struct text *t, const char *data, size_t len,
                   http_cache *h) {
    h->trouble = text_add(t, data, len);
    return h->trouble == STATUS_OK ? len : 0;
}

static size_t take_header(char *data, size_t size, size_t n, void *context) {
    http_cache *h = context;
    return take(&h->header, data, size * n, h);
}

static size_t take_body(char *data, size_t size, size_t n, void *context) {
    http_cache *h = context;
    return take(&h->arriving, data, size * n, h);
}

static status judge(http_cache *h, CURLcode code) {
    const char *what = curl_easy_strerror(code);
    bool in_header =
        h->header.len > 4
        && strcmp(h->header.data + h->header.len - 4, "\r\n\r\n") != 0;
    if (h->trouble != STATUS_OK) {
        return said(h, h->trouble, "the answer, as it came");
    }
    switch (code) {
    case CURLE_OK: return STATUS_OK;
    case CURLE_OUT_OF_MEMORY:
        return said(h, in_header ? STATUS_TOO_LARGE : STATUS_NO_MEMORY, what);
    case CURLE_OPERATION_TIMEDOUT: return said(h, STATUS_TIMEOUT, what);
    case CURLE_URL_MALFORMAT: return said(h, STATUS_INVALID, what);
    default: return said(h, STATUS_BACKEND, what);
    }
}

/* A list of the one field that asks about a page; NULL without memory. */
static struct curl_slist *condition(const struct page *p) {
    bool tagged = field(p->oldest, "ETag", 0) != NULL;
    const char *value = field(p->oldest, tagged ? "ETag" : "Last-Modified", 0);
    int len = (int)strcspn(value, "\r\n");
    size_t size = (size_t)len + 32;
    char *line = malloc(size);
    struct curl_slist *list = NULL;
    if (line) {
        snprintf(line, size, "%s: %.*s",
                 tagged ? "If-None-Match" : "If-Modified-Since", len, value);
        list = curl_slist_append(NULL, line);
    }
    free(line);
    return list;
}

static status request(http_cache *h, const char *url, const struct page *p) {
    int64_t left_ms = h->deadline_ms - ms_clock_now(ms_clock_monotonic());
    struct curl_slist *list = NULL;
    if (left_ms <= 0) {
        return said(h, STATUS_TIMEOUT, "redirects took all of the time");
    }
    if (p && can_be_asked_about(p) && !(list = condition(p))) {
        return said(h, STATUS_NO_MEMORY, url);
    }
    text_clear(&h->header);
    text_clear(&h->arriving);
    h->trouble = STATUS_OK;
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, (long)left_ms);
    CURLcode code = curl_easy_setopt(h->curl, CURLOPT_URL, url);
    if (code == CURLE_OK) {
        h->stats.requests++;
        code = curl_easy_perform(h->curl);
    }
    curl_slist_free_all(list);
    h->stats.bytes += h->arriving.len;
    return judge(h, code);
}

/* -- answers
 * ------------------------------------------------------------------- */

static void lend(http_cache *h, struct body *b, http_cache_from from) {
    b->holders++;
    body_release(h->lent);
    h->lent = b;
    h->from = from;
}

static status parse(http_cache *h, struct body *b) {
    json_error_t error;
    if (!b->json) {
        b->json = json_loadb(b->text.data ? b->text.data : "", b->text.len,
                             JSON_ALLOW_NUL, &error);
    }
    if (!b->json && json_error_code(&error) == json_error_out_of_memory) {
        return said(h, STATUS_NO_MEMORY, error.text);
    }
    return b->json ? STATUS_OK : said(h, STATUS_BACKEND, error.text);
}

/* Stores a page in the place of what is there, if it is of use; frees it, if
 * not. */
static status keep(http_cache *h, const char *url, struct page *p) {
    const char *value;
    int64_t now_ms = ms_clock_now(h->options.clock);
    int64_t end = stale_until(h, p);
    int64_t kept = sum(fresh_until(h, p), h->options.keep_ms);
    end = can_be_asked_about(p) && kept > end ? kept : end;
    if (p->body->code != 200 || directive(p, "no-store", &value) || varies(p)
        || end <= now_ms) {
        ttl_delete(h->pages, bytes_of(url));
        page_destroy(p);
        return STATUS_OK;
    }
    status s = ttl_set_for(h->pages, bytes_of(url), p, end - now_ms);
    if (s != STATUS_OK) {
        page_destroy(p);
        return said(h, s, url);
    }
    ttl_sweep(h->pages, 2);
    return STATUS_OK;
}

/* Makes a page of what arrived: a new one, or one with an old body.
 * Returns: NULL without memory. */
static struct page *arrived(http_cache *h, const struct page *old, int code,
                            int64_t asked_ms) {
    struct page *p = calloc(1, sizeof *p);
    struct body *b = old ? old->body : calloc(1, sizeof *b);
    char *oldest = old ? strdup(old->oldest) : h->header.data;
    if (!p || !b || !oldest) {
        free(p);
        if (!old) {
            free(b);
        } else {
            free(oldest);
        }
        return NULL;
    }
    if (!old) {
        b->code = code;
        b->text = h->arriving;
        h->arriving.data = NULL;
        text_clear(&h->arriving);
    }
    b->holders++;
    *p = (struct page){b, old ? h->header.data : NULL, oldest, asked_ms};
    h->header.data = NULL;
    text_clear(&h->header);
    return p;
}

static status accept_page(http_cache *h, const char *url, bool as_json,
                          struct page *p, http_cache_from from) {
    if (!p) {
        return said(h, STATUS_NO_MEMORY, url);
    }
    status s = as_json ? parse(h, p->body) : STATUS_OK;
    if (s != STATUS_OK) {
        page_destroy(p);
        return s;
    }
    struct body *b = p->body;
    b->holders++;
    s = keep(h, url, p);
    if (s == STATUS_OK) {
        lend(h, b, from);
    }
    body_release(b);
    return s;
}

static status answer(http_cache *h, const char *url, bool as_json,
                     unsigned redirects);

static status move_on(http_cache *h, const char *url, bool as_json,
                      unsigned redirects) {
    const char *next = NULL;
    curl_easy_getinfo(h->curl, CURLINFO_REDIRECT_URL, &next);
    size_t scheme = strcspn(url, ":") + 1;
    if (!next || strncasecmp(url, next, scheme) != 0
        || redirects == REDIRECTS_MAX) {
        return said(h, STATUS_BACKEND, next ? next : "a redirect to nowhere");
    }
    char *copy = strdup(next);
    if (!copy) {
        return said(h, STATUS_NO_MEMORY, next);
    }
    ttl_delete(h->pages, bytes_of(url));
    status s = answer(h, copy, as_json, redirects + 1);
    free(copy);
    return s;
}

static status refused(http_cache *h, const char *url, long code) {
    char line[64];
    snprintf(line, sizeof line, "the API answered %ld", code);
    if (code < 400 || code > 499) {
        return said(h, STATUS_BACKEND, line);
    }
    ttl_delete(h->pages, bytes_of(url));
    return said(h, code == 404 || code == 410 ? STATUS_MISS : STATUS_INVALID,
                line);
}

static status fetch(http_cache *h, const char *url, bool as_json,
                    const struct page *old, unsigned redirects) {
    int64_t asked_ms = ms_clock_now(h->options.clock);
    long code = 0;
    status s = request(h, url, old);
    if (s != STATUS_OK) {
        return s;
    }
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &code);
    switch (code) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308: return move_on(h, url, as_json, redirects);
    case 304:
        if (old && can_be_asked_about(old)) {
            struct page *p = arrived(h, old, 200, asked_ms);
            return accept_page(h, url, as_json, p, HTTP_CACHE_RENEWED);
        }
        break;
    default: break;
    }
    if (code < 200 || code > 299) {
        return refused(h, url, code);
    }
    struct page *p = arrived(h, NULL, (int)code, asked_ms);
    return accept_page(h, url, as_json, p, HTTP_CACHE_API);
}

static status answer(http_cache *h, const char *url, bool as_json,
                     unsigned redirects) {
    void *found = NULL;
    int64_t now_ms = ms_clock_now(h->options.clock);
    ttl_get(h->pages, bytes_of(url), &found);
    struct page *p = found;
    if (p && now_ms < fresh_until(h, p)) {
        lend(h, p->body, HTTP_CACHE_STORED);
        return as_json ? parse(h, p->body) : STATUS_OK;
    }
    status s = fetch(h, url, as_json, p, redirects);
    if (s != STATUS_BACKEND && s != STATUS_TIMEOUT) {
        return s;
    }
    /* A redirect may have ended the page: it is looked for anew. */
    found = NULL;
    ttl_get(h->pages, bytes_of(url), &found);
    p = found;
    now_ms = ms_clock_now(h->options.clock);
    if (p && now_ms < stale_until(h, p)
        && (!as_json || parse(h, p->body) == STATUS_OK)) {
        lend(h, p->body, HTTP_CACHE_STALE);
        return STATUS_OK;
    }
    return s;
}

static bool is_fetched(const char *url) {
    return strncasecmp(url, "http://", 7) == 0
           || strncasecmp(url, "https://", 8) == 0;
}

static status get(http_cache *h, const char *url, bool as_json,
                  http_cache_response *response) {
    status s = STATUS_INVALID;
    h->deadline_ms = ms_clock_now(ms_clock_monotonic()) + h->options.timeout_ms;
    if (is_fetched(url)) {
        s = answer(h, url, as_json, 0);
    } else {
        said(h, s, url);
    }
    if (s != STATUS_OK) {
        h->stats.failed++;
        return s;
    }
    h->stats.fetched += h->from == HTTP_CACHE_API;
    h->stats.hits += h->from == HTTP_CACHE_STORED;
    h->stats.renewed += h->from == HTTP_CACHE_RENEWED;
    h->stats.stale += h->from == HTTP_CACHE_STALE;
    if (response) {
        const struct body *b = h->lent;
        *response = (http_cache_response){
            b->code, {b->text.data, b->text.len}, h->from};
    }
    return STATUS_OK;
}

/* -- the lesson's functions
 * ------------------------------------------------------ */

static bool set_up(http_cache *h) {
    h->curl = curl_easy_init();
    return h->curl
           && curl_easy_setopt(h->curl, CURLOPT_PROTOCOLS_STR, "http,https")
                  == CURLE_OK
           && curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK
           && curl_easy_setopt(h->curl, CURLOPT_HEADERFUNCTION, take_header)
                  == CURLE_OK
           && curl_easy_setopt(h->curl, CURLOPT_HEADERDATA, h) == CURLE_OK
           && curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, take_body)
                  == CURLE_OK
           && curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, h) == CURLE_OK
           && ttl_create(TTL_NEVER, h->options.clock, page_destroy,
                         h->options.seed, &h->pages)
                  == STATUS_OK;
}

static int64_t or_else(int64_t said_ms, int64_t default_ms) {
    return said_ms ? said_ms : default_ms;
}

status http_cache_create(const http_cache_options *options, http_cache **out) {
    http_cache_options o = {0};
    o = options ? *options : o;
    if (o.default_ttl_ms < 0 || o.keep_ms < 0 || o.stale_if_error_ms < 0
        || o.timeout_ms < 0 || o.timeout_ms > INT32_MAX) {
        return STATUS_INVALID;
    }
    o.default_ttl_ms = or_else(o.default_ttl_ms, 60000);
    o.keep_ms = or_else(o.keep_ms, 3600000);
    o.timeout_ms = or_else(o.timeout_ms, 10000);
    o.clock = o.clock.now_ms ? o.clock : ms_clock_monotonic();
    http_cache *h = calloc(1, sizeof *h);
    if (!h) {
        return STATUS_NO_MEMORY;
    }
    h->options = o;
    h->header.max = HEADER_MAX;
    h->arriving.max = o.max_body_bytes ? o.max_body_bytes : 1 << 20;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (!set_up(h)) {
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
    if (!json_is_string(member)) {
        return member ? STATUS_INVALID : STATUS_MISS;
    }
    *value = (bytes){json_string_value(member), json_string_length(member)};
    return STATUS_OK;
}

status http_json_integer(const http_json *json, const char *name,
                         int64_t *value) {
    const json_t *member = json_object_get((const json_t *)json, name);
    if (!json_is_integer(member)) {
        return member ? STATUS_INVALID : STATUS_MISS;
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
    return ttl_count(h->pages);
}

void http_cache_destroy(http_cache *h) {
    if (h) {
        ttl_destroy(h->pages);
        body_release(h->lent);
        text_clear(&h->header);
        text_clear(&h->arriving);
        curl_easy_cleanup(h->curl);
        curl_global_cleanup();
        free(h);
    }
}
