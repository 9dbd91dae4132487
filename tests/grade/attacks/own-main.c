/* Attack: brings a main of its own. */
#include "kv.h"

int main(void) {
    return 0;
}
