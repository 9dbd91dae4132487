/* Given: sockets that listen. */
#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, HOST_MAX = 64, ERROR_MAX = 256 };

bool listener_unblock(int fd) {
    return fcntl(fd, F_SETFL, O_NONBLOCK) == 0
           && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* Whether the file is that of a socket at which nobody listens any more. */
static bool is_left_over(const struct sockaddr_un *file) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bool dead = fd >= 0
                && connect(fd, (const struct sockaddr *)file, sizeof *file) != 0
                && errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    return dead;
}

static bool bind_to(int fd, const struct sockaddr *a, socklen_t len) {
    if (bind(fd, a, len) == 0) {
        return true;
    }
    const struct sockaddr_un *file =
        (const struct sockaddr_un *)(const void *)a;
    return errno == EADDRINUSE && a->sa_family == AF_UNIX && is_left_over(file)
           && unlink(file->sun_path) == 0 && bind(fd, a, len) == 0;
}

/* Returns: a socket that listens; -1, and errno says why. */
static int open_at(const struct sockaddr *a, socklen_t len) {
    int fd = socket(a->sa_family, SOCK_STREAM, 0), one = 1;
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!listener_unblock(fd) || !bind_to(fd, a, len)
        || listen(fd, BACKLOG) != 0) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

/* Cuts "host:port" at its last colon; without a host it is 127.0.0.1.
 * Returns: whether it may be an address. */
static bool split(const char *address, char host[HOST_MAX], const char **port) {
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;
    *port = colon ? colon + 1 : address;
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++; /* [::1]:6379 */
        len -= 2;
    }
    if (len >= HOST_MAX) {
        return false;
    }
    snprintf(host, HOST_MAX, "%.*s", (int)len, address);
    if (len == 0) {
        snprintf(host, HOST_MAX, "127.0.0.1");
    }
    long long n;
    return word_number(bytes_of(*port), &n) && n >= 0 && n <= 65535;
}

static int port_of(int fd) {
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } a = {.six = {0}};
    socklen_t len = sizeof a;
    getsockname(fd, &a.any, &len);
    return ntohs(a.any.sa_family == AF_INET6 ? a.six.sin6_port
                                             : a.four.sin_port);
}

static status open_tcp(const char *address, listener *l) {
    char host[HOST_MAX];
    const char *port;
    struct addrinfo how = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                           .ai_socktype = SOCK_STREAM},
                    *found;
    if (!split(address, host, &port)
        || getaddrinfo(host, port, &how, &found) != 0) {
        return STATUS_INVALID;
    }
    *l = (listener){.fd = open_at(found->ai_addr, found->ai_addrlen)};
    freeaddrinfo(found);
    if (l->fd < 0) {
        return STATUS_BACKEND;
    }
    l->port = port_of(l->fd);
    return STATUS_OK;
}

static status open_file(const char *path, listener *l) {
    *l = (listener){.file = {.sun_family = AF_UNIX}};
    if (strlen(path) >= sizeof l->file.sun_path) {
        return STATUS_INVALID;
    }
    memcpy(l->file.sun_path, path, strlen(path));
    l->fd = open_at((struct sockaddr *)&l->file, sizeof l->file);
    return l->fd < 0 ? STATUS_BACKEND : STATUS_OK;
}

status listener_open(const char *address, listener *l, char error[256]) {
    listener made;
    status s = strchr(address, '/') ? open_file(address, &made)
                                    : open_tcp(address, &made);
    if (s == STATUS_OK) {
        *l = made;
    } else {
        snprintf(error, ERROR_MAX, "%s: %s", address,
                 s == STATUS_BACKEND ? strerror(errno)
                                     : "no address to listen at");
    }
    return s;
}

void listener_close(listener *l) {
    close(l->fd);
    if (l->file.sun_path[0] != '\0') {
        unlink(l->file.sun_path);
    }
}
