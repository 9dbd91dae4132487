/* Two clients of one server: what each says, and what comes back. The server
 * runs in a thread of this program, at a port that was free. */
#include "server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_MAX = 256, PATIENCE_SECONDS = 5 };

static void must(bool good, const char *did) {
    if (!good) {
        fprintf(stderr, "%s: that failed\n", did);
        exit(EXIT_FAILURE);
    }
}

static void *run(void *context) {
    must(server_run(context) == STATUS_OK, "server_run");
    return NULL;
}

static int dial(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0,
         "connect");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

/* With line ends as C writes them. */
static void print(const char *who, const char *text, size_t len) {
    printf("%s  ", who);
    for (size_t i = 0; i < len; i++) {
        switch (text[i]) {
        case '\r': printf("\\r"); break;
        case '\n': printf("\\n"); break;
        default: putchar(text[i]);
        }
    }
    puts("");
}

static void say(const char *who, int fd, const char *text) {
    size_t len = strlen(text);
    must(send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len, "send");
    print(who, text, len);
}

/* Waits for so many lines of answers. */
static void hear(int fd, size_t lines) {
    char answer[ANSWER_MAX];
    size_t len = 0;
    while (lines > 0 && len < sizeof answer) {
        must(recv(fd, answer + len, 1, 0) == 1, "wait for an answer");
        lines -= answer[len++] == '\n';
    }
    print("         server:", answer, len);
}

static void talk(int a, int b) {
    puts("A command is a line of words, or an array of strings.");
    say("client a:", a, "SET user:1 Alice\r\n");
    hear(a, 1);
    say("client b:", b, "*2\r\n$3\r\nGET\r\n$6\r\nuser:1\r\n");
    hear(b, 2);
    puts("\nIt may come in pieces, or together with others.");
    say("client a:", a, "SET session:123 act");
    say("client b:", b, "EXISTS session:123\r\n");
    hear(b, 1);
    say("client a:", a, "ive EX 6\r\nTTL session:123\r\nGET nothing\r\n");
    hear(a, 3);
    puts("\nWhat is no command ends this session, and no other.");
    say("client a:", a, "*1\r\nPING\r\n");
    hear(a, 1);
    char byte;
    must(recv(a, &byte, 1, 0) == 0, "wait for the end");
    puts("         server hangs up");
    say("client b:", b, "PING\r\n");
    hear(b, 1);
}

int main(void) {
    server *s;
    pthread_t thread;
    must(server_create(NULL, &s) == STATUS_OK, "server_create");
    must(server_listen(s, "127.0.0.1:0") == STATUS_OK, "server_listen");
    int port = server_port(s);
    must(pthread_create(&thread, NULL, run, s) == 0, "pthread_create");
    int a = dial(port), b = dial(port);
    talk(a, b);
    close(a);
    close(b);
    server_stop(s);
    pthread_join(thread, NULL);
    server_destroy(s);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
