/* What a student's code may do to a test. */
#ifndef UNTIDY_H
#define UNTIDY_H

int untidy_crash(void);
int untidy_loop(int go_on);
void untidy_exit(void);

#endif
