/* Bench of lesson 15c: the reader's server beside redis-server and memcached.
 *
 *     15c-server counts label=server.so...   reads and writes of sockets
 *     15c-server speed label=server.so...    requests per second, 99th
 *                                            percentiles, and memory
 *     15c-server one label=server.so...      the gets that callgrind counts
 *
 * Each server is a process with one thread, on the first processor; who asks
 * is on the last. Two ask, in turns: redis-benchmark, and a client of our own
 * that costs less than any server: its requests are laid out beforehand, all
 * of one length, and answers are counted by their bytes. Both have 50
 * connections over TCP, with so many requests on each that wait for answers. A
 * request's time is that of the batch it travels with. */
#include "measure.h"

#include "server.h"
#include "support/process.h"
#include "support/redis.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SEED 42

enum { CLIENTS = 50, KEYS = 100000, KEY_LEN = 16, VALUE_LEN = 100 };
enum { DEPTH_MAX = 256, STREAM = 1 << 18, READ_MAX = 64 << 10 };
enum { MILLION = 1000000, ENTRIES_BYTES = 150000000, COUNTED = 1024 };

typedef struct implementation {
    const char *label;
    status (*create)(const server_options *options, server **out);
    status (*listen)(server *s, const char *address);
    int (*port)(const server *s);
    status (*run)(server *s);
    void (*destroy)(server *s);
    server_session *(*begin)(server *s);
    void (*feed)(server_session *x, bytes input);
    bytes (*output)(const server_session *x);
    void (*take)(server_session *x, size_t n);
    void (*end)(server_session *x);
} implementation;

static implementation load(char *argument) {
    void *handle = measure_open(argument);
    implementation i = {.label = argument};
    measure_function(handle, "server_create", &i.create);
    measure_function(handle, "server_listen", &i.listen);
    measure_function(handle, "server_port", &i.port);
    measure_function(handle, "server_run", &i.run);
    measure_function(handle, "server_destroy", &i.destroy);
    measure_function(handle, "server_session_create", &i.begin);
    measure_function(handle, "server_session_feed", &i.feed);
    measure_function(handle, "server_session_output", &i.output);
    measure_function(handle, "server_session_take", &i.take);
    measure_function(handle, "server_session_destroy", &i.end);
    return i;
}

/* -- processors ----------------------------------------------------------- */

/* Keeps this process, and what it starts from now on, on the first or on the
 * last of its processors. */
static void move_to(bool last) {
    static cpu_set_t all;
    static bool known;
    cpu_set_t one;
    if (!known) {
        known = sched_getaffinity(0, sizeof all, &all) == 0;
    }
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &all) && (last || CPU_COUNT(&one) == 0)) {
            CPU_ZERO(&one);
            CPU_SET(i, &one);
        }
    }
    sched_setaffinity(0, sizeof one, &one);
}

/* -- reads and writes, counted -------------------------------------------- */

/* What the servers call instead of the C library's functions (-rdynamic): the
 * same, and counted, in memory that all processes of the bench share. */
static _Atomic size_t *calls;

ssize_t recv(int fd, void *data, size_t len, int flags) {
    if (calls) {
        ++*calls;
    }
    return syscall(SYS_recvfrom, fd, data, len, flags, NULL, NULL);
}

