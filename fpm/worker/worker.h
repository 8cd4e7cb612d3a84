/* worker.h: one child process from its start to its end.
 *
 * It starts the process, learns whether its program runs, asks it to stop, notices when it has not,
 * kills it, and reaps it. It decides nothing: news goes to its owner through the callbacks handed
 * over at spawn. Called by pool.
 */
#ifndef FPM_WORKER_H
#define FPM_WORKER_H

#include "fpm/util/child.h"
#include "fpm/worker/launch.h"

#include <ev.h>
#include <stdint.h>

enum worker_state {
    WORKER_NONE,     /* no process */
    WORKER_STARTING, /* forked, its program not known to run yet */
    WORKER_RUNNING,
    WORKER_STOPPING, /* asked to go */
    WORKER_KILLED,   /* sent KILL, not reaped yet */
    WORKER_STATE_COUNT
};

struct worker;

/* News of one worker. The owner may not spawn into it before `ended` was called. */
struct worker_events {
    void (*moved)(struct worker *worker, enum worker_state from, enum worker_state to);
    void (*overdue)(struct worker *worker); /* asked to go and did not in time */
    void (*ended)(
        struct worker *worker); /* reaped: read pid, status, failure, ..., then it is none */
};

struct worker {
    enum worker_state state;
    pid_t pid;
    int status;          /* of wait(2), in `ended`; -1 unknown */
    int64_t started;     /* ms, clock.h */
    int64_t asked_since; /* ms: first asked to stop */
    bool asked;          /* the manager sent it a signal to go */
    bool start_failed;   /* its program never ran; `failure` says why */
    struct launch_failure failure;
    void *owner;
    const struct worker_events *events;
    struct ev_loop *loop;
    int report_fd;
    ev_io report;
    struct child child;
    ev_timer patience;
};

/* An empty worker. */
void worker_init(struct worker *worker, struct ev_loop *loop, const struct worker_events *events,
                 void *owner);

/* Starts a process. Returns 0, or -1 with a sentence. */
int worker_spawn(struct worker *worker, const struct launch_arguments *spec, char *error,
                 size_t size);

/* How a worker was left by another program in this process's place (see upgrade.h). */
struct worker_heir {
    enum worker_state state;
    pid_t pid;
    int64_t started, asked_since;
    bool asked;
    int64_t patience; /* ms left of it; -1: nothing is waited for */
    int report_fd;    /* while it is starting, else -1 */
};

/* Takes it over. Returns 0, or -1 with a sentence if there is no such process. */
int worker_adopt(struct worker *worker, const struct worker_heir *heir, char *error, size_t size);

/* How it stands, for the program that takes this one's place. */
struct worker_heir worker_leave(struct worker *worker);

/* Asks it to stop by `signal` (0: sends none yet) and calls `overdue` if it is still there
 * `patience_ms` later (0: at the loop's next turn). Asking again replaces signal and patience. */
void worker_stop(struct worker *worker, int signal, long patience_ms);

/* Kills the worker and what it forked into its process group. */
void worker_kill(struct worker *worker);

/* Sends a signal that asks for nothing. */
void worker_signal(const struct worker *worker, int signal);

const char *worker_state_name(enum worker_state state);

#endif
