/* Buffers and messages, on both sides. */
#include "grade/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Not counted as the tested code's, nor ever made to fail. */
void *__real_realloc(void *old, size_t size);

void wire_clear(wire *w) {
    w->len = w->at = 0;
    w->bad = false;
}

unsigned char *wire_extend(wire *w, size_t len) {
    if (len > 2 * (size_t)WIRE_MOST - w->len) {
        return NULL;
    }
    if (w->len + len > w->room) {
        size_t room = 2 * (w->len + len) + 4096;
        w->data = __real_realloc(w->data, room);
        if (!w->data) {
            abort();
        }
        w->room = room;
    }
    w->len += len;
    return w->data + w->len - len;
}

void wire_put(wire *w, uint64_t value) {
    unsigned char *to = wire_extend(w, sizeof value);
    if (!to) {
        abort();
    }
    memcpy(to, &value, sizeof value);
}

void wire_put_run(wire *w, const void *data, size_t len) {
    wire_put(w, len);
    unsigned char *to = wire_extend(w, len);
    if (!to) {
        abort();
    }
    if (len > 0) {
        memcpy(to, data, len);
    }
}

uint64_t wire_get(wire *w) {
    uint64_t value = 0;
    if (w->len - w->at < sizeof value) {
        w->bad = true;
        return 0;
    }
    memcpy(&value, w->data + w->at, sizeof value);
    w->at += sizeof value;
    return value;
}

const void *wire_get_run(wire *w, size_t *len) {
    uint64_t said = wire_get(w);
    *len = 0;
    if (w->bad || said > w->len - w->at) {
        w->bad = true;
        return NULL;
    }
    *len = (size_t)said;
    w->at += *len;
    return w->data + w->at - *len;
}

bool wire_ended(const wire *w) {
    return !w->bad && w->at == w->len;
}

static bool wait_for(struct pollfd *files, nfds_t count, int patience_ms) {
    int ready;
    do {
        ready = poll(files, count, patience_ms);
    } while (ready < 0 && errno == EINTR);
    errno = ready == 0 ? EAGAIN : errno;
    return ready > 0;
}

/* Returns: whether there is room for more. Who says something, or goes, before
 * all was sent takes no more. */
static bool wait_for_room(const wire_line *line) {
    struct pollfd files[2] = {{.fd = line->out, .events = POLLOUT},
                              {.fd = line->in, .events = POLLIN}};
    if (!wait_for(files, 2, line->patience_ms)) {
        return false;
    }
    errno = EPIPE;
    return files[1].revents == 0;
}

bool wire_send(const wire_line *line, wire_head *head, const wire *body) {
    head->len = body->len;
    struct iovec parts[2] = {{head, sizeof *head}, {body->data, body->len}};
    size_t left = sizeof *head + body->len;
    while (left > 0) {
        ssize_t sent = writev(line->out, parts, 2);
        if (sent < 0
            && (errno == EINTR || (errno == EAGAIN && wait_for_room(line)))) {
            continue;
        }
        if (sent < 0) {
            return false;
        }
        left -= (size_t)sent;
        for (int i = 0; i < 2; i++) { /* what was sent is not sent again */
            size_t done = (size_t)sent < parts[i].iov_len ? (size_t)sent
                                                          : parts[i].iov_len;
            parts[i].iov_base = (char *)parts[i].iov_base + done;
            parts[i].iov_len -= done;
            sent -= (ssize_t)done;
        }
    }
    return true;
}

/* Returns: the bytes received, at least `least`; 0: failed. */
static size_t receive(const wire_line *line, void *to, size_t least,
                      size_t most) {
    struct pollfd file = {.fd = line->in, .events = POLLIN};
    size_t got = 0;
    while (got < least) {
        if (line->patience_ms >= 0 && !wait_for(&file, 1, line->patience_ms)) {
            return 0;
        }
        ssize_t now = read(line->in, (char *)to + got, most - got);
        if (now < 0 && errno == EINTR) {
            continue;
        }
        if (now <= 0) {
            errno = now == 0 ? EPIPE : errno;
            return 0;
        }
        got += (size_t)now;
    }
    return got;
}

/* Head and body mostly come with one system call: nobody sends a second
 * message before the first one is answered. */
bool wire_receive(const wire_line *line, wire_head *head, wire *body) {
    wire_clear(body);
    unsigned char *start = wire_extend(body, 4096);
    size_t got = receive(line, start, sizeof *head, 4096);
    if (got == 0) {
        return false;
    }
    memcpy(head, start, sizeof *head);
    body->at = sizeof *head;
    body->len = got;
    size_t here = got - sizeof *head;
    if (head->len > WIRE_MOST || here > head->len) {
        errno = EPROTO;
        return false;
    }
    size_t rest = (size_t)head->len - here;
    return rest == 0
           || receive(line, wire_extend(body, rest), rest, rest) == rest;
}

union files {
    char room[CMSG_SPACE(4 * sizeof(int))];
    struct cmsghdr aligned;
};

bool wire_send_files(int socket, uint64_t number, const int *files, int count) {
    union files control = {{0}};
    struct iovec part = {&number, sizeof number};
    size_t size = (size_t)count * sizeof *files;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), files, size);
    return sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)sizeof number;
}

bool wire_receive_files(int socket, uint64_t *number, int *files, int count) {
    union files control;
    struct iovec part = {number, sizeof *number};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    ssize_t got;
    do {
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    size_t size = (size_t)count * sizeof *files;
    if (got != (ssize_t)sizeof *number || !c || c->cmsg_len != CMSG_LEN(size)) {
        return false;
    }
    memcpy(files, CMSG_DATA(c), size);
    return true;
}
