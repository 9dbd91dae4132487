/* Tests of the cluster client. Most have their nodes played by a script, which
 * starts at once and goes wrong when told to; three have a real cluster, which
 * takes seconds to start. Nobody sleeps: what the client calls to pause is a
 * function of the test. */
#include "cluster.h"

#include "support/check.h"
#include "support/cluster.h"
#include "support/heap.h"
#include "support/model.h"
#include "support/script.h"
#include "support/work.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAUSES = 64, SHORT_MS = 150, SEEDS_SIZE = 256 };

/* Keys of the scripted nodes: each node owns a third of the slots. */
#define OF_0 "b" /* slot 3300 */
#define OF_1 "c" /* slot 7365 */
#define OF_2 "a" /* slot 15495 */

/* -- what the tests have in common ---------------------------------------- */

/* The pauses of one client, and what happens in them. */
struct pauses {
    int64_t ms[PAUSES];
    size_t count;
    void (*meanwhile)(struct pauses *p);
    void *context; /* of meanwhile */
};

static void note_pause(void *context, int64_t ms) {
    struct pauses *p = context;
    if (p->count < PAUSES) {
        p->ms[p->count] = ms;
    }
    p->count++;
    if (p->meanwhile) {
        p->meanwhile(p);
    }
}

static cluster_options pausing(struct pauses *p) {
    return (cluster_options){
        .timeout_ms = 5000, .pause = note_pause, .context = p};
}

/* A client that never pauses. */
static cluster_options hasty(void) {
    return (cluster_options){.timeout_ms = 5000, .retries = -1};
}

static cluster *join(const char *seeds, cluster_options options) {
    cluster *c = NULL;
    want_status(
        cluster_create(seeds, options, &c), STATUS_OK,
        text("cluster_create(\"%s\", ...)", seeds),
        "one of these nodes answers CLUSTER SLOTS, so create must succeed");
    want_true(c != NULL, "cluster_create(...): look at *out",
              "create says ok and does not write the cluster to *out");
    return c;
}

static script *nodes(void) {
    signal(SIGPIPE, SIG_IGN);
    return script_start();
}

static cluster *client(const script *s, cluster_options options) {
    return join(script_address(s, 0), options);
}

static const char *words(bytes b) {
    return text("%.*s", (int)b.len, b.len ? (const char *)b.data : "");
}

/* Any bytes, for a page: as in C, but the end of a line as a blank. */
static const char *shown(bytes b) {
    static char line[512];
    const unsigned char *at = b.data;
    size_t n = 0;
    for (size_t i = 0; i < b.len && n + 5 < sizeof line; i++) {
        bool ends = at[i] == '\r' && i + 1 < b.len && at[i + 1] == '\n';
        unsigned char c = ends ? ' ' : at[i];
        i += ends;
        n += (size_t)snprintf(line + n, sizeof line - n,
                              c >= ' ' && c <= '~' ? "%c" : "\\x%02x", c);
    }
    line[n] = '\0';
    return line;
}

static void want_value(cluster *c, const char *key, const char *value,
                       const char *did, const char *likely) {
    bytes got = {NULL, 0};
    status s = cluster_get(c, bytes_of(key), &got);
    want_status(s, STATUS_OK, text("%s (%s)", did, cluster_error(c)), likely);
    want_text(words(got), value, did, likely);
}

static void want_heard(const script *s, unsigned node, const char *commands,
                       const char *did, const char *likely) {
    want_text(script_heard(s, node), commands,
              text("%s; what node %u has heard", did, node), likely);
}

/* --- 15b.1: slots -------------------------------------------------------- */

static void want_slot(bytes key, unsigned slot, const char *likely) {
    want_int(cluster_slot(key), slot, text("cluster_slot(\"%s\")", shown(key)),
             likely);
}

TEST(known_keys_have_known_slots, "P1", "15b.1") {
    const char *likely = "the polynomial is 0x1021, the first bit of a byte is "
                         "the highest, and the sum starts at 0; then take it "
                         "modulo 16,384";
    want_slot(bytes_of("123456789"), 12739, likely);
    want_slot(bytes_of("foo"), 12182, likely);
    want_slot(bytes_of("bar"), 5061, likely);
    want_slot(bytes_of("hello"), 866, likely);
    want_slot((bytes){NULL, 0}, 0, "no bytes at all leave the sum at 0");
    want_slot((bytes){"a\0b", 3}, 8383, "a key does not end at a zero byte");
}

TEST(only_what_is_in_braces_counts, "P1", "15b.1") {
    static const struct {
        const char *key, *hashed, *likely;
    } cases[] = {
        {"user:{42}:name", "42", "what is between the braces is hashed"},
        {"{user1000}.following", "user1000", "the tag may be at the start"},
        {"foo{{bar}}zap", "{bar", "the first { and the first } after it"},
        {"foo{bar}{zap}", "bar", "only the first tag counts"},
        {"}foo{bar}", "bar", "a } before the first { means nothing"},
        {"foo{}{bar}", "foo{}{bar}",
         "with nothing in the first braces the whole key counts, whatever "
         "comes behind"},
        {"foo{bar", "foo{bar", "a { alone means nothing"},
        {"bar{", "bar{", "a { at the end means nothing"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bytes all = bytes_of(cases[i].key), part = bytes_of(cases[i].hashed);
        if (all.len == part.len) {
            static const unsigned whole[] = {8363, 15278, 14630};
            want_slot(all, whole[i - 5], cases[i].likely);
        } else {
            want_slot(all, cluster_slot(part), cases[i].likely);
        }
    }
    want_slot((bytes){"x{42}", 4}, cluster_slot((bytes){"x{42", 4}),
              "read no further than the key's length");
}

/* Few letters, so that braces are frequent. */
static bytes random_key(uint64_t *random, char *key) {
    static const char letters[] = {'{', '}', 'a', 'b', '\0', '\r', '\xff', '7'};
    size_t len = test_random(random) % 24;
    for (size_t i = 0; i < len; i++) {
        key[i] = letters[test_random(random) % sizeof letters];
    }
    return (bytes){key, len};
}

TEST(slots_are_those_that_redis_computes, "P1", "15b.1") {
    uint64_t random = test_seed();
    redis_cluster *rc = redis_cluster_start_one();
    for (size_t i = 0; i < test_scale(3000, 100); i++) {
        char key[24];
        bytes k = random_key(&random, key);
        unsigned slot = cluster_slot(k);
        long long by_redis =
            redis_cluster_ask(rc, 0, "CLUSTER KEYSLOT %b", k.data, k.len);
        want_int(slot, by_redis,
                 text("cluster_slot of the key \"%s\", beside CLUSTER KEYSLOT",
                      shown(k)),
                 "sum or tag differ; keys are any bytes");
    }
    redis_cluster_stop(rc);
}

/* --- 15b.2: create and destroy ------------------------------------------- */

TEST(any_seed_that_has_a_map_will_do, "P2", "15b.2") {
    script *s = nodes();
    size_t before = work_open_files();
    char seeds[SEEDS_SIZE];
    snprintf(seeds, sizeof seeds, "127.0.0.1:1,%s,%s", script_address(s, 1),
             script_address(s, 2));
    cluster *c = join(seeds, hasty());
    want_int(script_maps(s, 1), 1,
             "create with three seeds, of which nobody listens at the first: "
             "how often the second was asked for the map",
             "the seeds are tried in order, until one has a map");
    want_int(script_maps(s, 0) + script_maps(s, 2), 0,
             "the same: how often another one was asked", "one map is enough");
    want_int(cluster_statistics(c).maps, 1, "the same: the count of maps",
             "count each map that was read");
    want_int(cluster_statistics(c).commands, 0, "the same: commands",
             "asking for the map is no command of the caller's");
    cluster_destroy(c);
    cluster_destroy(NULL);
    want_int(work_open_files(), before,
             "create, destroy: how many files are open, against before",
             "destroy, and a failed attempt, must close the connection");
    script_stop(s);
}

TEST(bad_seeds_are_refused, "P12", "15b.2") {
    static char untouched;
    static const char *const bad[] = {
        "",      ",",     "host",       ":7000",         "host:",
        "h:0",   "h:-1",  "h:65536",    "h:70x",         "h: 70",
        "h:70,", ",h:70", "h:70,,h:71", "h:70,elsewhere"};
    cluster *c = (cluster *)&untouched;
    want_status(cluster_create(NULL, hasty(), &c), STATUS_INVALID,
                "cluster_create(NULL, ...)", "somebody must be named");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        want_status(cluster_create(bad[i], hasty(), &c), STATUS_INVALID,
                    text("cluster_create(\"%s\", ...)", bad[i]),
                    "each seed is a host, a colon, and a port from 1 to "
                    "65535; nobody need be asked to see that");
    }
    want_pointer(c, &untouched, "all these: look at *out",
                 "out-parameters are written only on success");
}

