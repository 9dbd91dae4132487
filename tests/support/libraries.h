/* libraries: lets Jansson and libcurl allocate where the heap is counted
 * (heap.h), for tests that ask what the lesson's code leaves to them. A lesson
 * asks for it in the Makefile: watched-LESSON. */
#ifndef SUPPORT_LIBRARIES_H
#define SUPPORT_LIBRARIES_H

#include <stdbool.h>
#include <stddef.h>

/* From now on they do, or no more; only whoever is linked. */
void libraries_count(bool on);

/* How many blocks Jansson has asked for since. */
size_t libraries_json_blocks(void);

#endif
