/* cache-server: your server as a program, with the options of redis-server.
 *
 *     cache-server --port 6379 --maxmemory 100mb --threads 2
 *
 * It listens on this machine alone, unless --bind says otherwise. SIGTERM and
 * SIGINT (Ctrl-C) end it. */
#include "server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

enum { TEXT = 256, DESCRIPTORS_BESIDE = 64 };

struct settings {
    server_options options;
    const char *host, *port, *file;
};

static server *the_server; /* for the signal handler */

static void stop(int signal_number) {
    (void)signal_number;
    server_stop(the_server);
}

static _Noreturn void usage(const char *why, const char *what) {
    fprintf(
        stderr,
        "cache-server: %s%s\n"
        "usage: cache-server [--port 6379] [--bind 127.0.0.1]\n"
        "    [--unixsocket file] [--maxmemory 256mb] [--maxclients 10000]\n"
        "    [--threads 1] [--proto-max-bulk-len 64mb]\n"
        "Without --bind only this machine can connect. With it, so can all\n"
        "who reach that address: there is no password.\n"
        "A --port of 0 listens at no port.\n",
        why, what);
    exit(EXIT_FAILURE);
}

/* A number with a unit, as redis.conf has it: 1k is 1000, 1kb is 1024. */
static size_t read_size(const char *option, const char *text) {
    static const struct {
        const char *name;
        size_t bytes;
    } units[] = {{"", 1},        {"k", 1000},     {"kb", 1 << 10},
                 {"m", 1000000}, {"mb", 1 << 20}, {"g", 1000000000},
                 {"gb", 1 << 30}};
    char *unit;
    unsigned long long n = strtoull(text, &unit, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (text[0] >= '0' && text[0] <= '9' && n < (1ull << 32)
            && strcasecmp(unit, units[i].name) == 0) {
            return (size_t)n * units[i].bytes;
        }
    }
    usage("no number: ", option);
}

/* What a redis-server may be told, and what is so here in any case. */
static bool is_so_anyway(const char *option, const char *value) {
    static const char *const pairs[][2] = {
        {"--save", ""},        {"--appendonly", "no"},
        {"--daemonize", "no"}, {"--cluster-enabled", "no"},
        {"--dir", NULL}, /* nothing is written there */
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (strcmp(option, pairs[i][0]) == 0) {
            return !pairs[i][1] || strcmp(value, pairs[i][1]) == 0;
        }
    }
    return false;
}

static void read_option(struct settings *s, const char *option,
                        const char *value) {
    if (strcmp(option, "--port") == 0) {
        s->port = value;
    } else if (strcmp(option, "--bind") == 0) {
        s->host = value;
    } else if (strcmp(option, "--unixsocket") == 0) {
        s->file = value;
    } else if (strcmp(option, "--maxmemory") == 0) {
        s->options.memory_bytes = read_size(option, value);
    } else if (strcmp(option, "--proto-max-bulk-len") == 0) {
        s->options.request_bytes = read_size(option, value);
    } else if (strcmp(option, "--maxclients") == 0) {
        s->options.max_clients = read_size(option, value);
    } else if (strcmp(option, "--threads") == 0) {
        s->options.loops = read_size(option, value);
    } else if (!is_so_anyway(option, value)) {
        usage("I cannot do this: ", option);
    }
}

static void listen_at(server *s, const char *address) {
    if (server_listen(s, address) != STATUS_OK) {
        fprintf(stderr, "cache-server: %s\n", server_error(s));
        exit(EXIT_FAILURE);
    }
}

static void listen_as_told(server *s, const struct settings *how) {
    char address[TEXT];
    if (strcmp(how->port, "0") != 0) {
        snprintf(address, sizeof address, "%s:%s", how->host, how->port);
        listen_at(s, address);
        printf("listening at %s%s\n", address,
               strncmp(how->host, "127.", 4) == 0 ? ", for this machine alone"
                                                  : "");
    }
    if (how->file) {
        snprintf(address, sizeof address, "%s%s",
                 strchr(how->file, '/') ? "" : "./", how->file);
        listen_at(s, address);
        printf("listening at %s, for this machine alone\n", how->file);
    }
    fflush(stdout);
}

/* As many descriptors as the clients may need, if the system lets us. */
static void raise_limit(size_t clients) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0
        && r.rlim_cur < clients + DESCRIPTORS_BESIDE) {
        rlim_t wanted = clients + DESCRIPTORS_BESIDE;
        r.rlim_cur = wanted < r.rlim_max ? wanted : r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

int main(int argc, char **argv) {
    struct settings how = {.host = "127.0.0.1", .port = "6379"};
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) {
            usage("no value for ", argv[i]);
        }
        read_option(&how, argv[i], argv[i + 1]);
    }
    status made = server_create(&how.options, &the_server);
    if (made != STATUS_OK) {
        usage("no server: ", status_name(made));
    }
    raise_limit(server_statistics(the_server).max_clients);
    struct sigaction end = {.sa_handler = stop};
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    listen_as_told(the_server, &how);
    status ran = server_run(the_server);
    if (ran != STATUS_OK) {
        fprintf(stderr, "cache-server: %s\n", server_error(the_server));
    }
    server_destroy(the_server);
    return ran == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
