/* http_cache: a private HTTP cache, for a program that asks web APIs.
 *
 *        get("http://api/users/1")                                 the API
 *           |                                                   .-----------.
 *     .-----v------------------------------------.              |           |
 *     | stored and fresh?                        |     GET      |           |
 *     |   yes: given at once                     |------------->|           |
 *     |   no:  ask the API                       |   If-None-   |           |
 *     |          200: given, and stored if the   |  Match: "7"  |           |
 *     |               API lets us                |              |           |
 *     |          304: what we have still holds   |<-------------|           |
 *     |          an error: the old one may stand |  200 or 304  |           |
 *     |               in, where that is allowed  |              '-----------'
 *     '------------------------------------------'
 *
 *     a ttl cache       entries                         contents
 *     +-----------+     +-----------------------+       +-------------------+
 *     | URL -> ---+---->| fresh until 61,000    |   .-->| body, JSON        |
 *     | URL -> ...|     | may be stale until .. |   |   | If-None-Match: .. |
 *     +-----------+     | what the API said  ---+---'   | held by 2         |
 *                       +-----------------------+   .-->+-------------------+
 *                            lent to the caller ----'
 *
 * The API says in the header of each answer how long it is good for; the cache
 * reads that, and asks again in time, with the least that will do. A 304 makes
 * a new entry with the old content, so a content knows how many hold it. For
 * one thread at a time.
 *
 * Source: R. Fielding, M. Nottingham and J. Reschke, "HTTP Caching", RFC 9111,
 * 2022; M. Nottingham, "HTTP Cache-Control Extensions for Stale Content", RFC
 * 5861, 2010. Of these, what a private cache needs that sends nothing but GET:
 *
 *   Cache-Control:
 *     no-store          not stored
 *     no-cache          stored, but asked about each time; never given stale
 *     must-revalidate   never given stale
 *     max-age=N         fresh for N seconds; of several the first counts
 *     stale-if-error=N  may stand in for an error for N seconds after that
 *     others            ignored: they are for shared caches, or extensions
 *   Expires             without max-age: fresh for Expires - Date, both by the
 *                       API's clock; what cannot be read, or has no Date, is
 *                       over already
 *   neither             fresh for default_ttl_ms; nothing is guessed from
 *                       Last-Modified
 *   Age                 so many seconds of that are gone when the answer comes
 *   ETag                asked about with If-None-Match
 *   Last-Modified       without ETag: asked about with If-Modified-Since
 *   Vary: *             not stored
 *   Vary                else nothing to do: every request that a cache sends
 *                       carries the same header fields
 *
 * N is read with or without quotes; one that is no number is 0, one above 2^31
 * is 2^31. Time counts from when the request was sent. The wall clock of this
 * machine is never asked: it may be wrong, and nothing here needs it.
 *
 * Promises
 * [P1] What is not answered from the store is asked for with one GET, over a
 *      connection that stays open for the next. Its body is given byte for
 *      byte, with the code of the answer and where it came from.
 * [P2] Only http:// and https:// are fetched. Anything else is STATUS_INVALID,
 *      and nobody is asked.
 * [P3] What goes wrong ends in a status of its own, and in a line that says
 *      what to do: STATUS_MISS, the API has no such thing (404, 410);
 *      STATUS_INVALID, it refuses the request (any other 4xx);
 *      STATUS_TIMEOUT; STATUS_TOO_LARGE; and STATUS_BACKEND, it failed: nobody
 *      answers, the answer is cut short, or its code is none of these and none
 *      of 2xx. Only STATUS_OK writes the out-parameters.
 * [P4] A body longer than max_body_bytes, or a header longer than 64 KiB, is
 *      STATUS_TOO_LARGE, and no more than that is kept of it, whatever length
 *      was announced and even if it never ends.
 * [P5] A get ends within timeout_ms, all of it together: however slowly the
 *      bytes come, and however many redirects.
 * [P6] A fresh answer is given without a request until its time is over, and
 *      at exactly that millisecond no more. It costs O(1) and no allocation.
 * [P7] Only a 200 is stored, under its whole URL. What ends in STATUS_BACKEND,
 *      STATUS_TIMEOUT or STATUS_TOO_LARGE is never stored and takes nothing
 *      away. Any other answer (another 2xx, a redirect, any 4xx) takes away
 *      what was stored.
 * [P8] How long an answer is fresh, and whether it is stored at all, is as the
 *      table says, to the millisecond.
 * [P9] Names of header fields and of directives count in any case, and several
 *      Cache-Control lines count as one.
 * [P10] An answer with ETag or Last-Modified is kept for keep_ms after it was
 *      fresh. The next request then asks whether it still holds; a 304 renews
 *      it, without a body, by the fields that the 304 brings and the old ones
 *      for the rest; but what is asked with stays that of the 200, whose body
 *      it is.
 * [P11] Redirects (301, 302, 303, 307, 308) are followed, at most 5, and never
 *      to another scheme: further ones are STATUS_BACKEND, and the line for
 *      people names where the last one leads. Each answer is stored under the
 *      URL that gave it, and a redirect is not stored.
 * [P12] Where it is allowed, the answer of the URL that failed stands in for
 *      STATUS_BACKEND and STATUS_TIMEOUT after its time, and is marked as
 *      stale. stale-if-error says for how long; where the API does not say,
 *      stale_if_error_ms does.
 *      At exactly the end of that time it stands in no more.
 * [P13] As JSON a body is parsed once, when it is first asked for so. One that
 *      is no JSON is STATUS_BACKEND, and is not stored by that get.
 * [P14] The statistics count every get once, by how it ended, and every request
 *      that was sent, and every byte of a body that was taken.
 * [P15] When memory runs out, a call says so, and what was stored still is.
 *      What is of no more use is freed: each storing frees up to two others.
 * [P16] Bad options are refused with STATUS_INVALID and have no effect.
 * [P17] Destroy gives back every byte; destroy(NULL) does nothing. */
