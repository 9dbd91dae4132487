/* The guard holds one end of a pipe. The runner holds the other, and a process
 * of a test until it closes what it has inherited: when nobody does any more,
 * the runner is gone, and all of its tests have been born. */
#include "support/guard.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DESCRIPTORS = 1024, PATH_SIZE = 600 };

static const char memory[] = "/dev/shm";

/* Calls `act` with each name in a directory. */
static void for_each(const char *directory,
                     void (*act)(const char *name, void *context),
                     void *context) {
    DIR *all = opendir(directory);
    const struct dirent *entry;
    while (all && (entry = readdir(all))) {
        act(entry->d_name, context);
    }
    if (all) {
        closedir(all);
    }
}

/* Where a symbolic link leads; nowhere: "". */
static const char *target(const char *link) {
    static char out[PATH_SIZE];
    ssize_t len = readlink(link, out, sizeof out - 1);
    out[len < 0 ? 0 : len] = '\0';
    return out;
}

/* What is looked for in one process. */
struct search {
    const char *process, *file;
    bool found;
};

static void look_at(const char *descriptor, void *context) {
    struct search *s = context;
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "/proc/%s/fd/%s", s->process, descriptor);
    s->found = s->found || strcmp(target(path), s->file) == 0;
}

/* A kill that comes too late does no harm: the process is gone or dying. */
static void kill_holder(const char *process, void *file) {
    struct search s = {.process = process, .file = file};
    char path[PATH_SIZE];
    if (isdigit((unsigned char)process[0]) && atoi(process) != getpid()) {
        snprintf(path, sizeof path, "/proc/%s/fd", process);
        for_each(path, look_at, &s);
    }
    if (s.found) {
        kill(atoi(process), SIGKILL);
    }
}

/* A dead process, also one that nobody has waited for yet, runs no program. */
static void remove_if_dead(const char *name, void *unused) {
    char path[PATH_SIZE];
    (void)unused;
    if (strncmp(name, "bxfi_", 5) == 0) {
        snprintf(path, sizeof path, "/proc/%d/exe", atoi(name + 5));
        if (target(path)[0] == '\0' && errno == ENOENT) {
            snprintf(path, sizeof path, "%s/%s", memory, name);
            unlink(path);
        }
    }
}

/* The runner's memory for its tests, which it has removed from the directory:
 * its tests have it open, and what they have forked, and nobody else. */
static void tidy_up(pid_t runner) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/bxf_arena_%d (deleted)", memory,
             (int)runner);
    for_each("/proc", kill_holder, path);
    *strchr(path, ' ') = '\0';
    unlink(path);
    snprintf(path, sizeof path, "/tmp/criterion_%d.sock", (int)runner);
    unlink(path);
    for_each(memory, remove_if_dead, NULL);
}

/* All other descriptors are closed, so that nobody waits for us. */
static _Noreturn void guard(pid_t runner, int end) {
    setsid();
    signal(SIGTERM, SIG_IGN);
    for (int other = 0; other < DESCRIPTORS; other++) {
        if (other != end) {
            close(other);
        }
    }
    char byte;
    while (read(end, &byte, 1) > 0) {
    }
    tidy_up(runner);
    _exit(0);
}

void guard_begin(void) {
    int ends[2];
    pid_t runner = getpid();
    if (pipe(ends) != 0) {
        abort();
    }
    if (fork() == 0) {
        guard(runner, ends[0]);
    }
    close(ends[0]); /* the other one stays open as long as this process runs */
}
