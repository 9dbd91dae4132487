/* Private PostgreSQL servers, on a unix socket. */
#include "support/postgres.h"

#include "support/check.h"
#include "support/process.h"

#include <glob.h>
#include <postgresql/libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 128 };

struct postgres {
    process *process;
    char program[PATH_SIZE];
    char data[PATH_SIZE];
    char address[PATH_SIZE];
};

static const char run_variable[] = "WORKBOOK_POSTGRES";

/* Debian keeps the programs of each version in a directory of their own, out
 * of PATH. Out: the path of one, of the newest version. */
static bool find_program(const char *name, char *path) {
    glob_t found;
    bool is_here =
        glob(text("/usr/lib/postgresql/*/bin/%s", name), 0, NULL, &found) == 0;
    if (is_here) {
        snprintf(path, PATH_SIZE, "%s", found.gl_pathv[found.gl_pathc - 1]);
        globfree(&found);
    }
    return is_here;
}

bool postgres_is_installed(void) {
    char path[PATH_SIZE];
    return find_program("initdb", path) && find_program("postgres", path);
}

/* Runs one statement, each on a connection of its own.
 * Returns: whether the server did it. */
static bool ask(const char *address, const char *sql) {
    PGconn *line = PQconnectdb(address);
    PGresult *result = PQexec(line, sql);
    ExecStatusType how = PQresultStatus(result);
    PQclear(result);
    PQfinish(line);
    return how == PGRES_COMMAND_OK || how == PGRES_TUPLES_OK;
}

static bool answers(const void *context) {
    return ask(((const postgres *)context)->address, "SELECT 1");
}

static void begin(postgres *p) {
    const char *sockets = process_directory(p->process);
    process_begin(p->process,
                  (const char *[]){p->program,
                                   "-D",
                                   p->data,
                                   "-k",
                                   sockets,
                                   "-c",
                                   "listen_addresses=",
                                   "-c",
                                   "fsync=off",
                                   "-c",
                                   "full_page_writes=off",
                                   "-c",
                                   "autovacuum=off",
                                   "-c",
                                   "shared_buffers=16MB",
                                   "-c",
                                   "dynamic_shared_memory_type=mmap",
                                   "-c",
                                   "max_connections=40",
                                   NULL},
                  answers, p);
}

/* SIGQUIT is PostgreSQL's way to end without tidying up its data; after
 * SIGKILL a piece of shared memory would stay in the system. */
postgres *postgres_start(void) {
    if (!postgres_is_installed()) {
        test_skip("PostgreSQL is not installed: make doctor says how "
                  "(package postgresql)");
    }
    char initdb[PATH_SIZE];
    postgres *p = calloc(1, sizeof *p);
    if (!p) {
        abort();
    }
    find_program("initdb", initdb);
    find_program("postgres", p->program);
    p->process = process_create_unprivileged(p->program, "postgresql");
    process_end_by(p->process, SIGQUIT);
    const char *directory = process_directory(p->process);
    snprintf(p->data, PATH_SIZE, "%s/data", directory);
    snprintf(p->address, PATH_SIZE, "host=%s user=test dbname=postgres",
             directory);
    want_true(
        process_run(p->process,
                    (const char *[]){initdb, "-D", p->data, "-U", "test", "-A",
                                     "trust", "-E", "UTF8", "--locale=C",
                                     "--no-sync", "--no-instructions", NULL},
                    NULL, NULL),
        "make a PostgreSQL database with initdb",
        "this machine cannot run a server for the test");
    begin(p);
    return p;
}

const char *postgres_address(const postgres *p) {
    return p->address;
}

void postgres_kill(postgres *p) {
    process_kill(p->process);
}

void postgres_restart(postgres *p) {
    process_kill(p->process);
    begin(p);
}

void postgres_stop(postgres *p) {
    process_destroy(p->process);
    free(p);
}

/* -- the server of the run ------------------------------------------------ */

static postgres *of_run;
static pid_t owner;

static void end_run(void) {
    if (getpid() == owner) { /* and no child of a test that calls exit */
        postgres_stop(of_run);
    }
}

void test_prepare(void) {
    const char *db = getenv("DB");
    if (db && strcmp(db, "postgres") == 0 && postgres_is_installed()) {
        of_run = postgres_start();
        owner = getpid();
        setenv(run_variable, postgres_address(of_run), 1);
        atexit(end_run);
    }
}

static const char *run_address(void) {
    const char *address = getenv(run_variable);
    if (!address) {
        test_skip("PostgreSQL is not installed: make doctor says how "
                  "(package postgresql)");
    }
    return address;
}

/* The cheaper way to copy a database is not in every version. */
char *postgres_database(void) {
    static unsigned made;
    const char *address = run_address();
    const char *name = text("test_%ld_%u", (long)getpid(), made++);
    const char *sql = text("CREATE DATABASE %s", name);
    want_true(ask(address, text("%s STRATEGY file_copy", sql))
                  || ask(address, sql),
              sql, "the server of this run does not answer");
    char *out = malloc(PATH_SIZE);
    if (!out) {
        abort();
    }
    size_t server_len = strlen(address) - strlen("postgres");
    snprintf(out, PATH_SIZE, "%.*s%s", (int)server_len, address, name);
    return out;
}

void postgres_drop(char *address) {
    const char *name = strstr(address, "dbname=") + strlen("dbname=");
    const char *sql = text("DROP DATABASE %s WITH (FORCE)", name);
    want_true(ask(run_address(), sql), sql,
              "the server of this run does not answer");
    free(address);
}
