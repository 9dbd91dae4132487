/* Tests of the cache behind a socket. Most ask a real Redis; some ask a peer,
 * a process of our own that does what a Redis does only on a bad day. */
#include "redis_cache.h"

#include "support/check.h"
#include "support/crash.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/pause.h"
#include "support/redis.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A call that must fail is over soon, and in much less than this. */
enum { SHORT_MS = 60, LONGER_MS = 300, MUCH_LATER_MS = 1000 };

/* A timeout that is enough for any answer that comes, under Valgrind too. */
static int patience_ms(void) {
    return (int)test_scale(1500, 10000);
}

/* One that is enough for a quick answer, and for which a test can wait. */
static int some_ms(void) {
    return (int)test_scale(300, 1500);
}

#define NOWHERE "/nowhere/redis.sock"

static redis_cache *cache_at(const char *address, int timeout_ms) {
    redis_cache *r = NULL;
    signal(SIGPIPE, SIG_IGN);
    want_status(redis_cache_create(address, timeout_ms, &r), STATUS_OK,
                text("redis_cache_create(\"%s\", %d, &r)", address, timeout_ms),
                "that is a good address, and nobody need be there yet");
    want_true(r != NULL, "redis_cache_create, look at r",
              "create says ok and does not write the cache to *out");
    return r;
}

static redis_cache *cache_of(const redis *server) {
    return cache_at(redis_path(server), patience_ms());
}

/* What a test takes for granted. */
static void set(redis_cache *r, const char *key, const char *value) {
    want_status(redis_cache_set(r, bytes_of(key), bytes_of(value)), STATUS_OK,
                text("set %s=%.40s", key, value),
                "a set that Redis confirms is ok");
}

/* The value as a text, in one of text()'s buffers; on anything but a hit, the
 * status. */
static const char *get(redis_cache *r, const char *key) {
    bytes value = {0};
    status s = redis_cache_get(r, bytes_of(key), &value);
    if (s != STATUS_OK) {
        return text("(%s)", status_name(s));
    }
    return text("%.*s", (int)value.len, (const char *)value.data);
}

static void want_error_line(const redis_cache *r, const char *part,
                            const char *did) {
    const char *line = redis_cache_error(r);
    want_that(line && strstr(line, part) && !strchr(line, '\n'),
              "%s, redis_cache_error\nwanted  one line with \"%s\" in it\n"
              "got     \"%s\"\nlikely  a failure says to people, too, what "
              "went wrong",
              did, part, line ? line : "NULL");
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- a peer: one process, and what was heard there ------------------------ */

struct heard {
    atomic_size_t connections, commands;
    atomic_size_t most;  /* commands that waited for an answer at once */
    atomic_size_t ahead; /* commands that came before the first answer */
};

struct peer {
    pid_t child;
    char address[32];
    struct heard *heard;
};

/* The commands that come in, however they were cut up on the way: a line that
 * says how many words, and two lines for each of them. */
struct ear {
    int socket;
    char bytes[4096];
    ssize_t at, end;
    char last; /* the last byte of the last word */
};

/* Returns: the next byte, -1 when the caller has hung up. */
static int next_byte(struct ear *e) {
    if (e->at == e->end) {
        e->end = recv(e->socket, e->bytes, sizeof e->bytes, 0);
        e->at = 0;
    }
    return e->end > 0 ? (unsigned char)e->bytes[e->at++] : -1;
}

/* Reads one command. Returns: whether one came. */
static bool hear(struct ear *e, struct heard *h) {
    int c = next_byte(e), words = next_byte(e) - '0';
    if (c != '*') {
        return false;
    }
    for (int lines = 0; lines < 1 + 2 * words;) {
        c = next_byte(e);
        if (c < 0) {
            return false;
        }
        lines += c == '\n';
        e->last = c == '\r' || c == '\n' ? e->last : (char)c;
    }
    h->commands++;
    return true;
}

/* The same, unless nothing comes for so long. */
static bool hear_within(struct ear *e, struct heard *h, size_t ms) {
    struct pollfd p = {.fd = e->socket, .events = POLLIN};
    return (e->at < e->end || poll(&p, 1, (int)ms) > 0) && hear(e, h);
}

/* Hears up to n commands before the first answer: fewer when the caller sends
 * no more of them without one. */
static void hear_ahead(struct ear *e, struct heard *h, size_t n) {
    size_t silence_ms = test_scale(200, 2000), came = hear(e, h);
    while (came < n && hear_within(e, h, silence_ms)) {
        came++;
    }
    h->ahead = came;
}

static void say(const struct ear *e, const char *answer) {
    size_t len = strlen(answer);
    while (len > 0) {
        ssize_t sent = send(e->socket, answer, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        answer += sent;
        len -= (size_t)sent;
    }
}

/* One answer to all that it hears. */
static void say_always(struct ear *e, struct heard *h, const char *answer) {
    while (hear(e, h)) {
        say(e, answer);
    }
}

/* The next caller. */
static struct ear pick_up(int listener, struct heard *h) {
    struct ear e = {.socket = accept(listener, NULL, NULL)};
    h->connections++;
    return e;
}

static int listen_somewhere(char *address, size_t size) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), little = 64 << 10;
    setsockopt(s, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    setsockopt(s, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    want_true(bind(s, (struct sockaddr *)&a, sizeof a) == 0 && listen(s, 8) == 0
                  && getsockname(s, (struct sockaddr *)&a, &len) == 0,
              "listen on a port", "this machine has no loopback");
    snprintf(address, size, "127.0.0.1:%d", ntohs(a.sin_port));
    return s;
}

/* Starts a process that answers callers in its own way, until it is ended. */
static struct peer peer_start_at(int listener,
                                 void (*answer)(int listener,
                                                struct heard *h)) {
    struct peer p = {0};
    p.heard = mmap(NULL, sizeof *p.heard, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    want_true(p.heard != MAP_FAILED, "share a page", "no more?");
    p.child = fork();
    if (p.child == 0) {
        crash_ignore();
        test_ends_us();
        alarm(30);
        for (;;) {
            answer(listener, p.heard);
        }
    }
    close(listener);
    want_true(p.child > 0, "start a process", "no more?");
    return p;
}

static struct peer peer_start(void (*answer)(int listener, struct heard *h)) {
    char address[32];
    int listener = listen_somewhere(address, sizeof address);
    struct peer p = peer_start_at(listener, answer);
    memcpy(p.address, address, sizeof address);
    return p;
}

static void peer_stop(struct peer *p) {
    kill(p->child, SIGKILL);
    waitpid(p->child, NULL, 0);
    munmap(p->heard, sizeof *p->heard);
}

/* --- 8.1: create, destroy --------------------------------------------------
 */

TEST(a_cache_is_made_before_anybody_is_there, "P14", "8.1") {
    redis_cache *r = cache_at(NOWHERE, patience_ms());
    redis_cache_destroy(r);
    r = cache_at("localhost:6379", 1);
    redis_cache_destroy(r);
    redis_cache_destroy(NULL);
}

/* A path of so many characters. */
static const char *path_of(size_t len) {
    static char path[256];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[len] = '\0';
    return path;
}

TEST(addresses_are_paths_or_host_and_port, "P13", "8.1") {
    struct sockaddr_un name;
    const char *good[] = {"./redis.sock",
                          "/tmp/a:b",
                          "localhost:6379",
                          "127.0.0.1:65535",
                          "redis.test:1",
                          "::1:6379",
                          path_of(sizeof name.sun_path - 1)};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char copy[256];
        snprintf(copy, sizeof copy, "%s", good[i]);
        redis_cache *r = cache_at(copy, 1);
        memset(copy, 'x', sizeof copy - 1);
        redis_cache_destroy(r);
    }
}

static void want_refused(const char *address, int timeout_ms,
                         const char *likely) {
    static char untouched;
    redis_cache *r = (redis_cache *)&untouched;
    const char *did =
        text("redis_cache_create(%.60s, %d, &r)",
             address ? text("\"%s\"", address) : "NULL", timeout_ms);
    want_status(redis_cache_create(address, timeout_ms, &r), STATUS_INVALID,
                did, likely);
    want_pointer(r, &untouched, text("%s, look at r", did),
                 "out-parameters are written only on success");
}

TEST(what_is_no_address_is_refused, "P13", "8.1") {
    const char *bad[] = {"",         "redis",   "redis:",      ":6379",
                         "redis:0",  "redis:x", "redis:65536", "redis:6379x",
                         "redis:-1", "h:+1",    "h: 1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        want_refused(bad[i], patience_ms(),
                     "without a '/' it must be host:port, and a port is a "
                     "number from 1 to 65535");
    }
}

TEST(what_create_cannot_use_is_refused, "P13", "8.1") {
    struct sockaddr_un name;
    want_refused(NULL, patience_ms(), "an address is needed");
    want_refused(path_of(sizeof name.sun_path), patience_ms(),
                 "a longer path does not fit into a sockaddr_un: cut, it "
                 "would be another one");
    want_refused(NOWHERE, 0, "0 ms would never be enough");
    want_refused(NOWHERE, -1, "a timeout is positive");
}

static void try_to_create(void *context) {
    static char untouched;
    redis_cache *r = (redis_cache *)&untouched;
    status s = redis_cache_create("localhost:6379", 1, &r);
    ++*(size_t *)context;
    want_status(s, heap_has_failed() ? STATUS_NO_MEMORY : STATUS_OK,
                "create while an allocation fails",
                "every result of malloc and strdup must be looked at");
    if (s == STATUS_OK) {
        redis_cache_destroy(r);
    } else {
        want_pointer(r, &untouched, "create without memory, look at r",
                     "out-parameters are written only on success");
    }
}

TEST(without_memory_create_says_so_and_leaves_nothing, "P14", "8.1") {
    size_t tries = 0;
    heap_fail_each(try_to_create, &tries);
    want_that(tries > 1, "create, count allocations\nwanted  at least one\n"
                         "got     none\nlikely  where is the cache?");
}

/* --- 8.2: connect, and what may go wrong -----------------------------------
 */

static void want_connects(const char *address) {
    redis_cache *r = cache_at(address, patience_ms());
    for (int i = 0; i < 3; i++) {
        want_status(redis_cache_connect(r), STATUS_OK,
                    text("start Redis, connect to %s", address),
                    "Redis answers +PONG to PING: that is good");
        want_text(redis_cache_error(r), "", "connect, redis_cache_error",
                  "after a call that did not fail the line is empty");
    }
    redis_cache_destroy(r);
}

TEST(a_server_that_runs_answers, "P5", "8.2") {
    redis *server = redis_start();
    want_connects(redis_path(server));
    want_connects(redis_host_port(server));
    redis_stop(server);
}

TEST(nobody_there_is_a_failure_at_once, "P5", "8.2") {
    char port[32];
    close(listen_somewhere(port, sizeof port));
    const char *nobody[] = {NOWHERE, port};
    for (int i = 0; i < 2; i++) {
        redis_cache *r = cache_at(nobody[i], patience_ms());
        int64_t start = now_ms();
        want_status(redis_cache_connect(r), STATUS_BACKEND,
                    text("connect to %s, where nobody listens", nobody[i]),
                    "a connection that is refused is no timeout, and none that "
                    "was lost; and over TCP it may fail only after it began");
        want_at_most(now_ms() - start, MUCH_LATER_MS, "the same: milliseconds",
                     "who is refused need not wait for the timeout");
        want_error_line(r, nobody[i], "connect to nobody");
        redis_cache_destroy(r);
    }
}

static void be_a_stranger(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    hear(&e, h);
    say(&e, "HTTP/1.1 400 Bad Request\r\n\r\n");
    close(e.socket);
}

TEST(a_stranger_at_the_address_is_no_redis, "P5", "8.2") {
    struct peer p = peer_start(be_a_stranger);
    redis_cache *r = cache_at(p.address, patience_ms());
    want_status(redis_cache_connect(r), STATUS_BACKEND,
                "connect to a web server",
                "hiredis reports it as REDIS_ERR_PROTOCOL; calling again will "
                "not help");
    want_error_line(r, p.address, "connect to a web server");
    redis_cache_destroy(r);
    peer_stop(&p);
}

static void refuse_with_percents(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    while (hear(&e, h)) {
        say(&e,
            h->commands == 1 ? "-ERR 100%% full\r\n" : "-ERR %s%n%d 100%\r\n");
    }
}

TEST(percents_in_the_words_of_redis_are_no_format, "P5", "8.2") {
    struct peer p = peer_start(refuse_with_percents);
    redis_cache *r = cache_at(p.address, patience_ms());
    const char *words[] = {"100%% full", "%s%n%d 100%"};
    for (int i = 0; i < 2; i++) {
        const char *did = text("connect, answered -ERR %s", words[i]);
        want_status(redis_cache_connect(r), STATUS_BACKEND, did,
                    "an answer of type REDIS_REPLY_ERROR is a failure");
        const char *line = redis_cache_error(r);
        want_that(strstr(line, words[i]),
                  "%s, redis_cache_error\nwanted  a line with \"%s\" in it\n"
                  "got     \"%s\"\nlikely  words of the server are data: give "
                  "them to snprintf behind a \"%%s\", never as the format",
                  did, words[i], line);
    }
    redis_cache_destroy(r);
    peer_stop(&p);
}

TEST(a_refusal_is_told_in_the_words_of_redis, "P5", "8.2") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    redis_ask(server, "CONFIG SET requirepass secret");
    want_status(redis_cache_connect(r), STATUS_BACKEND,
                "set a password for Redis, connect without it",
                "an answer of type REDIS_REPLY_ERROR is a failure");
    want_error_line(r, "NOAUTH", "the same");
    redis_cache_destroy(r);
    redis_stop(server);
}