ssize_t send(int fd, const void *data, size_t len, int flags) {
    if (calls) {
        ++*calls;
    }
    return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

/* -- servers -------------------------------------------------------------- */

typedef struct rival {
    const char *label;
    pid_t pid; /* of a reader's server */
    redis *redis;
    process *memcached;
    char port[8];
} rival;

static rival start_ours(const implementation *i, server_options options) {
    rival r = {.label = i->label};
    int ends[2];
    if (pipe(ends) != 0 || (r.pid = fork()) < 0) {
        measure_die("%s: no process", i->label);
    }
    if (r.pid == 0) {
        server *s = NULL;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        move_to(false);
        if (i->create(&options, &s) != STATUS_OK
            || i->listen(s, "0") != STATUS_OK) {
            _exit(1);
        }
        dprintf(ends[1], "%d", i->port(s));
        close(ends[1]);
        _exit(i->run(s) != STATUS_OK);
    }
    close(ends[1]);
    if (read(ends[0], r.port, sizeof r.port - 1) <= 0) {
        measure_die("%s: the server does not start", i->label);
    }
    close(ends[0]);
    return r;
}

static rival start_redis(void) {
    rival r = {.label = "redis-server"};
    move_to(false);
    r.redis = redis_start();
    move_to(true);
    const char *port = strchr(redis_host_port(r.redis), ':') + 1;
    snprintf(r.port, sizeof r.port, "%s", port);
    return r;
}

static int dial(const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)atoi(port)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static bool answers(const void *port) {
    int fd = dial(port);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* A port above those of the Redis fixture, and its user must not be root. */
static rival start_memcached(void) {
    rival r = {.label = "memcached"};
    snprintf(r.port, sizeof r.port, "%d", 21000 + (int)(getpid() % 9000));
    move_to(false);
    r.memcached = process_create("memcached", "memcached");
    process_begin(r.memcached,
                  (const char *[]){"memcached", "-l", "127.0.0.1", "-p", r.port,
                                   "-U", "0", "-t", "1", "-m", "256", "-u",
                                   "nobody", NULL},
                  answers, r.port);
    move_to(true);
    return r;
}

static void end(rival *r) {
    if (r->redis) {
        redis_stop(r->redis);
    } else if (r->memcached) {
        process_destroy(r->memcached);
    } else {
        kill(r->pid, SIGKILL);
    }
}

/* -- requests ------------------------------------------------------------- */

/* A stream of them for each protocol and operation, all of one length, and the
 * length of every answer. */

typedef struct stream {
    char *data;
    size_t request, answer;
    char first; /* byte of a good answer */
} stream;

static const char value[VALUE_LEN + 1] =
    "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"
    "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";

static int write_request(char *to, size_t size, bool memcached, bool get,
                         const char *key) {
    if (memcached) {
        return get ? snprintf(to, size, "get %s\r\n", key)
                   : snprintf(to, size, "set %s 0 0 %d\r\n%s\r\n", key,
                              VALUE_LEN, value);
    }
    return get ? snprintf(to, size, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", KEY_LEN,
                          key)
               : snprintf(to, size,
                          "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n",
                          KEY_LEN, key, VALUE_LEN, value);
}

static size_t answer_len(bool memcached, bool get) {
    char text[256];
    if (!get) {
        return memcached ? strlen("STORED\r\n") : strlen("+OK\r\n");
    }
    return (size_t)(memcached ? snprintf(text, sizeof text,
                                         "VALUE %*d 0 %d\r\n%s\r\nEND\r\n",
                                         KEY_LEN, 0, VALUE_LEN, value)
                              : snprintf(text, sizeof text, "$%d\r\n%s\r\n",
                                         VALUE_LEN, value));
}

/* random: NULL: the keys in order, once. */
static stream make_stream(bool memcached, bool get, size_t n,
                          uint64_t *random) {
    char text[256], key[KEY_LEN + 8];
    stream s = {.answer = answer_len(memcached, get),
                .first =
                    get ? (memcached ? 'V' : '$') : (memcached ? 'S' : '+')};
    for (size_t i = 0; i < n; i++) {
        size_t k = random ? bench_random_below(random, KEYS) : i;
        snprintf(key, sizeof key, "key:%012zu", k);
        int len = write_request(text, sizeof text, memcached, get, key);
        if (!s.data) {
            s.request = (size_t)len;
            s.data = measure_alloc(n, s.request);
        }
        memcpy(s.data + i * s.request, text, s.request);
    }
    return s;
}

/* -- the equal client ----------------------------------------------------- */

typedef struct caller {
    int fd;
    size_t at;  /* its next request in the stream */
    size_t due; /* bytes of answers that are still to come */
    int64_t sent_ns;
} caller;

static void send_batch(caller *c, const stream *s, size_t depth) {
    const char *from = s->data + c->at * s->request;
    size_t left = depth * s->request;
    c->at = (c->at + depth) % (STREAM - DEPTH_MAX);
    c->due = depth * s->answer;
    c->sent_ns = bench_now_ns();
    while (left > 0) {
        ssize_t n = send(c->fd, from, left, MSG_NOSIGNAL);
        if (n <= 0) {
            measure_die("the server hung up: %s", strerror(errno));
        }
        from += n;
        left -= (size_t)n;
    }
}

/* Returns: whether the whole batch is answered. */
static bool take_answers(caller *c, const stream *s, size_t depth) {
    static char data[READ_MAX];

    ssize_t n = recv(c->fd, data, sizeof data, 0);
    bool first = c->due == depth * s->answer;
    if (n <= 0 || (size_t)n > c->due || (first && data[0] != s->first)) {
        measure_die("no good answer: %.40s", n > 0 ? data : "the end");
    }
    c->due -= (size_t)n;
    return c->due == 0;
}

typedef struct result {
    double thousands; /* requests per second */
    double p99_us;
} result;

/* Asks for n requests in all, over so many connections. */
static result ask(const char *port, const stream *s, size_t connections,
                  size_t depth, size_t n) {
    caller callers[CLIENTS];
    struct epoll_event events[CLIENTS];
    bench_histogram *times = bench_histogram_create();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < connections; i++) {
        callers[i] = (caller){.fd = dial(port), .at = i * (STREAM / CLIENTS)};
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &callers[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, callers[i].fd, &e);
    }
    int64_t start = bench_now_ns();
    for (size_t i = 0; i < connections; i++) {
        send_batch(&callers[i], s, depth);
    }
    size_t sent = connections * depth, done = 0;
    while (done < sent) {
        int ready = epoll_wait(epoll, events, CLIENTS, -1);
        for (int i = 0; i < ready; i++) {
            caller *c = events[i].data.ptr;
            if (take_answers(c, s, depth)) {
                done += depth;
                bench_histogram_record(times, bench_now_ns() - c->sent_ns);
                if (sent < n) {
                    sent += depth;
                    send_batch(c, s, depth);
                }
            }
        }
    }
    int64_t ns = bench_now_ns() - start;
    result r = {(double)done * 1e6 / (double)ns,
                (double)bench_histogram_percentile(times, 990000) / 1e3};
    for (size_t i = 0; i < connections; i++) {
        close(callers[i].fd);
    }
    close(epoll);
    bench_histogram_destroy(times);
    return r;
}

/* All keys once, in order, over one connection. */
static void fill(const rival *r, size_t n) {
    enum { AT_ONCE = 1000 };
    stream s = make_stream(r->memcached != NULL, false, n, NULL);
    caller c = {.fd = dial(r->port)};
    for (size_t i = 0; i < n; i += AT_ONCE) {
        c.at = i;
        send_batch(&c, &s, AT_ONCE);
        while (!take_answers(&c, &s, AT_ONCE)) {
        } /* until all of them are answered */
    }
    close(c.fd);
    free(s.data);
}

/* -- requests per second -------------------------------------------------- */

typedef struct contest {
    rival *rivals;
    size_t count;
    stream streams[2][2]; /* for Redis and memcached; get and set */
    size_t depth, n;
} contest;

/* redis-benchmark says itself how many it had, and the 99th percentile. */
static void ask_by_tool(const contest *c, const rival *r, bool get,
                        bench_report *out) {
    char command[512];
    const char *name = get ? "get" : "set";
    snprintf(command, sizeof command,
             "redis-benchmark -h 127.0.0.1 -p %s -c %d -P %zu -n %zu -r %d "
             "-d %d -t %s --csv | awk -F'\"' 'NR > 1 {"
             "print \"%s tool-%s %zu\", $4 / 1000;"
             "print \"%s tool-%s-p99 %zu\", $14 * 1000 }'",
             r->port, CLIENTS, c->depth, c->n, KEYS, VALUE_LEN, name, r->label,
             name, c->depth, r->label, name, c->depth);
    if (!measure_add_from(out, command)) {
        measure_die("this failed: %s", command);
    }
}

static status take_turn(void *context, size_t who, bench_report *out) {
    const contest *c = context;
    const rival *r = &c->rivals[who / 2];
    bool get = who % 2 == 0, is_memcached = r->memcached != NULL;
    const char *name = get ? "get" : "set";
    result got =
        ask(r->port, &c->streams[is_memcached][!get], CLIENTS, c->depth, c->n);
    char p99[32];
    snprintf(p99, sizeof p99, "%s-p99", name);
    measure_add(out, r->label, name, c->depth, got.thousands);
    measure_add(out, r->label, p99, c->depth, got.p99_us);
    if (!is_memcached) {
        ask_by_tool(c, r, get, out);
    }
    return STATUS_OK;
}

/* What a million entries take: bytes of memory for each of them, all that the
 * process has got from the system for them. */
static size_t resident(pid_t pid) {
    char path[64];
    long all = 0, here = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%ld %ld", &all, &here) != 2) {
        measure_die("%s cannot be read", path);
    }
    fclose(f);
    return (size_t)here * (size_t)sysconf(_SC_PAGESIZE);
}

