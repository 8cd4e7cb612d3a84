/* helper_process.h: runs a program that helps the manager for a short time, collects its output and
 * kills it at a time limit.
 *
 * The event loop goes on meanwhile. It decides nothing about the meaning of the output.
 */
#ifndef FPM_HELPER_PROCESS_H
#define FPM_HELPER_PROCESS_H

#include "fpm/util/child.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* PATH of programs whose environment is cleared. */
#define HELPER_PROCESS_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Another user than the manager's. */
struct helper_process_user {
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t count;
};

/* What to run. Nothing here is kept. */
struct helper_process_arguments {
    const char *program; /* path; no search takes place */
    char *const *argv;
    char *const *envp;                      /* NULL = PATH alone */
    const struct helper_process_user *user; /* NULL = the manager's */
    bool successor;                         /* keeps environment and rights of the manager */
    bool traces;                            /* keeps CAP_SYS_PTRACE, if the manager has it */
    int keep_fd;       /* stays open in the program under its number; -1 = none */
    size_t output_max; /* bytes of output to keep; more are read and dropped */
    int limit_ms;      /* the process group is killed after this time */
};

struct helper_process {
    struct child child; /* pid 0 = no process */
    int output_fd;
    ev_io io;
    ev_timer limit;
    char *output; /* NUL-terminated; may hold any byte */
    size_t length, size, max;
    bool truncated; /* the program wrote more than output_max */
    bool timed_out;
    bool done_called;
    /* The output is complete. `status` is that of wait(2), -1 = unknown: also after the time limit,
     * when the process may not be dead yet. */
    void (*done)(struct helper_process *helper, int status);
    /* After `done`: the process is reaped, the output freed, and the helper may be freed or started
     * again. NULL = not needed. */
    void (*reaped)(struct helper_process *helper);
    void *owner;
};

void helper_process_init(struct helper_process *helper, struct ev_loop *loop,
                         void (*done)(struct helper_process *helper, int status),
                         void (*reaped)(struct helper_process *helper), void *owner);

/* Starts the program with standard output and standard error in one pipe, standard input on
 * /dev/null, and the workers' limit of open files; it is killed when the manager dies. A program
 * that cannot be executed writes "cannot run PATH: REASON" and exits with status 127. Returns 0, or
 * -1 with errno. */
int helper_process_start(struct helper_process *helper,
                         const struct helper_process_arguments *arguments);

/* Kills the process group, waits for the process, but at most 1 s, and frees the output; neither
 * callback is called. */
void helper_process_stop(struct helper_process *helper);

/* Finds one of our programs beside the manager's, as in a build tree, or in ../libexec/overtime
 * from there, as installed. Returns 0, or -1 with a sentence. */
int helper_process_find(const char *name, char *path, size_t size, char *error, size_t error_size);

/* Forks a process in a session of its own. In the child all signals have their default action and
 * are blocked, and standard input is /dev/null, as are standard output and error unless `output_fd`
 * is
 * >= 0. Returns as fork(2) does. */
pid_t helper_process_fork(int output_fd);

#endif