TEST(a_negative_timeout_is_refused, "P12", "15b.2") {
    cluster *c = NULL;
    want_status(
        cluster_create("127.0.0.1:1", (cluster_options){.timeout_ms = -1}, &c),
        STATUS_INVALID, "cluster_create with a timeout of -1 ms",
        "a time is not negative");
}

static const char *const no_maps[] = {
    "-ERR This instance has cluster support disabled\r\n",
    "*0\r\n",
    "+OK\r\n",
    "$-1\r\n",
    "*1\r\n:1\r\n",
    "*1\r\n*2\r\n:0\r\n:16383\r\n",
    "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\nh\r\n:7000\r\n",
    "*1\r\n*3\r\n:-1\r\n:16383\r\n*2\r\n$1\r\nh\r\n:7000\r\n",
    "*1\r\n*3\r\n$1\r\n0\r\n:16383\r\n*2\r\n$1\r\nh\r\n:7000\r\n",
    "*1\r\n*3\r\n:0\r\n:16383\r\n:7000\r\n",
    "*1\r\n*3\r\n:0\r\n:16383\r\n*1\r\n$1\r\nh\r\n",
    "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$1\r\nh\r\n:0\r\n",
    "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$1\r\nh\r\n:65536\r\n",
    "?what\r\n"};

TEST(what_cannot_be_read_is_no_map, "P14", "15b.2") {
    static char untouched;
    script *s = nodes();
    for (size_t i = 0; i < sizeof no_maps / sizeof no_maps[0]; i++) {
        cluster *c = (cluster *)&untouched;
        script_map(s, no_maps[i]);
        want_status(cluster_create(script_address(s, 0), hasty(), &c),
                    STATUS_BACKEND,
                    text("create; the node answers CLUSTER SLOTS by %s",
                         shown(bytes_of(no_maps[i]))),
                    "look at the type of each part of the answer, and at its "
                    "range");
        want_pointer(c, &untouched, "the same: look at *out",
                     "out-parameters are written only on success");
    }
    script_stop(s);
}

static void try_to_create(void *context) {
    static char untouched;
    cluster *c = (cluster *)&untouched;
    status s = cluster_create(context, hasty(), &c);
    want_that(s == STATUS_OK || (s == STATUS_NO_MEMORY && heap_has_failed()),
              "create while an allocation fails\nwanted  no memory, or ok by "
              "another node's map\ngot     %s\nlikely  look at every result "
              "of malloc and realloc, and let the caller know",
              status_name(s));
    if (s == STATUS_OK) {
        cluster_destroy(c);
    } else {
        want_pointer(c, &untouched, "the same: look at *out",
                     "out-parameters are written only on success");
    }
}

TEST(without_memory_create_says_so, "P13", "15b.2") {
    script *s = nodes();
    char seed[SEEDS_SIZE];
    snprintf(seed, sizeof seed, "%s", script_address(s, 0));
    size_t before = work_open_files(),
           failed = heap_fail_each(try_to_create, seed);
    want_that(failed > 0, "create, count allocations\nwanted  some\ngot     "
                          "none\nlikely  where does the cluster live?");
    want_int(work_open_files(), before, "the same: open files, against before",
             "a create that fails must close what it has opened");
    script_stop(s);
}

/* --- 15b.3: to the owner ------------------------------------------------- */

TEST(a_command_goes_straight_to_the_owner, "P3", "15b.3") {
    script *s = nodes();
    cluster *c = client(s, hasty());
    want_value(c, OF_1, OF_1, "get a key of node 1", "ask its owner");
    want_status(cluster_set(c, bytes_of(OF_2), bytes_of("v")), STATUS_OK,
                "set a key of node 2", "ask its owner");
    want_status(cluster_delete(c, bytes_of(OF_0)), STATUS_OK,
                "delete a key of node 0", "ask its owner");
    want_value(c, "{" OF_1 "}x", "{" OF_1 "}x", "get a key with a tag",
               "the tag says who owns it, and the whole key is asked for");
    const char *likely = "compute the slot, look into the map, and ask that "
                         "node and nobody else";
    want_heard(s, 0, "DEL " OF_0, "get, set, delete, get", likely);
    want_heard(s, 1, "GET " OF_1 ", GET {" OF_1 "}x", "get, set, delete, get",
               likely);
    want_heard(s, 2, "SET " OF_2 " v", "get, set, delete, get", likely);
    want_int(cluster_statistics(c).commands, 4, "the same: commands counted",
             "one for each call");
    cluster_destroy(c);
    script_stop(s);
}

TEST(a_map_need_not_name_its_own_node, "P2", "15b.3") {
    static const char *const no_host[] = {"$-1\r\n", "$0\r\n\r\n"};
    script *s = nodes();
    const char *port = strchr(script_address(s, 1), ':');
    for (size_t i = 0; i < 2; i++) {
        char map[96];
        snprintf(map, sizeof map, "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n%s%s\r\n",
                 no_host[i], port);
        script_map(s, map);
        cluster *c = join(script_address(s, 1), hasty());
        want_value(c, OF_0, OF_0,
                   text("create; the map has all slots, and for a host %s; get",
                        i ? "\"\"" : "nil"),
                   "no host, or an empty one, is that of the node which was "
                   "asked for the map");
        cluster_destroy(c);
    }
    script_stop(s);
}

