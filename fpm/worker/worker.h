/* worker.h: one worker from the start of its first process to the end of all its processes.
 *
 * It starts the process, learns whether its program runs, asks it to stop, notices when it does
 * not, kills it, and reaps it. What the process leaves behind in its group, and what is known to be
 * below it, belongs to the worker: it ends when all have ended (process_tree.h). It decides
 * nothing: its owner learns of everything by callbacks.
 */
#ifndef FPM_WORKER_H
#define FPM_WORKER_H

#include "fpm/util/child.h"
#include "fpm/worker/launch.h"
#include "fpm/worker/process_tree.h"

#include <ev.h>
#include <stdint.h>

enum worker_state {
    WORKER_NONE,     /* no process */
    WORKER_STARTING, /* forked; its program is not known to run yet */
    WORKER_RUNNING,
    WORKER_STOPPING, /* asked to stop */
    WORKER_KILLED,   /* sent KILL, not gone yet */
    WORKER_STATE_COUNT
};

struct worker;

/* The owner may not spawn into the worker again before `ended` is called. */
struct worker_events {
    void (*moved)(struct worker *worker, enum worker_state from, enum worker_state to);
    void (*stop_timeout)(struct worker *worker); /* it did not stop in time */
    /* The first process is reaped, and `status` valid; the owner may add to `tree`. May be NULL. */
    void (*leader_ended)(struct worker *worker);
    /* The first process has ended, and these have not: once. The owner stops them. NULL = the
     * worker is one process. */
    void (*outlived)(struct worker *worker, const struct process_tree_list *rest);
    /* All are gone. Its fields are valid, with the state WORKER_NONE. */
    void (*ended)(struct worker *worker);
};

struct worker {
    enum worker_state state;
    pid_t pid;           /* of the first process; it may be gone before the worker is */
    int status;          /* of its wait(2), once it has ended; -1 = unknown */
    int64_t started;     /* ms, clock.h */
    int64_t stop_since;  /* ms: when it was first asked to stop */
    int64_t stop_at;     /* ms: when `stop_timeout` is due; -1 = never */
    bool stop_requested; /* by the manager, before the first process ended */
    bool start_failed;   /* its program never ran; `failure` says why */
    struct launch_failure failure;
    void *owner;
    const struct worker_events *events;
    struct ev_loop *loop;
    int report_fd;
    ev_io report;
    ev_timer start_timer; /* while there is no report */
    unsigned start_looks;
    struct child child;
    ev_timer stop_timer;
    struct process_tree tree;
    bool rest_told; /* `outlived` was called */
    ev_timer rest;  /* looks whether the rest is gone */
};

void worker_init(struct worker *worker, struct ev_loop *loop, const struct worker_events *events,
                 void *owner);

/* Starts a process. Returns 0, or -1 with a sentence. */
int worker_spawn(struct worker *worker, const struct launch_arguments *arguments, char *error,
                 size_t size);

/* Goes on with the processes of `before`, of which pid, state, status, the times, report_fd and
 * tree are known. Returns 0, or -1 with a sentence if there is no such process. */
int worker_adopt(struct worker *worker, const struct worker *before, char *error, size_t size);

/* Asks all its processes to stop by `signal` (0 = no signal yet) and calls `stop_timeout` if one is
 * still there `timeout_ms` later (0 = at the loop's next iteration). Another call replaces signal
 * and timeout. */
void worker_stop(struct worker *worker, int signal, int64_t timeout_ms);

/* The same, but asks only the process `program` (0 = none), which serves, and those that have a
 * handler for the signal; all, if there are none. True if not all were asked. */
bool worker_stop_program(struct worker *worker, int signal, pid_t program, int64_t timeout_ms);

/* Kills all processes of the worker. */
void worker_kill(struct worker *worker);

/* Sends a signal that does not stop the worker to the process `only`, if it is the worker's. */
void worker_signal(const struct worker *worker, int signal, pid_t only);

const char *worker_state_name(enum worker_state state);

#endif
