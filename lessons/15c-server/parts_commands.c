/* Given: the commands that are more of the same, and those that redis-cli,
 * redis-benchmark and clients in many languages ask for. */
#include "parts.h"

#include <limits.h>
#include <stdio.h>

/* -- strings -------------------------------------------------------------- */

static void run_mget(call *c, int detail) {
    call_put_number(c, '*', (long long)c->count - 1);
    for (size_t i = 1; i < c->count && !c->failed; i++) {
        call_put_value(c, call_word(c, i));
    }
}

static void run_mset(call *c, int detail) {
    if (c->count % 2 == 0) {
        call_fail(c, "ERR wrong number of arguments for 'mset' command");
        return;
    }
    for (size_t i = 1; i < c->count; i += 2) {
        if (!call_store(c, call_word(c, i), call_word(c, i + 1), CACHE_NEVER)) {
            return;
        }
    }
    call_put_text(c, "+OK\r\n");
}

static void run_setex(call *c, int unit) {
    int64_t ms;
    if (call_time(c, 2, unit, &ms)
        && call_store(c, call_word(c, 1), call_word(c, 3), ms)) {
        call_put_text(c, "+OK\r\n");
    }
}

static void run_strlen(call *c, int detail) {
    bytes value;
    bool found = call_fetch(c, call_word(c, 1), 0, &value);
    call_put_number(c, ':', found ? (long long)value.len : 0);
}

/* Writes a part into a value, which keeps its time.
 * at: where; SIZE_MAX: at its end. Between the two are zero bytes. */
static void write_part(call *c, size_t at, bytes part) {
    bytes key = call_word(c, 1), value = {0};
    int64_t left;
    size_t extra = (at == SIZE_MAX ? 0 : at) + part.len;
    if (!call_find(c, key, &left) || !call_fetch(c, key, extra, &value)) {
        char *room = call_room(c, HEAD_MAX + extra);
        value = (bytes){room ? room + HEAD_MAX : NULL, 0};
    }
    if (c->failed || !value.data) {
        return;
    }
    char *data = (char *)value.data;
    at = at == SIZE_MAX ? value.len : at;
    if (at > value.len) {
        memset(data + value.len, 0, at - value.len);
    }
    memcpy(data + at, part.data, part.len);
    value.len = at + part.len > value.len ? at + part.len : value.len;
    if (call_store(c, key, value, left)) {
        call_put_number(c, ':', (long long)value.len);
    }
}

static void run_append(call *c, int detail) {
    write_part(c, SIZE_MAX, call_word(c, 2));
}

static void run_setrange(call *c, int detail) {
    long long at;
    bytes part = call_word(c, 3);
    if (!call_number(c, 2, &at)) {
        return;
    }
    if (at < 0) {
        call_fail(c, "ERR offset is out of range");
    } else if (part.len == 0) {
        run_strlen(c, detail);
    } else if ((size_t)at > c->most || part.len > c->most - (size_t)at) {
        call_fail(c, "ERR string exceeds maximum allowed size "
                     "(proto-max-bulk-len)");
    } else {
        write_part(c, (size_t)at, part);
    }
}

static void run_incr(call *c, int sign) {
    long long n = 0, by = 1;
    int64_t left;
    bytes key = call_word(c, 1), value;
    char text[HEAD_MAX];
    if (c->count > 2 && !call_number(c, 2, &by)) {
        return;
    }
    if (sign < 0 && by == LLONG_MIN) {
        call_fail(c, "ERR decrement would overflow");
        return;
    }
    by *= sign;
    if (call_find(c, key, &left) && call_fetch(c, key, 0, &value)
        && !word_number(value, &n)) {
        call_fail(c, "ERR value is not an integer or out of range");
    } else if ((by > 0 && n > LLONG_MAX - by)
               || (by < 0 && n < LLONG_MIN - by)) {
        call_fail(c, "ERR increment or decrement would overflow");
    } else {
        snprintf(text, sizeof text, "%lld", n + by);
        if (call_store(c, key, bytes_of(text), left)) {
            call_put_number(c, ':', n + by);
        }
    }
}

