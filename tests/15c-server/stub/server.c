/* server: sessions that parse and answer, and event loops that carry bytes
 * between them and the sockets. */
#include "server.h"

#include "parts.h"

#include "common/todo.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
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
enum { EVENTS = 16, ACCEPTS = 64, READ_MAX = 64 << 10 };

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

/* What may stand behind SET key value. */
struct set_options {
    bool absent, present, get, keep;
    int unit;    /* of the time, in ms; 0: there is none */
    size_t time; /* which word that is */
};

/* -- the lesson's functions ----------------------------------------------- */

status server_create(const server_options *options, server **out) {
    TODO("15c.1: make the cache, the loops, a pipe and a spare descriptor");
}

server_session *server_session_create(server *s) {
    TODO("15c.1: make a session that has read nothing yet");
}

void server_session_feed(server_session *x, bytes input) {
    TODO("15c.1: read commands, answer them; 15c.2 to 15c.4 as well");
}

bytes server_session_output(const server_session *x) {
    TODO("15c.1: lend the answers that nobody took yet");
}

void server_session_take(server_session *x, size_t n) {
    TODO("15c.1: drop what was sent; answer what had to wait for it");
}

bool server_session_wants_input(const server_session *x) {
    TODO("15c.1: say no when it is over; 15c.4: or when the output is full");
}

bool server_session_is_over(const server_session *x) {
    TODO("15c.1: whether no command will be answered any more");
}

void server_session_destroy(server_session *x) {
    TODO("15c.1: free all that the session holds");
}

status server_listen(server *s, const char *address) {
    TODO("15c.5: open one more listener");
}

const char *server_error(const server *s) {
    TODO("15c.5: what last went wrong");
}

int server_port(const server *s) {
    TODO("15c.5: the port of the last listener that has one");
}

status server_run(server *s) {
    TODO("15c.5: loops that wait, accept, read, answer; 15c.6 as well");
}

void server_stop(server *s) {
    TODO("15c.5: write a byte into the pipe");
}

server_stats server_statistics(server *s) {
    TODO("15c.3: hand out what is counted, and the bounds");
}

void server_destroy(server *s) {
    TODO("15c.1: free everything; from 15c.5 on, close the listeners");
}
