/* Three listening sockets, and a child process that serves them all. */
#include "support/script.h"

#include "support/check.h"
#include "support/pause.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINES = 48, LINE_SIZE = 256, TEXT_SIZE = 4096, GUESTS = 16 };
enum { BUFFER_SIZE = 1 << 18, WORDS = 4, WAIT_MS = 1000 };

/* What both processes know of a node. The test writes while the nodes have
 * nothing to do, and reads when it has its answer. */
struct node {
    char says[LINES][LINE_SIZE];
    unsigned lines, said;
    char always[LINE_SIZE]; /* empty: be friendly */
    char heard[TEXT_SIZE];
    size_t heard_len;
    unsigned commands, maps;
    char address[32];
    int listener;
};

struct script {
    struct node nodes[SCRIPT_NODES];
    char map[TEXT_SIZE];
    unsigned hold, commands;
    atomic_bool closed;
    pid_t child;
};

/* A connection, in the child. */
struct guest {
    struct node *node;
    char in[BUFFER_SIZE], out[BUFFER_SIZE];
    size_t in_len, out_len;
    char late[LINE_SIZE]; /* an answer that the guest has to wait for */
    int socket;           /* -1: none */
    bool closing;
};

/* -- the child's part ----------------------------------------------------- */

/* Reads one line of the protocol, "*3" or "$5". Returns: behind it; NULL if it
 * is not all there. */
static const char *read_count(const char *at, const char *end, long *count) {
    const char *cr = memchr(at, '\r', (size_t)(end - at));
    if (!cr || cr + 2 > end) {
        return NULL;
    }
    *count = strtol(at + 1, NULL, 10);
    return cr + 2;
}

/* Reads one command. Returns: behind it; NULL if it is not all there. */
static const char *read_command(const char *at, const char *end,
                                bytes words[WORDS], long *count) {
    at = read_count(at, end, count);
    for (long i = 0; at && i < *count; i++) {
        long len;
        at = read_count(at, end, &len);
        if (!at || end - at < len + 2) {
            return NULL;
        }
        words[i < WORDS ? i : WORDS - 1] = (bytes){at, (size_t)len};
        at += len + 2;
    }
    return at;
}

static void note(struct node *n, const bytes *words, long count) {
    for (long i = 0; i < count; i++) {
        if (n->heard_len + words[i].len + 4 < sizeof n->heard) {
            n->heard_len += (size_t)snprintf(
                n->heard + n->heard_len, sizeof n->heard - n->heard_len,
                "%s%.*s",
                i              ? " "
                : n->heard_len ? ", "
                               : "",
                (int)words[i].len, (const char *)words[i].data);
        }
    }
}

static void put(struct guest *g, const void *data, size_t len) {
    if (len <= sizeof g->out - g->out_len) {
        memcpy(g->out + g->out_len, data, len);
        g->out_len += len;
    }
}

static void put_text(struct guest *g, const char *text) {
    put(g, text, strlen(text));
}

static void put_script(struct guest *g, const char *line) {
    size_t len = strcspn(line, SCRIPT_CLOSE SCRIPT_SILENCE SCRIPT_LATE);
    if (line[len] == SCRIPT_LATE[0]) {
        snprintf(g->late, sizeof g->late, "%.*s", (int)len, line);
        return;
    }
    put(g, line, len);
    g->closing = line[len] == SCRIPT_CLOSE[0];
}

static void be_friendly(struct guest *g, const bytes *words) {
    char head[32];
    if (bytes_equal(words[0], bytes_of("GET"))) {
        snprintf(head, sizeof head, "$%zu\r\n", words[1].len);
        put_text(g, head);
        put(g, words[1].data, words[1].len);
        put_text(g, "\r\n");
    } else {
        put_text(g,
                 bytes_equal(words[0], bytes_of("DEL")) ? ":1\r\n" : "+OK\r\n");
    }
}

static void answer(script *s, struct guest *g, const bytes *words, long count) {
    struct node *n = g->node;
    put_text(g, g->late);
    g->late[0] = '\0';
    if (bytes_equal(words[0], bytes_of("CLUSTER"))) {
        n->maps++;
        put_text(g, s->map);
        return;
    }
    note(n, words, count);
    n->commands++;
    s->commands++;
    if (bytes_equal(words[0], bytes_of("ASKING"))) {
        put_text(g, "+OK\r\n");
    } else if (n->said < n->lines) {
        put_script(g, n->says[n->said++]);
    } else if (n->always[0]) {
        put_script(g, n->always);
    } else {
        be_friendly(g, words);
    }
}

/* Answers all that is there. Returns: false if the guest has gone. */
static bool listen_to(script *s, struct guest *g) {
    ssize_t got = read(g->socket, g->in + g->in_len, sizeof g->in - g->in_len);
    if (got <= 0) {
        return false;
    }
    g->in_len += (size_t)got;
    const char *at = g->in, *end = g->in + g->in_len, *next;
    bytes words[WORDS] = {{0}};
    long count;
    while (!g->closing && at < end
           && (next = read_command(at, end, words, &count))) {
        answer(s, g, words, count);
        at = next;
    }
    memmove(g->in, at, (size_t)(end - at));
    g->in_len = (size_t)(end - at);
    return true;
}