TEST(a_miss_is_an_answer, "P6", "15b.3") {
    script *s = nodes();
    struct pauses p = {.count = 0};
    cluster *c = client(s, pausing(&p));
    bytes value;
    script_say(s, 0, "$-1\r\n");
    want_status(cluster_get(c, bytes_of(OF_0), &value), STATUS_MISS,
                "get; the node says nil", "nil is a miss, and no failure");
    script_say(s, 0, ":0\r\n");
    want_status(cluster_delete(c, bytes_of(OF_0)), STATUS_MISS,
                "delete; the node says 0", "0 keys were removed: a miss");
    want_int(script_commands(s, 0), 2, "the same: commands that the node heard",
             "an answer is final: it is not asked for again");
    cluster_destroy(c);
    script_stop(s);
}

TEST(what_was_not_asked_for_is_no_value, "P6", "15b.3") {
    static const char *const others[] = {":7\r\n", "+OK\r\n", "*1\r\n:1\r\n"};
    script *s = nodes();
    cluster *c = client(s, hasty());
    bytes value = bytes_of("untouched");
    for (size_t i = 0; i < 3; i++) {
        script_say(s, 0, others[i]);
        want_status(
            cluster_get(c, bytes_of(OF_0), &value), STATUS_BACKEND,
            text("get; the node answers by %s", shown(bytes_of(others[i]))),
            "a get has a string or nil for an answer: look at the "
            "reply's type before its str");
    }
    want_text(value.data, "untouched", "all these: look at *value",
              "out-parameters are written only on success");
    cluster_destroy(c);
    script_stop(s);
}

TEST(an_answer_is_an_answer, "P6", "15b.3") {
    script *s = nodes();
    struct pauses p = {.count = 0};
    cluster *c = client(s, pausing(&p));
    bytes value = bytes_of("untouched");
    script_say(s, 0, "$0\r\n\r\n");
    want_value(c, OF_0, "", "get; the node says a value of no bytes",
               "an empty value is a value");
    script_say(s, 0, "-WRONGTYPE Operation against a key holding\r\n");
    want_status(cluster_get(c, bytes_of(OF_0), &value), STATUS_INVALID,
                "get; the node says WRONGTYPE", "the key holds a list, say");
    script_say(s, 0, "-OOM command not allowed\r\n");
    want_status(cluster_set(c, bytes_of(OF_0), value), STATUS_BACKEND,
                "set; the node says OOM", "an error is not OK");
    want_true(strstr(cluster_error(c), "OOM") != NULL,
              "the same; cluster_error holds what the node said",
              "people want to know why");
    want_text(value.data, "untouched", "all these: look at *value",
              "out-parameters are written only on success");
    want_int(script_commands(s, 0), 3, "the same: commands that the node heard",
             "an answer is final: it is not asked for again");
    want_int(p.count, 0, "the same: pauses", "there was nothing to wait for");
    cluster_destroy(c);
    script_stop(s);
}

/* --- 15b.4: redirects ---------------------------------------------------- */

/* "MOVED 7365 127.0.0.1:12345", in a buffer of its own. */
static const char *redirect(const char *verb, const char *key,
                            const char *address) {
    static char line[128];
    snprintf(line, sizeof line, "-%s %u %s\r\n", verb,
             cluster_slot(bytes_of(key)), address);
    return line;
}

TEST(a_moved_slot_costs_one_redirect_and_then_none, "P4", "15b.4") {
    script *s = nodes();
    cluster *c = client(s, hasty());
    script_say(s, 1, redirect("MOVED", OF_1, script_address(s, 2)));
    want_value(c, OF_1, OF_1, "get; the owner says MOVED to node 2",
               "ask again where MOVED points");
    want_value(c, OF_1, OF_1, "the same get again", "node 2 has it");
    want_status(cluster_set(c, bytes_of(OF_1), bytes_of("v")), STATUS_OK,
                "a set of that key", "node 2 has it");
    want_heard(s, 1, "GET " OF_1, "get (MOVED), get, set",
               "the map must learn where the slot is now");
    want_heard(s, 2, "GET " OF_1 ", GET " OF_1 ", SET " OF_1 " v",
               "get (MOVED), get, set", "no ASKING after a MOVED");
    want_int(cluster_statistics(c).moved, 1, "the same: moved, as counted",
             "count each MOVED that was followed");
    want_value(c, "g", "g", "get another key of node 1, in another slot",
               "only the slot of the redirect has moved");
    want_int(script_commands(s, 1), 2, "the same: commands that node 1 heard",
             "only the slot of the redirect has moved");
    cluster_destroy(c);
    script_stop(s);
}

TEST(a_redirect_may_lead_to_a_stranger_or_name_no_host, "P4", "15b.4") {
    script *s = nodes();
    script_map(s, script_thirds(s, 0, 0, 0));
    cluster *c = client(s, hasty());
    script_say(s, 0, redirect("MOVED", OF_1, script_address(s, 2)));
    want_value(c, OF_1, OF_1, "get; MOVED to a node that no map has told us of",
               "a redirect may name a new node: add it");
    script_say(s, 0,
               redirect("MOVED", OF_2, strchr(script_address(s, 1), ':')));
    want_value(c, OF_2, OF_2, "get; MOVED to \":port\", without a host",
               "the host is then that of the node that says so");
    script_say(s, 0, redirect("MOVED", OF_0, script_address(s, 1)));
    script_say(s, 1, redirect("MOVED", OF_0, script_address(s, 2)));
    want_value(c, OF_0, OF_0, "get; MOVED to node 1, which says MOVED to 2",
               "a slot may have moved twice: follow each redirect");
    cluster_destroy(c);
    script_stop(s);
}

TEST(an_ask_is_followed_this_once, "P5", "15b.4") {
    script *s = nodes();
    cluster *c = client(s, hasty());
    script_say(s, 1, redirect("ASK", OF_1, script_address(s, 2)));
    want_value(c, OF_1, OF_1, "get; the owner says ASK node 2",
               "ask there, with ASKING before; its answer is not ours");
    want_heard(s, 2, "ASKING, GET " OF_1, "get (ASK)",
               "the importing node answers only what comes right behind an "
               "ASKING");
    want_value(c, OF_1, OF_1, "the same get again", "the owner has it");
    want_heard(s, 1, "GET " OF_1 ", GET " OF_1, "get (ASK), get",
               "ASK is for this command only: the map must not learn it");
    want_heard(s, 2, "ASKING, GET " OF_1, "get (ASK), get",
               "ASK is for this command only");
    cluster_stats counted = cluster_statistics(c);
    want_int(counted.asked, 1, "the same: asks, as counted",
             "count each ASK that was followed");
    want_int(counted.commands, 3, "the same: commands, as counted",
             "ASKING is no command of the caller's");
    script_say(s, 1, redirect("ASK", OF_1, script_address(s, 2)));
    script_say(s, 2, redirect("MOVED", OF_1, script_address(s, 0)));
    want_value(c, OF_1, OF_1, "get; ASK node 2, which says MOVED to node 0",
               "after a MOVED no more ASKING");
    want_heard(s, 0, "GET " OF_1, "get (ASK, then MOVED)",
               "ASKING is for the node that ASK named");
    cluster_destroy(c);
    script_stop(s);
}

