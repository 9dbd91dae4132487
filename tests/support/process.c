/* Private servers: two child processes each, the program and a guardian of
 * its directory. */
#include "support/process.h"

#include "support/check.h"
#include "support/pause.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_MS = 20000, DESCRIPTORS = 1024 };

struct process {
    char directory[64];
    uid_t user;
    gid_t group;
    pid_t program; /* 0: it does not run */
    pid_t guardian;
    int end_signal;
    int life; /* the guardian reads its other end until all are gone */
};

static bool in_path(const char *program) {
    char paths[4096], file[4352];
    const char *all = getenv("PATH");
    if (strchr(program, '/')) {
        return access(program, X_OK) == 0;
    }
    snprintf(paths, sizeof paths, "%s", all ? all : "/usr/bin:/bin");
    char *rest = NULL;
    for (char *p = strtok_r(paths, ":", &rest); p;
         p = strtok_r(NULL, ":", &rest)) {
        snprintf(file, sizeof file, "%s/%s", p, program);
        if (access(file, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

static void must(bool holds, const char *did) {
    want_true(holds, did, "this machine cannot run a server for the test");
}

static void close_from(int first, int but, int and_but) {
    for (int other = first; other < DESCRIPTORS; other++) {
        if (other != but && other != and_but) {
            close(other);
        }
    }
}

/* Makes the directory, and removes it as soon as nobody holds the other end of
 * the pipe: the test has called process_destroy, or died, and the program with
 * all of its own children is gone too. Were it made by the test, one that is
 * killed right then would leave it. The other descriptors are closed so that
 * nobody waits for us; before there is a directory, as the runner's guard takes
 * whoever has them open for a test, and kills it. An interrupt at the terminal,
 * or a signal to all processes of the run, must not end us before our work. It
 * ends as another program, so that Valgrind need not judge what a copy of the
 * test left behind.
 * told: gets the directory's name, which is empty if it could not be made. */
static _Noreturn void guard(process *s, int end, int told) {
    setsid();
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN); /* nobody may be there to be told */
    close_from(0, end, told);
    if (!mkdtemp(s->directory)) {
        s->directory[0] = '\0';
    }
    char byte;
    bool has_told =
        write(told, s->directory, sizeof s->directory) == sizeof s->directory;
    close(told);
    while (has_told && read(end, &byte, 1) > 0) {
    }
    execlp("rm", "rm", "-rf", s->directory, (char *)NULL);
    _exit(127);
}

static void begin_guardian(process *s) {
    int ends[2] = {-1, -1}, told[2] = {-1, -1};
    must(pipe(ends) == 0 && pipe(told) == 0, "make two pipes");
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    s->guardian = fork();
    if (s->guardian == 0) {
        close(told[0]);
        guard(s, ends[0], told[1]);
    }
    close(ends[0]);
    close(told[1]);
    s->life = ends[1];
    must(s->guardian > 0, "start a process");
    ssize_t got = read(told[0], s->directory, sizeof s->directory);
    close(told[0]);
    must(got == sizeof s->directory && s->directory[0] != '\0',
         "make a directory in /tmp");
}

static process *create(const char *program, const char *package, uid_t user,
                       gid_t group) {
    if (program && !in_path(program)) {
        test_skip("%s is not installed: make doctor says how (package %s)",
                  program, package);
    }
    process *s = calloc(1, sizeof *s);
    if (!s) {
        abort();
    }
    s->user = user;
    s->group = group;
    s->end_signal = SIGKILL;
    const char *where = getenv("TEST_DIRECTORY");
    snprintf(s->directory, sizeof s->directory, "%s/workbook-XXXXXX",
             where ? where : "/tmp");
    begin_guardian(s);
    must(user == getuid() || chown(s->directory, user, group) == 0,
         "give the directory to another user");
    return s;
}

process *process_create(const char *program, const char *package) {
    return create(program, package, getuid(), getgid());
}

process *process_create_unprivileged(const char *program, const char *package) {
    if (getuid() != 0) {
        return process_create(program, package);
    }
    const struct passwd *nobody = getpwnam("nobody");
    if (!nobody) {
        test_skip("there is no user nobody, as whom %s could run", program);
        abort(); /* it has not returned: a word for cppcheck */
    }
    return create(program, package, nobody->pw_uid, nobody->pw_gid);
}

void process_end_by(process *s, int signal_number) {
    s->end_signal = signal_number;
}

const char *process_directory(const process *s) {
    return s->directory;
}

/* In a new process, which becomes the program. */
static _Noreturn void become(const process *s, const char *const argv[],
                             pid_t parent) {
    prctl(PR_SET_PDEATHSIG, s->end_signal);
    setsid(); /* who kills all processes of the run leaves this one to us */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++) {
        dup2(null, i);
    }
    close_from(3, s->life, s->life);
    fcntl(s->life, F_SETFD, 0);
    if (chdir(s->directory) != 0
        || (s->user != getuid()
            && (setgroups(0, NULL) != 0 || setgid(s->group) != 0
                || setuid(s->user) != 0))) {
        _exit(126);
    }
    prctl(PR_SET_PDEATHSIG, s->end_signal); /* a new user loses the first one */
    if (getppid() != parent) {              /* it died before the line above */
        _exit(1);
    }
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

static pid_t start(const process *s, const char *const argv[]) {
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        become(s, argv, parent);
    }
    must(child > 0, "start a process");
    return child;
}

/* Returns: whether it ended with status 0, and soon enough. */
static bool ends_well(pid_t child, void (*meanwhile)(void *context),
                      void *context) {
    int how;
    for (int ms = 0; ms < START_MS; ms++) {
        if (waitpid(child, &how, WNOHANG) == child) {
            return WIFEXITED(how) && WEXITSTATUS(how) == 0;
        }
        if (meanwhile) {
            meanwhile(context);
        }
        pause_ms(1);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return false;
}

bool process_run(process *s, const char *const argv[],
                 void (*meanwhile)(void *context), void *context) {
    unsigned left_seconds = alarm(0);
    bool ended = ends_well(start(s, argv), meanwhile, context);
    alarm(left_seconds);
    return ended;
}

bool process_begins(process *s, const char *const argv[],
                    bool (*answers)(const void *context), const void *context) {
    unsigned left_seconds = alarm(0);
    bool ended = false, ready = false;
    s->program = start(s, argv);
    for (int ms = 0; ms < START_MS && !ready && !ended; ms++) {
        pause_ms(1);
        ended = waitpid(s->program, NULL, WNOHANG) != 0;
        ready = !ended && answers(context);
    }
    must(ready || ended, text("start %s, wait until it answers", argv[0]));
    if (ended) {
        s->program = 0;
    }
    alarm(left_seconds);
    return ready;
}

void process_begin(process *s, const char *const argv[],
                   bool (*answers)(const void *context), const void *context) {
    must(process_begins(s, argv, answers, context),
         text("start %s, wait until it answers", argv[0]));
}

void process_kill(process *s) {
    if (s->program > 0) {
        kill(s->program, s->end_signal);
        waitpid(s->program, NULL, 0);
        s->program = 0;
    }
}

void process_pause(process *s) {
    kill(s->program, SIGSTOP);
    waitpid(s->program, NULL, WUNTRACED);
}

void process_continue(process *s) {
    kill(s->program, SIGCONT);
}

void process_destroy(process *s) {
    process_kill(s);
    close(s->life);
    waitpid(s->guardian, NULL, 0);
    free(s);
}
