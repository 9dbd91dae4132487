/* Given: buffers, answers, words. */
#include "parts.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { FIRST_ROOM = 1024, FIRST_VALUE = 512, TEXT_MAX = 512 };
enum { NAME_MAX_LEN = 8, UNKNOWN_MAX = 128 };

/* The bytes slide to the front if more have left there than are to move: so
 * each is moved once, at most, for one that left. */
char *buffer_room(buffer *b, size_t n) {
    size_t len = buffer_len(b);
    if (n <= b->room - b->end) {
        return b->data + b->end;
    }
    if (b->start > len && n <= b->room - len) {
        memcpy(b->data, b->data + b->start, len);
    } else {
        size_t room = b->room ? 2 * b->room : FIRST_ROOM;
        room = room < len + n ? len + n : room;
        char *data = malloc(room);
        if (!data) {
            return NULL;
        }
        if (len > 0) {
            memcpy(data, b->data + b->start, len);
        }
        free(b->data);
        b->data = data;
        b->room = room;
    }
    b->start = 0;
    b->end = len;
    return b->data + len;
}

bool buffer_add(buffer *b, bytes more) {
    char *to = more.len > 0 ? buffer_room(b, more.len) : NULL;
    if (to) {
        memcpy(to, more.data, more.len);
        b->end += more.len;
    }
    return to || more.len == 0;
}

void buffer_drop(buffer *b, size_t n) {
    b->start += n;
    if (b->start == b->end) {
        free(b->data);
        *b = (buffer){0};
    }
}

/* -- answers -------------------------------------------------------------- */

char *call_room(call *c, size_t n) {
    size_t used = buffer_len(c->out) - c->before;
    char *to = NULL;
    if (!c->failed && used <= c->most && n <= c->most - used) {
        to = buffer_room(c->out, n);
    }
    c->failed = !to;
    return to;
}

void call_put(call *c, const void *data, size_t len) {
    char *to = call_room(c, len);
    if (to && len > 0) {
        memmove(to, data, len);
        c->out->end += len;
    }
}

void call_put_text(call *c, const char *text) {
    call_put(c, text, strlen(text));
}

void call_put_number(call *c, char mark, long long n) {
    char line[HEAD_MAX];
    char *at = line + sizeof line;
    unsigned long long rest =
        n < 0 ? 0 - (unsigned long long)n : (unsigned long long)n;
    *--at = '\n';
    *--at = '\r';
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (n < 0) {
        *--at = '-';
    }
    *--at = mark;
    call_put(c, at, (size_t)(line + sizeof line - at));
}

/* A value in the room behind the answer must not be moved by its own head. */
void call_put_bulk(call *c, bytes value) {
    call_put_number(c, '$', (long long)value.len);
    call_put(c, value.data, value.len);
    call_put(c, "\r\n", 2);
}

void call_fail(call *c, const char *format, ...) {
    char text[TEXT_MAX];
    va_list values;
    va_start(values, format);
    int len = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    len = len < TEXT_MAX ? len : TEXT_MAX - 1;
    for (int i = 0; i < len; i++) {
        text[i] = (char)(text[i] == '\r' || text[i] == '\n' ? ' ' : text[i]);
    }
    c->out->end = c->out->start + c->before;
    call_put(c, "-", 1);
    call_put(c, text, (size_t)len);
    call_put(c, "\r\n", 2);
}

/* Redis repeats some of the words, so that their sender can find the fault. */
void call_fail_unknown(call *c) {
    char words[2 * UNKNOWN_MAX] = "";
    bytes name = call_word(c, 0);
    int len = 0;
    for (size_t i = 1; i < c->count && len < UNKNOWN_MAX; i++) {
        bytes w = call_word(c, i);
        int room = UNKNOWN_MAX - len;
        len += snprintf(words + len, sizeof words - (size_t)len, "'%.*s' ",
                        w.len < (size_t)room ? (int)w.len : room,
                        (const char *)w.data);
    }
    call_fail(c, "ERR unknown command '%.*s', with args beginning with: %s",
              name.len < UNKNOWN_MAX ? (int)name.len : UNKNOWN_MAX,
              (const char *)name.data, words);
}

/* -- values --------------------------------------------------------------- */

/* Another thread may set a longer value before the second try, so that is a
 * loop. Behind the value there is always room for the end of its line. */