/* The line of an answer to one command. */
static void ask_line(const rival *r, const char *command, char *line,
                     size_t size) {
    int fd = dial(r->port);
    send(fd, command, strlen(command), MSG_NOSIGNAL);
    ssize_t n = recv(fd, line, size - 1, 0);
    line[n > 0 ? n : 0] = '\0';
    close(fd);
}

static double bytes_per_entry(const rival *r, pid_t pid) {
    char line[64];
    size_t before = resident(pid);
    fill(r, MILLION);
    ask_line(r, "DBSIZE\r\n", line, sizeof line);
    if (strcmp(line, ":1000000\r\n") != 0) {
        measure_die("%s does not hold a million keys, but %s", r->label, line);
    }
    return (double)(resident(pid) - before) / MILLION;
}

static pid_t pid_of_redis(const rival *r) {
    char info[8192];
    ask_line(r, "INFO server\r\n", info, sizeof info);
    const char *at = strstr(info, "process_id:");
    return at ? (pid_t)atoi(at + strlen("process_id:")) : 0;
}

static void weigh(bench_report *out, const implementation *impls,
                  size_t count) {
    for (size_t i = 0; i < count; i++) {
        rival r = start_ours(
            &impls[i], (server_options){.memory_bytes = ENTRIES_BYTES,
                                        .entry_bytes = KEY_LEN + VALUE_LEN});
        measure_add(out, r.label, "bytes", MILLION, bytes_per_entry(&r, r.pid));
        end(&r);
    }
    rival r = start_redis();
    measure_add(out, r.label, "bytes", MILLION,
                bytes_per_entry(&r, pid_of_redis(&r)));
    end(&r);
}