/* --- 8.3: set and get ------------------------------------------------------
 */

TEST(what_was_set_is_got_by_everybody, "P1", "8.3") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    redis_cache *other = cache_at(redis_host_port(server), patience_ms());
    set(r, "user:1", "Alice");
    set(r, "user:2", "Bob");
    want_text(get(r, "user:1"), "Alice", "set user:1=Alice, user:2=Bob, get 1",
              "set must send key and value, get must send the key");
    want_text(get(other, "user:1"), "Alice", "the same, in another cache",
              "the value lies with the server, for all");
    set(r, "user:1", "Carol");
    want_text(get(other, "user:1"), "Carol",
              "set user:1=Alice, then Carol, get in another cache",
              "a second set replaces, and nobody keeps a copy");
    want_text(get(r, "user:2"), "Bob", "the same, get user:2",
              "the keys must be told apart");
    redis_cache_destroy(other);
    redis_cache_destroy(r);
    redis_stop(server);
}

TEST(a_missing_key_is_a_miss_and_no_failure, "P3", "8.3") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    bytes value = bytes_of("untouched");
    want_status(redis_cache_get(r, bytes_of("absent"), &value), STATUS_MISS,
                "get a key that is not there",
                "Redis says so by an answer of type REDIS_REPLY_NIL");
    want_bytes(value, bytes_of("untouched"), "the same, look at value",
               "it is written on a hit only");
    want_text(redis_cache_error(r), "", "the same, redis_cache_error",
              "a miss is an answer, not a failure");
    set(r, "empty", "");
    want_text(get(r, "empty"), "", "set empty=, get it",
              "an empty value is a value");
    redis_cache_destroy(r);
    redis_stop(server);
}

static const bytes odd[] = {
    {"", 0},         {NULL, 0},    {"a\0b", 3},      {"\0", 1},
    {"%s%n%b%d", 8}, {"%", 1},     {"two words", 9}, {"\r\n$3\r\n", 7},
    {"\xff\xfe", 2}, {" ", 1},     {"a", 1},         {"*1\r\n", 4},
    {"\xc3\xa9", 2}, {"'\"\\", 3}, {"nil", 3},
};
enum { ODD = sizeof odd / sizeof odd[0] };

TEST(keys_and_values_are_any_bytes, "P2", "8.3") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    for (size_t i = 1; i < ODD; i++) {
        bytes value = odd[(i + 3) % ODD];
        want_status(redis_cache_set(r, odd[i], value), STATUS_OK,
                    text("set odd key %zu", i), "any bytes are a key");
    }
    for (size_t i = 1; i < ODD; i++) {
        bytes value = bytes_of("nothing");
        redis_cache_get(r, odd[i], &value);
        want_bytes(value, odd[(i + 3) % ODD],
                   text("set %d odd keys, get number %zu", ODD, i),
                   "keys and values go to redisAppendCommandArgv with their "
                   "lengths, never through a format or as a C string");
    }
    want_text(redis_ask(server, "DBSIZE"), text(":%d", ODD - 1),
              "set odd keys, all of them different, ask for DBSIZE",
              "two keys that differ have been cut to the same one");
    redis_cache_destroy(r);
    redis_stop(server);
}

