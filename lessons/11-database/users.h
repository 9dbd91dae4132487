/* users: the table behind this lesson's demo and bench. Given. */
#ifndef LESSON_USERS_H
#define LESSON_USERS_H

#include "db.h"

/* Makes the table users (id, name, age, score) and fills it, the same for the
 * same seed on every machine: r is the generator of Lehmer with the constants
 * of Park and Miller ("Random number generators: good ones are hard to find",
 * Communications of the ACM 31(10), 1988, and 36(7), 1993).
 * seed: 1 to 2147483646.
 * Returns: as db.execute. */
static inline status users_create(const db *d, int64_t count, int64_t seed) {
    static const char table[] =
        "CREATE TABLE users (id bigint PRIMARY KEY, name text, age bigint, "
        "score double precision)";
    static const char fill[] =
        "INSERT INTO users WITH RECURSIVE n(i, r) AS ("
        "SELECT CAST(1 AS bigint), CAST($1 AS bigint) UNION ALL "
        "SELECT i + 1, r * 48271 % 2147483647 FROM n WHERE i < $2) "
        "SELECT i, 'user ' || CAST(i AS text), 18 + r % 80, r / 1000.0 FROM n";
    db_value parameters[] = {db_int(seed), db_int(count)};
    status s = d->execute(d->self, table, NULL, 0);
    if (s == STATUS_OK) {
        s = d->watch(d->self, "users");
    }
    if (s == STATUS_OK) {
        s = d->execute(d->self, fill, parameters, 2);
    }
    return s;
}

#endif
