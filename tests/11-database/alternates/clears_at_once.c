/* query_cache, otherwise: rows are a table of cells that point into one block
 * of bytes, and a change destroys all results at once. */
#include "query_cache.h"

#include "ttl.h"

#include <stdlib.h>
#include <string.h>

/* The block moves while it grows, so a cell knows the place of its bytes, and
 * `settle` makes that an address. */
struct cell {
    db_value value;
    size_t place;
};

struct rows {
    size_t columns, count;
    struct cell *cells; /* the names, then row by row */
    size_t cell_count, cell_room;
    char *block;
    size_t used, room;
};

struct query_cache {
    db db;
    ttl *kept; /* NULL: there was no memory for an empty one */
    rows *loose;
    char *key;
    size_t key_len, key_room;
    query_cache_options options;
    bool asked, told;
    int64_t asked_ms;
    uint64_t token;
    query_cache_stats stats;
};

static bool grow(void *block, size_t *room, size_t needed, size_t size) {
    void **at = block;
    if (needed <= *room) {
        return true;
    }
    void *larger = realloc(*at, 2 * needed * size);
    if (!larger) {
        return false;
    }
    *at = larger;
    *room = 2 * needed;
    return true;
}

/* -- rows ------------------------------------------------------------------ */

static void rows_destroy(void *value) {
    rows *r = value;
    if (r) {
        free(r->cells);
        free(r->block);
        free(r);
    }
}

static bool has_bytes(const db_value *v) {
    return v->type == DB_TEXT || v->type == DB_BLOB;
}

static bool add_cell(rows *r, const db_value *v) {
    size_t len = has_bytes(v) ? v->data.len : 0;
    if (!grow(&r->cells, &r->cell_room, r->cell_count + 1, sizeof *r->cells)
        || !grow(&r->block, &r->room, r->used + len, 1)) {
        return false;
    }
    if (len > 0) {
        memcpy(r->block + r->used, v->data.data, len);
    }
    r->cells[r->cell_count++] = (struct cell){*v, r->used};
    r->used += len;
    return true;
}

static status take_columns(void *context, const bytes *names, size_t count) {
    rows *r = context;
    bool taken = true;
    for (size_t i = 0; i < count && taken; i++) {
        db_value name = db_text(names[i]);
        taken = add_cell(r, &name);
    }
    r->columns = count;
    return taken ? STATUS_OK : STATUS_NO_MEMORY;
}

static status take_row(void *context, const db_value *values) {
    rows *r = context;
    bool taken = true;
    for (size_t i = 0; i < r->columns && taken; i++) {
        taken = add_cell(r, &values[i]);
    }
    r->count++;
    return taken ? STATUS_OK : STATUS_NO_MEMORY;
}

/* The block moves no more. */
static void settle(rows *r) {
    for (size_t i = 0; i < r->cell_count; i++) {
        r->cells[i].value.data.data = r->block + r->cells[i].place;
    }
}

static status ask(query_cache *c, const char *sql, const db_value *parameters,
                  size_t count, rows **out) {
    rows *r = calloc(1, sizeof *r);
    if (!r) {
        return STATUS_NO_MEMORY;
    }
    db_sink sink = {take_columns, take_row, r};
    status s = c->db.query(c->db.self, sql, parameters, count, &sink);
    if (s == STATUS_OK) {
        settle(r);
        *out = r;
    } else {
        rows_destroy(r);
    }
    return s;
}

size_t rows_count(const rows *r) {
    return r->count;
}

size_t rows_columns(const rows *r) {
    return r->columns;
}

bytes rows_name(const rows *r, size_t column) {
    return r->cells[column].value.data;
}

/* The cursor is the number of the next row. */
bool rows_next(const rows *r, size_t *cursor, db_value *values, size_t count) {
    if (*cursor == r->count) {
        return false;
    }
    ++*cursor;
    for (size_t i = 0; i < r->columns; i++) {
        values[i] = r->cells[*cursor * r->columns + i].value;
    }
    return true;
}

/* -- keys ------------------------------------------------------------------ */

