/* child.h: calls back when a child process has exited.
 *
 * Each child is watched by a pidfd, so that its end is noticed whoever else reaps children. Starts
 * no process and sends no signal.
 */
#ifndef FPM_CHILD_H
#define FPM_CHILD_H

#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

struct child {
    pid_t pid; /* 0 = none */
    int fd;    /* pidfd, -1 = none */
    struct ev_loop *loop;
    ev_io io;
    /* Called when the child was reaped. `status` is that of wait(2), or -1 if other code reaped it.
     * child->pid is 0 by then. */
    void (*ended)(struct child *child, int status);
    void *owner;
};

/* Initializes; no process is watched. */
void child_init(struct child *child, struct ev_loop *loop,
                void (*ended)(struct child *child, int status), void *owner);

/* Watches a child process; one that has exited already is reported in the loop's next turn. Returns
 * 0, or -1 with errno: EMFILE, ENFILE, or ENOSYS on a kernel before 5.3. */
int child_watch(struct child *child, pid_t pid);

/* Stops watching; the process runs on and is not reaped. */
void child_forget(struct child *child);

/* In a child before exec: gives every signal its default action. Async-signal-safe; the signal mask
 * is the caller's. */
void child_default_signals(void);

/* At SIGCHLD: reaps every child that has exited, also those that the manager adopted or inherited
 * by exec. `orphan` is called for those that no struct child watches. */
void child_reap_all(void (*orphan)(pid_t pid, int status));

/* Does a struct child watch this process? */
bool child_is_watched(pid_t pid);

/* How many are watched. */
unsigned child_watched(void);

#endif
