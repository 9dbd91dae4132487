/* cache: shards of a ring and an index each, single flight, early refresh. */
#include "cache.h"

#include "cache_flight.h"
#include "cache_index.h"
#include "cache_metrics.h"

#include "common/todo.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    LINE_BYTES = 64,  /* of the processors' caches: shards share none */
    UNIT = 8,         /* entries begin and end at multiples of this */
    ENTRY_BYTES = 64, /* of options.entry_bytes, the default */
    SLOTS_MIN = 16,   /* of an index, however large the entries */
    CHANCES = 8,      /* second chances that one set gives at most */
    GROUP = 16,       /* keys that memory is asked for at once, */
    ENTRY_LINES = 3,  /* and how many lines for the entry of each */
    LARGEST_SHARE = 8 /* an entry takes an eighth of its shard's part */
};

#define TWO_TO_63 9223372036854775808.0
#define NO_SLOT SIZE_MAX
#define TIME_LAST (((uint64_t)1 << 40) - 1) /* as much as `ends` can hold */
#define COST_LAST (((uint32_t)1 << 24) - 1)

/* What stands in the ring. Times are milliseconds since the cache was made. */
struct entry {
    uint64_t ends : 40; /* 0: never */
    uint64_t cost : 24; /* how long it took to load */
    uint32_t value_len;
    uint32_t key_len : 24;
    uint32_t hit : 1; /* since it was written, or had its second chance */
    uint32_t live : 1;
    char data[]; /* the key, then the value */
};

struct shard {
    _Alignas(LINE_BYTES) pthread_mutex_t lock; /* guards all of these */
    cache_stats stats; /* first what a get writes: it is in the lock's line */
    const cache *of;
    cache_index index;
    size_t count; /* of its slots in use: the entries */
    char *ring;
    size_t size;      /* of the ring */
    size_t head;      /* the next entry is written here */
    size_t tail;      /* the oldest entry is here, if there is one */
    size_t end;       /* wrapped: the upper part of the ring ends here */
    bool wrapped;     /* the oldest are above the head, in [tail, end) */
    size_t live;      /* bytes of the ring that live entries take */
    int64_t clock_ms; /* what the clock showed last, */
    uint64_t now_ms;  /* and how much time that makes since the start */
    uint64_t random;
    flight *flights; /* loads whose result will be kept */
};

struct cache {
    cache_options options;
    size_t largest; /* key and value of one entry */
    size_t held;    /* bytes of the one block of memory */
    size_t count;   /* of the shards */
    struct shard *shards;
    pthread_condattr_t monotonic;
};

/* A get_or_load on its way. */
struct request {
    struct shard *s;
    uint64_t hash;
    bytes key;
    cache_load load;
    void *context;
    int64_t wait_ms;
};

status cache_create(size_t budget_bytes, size_t shards,
                    const cache_options *options, cache **out) {
    TODO("14.1: refuse what is out of range, ask for one block, divide it");
}

status cache_set(cache *c, bytes key, bytes value) {
    TODO("14.2: write the entry at the head of the ring, and list it");
}

status cache_set_for(cache *c, bytes key, bytes value, int64_t ttl_ms) {
    TODO("14.5: give the entry an end of its own");
}

status cache_get(cache *c, bytes key, void *buffer, size_t size, size_t *len) {
    TODO("14.2: find the key and copy its value out, under the lock");
}

void cache_expect(const cache *c, const bytes *keys, size_t n) {
    TODO("14.12: ask memory for all slots, then for what they lead to");
}

bool cache_delete(cache *c, bytes key) {
    TODO("14.4: take the key out of the index");
}

bool cache_remaining_ms(cache *c, bytes key, int64_t *remaining_ms) {
    TODO("14.5: the end less the time that it is now");
}

status cache_get_or_load(cache *c, bytes key, cache_load load, void *context,
                         int64_t wait_ms, void *buffer, size_t size,
                         size_t *len) {
    TODO("14.7: after a miss wait for the load of this key, or load");
}

status cache_json_key(bytes json, void *buffer, size_t size, size_t *len) {
    TODO("14.11: read the JSON, and write it in its one form");
}

status cache_with_json(cache *c, bytes function, bytes arguments,
                       cache_load load, void *context, int64_t wait_ms,
                       void *buffer, size_t size, size_t *len) {
    TODO("14.11: make the key of the call, then get or load it");
}

cache_stats cache_statistics(cache *c) {
    TODO("14.6: add up the shards, each under its lock");
}

status cache_prometheus(cache *c, bytes name, void *buffer, size_t size,
                        size_t *len) {
    TODO("14.6: write each field with the functions given");
}

void cache_clear(cache *c) {
    TODO("14.4: empty the index and the ring of every shard");
}

void cache_destroy(cache *c) {
    TODO("14.1: end the locks, and give the block back");
}