static void speed(const implementation *impls, size_t count) {
    uint64_t random = SEED;
    bench_report *out = measure_report();
    contest c = {.rivals = measure_alloc(count + 2, sizeof(rival)),
                 .count = count + 2};
    move_to(true);
    for (size_t i = 0; i < count; i++) {
        c.rivals[i] = start_ours(
            &impls[i], (server_options){.entry_bytes = KEY_LEN + VALUE_LEN});
    }
    c.rivals[count] = start_redis();
    c.rivals[count + 1] = start_memcached();
    for (int m = 0; m < 2; m++) {
        c.streams[m][0] = make_stream(m, true, STREAM, &random);
        c.streams[m][1] = make_stream(m, false, STREAM, &random);
    }
    for (size_t i = 0; i < c.count; i++) {
        fill(&c.rivals[i], KEYS);
    }
    for (c.depth = 1; c.depth <= 64; c.depth *= 4) {
        c.n = c.depth < 16 ? 25000 * c.depth : 400000;
        c.n = measure_quick() ? c.n / 4 : c.n;
        fprintf(stderr, "depth %zu\n", c.depth);
        measure_interleave(out, 2 * c.count, take_turn, &c);
    }
    for (size_t i = 0; i < c.count; i++) {
        end(&c.rivals[i]);
    }
    weigh(out, impls, count);
    measure_print_times(out,
                        "make bench-15c: thousand requests per second, 99th "
                        "percentiles in microseconds, by depth; bytes per "
                        "entry; tool: by redis-benchmark");
    bench_report_destroy(out);
}

/* -- counts --------------------------------------------------------------- */

