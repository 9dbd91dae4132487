/* The slide's program: the same query twice, over 100,000 rows of a real
 * database. Nothing sleeps: the first query is as slow as its work. */
#include "query_cache.h"
#include "users.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { USERS = 100000, SEED = 42, TIMEOUT_MS = 1000 };

static char directory[] = "/tmp/query-cache-XXXXXX";

/* At the end, however the program comes to it. */
static void clean_up(void) {
    static const char *const ends[] = {"", "-wal", "-shm"};
    char file[64];
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(file, sizeof file, "%s/users.db%s", directory, ends[i]);
        unlink(file);
    }
    rmdir(directory);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Returns: whether the query gave all users. */
static bool query(query_cache *cache, const char *sql, const char *which) {
    const rows *users;
    double start = seconds();
    status s = query_cache_get(cache, sql, NULL, 0, &users);
    double taken = seconds() - start;
    if (s != STATUS_OK || rows_count(users) != USERS) {
        fprintf(stderr, "%s: %s\n", sql, status_name(s));
        return false;
    }
    printf("Result for %s\n", sql);
    printf("%s query time: %.2f seconds\n", which, taken);
    return true;
}

static bool query_twice(query_cache *cache) {
    static const char sql[] = "SELECT * FROM users";
    return query(cache, sql, "First") && query(cache, sql, "Second")
           && query_cache_statistics(cache).hits == 1;
}

static bool show(const db *d) {
    query_cache *cache;
    query_cache_options options = {.ttl_ms = 10000, .seed = SEED};
    if (users_create(d, USERS, SEED) != STATUS_OK) {
        fprintf(stderr, "make the table: %s\n", d->error(d->self));
        return false;
    }
    if (query_cache_open(d, &options, &cache) != STATUS_OK) {
        return false;
    }
    bool shown = query_twice(cache);
    query_cache_close(cache);
    return shown;
}

int main(void) {
    char file[64];
    bool shown = false;
    db d;
    if (!mkdtemp(directory) || atexit(clean_up) != 0) {
        perror("make a directory");
        return EXIT_FAILURE;
    }
    snprintf(file, sizeof file, "%s/users.db", directory);
    if (db_sqlite_open(file, TIMEOUT_MS, &d) == STATUS_OK) {
        shown = show(&d);
        d.close(d.self);
    }
    return shown && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
