/* http: a web API for one test, and for nobody else.
 *
 *     http *api = http_start();
 *     http_play(api, "/users/1", &(http_answer){.body = "{}"});
 *     ... ask for http_url(api, "/users/1") ...
 *     want_int(http_requests(api), 1, ...);
 *     http_stop(api);
 *
 * It listens on a free port of 127.0.0.1 and plays what the test wrote down for
 * each path; a path of which it knows nothing is a 404. It is a process of its
 * own (libmicrohttpd, forked), which the kernel kills with the test: so it may
 * be killed itself, what it allocates is not counted, and no thread of it is
 * seen by the tools that watch the test. */
#ifndef SUPPORT_HTTP_H
#define SUPPORT_HTTP_H

#include <stdbool.h>
#include <stddef.h>

typedef struct http http;

/* All zero: a 200 with no body. No Date is sent unless `header` has one. */
typedef struct http_answer {
    int code;           /* 0: 200 */
    const char *header; /* fields, one a line: "Age: 3\nVary: *" */
    const char *body;
    size_t body_size; /* the body is repeated, or cut, to this; 0: as it is */
    const char *etag; /* sent as ETag; who asks with it gets a 304 */
    const char *changed;        /* the same for Last-Modified */
    const char *content_length; /* what is claimed; NULL: the truth */
    size_t header_size; /* of one more field, of that many bytes; 0: none */
    size_t cut_after;   /* the connection ends after so many bytes; 0: not */
    bool endless;       /* the body begins again, for ever */
    int delay_ms;       /* before the answer */
    size_t piece;       /* bytes of body sent at a time; 0: as many as fit */
    int pause_ms;       /* before each piece */
} http_answer;

/* Starts an API that knows no path. Programs that it serves are kept from
 * asking a proxy for it. */
http *http_start(void);

/* What it answers from now on. Neither path nor answer are kept. */
void http_play(http *h, const char *path, const http_answer *answer);

/* The URL of a path; in one of four buffers used in turn. */
const char *http_url(const http *h, const char *path);

/* How many requests, and how many connections, came until now. */
size_t http_requests(const http *h);
size_t http_connections(const http *h);

/* A header field of the last request; "" if it had none of that name. The name
 * "" stands for the first line: "GET /users/1". Lent until the next call. */
const char *http_asked(const http *h, const char *name);

/* Kills the API: nobody listens on its port any more. */
void http_kill(http *h);

/* Kills it if it runs, and frees what belongs to it. */
void http_stop(http *h);

#endif
