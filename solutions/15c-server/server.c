/* server: sessions that parse and answer, and event loops that carry bytes
 * between them and the sockets. */
#include "server.h"

#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* What 0 in the options stands for. */
enum { MEMORY = 256 << 20, REQUEST = 64 << 20, OUTPUT = 1 << 20 };
enum { CLIENTS = 10000, SHARDS_PER_LOOP = 4 };

enum { FIRST_PLACES = 8, PLACES_KEPT = 1024 };
enum { EVENTS = 16, LOOKS = 256, ACCEPTS = 64, READ_MAX = 64 << 10 };

/* The length of a word has not come yet. */
#define NO_LENGTH SIZE_MAX

struct server_session {
    buffer in, out; /* came, not answered; answered, not taken */
    size_t at;      /* bytes that are read of the command at the start of in */
    size_t left;    /* words of it that are still to come */
    size_t length;  /* of the next word, or NO_LENGTH */
    size_t room;    /* of the call's places */
    char *line;     /* what its words are in, if it is no array */
    call call;
    server *server;
    bool over;
};

struct client {
    struct client *next, *previous; /* in the roster */
    struct loop *loop;
    server_session *session;
    uint32_t events; /* what epoll is to tell */
    int fd;
    bool ended; /* it sends no more */
};

struct loop {
    server *server;
    int epoll; /* -1: none */
    pthread_t thread;
    char input[READ_MAX];
};

struct server {
    server_options options;
    cache *cache;
    pthread_mutex_t writing; /* held by every command that writes */
    pthread_mutex_t roster;  /* held for clients and stats */
    struct client *clients;
    server_stats stats;
    listener listeners[SERVER_ADDRESSES_MAX];
    size_t listening;
    struct loop *loops;
    size_t next_loop; /* for the next client */
    int stop[2];      /* a pipe: a byte in it ends every loop */
    int spare;        /* a descriptor to do without when there is no other */
    char error[256];
};

/* -- the parser ----------------------------------------------------------- */

enum parsed { PARTIAL, WHOLE, BROKEN };

static enum parsed broken(server_session *x, const char *why) {
    call_begin(&x->call);
    call_fail(&x->call, "ERR Protocol error: %s", why);
    x->over = true;
    return BROKEN;
}

/* The room for words grows with those that came, not with what was announced.
 * Without memory the session is over. */
static bool add_word(server_session *x, size_t at, size_t len) {
    call *c = &x->call;
    if (c->count == x->room) {
        size_t room = x->room ? 2 * x->room : FIRST_PLACES;
        place *places = realloc(c->places, room * sizeof *places);
        if (!places) {
            x->over = true;
            return false;
        }
        c->places = places;
        x->room = room;
    }
    c->places[c->count++] = (place){at, len};
    return true;
}

/* Looks for the end of the line at x->at. How long a line may be does not
 * depend on how much of it has come. */
static enum parsed find_end(server_session *x, bytes in, char end,
                            const char *too_big, size_t *len) {
    const char *line = (const char *)in.data + x->at;
    size_t have = in.len - x->at;
    size_t look = have > SERVER_LINE_MAX ? SERVER_LINE_MAX + 1 : have;
    const char *found = look > 0 ? memchr(line, end, look) : NULL;
    if (found) {
        *len = (size_t)(found - line);
        return WHOLE;
    }
    return have > SERVER_LINE_MAX ? broken(x, too_big) : PARTIAL;
}

/* A line of a mark and a number; then come \r and one byte more, which should
 * be \n and which Redis does not look at.
 * *n: LLONG_MAX, more than any bound, if it is no number. */
static enum parsed read_head(server_session *x, bytes in, const char *too_big,
                             char *mark, long long *n) {
    size_t len = 0;
    const char *line = (const char *)in.data + x->at;
    enum parsed p = find_end(x, in, '\r', too_big, &len);
    if (p != WHOLE) {
        return p;
    }
    if (in.len - x->at < len + 2) {
        return PARTIAL;
    }
    *mark = line[0];
    *n = INT64_MAX;
    if (len > 0) {
        word_number((bytes){line + 1, len - 1}, n);
    }
    x->at += len + 2;
    return WHOLE;
}

static enum parsed read_length(server_session *x, bytes in) {
    size_t most = x->server->options.request_bytes;
    char mark;
    long long n;
    enum parsed p = read_head(x, in, "too big bulk count string", &mark, &n);
    if (p != WHOLE) {
        return p;
    }
    if (mark != '$') {
        char why[] = "expected '$', got ' '";
        why[sizeof why - 3] = mark ? mark : ' ';
        return broken(x, why);
    }
    if (n < 0 || x->at > most || (unsigned long long)n > most - x->at) {
        return broken(x, "invalid bulk length");
    }
    x->length = (size_t)n;
    return WHOLE;
}

static enum parsed read_word(server_session *x, bytes in) {
    enum parsed p = x->length == NO_LENGTH ? read_length(x, in) : WHOLE;
    if (p != WHOLE) {
        return p;
    }
    if (in.len - x->at < x->length + 2) { /* no overflow: it is bounded */
        return PARTIAL;
    }
    p = add_word(x, x->at, x->length) ? WHOLE : BROKEN;
    x->at += x->length + 2;
    x->length = NO_LENGTH;
    return p;
}

/* Goes on where the input last ended: a command that comes in n pieces must not
 * cost n times its length. */
static enum parsed read_array(server_session *x, bytes in) {
    enum parsed p = WHOLE;
    if (x->at == 0) {
        char mark;
        long long n;
        p = read_head(x, in, "too big mbulk count string", &mark, &n);
        if (p == WHOLE && n > (long long)SERVER_WORDS_MAX) {
            return broken(x, "invalid multibulk length");
        }
        x->left = p == WHOLE && n > 0 ? (size_t)n : 0;
    }
    x->call.base = in.data;
    while (p == WHOLE && x->left > 0) {
        p = read_word(x, in);
        x->left -= p == WHOLE;
    }
    return p;
}

static enum parsed read_line(server_session *x, bytes in) {
    size_t len;
    enum parsed p = find_end(x, in, '\n', "too big inline request", &len);
    if (p != WHOLE) {
        return p;
    }
    x->at = len + 1;
    x->line = malloc(len + 1);
    if (!x->line) {
        x->over = true;
        return BROKEN;
    }
    memcpy(x->line, in.data, len);
    x->line[len] = '\0';
    x->call.base = x->line;
    const char *from = x->line;
    char *to = x->line;
    int more;
    while ((more = word_next(&from, to, &len)) > 0) {
        if (!add_word(x, (size_t)(to - x->line), len)) {
            return BROKEN;
        }
        to += len;
    }
    return more < 0 ? broken(x, "unbalanced quotes in request") : WHOLE;
}

static void forget_command(server_session *x) {
    free(x->line);
    x->line = NULL;
    x->at = x->left = x->call.count = 0;
    x->length = NO_LENGTH;
    if (x->room > PLACES_KEPT) {
        free(x->call.places);
        x->call.places = NULL;
        x->room = 0;
    }
}

/* -- commands ------------------------------------------------------------- */

static void run_get(call *c, int detail) {
    call_put_value(c, call_word(c, 1));
}

/* What may stand behind SET key value. */
struct set_options {
    bool absent, present, get, keep;
    int unit;    /* of the time, in ms; 0: there is none */
    size_t time; /* which word that is */
};

static bool read_set_options(const call *c, struct set_options *o) {
    for (size_t i = 3; i < c->count; i++) {
        bytes w = call_word(c, i);
        int unit = word_is(w, "ex") ? 1000 : word_is(w, "px") ? 1 : 0;
        if (unit && !o->keep && (!o->unit || o->unit == unit)
            && i + 1 < c->count) {
            o->unit = unit;
            o->time = ++i;
        } else if (word_is(w, "nx") && !o->present) {
            o->absent = true;
        } else if (word_is(w, "xx") && !o->absent) {
            o->present = true;
        } else if (word_is(w, "keepttl") && !o->unit) {
            o->keep = true;
        } else if (word_is(w, "get")) {
            o->get = true;
        } else {
            return false;
        }
    }
    return true;
}

static void run_set(call *c, int detail) {
    struct set_options o = {0};
    int64_t ms = CACHE_NEVER, left = CACHE_NEVER;
    bytes key = call_word(c, 1);
    if (!read_set_options(c, &o)) {
        call_fail(c, "ERR syntax error");
        return;
    }
    if (o.unit && !call_time(c, o.time, o.unit, &ms)) {
        return;
    }
    bool there = (o.absent || o.present || o.keep) && call_find(c, key, &left);
    if (o.get) {
        call_put_value(c, key);
    }
    if ((o.absent && there) || (o.present && !there)) {
        call_put_text(c, o.get ? "" : "$-1\r\n");
    } else if (call_store(c, key, call_word(c, 2), o.keep ? left : ms)) {
        call_put_text(c, o.get ? "" : "+OK\r\n");
    }
}

static void run_del(call *c, int detail) {
    long long deleted = 0;
    for (size_t i = 1; i < c->count; i++) {
        deleted += cache_delete(c->cache, call_word(c, i));
    }
    call_put_number(c, ':', deleted);
}

static void run_exists(call *c, int detail) {
    long long found = 0;
    int64_t left;
    for (size_t i = 1; i < c->count; i++) {
        found += call_find(c, call_word(c, i), &left);
    }
    call_put_number(c, ':', found);
}

static void run_ttl(call *c, int unit) {
    int64_t left;
    if (!call_find(c, call_word(c, 1), &left)) {
        call_put_text(c, ":-2\r\n");
    } else if (left == CACHE_NEVER) {
        call_put_text(c, ":-1\r\n");
    } else {
        call_put_number(c, ':', (left + unit / 2) / unit);
    }
}

static void run_ping(call *c, int detail) {
    if (c->count > 2) {
        call_fail(c, "ERR wrong number of arguments for 'ping' command");
    } else if (c->count == 2) {
        call_put_bulk(c, call_word(c, 1));
    } else {
        call_put_text(c, "+PONG\r\n");
    }
}

static void run_echo(call *c, int detail) {
    call_put_bulk(c, call_word(c, 1));
}

static void run_quit(call *c, int detail) {
    call_put_text(c, "+OK\r\n");
    c->wants_to_end = true;
}

/* Those that are asked for most come first. */
static const command commands[] = {
    {"get", 2, false, run_get, 0},    {"set", -3, true, run_set, 0},
    {"del", -2, true, run_del, 0},    {"exists", -2, false, run_exists, 0},
    {"ttl", 2, false, run_ttl, 1000}, {"pttl", 2, false, run_ttl, 1},
    {"unlink", -2, true, run_del, 0}, {"ping", -1, false, run_ping, 0},
    {"echo", 2, false, run_echo, 0},  {"quit", -1, false, run_quit, 0},
    {NULL, 0, false, NULL, 0},
};

static const command *find_command(const command *table, bytes name) {
    while (table->name && !word_is(name, table->name)) {
        table++;
    }
    return table->name ? table : NULL;
}

static void run(server *s, const command *found, call *c) {
    if (!found) {
        call_fail_unknown(c);
    } else if (found->words < 0 ? c->count < (size_t)-found->words
                                : c->count != (size_t)found->words) {
        call_fail(c, "ERR wrong number of arguments for '%s' command",
                  found->name);
    } else if (found->writes) {
        pthread_mutex_lock(&s->writing);
        found->run(c, found->detail);
        pthread_mutex_unlock(&s->writing);
    } else {
        found->run(c, found->detail);
    }
}

static void answer(server_session *x) {
    call *c = &x->call;
    bytes name = call_word(c, 0);
    const command *found = find_command(commands, name);
    call_begin(c);
    run(x->server, found ? found : find_command(more_commands, name), c);
    if (c->failed) {
        c->failed = false;
        call_fail(c, "ERR the answer is too long, or memory is short");
    }
    if (c->failed) { /* not even room for that */
        x->out.end = x->out.start + c->before;
    }
    x->over = x->over || c->failed || c->wants_to_end;
}

/* -- the server ----------------------------------------------------------- */

static server_options with_defaults(const server_options *options) {
    server_options o = options ? *options : (server_options){0};
    o.memory_bytes = o.memory_bytes ? o.memory_bytes : MEMORY;
    o.loops = o.loops ? o.loops : 1;
    o.max_clients = o.max_clients ? o.max_clients : CLIENTS;
    o.request_bytes = o.request_bytes ? o.request_bytes : REQUEST;
    o.output_bytes = o.output_bytes ? o.output_bytes : OUTPUT;
    return o;
}

