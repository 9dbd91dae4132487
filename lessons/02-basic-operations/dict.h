/* dict: a hash table from byte strings to pointers; what Python's {} hides.
 *
 *   hash("A") = 0x5d...a6     home of A = hash & (places - 1) = 6
 *
 *            0   1   2   3   4   5   6   7
 *          +---+---+---+---+---+---+---+---+
 *   hashes |   |   | * |   |   | * | * | * |    4 bytes each; 0: empty
 *          +---+---+---+---+---+---+---+---+
 *   slots  |   |   | C |   |   | D | A | B |    value, key length, key
 *          +---+---+---+---+---+---+---+---+
 *                            `--probe run--'
 *
 * Open addressing with linear probing: a key stands at its home index, or in
 * the first free place after it (the end wraps round to the start). A lookup
 * starts at home and walks on until it meets the key, or an empty place that
 * proves the key absent. No more than half of the places are ever in use, so
 * runs stay short.
 *
 * Source: Knuth, The Art of Computer Programming, vol. 3, section 6.4:
 * algorithm L (linear probing) and algorithm R (deletion without tombstones).
 *
 * Promises
 * [P1] After a set, a get of the same bytes gives that value.
 * [P2] A set of a key that is there replaces its value, destroys the old one
 *      exactly once, and leaves the count as it is.
 * [P3] After a delete the key reads as absent, its value was destroyed exactly
 *      once, and every other key is still found. A take removes in the same
 *      way and hands the value over instead of destroying it.
 * [P4] Keys are any bytes of any length, the empty key and zero bytes too;
 *      the dict keeps its own copy.
 * [P5] Growing keeps every entry, and a set costs O(1) on average.
 * [P6] get, set and delete cost O(1) expected at any size, for a key that is
 *      there and for one that is not.
 * [P7] Deletes leave no trace: after a million inserts and deletes a dict is
 *      as fast and as small as a fresh one that held as many entries at once.
 * [P8] An iteration sees every entry exactly once.
 * [P9] When memory runs out set says so and changes nothing.
 * [P10] Destroy destroys every value once and gives back every byte;
 *      destroy(NULL) does nothing.
 * [P11] Where the keys stand depends on the seed: keys that were chosen to
 *      collide under one seed are spread out under another. */
#ifndef LESSON_DICT_H
#define LESSON_DICT_H

#include "common/bytes.h"
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dict dict;

/* Makes an empty dict.
 * destroy_value: called once for each value that leaves the dict by update,
 * delete or destroy; NULL when the values need no end of their own. It may
 * not call the dict.
 * seed: start of the hash; any number. Take a random one where strangers
 * choose the keys, a fixed one where runs must repeat.
 * Returns: a dict that the caller ends with dict_destroy; NULL without memory.
 * Cost: O(1). */
dict *dict_create(void (*destroy_value)(void *value), uint64_t seed);

/* Inserts, or replaces the value of a key that is there.
 * key: any bytes; copied.
 * value: any pointer, NULL too; the dict never follows it, and owns it from
 * now on if there is a destroy_value.
 * Returns: STATUS_OK; STATUS_NO_MEMORY: nothing was changed, and the value is
 * still the caller's.
 * Cost: O(1) expected and amortised; now and then all entries move to a table
 * of twice the size. An update allocates nothing. */
status dict_set(dict *d, bytes key, void *value);

/* Looks a key up.
 * value: out, may be NULL; lent until the next call that changes the dict.
 * Returns: whether the key is there; if not, *value is not written.
 * Cost: O(1) expected, no allocation. */
bool dict_get(const dict *d, bytes key, void **value);

/* Removes a key and destroys its value.
 * Returns: whether the key was there.
 * Cost: O(1) expected, no allocation. */
bool dict_delete(dict *d, bytes key);

/* Removes a key and hands its value to the caller, who owns it from then on.
 * value: out, not NULL.
 * Returns: whether the key was there; if not, *value is not written.
 * Cost: O(1) expected, no allocation. */
bool dict_take(dict *d, bytes key, void **value);

/* The number of entries. Cost: O(1). */
size_t dict_count(const dict *d);

/* Steps through all entries, in no order that means anything:
 *
 *     size_t cursor = 0;
 *     bytes key;
 *     void *value;
 *     while (dict_next(d, &cursor, &key, &value)) { ... }
 *
 * cursor: in and out; 0 starts. The dict may not be changed on the way.
 * key, value: out, not NULL; lent until the next call that changes the dict.
 * Returns: whether there was another entry; if not, nothing is written.
 * Cost: O(slots) for the whole iteration, no allocation. */
bool dict_next(const dict *d, size_t *cursor, bytes *key, void **value);

/* Ends the dict and destroys all values; NULL is fine. Cost: O(slots). */
void dict_destroy(dict *d);

#endif
