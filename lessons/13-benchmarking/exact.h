/* exact: arithmetic that gives the same on every machine.
 *
 * C does not say how exact pow, log and exp are, and their results differ in
 * the last bits from one C library to the next, even from one processor to the
 * next. A weight that differs in its last bit may turn one key of a million
 * into its neighbour. So these functions work in whole numbers: they are given,
 * and there is nothing in them to write.
 *
 * A fraction is a whole number of 2^-32, called a unit below. */
#ifndef LESSON_EXACT_H
#define LESSON_EXACT_H

#include <stdint.h>

#define EXACT_ONE ((uint64_t)1 << 32)
#define EXACT_LN2 UINT64_C(2977044472) /* ln 2, in units */

/* The natural logarithm of n, 1 to 2^31, in units.
 * n = 2^whole * m with 1 <= m < 2, and ln m = 2 (z + z^3 / 3 + z^5 / 5 + ...)
 * for z = (m - 1) / (m + 1), which is less than a third: the terms are 0 after
 * a dozen. */
static inline uint64_t exact_ln(uint64_t n) {
    uint64_t power = 1;
    uint64_t sum = 0;
    for (; 2 * power <= n; power *= 2) {
        sum += EXACT_LN2;
    }
    uint64_t z = ((n - power) << 32) / (n + power);
    uint64_t square = z * z >> 32;
    for (uint64_t k = 1, term = z; term != 0; k += 2) {
        sum += 2 * term / k;
        term = term * square >> 32;
    }
    return sum;
}

/* e^-t for t units, 0 <= t < EXACT_LN2, in units: 1 - t + t^2/2! - t^3/3! ...
 */
static inline uint64_t exact_exp(uint64_t t) {
    uint64_t sum = EXACT_ONE;
    for (uint64_t k = 1, term = t; term != 0; k++) {
        sum += k % 2 ? -term : term; /* unsigned: the whole stays positive */
        term = (term * t >> 32) / (k + 1);
    }
    return sum;
}

/* 2^bits / n^(percent / 100), rounded down; off by less than one part in 10^7
 * and one. n: 1 to 2^31; percent: at most 1000; bits: 32 to 63. */
static inline uint64_t exact_power(uint64_t n, unsigned percent,
                                   unsigned bits) {
    uint64_t t = exact_ln(n) * percent / 100;
    uint64_t halvings = t / EXACT_LN2;
    uint64_t fraction = exact_exp(t % EXACT_LN2);
    if (halvings > bits) {
        return 0;
    }
    return halvings <= bits - 32 ? fraction << (bits - 32 - halvings)
                                 : fraction >> (halvings - (bits - 32));
}

/* x * n / 2^64, rounded down: of a line of length n the point (x / 2^64) of
 * the way. The product of two numbers of 64 bits has 128, so it is done in
 * halves, as on paper. */
static inline uint64_t exact_scale(uint64_t x, uint64_t n) {
    uint64_t x_low = (uint32_t)x;
    uint64_t n_low = (uint32_t)n;
    uint64_t middle = (x >> 32) * n_low + (x_low * n_low >> 32);
    uint64_t other = x_low * (n >> 32) + (uint32_t)middle;
    return (x >> 32) * (n >> 32) + (middle >> 32) + (other >> 32);
}

#endif
