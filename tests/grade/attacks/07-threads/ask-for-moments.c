/* Attack: asks for moments that nobody watches, and for clocks that do not
 * exist. */
struct head {
    uint64_t len, nonce;
    uint32_t type, function;
    uint64_t serial, epoch, steps, watched, no_pipe, heap[5], changes;
};

static void attack(void) {
    struct message {
        struct head head;
        uint64_t value;
    } m = {{.len = 8, .type = 8}, 0};
    for (int fd = 3; fd < 20; fd++) {
        for (uint32_t what = 0; what < 4; what++) {
            m.head.function = what;
            m.value = what == 2 ? 77 : 1;
            (void)!write(fd, &m, sizeof m);
        }
    }
}
