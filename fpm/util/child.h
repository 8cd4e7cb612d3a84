/* child.h: tells its owner when a process that we started, or took over, has ended.
 *
 * Each child is watched through a descriptor of its own (pidfd), so that one death costs the same
 * however many children there are. Starts and signals nobody. Called by whoever forks: worker, and
 * the helpers of the manager.
 */
#ifndef FPM_CHILD_H
#define FPM_CHILD_H

#include <ev.h>
#include <sys/types.h>

struct child {
    pid_t pid; /* 0 = none */
    int fd;    /* pidfd, -1 = none */
    struct ev_loop *loop;
    ev_io io;
    /* Reaped; `status` is that of wait(2), -1 where somebody else took it. The child is none when
     * it is called. */
    void (*ended)(struct child *child, int status);
    void *owner;
};

/* A child of none. */
void child_init(struct child *child, struct ev_loop *loop,
                void (*ended)(struct child *child, int status), void *owner);

/* Watches a child process from now on; one that has ended already is told at the loop's next turn.
 * Returns 0, or -1 with errno: EMFILE, ENFILE, or ENOSYS on a kernel before 5.3. */
int child_watch(struct child *child, pid_t pid);

/* Forgets a child that goes on; nobody will reap it. */
void child_forget(struct child *child);

/* In a child before exec: gives every signal its default action. Async-signal-safe; the signal mask
 * is the caller's. */
void child_default_signals(void);

/* As the first process of a container: reaps every process that has ended, also those that nobody
 * here started; `orphan` is told of the latter. Call it at SIGCHLD. */
void child_reap_all(void (*orphan)(pid_t pid, int status));

#endif
