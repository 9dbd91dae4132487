/* Attack: changes memory that it never lent. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include "kv.h"

/* The head of a message, as tests/grade/wire.h has it. */
struct head {
    uint64_t len, nonce;
    uint32_t type, function;
    uint64_t serial, epoch, steps, watched, no_pipe, heap[5], changes;
};

static void say(int fd, struct head head, const uint64_t *body) {
    char message[512];
    size_t len = head.len < 256 ? (size_t)head.len : 256;
    memcpy(message, &head, sizeof head);
    memcpy(message + sizeof head, body, len);
    (void)!write(fd, message, sizeof head + len);
}

kv *kv_create(void) {
    uint64_t body[32] = {0};
    for (int fd = 3; fd < 20; fd++) {
        body[0] = (uint64_t)(uintptr_t)&body;
        body[1] = 8;
        say(fd, (struct head){.len = 24, .type = 4, .changes = 1}, body);
    }
    return NULL;
}
