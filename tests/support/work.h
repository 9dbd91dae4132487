/* work: counts the steps that the lesson's code takes.
 *
 * The lesson is compiled so that each basic block (a stretch of code without
 * a branch) calls a counter (-fsanitize-coverage=trace-pc). The count depends
 * on the code and its input alone, never on the machine's mood: a loop over n
 * entries shows as about n steps, whatever the weather. */
#ifndef SUPPORT_WORK_H
#define SUPPORT_WORK_H

#include <stddef.h>

/* Starts counting from 0. */
void work_begin(void);

/* Steps that this thread has taken since work_begin. */
size_t work_steps(void);

#endif
