/* kv as a linked list: it grows by one node at a time and never moves. */
#include "kv.h"

#include <stdlib.h>
#include <string.h>

struct node {
    struct node *next;
    char *value;
    char key[]; /* in the node itself: one block less */
};

struct kv {
    struct node *first;
    size_t count;
};

static struct node *find(const kv *cache, const char *key) {
    struct node *node = cache->first;
    while (node && strcmp(node->key, key) != 0) {
        node = node->next;
    }
    return node;
}

static void free_node(struct node *node) {
    if (node) {
        free(node->value);
        free(node);
    }
}

static struct node *make_node(const char *key, const char *value) {
    size_t key_size = strlen(key) + 1;
    struct node *node = malloc(sizeof *node + key_size);
    if (!node) {
        return NULL;
    }
    memcpy(node->key, key, key_size);
    node->value = strdup(value);
    if (!node->value) {
        free_node(node);
        return NULL;
    }
    return node;
}

kv *kv_create(void) {
    return calloc(1, sizeof(kv));
}

status kv_set(kv *cache, const char *key, const char *value) {
    struct node *fresh = make_node(key, value);
    if (!fresh) {
        return STATUS_NO_MEMORY;
    }
    struct node *old = find(cache, key);
    if (old) {
        char *replaced = old->value;
        old->value = fresh->value;
        fresh->value = replaced;
        free_node(fresh);
        return STATUS_OK;
    }
    fresh->next = cache->first;
    cache->first = fresh;
    cache->count++;
    return STATUS_OK;
}

const char *kv_get(const kv *cache, const char *key) {
    const struct node *node = find(cache, key);
    return node ? node->value : NULL;
}

size_t kv_count(const kv *cache) {
    return cache->count;
}

void kv_destroy(kv *cache) {
    while (cache && cache->first) {
        struct node *node = cache->first;
        cache->first = node->next;
        free_node(node);
    }
    free(cache);
}
