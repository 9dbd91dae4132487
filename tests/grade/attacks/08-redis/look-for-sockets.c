/* Attack: looks for other sockets than its server's, and connects. */
static void try_path(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(s, (struct sockaddr *)&to, sizeof to) == 0
        && strncmp(path, "/tmp/workbook-", 14) != 0) {
        printf("STOLEN %s\n", path);
    }
    close(s);
}

static void walk(const char *path, int depth) {
    char below[512];
    DIR *all = opendir(path);
    for (struct dirent *e; all && (e = readdir(all)) != NULL;) {
        snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        try_path(below);
        if (e->d_name[0] != '.' && depth < 4) {
            walk(below, depth + 1);
        }
        if (strstr(below, "grade") || strstr(below, "solutions")) {
            printf("STOLEN the name %s\n", below);
        }
    }
    if (all) {
        closedir(all);
    }
}

static void attack(void) {
    static const char *const places[] = {"/tmp",  "/run",       "/var", "/home",
                                         "/root", "/proc/1/fd", "/work"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        walk(places[i], 0);
    }
    if (fopen("/tmp/mine", "w") || mkdir("/tmp/grade", 0700) == 0) {
        puts("STOLEN a place to write to");
    }
    fflush(stdout);
}
