/* bytes: a borrowed run of bytes.
 *
 * The workbook passes keys and values as a pointer and a length. Nothing is
 * terminated by a zero byte, so any byte may occur, the zero byte too, and a
 * run of length 0 is as good a key as any other.
 *
 * A `bytes` owns nothing: whoever made the memory behind it keeps it alive
 * while it is in use and frees it afterwards. */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct bytes {
    const void *data; /* may be NULL when len is 0 */
    size_t len;
} bytes;

/* Borrows the text of a C string, without its closing zero byte. */
static inline bytes bytes_of(const char *text) {
    return (bytes){text, strlen(text)};
}

/* Whether two runs hold the same bytes. memcmp may not be given NULL, even
 * for no bytes at all, hence the test of the length. */
static inline bool bytes_equal(bytes a, bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif
