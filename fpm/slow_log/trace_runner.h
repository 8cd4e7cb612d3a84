/* trace_runner.h: runs short-lived helpers that read the stacks of workers.
 *
 * The manager itself reads no other process. Each trace is a helper process with a limit on its
 * time and its output, so that nothing waits for it. A limited number run at once, and a limited
 * number wait. There is one set of traces per process.
 */
#ifndef FPM_TRACE_RUNNER_H
#define FPM_TRACE_RUNNER_H

#include "fpm/worker/helper_process.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    TRACE_RUNNER_MAX = 32,           /* helpers at once */
    TRACE_RUNNER_GROUP_MAX = 2,      /* of these, in one group */
    TRACE_RUNNER_GROUP_WAITING = 16, /* traces that wait, in one group */
    TRACE_RUNNER_LIMIT_MS = 3000     /* how long a helper may run */
};

/* Valid during the call of `done`. */
struct trace_runner_result {
    const char *text; /* the helper's output, NUL-terminated; may hold any byte */
    size_t length;
    const char *failure; /* a sentence why there is no complete stack; NULL = there is one */
};

struct trace_runner_job {
    const void *group; /* traces of one group do not delay those of another; NULL is a group */
    /* A program and its arguments, NULL-terminated; %p stands for `pid`, which is the last argument
     * if none has a %p. NULL: overtime-trace. */
    char *const *argv;
    /* Of `argv`'s program; both must live until `done`. NULL: the manager's user, PATH alone. */
    const struct helper_process_user *user;
    char *const *envp;
    pid_t pid;
    pid_t first; /* the thread to show first; 0 = the main thread */
    unsigned depth;
    bool json;
    size_t output_max; /* bytes; more output is a failure */
    /* Is the trace still wanted? Called just before the helper starts; NULL = yes. */
    bool (*wanted)(void *context);
    void (*done)(void *context, const struct trace_runner_result *result);
    void *context;
};

/* Call it before any other function. */
void trace_runner_open(struct ev_loop *loop);

/* Copies the job. Returns 0: `done` will be called once, later; or -1 with a sentence: too many
 * wait already, or there is no memory. */
int trace_runner_start(const struct trace_runner_job *job, char *error, size_t size);

/* Ends every trace and calls `done` for each. For the manager's end, and before an upgrade. */
void trace_runner_finish(void);

#endif