/* -- keys ----------------------------------------------------------------- */

static void run_type(call *c, int detail) {
    int64_t left;
    bool found = call_find(c, call_word(c, 1), &left);
    call_put_text(c, found ? "+string\r\n" : "+none\r\n");
}

/* Gives a value another time, by storing it anew. */
static void store_again(call *c, bytes key, int64_t ms) {
    bytes value;
    if (!call_fetch(c, key, 0, &value)) {
        call_put_text(c, ":0\r\n");
    } else if (call_store(c, key, value, ms)) {
        call_put_text(c, ":1\r\n");
    }
}

static void run_expire(call *c, int unit) {
    long long n;
    int64_t ms;
    bytes key = call_word(c, 1);
    if (c->count > 3) {
        bytes w = call_word(c, 3);
        call_fail(c, "ERR Unsupported option %.*s", (int)w.len,
                  (const char *)w.data);
    } else if (word_number(call_word(c, 2), &n) && n <= 0
               && n >= LLONG_MIN / unit) {
        call_put_number(c, ':', cache_delete(c->cache, key));
    } else if (call_time(c, 2, unit, &ms)) {
        store_again(c, key, ms);
    }
}

static void run_persist(call *c, int detail) {
    int64_t left;
    call_find(c, call_word(c, 1), &left);
    if (left == CACHE_NEVER) {
        call_put_text(c, ":0\r\n");
    } else {
        store_again(c, call_word(c, 1), CACHE_NEVER);
    }
}

static void run_dbsize(call *c, int detail) {
    call_put_number(c, ':', (long long)cache_statistics(c->cache).entries);
}

static void run_flush(call *c, int detail) {
    if (c->count > 2
        || (c->count == 2 && !word_is(call_word(c, 1), "async")
            && !word_is(call_word(c, 1), "sync"))) {
        call_fail(c, "ERR syntax error");
        return;
    }
    cache_clear(c->cache);
    call_put_text(c, "+OK\r\n");
}

/* -- the talk of tools ---------------------------------------------------- */

static void put_word(call *c, const char *text) {
    call_put_bulk(c, bytes_of(text));
}

/* There is one database, number 0. */
static void run_select(call *c, int detail) {
    long long n;
    if (call_number(c, 1, &n)) {
        if (n == 0) {
            call_put_text(c, "+OK\r\n");
        } else {
            call_fail(c, "ERR DB index is out of range");
        }
    }
}

/* A client may ask which protocol we speak, or for one of them. */
static void run_hello(call *c, int detail) {
    long long n = 2;
    if (c->count > 1 && !word_number(call_word(c, 1), &n)) {
        call_fail(c, "ERR Protocol version is not an integer or out of range");
    } else if (n != 2) {
        call_fail(c, "NOPROTO unsupported protocol version");
    } else if (c->count > 2) {
        bytes w = call_word(c, 2);
        call_fail(c, "ERR Syntax error in HELLO option '%.*s'", (int)w.len,
                  (const char *)w.data);
    } else {
        call_put_text(c, "*6\r\n");
        put_word(c, "server");
        put_word(c, "workbook");
        put_word(c, "proto");
        call_put_number(c, ':', 2);
        put_word(c, "role");
        put_word(c, "master");
    }
}

static void fail_subcommand(call *c, const char *of) {
    bytes w = call_word(c, 1);
    call_fail(c, "ERR unknown subcommand '%.*s'. Try %s HELP.",
              w.len < 128 ? (int)w.len : 128, (const char *)w.data, of);
}

/* redis-cli asks for the documents of all commands; we have none. */
static void run_command(call *c, int detail) {
    if (word_is(call_word(c, 1), "docs")) {
        call_put_text(c, "*0\r\n");
    } else {
        fail_subcommand(c, "COMMAND");
    }
}

