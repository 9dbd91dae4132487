/* Abseil's flat_hash_map as a peer of the bench of lesson 14: C++, so it has a
 * file of its own behind four functions that C can call. */
#include <absl/container/flat_hash_map.h>

#include <cstring>
#include <string>

using map = absl::flat_hash_map<std::string, std::string>;

extern "C" {
void *absl_create(void);
void absl_set(void *m, const char *key, size_t key_len, const char *value,
              size_t value_len);
size_t absl_get(void *m, const char *key, size_t key_len, char *value);
void absl_destroy(void *m);
}

void *absl_create(void) {
    return new map;
}

void absl_set(void *m, const char *key, size_t key_len, const char *value,
              size_t value_len) {
    (*static_cast<map *>(m))[absl::string_view(key, key_len)].assign(value,
                                                                     value_len);
}

size_t absl_get(void *m, const char *key, size_t key_len, char *value) {
    const map &from = *static_cast<map *>(m);
    auto found = from.find(absl::string_view(key, key_len));
    if (found == from.end()) {
        return 0;
    }
    std::memcpy(value, found->second.data(), found->second.size());
    return found->second.size();
}

void absl_destroy(void *m) {
    delete static_cast<map *>(m);
}
