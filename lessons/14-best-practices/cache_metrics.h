/* cache_metrics: the fields of cache_stats, one by one; given.
 *
 * Prometheus reads a text of lines like these:
 *
 *     # TYPE cache_hits_total counter
 *     cache_hits_total{cache="users"} 1027
 *
 * A counter only rises, and Prometheus makes rates of it; a gauge may fall. */
#ifndef LESSON_CACHE_METRICS_H
#define LESSON_CACHE_METRICS_H

#include "cache.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct metrics_field {
    size_t at; /* in cache_stats */
    const char *name, *type;
} metrics_field;

#define METRICS_COUNTER(field) \
    { offsetof(cache_stats, field), #field "_total", "counter" }
#define METRICS_GAUGE(field) \
    { offsetof(cache_stats, field), #field, "gauge" }

static const metrics_field metrics_fields[] = {
    METRICS_COUNTER(hits),        METRICS_COUNTER(misses),
    METRICS_COUNTER(stale),       METRICS_COUNTER(loads),
    METRICS_COUNTER(refreshes),   METRICS_COUNTER(failures),
    METRICS_COUNTER(joins),       METRICS_COUNTER(evictions),
    METRICS_COUNTER(expirations), METRICS_COUNTER(refusals),
    METRICS_GAUGE(entries),       METRICS_GAUGE(entry_bytes),
    METRICS_GAUGE(held_bytes),
};

enum { METRICS_FIELDS = sizeof metrics_fields / sizeof metrics_fields[0] };

/* A field by its number. */
static inline uint64_t *metrics_value(cache_stats *stats, size_t field) {
    return (uint64_t *)(void *)((char *)stats + metrics_fields[field].at);
}

/* Whether it can be a label as it is. */
static inline bool metrics_is_label(bytes name) {
    const unsigned char *text = name.data;
    for (size_t i = 0; i < name.len; i++) {
        if (text[i] < ' ' || text[i] == '"' || text[i] == '\\') {
            return false;
        }
    }
    return name.len <= CACHE_NAME_MAX;
}

/* Writes the two lines of a field.
 * name: a label. lines: room for them, METRICS_LINES bytes.
 * Returns: their length. */
enum { METRICS_LINES = 128 + CACHE_NAME_MAX };

static inline size_t metrics_write(cache_stats *stats, size_t field, bytes name,
                                   char *lines) {
    const metrics_field *m = &metrics_fields[field];
    return (size_t)snprintf(
        lines, METRICS_LINES,
        "# TYPE cache_%s %s\ncache_%s{cache=\"%.*s\"} %" PRIu64 "\n", m->name,
        m->type, m->name, (int)name.len, (const char *)name.data,
        *metrics_value(stats, field));
}

#endif
