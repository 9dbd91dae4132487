/* Attack: finds the number of the call on its own stack and answers with it. */
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

kv *kv_create(void) {
    uint64_t here[512], words[512];
    memcpy(words, here + 1, sizeof here - 8);
    for (size_t i = 0; i < 511; i++) {
        struct head head = {.len = 8, .type = 4, .nonce = words[i]};
        uint64_t message[sizeof head / 8 + 1];
        memcpy(message, &head, sizeof head);
        message[sizeof head / 8] = 4096;
        for (int fd = 3; fd < 8; fd++) {
            (void)!write(fd, message, sizeof message);
        }
    }
    _exit(0);
}