TEST(redirects_that_lead_nowhere_end, "P11", "15b.4") {
    script *s = nodes();
    cluster *c = client(s, hasty());
    bytes value;
    script_always(s, 0, redirect("MOVED", OF_0, script_address(s, 1)));
    script_always(s, 1, redirect("MOVED", OF_0, script_address(s, 0)));
    want_status(cluster_get(c, bytes_of(OF_0), &value), STATUS_BACKEND,
                "get; node 0 says MOVED to 1, node 1 says MOVED to 0",
                "count the redirects, and give up");
    want_at_most(cluster_statistics(c).commands, 50,
                 "the same: commands, as counted",
                 "some 16 redirects are more than enough");
    cluster_destroy(c);
    script_stop(s);
}

TEST(only_a_redirect_of_its_own_slot_is_followed, "P11", "15b.4") {
    script *s = nodes();
    cluster *c = client(s, hasty());
    bytes value;
    static const char *const nowhere[] = {
        "MOVED",          "MOVED 3300",         "MOVED 3300 ",
        "MOVED 3300 h",   "MOVED 3300 h:",      "MOVED 3300 h:0",
        "MOVED 3300 h:x", "MOVED 3300 h:65536", "MOVED x %s",
        "MOVED 20000 %s", "MOVED 3301 %s",      "ASK 3300%s"};
    size_t count = sizeof nowhere / sizeof nowhere[0];
    unsigned first = script_commands(s, 0), second = script_commands(s, 1);
    for (size_t i = 0; i < count; i++) {
        char line[64], raw[80];
        snprintf(line, sizeof line, nowhere[i], script_address(s, 1));
        snprintf(raw, sizeof raw, "-%s\r\n", line);
        script_say(s, 0, raw);
        want_status(cluster_get(c, bytes_of(OF_0), &value), STATUS_BACKEND,
                    text("get a key of slot 3300; the node says %s", line),
                    "such a redirect is an error like any other");
        want_int(script_commands(s, 0) - first, i + 1,
                 text("get; the node says %s; what it has heard by then", line),
                 "what does not name this key's own slot and a good address "
                 "is not followed, and not asked again");
        want_int(script_commands(s, 1) - second, 0,
                 text("get; the node says %s; what node 1 has heard", line),
                 "what does not name this key's own slot is not followed");
    }
    cluster_destroy(c);
    script_stop(s);
}

TEST(without_memory_a_redirect_says_so, "P13", "15b.4") {
    script *s = nodes();
    script_map(s, script_thirds(s, 0, 0, 0));
    cluster *c = client(s, hasty());
    script_say(s, 0, redirect("MOVED", OF_1, script_address(s, 1)));
    heap_fail_at(1);
    bytes value;
    status got = cluster_get(c, bytes_of(OF_1), &value);
    bool failed = heap_has_failed();
    heap_fail_at(0);
    want_status(got, failed ? STATUS_NO_MEMORY : STATUS_OK,
                "get; MOVED to a node that is new, and there is no memory",
                "the new node cannot be noted: say so");
    want_value(c, OF_1, OF_1, "the same get, with memory",
               "the old map must still stand");
    cluster_destroy(c);
    script_stop(s);
}

/* Sets keys, and looks where each one lies. */
static void set_and_find(redis_cluster *rc, cluster *c, size_t n) {
    uint64_t random = test_seed();
    for (size_t i = 0; i < n; i++) {
        char key[32];
        bytes k = random_key(&random, key);
        want_status(cluster_set(c, k, k), STATUS_OK,
                    text("set key %zu of %zu: %s", i, n, cluster_error(c)),
                    "the owner of its slot takes it");
        unsigned owner = redis_cluster_owner(rc, cluster_slot(k));
        want_int(redis_cluster_ask(rc, owner, "EXISTS %b", k.data, k.len), 1,
                 "set a key, ask the owner of its slot whether it is there",
                 "the bytes were cut or changed on the way");
        bytes value = {NULL, 0};
        cluster_get(c, k, &value);
        want_bytes(value, k, "set a key of any bytes to itself, get it",
                   "words are sent with their lengths, not as text");
    }
    want_int(cluster_statistics(c).commands, 2 * n,
             text("%zu sets and gets: commands, as counted", n),
             "each goes to the right node at once");
}

TEST(real_nodes_agree_about_owners_and_moves, "P2", "15b.4") {
    signal(SIGPIPE, SIG_IGN);
    redis_cluster *rc = redis_cluster_start(3, 0);
    cluster *c = join(redis_cluster_address(rc, 0), hasty());
    cluster *other = join(redis_cluster_address(rc, 2), hasty());
    set_and_find(rc, c, test_scale(1000, 50));
    unsigned slot = cluster_slot(bytes_of("{x}")), to = 0;
    while (to == redis_cluster_owner(rc, slot)) {
        to++;
    }
    cluster_set(c, bytes_of("{x}old"), bytes_of("1"));
    want_value(other, "{x}old", "1", "set by one client, get by another one",
               "both ask the same owner");
    redis_cluster_begin_move(rc, slot, to);
    want_status(cluster_set(c, bytes_of("{x}new"), bytes_of("2")), STATUS_OK,
                "set a new key of a slot that is moving",
                "the owner says ASK; follow it with ASKING");
    want_value(c, "{x}new", "2", "then get it", "ASK again");
    want_value(c, "{x}old", "1", "get a key that has not moved yet",
               "the old owner still has it: ASK must not change the map");
    uint64_t moved = cluster_statistics(c).moved;
    want_int(moved, 0, "the same: MOVED, as counted", "it has not moved yet");
    redis_cluster_end_move(rc, slot);
    want_value(c, "{x}old", "1", "the slot has moved; get", "follow MOVED");
    want_value(c, "{x}new", "2", "the slot has moved; get", "it is there too");
    want_int(cluster_statistics(c).moved, 1,
             "the slot has moved; three gets: MOVED, as counted",
             "one redirect, and then none");
    cluster_destroy(c);
    cluster_destroy(other);
    redis_cluster_stop(rc);
}

/* --- 15b.5: trouble ------------------------------------------------------ */

