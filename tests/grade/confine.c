/* confine: what can be taken from a program where no cage can be built.
 *
 *   confine [-u UID] [-r PATH]... [-w PATH]... [-e NAME=VALUE]... -- COMMAND...
 *   confine -u UID -k       ends what is left of UID's processes, and no other
 *   confine -a              says what this system lets it do
 *
 * COMMAND runs as the user UID, without a capability and with no way to get
 * one; it sees only those files that are named (-w: and may write them), has
 * no network, and cannot trace, mount, or make namespaces. What the kernel does
 * not offer is left out, and -a tells; what it offers and refuses is an error:
 * nothing then runs. Limits are prlimit's business. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Landlock, by numbers: the headers of an older system know less of it than
 * its kernel may. */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446 };
enum { FIRST_USER = 64000, LAST_USER = 64999 }; /* reduced.py takes these */
enum { EXECUTE = 1, READ_FILE = 4, READ_DIR = 8 };
struct ruleset {
    uint64_t files, network, scoped;
};
struct __attribute__((packed)) beneath {
    uint64_t allowed;
    int32_t parent;
};

static void must(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "confine: cannot %s: %s\n", what, strerror(errno));
        exit(125);
    }
}

/* Returns: the version of Landlock, 0: there is none. */
static int landlock(void) {
    long version = syscall(CREATE_RULESET, NULL, 0, 1);
    return version < 0 ? 0 : (int)version;
}

/* Returns: what of the file system a version can forbid. */
static uint64_t all_files(int version) {
    static const int rights[] = {0, 13, 14, 15, 15, 16};
    return (1ull << rights[version < 5 ? version : 5]) - 1;
}

static int begin_files(int version) {
    struct ruleset rules = {.files = all_files(version),
                            .network = version >= 4 ? 3 : 0,
                            .scoped = version >= 6 ? 3 : 0};
    size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
    int fd = (int)syscall(CREATE_RULESET, &rules, size, 0);
    must(fd >= 0, "make rules for files");
    return fd;
}

static void allow(int rules, const char *path, bool write, int version) {
    int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat about;
    must(fd >= 0 && fstat(fd, &about) == 0, path);
    uint64_t rights = write ? all_files(version) & ~(uint64_t)EXECUTE
                            : EXECUTE | READ_FILE | READ_DIR;
    if (!S_ISDIR(about.st_mode)) {
        rights &= EXECUTE | 2 | READ_FILE;
    }
    struct beneath rule = {rights, fd};
    must(syscall(ADD_RULE, rules, 1, &rule, 0) == 0, "allow a file");
    close(fd);
}

static void become(uid_t user) {
    must(setgroups(0, NULL) == 0 && setresgid(user, user, user) == 0
             && setresuid(user, user, user) == 0,
         "become another user");
}

static void drop_capabilities(void) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    must(syscall(SYS_capset, &head, none) == 0, "drop capabilities");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "forbid new privileges");
}

#ifdef __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "confine knows the system calls of x86-64 and AArch64 only"
#endif

/* What no lesson's code has any business with. */
static const int forbidden[] = {SYS_ptrace,
                                SYS_process_vm_readv,
                                SYS_process_vm_writev,
                                SYS_mount,
                                SYS_umount2,
                                SYS_pivot_root,
                                SYS_chroot,
                                SYS_unshare,
                                SYS_setns,
                                SYS_bpf,
                                SYS_perf_event_open,
                                SYS_userfaultfd,
                                SYS_keyctl,
                                SYS_add_key,
                                SYS_request_key,
                                SYS_io_uring_setup,
                                SYS_io_uring_enter,
                                SYS_io_uring_register,
                                SYS_kexec_load,
                                SYS_init_module,
                                SYS_finit_module,
                                SYS_reboot,
                                SYS_swapon,
                                SYS_swapoff,
                                SYS_shmget,
                                SYS_msgget,
                                SYS_semget,
                                SYS_mq_open,
                                SYS_pidfd_open,
                                SYS_pidfd_send_signal,
                                SYS_pidfd_getfd,
                                SYS_open_by_handle_at,
                                SYS_move_mount,
                                SYS_open_tree,
                                SYS_fsopen,
                                SYS_personality,
                                SYS_setpriority,
                                SYS_sched_setaffinity};
static const int signals[] = {SYS_kill, SYS_tkill, SYS_tgkill,
                              SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo};

static struct sock_filter program[256];
static unsigned short used;

static void emit(uint16_t code, uint32_t value, uint8_t yes, uint8_t no) {
    program[used++] = (struct sock_filter){code, yes, no, value};
}