static void dismiss(struct guest *g) {
    close(g->socket);
    g->socket = -1;
}

static void speak(script *s, struct guest *g) {
    send(g->socket, g->out, g->out_len, MSG_NOSIGNAL);
    g->out_len = 0;
    if (g->closing) {
        dismiss(g);
        atomic_store(&s->closed, true);
    }
}

static void welcome(struct guest guests[GUESTS], struct node *n) {
    int socket = accept(n->listener, NULL, NULL);
    for (int i = 0; i < GUESTS; i++) {
        if (guests[i].socket < 0) {
            guests[i].socket = socket;
            guests[i].node = n;
            guests[i].in_len = guests[i].out_len = 0;
            guests[i].closing = false;
            guests[i].late[0] = '\0';
            return;
        }
    }
    close(socket);
}

static _Noreturn void serve(script *s) {
    static struct guest guests[GUESTS];
    struct pollfd p[SCRIPT_NODES + GUESTS];
    for (int i = 0; i < GUESTS; i++) {
        guests[i].socket = -1;
    }
    for (;;) { /* until the parent ends us */
        for (int i = 0; i < SCRIPT_NODES + GUESTS; i++) {
            p[i].fd = i < SCRIPT_NODES ? s->nodes[i].listener
                                       : guests[i - SCRIPT_NODES].socket;
            p[i].events = POLLIN;
        }
        poll(p, SCRIPT_NODES + GUESTS, -1);
        for (int i = 0; i < GUESTS; i++) {
            if (guests[i].socket >= 0 && p[SCRIPT_NODES + i].revents
                && !listen_to(s, &guests[i])) {
                dismiss(&guests[i]);
            }
        }
        for (int i = 0; i < SCRIPT_NODES; i++) {
            if (p[i].revents) {
                welcome(guests, &s->nodes[i]);
            }
        }
        for (int i = 0; i < GUESTS && s->commands >= s->hold; i++) {
            if (guests[i].socket >= 0
                && (guests[i].out_len || guests[i].closing)) {
                speak(s, &guests[i]);
            }
        }
    }
}

/* -- the test's part ------------------------------------------------------ */

static void begin_listening(struct node *n) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    n->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    want_true(bind(n->listener, (struct sockaddr *)&a, sizeof a) == 0
                  && listen(n->listener, GUESTS) == 0
                  && getsockname(n->listener, (struct sockaddr *)&a, &size)
                         == 0,
              "listen on a port of this machine",
              "this machine cannot run a server for the test");
    snprintf(n->address, sizeof n->address, "127.0.0.1:%d", ntohs(a.sin_port));
}

script *script_start(void) {
    script *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    want_true(s != MAP_FAILED, "share memory with a process", "no memory");
    for (int i = 0; i < SCRIPT_NODES; i++) {
        begin_listening(&s->nodes[i]);
    }
    script_map(s, script_thirds(s, 0, 1, 2));
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) { /* it died before the line above */
            _exit(1);
        }
        serve(s);
    }
    for (int i = 0; i < SCRIPT_NODES; i++) {
        close(s->nodes[i].listener);
    }
    want_true(child > 0, "start a process", "no more processes?");
    s->child = child; /* by the parent alone: the memory is shared */
    return s;
}

const char *script_address(const script *s, unsigned node) {
    return s->nodes[node].address;
}

const char *script_thirds(const script *s, unsigned a, unsigned b, unsigned c) {
    static char map[TEXT_SIZE];
    const unsigned owners[] = {a, b, c};
    int used = snprintf(map, sizeof map, "*3\r\n");
    for (unsigned i = 0; i < 3; i++) {
        const char *port = strchr(s->nodes[owners[i]].address, ':') + 1;
        used += snprintf(map + used, sizeof map - (size_t)used,
                         "*3\r\n:%u\r\n:%u\r\n*2\r\n$9\r\n127.0.0.1\r\n:%s\r\n",
                         i * 5461, i == 2 ? 16383 : i * 5461 + 5460, port);
    }
    return map;
}

void script_map(script *s, const char *raw) {
    snprintf(s->map, sizeof s->map, "%s", raw);
}

void script_say(script *s, unsigned node, const char *raw) {
    struct node *n = &s->nodes[node];
    want_true(n->lines < LINES, "script_say", "the script is too long");
    snprintf(n->says[n->lines++], LINE_SIZE, "%s", raw);
}

void script_always(script *s, unsigned node, const char *raw) {
    snprintf(s->nodes[node].always, LINE_SIZE, "%s", raw);
}

void script_hold(script *s, unsigned commands) {
    s->hold = commands;
}

const char *script_heard(const script *s, unsigned node) {
    return s->nodes[node].heard;
}

unsigned script_commands(const script *s, unsigned node) {
    return s->nodes[node].commands;
}

unsigned script_maps(const script *s, unsigned node) {
    return s->nodes[node].maps;
}

void script_wait_closed(const script *s) {
    for (int ms = 0; ms < WAIT_MS && !atomic_load(&s->closed); ms++) {
        pause_ms(1);
    }
}

void script_stop(script *s) {
    if (s) {
        kill(s->child, SIGKILL);
        waitpid(s->child, NULL, 0);
        munmap(s, sizeof *s);
    }
}