TEST(what_will_pass_is_tried_again_after_growing_pauses, "P7", "15b.5") {
    static const int64_t growing[] = {10, 20, 40, 80, 160, 320, 500, 500};
    static const char *const passing[] = {
        "-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        "-CLUSTERDOWN The cluster is down\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n"};
    script *s = nodes();
    struct pauses p = {.count = 0};
    cluster *c = client(s, pausing(&p));
    for (size_t i = 0; i < 8; i++) {
        script_say(s, 0, passing[i % 3]);
    }
    want_status(cluster_set(c, bytes_of(OF_0), bytes_of("v")), STATUS_OK,
                "set; the node says TRYAGAIN, CLUSTERDOWN, LOADING, in turn, "
                "8 times, and then OK",
                "pause, and ask again; none of these has carried it out");
    want_int(p.count, 8, "the same: pauses", "one before each new attempt");
    for (size_t i = 0; i < 8; i++) {
        want_int(p.ms[i], growing[i], text("the same: pause %zu, ms", i + 1),
                 "the first is 10 ms, each next one twice as long, none longer "
                 "than 500");
    }
    cluster_stats counted = cluster_statistics(c);
    want_int(counted.maps, 9, "the same: maps that were read, with the first",
             "after a pause the slots may have other owners: ask for the map");
    want_int(counted.pauses, 8, "the same: pauses, as counted", "count them");
    cluster_destroy(c);
    script_stop(s);
}

TEST(it_gives_up_after_so_many_pauses, "P7", "15b.5") {
    static const int retries[] = {3, -1, 0};
    static const unsigned pauses[] = {3, 0, 16};
    script *s = nodes();
    script_always(s, 0, "-CLUSTERDOWN Hash slot not served\r\n");
    for (size_t i = 0; i < 3; i++) {
        struct pauses p = {.count = 0};
        cluster_options o = pausing(&p);
        o.retries = retries[i];
        cluster *c = client(s, o);
        unsigned before = script_commands(s, 0);
        bytes value;
        want_status(cluster_get(c, bytes_of(OF_0), &value), STATUS_BACKEND,
                    text("retries = %d; get; the node says CLUSTERDOWN, again "
                         "and again",
                         retries[i]),
                    "give up in the end");
        want_int(p.count, pauses[i], "the same: pauses",
                 "as many as `retries`; none if negative; 16 if 0");
        want_int(script_commands(s, 0) - before, pauses[i] + 1,
                 "the same: attempts", "one, and another one after each pause");
        want_true(strstr(cluster_error(c), "CLUSTERDOWN") != NULL,
                  "the same; cluster_error holds what the node said",
                  "people want to know why");
        cluster_destroy(c);
    }
    script_stop(s);
}

TEST(a_get_without_its_answer_is_asked_again, "P8", "15b.5") {
    static const char *const broken[] = {SCRIPT_CLOSE, "$5\r\nhal" SCRIPT_CLOSE,
                                         "$5" SCRIPT_CLOSE, "?what\r\n"};
    script *s = nodes();
    struct pauses p = {.count = 0};
    cluster *c = client(s, pausing(&p));
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        script_say(s, 0, broken[i]);
        want_value(
            c, OF_0, OF_0,
            text("get; the connection breaks after \"%s\" (\\x04: closed)",
                 shown(bytes_of(broken[i]))),
            "a get changes nothing: connect anew and ask again");
    }
    cluster_destroy(c);
    cluster_options o = pausing(&p);
    o.timeout_ms = SHORT_MS;
    c = client(s, o);
    script_say(s, 0, SCRIPT_SILENCE);
    want_value(c, OF_0, OF_0, "get; the node does not answer in time",
               "connect anew, or a late answer will be taken for another's");
    cluster_destroy(c);
    script_stop(s);
}

TEST(a_late_answer_is_nobodys, "P8", "15b.5") {
    script *s = nodes();
    cluster_options o = hasty();
    o.timeout_ms = SHORT_MS;
    cluster *c = client(s, o);
    bytes value;
    script_say(s, 0, "$4\r\nlate\r\n" SCRIPT_LATE);
    want_status(cluster_get(c, bytes_of(OF_0), &value), STATUS_BACKEND,
                "get, without pauses; the node does not answer in time",
                "without pauses there is no second attempt");
    want_value(c, "hello", "hello",
               "the answer comes while another key of that node is asked for",
               "it was meant for the question that was given up: close the "
               "connection with that question, and no answer can be late");
    script_say(s, 1, ":1\r\n" SCRIPT_LATE);
    want_status(cluster_delete(c, bytes_of(OF_1)), STATUS_TIMEOUT,
                "delete; the node does not answer in time",
                "after REDIS_ERR_IO errno tells a late answer (EAGAIN) from a "
                "lost connection");
    want_value(c, "g", "g", "get another key of that node",
               "as before: a set or delete may be answered late too");
    cluster_destroy(c);
    script_stop(s);
}

TEST(a_set_is_never_carried_out_twice, "P8", "15b.5") {
    script *s = nodes();
    struct pauses p = {.count = 0};
    cluster_options o = pausing(&p);
    o.timeout_ms = SHORT_MS;
    cluster *c = client(s, o);
    script_say(s, 0, SCRIPT_CLOSE);
    want_status(cluster_set(c, bytes_of(OF_0), bytes_of("v")), STATUS_LOST,
                "set; the node closes the connection without an answer",
                "it may have been carried out: only the caller knows whether "
                "it may be again");
    script_say(s, 0, ":" SCRIPT_CLOSE);
    want_status(cluster_delete(c, bytes_of(OF_0)), STATUS_LOST,
                "delete; half an answer, and the connection is closed",
                "as with set");
    script_say(s, 0, SCRIPT_SILENCE);
    want_status(cluster_set(c, bytes_of(OF_0), bytes_of("w")), STATUS_TIMEOUT,
                "set; the node does not answer in time",
                "that is STATUS_TIMEOUT, and it may have been carried out");
    want_heard(s, 0, "SET b v, DEL b, SET b w", "set, delete, set",
               "each may be sent once");
    want_int(p.count, 0, "the same: pauses", "nothing is tried again");
    cluster_destroy(c);
    script_stop(s);
}

TEST(a_connection_that_ended_is_replaced_before_a_set, "P8", "15b.5") {
    script *s = nodes();
    cluster *c = client(s, hasty());
    script_say(s, 0, "+OK\r\n" SCRIPT_CLOSE);
    want_status(cluster_set(c, bytes_of(OF_0), bytes_of("v")), STATUS_OK,
                "set; the node answers, and closes the connection", "it did");
    script_wait_closed(s);
    want_status(cluster_set(c, bytes_of(OF_0), bytes_of("w")), STATUS_OK,
                "then a second set",
                "between two calls a node sends nothing, so what can be read "
                "is the end: look (poll, no wait) before you send");
    want_heard(s, 0, "SET b v, SET b w", "set, set", "each once");
    cluster_destroy(c);
    script_stop(s);
}