/* Bytes without a pattern; the caller frees them. */
static char *random_bytes(size_t len) {
    char *data = malloc(len);
    uint64_t random = test_seed();
    for (size_t i = 0; data && i < len; i++) {
        data[i] = (char)test_random(&random);
    }
    want_true(data != NULL, "allocate a large value", "no memory?");
    return data;
}

TEST(values_of_several_megabytes_arrive_whole, "P2", "8.3") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    size_t len = test_scale((size_t)5 << 20, (size_t)1 << 20);
    char *data = random_bytes(len);
    bytes value = {0};
    want_status(redis_cache_set(r, bytes_of("large"), (bytes){data, len}),
                STATUS_OK, "set a value of 5 MB",
                "a socket takes some 100 KB at once: send the rest when it can "
                "be written again");
    want_status(redis_cache_get(r, bytes_of("large"), &value), STATUS_OK,
                "set a value of 5 MB, get it",
                "an answer comes in many parts: read until it is whole");
    want_true(bytes_equal(value, (bytes){data, len}), "the same, compare",
              "something got lost or changed on the way");
    free(data);
    redis_cache_destroy(r);
    redis_stop(server);
}

TEST(a_key_of_another_kind_is_invalid_for_get, "P5", "8.3") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    bytes value = bytes_of("untouched");
    redis_ask(server, "RPUSH list one");
    set(r, "text", "yes");
    want_status(redis_cache_get(r, bytes_of("list"), &value), STATUS_INVALID,
                "RPUSH list one, get list",
                "an answer of type REDIS_REPLY_ERROR is no value; one that "
                "begins with WRONGTYPE means the key holds another kind");
    want_bytes(value, bytes_of("untouched"), "the same, look at value",
               "it is written on a hit only");
    want_error_line(r, "WRONGTYPE", "get a list");
    want_text(get(r, "text"), "yes", "the same, then get text",
              "an error is the answer to its own command, and to no other");
    want_text(redis_cache_error(r), "", "the same, redis_cache_error",
              "the line is that of the last call, which went well");
    set(r, "list", "now a text");
    want_text(get(r, "list"), "now a text", "set list=..., get list",
              "a set replaces whatever the key held");
    redis_cache_destroy(r);
    redis_stop(server);
}

TEST(a_set_that_redis_refuses_is_a_failure, "P5", "8.3") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    set(r, "a", "old");
    redis_ask(server, "CONFIG SET maxmemory 1");
    want_status(redis_cache_set(r, bytes_of("a"), bytes_of("new")),
                STATUS_BACKEND, "let Redis have no memory left, set a=new",
                "only +OK means that it was stored: look at the answer's type");
    want_error_line(r, "OOM", "the same");
    want_text(get(r, "a"), "old", "the same, get a",
              "nothing was changed, and the connection is still good");
    redis_cache_destroy(r);
    redis_stop(server);
}

/* The n-th allocation of two sets fails, for each n, until both get through. */
TEST(without_memory_a_call_says_so_and_the_next_is_good, "P14", "8.3") {
    redis *server = redis_start();
    char *large = random_bytes(1 << 16);
    bytes values[] = {bytes_of("small"), {large, 1 << 16}};
    bool failed = true;
    for (size_t n = 1; failed && n < 20; n++) {
        redis_cache *r = cache_of(server);
        heap_fail_at(n);
        for (size_t i = 0; i < 2; i++) {
            bool before = heap_has_failed();
            status s = redis_cache_set(r, bytes_of("a"), values[i]);
            want_status(
                s, heap_has_failed() && !before ? STATUS_NO_MEMORY : STATUS_OK,
                text("two sets, allocation %zu fails: set %zu", n, i),
                "every result of malloc and realloc must be looked at, "
                "and a call that failed may not spoil the next");
        }
        failed = heap_has_failed();
        heap_fail_at(0);
        set(r, "a", "1");
        want_text(get(r, "a"), "1", "the same, with memory again: set a, get a",
                  "the cache must be as good as before");
        redis_cache_destroy(r);
    }
    free(large);
    redis_stop(server);
}

/* Fails if many rounds hold more memory than the first few. */
static void want_no_growth(redis_cache *r, void (*round)(redis_cache *r),
                           const char *did) {
    size_t rounds = test_scale(1000, 50);
    for (size_t i = 0; i < 50; i++) {
        round(r);
    }
    size_t before = heap_held();
    for (size_t i = 0; i < rounds; i++) {
        round(r);
    }
    size_t after = heap_held();
    want_at_most(
        after > before ? after - before : 0, 24 << 10,
        text("%s, %zu times: bytes held by the whole process", did, rounds),
        "every answer must be freed by freeReplyObject, whatever it "
        "says, and every context by redisFree");
}

static void set_and_get(redis_cache *r) {
    bytes value;
    redis_cache_set(r, bytes_of("a"), bytes_of("a value of some length"));
    redis_cache_get(r, bytes_of("a"), &value);
    redis_cache_get(r, bytes_of("absent"), &value);
    redis_cache_get(r, bytes_of("list"), &value);
}

TEST(every_answer_is_freed, "P12", "8.3") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    redis_ask(server, "RPUSH list one");
    want_no_growth(r, set_and_get, "set, get a hit, a miss and a list");
    redis_cache_destroy(r);
    redis_stop(server);
}

TEST(a_value_is_lent_until_the_next_call, "P12", "8.3") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server), *other = cache_of(server);
    bytes mine = {0}, theirs = {0};
    set(r, "a", "first");
    set(r, "b", "other");
    redis_cache_get(r, bytes_of("a"), &mine);
    redis_cache_get(other, bytes_of("b"), &theirs);
    want_bytes(mine, bytes_of("first"),
               "get a here, get b in another cache, look at a's value",
               "only the next call on the same cache may end it");
    want_bytes(theirs, bytes_of("other"), "the same, look at b's value",
               "the value must outlive the call that gave it");
    redis_cache_destroy(r);
    want_bytes(theirs, bytes_of("other"),
               "destroy the first cache, look at the other one's value",
               "caches share nothing");
    redis_cache_destroy(other);
    redis_stop(server);
}

/* --- 8.4: exists and delete ------------------------------------------------
 */

TEST(exists_says_whether_a_key_is_there, "P3", "8.4") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    set(r, "a", "");
    redis_ask(server, "RPUSH list one");
    want_status(redis_cache_exists(r, bytes_of("a")), STATUS_OK,
                "set a=, exists a", "an empty value is there");
    want_status(redis_cache_exists(r, bytes_of("list")), STATUS_OK,
                "RPUSH list one, exists list", "whatever it holds, it exists");
    want_status(redis_cache_exists(r, bytes_of("b")), STATUS_MISS,
                "set a=, exists b",
                "Redis answers with the number 0, which is no failure");
    want_status(redis_cache_exists(r, (bytes){"a\0", 2}), STATUS_MISS,
                "set a=, exists a\\0", "a key does not end at a zero byte");
    redis_cache_destroy(r);
    redis_stop(server);
}

TEST(delete_says_whether_a_key_was_there, "P3", "8.4") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    set(r, "a", "1");
    set(r, "b", "2");
    want_status(redis_cache_delete(r, bytes_of("a")), STATUS_OK,
                "set a, set b, delete a", "it was there");
    want_text(get(r, "a"), "(miss)", "set a, set b, delete a, get a",
              "a key that was deleted is gone");
    want_text(get(r, "b"), "2", "set a, set b, delete a, get b",
              "no other key may go");
    want_status(redis_cache_delete(r, bytes_of("a")), STATUS_MISS,
                "set a, delete a, delete a",
                "Redis answers with the number of keys that went");
    redis_cache_destroy(r);
    redis_stop(server);
}

/* --- 8.5: set_for and remaining --------------------------------------------
 */

/* The time that a key has left; on anything but a hit, minus the status. */
static int64_t remaining(redis_cache *r, const char *key) {
    int64_t ms = -99;
    status s = redis_cache_remaining_ms(r, bytes_of(key), &ms);
    return s == STATUS_OK ? ms : -(int64_t)s;
}

TEST(what_was_set_for_a_time_is_gone_after_it, "P4", "8.5") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    bytes key = bytes_of("session:123");
    int64_t start = now_ms();
    want_status(redis_cache_set_for(r, key, bytes_of("active"), 150), STATUS_OK,
                "set session:123=active for 150 ms", "Redis answers +OK");
    status s = redis_cache_exists(r, key);
    want_true(s == STATUS_OK || now_ms() - start >= 150,
              "set session:123 for 150 ms, exists",
              "it is gone too early: is the time given in milliseconds, PX?");
    while (s == STATUS_OK && now_ms() - start < MUCH_LATER_MS) {
        s = redis_cache_exists(r, key);
    }
    want_status(s, STATUS_MISS,
                "set session:123 for 150 ms, ask for a second whether it "
                "exists",
                "it stays too long: is the time given in milliseconds, PX?");
    want_true(now_ms() - start >= 140, "the same: how long it was there",
              "it was gone before its time");
    redis_cache_destroy(r);
    redis_stop(server);
}

