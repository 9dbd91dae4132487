/* memo: one table of its own for what is known and what is being computed,
 * and a list by age of what is known. An entry that runs is in no list, so
 * nothing can evict it. */
#include "memo.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "lru.h"

enum { FIRST_BUCKETS = 16 };

struct memo_result {
    size_t holders;
    void *value;
    void (*destroy)(void *value);
};

struct entry {
    struct entry *next; /* in its bucket */
    struct entry *newer, *older;
    memo_result *result; /* NULL while its function runs */
    uint64_t hash;
    size_t argument_len;
    char argument[];
};

struct memo {
    struct entry **buckets;
    size_t mask;
    size_t entries; /* known and running */
    size_t known, capacity, depth;
    struct entry *newest, *oldest;
    memo_function *function;
    void *context;
    void (*destroy_result)(void *value);
    uint64_t seed;
    memo_stats stats;
};

static bytes argument_of(const struct entry *entry) {
    return (bytes){entry->argument, entry->argument_len};
}

static struct entry *find(const memo *m, bytes argument, uint64_t hash) {
    struct entry *entry = m->buckets[hash & m->mask];
    while (entry
           && !(entry->hash == hash
                && bytes_equal(argument_of(entry), argument))) {
        entry = entry->next;
    }
    return entry;
}

static void link_into(struct entry **buckets, size_t mask,
                      struct entry *entry) {
    struct entry **bucket = &buckets[entry->hash & mask];
    entry->next = *bucket;
    *bucket = entry;
}

/* Longer chains are slower, and no failure: so without memory all stays. */
static void grow(memo *m) {
    size_t mask = m->mask * 2 + 1;
    struct entry **buckets = calloc(mask + 1, sizeof(struct entry *));
    if (!buckets) {
        return;
    }
    for (size_t i = 0; i <= m->mask; i++) {
        for (struct entry *entry = m->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            link_into(buckets, mask, entry);
        }
    }
    free(m->buckets);
    m->buckets = buckets;
    m->mask = mask;
}

static void remove_entry(memo *m, struct entry *entry) {
    struct entry **link = &m->buckets[entry->hash & m->mask];
    while (*link != entry) {
        link = &(*link)->next;
    }
    *link = entry->next;
    m->entries--;
    free(entry);
}

static void leave_ages(memo *m, struct entry *entry) {
    *(entry->newer ? &entry->newer->older : &m->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &m->oldest) = entry->newer;
}

static void enter_ages(memo *m, struct entry *entry) {
    entry->newer = NULL;
    entry->older = m->newest;
    *(m->newest ? &m->newest->newer : &m->oldest) = entry;
    m->newest = entry;
}

static void evict(memo *m) {
    struct entry *entry = m->oldest;
    memo_result *result = entry->result;
    leave_ages(m, entry);
    remove_entry(m, entry);
    m->known--;
    memo_release(result);
}

static struct entry *add_entry(memo *m, bytes argument, uint64_t hash) {
    struct entry *entry = malloc(sizeof *entry + argument.len);
    if (!entry) {
        return NULL;
    }
    *entry = (struct entry){.hash = hash, .argument_len = argument.len};
    if (argument.len > 0) {
        memcpy(entry->argument, argument.data, argument.len);
    }
    if (m->entries > m->mask) {
        grow(m);
    }
    link_into(m->buckets, m->mask, entry);
    m->entries++;
    return entry;
}

static void remember(memo *m, struct entry *entry, memo_result *result) {
    if (m->known == m->capacity) {
        m->stats.evictions++;
        evict(m);
    }
    entry->result = result;
    result->holders++;
    enter_ages(m, entry);
    m->known++;
}

static status run(memo *m, struct entry *entry, memo_result *result) {
    m->stats.runs++;
    m->depth++;
    status s = m->function(m->context, m, argument_of(entry), &result->value);
    m->depth--;
    return s;
}

static status compute(memo *m, bytes argument, uint64_t hash,
                      memo_result **out) {
    memo_result *result = malloc(sizeof *result);
    if (!result) {
        return STATUS_NO_MEMORY;
    }
    *result = (memo_result){1, NULL, m->destroy_result};
    struct entry *entry = add_entry(m, argument, hash);
    status s = entry ? run(m, entry, result) : STATUS_NO_MEMORY;
    if (s == STATUS_OK) {
        remember(m, entry, result);
        *out = result;
        return STATUS_OK;
    }
    if (entry) {
        remove_entry(m, entry);
    }
    free(result);
    return s;
}

status memo_create(size_t capacity, memo_function *function, void *context,
                   void (*destroy_result)(void *result), uint64_t seed,
                   memo **out) {
    if (!function || capacity == 0 || capacity > LRU_CAPACITY_MAX) {
        return STATUS_INVALID;
    }
    memo *m = calloc(1, sizeof *m);
    struct entry **buckets = calloc(FIRST_BUCKETS, sizeof(struct entry *));
    if (!m || !buckets) {
        free(m);
        free(buckets);
        return STATUS_NO_MEMORY;
    }
    *m = (memo){
        .buckets = buckets,
        .mask = FIRST_BUCKETS - 1,
        .capacity = capacity,
        .function = function,
        .context = context,
        .destroy_result = destroy_result,
        .seed = seed,
    };
    *out = m;
    return STATUS_OK;
}

status memo_get(memo *m, bytes argument, memo_result **out) {
    uint64_t hash = XXH3_64bits_withSeed(argument.data, argument.len, m->seed);
    struct entry *entry = find(m, argument, hash);
    if (!entry) {
        return compute(m, argument, hash, out);
    }
    if (!entry->result) {
        return STATUS_DEADLOCK;
    }
    leave_ages(m, entry);
    enter_ages(m, entry);
    m->stats.hits++;
    entry->result->holders++;
    *out = entry->result;
    return STATUS_OK;
}

void *memo_value(const memo_result *result) {
    return result->value;
}

void memo_release(memo_result *result) {
    if (!result || --result->holders > 0) {
        return;
    }
    if (result->destroy) {
        result->destroy(result->value);
    }
    free(result);
}

size_t memo_count(const memo *m) {
    return m->known;
}

memo_stats memo_statistics(const memo *m) {
    return m->stats;
}

void memo_destroy(memo *m) {
    if (!m) {
        return;
    }
    assert(m->depth == 0);
    while (m->oldest) {
        evict(m);
    }
    free(m->buckets);
    free(m);
}
