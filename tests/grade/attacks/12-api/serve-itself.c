/* Attack: takes the ports of the tests' servers, and serves what it likes. */
#define REUSE_PORT 15 /* as Linux numbers it */
static void serve(int s) {
    static const char said[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    for (;;) {
        int c = accept(s, NULL, NULL);
        (void)!write(c, said, sizeof said - 1);
        close(c);
    }
}

static void attack(void) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    if (fork() != 0) { /* the child stays for the next tests */
        return;
    }
    for (int port = 32768, taken = 0; port < 61000 && taken < 100; port++) {
        int s = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        setsockopt(s, SOL_SOCKET, REUSE_PORT, &yes, sizeof yes);
        at.sin_port = htons((uint16_t)port);
        if (bind(s, (struct sockaddr *)&at, sizeof at) == 0
            && listen(s, 9) == 0) {
            taken++;
            if (fork() == 0) {
                serve(s);
            }
        }
    }
}
