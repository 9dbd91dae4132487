/* A scripted API: a forked process with libmicrohttpd in it, and between it and
 * the test a page of shared memory. */
#include "support/http.h"

#include "support/check.h"
#include "support/pause.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUTES = 256, MEMORY = 4 << 20, BLOCK = 16 * 1024 };

/* An http_answer with all of its texts in place. */
typedef struct route {
    char path[64];
    http_answer
        answer; /* its pointers lead into the arrays below, or to NULL */
    char header[1024], body[4096], etag[64], changed[64], content_length[32];
    size_t body_len;
} route;

/* A test first plays an answer and then asks for it, so the request keeps the
 * two processes from using a route at the same time. */
typedef struct script {
    route routes[ROUTES];
    atomic_size_t requests, connections;
    char asked[8192]; /* the last request, one line for each field */
} script;

struct http {
    script *script;
    pid_t process; /* 0: killed */
    int port;
};

/* -- in the API's process ------------------------------------------------- */

static const route *route_of(const script *s, const char *path) {
    for (size_t i = 0; i < ROUTES; i++) {
        if (strcmp(s->routes[i].path, path) == 0) {
            return &s->routes[i];
        }
    }
    return NULL;
}

static void note(char *lines, size_t size, const char *name,
                 const char *value) {
    size_t used = strlen(lines);
    snprintf(lines + used, size - used, "%s: %s\n", name, value ? value : "");
}

static enum MHD_Result note_field(void *context, enum MHD_ValueKind kind,
                                  const char *name, const char *value) {
    script *s = context;
    (void)kind;
    note(s->asked, sizeof s->asked, name, value);
    return MHD_YES;
}

/* libmicrohttpd asks for the bytes from `at` on. */
static ssize_t give_body(void *context, uint64_t at, char *out, size_t max) {
    const route *r = context;
    const http_answer *a = &r->answer;
    size_t end = a->body_size ? a->body_size : r->body_len;
    if (a->cut_after && at >= a->cut_after) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (!a->endless && at >= end) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    size_t count = a->endless || max < end - at ? max : end - at;
    if (a->cut_after && count > a->cut_after - at) {
        count = a->cut_after - at;
    }
    count = a->piece && a->piece < count ? a->piece : count;
    pause_ms(a->pause_ms);
    size_t period = r->body_len ? r->body_len : 1; /* "": zero bytes */
    for (size_t i = 0, part; i < count; i += part) {
        size_t from = (at + i) % period;
        part = period - from < count - i ? period - from : count - i;
        memcpy(out + i, r->body + from, part);
    }
    return (ssize_t)count;
}

static void add_fields(struct MHD_Response *response, const char *lines) {
    char copy[sizeof(((route *)NULL)->header)];
    snprintf(copy, sizeof copy, "%s", lines);
    char *rest = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        char *colon = strchr(line, ':');
        *colon = '\0';
        MHD_add_response_header(response, line, colon + 2);
    }
}

static void add_large_field(struct MHD_Response *response, size_t size) {
    char *value = calloc(1, size + 1);
    if (!value) {
        abort();
    }
    memset(value, 'x', size);
    MHD_add_response_header(response, "X-Large", value);
    free(value);
}

static struct MHD_Response *response_of(const route *r, bool empty) {
    const http_answer *a = &r->answer;
    size_t size = a->body_size ? a->body_size : r->body_len;
    struct MHD_Response *response =
        empty ? MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT)
              : MHD_create_response_from_callback(
                  a->endless || a->content_length ? MHD_SIZE_UNKNOWN : size,
                  BLOCK, give_body, (void *)(uintptr_t)r, NULL);
    add_fields(response, r->header);
    if (a->etag) {
        MHD_add_response_header(response, "ETag", a->etag);
    }
    if (a->changed) {
        MHD_add_response_header(response, "Last-Modified", a->changed);
    }
    if (a->header_size) {
        add_large_field(response, a->header_size);
    }
    if (a->content_length && !empty) {
        /* As in HTTP/1.0 the end of the connection ends a body of unknown
         * length, so nothing but the lie says how long it is. */
        MHD_set_response_options(response,
                                 MHD_RF_HTTP_VERSION_1_0_ONLY
                                     | MHD_RF_INSANITY_HEADER_CONTENT_LENGTH,
                                 MHD_RO_END);
        MHD_add_response_header(response, "Content-Length", a->content_length);
    }
    return response;
}

static bool asks_with(struct MHD_Connection *connection, const char *name,
                      const char *value) {
    const char *asked =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    return value && asked && strcmp(asked, value) == 0;
}

static const route unknown = {.answer = {.code = 404}};

