/* trace_runner.h: has short-lived helpers look at the stacks of workers.
 *
 * Each look is a process of its own with a limit on its time and its output, so that nobody waits
 * for it; the manager itself looks into no process. At most a few at once, and a few more wait. One
 * set per process; called by slowlog, and by command_trace for the operator.
 */
#ifndef FPM_TRACE_RUNNER_H
#define FPM_TRACE_RUNNER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    TRACE_RUNNER_MOST = 32,       /* helpers at once */
    TRACE_RUNNER_LANE_MOST = 2,   /* of these, in one lane */
    TRACE_RUNNER_LANE_QUEUE = 16, /* looks that wait, in one lane */
    TRACE_RUNNER_LIMIT = 3000     /* ms that a helper has */
};

/* What came of it. Nothing of it stays. */
struct trace_runner_result {
    const char *text; /* all that the helper wrote, NUL-terminated; may hold any byte */
    size_t length;
    const char *failure; /* a sentence why that is not what was wanted; NULL = it is */
};

/* One look. */
struct trace_runner_order {
    const void *lane;        /* looks of one lane do not hold up others; NULL is one, too */
    const char *const *argv; /* of a program, NULL-terminated; NULL: ours, by what follows */
    pid_t pid, first;        /* `first`: the thread that is wanted most, 0 = the main one */
    unsigned depth;
    bool json;
    size_t room; /* bytes of output; what comes beyond is a failure */
    /* Asked just before it begins: is it still wanted? NULL = yes. */
    bool (*wanted)(void *context);
    void (*done)(void *context, const struct trace_runner_result *result);
    void *context;
};

/* Before any look. */
void trace_runner_open(struct ev_loop *loop);

/* Takes a copy of the order. Returns 0: `done` will be called once, later; or -1 with a sentence:
 * too many wait already, or no memory. */
int trace_runner_start(const struct trace_runner_order *order, char *error, size_t size);

/* Ends every look: `done` is called for each. At the manager's end, and before another program
 * takes its place. */
void trace_runner_finish(void);

#endif