#ifndef LESSON_HTTP_CACHE_H
#define LESSON_HTTP_CACHE_H

#include "common/bytes.h"
#include "common/clock.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct http_cache http_cache;

/* A parsed body. */
typedef struct http_json http_json;

/* All zero is the default. No time may be negative. */
typedef struct http_cache_options {
    ms_clock clock;            /* of freshness; without now_ms: the machine's
                                  monotonic clock */
    uint64_t seed;             /* start of the hash, as in lesson 2 */
    int64_t default_ttl_ms;    /* fresh so long if the API says nothing; 0:
                                  60,000 */
    int64_t keep_ms;           /* what can be asked about is kept so long after
                                  it was fresh; 0: 3,600,000 */
    int64_t stale_if_error_ms; /* if the API says nothing of stale-if-error; 0:
                                  not at all */
    int64_t timeout_ms;        /* of a whole get, by the machine's clock; at
                                  most INT32_MAX; 0: 10,000 */
    size_t max_body_bytes;     /* 0: 1 MiB */
} http_cache_options;

/* Where an answer came from. */
typedef enum http_cache_from {
    HTTP_CACHE_API,     /* the API sent it, just now */
    HTTP_CACHE_STORED,  /* it was stored, and fresh */
    HTTP_CACHE_RENEWED, /* it was stored, and the API said that it holds */
    HTTP_CACHE_STALE,   /* it was stored, and stands in for an error */
} http_cache_from;

typedef struct http_cache_response {
    int code;   /* of the answer: 200, or another 2xx */
    bytes body; /* lent until the next get, or destroy */
    http_cache_from from;
} http_cache_response;

/* Each get is counted in one of the first five. */
typedef struct http_cache_stats {
    uint64_t hits;     /* given from the store, fresh */
    uint64_t fetched;  /* sent by the API */
    uint64_t renewed;  /* held, says the API */
    uint64_t stale;    /* given from the store, for an error */
    uint64_t failed;   /* ended without an answer */
    uint64_t requests; /* sent, those after a redirect too */
    uint64_t bytes;    /* of bodies taken, whatever became of them */
} http_cache_stats;

/* Makes an empty cache. The first one of a program must be made before it has
 * threads, and a program that fetches https ignores SIGPIPE: both are asked for
 * by libcurl.
 * options: copied; NULL: the default.
 * out: the cache, which the caller ends with http_cache_destroy.
 * Returns: STATUS_OK; STATUS_INVALID: a time is negative or too long;
 * STATUS_NO_MEMORY. *out is written on STATUS_OK only.
 * Cost: O(1). */
status http_cache_create(const http_cache_options *options, http_cache **out);

/* Gives what a URL stands for.
 * url: a text, not NULL; the same text is the same entry.
 * response: out, may be NULL.
 * Returns: STATUS_OK; STATUS_NO_MEMORY; otherwise as [P3] says.
 * Cost: O(1) and O(length of the URL) for what is fresh; otherwise one request,
 * and one for each redirect. */
status http_cache_get(http_cache *h, const char *url,
                      http_cache_response *response);

/* The same, and the body as JSON.
 * json: out, may be NULL; lent as the body is.
 * Returns: as http_cache_get; STATUS_BACKEND also when the body is no JSON
 * array or object. What was stored before then still is, and may stand in as
 * for any other error.
 * Cost: as http_cache_get, and O(length) for the first parse. */
status http_cache_get_json(http_cache *h, const char *url,
                           http_cache_response *response,
                           const http_json **json);

/* Reads a member of a JSON object.
 * name: of the member, a text.
 * value: out, not NULL; UTF-8, any character, lent as the body is.
 * Returns: STATUS_OK; STATUS_MISS: there is no such member, or the JSON is an
 * array; STATUS_INVALID: the member is no text. Cost: O(1) expected. */
status http_json_text(const http_json *json, const char *name, bytes *value);

/* The same for a member that is an integer. */
status http_json_integer(const http_json *json, const char *name,
                         int64_t *value);

/* Why the last get that went wrong did, and what to do: one line, for people.
 * What stood in for an error (HTTP_CACHE_STALE) went wrong, too.
 * Returns: a text, lent until the next get; "" if nothing went wrong yet. */
const char *http_cache_error(const http_cache *h);

/* What the cache has counted since it was made. Cost: O(1). */
http_cache_stats http_cache_statistics(const http_cache *h);

/* The number of answers stored, those too that are of no more use and that
 * nothing has met yet. Cost: O(1). */
size_t http_cache_count(const http_cache *h);

/* Ends the cache and frees all that it holds; NULL is fine. Cost: O(answers
 * stored). */
void http_cache_destroy(http_cache *h);

#endif