static enum MHD_Result answer(void *context, struct MHD_Connection *connection,
                              const char *path, const char *method,
                              const char *version, const char *data,
                              size_t *data_size, void **request) {
    script *s = context;
    (void)version, (void)data, (void)data_size;
    if (!*request) { /* an answer to the header alone would end the connection
                      */
        *request = s;
        return MHD_YES;
    }
    const route *r = route_of(s, path);
    r = r ? r : &unknown;
    snprintf(s->asked, sizeof s->asked, ": %s %s\n", method, path);
    MHD_get_connection_values(connection, MHD_HEADER_KIND, note_field, s);
    s->requests++;
    bool holds =
        asks_with(connection, "If-None-Match", r->answer.etag)
        || asks_with(connection, "If-Modified-Since", r->answer.changed);
    pause_ms(r->answer.delay_ms);
    int code = r->answer.code ? r->answer.code : 200;
    struct MHD_Response *response =
        response_of(r, holds || code == 204 || code == 304);
    enum MHD_Result queued =
        MHD_queue_response(connection, holds ? 304 : (unsigned)code, response);
    MHD_destroy_response(response);
    return queued;
}

static void note_connection(void *context, struct MHD_Connection *connection,
                            void **of_socket,
                            enum MHD_ConnectionNotificationCode code) {
    script *s = context;
    (void)connection, (void)of_socket;
    s->connections += code == MHD_CONNECTION_NOTIFY_STARTED;
}

static _Noreturn void serve(script *s, int listener, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) { /* it died before the line above */
        _exit(1);
    }
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION
            | MHD_USE_SUPPRESS_DATE_NO_CLOCK,
        0, NULL, NULL, answer, s, MHD_OPTION_LISTEN_SOCKET, listener,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
        MHD_OPTION_NOTIFY_CONNECTION, note_connection, s, MHD_OPTION_END);
    while (daemon) { /* until it is killed */
        pause();
    }
    _exit(1);
}

/* -- in the test's -------------------------------------------------------- */

static void must(bool holds, const char *did) {
    want_true(holds, did, "this machine cannot run a server for the test");
    if (!holds) {
        abort(); /* not reached, which a linter cannot know */
    }
}

/* Who connects before the API has begun is kept waiting by the kernel. */
static int listen_on_free_port(int *port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(s >= 0 && bind(s, (struct sockaddr *)&address, size) == 0
             && listen(s, 64) == 0
             && getsockname(s, (struct sockaddr *)&address, &size) == 0,
         "listen on a free port of 127.0.0.1");
    *port = ntohs(address.sin_port);
    return s;
}

http *http_start(void) {
    http *h = calloc(1, sizeof *h);
    if (!h) {
        abort();
    }
    setenv("no_proxy", "127.0.0.1", 1);
    h->script = mmap(NULL, sizeof *h->script, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(h->script != MAP_FAILED, "share memory with a process");
    int listener = listen_on_free_port(&h->port);
    pid_t parent = getpid();
    h->process = fork();
    if (h->process == 0) {
        serve(h->script, listener, parent);
    }
    must(h->process > 0, "start a process");
    close(listener);
    return h;
}

/* A copy of `text` in `place`, or NULL as that is. */
static const char *placed(char *place, size_t size, const char *text) {
    must(!text || strlen(text) < size, "play an answer with a text so long");
    snprintf(place, size, "%s", text ? text : "");
    return text ? place : NULL;
}

void http_play(http *h, const char *path, const http_answer *answer) {
    route *r = (route *)(uintptr_t)route_of(h->script, path);
    r = r ? r : (route *)(uintptr_t)route_of(h->script, "");
    must(r != NULL, "play an answer on so many paths");
    http_answer *a = &r->answer;
    *a = *answer;
    a->header = placed(r->header, sizeof r->header, answer->header);
    a->body = placed(r->body, sizeof r->body, answer->body);
    a->etag = placed(r->etag, sizeof r->etag, answer->etag);
    a->changed = placed(r->changed, sizeof r->changed, answer->changed);
    a->content_length = placed(r->content_length, sizeof r->content_length,
                               answer->content_length);
    r->body_len = strlen(r->body);
    placed(r->path, sizeof r->path, path);
}

const char *http_url(const http *h, const char *path) {
    static char urls[4][128];
    static unsigned turn;
    char *url = urls[turn++ % 4];
    snprintf(url, sizeof urls[0], "http://127.0.0.1:%d%s", h->port, path);
    return url;
}

size_t http_requests(const http *h) {
    return h->script->requests;
}

size_t http_connections(const http *h) {
    return h->script->connections;
}

const char *http_asked(const http *h, const char *name) {
    static char lines[sizeof h->script->asked];
    memcpy(lines, h->script->asked, sizeof lines);
    char *rest = NULL;
    for (char *line = strtok_r(lines, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        char *colon = strchr(line, ':');
        *colon = '\0';
        if (strcasecmp(line, name) == 0) {
            return colon + 2;
        }
    }
    return "";
}

void http_kill(http *h) {
    if (h->process > 0) {
        kill(h->process, SIGKILL);
        waitpid(h->process, NULL, 0);
        h->process = 0;
    }
}

void http_stop(http *h) {
    http_kill(h);
    munmap(h->script, sizeof *h->script);
    free(h);
}