bool call_fetch(call *c, bytes key, size_t extra, bytes *value) {
    size_t len = FIRST_VALUE;
    status s = STATUS_TOO_LARGE;
    char *to = NULL;
    while (s == STATUS_TOO_LARGE) {
        to = call_room(c, HEAD_MAX + len + extra + 2);
        if (!to) {
            return false;
        }
        size_t room = c->out->room - c->out->end - HEAD_MAX - extra - 2;
        s = cache_get(c->cache, key, to + HEAD_MAX, room, &len);
    }
    if (s == STATUS_OK) {
        *value = (bytes){to + HEAD_MAX, len};
    }
    return s == STATUS_OK;
}

void call_put_value(call *c, bytes key) {
    bytes value;
    if (call_fetch(c, key, 0, &value)) {
        call_put_bulk(c, value);
    } else {
        call_put_text(c, "$-1\r\n");
    }
}

bool call_find(const call *c, bytes key, int64_t *ms) {
    *ms = CACHE_NEVER;
    return cache_remaining_ms(c->cache, key, ms);
}

bool call_store(call *c, bytes key, bytes value, int64_t ms) {
    status s = cache_set_for(c->cache, key, value, ms);
    if (s != STATUS_OK) {
        call_fail(c, "OOM command not allowed when used memory > 'maxmemory'.");
    }
    return s == STATUS_OK;
}

/* -- words ---------------------------------------------------------------- */

bool call_number(call *c, size_t i, long long *n) {
    bool good = word_number(call_word(c, i), n);
    if (!good) {
        call_fail(c, "ERR value is not an integer or out of range");
    }
    return good;
}

bool call_time(call *c, size_t i, int unit, int64_t *ms) {
    long long n;
    if (!call_number(c, i, &n)) {
        return false;
    }
    if (n <= 0 || n > LLONG_MAX / 2 / unit) {
        char name[NAME_MAX_LEN] = {0}; /* in small letters */
        bytes w = call_word(c, 0);
        for (size_t k = 0; k < w.len && k < sizeof name - 1; k++) {
            name[k] = (char)tolower(((const unsigned char *)w.data)[k]);
        }
        call_fail(c, "ERR invalid expire time in '%s' command", name);
        return false;
    }
    *ms = n * unit;
    return true;
}

bool word_is(bytes word, const char *name) {
    return word.len == strlen(name)
           && strncasecmp(word.data, name, word.len) == 0;
}

bool word_number(bytes word, long long *n) {
    const char *text = word.data;
    size_t sign = word.len > 0 && text[0] == '-';
    unsigned long long most = (unsigned long long)LLONG_MAX + sign, sum = 0;
    if (word.len == sign || (word.len > 1 && text[sign] == '0')) {
        return false;
    }
    for (size_t i = sign; i < word.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9 || sum > (most - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *n = (long long)(sign ? 0 - sum : sum);
    return true;
}

/* The byte that a backslash stands for. *p: there; moved to its last sign. */
static char read_escape(const char **p) {
    static const char signs[] = "nrtba", meant[] = "\n\r\t\b\a";
    const char *s = *p + 1;
    if (s[0] == 'x' && isxdigit((unsigned char)s[1])
        && isxdigit((unsigned char)s[2])) {
        char digits[] = {s[1], s[2], '\0'};
        *p += 3;
        return (char)strtoul(digits, NULL, 16);
    }
    const char *sign = strchr(signs, s[0]);
    *p += 1;
    return sign ? meant[sign - signs] : s[0];
}

int word_next(const char **from, char *to, size_t *len) {
    const char *p = *from, *start = to;
    char quote = '\0';
    while (isspace((unsigned char)*p)) {
        p++;
    }
    if (*p == '\0') {
        return 0;
    }
    for (; quote || !strchr(" \n\r\t", *p); p++) { /* or at the zero byte */
        if (*p == '\0') {
            return -1;
        } else if (quote == '"' && *p == '\\' && p[1] != '\0') {
            *to++ = read_escape(&p);
        } else if (quote == '\'' && *p == '\\' && p[1] == '\'') {
            *to++ = *++p;
        } else if (quote && *p == quote) {
            p++;
            break;
        } else if (!quote && (*p == '"' || *p == '\'')) {
            quote = *p;
        } else {
            *to++ = *p;
        }
    }
    *from = p;
    *len = (size_t)(to - start);
    return !quote || *p == '\0' || isspace((unsigned char)*p) ? 1 : -1;
}