/* A single loop never waits for a lock, and one shard takes the largest
 * entries: no entry may be larger than an eighth of one. So several loops have
 * few shards, too. */
static status create_cache(server *s) {
    size_t shards =
        s->options.loops > 1 ? SHARDS_PER_LOOP * s->options.loops : 1;
    cache_options o = {.entry_bytes = s->options.entry_bytes,
                       .clock = s->options.clock,
                       .seed = s->options.seed};
    return cache_create(s->options.memory_bytes, shards, &o, &s->cache);
}

static bool open_descriptors(server *s) {
    if (pipe(s->stop) != 0) {
        return false;
    }
    s->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (s->spare >= 0 && listener_unblock(s->stop[0])
        && listener_unblock(s->stop[1])) {
        return true;
    }
    close(s->spare);
    close(s->stop[0]);
    close(s->stop[1]);
    return false;
}

status server_create(const server_options *options, server **out) {
    server_options o = with_defaults(options);
    if (o.loops > SERVER_LOOPS_MAX) {
        return STATUS_INVALID;
    }
    status result = STATUS_NO_MEMORY;
    server *s = calloc(1, sizeof *s);
    if (!s) {
        return result;
    }
    s->options = o;
    s->loops = calloc(o.loops, sizeof *s->loops);
    if (!s->loops) {
        goto no_loops;
    }
    for (size_t i = 0; i < o.loops; i++) {
        s->loops[i].server = s;
    }
    result = create_cache(s);
    if (result != STATUS_OK) {
        goto no_cache;
    }
    result = STATUS_BACKEND;
    if (!open_descriptors(s)) {
        goto no_descriptors;
    }
    pthread_mutex_init(&s->writing, NULL);
    pthread_mutex_init(&s->roster, NULL);
    *out = s;
    return STATUS_OK;
no_descriptors:
    cache_destroy(s->cache);
no_cache:
    free(s->loops);
no_loops:
    free(s);
    return result;
}

/* -- sessions ------------------------------------------------------------- */

server_session *server_session_create(server *s) {
    server_session *x = calloc(1, sizeof *x);
    if (x) {
        x->server = s;
        x->length = NO_LENGTH;
        x->call = (call){.server = s,
                         .cache = s->cache,
                         .out = &x->out,
                         .most = s->options.request_bytes};
    }
    return x;
}

static bool is_full(const server_session *x) {
    return buffer_len(&x->out) >= x->server->options.output_bytes;
}

/* How many commands are looked at ahead, and how many words each may have. */
enum { AHEAD = 16, AHEAD_WORDS = 8 };

/* Looks at a line of this mark and a number; errors are left to read_head.
 * at: in and out. Returns: whether it is all there, and such a line. */
static bool look_at_head(bytes in, size_t *at, char mark, size_t *n) {
    const char *line = (const char *)in.data + *at;
    size_t have = in.len - *at, len = 1;
    size_t most = have < HEAD_MAX ? have : HEAD_MAX;
    if (have == 0 || line[0] != mark) {
        return false;
    }
    while (len < most && line[len] != '\r') {
        len++;
    }
    long long number;
    if (len + 2 > have || !word_number((bytes){line + 1, len - 1}, &number)
        || number < 0) {
        return false;
    }
    *n = (size_t)number;
    *at += len + 2;
    return true;
}

/* Looks at the command that the input begins with.
 * key: out; the word behind its name, which is a key in nearly all of them.
 * Returns: its length; 0 if it is not whole, or no array of few words. */
static size_t look_at_command(bytes in, bytes *key) {
    size_t at = 0, words, len;
    if (!look_at_head(in, &at, '*', &words) || words < 2
        || words > AHEAD_WORDS) {
        return 0;
    }
    for (size_t i = 0; i < words; i++) {
        if (!look_at_head(in, &at, '$', &len) || in.len - at < 2
            || len > in.len - at - 2) {
            return 0;
        }
        if (i == 1) {
            *key = (bytes){(const char *)in.data + at, len};
        }
        at += len + 2;
    }
    return at;
}

