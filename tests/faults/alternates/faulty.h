/* Faults that student code has, for the proof that the tests name them. */
#ifndef FAULTS_FAULTY_H
#define FAULTS_FAULTY_H

#include <stddef.h>

void *faulty_leak(void);
int faulty_read_null(void);
int faulty_loop(int go_on);
void faulty_exit(void);
size_t faulty_recurse(size_t depth);
void faulty_todo(void);
size_t faulty_scan(size_t n);
char faulty_use_after_free(void);
void faulty_overflow(void);
void faulty_double_free(void);

#endif
