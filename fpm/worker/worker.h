/* worker.h: one child process from its start to its end.
 *
 * It starts the process, learns whether its program runs, asks it to stop, notices when it does
 * not, kills it, and reaps it. It decides nothing: its owner learns of everything by callbacks.
 */
#ifndef FPM_WORKER_H
#define FPM_WORKER_H

#include "fpm/util/child.h"
#include "fpm/worker/launch.h"

#include <ev.h>
#include <stdint.h>

enum worker_state {
    WORKER_NONE,     /* no process */
    WORKER_STARTING, /* forked; its program is not known to run yet */
    WORKER_RUNNING,
    WORKER_STOPPING, /* asked to stop */
    WORKER_KILLED,   /* sent KILL, not reaped yet */
    WORKER_STATE_COUNT
};

struct worker;

/* The owner may not spawn into the worker again before `ended` is called. */
struct worker_events {
    void (*moved)(struct worker *worker, enum worker_state from, enum worker_state to);
    void (*stop_timeout)(struct worker *worker); /* it did not stop in time */
    /* It is reaped. Its fields are valid, with the state WORKER_NONE. */
    void (*ended)(struct worker *worker);
};

struct worker {
    enum worker_state state;
    pid_t pid;
    int status;          /* of wait(2), in `ended`; -1 = unknown */
    int64_t started;     /* ms, clock.h */
    int64_t stop_since;  /* ms: when it was first asked to stop */
    bool stop_requested; /* by the manager */
    bool start_failed;   /* its program never ran; `failure` says why */
    struct launch_failure failure;
    void *owner;
    const struct worker_events *events;
    struct ev_loop *loop;
    int report_fd;
    ev_io report;
    struct child child;
    ev_timer stop_timer;
};

void worker_init(struct worker *worker, struct ev_loop *loop, const struct worker_events *events,
                 void *owner);

/* Starts a process. Returns 0, or -1 with a sentence. */
int worker_spawn(struct worker *worker, const struct launch_arguments *arguments, char *error,
                 size_t size);

/* A worker in the state that an upgrade saves. */
struct worker_saved {
    enum worker_state state;
    pid_t pid;
    int64_t started, stop_since;
    bool stop_requested;
    int64_t stop_time_left; /* ms until stop_timeout; -1 = it is not timed */
    int report_fd;          /* while it is starting, else -1 */
};

struct worker_saved worker_save(struct worker *worker);

/* Returns 0, or -1 with a sentence if there is no such process. */
int worker_restore(struct worker *worker, const struct worker_saved *saved, char *error,
                   size_t size);

/* Asks it to stop by `signal` (0 = no signal yet) and calls `stop_timeout` if it is still there
 * `timeout_ms` later (0 = at the loop's next iteration). Another call replaces signal and timeout.
 */
void worker_stop(struct worker *worker, int signal, int64_t timeout_ms);

/* Kills the worker and all of its process group. */
void worker_kill(struct worker *worker);

/* Sends a signal that does not stop the worker. */
void worker_signal(const struct worker *worker, int signal);

const char *worker_state_name(enum worker_state state);

#endif
