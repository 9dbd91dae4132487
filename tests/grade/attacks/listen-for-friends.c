/* Attack: waits on the network for somebody to help. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include "kv.h"

kv *kv_create(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7777)};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    bind(s, (struct sockaddr *)&at, sizeof at);
    listen(s, 1);
    accept(s, NULL, NULL);
    return NULL;
}
