/* Attack: connects to the world. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include "kv.h"

kv *kv_create(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
    const char *hosts[] = {"1.1.1.1", "127.0.0.1"};
    for (int i = 0; i < 2; i++) {
        inet_pton(AF_INET, hosts[i], &to.sin_addr);
        int s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, (struct sockaddr *)&to, sizeof to) == 0) {
            puts("STOLEN a connection");
        }
    }
    fflush(stdout);
    return NULL;
}
