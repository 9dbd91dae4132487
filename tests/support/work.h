/* work: counts the steps that the lesson's code takes.
 *
 * The lesson is compiled so that each basic block (a stretch of code without
 * a branch) calls a counter (-fsanitize-coverage=trace-pc). The count depends
 * on the code and its input alone, never on the machine's mood: a loop over n
 * entries shows as about n steps, whatever the weather. */
#ifndef SUPPORT_WORK_H
#define SUPPORT_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Starts counting from 0. */
void work_begin(void);

/* Steps that this thread has taken since work_begin. */
size_t work_steps(void);

/* Whether the system says that a thread, which is in a call of the lesson's
 * code, waits for something.
 * thread: its number, as gettid gives it. */
bool work_waits(pid_t thread);

/* The process in which the lesson's code runs: this one. */
pid_t work_process(void);

/* How many files and sockets the process of the lesson's code has open; a
 * number to be compared with another one. */
size_t work_open_files(void);

#endif