TEST(after_a_failure_the_others_are_asked_for_the_map, "P10", "15b.5") {
    script *s = nodes();
    struct pauses p = {.count = 0};
    cluster *c = client(s, pausing(&p));
    script_say(s, 0, SCRIPT_CLOSE);
    cluster_set(c, bytes_of(OF_0), bytes_of("v"));
    script_map(s, script_thirds(s, 1, 1, 2));
    unsigned before = script_maps(s, 0);
    want_status(cluster_set(c, bytes_of(OF_0), bytes_of("w")), STATUS_OK,
                "node 0 breaks off; by the others' map node 1 has its slots; "
                "set",
                "node 1 takes it");
    want_heard(s, 0, "SET b v", "set (node 0 breaks off), set",
               "a node that failed may have been replaced: ask for the map "
               "before it is asked again");
    want_heard(s, 1, "SET b w", "set (node 0 breaks off), set",
               "the new map says node 1");
    want_int(script_maps(s, 0), before,
             "the same: how often node 0 was asked for the map",
             "the node that failed comes last");
    want_value(c, OF_1, OF_1, "a get of another key", "all is well");
    want_int(cluster_statistics(c).maps, 2, "the same: maps that were read",
             "once after the failure");
    cluster_destroy(c);
    script_stop(s);
}

TEST(what_is_no_map_leaves_the_old_one, "P14", "15b.5") {
    script *s = nodes();
    struct pauses p = {.count = 0};
    cluster *c = client(s, pausing(&p));
    for (size_t i = 0; i < sizeof no_maps / sizeof no_maps[0]; i++) {
        script_map(s, no_maps[i]);
        script_say(s, 1, "-CLUSTERDOWN The cluster is down\r\n");
        want_value(c, OF_1, OF_1,
                   text("get; CLUSTERDOWN; then all answer CLUSTER SLOTS by %s",
                        shown(bytes_of(no_maps[i]))),
                   "the old map must do");
    }
    unsigned before = script_commands(s, 1);
    script_map(s, "*2\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:1\r\n"
                  "*1\r\n:0\r\n");
    script_say(s, 1, "-CLUSTERDOWN The cluster is down\r\n");
    want_value(c, OF_1, OF_1,
               "get; CLUSTERDOWN; a map whose second line cannot be read",
               "take a map whole, or not at all");
    want_int(script_commands(s, 1) - before, 2, "the same: attempts at node 1",
             "its first line must not have been learned");
    cluster_destroy(c);
    script_stop(s);
}

static void let_the_replica_take_over(struct pauses *p) {
    if (p->count == 1) {
        redis_cluster_fail_over(p->context, 0);
    }
}

static const char *numbered(size_t i) {
    return text("key %zu", i);
}

TEST(a_replica_takes_over_and_nothing_is_lost, "P10", "15b.5") {
    signal(SIGPIPE, SIG_IGN);
    enum { KEYS = 200 };
    redis_cluster *rc = redis_cluster_start(3, 1);
    struct pauses p = {.meanwhile = let_the_replica_take_over, .context = rc};
    cluster *c = join(redis_cluster_address(rc, 0), pausing(&p));
    for (size_t i = 0; i < KEYS; i++) {
        bytes key = bytes_of(numbered(i));
        want_status(cluster_set(c, key, key), STATUS_OK, "set keys",
                    "all nodes run");
    }
    redis_cluster_wait_replica(rc, 0);
    redis_kill(redis_cluster_node(rc, 0));
    want_status(cluster_set(c, bytes_of(OF_0), bytes_of("v")), STATUS_OK,
                "a master is killed; set one of its keys; in the first pause "
                "its replica takes over",
                "the connection has ended, so the set was not sent: pause, ask "
                "another node for the map, and set it there");
    want_true(p.count > 0, "the same: pauses", "there is nobody to ask yet");
    size_t pauses = p.count;
    for (size_t i = 0; i < KEYS; i++) {
        const char *key = numbered(i);
        want_value(c, key, key, "get what was set before the master was killed",
                   "the replica has it");
    }
    want_int(p.count, pauses, "the same: more pauses", "the map is known");
    cluster_destroy(c);
    redis_cluster_stop(rc);
}

/* --- 15b.6: many keys ---------------------------------------------------- */

enum { MANY = 2500 };

/* What get_many told. */
struct told {
    size_t count, last;
    bool in_order, right;
    const bytes *keys; /* values are to be equal to their keys; or NULL */
    char values[64];   /* all, in a row */
};

static void take(void *context, size_t i, bytes value) {
    struct told *t = context;
    t->in_order = t->in_order && (t->count == 0 || i > t->last);
    t->right = t->right && (!t->keys || bytes_equal(value, t->keys[i]));
    t->last = i;
    t->count++;
    size_t used = strlen(t->values);
    snprintf(t->values + used, sizeof t->values - used, "%zu=%.*s ", i,
             (int)value.len, (const char *)value.data);
}

static struct told nothing(const bytes *keys) {
    return (struct told){.in_order = true, .right = true, .keys = keys};
}

TEST(many_keys_travel_together, "P9", "15b.6") {
    script *s = nodes();
    cluster *c = client(s, hasty());
    const bytes keys[] = {bytes_of(OF_0), bytes_of(OF_1), bytes_of("hello"),
                          bytes_of(OF_2), bytes_of("g"),  bytes_of(OF_0)};
    status results[6];
    struct told t = nothing(keys);
    script_hold(s, 6);
    want_status(cluster_get_many(c, keys, 6, take, &t, results), STATUS_OK,
                "get_many of 6 keys of 3 nodes, none of which answers before "
                "all 6 have been heard",
                "it always says so; see results");
    for (size_t i = 0; i < 6; i++) {
        want_status(results[i], STATUS_OK, text("the same: key %zu", i),
                    "send all questions to all nodes before you wait for the "
                    "first answer");
    }
    want_text(t.values, "0=b 1=c 2=hello 3=a 4=g 5=b ",
              "the same: what was told", "in the order of the keys");
    want_heard(s, 0, "GET b, GET hello, GET b", "the same",
               "its own keys, in order");
    want_int(cluster_statistics(c).commands, 6, "the same: commands",
             "one for each key, also for the second of two equal ones");
    cluster_destroy(c);
    script_stop(s);
}