/* redis-benchmark wants to know whether anything is written to disk. */
static void run_config(call *c, int detail) {
    server_stats stats = server_statistics(c->server);
    char memory[HEAD_MAX], clients[HEAD_MAX];
    const char *const settings[][2] = {{"save", ""},
                                       {"appendonly", "no"},
                                       {"databases", "1"},
                                       {"maxmemory", memory},
                                       {"maxclients", clients}};
    snprintf(memory, sizeof memory, "%zu", (size_t)stats.memory_bytes);
    snprintf(clients, sizeof clients, "%zu", (size_t)stats.max_clients);
    if (!word_is(call_word(c, 1), "get")) {
        fail_subcommand(c, "CONFIG");
        return;
    }
    if (c->count != 3) {
        call_fail(c, "ERR wrong number of arguments for 'config|get' command");
        return;
    }
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (word_is(call_word(c, 2), settings[i][0])) {
            call_put_text(c, "*2\r\n");
            call_put_bulk(c, call_word(c, 2)); /* in its own letters */
            put_word(c, settings[i][1]);
            return;
        }
    }
    call_put_text(c, "*0\r\n");
}

static void run_info(call *c, int detail) {
    char text[1024];
    server_stats s = server_statistics(c->server);
    cache_stats k = cache_statistics(c->cache);
    snprintf(text, sizeof text,
             "# Server\r\nserver_name:workbook\r\nredis_version:7.0.15\r\n"
             "redis_mode:standalone\r\n\r\n"
             "# Clients\r\nconnected_clients:%llu\r\nmaxclients:%llu\r\n\r\n"
             "# Memory\r\nused_memory:%llu\r\nmaxmemory:%llu\r\n\r\n"
             "# Stats\r\ntotal_connections_received:%llu\r\n"
             "rejected_connections:%llu\r\nkeyspace_hits:%llu\r\n"
             "keyspace_misses:%llu\r\nevicted_keys:%llu\r\n"
             "expired_keys:%llu\r\n\r\n"
             "# Keyspace\r\ndb0:keys=%llu,expires=0,avg_ttl=0\r\n",
             (unsigned long long)s.clients, (unsigned long long)s.max_clients,
             (unsigned long long)k.held_bytes,
             (unsigned long long)s.memory_bytes, (unsigned long long)s.accepted,
             (unsigned long long)s.refused, (unsigned long long)k.hits,
             (unsigned long long)k.misses, (unsigned long long)k.evictions,
             (unsigned long long)k.expirations, (unsigned long long)k.entries);
    put_word(c, text);
}

/* A browser that was sent here by an evil page says POST and Host: such a
 * client is not answered. */
static void run_not_http(call *c, int detail) {
    c->wants_to_end = true;
}

const command more_commands[] = {
    {"mget", -2, false, run_mget, 0},
    {"mset", -3, true, run_mset, 0},
    {"setex", 4, true, run_setex, 1000},
    {"psetex", 4, true, run_setex, 1},
    {"strlen", 2, false, run_strlen, 0},
    {"append", 3, true, run_append, 0},
    {"setrange", 4, true, run_setrange, 0},
    {"incr", 2, true, run_incr, 1},
    {"decr", 2, true, run_incr, -1},
    {"incrby", 3, true, run_incr, 1},
    {"decrby", 3, true, run_incr, -1},
    {"type", 2, false, run_type, 0},
    {"expire", -3, true, run_expire, 1000},
    {"pexpire", -3, true, run_expire, 1},
    {"persist", 2, true, run_persist, 0},
    {"dbsize", 1, false, run_dbsize, 0},
    {"flushall", -1, true, run_flush, 0},
    {"flushdb", -1, true, run_flush, 0},
    {"select", 2, false, run_select, 0},
    {"hello", -1, false, run_hello, 0},
    {"command", -2, false, run_command, 0},
    {"config", -2, false, run_config, 0},
    {"info", -1, false, run_info, 0},
    {"post", -1, false, run_not_http, 0},
    {"host:", -1, false, run_not_http, 0},
    {NULL, 0, false, NULL, 0},
};