TEST(the_time_left_is_told_in_milliseconds, "P4", "8.5") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    redis_cache_set_for(r, bytes_of("a"), bytes_of("1"), 60000);
    int64_t left = remaining(r, "a");
    want_that(left > 50000 && left <= 60000,
              "set a for 60000 ms, ask how long it still lives\n"
              "wanted  50001 to 60000\ngot     %lld\n"
              "likely  PTTL answers in milliseconds, TTL in seconds",
              (long long)left);
    int64_t untouched = 7;
    want_status(redis_cache_remaining_ms(r, bytes_of("absent"), &untouched),
                STATUS_MISS, "ask how long a missing key still lives",
                "Redis answers -2 for a key that is not there");
    want_int(untouched, 7, "the same, look at remaining_ms",
             "it is written on a hit only");
    redis_cache_destroy(r);
    redis_stop(server);
}

static void say_zero(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    say_always(&e, h, ":0\r\n");
    close(e.socket);
}

TEST(a_key_in_its_last_millisecond_is_there, "P4", "8.5") {
    struct peer p = peer_start(say_zero);
    redis_cache *r = cache_at(p.address, patience_ms());
    want_int(remaining(r, "a"), 0,
             "ask how long a key still lives, answered :0",
             "less than a millisecond is left, and that is not nothing: only "
             "-2 says that the key is not there");
    redis_cache_destroy(r);
    peer_stop(&p);
}

TEST(without_a_time_a_key_stays_for_ever, "P4", "8.5") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    set(r, "a", "1");
    want_int(remaining(r, "a"), REDIS_CACHE_NEVER,
             "set a, ask how long it still lives",
             "Redis answers -1 for a key that does not expire");
    redis_cache_set_for(r, bytes_of("a"), bytes_of("2"), 60000);
    set(r, "a", "3");
    want_int(remaining(r, "a"), REDIS_CACHE_NEVER,
             "set a for a minute, set a without a time, how long?",
             "a set takes an earlier time away");
    redis_cache_destroy(r);
    redis_stop(server);
}

TEST(no_time_is_too_long, "P4", "8.5") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    const int64_t times[] = {REDIS_CACHE_NEVER, REDIS_CACHE_NEVER - 1,
                             REDIS_CACHE_NEVER / 2};
    for (size_t i = 0; i < 3; i++) {
        redis_cache_set_for(r, bytes_of("a"), bytes_of("1"), 60000);
        want_status(
            redis_cache_set_for(r, bytes_of("a"), bytes_of("2"), times[i]),
            STATUS_OK, text("set a for %lld ms", (long long)times[i]),
            "Redis refuses an end that its clock cannot count to: set it "
            "without one");
        want_int(remaining(r, "a"), REDIS_CACHE_NEVER, "the same, how long?",
                 "that is never");
    }
    want_status(
        redis_cache_set_for(r, bytes_of("a"), bytes_of("3"), (int64_t)1 << 40),
        STATUS_OK, "set a for 2^40 ms", "35 years are not too long");
    want_true(remaining(r, "a") > (int64_t)1 << 39, "the same, how long?",
              "the number was cut to 32 bits");
    redis_cache_destroy(r);
    redis_stop(server);
}

TEST(a_time_of_nothing_is_refused, "P13", "8.5") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    const int64_t times[] = {0, -1, INT64_MIN};
    set(r, "a", "old");
    for (size_t i = 0; i < 3; i++) {
        want_status(
            redis_cache_set_for(r, bytes_of("a"), bytes_of("new"), times[i]),
            STATUS_INVALID, text("set a for %lld ms", (long long)times[i]),
            "a time to live is 1 or more, which is known before anything is "
            "sent");
        want_false(redis_cache_error(r)[0] == '\0',
                   "the same, is redis_cache_error empty?",
                   "to refuse an argument is to fail, so say why");
    }
    want_text(get(r, "a"), "old", "the same, get a", "nothing was changed");
    redis_cache_destroy(r);
    redis_stop(server);
}

static void ask_small_things(redis_cache *r) {
    int64_t ms;
    redis_cache_connect(r);
    redis_cache_set_for(r, bytes_of("a"), bytes_of("1"), 60000);
    redis_cache_exists(r, bytes_of("a"));
    redis_cache_remaining_ms(r, bytes_of("a"), &ms);
    redis_cache_delete(r, bytes_of("a"));
    redis_cache_delete(r, bytes_of("absent"));
}

TEST(every_number_is_freed_too, "P12", "8.5") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    want_no_growth(r, ask_small_things,
                   "connect, set_for, exists, remaining, delete twice");
    redis_cache_destroy(r);
    redis_stop(server);
}

/* --- 8.6: no answer, half an answer, a new server --------------------------
 */

static void want_soon(int64_t start, const char *did) {
    want_at_most(now_ms() - start, MUCH_LATER_MS, text("%s: milliseconds", did),
                 "the timeout is for the whole call, and each wait may take "
                 "only what is left of it");
}

TEST(a_server_that_hangs_is_a_timeout, "P6", "8.6") {
    redis *server = redis_start();
    redis_cache *r = cache_at(redis_path(server), SHORT_MS);
    char *large = random_bytes((size_t)1 << 20);
    redis_pause(server);
    int64_t start = now_ms();
    want_text(get(r, "a"), "(timeout)", "stop Redis in its tracks, get a",
              "nobody refuses and nothing is lost: there is only no answer");
    want_error_line(r, redis_path(server), "the same");
    want_text(get(r, "a"), "(timeout)", "the same, get a again",
              "a new connection is taken by the kernel, but nobody answers");
    want_status(redis_cache_set(r, bytes_of("b"), (bytes){large, 1 << 20}),
                STATUS_TIMEOUT, "stop Redis in its tracks, set b to 1 MB",
                "a socket that nobody reads takes no more: to write may wait, "
                "too");
    want_soon(start, "three calls to a server that hangs");
    free(large);
    redis_cache_destroy(r);
    redis_stop(server);
}

static void *continue_soon(void *server) {
    pause_ms(30);
    redis_continue(server);
    return NULL;
}

TEST(a_late_answer_is_nobodys, "P7", "8.6") {
    redis *server = redis_start();
    redis_cache *r = cache_at(redis_path(server), some_ms());
    pthread_t waker;
    redis_ask(server, "SET a Alice");
    redis_ask(server, "SET b Bob");
    redis_pause(server);
    want_text(get(r, "a"), "(timeout)", "stop Redis in its tracks, get a",
              "no answer in time is a timeout");
    want_true(pthread_create(&waker, NULL, continue_soon, server) == 0,
              "start a thread", "no more?");
    const char *got = get(r, "b");
    pthread_join(waker, NULL);
    want_text(got, "Bob", "the same, get b; meanwhile Redis goes on",
              "the answer for a comes late, on the old connection: who has "
              "given up on an answer must give up the connection");
    redis_cache_destroy(r);
    redis_stop(server);
}

static void drip(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    hear(&e, h);
    say(&e, "$100000\r\n");
    for (int i = 0; i < 700; i++) {
        pause_ms(2);
        say(&e, "x");
    }
    close(e.socket);
}

TEST(a_server_that_drips_is_a_timeout_too, "P6", "8.6") {
    struct peer p = peer_start(drip);
    redis_cache *r = cache_at(p.address, LONGER_MS);
    int64_t start = now_ms();
    want_text(get(r, "a"), "(timeout)",
              "get a from a server that sends a byte every 2 ms",
              "each byte is an event, but the call has only one timeout");
    want_soon(start, "the same");
    redis_cache_destroy(r);
    peer_stop(&p);
}

static atomic_int signals;

static void count_signal(int number) {
    (void)number;
    signals++;
}

/* Signals the caller while he waits, and answers then. */
static void interrupt(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    hear(&e, h);
    for (int i = 0; i < 20; i++) {
        pause_ms(2);
        kill(getppid(), SIGUSR1);
    }
    say(&e, "$5\r\nAlice\r\n");
    close(e.socket);
}

