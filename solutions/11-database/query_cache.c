/* query_cache: results as runs of bytes, in a ttl cache, each with the token
 * of its load. */
#include "query_cache.h"

#include "ttl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TTL_MS = 10000, SWEPT = 2, FIRST_ROOM = 64 };

/* Bytes that grow. */
struct buffer {
    unsigned char *data;
    size_t used;
    size_t room;
};

struct rows {
    uint64_t token; /* that of the database before the query ran */
    size_t columns;
    size_t count;
    size_t first;         /* where the names end and the rows begin */
    struct buffer buffer; /* the names as values, then row by row */
};

struct query_cache {
    db db;
    ttl *kept;         /* key to struct rows */
    rows *loose;       /* what was given last and not kept */
    struct buffer key; /* of the get under way; its room stays */
    ms_clock clock;
    int64_t check_ms;
    int64_t asked_ms; /* when the database was last asked for changes */
    uint64_t token;   /* what it said */
    bool told;        /* it did say something */
    query_cache_stats stats;
};

/* -- buffers ------------------------------------------------------------- */

/* Returns: false without memory; then nothing has changed. */
static bool make_room(struct buffer *b, size_t len) {
    if (len <= b->room - b->used) {
        return true;
    }
    if (len > SIZE_MAX / 2 - b->used) {
        return false;
    }
    size_t room = b->room > 0 ? b->room : FIRST_ROOM;
    while (room < b->used + len) { /* doubles, up to half of what fits */
        room *= 2;
    }
    unsigned char *data = realloc(b->data, room);
    if (!data) {
        return false;
    }
    b->data = data;
    b->room = room;
    return true;
}

static bool append(struct buffer *b, const void *data, size_t len) {
    if (!make_room(b, len)) {
        return false;
    }
    if (len > 0) {
        memcpy(b->data + b->used, data, len);
    }
    b->used += len;
    return true;
}

/* -- values as bytes ------------------------------------------------------ */

/* A byte for the type, then eight bytes of a number, or a length and as many
 * bytes. It says itself where it ends, so values may follow one another. */
static bool append_value(struct buffer *b, const db_value *v) {
    unsigned char type = (unsigned char)v->type;
    if (!append(b, &type, 1)) {
        return false;
    }
    switch (v->type) {
    case DB_NULL: return true;
    case DB_INT: return append(b, &v->integer, sizeof v->integer);
    case DB_DOUBLE: return append(b, &v->real, sizeof v->real);
    case DB_TEXT:
    case DB_BLOB: break;
    }
    return append(b, &v->data.len, sizeof v->data.len)
           && append(b, v->data.data, v->data.len);
}

static size_t copy_out(const struct buffer *b, size_t at, void *to,
                       size_t len) {
    memcpy(to, b->data + at, len);
    return at + len;
}

/* Reads what append_value wrote. Returns: where the next one starts. */
static size_t read_value(const struct buffer *b, size_t at, db_value *v) {
    *v = (db_value){.type = (db_type)b->data[at++]};
    switch (v->type) {
    case DB_NULL: return at;
    case DB_INT: return copy_out(b, at, &v->integer, sizeof v->integer);
    case DB_DOUBLE: return copy_out(b, at, &v->real, sizeof v->real);
    case DB_TEXT:
    case DB_BLOB: break;
    }
    at = copy_out(b, at, &v->data.len, sizeof v->data.len);
    v->data.data = b->data + at;
    return at + v->data.len;
}

/* -- from the database ----------------------------------------------------- */

static void rows_destroy(void *value) {
    rows *r = value;
    if (r) {
        free(r->buffer.data);
        free(r);
    }
}

static status take_columns(void *context, const bytes *names, size_t count) {
    rows *r = context;
    for (size_t i = 0; i < count; i++) {
        db_value name = db_text(names[i]);
        if (!append_value(&r->buffer, &name)) {
            return STATUS_NO_MEMORY;
        }
    }
    r->columns = count;
    r->first = r->buffer.used;
    return STATUS_OK;
}

/* Each row starts with a byte of its own: one without columns would be nothing
 * otherwise. */
static status take_row(void *context, const db_value *values) {
    rows *r = context;
    bool taken = append(&r->buffer, "", 1);
    for (size_t i = 0; i < r->columns && taken; i++) {
        taken = append_value(&r->buffer, &values[i]);
    }
    r->count++;
    return taken ? STATUS_OK : STATUS_NO_MEMORY;
}

