/* Random lists in child processes, and delta debugging (Zeller and
 * Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE TSE
 * 2002) to shrink the one that fails. */
#include "support/model.h"

#include "common/clock.h"
#include "support/check.h"
#include "support/crash.h"
#include "support/heap.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_STEPS = 512, SHRINK_MS = 1500, TRIAL_MS = 50 };

/* What the child tells: it outlives the child, whatever ends that. */
typedef struct verdict {
    size_t list;    /* the list that was being run */
    char why[1024]; /* what differed */
} verdict;

static verdict *shared_verdict(void) {
    void *page = mmap(NULL, sizeof(verdict), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        abort();
    }
    return page;
}

static void draw(const model *m, size_t list, model_step *steps) {
    uint64_t random = test_seed() + list * 1000003;
    for (size_t i = 0; i < m->steps; i++) {
        steps[i] =
            (model_step){(unsigned)(test_random(&random) % m->operations),
                         (unsigned)(test_random(&random) % m->keys),
                         (unsigned)(test_random(&random) % m->values)};
    }
}

/* Runs one list here. Returns: NULL, or what differed. */
static const char *run(const model *m, const model_step *steps, size_t count) {
    heap_begin();
    void *state = m->begin();
    const char *why = NULL;
    for (size_t i = 0; i < count && !why; i++) {
        why = m->apply(state, steps[i]);
    }
    if (why) {
        return why; /* the child ends: nothing needs tidying */
    }
    why = m->end(state);
    heap_block left;
    if (!why && heap_leaked(&left)) {
        why = text("a block that nobody freed, allocated at %s",
                   crash_line_of(left.caller));
    }
    return why;
}

/* Ends this process when it has computed for so long, since random lists meet
 * endless loops; not by the clock on the wall, which runs on while other
 * programs have the processor. That is for whoever waits without computing. */
static void end_after_ms(int ms) {
    test_ends_us();
    ms = (int)test_scale((size_t)ms, 60000);
    struct itimerval end = {.it_value = {ms / 1000, ms % 1000 * 1000}};
    setitimer(ITIMER_PROF, &end, NULL);
    alarm(60);
}

/* Runs lists first..last-1, or the one given, in a child. Returns: whether
 * one failed; then *v says which and why. */
static bool fails(const model *m, const model_step *given, size_t count,
                  size_t first, size_t last, verdict *v) {
    memset(v, 0, sizeof *v);
    pid_t child = fork();
    if (child == 0) {
        crash_ignore();
        test_is_child(v->why, sizeof v->why);
        end_after_ms(given ? TRIAL_MS : 1000);
        model_step drawn[MOST_STEPS];
        for (size_t list = first; list < last; list++) {
            v->list = list;
            if (!given) {
                draw(m, list, drawn);
            }
            const char *why = run(m, given ? given : drawn, count);
            if (why) {
                snprintf(v->why, sizeof v->why, "%s", why);
                _exit(1);
            }
        }
        _exit(0);
    }
    int end = 0;
    waitpid(child, &end, 0);
    if (end != 0 && v->why[0] == '\0') {
        snprintf(v->why, sizeof v->why, "the process crashed or never ended");
    }
    return end != 0;
}

/* Leaves out ever smaller runs of steps while the rest still fails, and time
 * is left: a shorter list is a kindness, not a proof. */
static size_t shrink(const model *m, model_step *steps, size_t count,
                     verdict *v) {
    int64_t start = ms_clock_now(ms_clock_monotonic());
    for (size_t piece = count / 2; piece > 0; piece /= 2) {
        for (size_t at = 0;
             at + piece <= count
             && ms_clock_now(ms_clock_monotonic()) < start + SHRINK_MS;) {
            model_step fewer[MOST_STEPS];
            memcpy(fewer, steps, at * sizeof *steps);
            memcpy(fewer + at, steps + at + piece,
                   (count - at - piece) * sizeof *steps);
            verdict before = *v;
            if (fails(m, fewer, count - piece, 0, 1, v)) {
                count -= piece;
                memcpy(steps, fewer, count * sizeof *steps);
            } else {
                *v = before;
                at += piece;
            }
        }
    }
    return count;
}

void model_check(const model *m) {
    verdict *v = shared_verdict();
    size_t lists = test_scale(m->lists, 1 + m->lists / 10);
    if (!fails(m, NULL, m->steps, 0, lists, v)) {
        munmap(v, sizeof *v);
        return;
    }
    if (strncmp(v->why, "TODO  ", 6) == 0) {
        runner_fail(v->why); /* nothing to shrink yet */
    }
    alarm(0); /* from here on the time is ours, and bounded */
    model_step steps[MOST_STEPS];
    draw(m, v->list, steps);
    size_t count = shrink(m, steps, m->steps, v);
    char calls[1200] = "";
    FILE *out = fmemopen(calls, sizeof calls - 1, "w");
    for (size_t i = 0; i < count; i++) {
        fputs("\n        ", out);
        m->print(out, steps[i]);
    }
    fclose(out);
    want_that(false,
              "the shortest of the random lists that fails:%s\n"
              "wanted  the same as a plain model that cannot be wrong\n"
              "got     %s\n"
              "likely  the last of these calls (make ... TEST_SEED=%llu "
              "replays them)",
              calls, v->why, (unsigned long long)test_seed());
}