TEST(a_signal_ends_no_call, "P6", "8.6") {
    struct sigaction act = {.sa_handler = count_signal};
    sigaction(SIGUSR1, &act, NULL);
    struct peer p = peer_start(interrupt);
    redis_cache *r = cache_at(p.address, patience_ms());
    signals = 0;
    want_text(
        get(r, "a"), "Alice",
        "get a, while the program catches signals every 2 ms",
        "poll ends with EINTR when a signal was caught: nothing is wrong, "
        "so wait again, for what is left of the time");
    want_true(signals > 0, "the same, count the signals", "were none caught?");
    redis_cache_destroy(r);
    peer_stop(&p);
}

/* The first caller gets half an answer, the others whole ones. */
static void break_off_once(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    if (h->connections == 1) {
        hear(&e, h);
        say(&e, "$5\r\nAl");
    } else {
        say_always(&e, h, "$5\r\nAlice\r\n");
    }
    close(e.socket);
}

TEST(half_an_answer_is_a_lost_connection, "P5", "8.6") {
    struct peer p = peer_start(break_off_once);
    redis_cache *r = cache_at(p.address, patience_ms());
    bytes value = bytes_of("untouched");
    status s = redis_cache_get(r, bytes_of("a"), &value);
    want_status(
        s, STATUS_LOST, "get a from a server that dies after half an answer",
        s == STATUS_OK ? "the answer can only have come from asking again"
                       : "the end of the connection is neither a refusal nor a "
                         "timeout");
    want_bytes(value, bytes_of("untouched"), "the same, look at value",
               "it is written on a hit only");
    want_error_line(r, p.address, "the same");
    want_text(
        get(r, "a"), "Alice", "the same, get a again",
        "after an error a context is dead: the next call needs a new one");
    want_text(get(r, "a"), "Alice", "the same, get a once more",
              "the new connection is kept");
    want_int(p.heard->connections, 2, "the same: connections that were made",
             "one was lost, and one new one is enough");
    redis_cache_destroy(r);
    peer_stop(&p);
}

static void never_answer(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    hear(&e, h);
    close(e.socket);
}

TEST(no_command_is_sent_twice, "P7", "8.6") {
    struct peer p = peer_start(never_answer);
    redis_cache *r = cache_at(p.address, patience_ms());
    for (size_t calls = 1; calls <= 3; calls++) {
        want_status(redis_cache_delete(r, bytes_of("a")), STATUS_LOST,
                    "delete a at a server that reads it and dies",
                    "nobody knows whether it was done: say that it was lost");
        want_int(p.heard->commands, calls,
                 text("%zu such calls: commands that arrived", calls),
                 "a call that fails must not be repeated behind the caller's "
                 "back: it may have been done");
        want_int(p.heard->connections, calls,
                 text("%zu such calls: connections that were made", calls),
                 "a call makes a new connection if there is none, once");
    }
    redis_cache_destroy(r);
    peer_stop(&p);
}

/* Its socket goes first: who calls again while it dies must not reach it. */
static void *kill_soon(void *server) {
    pause_ms(30);
    unlink(redis_path(server));
    redis_kill(server);
    return NULL;
}

TEST(a_server_killed_in_mid_call_is_lost_and_then_refused, "P5", "8.6") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    pthread_t killer;
    set(r, "a", "1");
    redis_pause(server);
    want_true(pthread_create(&killer, NULL, kill_soon, server) == 0,
              "start a thread", "no more?");
    const char *got = get(r, "a");
    pthread_join(killer, NULL);
    want_text(got, "(connection lost)", "get a; meanwhile Redis is killed",
              "the connection ended after the command was sent");
    want_text(get(r, "a"), "(backend failed)", "the same, then get a again",
              "now nobody is there, and nothing was sent");
    redis_restart(server);
    want_text(get(r, "a"), "(miss)", "the same, restart Redis, get a",
              "it is there again, and empty: a cache reconnects by itself");
    redis_cache_destroy(r);
    redis_stop(server);
}

TEST(a_server_killed_while_we_write_ends_no_program, "P15", "8.6") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    char *large = random_bytes(1 << 20);
    pthread_t killer;
    set(r, "a", "1");
    signals = 0;
    signal(SIGPIPE, count_signal);
    redis_pause(server);
    want_true(pthread_create(&killer, NULL, kill_soon, server) == 0,
              "start a thread", "no more?");
    status s = redis_cache_set(r, bytes_of("a"), (bytes){large, 1 << 20});
    pthread_join(killer, NULL);
    want_status(s, STATUS_LOST, "set a to 1 MB; meanwhile Redis is killed",
                "the connection ended after a part of the command was sent");
    want_int(signals, 0, "the same: how often SIGPIPE was raised",
             "write() to a socket that has no other end raises it, which ends "
             "a program; send() with MSG_NOSIGNAL does not");
    signal(SIGPIPE, SIG_IGN);
    free(large);
    redis_cache_destroy(r);
    redis_stop(server);
}

static int listen_at(const char *path) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    unlink(path);
    want_true(bind(s, (struct sockaddr *)&a, sizeof a) == 0
                  && listen(s, 8) == 0,
              "listen where Redis listened", "is its directory gone?");
    return s;
}

/* Answers one command, and reads no other: nothing ends that one could see
 * before one sends. */
static void stop_reading(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    hear(&e, h);
    shutdown(e.socket, SHUT_RD);
    say(&e, "+PONG\r\n");
}

TEST(a_server_that_reads_no_more_ends_no_program, "P15", "8.6") {
    redis *server = redis_start();
    redis_kill(server);
    struct peer p = peer_start_at(listen_at(redis_path(server)), stop_reading);
    redis_cache *r = cache_of(server);
    const char *did = "connect; the server shuts its side for reading; get a";
    want_status(redis_cache_connect(r), STATUS_OK, "connect",
                "it still answers this");
    signals = 0;
    signal(SIGPIPE, count_signal);
    const char *got = get(r, "a");
    signal(SIGPIPE, SIG_IGN);
    want_int(signals, 0, text("%s: how often SIGPIPE was raised", did),
             "a send() without MSG_NOSIGNAL raises it, which ends a program");
    want_text(got, "(connection lost)", did,
              "send() fails with EPIPE: the connection has ended");
    redis_cache_destroy(r);
    peer_stop(&p);
    redis_stop(server);
}

static void want_sets_again(redis_cache *r, const char *key, const char *did) {
    want_status(redis_cache_set(r, bytes_of(key), bytes_of("2")), STATUS_OK,
                did,
                "the old connection had ended: look at the socket before you "
                "send, and make a new one");
}

TEST(a_restart_between_two_calls_goes_unnoticed, "P8", "8.6") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    redis_cache *tcp = cache_at(redis_host_port(server), patience_ms());
    set(r, "a", "1");
    set(tcp, "b", "1");
    redis_restart(server);
    want_sets_again(r, "a", "set a, restart the server, set a=2");
    want_sets_again(tcp, "b", "set b over TCP, restart the server, set b=2");
    want_text(get(r, "a"), "2", "set a, restart Redis, set a=2, get a",
              "what can be read between two calls is the end of the "
              "connection: look before you send");
    redis_ask(server, "CLIENT KILL TYPE normal");
    want_text(get(tcp, "b"), "2", "let Redis cut all connections, get b",
              "the same over TCP");
    redis_cache_destroy(tcp);
    redis_cache_destroy(r);
    redis_stop(server);
}

static void lose_a_call(redis_cache *r) {
    bytes value;
    redis_cache_get(r, bytes_of("a"), &value);
}

TEST(every_lost_connection_is_freed, "P12", "8.6") {
    struct peer p = peer_start(never_answer);
    redis_cache *r = cache_at(p.address, patience_ms());
    want_no_growth(r, lose_a_call, "get from a server that dies each time");
    redis_cache_destroy(r);
    peer_stop(&p);
}

/* --- 8.7: many gets --------------------------------------------------------
 */

enum { MANY = 10000 };

/* What get_many has found. */
struct findings {
    size_t count;
    size_t places[16];
    char values[16][16];
};

static void note(void *context, size_t i, bytes value) {
    struct findings *f = context;
    if (f->count < 16) {
        f->places[f->count] = i;
        snprintf(f->values[f->count], 16, "%.*s", (int)value.len,
                 (const char *)value.data);
    }
    f->count++;
}

static void want_found(const struct findings *f, size_t at, size_t place,
                       const char *value, const char *did) {
    want_int(f->places[at], place, text("%s: place of find %zu", did, at),
             "an answer belongs to the key that was asked for as many "
             "commands ago as there are answers due");
    want_text(f->values[at], value, text("%s: find %zu", did, at),
              "an answer belongs to the key that was asked for as many "
              "commands ago as there are answers due");
}

