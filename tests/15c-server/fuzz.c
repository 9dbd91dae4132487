/* What the fuzzer calls with bytes of its own: they are the input of two
 * sessions, one that gets them whole and one that gets them in pieces and whose
 * answers are taken in portions. Both must say the same [P1]; and whatever they
 * get, neither may crash, which the sanitizers see. The bounds are low, so that
 * short inputs reach them. */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY = 16384, REQUEST = 1024, OUTPUT = 256, SAID_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct talk {
    server *server;
    server_session *session;
    char *said;
    size_t len;
};

static int64_t now = 1;

static struct talk begin(void) {
    struct talk t = {.said = malloc(SAID_MAX)};
    server_options o = {.memory_bytes = MEMORY,
                        .request_bytes = REQUEST,
                        .output_bytes = OUTPUT,
                        .clock = ms_clock_frozen(&now)};
    if (!t.said || server_create(&o, &t.server) != STATUS_OK) {
        abort();
    }
    t.session = server_session_create(t.server);
    return t;
}

/* Takes at most n bytes of what it says; no more is kept than there is room. */
static void hear(struct talk *t, size_t n) {
    bytes out = server_session_output(t->session);
    n = n < out.len ? n : out.len;
    size_t keep = n < SAID_MAX - t->len ? n : SAID_MAX - t->len;
    if (n > 0) {
        memcpy(t->said + t->len, out.data, keep);
        t->len += keep;
        server_session_take(t->session, n);
    }
}

static void hear_all(struct talk *t) {
    while (server_session_output(t->session).len > 0) {
        hear(t, SIZE_MAX);
    }
}

static void end(struct talk *t) {
    server_session_destroy(t->session);
    server_destroy(t->server);
    free(t->said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t piece = size > 0 ? 1 + data[0] % 16u : 1;
    bytes input = {data + (size > 0), size - (size > 0)};
    struct talk whole = begin(), cut = begin();
    server_session_feed(whole.session, input);
    hear_all(&whole);
    for (size_t at = 0; at < input.len; at += piece) {
        size_t n = piece < input.len - at ? piece : input.len - at;
        server_session_feed(cut.session,
                            (bytes){(const char *)input.data + at, n});
        hear(&cut, at % 7 * piece);
    }
    hear_all(&cut);
    if (whole.len != cut.len || memcmp(whole.said, cut.said, cut.len) != 0
        || server_session_is_over(whole.session)
               != server_session_is_over(cut.session)) {
        fprintf(stderr, "whole, it says\n%.*s\nand in pieces of %zu\n%.*s\n",
                (int)whole.len, whole.said, piece, (int)cut.len, cut.said);
        abort();
    }
    end(&whole);
    end(&cut);
    return 0;
}
