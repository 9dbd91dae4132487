/* query_cache, otherwise: keys are readable text with lengths (after
 * Bernstein's netstrings), and a result is a list of rows. */
#include "query_cache.h"

#include "ttl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    struct row *next;
    db_value values[]; /* and behind them their bytes */
};

struct rows {
    uint64_t token;
    size_t columns, count;
    struct row *names, *first, *last;
};

struct query_cache {
    db db;
    ttl *kept;
    rows *last; /* given and not kept */
    char *key;
    size_t key_room;
    int64_t check_ms, next_ms; /* when to ask for changes again */
    ms_clock clock;
    bool told;
    uint64_t token;
    query_cache_stats stats;
};

/* -- rows ------------------------------------------------------------------ */

static size_t len_of(const db_value *v) {
    return v->type == DB_TEXT || v->type == DB_BLOB ? v->data.len : 0;
}

static struct row *row_of(const db_value *values, size_t count) {
    size_t size = sizeof(struct row) + count * sizeof *values;
    size_t at = size;
    for (size_t i = 0; i < count; i++) {
        size += len_of(&values[i]);
    }
    struct row *row = malloc(size);
    if (!row) {
        return NULL;
    }
    row->next = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t len = len_of(&values[i]);
        row->values[i] = values[i];
        row->values[i].data = (bytes){(char *)row + at, len};
        if (len > 0) {
            memcpy((char *)row + at, values[i].data.data, len);
        }
        at += len;
    }
    return row;
}

static status take_columns(void *context, const bytes *names, size_t count) {
    rows *r = context;
    db_value *values = calloc(count + 1, sizeof *values);
    if (!values) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        values[i] = db_text(names[i]);
    }
    r->columns = count;
    r->names = row_of(values, count);
    free(values);
    return r->names ? STATUS_OK : STATUS_NO_MEMORY;
}

static status take_row(void *context, const db_value *values) {
    rows *r = context;
    struct row *row = row_of(values, r->columns);
    if (!row) {
        return STATUS_NO_MEMORY;
    }
    *(r->last ? &r->last->next : &r->first) = row;
    r->last = row;
    r->count++;
    return STATUS_OK;
}

static void rows_destroy(void *value) {
    rows *r = value;
    while (r && r->first) {
        struct row *row = r->first;
        r->first = row->next;
        free(row);
    }
    if (r) {
        free(r->names);
        free(r);
    }
}

size_t rows_count(const rows *r) {
    return r->count;
}

size_t rows_columns(const rows *r) {
    return r->columns;
}

bytes rows_name(const rows *r, size_t column) {
    return r->names->values[column].data;
}

/* The cursor is the address of the row that was given last. */
bool rows_next(const rows *r, size_t *cursor, db_value *values, size_t count) {
    const struct row *before = (const struct row *)*cursor;
    const struct row *row = before ? before->next : r->first;
    if (!row) {
        return false;
    }
    for (size_t i = 0; i < r->columns; i++) {
        values[i] = row->values[i];
    }
    *cursor = (size_t)row;
    return true;
}

/* -- keys ------------------------------------------------------------------ */

/* Longer than any number or head that goes into a key. */
enum { WORD = 48 };

static size_t add(char *key, size_t at, const char *head, bytes data) {
    int len = sprintf(key + at, "%s%zu:", head, data.len);
    at += (size_t)len;
    if (data.len > 0) {
        memcpy(key + at, data.data, data.len);
    }
    return at + data.len;
}

static size_t add_parameter(char *key, size_t at, const db_value *p) {
    uint64_t bits;
    switch (p->type) {
    case DB_NULL: break;
    case DB_INT: return at + (size_t)sprintf(key + at, "i%" PRId64, p->integer);
    case DB_DOUBLE:
        memcpy(&bits, &p->real, sizeof bits);
        return at + (size_t)sprintf(key + at, "d%016" PRIx64, bits);
    case DB_TEXT: return add(key, at, "t", p->data);
    case DB_BLOB: return add(key, at, "b", p->data);
    }
    key[at] = 'n';
    return at + 1;
}

/* Returns: a key in the cache's memory; without data when there is none. */
static bytes key_of(query_cache *c, const char *sql, const db_value *parameters,
                    size_t count) {
    size_t room = strlen(sql) + WORD;
    for (size_t i = 0; i < count; i++) {
        room += len_of(&parameters[i]) + WORD;
    }
    if (room > c->key_room) {
        char *key = realloc(c->key, room);
        if (!key) {
            return (bytes){NULL, 0};
        }
        c->key = key;
        c->key_room = room;
    }
    size_t len = add(c->key, 0, "", bytes_of(sql));
    for (size_t i = 0; i < count; i++) {
        len = add_parameter(c->key, len, &parameters[i]);
    }
    return (bytes){c->key, len};
}

/* -- the cache ------------------------------------------------------------- */

status query_cache_open(const db *source, const query_cache_options *options,
                        query_cache **out) {
    query_cache_options o = options ? *options : (query_cache_options){0};
    if (o.ttl_ms < 0 || o.check_ms < 0) {
        return STATUS_INVALID;
    }
    query_cache *c = calloc(1, sizeof *c);
    if (!c) {
        return STATUS_NO_MEMORY;
    }
    c->clock = o.clock.now_ms ? o.clock : ms_clock_monotonic();
    c->check_ms = o.check_ms;
    c->db = *source;
    status s = ttl_create(o.ttl_ms ? o.ttl_ms : 10000, c->clock, rows_destroy,
                          o.seed, &c->kept);
    if (s != STATUS_OK) {
        free(c);
        return s;
    }
    *out = c;
    return STATUS_OK;
}

static void look_for_changes(query_cache *c) {
    int64_t now_ms = ms_clock_now(c->clock);
    if (!c->told || now_ms >= c->next_ms) {
        c->told = c->db.changes(c->db.self, &c->token) == STATUS_OK;
        c->next_ms = now_ms + c->check_ms;
    }
}

/* Takes what is out of date away as soon as it is met. */
static const rows *find(query_cache *c, bytes key) {
    void *found = NULL;
    if (!c->told || !ttl_get(c->kept, key, &found)) {
        return NULL;
    }
    if (((const rows *)found)->token != c->token) {
        ttl_delete(c->kept, key);
        c->stats.stale++;
        return NULL;
    }
    return found;
}

static status load(query_cache *c, bytes key, const char *sql,
                   const db_value *parameters, size_t count, rows **out) {
    rows *r = calloc(1, sizeof *r);
    db_sink sink = {take_columns, take_row, r};
    status s = r ? c->db.query(c->db.self, sql, parameters, count, &sink)
                 : STATUS_NO_MEMORY;
    if (s != STATUS_OK) {
        rows_destroy(r);
        return s;
    }
    rows_destroy(c->last);
    c->last = r;
    r->token = c->token;
    ttl_sweep(c->kept, 2);
    if (c->told && ttl_set(c->kept, key, r) == STATUS_OK) {
        c->last = NULL;
    }
    *out = r;
    return STATUS_OK;
}

status query_cache_get(query_cache *c, const char *sql,
                       const db_value *parameters, size_t count,
                       const rows **out) {
    look_for_changes(c);
    bytes key = key_of(c, sql, parameters, count);
    const rows *held = key.data ? find(c, key) : NULL;
    if (held) {
        c->stats.hits++;
        *out = held;
        return STATUS_OK;
    }
    rows *loaded = NULL;
    status s = key.data ? load(c, key, sql, parameters, count, &loaded)
                        : STATUS_NO_MEMORY;
    c->stats.misses++;
    c->stats.failures += s != STATUS_OK;
    if (s == STATUS_OK) {
        *out = loaded;
    }
    return s;
}

query_cache_stats query_cache_statistics(const query_cache *c) {
    return c->stats;
}

void query_cache_close(query_cache *c) {
    if (!c) {
        return;
    }
    ttl_destroy(c->kept);
    rows_destroy(c->last);
    free(c->key);
    free(c);
}