TEST(each_key_gets_its_own_answer, "P11", "8.7") {
    const char *did = "set a, d; RPUSH c; get_many of a b c d a";
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    set(r, "a", "Alice");
    set(r, "d", "Dora");
    redis_ask(server, "RPUSH c one");
    bytes keys[] = {bytes_of("a"), bytes_of("b"), bytes_of("c"), bytes_of("d"),
                    bytes_of("a")};
    status results[5],
        want[] = {STATUS_OK, STATUS_MISS, STATUS_INVALID, STATUS_OK, STATUS_OK};
    struct findings f = {0};
    want_status(redis_cache_get_many(r, keys, 5, note, &f, results), STATUS_OK,
                did, "every key was answered: the call went well");
    for (size_t i = 0; i < 5; i++) {
        want_status(results[i], want[i], text("%s: result %zu", did, i),
                    "a miss and an error are answers like any other: each "
                    "takes its place");
    }
    want_int(f.count, 3, text("%s: values found", did),
             "found is called for each key that has a value, and for no other");
    want_found(&f, 0, 0, "Alice", did);
    want_found(&f, 1, 3, "Dora", did);
    want_found(&f, 2, 4, "Alice", did);
    want_text(get(r, "d"), "Dora", text("%s, get d", did),
              "no answer may be left over");
    redis_cache_destroy(r);
    redis_stop(server);
}

TEST(no_keys_are_no_command, "P13", "8.7") {
    redis_cache *r = cache_at(NOWHERE, patience_ms());
    struct findings f = {0};
    bytes key = bytes_of("a");
    status result = STATUS_DEADLOCK;
    want_status(redis_cache_get_many(r, NULL, 0, note, &f, NULL), STATUS_OK,
                "get_many of 0 keys, with nobody there",
                "where nothing is asked, nobody need answer");
    want_status(redis_cache_get_many(r, &key, 1, NULL, &f, &result),
                STATUS_INVALID, "get_many without a function",
                "an argument is missing");
    want_false(redis_cache_error(r)[0] == '\0',
               "the same, is redis_cache_error empty?",
               "to refuse an argument is to fail, so say why");
    want_status(redis_cache_get_many(r, NULL, 0, NULL, &f, NULL),
                STATUS_INVALID, "get_many of 0 keys without a function",
                "found may not be NULL, whatever n is");
    want_status(redis_cache_get_many(r, NULL, 1, note, &f, &result),
                STATUS_INVALID, "get_many of 1 key, keys NULL",
                "an argument is missing");
    want_status(redis_cache_get_many(r, &key, 1, note, &f, NULL),
                STATUS_INVALID, "get_many of 1 key, results NULL",
                "an argument is missing");
    want_status(result, STATUS_DEADLOCK, "the same, look at the result",
                "a call that is refused writes nothing");
    redis_cache_destroy(r);
}

TEST(a_call_that_reaches_nobody_fails_with_all_its_keys, "P11", "8.7") {
    redis_cache *r = cache_at(NOWHERE, patience_ms());
    struct findings f = {0};
    bytes keys[] = {bytes_of("a"), bytes_of("b")};
    status results[2] = {STATUS_DEADLOCK, STATUS_DEADLOCK};
    want_status(redis_cache_get_many(r, keys, 2, note, &f, results),
                STATUS_BACKEND, "get_many of 2 keys, with nobody there",
                "when the call cannot reach the server, the call itself fails, "
                "not only its keys");
    for (size_t i = 0; i < 2; i++) {
        want_status(results[i], STATUS_BACKEND, text("the same: result %zu", i),
                    "a key that was not answered has the status of the call");
    }
    redis_cache_destroy(r);
}

/* Many keys of one text each; the caller frees them. */
static bytes *same_keys(size_t n, const char *key) {
    bytes *keys = malloc(n * sizeof *keys);
    want_true(keys != NULL, "allocate keys", "no memory?");
    for (size_t i = 0; i < n; i++) {
        keys[i] = bytes_of(key);
    }
    return keys;
}

static void count(void *context, size_t i, bytes value) {
    (void)i;
    (void)value;
    ++*(size_t *)context;
}

/* Asks for one key n times. Returns: how often a value came. */
static size_t get_same(redis_cache *r, size_t n, const char *key,
                       const char *did) {
    size_t found = 0;
    bytes *keys = same_keys(n, key);
    status *results = malloc(n * sizeof *results);
    want_true(results != NULL, "allocate results", "no memory?");
    want_status(redis_cache_get_many(r, keys, n, count, &found, results),
                STATUS_OK, did,
                "get_many waits for what cannot come as long as it waits, or "
                "gives up too early");
    free(results);
    free(keys);
    return found;
}

static void want_ahead(const struct peer *p, size_t n, const char *did) {
    size_t ahead = p->heard->ahead;
    want_that(ahead >= n,
              "%s: commands before the first answer\nwanted  %zu or more\n"
              "got     %zu\nlikely  send many commands, and only then wait for "
              "an answer",
              did, n, ahead);
}

/* Answers when 64 commands have come, and from then on each at once. */
static void wait_for_64(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    hear_ahead(&e, h, REDIS_CACHE_DEPTH);
    for (size_t i = 0; i < h->ahead; i++) {
        say(&e, "$1\r\nv\r\n");
    }
    say_always(&e, h, "$1\r\nv\r\n");
}

TEST(many_commands_travel_before_the_first_answer, "P9", "8.7") {
    struct peer p = peer_start(wait_for_64);
    redis_cache *r = cache_at(p.address, patience_ms());
    const char *did = "get_many of 100 keys from a server that answers once it "
                      "has 64 commands";
    want_int(get_same(r, 100, "key", did), 100, did, "each answer has a value");
    want_ahead(&p, REDIS_CACHE_DEPTH, did);
    redis_cache_destroy(r);
    peer_stop(&p);
}

/* Reads until nothing more comes for a while, then answers all. A caller who
 * sends few at a time has no need of that, and is answered at once. */
static void answer_when_silent(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    struct pollfd p = {.fd = e.socket, .events = POLLIN};
    size_t waiting = 0;
    bool few = false;
    for (;;) {
        if (e.at == e.end && poll(&p, 1, waiting > 0 && few ? 0 : 20) == 0) {
            few = few || (waiting > 0 && waiting < REDIS_CACHE_DEPTH);
            for (; waiting > 0; waiting--) {
                say(&e, "$1\r\nv\r\n");
            }
        } else if (hear(&e, h)) {
            waiting++;
            h->most = waiting > h->most ? waiting : h->most;
        } else {
            return;
        }
    }
}

TEST(no_more_than_a_window_waits_for_answers, "P10", "8.7") {
    struct peer p = peer_start(answer_when_silent);
    redis_cache *r = cache_at(p.address, patience_ms());
    const char *did = "get_many of 600 keys from a server that answers only "
                      "when nothing more comes";
    want_int(get_same(r, 600, "key", did), 600, did, "each answer has a value");
    want_at_most(p.heard->most, REDIS_CACHE_WINDOW,
                 text("%s: commands that waited at once", did),
                 "the server must keep all answers that nobody has read: so "
                 "stop asking when a window of them is due");
    redis_cache_destroy(r);
    peer_stop(&p);
}

enum { LONG = 256 << 10 };

/* Answers each command at length before it reads the next. */
static void answer_at_length(int listener, struct heard *h) {
    static char answer[LONG + 32];
    int head = snprintf(answer, sizeof answer, "$%d\r\n", LONG);
    memset(answer + head, 'v', LONG);
    memcpy(answer + head + LONG, "\r\n", 3);
    struct ear e = pick_up(listener, h);
    say_always(&e, h, answer);
}

TEST(long_commands_and_long_answers_do_not_deadlock, "P10", "8.7") {
    struct peer p = peer_start(answer_at_length);
    redis_cache *r = cache_at(p.address, patience_ms());
    size_t n = test_scale(60, 10);
    char *key = malloc(LONG + 1);
    want_true(key != NULL, "allocate a long key", "no memory?");
    memset(key, 'k', LONG);
    key[LONG] = '\0';
    const char *did = "get_many of keys of 256 KB from a server that reads no "
                      "command before its last answer is taken";
    want_int(get_same(r, n, key, did), n, did,
             "we wait to be read, the server waits to be read: read while you "
             "write");
    free(key);
    redis_cache_destroy(r);
    peer_stop(&p);
}