TEST(every_key_gets_the_answer_to_its_own_question, "P9", "15b.6") {
    script *s = nodes();
    struct pauses p = {.count = 0};
    cluster *c = client(s, pausing(&p));
    const bytes keys[] = {bytes_of(OF_0), bytes_of("hello"), bytes_of(OF_1),
                          bytes_of("f"),  bytes_of(OF_2),    bytes_of("bar")};
    static const status wanted[] = {STATUS_MISS,    STATUS_OK, STATUS_OK,
                                    STATUS_INVALID, STATUS_OK, STATUS_OK};
    status results[6];
    struct told t = nothing(keys);
    script_say(s, 0, "$-1\r\n");
    script_say(s, 0, redirect("ASK", "hello", script_address(s, 2)));
    script_say(s, 0, "-WRONGTYPE no string\r\n");
    script_say(s, 1, "-TRYAGAIN not now\r\n");
    script_say(s, 2, redirect("MOVED", OF_2, script_address(s, 1)));
    cluster_get_many(c, keys, 6, take, &t, results);
    for (size_t i = 0; i < 6; i++) {
        want_status(results[i], wanted[i],
                    text("get_many; answers are nil, ASK, TRYAGAIN, WRONGTYPE, "
                         "MOVED, a value: result %zu",
                         i),
                    "each key has its own way to its answer");
    }
    want_text(t.values, "1=hello 2=c 4=a 5=bar ", "the same: what was told",
              "values are told in the order of the keys, when all have come");
    want_int(p.count, 1, "the same: pauses", "for TRYAGAIN, once");
    cluster_destroy(c);
    script_stop(s);
}

TEST(a_late_answer_is_no_later_keys, "P9", "15b.6") {
    script *s = nodes();
    struct pauses p = {.count = 0};
    cluster_options o = pausing(&p);
    o.timeout_ms = SHORT_MS;
    cluster *c = client(s, o);
    const bytes keys[] = {bytes_of(OF_0), bytes_of(OF_2), bytes_of("hello")};
    status results[3];
    struct told t = nothing(keys);
    script_say(s, 0, "$1\r\nb\r\n");
    script_say(s, 0, "$4\r\nlate\r\n" SCRIPT_LATE);
    cluster_get_many(c, keys, 3, take, &t, results);
    want_text(t.values, "0=b 1=a 2=hello ",
              "get_many; node 0 answers one of its two keys in time, and the "
              "other too late: what was told",
              "after a late answer the connection is closed, and what has no "
              "answer is asked again on a new one");
    cluster_destroy(c);
    script_stop(s);
}

static bytes *many_keys(void) {
    static char texts[MANY][16];
    static bytes keys[MANY];
    for (size_t i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], "key %zu", i % 2000);
        keys[i] = bytes_of(texts[i]);
    }
    return keys;
}

TEST(more_keys_than_travel_together_come_in_order, "P9", "15b.6") {
    static status results[MANY];
    script *s = nodes();
    cluster *c = client(s, hasty());
    bytes *keys = many_keys();
    struct told t = nothing(keys);
    cluster_get_many(c, keys, MANY, take, &t, results);
    want_int(t.count, MANY, "get_many of 2,500 keys: how many were told",
             "window after window, all of them");
    want_true(t.in_order, "the same: told in order",
              "places count from the first of all keys");
    want_true(t.right, "the same: each the value of its key",
              "places count from the first of all keys");
    for (size_t i = 0; i < MANY; i++) {
        want_status(results[i], STATUS_OK, text("the same: result %zu", i),
                    "results count from the first of all keys too");
    }
    cluster_destroy(c);
    script_stop(s);
}

TEST(a_dead_node_costs_its_own_keys_only, "P9", "15b.6") {
    script *s = nodes();
    cluster *c = client(s, hasty());
    const bytes keys[] = {bytes_of(OF_0), bytes_of(OF_1), bytes_of("g"),
                          bytes_of(OF_2), bytes_of(OF_0)};
    status results[5];
    script_always(s, 1, SCRIPT_CLOSE);
    struct told t = nothing(keys);
    want_status(cluster_get_many(c, keys, 5, take, &t, results), STATUS_OK,
                "get_many; node 1 closes the connection at its first key",
                "there are answers; see results");
    want_text(t.values, "0=b 3=a 4=b ", "the same: what was told",
              "the answers of the other nodes are good");
    want_status(results[1], STATUS_BACKEND, "the same: a key of node 1",
                "without pauses there is no second attempt");
    want_status(results[2], STATUS_BACKEND, "the same: another key of node 1",
                "what comes behind on that connection has no answer either");
    cluster_destroy(c);
    script_stop(s);
}

TEST(bad_arguments_of_get_many_are_refused, "P12", "15b.6") {
    script *s = nodes();
    cluster *c = client(s, hasty());
    bytes key = bytes_of(OF_0);
    status result = STATUS_DEADLOCK;
    want_status(cluster_get_many(c, NULL, 1, take, NULL, &result),
                STATUS_INVALID, "get_many of one key, keys = NULL",
                "there are no keys");
    want_status(cluster_get_many(c, &key, 1, NULL, NULL, &result),
                STATUS_INVALID, "get_many, found = NULL",
                "nobody would be told");
    want_status(cluster_get_many(c, &key, 1, take, NULL, NULL), STATUS_INVALID,
                "get_many, results = NULL", "nobody would know");
    want_status(cluster_get_many(c, NULL, 0, take, NULL, NULL), STATUS_OK,
                "get_many of no keys", "that is done at once");
    want_int(result, STATUS_DEADLOCK, "the same: look at the result",
             "a refused call writes nothing");
    want_heard(s, 0, "", "four such calls", "nothing is sent");
    cluster_destroy(c);
    script_stop(s);
}

TEST(without_memory_get_many_says_so, "P13", "15b.6") {
    script *s = nodes();
    cluster *c = client(s, hasty());
    bytes key = bytes_of(OF_0);
    for (size_t n = 1; n < 10; n++) {
        status result = STATUS_OK;
        struct told t = nothing(NULL);
        unsigned before = script_commands(s, 0);
        heap_fail_at(n);
        status got = cluster_get_many(c, &key, 1, take, &t, &result);
        bool failed = heap_has_failed();
        heap_fail_at(0);
        want_status(got, failed ? STATUS_NO_MEMORY : STATUS_OK,
                    text("get_many while allocation %zu fails", n),
                    "look at every result of malloc");
        want_int(script_commands(s, 0) - before, !failed,
                 "the same: commands that were sent",
                 "first the memory, then the questions");
        if (!failed) {
            want_text(t.values, "0=b ", "get_many with memory again",
                      "the last failure must have left all in order");
            cluster_destroy(c);
            script_stop(s);
            return;
        }
    }
    want_true(false, "get_many with 9 allocations", "so many for so few?");
}

/* Twelve keys in four slots, which move about; beside them an array. */
enum { MODEL_KEYS = 12, MODEL_SLOTS = 4, MODEL_VALUES = 30 };

struct beside {
    cluster *c;
    int value[MODEL_KEYS]; /* -1: not there */
    char printed[MODEL_KEYS][8];
    bytes keys[MODEL_KEYS];
};

static redis_cluster *moving; /* the cluster of the model */

static unsigned model_slot(unsigned k) {
    static const char *const tags[MODEL_SLOTS] = {"{a}", "{b}", "{c}", "{d}"};
    return cluster_slot(bytes_of(tags[k % MODEL_SLOTS]));
}