/* Tells the cache which keys the next commands name, so that it need not wait
 * for memory at each of them.
 * Returns: how many bytes these commands have. */
static size_t expect_keys(const server_session *x, bytes in) {
    bytes keys[AHEAD];
    size_t n = 0, at = 0, len = 1;
    while (n < AHEAD && len > 0) {
        bytes rest = {(const char *)in.data + at, in.len - at};
        len = look_at_command(rest, &keys[n]);
        n += len > 0;
        at += len;
    }
    if (n > 1) {
        cache_expect(x->server->cache, keys, n);
    }
    return at;
}

/* Answers the commands in the input, as long as there is room for answers. What
 * is half read is not looked at ahead, or each piece of it would be.
 * Returns: how many bytes are done with. */
static size_t answer_all(server_session *x, bytes in) {
    size_t done = 0, expected = 0;
    while (done < in.len && !x->over && !is_full(x)) {
        bytes rest = {(const char *)in.data + done, in.len - done};
        if (done >= expected && x->at == 0) {
            expected = done + expect_keys(x, rest);
        }
        bool is_array = *(const char *)rest.data == '*';
        enum parsed p = is_array ? read_array(x, rest) : read_line(x, rest);
        if (p == PARTIAL) {
            break;
        }
        if (p == WHOLE && x->call.count > 0) {
            answer(x);
        }
        done += x->at;
        forget_command(x);
    }
    return x->over ? in.len : done;
}

static void answer_waiting(server_session *x) {
    if (buffer_len(&x->in) > 0) {
        bytes in = {x->in.data + x->in.start, buffer_len(&x->in)};
        buffer_drop(&x->in, answer_all(x, in));
    }
}

/* Commands are answered where they lie, in the caller's bytes; only what is not
 * whole is copied. */
void server_session_feed(server_session *x, bytes input) {
    if (x->over || input.len == 0) {
        return;
    }
    bool in_order = buffer_len(&x->in) == 0;
    size_t done = in_order ? answer_all(x, input) : 0;
    bytes rest = {(const char *)input.data + done, input.len - done};
    if (!buffer_add(&x->in, rest)) {
        x->over = true;
    }
    if (!in_order) {
        answer_waiting(x);
    }
}

bytes server_session_output(const server_session *x) {
    size_t len = buffer_len(&x->out);
    return (bytes){len > 0 ? x->out.data + x->out.start : NULL, len};
}

void server_session_take(server_session *x, size_t n) {
    buffer_drop(&x->out, n);
    answer_waiting(x);
}

bool server_session_wants_input(const server_session *x) {
    return !x->over && !is_full(x);
}

bool server_session_is_over(const server_session *x) {
    return x->over;
}

void server_session_destroy(server_session *x) {
    if (x) {
        free(x->in.data);
        free(x->out.data);
        free(x->line);
        free(x->call.places);
        free(x);
    }
}

/* -- clients -------------------------------------------------------------- */

/* Whether there is room for one more client. */
static bool enter_roster(struct client *c, server *s) {
    pthread_mutex_lock(&s->roster);
    bool room = s->stats.clients < s->options.max_clients;
    if (room) {
        s->stats.clients++;
        s->stats.accepted++;
        c->next = s->clients;
        if (c->next) {
            c->next->previous = c;
        }
        s->clients = c;
    }
    pthread_mutex_unlock(&s->roster);
    return room;
}

static void leave_roster(struct client *c, server *s) {
    pthread_mutex_lock(&s->roster);
    *(c->previous ? &c->previous->next : &s->clients) = c->next;
    if (c->next) {
        c->next->previous = c->previous;
    }
    s->stats.clients--;
    pthread_mutex_unlock(&s->roster);
}

static void hang_up(struct client *c) {
    leave_roster(c, c->loop->server);
    close(c->fd); /* which takes it out of epoll */
    server_session_destroy(c->session);
    free(c);
}

/* Reads once, not until there is no more: the others have their turn, too.
 * Returns: whether the connection still stands. */
static bool receive(struct client *c) {
    ssize_t n = recv(c->fd, c->loop->input, READ_MAX, 0);
    if (n > 0) {
        server_session_feed(c->session, (bytes){c->loop->input, (size_t)n});
    }
    c->ended = n == 0;
    return n >= 0 || errno == EAGAIN || errno == EINTR;
}

