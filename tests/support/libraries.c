/* The libraries' own hooks for those who bring an allocator. */
#include "support/libraries.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<curl/curl.h>) /* a lesson may do without it */
#include <curl/curl.h>
#pragma weak curl_global_init_mem
#pragma weak curl_global_cleanup

static void count_curl(bool on) {
    if (!curl_global_init_mem) {
        return;
    }
    if (on) {
        curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, free, realloc, strdup,
                             calloc);
    } else {
        curl_global_cleanup();
    }
}
#else
static void count_curl(bool on) {
    (void)on;
}
#endif

static size_t json_blocks;

static void *json_malloc(size_t size) {
    json_blocks++;
    return malloc(size);
}

/* A function of ours, so that the linker sends the call through heap.c. */
static void json_free(void *block) {
    free(block);
}

void libraries_count(bool on) {
    static json_malloc_t malloc_before;
    static json_free_t free_before;
    json_blocks = 0;
    if (on) {
        json_get_alloc_funcs(&malloc_before, &free_before);
        json_set_alloc_funcs(json_malloc, json_free);
    } else {
        json_set_alloc_funcs(malloc_before, free_before);
    }
    count_curl(on);
}

size_t libraries_json_blocks(void) {
    return json_blocks;
}