/* Asks the database. out: new rows, on STATUS_OK only. */
static status ask(query_cache *c, const char *sql, const db_value *parameters,
                  size_t count, rows **out) {
    rows *r = calloc(1, sizeof *r);
    if (!r) {
        return STATUS_NO_MEMORY;
    }
    db_sink sink = {take_columns, take_row, r};
    status s = c->db.query(c->db.self, sql, parameters, count, &sink);
    if (s != STATUS_OK) {
        rows_destroy(r);
        return s;
    }
    *out = r;
    return STATUS_OK;
}

/* -- in the cache ---------------------------------------------------------- */

static bool make_key(struct buffer *key, const char *sql,
                     const db_value *parameters, size_t count) {
    db_value statement = db_text(bytes_of(sql));
    key->used = 0;
    bool made = append_value(key, &statement);
    for (size_t i = 0; i < count && made; i++) {
        made = append_value(key, &parameters[i]);
    }
    return made;
}

static bytes key_of(const query_cache *c) {
    return (bytes){c->key.data, c->key.used};
}

static void look_for_changes(query_cache *c) {
    int64_t now_ms = ms_clock_now(c->clock);
    if (!c->told || now_ms - c->asked_ms >= c->check_ms) {
        c->told = c->db.changes(c->db.self, &c->token) == STATUS_OK;
        c->asked_ms = now_ms;
    }
}

/* Returns: the rows of the key if they are still right, otherwise NULL. */
static const rows *find(query_cache *c) {
    void *found;
    if (!c->told || !ttl_get(c->kept, key_of(c), &found)) {
        return NULL;
    }
    const rows *r = found;
    if (r->token != c->token) {
        c->stats.stale++;
        return NULL;
    }
    return r;
}

/* The token is that of before the query: what changed while it ran voids these
 * rows at the next get, whether they show it or not. */
static void keep(query_cache *c, rows *r) {
    ttl_sweep(c->kept, SWEPT);
    rows_destroy(c->loose);
    c->loose = NULL;
    r->token = c->token;
    if (!c->told || ttl_set(c->kept, key_of(c), r) != STATUS_OK) {
        c->loose = r;
    }
}

/* -- results --------------------------------------------------------------- */

size_t rows_count(const rows *r) {
    return r->count;
}

size_t rows_columns(const rows *r) {
    return r->columns;
}

bytes rows_name(const rows *r, size_t column) {
    db_value name;
    size_t at = 0;
    for (size_t i = 0; i <= column; i++) {
        at = read_value(&r->buffer, at, &name);
    }
    return name.data;
}

bool rows_next(const rows *r, size_t *cursor, db_value *values, size_t count) {
    assert(count >= r->columns);
    size_t at = *cursor > 0 ? *cursor : r->first;
    if (at == r->buffer.used) {
        return false;
    }
    at++; /* the row's own byte */
    for (size_t i = 0; i < r->columns; i++) {
        at = read_value(&r->buffer, at, &values[i]);
    }
    *cursor = at;
    return true;
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
    c->db = *source;
    c->check_ms = o.check_ms;
    c->clock = o.clock.now_ms ? o.clock : ms_clock_monotonic();
    status s = ttl_create(o.ttl_ms > 0 ? o.ttl_ms : DEFAULT_TTL_MS, c->clock,
                          rows_destroy, o.seed, &c->kept);
    if (s != STATUS_OK) {
        free(c);
        return s;
    }
    *out = c;
    return STATUS_OK;
}

status query_cache_get(query_cache *c, const char *sql,
                       const db_value *parameters, size_t count,
                       const rows **out) {
    look_for_changes(c);
    bool has_key = make_key(&c->key, sql, parameters, count);
    const rows *held = has_key ? find(c) : NULL;
    if (held) {
        c->stats.hits++;
        *out = held;
        return STATUS_OK;
    }
    c->stats.misses++;
    rows *loaded = NULL;
    status s =
        has_key ? ask(c, sql, parameters, count, &loaded) : STATUS_NO_MEMORY;
    if (s != STATUS_OK) {
        c->stats.failures++;
        return s;
    }
    keep(c, loaded);
    *out = loaded;
    return STATUS_OK;
}

query_cache_stats query_cache_statistics(const query_cache *c) {
    return c->stats;
}

void query_cache_close(query_cache *c) {
    if (!c) {
        return;
    }
    ttl_destroy(c->kept);
    rows_destroy(c->loose);
    free(c->key.data);
    free(c);
}