/* Sends what the socket takes. Returns: as receive. */
static bool send_answers(struct client *c) {
    bytes out = server_session_output(c->session);
    if (out.len == 0) {
        return true;
    }
    ssize_t n = send(c->fd, out.data, out.len, MSG_NOSIGNAL);
    if (n > 0) {
        server_session_take(c->session, (size_t)n);
    }
    return n >= 0 || errno == EAGAIN || errno == EINTR;
}

/* Lets epoll tell what we can use: input if we take more, and that there is
 * room for output if some waits. Returns: whether there is anything. */
static bool watch(struct client *c) {
    bool reads = !c->ended && server_session_wants_input(c->session);
    bool writes = server_session_output(c->session).len > 0;
    uint32_t events = (reads ? EPOLLIN : 0u) | (writes ? EPOLLOUT : 0u);
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (events != c->events
        && epoll_ctl(c->loop->epoll, EPOLL_CTL_MOD, c->fd, &e) != 0) {
        return false;
    }
    c->events = events;
    return events != 0;
}

/* Returns: whether the client is still there. */
static bool hear(struct client *c) {
    bool reads = !c->ended && server_session_wants_input(c->session);
    bool there = !reads || receive(c);
    if (!there) {
        hang_up(c);
    }
    return there;
}

static void speak(struct client *c) {
    if (!send_answers(c) || !watch(c)) {
        hang_up(c);
    }
}

/* -- newcomers ------------------------------------------------------------ */

static void refuse(server *s, int fd) {
    static const char why[] = "-ERR max number of clients reached\r\n";
    pthread_mutex_lock(&s->roster);
    s->stats.refused++;
    pthread_mutex_unlock(&s->roster);
    send(fd, why, sizeof why - 1, MSG_NOSIGNAL);
    close(fd);
}

/* From epoll_ctl on the client belongs to its loop, which may end it at once:
 * it is not touched here any more. */