/* A unix socket holds little, so commands back up that are not long at all. */
TEST(a_server_that_reads_little_ahead_does_not_deadlock, "P10", "8.7") {
    enum { KEY = 16 << 10 };
    redis *server = redis_start();
    redis_kill(server);
    struct peer p =
        peer_start_at(listen_at(redis_path(server)), answer_at_length);
    redis_cache *r = cache_of(server);
    size_t n = test_scale(100, 40);
    static char key[KEY + 1];
    memset(key, 'k', KEY);
    const char *did = "get_many of keys of 16 KB over a unix socket from a "
                      "server that reads no command before its last answer is "
                      "taken";
    want_int(get_same(r, n, key, did), n, did,
             "some commands are not sent yet, and the server takes no more of "
             "them before we have read its answers: read while you write");
    redis_cache_destroy(r);
    peer_stop(&p);
    redis_stop(server);
}

static void answer_each(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    say_always(&e, h, "$1\r\nv\r\n");
    close(e.socket);
}

/* Asks through a cache of its own. Returns: by how much the memory of all has
 * grown when it is over, and the cache is still there. */
static size_t growth_of_gets(const struct peer *p, const bytes *keys,
                             size_t n) {
    redis_cache *r = cache_at(p->address, 10 * patience_ms());
    status results[32];
    size_t found = 0, before = heap_held();
    want_status(redis_cache_get_many(r, keys, n, count, &found, results),
                STATUS_OK, "get_many of 24 keys of 256 KB", "all are answered");
    size_t after = heap_held();
    redis_cache_destroy(r);
    return after > before ? after - before : 0;
}

TEST(long_commands_are_not_copied_ahead, "P10", "8.7") {
    enum { KEYS = 24 };
    struct peer p = peer_start(answer_each);
    char *key = malloc(LONG + 1);
    want_true(key != NULL, "allocate a long key", "no memory?");
    memset(key, 'k', LONG);
    key[LONG] = '\0';
    bytes *keys = same_keys(KEYS, key);
    growth_of_gets(&p, keys, KEYS); /* whoever needs room for it has some now */
    want_at_most(growth_of_gets(&p, keys, KEYS), 2 << 20,
                 "get_many of 24 keys of 256 KB: bytes that the cache holds "
                 "when it is over",
                 "the caller has these keys in memory already: write the next "
                 "command when fewer than 64 KiB wait to be sent");
    free(keys);
    free(key);
    peer_stop(&p);
}

/* When nothing more comes, answers all at once: to each the last byte of its
 * key. So one read brings all answers. After few commands it waits no more. */
static void echo_when_silent(int listener, struct heard *h) {
    static char answers[8 * 1024 + 1];
    struct ear e = pick_up(listener, h);
    bool few = false;
    for (bool more = hear(&e, h); more; more = hear(&e, h)) {
        size_t len = 0;
        do {
            len += (size_t)snprintf(answers + len, 8, "$1\r\n%c\r\n", e.last);
        } while (len + 8 < sizeof answers && hear_within(&e, h, few ? 0 : 10));
        few = len < 7 * REDIS_CACHE_DEPTH;
        say(&e, answers);
    }
    close(e.socket);
}

/* The n-th allocation fails, for each n: so each that get_many makes. */
TEST(without_memory_midway_no_answer_is_left_over, "P14", "8.7") {
    enum { KEYS = 300, PLACE = 260 };
    static status results[KEYS];
    struct peer p = peer_start(echo_when_silent);
    bytes *keys = same_keys(KEYS, "a");
    char *key = calloc(1, LONG);
    want_true(key != NULL, "allocate a long key", "no memory?");
    memset(key, 'a', LONG);
    keys[PLACE] = (bytes){key, LONG};
    bool failed = true;
    for (size_t n = 1; failed && n < 40; n++) {
        redis_cache *r = cache_at(p.address, patience_ms());
        const char *did =
            text("get_many of %d times a, a long key at place %d; allocation "
                 "%zu fails",
                 KEYS, PLACE, n);
        size_t found = 0;
        heap_fail_at(n);
        status s = redis_cache_get_many(r, keys, KEYS, count, &found, results);
        failed = heap_has_failed();
        heap_fail_at(0);
        want_status(s, failed ? STATUS_NO_MEMORY : STATUS_OK, did,
                    "every result of malloc and realloc must be looked at");
        want_text(get(r, "b"), "b", text("%s; get b", did),
                  "commands are still on their way: who stops asking in the "
                  "middle must give up the connection");
        redis_cache_destroy(r);
    }
    free(key);
    free(keys);
    peer_stop(&p);
}

static void answer_one_oddly(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    for (size_t i = 0; hear(&e, h); i++) {
        say(&e, i == 1 ? ":1\r\n" : "$1\r\nv\r\n");
    }
    close(e.socket);
}

TEST(an_answer_of_another_kind_fails_its_own_key, "P11", "8.7") {
    const char *did = "get_many of 3 keys, answered \"v\", the number 1, \"v\"";
    const status want[] = {STATUS_OK, STATUS_BACKEND, STATUS_OK};
    struct peer p = peer_start(answer_one_oddly);
    redis_cache *r = cache_at(p.address, patience_ms());
    bytes *keys = same_keys(3, "key");
    status results[3];
    size_t found = 0;
    status s = redis_cache_get_many(r, keys, 3, count, &found, results);
    free(keys);
    want_status(s, STATUS_OK, did,
                "every key was answered, one oddly: see results");
    for (size_t i = 0; i < 3; i++) {
        want_status(results[i], want[i], text("%s: result %zu", did, i),
                    "a get is never answered by a number: that is the failure "
                    "of this key, and of no other");
    }
    want_int(found, 2, text("%s: values found", did),
             "only a string is a value");
    want_text(get(r, "key"), "v", text("%s; get key", did),
              "the next call is as good as ever");
    redis_cache_destroy(r);
    peer_stop(&p);
}

TEST(ten_thousand_gets_are_no_trouble, "P10", "8.7") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    size_t n = test_scale(MANY, MANY / 10);
    const char *did = "get_many of 10,000 keys with values of 100 bytes";
    redis_ask(server, "SETRANGE value 99 v");
    want_int(get_same(r, n, "value", did), n, did, "each of them is there");
    want_text(get(r, "absent"), "(miss)", text("%s, then get absent", did),
              "no answer may be left over");
    redis_cache_destroy(r);
    redis_stop(server);
}

/* Answers three of ten commands, and then the first caller hears no more. */
static void answer_three(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    hear_ahead(&e, h, 10);
    say(&e, "$1\r\nv\r\n$-1\r\n$1\r\nw\r\n");
    if (h->connections == 1) {
        close(e.socket);
    }
}

TEST(a_call_that_fails_midway_keeps_what_was_answered, "P11", "8.7") {
    struct peer p = peer_start(answer_three);
    redis_cache *r = cache_at(p.address, some_ms());
    status results[10], ends[] = {STATUS_LOST, STATUS_TIMEOUT};
    for (int end = 0; end < 2; end++) {
        struct findings f = {0};
        bytes *keys = same_keys(10, "key");
        const char *did =
            text("get_many of 10 keys; after 3 answers the server %s",
                 end ? "falls silent" : "hangs up");
        status s = redis_cache_get_many(r, keys, 10, note, &f, results);
        free(keys);
        want_ahead(&p, 10, did);
        want_status(s, ends[end], did, "the call did not get all answers");
        for (size_t i = 0; i < 10; i++) {
            status want = i == 1 ? STATUS_MISS : i < 3 ? STATUS_OK : ends[end];
            want_status(results[i], want, text("%s: result %zu", did, i),
                        "who was answered keeps the answer, the others have "
                        "the status of the call");
        }
        want_int(f.count, 2, text("%s: values found", did),
                 "what was found before is found");
        want_found(&f, 1, 2, "w", did);
    }
    redis_cache_destroy(r);
    peer_stop(&p);
}

static void get_four(redis_cache *r) {
    size_t found = 0;
    bytes keys[] = {bytes_of("a"), bytes_of("absent"), bytes_of("list"),
                    bytes_of("a")};
    status results[4];
    redis_cache_get_many(r, keys, 4, count, &found, results);
}

TEST(every_one_of_many_answers_is_freed, "P12", "8.7") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    redis_ask(server, "RPUSH list one");
    set(r, "a", "1");
    want_no_growth(r, get_four, "get_many of hits, a miss and a list");
    redis_cache_destroy(r);
    redis_stop(server);
}

/* --- 8.8: many sets --------------------------------------------------------
 */