static void load(size_t offset) {
    emit(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* If what is loaded equals value, the call ends with the error. */
static void refuse(uint32_t value, int error) {
    emit(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    emit(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error, 0, 0);
}

static void refuse_all(const int *calls, size_t count) {
    for (size_t i = 0; i < count; i++) {
        refuse((uint32_t)calls[i], EPERM);
    }
}

/* The first argument's low half is what counts in these two. */
static void refuse_by_argument(void) {
    enum { NAMESPACES = 0x7e020080 };
    emit(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
    load(offsetof(struct seccomp_data, args[0]));
    emit(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1);
    emit(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
    load(offsetof(struct seccomp_data, nr));
    emit(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3);
    load(offsetof(struct seccomp_data, args[0]));
    emit(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 1, 0);
    emit(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
}

static void filter_calls(bool no_signals) {
    load(offsetof(struct seccomp_data, arch));
    emit(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    emit(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
    load(offsetof(struct seccomp_data, nr));
    emit(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1); /* x32's calls */
    emit(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
    refuse(SYS_clone3, ENOSYS); /* its flags cannot be seen from here */
    refuse_all(forbidden, sizeof forbidden / sizeof *forbidden);
    if (no_signals) {
        refuse_all(signals, sizeof signals / sizeof *signals);
    }
    refuse_by_argument();
    emit(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    struct sock_fprog filter = {used, program};
    must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0,
         "filter system calls");
}

static void tell_about(void) {
    printf("system calls filtered, no network, %s",
           landlock() ? "files closed off" : "files NOT closed off");
}

/* The sweep ends processes, so it first makes sure that it can reach none but
 * those of its user: it is that user in every respect, and has no capability
 * (the one to kill survives a change of user). */
static void must_be_only(uid_t user) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct has[2];
    uid_t real, effective, saved;
    errno = EPERM;
    must(getresuid(&real, &effective, &saved) == 0 && user >= FIRST_USER
             && user <= LAST_USER && real == user && effective == user
             && saved == user,
         "sweep as anybody but a user of the grader's own");
    must(syscall(SYS_capget, &head, has) == 0 && !has[0].effective
             && !has[0].permitted && !has[0].inheritable && !has[1].effective
             && !has[1].permitted && !has[1].inheritable,
         "sweep with a capability");
}

/* What has ended stands in /proc until its parent has looked: that is no life.
 */
static bool is_alive(int proc, const char *pid) {
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "%.20s/stat", pid);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        must(read(fd, line, sizeof line - 1) >= 0 || errno == ESRCH,
             "read a process's state");
        close(fd);
    }
    const char *end = strrchr(line, ')');
    return end && end[1] && end[2] != 'Z' && end[2] != 'X';
}

/* Returns: how many of the user's processes it has found, and killed one by
 * one. */
static int sweep_once(uid_t user) {
    int found = 0;
    DIR *proc = opendir("/proc");
    must(proc != NULL, "read /proc");
    for (struct dirent *entry; (entry = readdir(proc));) {
        struct stat about;
        int pid = atoi(entry->d_name);
        if (pid > 1 && pid != getpid()
            && fstatat(dirfd(proc), entry->d_name, &about, 0) == 0
            && about.st_uid == user && is_alive(dirfd(proc), entry->d_name)) {
            kill(pid, SIGKILL);
            found++;
        }
    }
    closedir(proc);
    return found;
}

static void sweep(uid_t user) {
    must_be_only(user);
    for (int i = 0; i < 1000; i++) {
        if (sweep_once(user) == 0) {
            return;
        }
        usleep(1000);
    }
    errno = EBUSY;
    must(false, "end all processes");
}

struct wishes {
    uid_t user;
    bool sweep, tell;
    int version, rules;
};

static void read_words(int count, char **words, struct wishes *w) {
    for (int c; (c = getopt(count, words, "+u:r:w:e:ka")) != -1;) {
        switch (c) {
        case 'u': w->user = (uid_t)atoi(optarg); break;
        case 'r':
        case 'w':
            if (w->version) {
                allow(w->rules, optarg, c == 'w', w->version);
            }
            break;
        case 'e': putenv(optarg); break;
        case 'k': w->sweep = true; break;
        case 'a': w->tell = true; break;
        default: exit(125);
        }
    }
}

int main(int count, char **words) {
    struct wishes w = {.version = landlock()};
    w.rules = w.version ? begin_files(w.version) : -1;
    clearenv();
    read_words(count, words, &w);
    if (w.tell) {
        tell_about();
        return 0;
    }
    if (w.user) {
        become(w.user);
    }
    drop_capabilities();
    if (w.sweep) {
        sweep(w.user);
        return 0;
    }
    must(!w.version || syscall(RESTRICT_SELF, w.rules, 0) == 0,
         "close files off");
    filter_calls(!w.user && w.version < 6);
    execv(words[optind], words + optind);
    must(false, words[optind]);
}
