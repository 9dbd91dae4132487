/* Tests that start all that a test may start, and then end as a test should
 * not: the proof that nothing of it stays behind. expected.tsv says how those
 * of "ends_" end; those of "waits_" wait until somebody kills their runner. */
#include "leftovers/alternates/untidy.h"

#include "support/check.h"
#include "support/http.h"
#include "support/pause.h"
#include "support/postgres.h"
#include "support/redis.h"
#include "support/script.h"
#include "support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SECONDS = 60 };

static void touch(const char *variable) {
    const char *path = getenv(variable);
    want_true(path != NULL, variable, "only the proof runs this");
    close(open(path, O_CREAT | O_WRONLY, 0600));
}

/* The C library's, which the process of a test calls first of all, to be
 * killed with its runner. One that is slow to be born calls it too late. */
int prctl(int option, ...) {
    va_list values;
    va_start(values, option);
    unsigned long value = va_arg(values, unsigned long);
    va_end(values);
    if (getenv("TEST_UNBORN")) {
        pid_t runner = getppid();
        touch("TEST_UNBORN");
        while (getppid() == runner) {
            pause_ms(1);
        }
    }
    return (int)syscall(SYS_prctl, option, value, 0, 0, 0);
}

static redis *server_of_test;

/* A server, an API, nodes, a directory with a file; and a child process. */
static void start_all(void) {
    server_of_test = redis_start();
    http_start();
    script_start();
    const process *place = process_create(NULL, NULL);
    close(open(text("%s/file", process_directory(place)), O_CREAT, 0600));
}

TEST(ends_well, "P0", "0.0") {
    redis *r = redis_start();
    http *h = http_start();
    script *s = script_start();
    script_stop(s);
    http_stop(h);
    redis_stop(r);
}

TEST(ends_by_a_failure, "P0", "0.0") {
    start_all();
    want_int(1, 2, "fail", "on purpose");
}

TEST(ends_by_a_crash, "P0", "0.0") {
    start_all();
    untidy_crash();
}

TEST(ends_by_its_time, "P0", "0.0") {
    start_all();
    untidy_loop(1);
}

TEST(ends_by_an_exit, "P0", "0.0") {
    start_all();
    untidy_exit();
}

TEST(ends_by_a_kill, "P0", "0.0") {
    start_all();
    raise(SIGKILL);
}

TEST(ends_with_a_server_that_is_stopped, "P0", "0.0") {
    start_all();
    redis_pause(server_of_test);
    untidy_crash();
}

TEST(ends_with_a_database, "P0", "0.0") {
    postgres_start();
    untidy_crash();
}

TEST(waits_for_its_runner_to_be_killed, "P0", "0.0") {
    test_allow(SECONDS);
    start_all();
    touch("TEST_READY");
    pause();
}

TEST(waits_to_be_born, "P0", "0.0") {
    want_true(false, "run", "it never comes so far");
}
