/* Attack: keeps a loader, and calls it when the call has ended: in a thread of
 * its own, and in the next call. */
static shared_load kept;
static void *kept_context;

static void *call_it(void *unused) {
    bytes value;
    for (int i = 0; i < 1000; i++) {
        kept(kept_context, bytes_of("x"), &value);
    }
    return unused;
}

status shared_get_or_load(shared *s, bytes key, shared_load load, void *context,
                          int64_t wait_ms, void *buffer, size_t size,
                          size_t *len) {
    pthread_t thread;
    bytes value;
    if (kept) {
        kept(kept_context, key, &value);
        kept(&value, key, &value);
        pthread_create(&thread, NULL, call_it, NULL);
    }
    kept = load;
    kept_context = context;
    *len = size;
    return STATUS_OK;
}

status shared_create(size_t capacity, size_t shards, uint64_t seed,
                     shared **out) {
    *out = (shared *)out;
    return STATUS_OK;
}

status shared_get(shared *s, bytes key, void *buffer, size_t size,
                  size_t *len) {
    bytes value = bytes_of("");
    if (kept) {
        kept(kept_context, key, &value);
    }
    *len = SIZE_MAX;
    return STATUS_OK;
}
