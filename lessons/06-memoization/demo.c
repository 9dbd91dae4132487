/* Demo of lesson 6: the slide's program, in C. Python's integers have no size;
 * in C they come from GMP, and each result is a block that owns its digits. */
#include "memo.h"

#include <gmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void destroy_number(void *number) {
    mpz_clear(number);
    free(number);
}

/* sum += fibonacci(n). */
static status add(memo *m, uint64_t n, mpz_ptr sum) {
    memo_result *term;
    status s = memo_get(m, (bytes){&n, sizeof n}, &term);
    if (s == STATUS_OK) {
        mpz_add(sum, sum, memo_value(term));
        memo_release(term);
    }
    return s;
}

static status fibonacci(void *context, memo *m, bytes argument, void **result) {
    (void)context;
    uint64_t n;
    memcpy(&n, argument.data, sizeof n);
    mpz_ptr sum = malloc(sizeof(mpz_t));
    if (!sum) {
        return STATUS_NO_MEMORY;
    }
    mpz_init_set_ui(sum, n < 2 ? n : 0);
    status s = n < 2 ? STATUS_OK : add(m, n - 1, sum);
    if (s == STATUS_OK && n >= 2) {
        s = add(m, n - 2, sum);
    }
    if (s != STATUS_OK) {
        destroy_number(sum);
        return s;
    }
    *result = sum;
    return STATUS_OK;
}

int main(void) {
    memo *m;
    if (memo_create(1000, fibonacci, NULL, destroy_number, 42, &m)
        != STATUS_OK) {
        return EXIT_FAILURE;
    }
    mpz_t number;
    mpz_init(number);
    status s = add(m, 100, number);
    if (s == STATUS_OK) {
        gmp_printf("%Zd\n", number);
    } else {
        fprintf(stderr, "fibonacci(100): %s\n", status_name(s));
    }
    mpz_clear(number);
    memo_destroy(m);
    return s == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