static bool add_to_key(query_cache *c, const void *data, size_t len) {
    if (!grow(&c->key, &c->key_room, c->key_len + len, 1)) {
        return false;
    }
    if (len > 0) {
        memcpy(c->key + c->key_len, data, len);
    }
    c->key_len += len;
    return true;
}

/* All sizes first, then all bytes: as good a way to tell parts apart. */
static bool make_key(query_cache *c, const char *sql,
                     const db_value *parameters, size_t count) {
    size_t sql_len = strlen(sql);
    c->key_len = 0;
    bool made = add_to_key(c, &count, sizeof count)
                && add_to_key(c, &sql_len, sizeof sql_len);
    for (size_t i = 0; i < count && made; i++) {
        const db_value *p = &parameters[i];
        size_t head[2] = {p->type, has_bytes(p) ? p->data.len : 0};
        made = add_to_key(c, head, sizeof head);
    }
    made = made && add_to_key(c, sql, sql_len);
    for (size_t i = 0; i < count && made; i++) {
        const db_value *p = &parameters[i];
        made = p->type == DB_INT      ? add_to_key(c, &p->integer, 8)
               : p->type == DB_DOUBLE ? add_to_key(c, &p->real, 8)
               : has_bytes(p)         ? add_to_key(c, p->data.data, p->data.len)
                                      : true;
    }
    return made;
}

/* -- the cache ------------------------------------------------------------- */

static void begin_anew(query_cache *c) {
    int64_t ttl_ms = c->options.ttl_ms ? c->options.ttl_ms : 10000;
    ttl_destroy(c->kept);
    if (ttl_create(ttl_ms, c->options.clock, rows_destroy, c->options.seed,
                   &c->kept)
        != STATUS_OK) {
        c->kept = NULL;
    }
}

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
    c->options = o;
    c->options.clock = o.clock.now_ms ? o.clock : ms_clock_monotonic();
    begin_anew(c);
    if (!c->kept) {
        free(c);
        return STATUS_NO_MEMORY;
    }
    *out = c;
    return STATUS_OK;
}

/* How many results are lost counts as what was met: all of them would be. */
static void look_for_changes(query_cache *c) {
    int64_t now_ms = ms_clock_now(c->options.clock);
    uint64_t token = c->token;
    if (c->told && now_ms - c->asked_ms < c->options.check_ms) {
        return;
    }
    bool told = c->db.changes(c->db.self, &token) == STATUS_OK;
    bool is_change = !told || !c->told || token != c->token;
    if (c->asked && is_change && c->kept && ttl_count(c->kept) > 0) {
        c->stats.stale += told;
        begin_anew(c);
    }
    if (!c->kept) {
        begin_anew(c);
    }
    c->asked = true;
    c->told = told;
    c->token = token;
    c->asked_ms = now_ms;
}

static const rows *find(query_cache *c) {
    void *found;
    bytes key = {c->key, c->key_len};
    return c->kept && ttl_get(c->kept, key, &found) ? found : NULL;
}

static void keep(query_cache *c, rows *r) {
    bytes key = {c->key, c->key_len};
    rows_destroy(c->loose);
    c->loose = NULL;
    if (c->kept) {
        ttl_sweep(c->kept, 3);
    }
    if (!c->told || !c->kept || ttl_set(c->kept, key, r) != STATUS_OK) {
        c->loose = r;
    }
}

status query_cache_get(query_cache *c, const char *sql,
                       const db_value *parameters, size_t count,
                       const rows **out) {
    rows *r = NULL;
    look_for_changes(c);
    status s =
        make_key(c, sql, parameters, count) ? STATUS_OK : STATUS_NO_MEMORY;
    const rows *held = s == STATUS_OK ? find(c) : NULL;
    if (held) {
        c->stats.hits++;
        *out = held;
        return STATUS_OK;
    }
    c->stats.misses++;
    if (s == STATUS_OK) {
        s = ask(c, sql, parameters, count, &r);
    }
    if (s != STATUS_OK) {
        c->stats.failures++;
        return s;
    }
    keep(c, r);
    *out = r;
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
    free(c->key);
    free(c);
}