static double reads_and_writes(const rival *r) {
    char info[8192];
    double sum = 0;
    static const char *const names[] = {"total_reads_processed:",
                                        "total_writes_processed:"};
    ask_line(r, "INFO stats\r\n", info, sizeof info);
    for (size_t i = 0; i < 2; i++) {
        const char *at = strstr(info, names[i]);
        if (!at) {
            measure_die("INFO stats does not say how often Redis reads");
        }
        sum += strtod(at + strlen(names[i]), NULL);
    }
    return sum;
}

/* One connection: a batch is answered before the next one is sent. Our own
 * process does not count: `calls` is set in the server's only. */
static void counts(const implementation *impls, size_t count) {
    uint64_t random = SEED;
    stream gets = make_stream(false, true, STREAM, &random);
    bench_report *out = measure_report();
    _Atomic size_t *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < count; i++) {
        calls = shared;
        rival r = start_ours(&impls[i], (server_options){0});
        calls = NULL;
        fill(&r, KEYS);
        for (size_t depth = 1; depth <= DEPTH_MAX; depth *= 2) {
            size_t before = *shared;
            ask(r.port, &gets, 1, depth, COUNTED);
            usleep(20000); /* until it has noticed that we have gone */
            measure_add(out, r.label, "calls", depth,
                        1000.0 * (double)(*shared - before - 1) / COUNTED);
        }
        end(&r);
    }
    rival r = start_redis();
    fill(&r, KEYS);
    for (size_t depth = 1; depth <= DEPTH_MAX; depth *= 2) {
        double before = reads_and_writes(&r) + 2; /* with its own answer */
        ask(r.port, &gets, 1, depth, COUNTED);
        usleep(20000);
        measure_add(out, r.label, "calls", depth,
                    1000 * (reads_and_writes(&r) - before - 2) / COUNTED);
    }
    end(&r);
    free(gets.data);
    measure_print_counts(out, "make plot-15c: reads and writes of a socket for "
                              "1,000 gets, by the number that travel together");
    bench_report_destroy(out);
}

/* -- counts of instructions ----------------------------------------------- */

typedef struct question {
    const implementation *i;
    server_session *x;
} question;

static void ask_all(void *context) {
    const question *q = context;
    static const char get[] = "*2\r\n$3\r\nGET\r\n$4\r\ncost\r\n";
    for (size_t i = 0; i < COUNTED; i++) {
        q->i->feed(q->x, (bytes){get, sizeof get - 1});
        q->i->take(q->x, q->i->output(q->x).len);
    }
}

static void one(const implementation *impls, size_t count) {
    static char set[1 << 15];
    for (size_t i = 0; i < count; i++) {
        server *s = NULL;
        if (impls[i].create(NULL, &s) != STATUS_OK) {
            measure_die("%s: server_create", impls[i].label);
        }
        question q = {&impls[i], impls[i].begin(s)};
        for (size_t n = 1; n <= 1 << 14; n *= 4) {
            int len = snprintf(set, sizeof set,
                               "*3\r\n$3\r\nSET\r\n$4\r\ncost\r\n$%zu\r\n", n);
            impls[i].feed(q.x, (bytes){set, (size_t)len});
            memset(set, 'v', n);
            memcpy(set + n, "\r\n", 2);
            impls[i].feed(q.x, (bytes){set, n + 2});
            impls[i].take(q.x, impls[i].output(q.x).len);
            measure_ask(ask_all, &q);
            printf("%s\tget\t%zu\t%d\n", impls[i].label, n, COUNTED);
        }
        impls[i].end(q.x);
        impls[i].destroy(s);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        measure_die("usage: %s counts|speed|one label=server.so...", argv[0]);
    }
    size_t count = (size_t)argc - 2;
    implementation *impls = measure_alloc(count, sizeof *impls);
    for (size_t i = 0; i < count; i++) {
        impls[i] = load(argv[i + 2]);
    }
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(argv[1], "counts") == 0) {
        counts(impls, count);
    } else if (strcmp(argv[1], "speed") == 0) {
        speed(impls, count);
    } else if (strcmp(argv[1], "one") == 0) {
        one(impls, count);
    } else {
        measure_die("%s: no mode '%s'", argv[0], argv[1]);
    }
    free(impls);
    return 0;
}
