/* S3-FIFO: a small queue, a main queue, and the ghosts of the small one. */
#include "policy_inside.h"

#include "common/todo.h"

enum { MOST_USES = 3 };

bool s3_fifo_request(policy *p, uint32_t object) {
    TODO("15a.6: a small queue, a main queue, and the ghosts of the small one");
}