TEST(many_sets_store_each_value_under_its_key, "P11", "8.8") {
    redis *server = redis_start();
    redis_cache *r = cache_of(server);
    bytes keys[] = {bytes_of("a"), {"b\0", 2}, bytes_of("c"), bytes_of("a")};
    bytes values[] = {bytes_of("1"), bytes_of("2"), bytes_of("%s"),
                      bytes_of("4")};
    status results[4] = {STATUS_MISS, STATUS_MISS, STATUS_MISS, STATUS_MISS};
    bytes value = {0};
    want_status(redis_cache_set_many(r, keys, values, 4, results), STATUS_OK,
                "set_many a=1 b\\0=2 c=%s a=4", "every set was answered");
    for (size_t i = 0; i < 4; i++) {
        want_status(results[i], STATUS_OK,
                    text("set_many of 4 pairs: result %zu", i),
                    "Redis answers +OK to each");
    }
    want_text(get(r, "a"), "4", "set_many a=1 b\\0=2 c=%s a=4, get a",
              "commands take effect in the order of the pairs");
    want_text(get(r, "c"), "%s", "the same, get c",
              "each value belongs to the key at its place");
    want_status(redis_cache_get(r, keys[1], &value), STATUS_OK,
                "the same, get b\\0", "keys are any bytes here, too");
    want_status(redis_cache_set_many(r, keys, NULL, 4, results), STATUS_INVALID,
                "set_many with values NULL", "an argument is missing");
    want_status(redis_cache_set_many(r, NULL, NULL, 0, NULL), STATUS_OK,
                "set_many of nothing", "nothing is no failure");
    redis_cache_destroy(r);
    redis_stop(server);
}

static void refuse_every_third(int listener, struct heard *h) {
    struct ear e = pick_up(listener, h);
    for (size_t i = 0; hear(&e, h); i++) {
        say(&e, i % 3 == 1 ? "-ERR not this one\r\n" : "+OK\r\n");
    }
}

TEST(one_refused_set_is_one_failure, "P11", "8.8") {
    struct peer p = peer_start(refuse_every_third);
    redis_cache *r = cache_at(p.address, patience_ms());
    bytes *keys = same_keys(9, "key");
    status results[9];
    const char *did = "set_many of 9 pairs at a server that refuses the 2nd, "
                      "5th and 8th";
    want_status(redis_cache_set_many(r, keys, keys, 9, results), STATUS_OK, did,
                "every set was answered, some with a refusal: see results");
    for (size_t i = 0; i < 9; i++) {
        want_status(results[i], i % 3 == 1 ? STATUS_BACKEND : STATUS_OK,
                    text("%s: result %zu", did, i),
                    "an error is the answer to its own command, and to no "
                    "other");
    }
    want_error_line(r, "not this one", did);
    want_int(p.heard->connections, 1, text("%s: connections", did),
             "a refusal is an answer: the connection is as good as before");
    free(keys);
    redis_cache_destroy(r);
    peer_stop(&p);
}

/* The model: an array of what each key holds, and Redis beside it. */
enum { MODEL_KEYS = 6, MODEL_VALUES = 20, NOTHING = -1 };

static const redis *model_server;

struct beside {
    redis_cache *r;
    int held[MODEL_KEYS]; /* a value's number, or NOTHING */
};

/* Keys of several kinds: among them the empty one, and beginnings of others. */
static bytes model_key(unsigned k) {
    return (bytes){"\0k%s\r\n", k % MODEL_KEYS};
}

/* Value v has 13 v bytes. */
static bytes model_value(unsigned v) {
    static char data[MODEL_VALUES * 13];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (char)(i * 7);
    }
    return (bytes){data, v % MODEL_VALUES * 13};
}

static void *model_begin(void) {
    struct beside *b = calloc(1, sizeof *b);
    for (size_t k = 0; b && k < MODEL_KEYS; k++) {
        b->held[k] = NOTHING;
    }
    redis_ask(model_server, "FLUSHALL");
    b->r = cache_of(model_server);
    return b;
}

static const char *model_get(struct beside *b, unsigned k) {
    bytes value = {0};
    status got = redis_cache_get(b->r, model_key(k), &value);
    status want = b->held[k] == NOTHING ? STATUS_MISS : STATUS_OK;
    if (got != want) {
        return text("get of key %u said %s, not %s", k, status_name(got),
                    status_name(want));
    }
    if (got == STATUS_OK
        && !bytes_equal(value, model_value((unsigned)b->held[k]))) {
        return text("get of key %u gave another value", k);
    }
    return NULL;
}

static const char *model_ask(const struct beside *b, unsigned k, status got) {
    status want = b->held[k] == NOTHING ? STATUS_MISS : STATUS_OK;
    return got == want ? NULL
                       : text("it said %s, not %s", status_name(got),
                              status_name(want));
}

struct model_found {
    const struct beside *b;
    const char *why;
};

static void model_find(void *context, size_t i, bytes value) {
    struct model_found *f = context;
    int held_here = f->b->held[i];
    if (held_here == NOTHING
        || !bytes_equal(value, model_value((unsigned)held_here))) {
        f->why = text("get_many found another value at place %zu", i);
    }
}

static const char *model_get_many(const struct beside *b) {
    struct model_found f = {b, NULL};
    bytes keys[MODEL_KEYS];
    status results[MODEL_KEYS];
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        keys[k] = model_key(k);
    }
    redis_cache_get_many(b->r, keys, MODEL_KEYS, model_find, &f, results);
    for (unsigned k = 0; k < MODEL_KEYS && !f.why; k++) {
        f.why = model_ask(b, k, results[k]);
    }
    return f.why;
}

static const char *model_set_many(struct beside *b, unsigned v) {
    bytes keys[MODEL_KEYS], values[MODEL_KEYS];
    status results[MODEL_KEYS];
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        keys[k] = model_key(k);
        values[k] = model_value(v + k);
        b->held[k] = (int)((v + k) % MODEL_VALUES);
    }
    status s = redis_cache_set_many(b->r, keys, values, MODEL_KEYS, results);
    return s == STATUS_OK ? NULL : text("set_many said %s", status_name(s));
}

static const char *model_set(struct beside *b, model_step s, bool for_long) {
    bytes key = model_key(s.key), value = model_value(s.value);
    status got = for_long ? redis_cache_set_for(b->r, key, value, 600000)
                          : redis_cache_set(b->r, key, value);
    b->held[s.key] = (int)s.value;
    return got == STATUS_OK ? NULL : text("it said %s", status_name(got));
}

static const char *model_apply(void *state, model_step s) {
    struct beside *b = state;
    const char *why;
    switch (s.operation) {
    case 0: return model_set(b, s, false);
    case 1: return model_set(b, s, true);
    case 2: return model_get(b, s.key);
    case 3:
        return model_ask(b, s.key, redis_cache_exists(b->r, model_key(s.key)));
    case 4:
        why = model_ask(b, s.key, redis_cache_delete(b->r, model_key(s.key)));
        b->held[s.key] = NOTHING;
        return why;
    case 5: return model_get_many(b);
    default: return model_set_many(b, s.value);
    }
}

static const char *model_end(void *state) {
    struct beside *b = state;
    const char *why = NULL;
    for (unsigned k = 0; k < MODEL_KEYS && !why; k++) {
        why = model_get(b, k);
    }
    redis_cache_destroy(b->r);
    free(b);
    return why;
}

static void model_print(FILE *out, model_step s) {
    static const char *const names[] = {
        "set", "set_for", "get", "exists", "delete", "get_many", "set_many"};
    if (s.operation == 5) {
        fprintf(out, "get_many(keys 0 to %d)", MODEL_KEYS - 1);
    } else if (s.operation == 6) {
        fprintf(out, "set_many(keys 0 to %d, values from %u)", MODEL_KEYS - 1,
                s.value);
    } else if (s.operation < 2) {
        fprintf(out, "%s(key %u, value %u)", names[s.operation], s.key,
                s.value);
    } else {
        fprintf(out, "%s(key %u)", names[s.operation], s.key);
    }
}

TEST(any_mix_of_calls_agrees_with_a_plain_array, "P1", "8.8") {
    redis *server = redis_start();
    model_server = server;
    model_check(&(model){.operations = 7,
                         .keys = MODEL_KEYS,
                         .values = MODEL_VALUES,
                         .lists = test_scale(60, 20),
                         .steps = 40,
                         .begin = model_begin,
                         .apply = model_apply,
                         .end = model_end,
                         .print = model_print});
    redis_stop(server);
}
