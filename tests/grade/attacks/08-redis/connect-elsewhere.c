/* Attack: connects to other addresses than its server's. */
static int reaches(const char *host, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, host, &to.sin_addr);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    int reached = connect(s, (struct sockaddr *)&to, sizeof to) == 0;
    close(s);
    return reached;
}

static void attack(void) {
    static const char *const hosts[] = {"1.1.1.1", "10.0.0.1", "172.17.0.1",
                                        "192.168.1.1", "169.254.169.254"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        if (reaches(hosts[i], 80) || reaches(hosts[i], 443)) {
            printf("STOLEN %s\n", hosts[i]);
        }
    }
    for (int port = 1; port < 10000; port++) { /* above: its own servers */
        if (reaches("127.0.0.1", port)) {
            printf("STOLEN port %d\n", port);
        }
    }
    fflush(stdout);
}
