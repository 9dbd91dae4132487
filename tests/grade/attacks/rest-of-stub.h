/* What stands before an attack on a lesson other than 1: every function that
 * the attack leaves out is the stub's, and attacks when it is called.
 * tests/grade/prove.py puts the stub behind this, and the attack behind that.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/todo.h"

static void attack(void);

#undef TODO
#define TODO(step)                              \
    do {                                        \
        attack();                               \
        todo_reached(step, __FILE__, __LINE__); \
    } while (0)