static struct beside *beside_create(void) {
    struct beside *b = calloc(1, sizeof *b);
    for (unsigned i = 0; i < MODEL_SLOTS; i++) {
        redis_cluster_end_move(moving, model_slot(i)); /* of the list before */
    }
    for (unsigned i = 0; i < 3; i++) {
        redis_cluster_ask(moving, i, "FLUSHALL");
    }
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        snprintf(b->printed[k], sizeof b->printed[k], "{%c}%u",
                 'a' + k % MODEL_SLOTS, k);
        b->keys[k] = bytes_of(b->printed[k]);
        b->value[k] = -1;
    }
    b->c = join(redis_cluster_address(moving, 1), hasty());
    return b;
}

static void *model_begin(void) {
    return beside_create();
}

static status model_wants(const struct beside *b, unsigned k) {
    return b->value[k] < 0 ? STATUS_MISS : STATUS_OK;
}

static const char *judge_get(const struct beside *b, unsigned k, status s,
                             bytes value) {
    if (s != model_wants(b, k)) {
        return text("a get of %s said %s (%s)", b->printed[k], status_name(s),
                    cluster_error(b->c));
    }
    if (s == STATUS_OK && atoi(words(value)) != b->value[k]) {
        return text("a get of %s gave %s, not %d", b->printed[k], words(value),
                    b->value[k]);
    }
    return NULL;
}

static const char *model_get(struct beside *b, unsigned k) {
    bytes value = {NULL, 0};
    status s = cluster_get(b->c, b->keys[k], &value);
    return judge_get(b, k, s, value);
}

struct judged {
    const struct beside *b;
    const char *why;
    size_t told;
};

static void judge_told(void *context, size_t i, bytes value) {
    struct judged *j = context;
    const char *why = judge_get(j->b, (unsigned)i, STATUS_OK, value);
    j->why = j->why ? j->why : i < j->told ? "told out of order" : why;
    j->told = i + 1;
}

static const char *model_get_all(struct beside *b) {
    status results[MODEL_KEYS];
    struct judged j = {.b = b};
    cluster_get_many(b->c, b->keys, MODEL_KEYS, judge_told, &j, results);
    for (unsigned k = 0; k < MODEL_KEYS && !j.why; k++) {
        if (results[k] != model_wants(b, k)) {
            j.why = text("get_many said %s of %s (%s)", status_name(results[k]),
                         b->printed[k], cluster_error(b->c));
        }
    }
    return j.why;
}

static const char *model_set(struct beside *b, unsigned k, unsigned value) {
    status s = cluster_set(b->c, b->keys[k], bytes_of(text("%u", value)));
    b->value[k] = (int)value;
    return s == STATUS_OK
               ? NULL
               : text("set said %s (%s)", status_name(s), cluster_error(b->c));
}

static const char *model_delete(struct beside *b, unsigned k) {
    status s = cluster_delete(b->c, b->keys[k]), wanted = model_wants(b, k);
    b->value[k] = -1;
    return s == wanted ? NULL : text("delete said %s", status_name(s));
}

static const char *model_apply(void *state, model_step s) {
    struct beside *b = state;
    unsigned slot = model_slot(s.key);
    switch (s.operation) {
    case 0:
    case 1: return model_set(b, s.key, s.value);
    case 2: return model_get(b, s.key);
    case 3: return model_delete(b, s.key);
    case 4: return model_get_all(b);
    case 5:
        redis_cluster_end_move(moving, slot);
        redis_cluster_begin_move(
            moving, slot,
            (redis_cluster_owner(moving, slot) + 1 + s.value % 2) % 3);
        return NULL;
    case 6: redis_cluster_move_keys(moving, slot, 1); return NULL;
    default: redis_cluster_end_move(moving, slot); return NULL;
    }
}

static const char *model_end(void *state) {
    struct beside *b = state;
    const char *why = model_get_all(b);
    cluster_destroy(b->c);
    free(b);
    return why;
}

static void model_print(FILE *out, model_step s) {
    const char *key = text("{%c}%u", 'a' + s.key % MODEL_SLOTS, s.key);
    switch (s.operation) {
    case 0:
    case 1: fprintf(out, "set(\"%s\", \"%u\")", key, s.value); break;
    case 2: fprintf(out, "get(\"%s\")", key); break;
    case 3: fprintf(out, "delete(\"%s\")", key); break;
    case 4: fprintf(out, "get_many(all keys)"); break;
    case 5: fprintf(out, "the slot of \"%s\" begins to move", key); break;
    case 6: fprintf(out, "one key of the slot of \"%s\" moves", key); break;
    default: fprintf(out, "the slot of \"%s\" has moved", key);
    }
}

/* Moves the four slots, over and over, until told to stop. */
static void *keep_moving(void *context) {
    atomic_bool *stop = context;
    for (unsigned i = 0; !atomic_load(stop); i++) {
        unsigned slot = model_slot(i);
        redis_cluster_move(moving, slot,
                           (redis_cluster_owner(moving, slot) + 1) % 3);
    }
    return NULL;
}

/* Random calls, until slots have moved under enough of them. */
static const char *load(struct beside *b, size_t redirects) {
    uint64_t random = test_seed();
    const char *why = NULL;
    cluster_stats counted = cluster_statistics(b->c);
    while (!why && counted.moved + counted.asked < redirects) {
        unsigned k = (unsigned)(test_random(&random) % MODEL_KEYS);
        unsigned value = (unsigned)(test_random(&random) % 1000);
        switch (test_random(&random) % 4) {
        case 0: why = model_set(b, k, value); break;
        case 1: why = model_get(b, k); break;
        case 2: why = value % 4 ? NULL : model_delete(b, k); break;
        default: why = model_get_all(b);
        }
        counted = cluster_statistics(b->c);
    }
    return why;
}

static const char *load_while_slots_move(size_t redirects) {
    atomic_bool stop = false;
    pthread_t mover;
    struct beside *b = beside_create();
    pthread_create(&mover, NULL, keep_moving, &stop);
    const char *why = load(b, redirects);
    atomic_store(&stop, true);
    pthread_join(mover, NULL);
    cluster_destroy(b->c);
    free(b);
    return why;
}

TEST(no_answer_is_lost_or_wrong_while_slots_move, "P9", "15b.6") {
    signal(SIGPIPE, SIG_IGN);
    moving = redis_cluster_start(3, 0);
    model_check(&(model){.operations = 8,
                         .keys = MODEL_KEYS,
                         .values = MODEL_VALUES,
                         .lists = test_scale(12, 2),
                         .steps = 40,
                         .begin = model_begin,
                         .apply = model_apply,
                         .end = model_end,
                         .print = model_print});
    const char *why = load_while_slots_move(test_scale(200, 20));
    want_that(why == NULL,
              "set, get, delete, get_many in any order, while another thread "
              "moves their slots\nwanted  what a plain array says\ngot     %s\n"
              "likely  an answer was taken for that of another key, or a "
              "redirect in the middle of a pipeline was lost",
              why ? why : "");
    redis_cluster_stop(moving);
}