static void admit(server *s, int fd) {
    int one = 1;
    struct client *c = calloc(1, sizeof *c);
    server_session *x = server_session_create(s);
    if (!c || !x || !listener_unblock(fd) || !enter_roster(c, s)) {
        refuse(s, fd);
        server_session_destroy(x);
        free(c);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->fd = fd;
    c->session = x;
    c->events = EPOLLIN;
    c->loop = &s->loops[s->next_loop++ % s->options.loops];
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(c->loop->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
        hang_up(c);
    }
}

/* There is no descriptor left, and the newcomer would wake us over and over:
 * the spare one makes room to take him and turn him away. */
static void turn_away(server *s, int listening) {
    close(s->spare);
    int fd = accept(listening, NULL, NULL);
    if (fd >= 0) {
        refuse(s, fd);
    }
    s->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void accept_some(server *s, int listening) {
    for (size_t i = 0; i < ACCEPTS; i++) {
        int fd = accept(listening, NULL, NULL);
        if (fd >= 0) {
            admit(s, fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            turn_away(s, listening);
        } else {
            return; /* nobody is there any more */
        }
    }
}

/* -- loops ---------------------------------------------------------------- */

/* Returns: the socket that listens, if p is one; else -1. */
static int listening_at(const server *s, const void *p) {
    for (size_t i = 0; i < s->listening; i++) {
        if (p == &s->listeners[i]) {
            return s->listeners[i].fd;
        }
    }
    return -1;
}

/* Who sleeps must be woken, and it is the client that pays for it: with a good
 * part of what a short request costs him. So a loop that had work looks some
 * more times before it sleeps, and lets others have the processor in between.
 * Returns: as epoll_wait. */
static int wait_for_events(const struct loop *l, struct epoll_event *events) {
    for (int i = 0; i < LOOKS; i++) {
        int n = epoll_wait(l->epoll, events, EVENTS, 0);
        if (n != 0) {
            return n;
        }
        sched_yield();
    }
    return epoll_wait(l->epoll, events, EVENTS, -1);
}

/* First all are heard, then all are spoken to: a send wakes who waits for it,
 * and who has many connections wakes less often when several have answers. A
 * turn is short, so that the first one heard does not wait long.
 * Returns: whether there is another turn; the pipe is never read, so that each
 * loop sees the byte. */
static bool take_turn(struct loop *l) {
    struct epoll_event events[EVENTS];
    struct client *heard[EVENTS];
    size_t count = 0;
    bool stopped = false;
    int n = wait_for_events(l, events);
    for (int i = 0; i < n; i++) {
        void *p = events[i].data.ptr;
        if (p == l->server) {
            stopped = true;
        } else if (listening_at(l->server, p) >= 0) {
            accept_some(l->server, listening_at(l->server, p));
        } else if (hear(p)) {
            heard[count++] = p;
        }
    }
    for (size_t i = 0; i < count; i++) {
        speak(heard[i]);
    }
    return !stopped;
}

/* Until server_stop. */
static void *run_loop(void *context) {
    while (take_turn(context)) {
    }
    return NULL;
}

static bool watch_for_input(int epoll, int fd, void *whose) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = whose};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

/* Each loop waits for the end; the first one for newcomers, too. */
static bool open_loops(server *s) {
    bool good = true;
    for (size_t i = 0; i < s->options.loops; i++) {
        struct loop *l = &s->loops[i];
        l->epoll = epoll_create1(EPOLL_CLOEXEC);
        good =
            good && l->epoll >= 0 && watch_for_input(l->epoll, s->stop[0], s);
    }
    for (size_t i = 0; i < s->listening; i++) {
        listener *l = &s->listeners[i];
        good = good && watch_for_input(s->loops[0].epoll, l->fd, l);
    }
    return good;
}

static void close_loops(server *s) {
    while (s->clients) {
        send_answers(s->clients);
        hang_up(s->clients);
    }
    for (size_t i = 0; i < s->options.loops; i++) {
        if (s->loops[i].epoll >= 0) {
            close(s->loops[i].epoll);
        }
    }
}

static void close_listeners(server *s) {
    while (s->listening > 0) {
        listener_close(&s->listeners[--s->listening]);
    }
}

/* -- the life of a server ------------------------------------------------- */

status server_listen(server *s, const char *address) {
    s->error[0] = '\0';
    if (s->listening == SERVER_ADDRESSES_MAX) {
        snprintf(s->error, sizeof s->error, "%s: one address too many",
                 address);
        return STATUS_INVALID;
    }
    status result =
        listener_open(address, &s->listeners[s->listening], s->error);
    s->listening += result == STATUS_OK;
    return result;
}

const char *server_error(const server *s) {
    return s->error;
}

int server_port(const server *s) {
    int port = 0;
    for (size_t i = 0; i < s->listening; i++) {
        port = s->listeners[i].port ? s->listeners[i].port : port;
    }
    return port;
}

status server_run(server *s) {
    size_t started = 1;
    bool good = open_loops(s);
    s->error[0] = '\0';
    while (good && started < s->options.loops) {
        struct loop *l = &s->loops[started];
        good = pthread_create(&l->thread, NULL, run_loop, l) == 0;
        started += good;
    }
    if (good) {
        run_loop(&s->loops[0]);
    } else {
        snprintf(s->error, sizeof s->error, "no loops: %s", strerror(errno));
        server_stop(s);
    }
    for (size_t i = 1; i < started; i++) {
        pthread_join(s->loops[i].thread, NULL);
    }
    close_listeners(s);
    close_loops(s);
    return good ? STATUS_OK : STATUS_BACKEND;
}

void server_stop(server *s) {
    int before = errno; /* a signal handler leaves it alone */
    ssize_t written = write(s->stop[1], "", 1);
    (void)written; /* the pipe is full: then there is a byte in it */
    errno = before;
}

server_stats server_statistics(server *s) {
    pthread_mutex_lock(&s->roster);
    server_stats stats = s->stats;
    pthread_mutex_unlock(&s->roster);
    stats.max_clients = s->options.max_clients;
    stats.memory_bytes = s->options.memory_bytes;
    return stats;
}

void server_destroy(server *s) {
    if (s) {
        close_listeners(s);
        close(s->stop[0]);
        close(s->stop[1]);
        close(s->spare);
        pthread_mutex_destroy(&s->writing);
        pthread_mutex_destroy(&s->roster);
        cache_destroy(s->cache);
        free(s->loops);
        free(s);
    }
}
