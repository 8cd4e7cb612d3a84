/* launch.h: everything between fork and exec of a worker.
 *
 * Decides nothing: the arguments are complete and resolved. It waits for nothing: a child that
 * fails before its program runs reports that through a pipe, which the exec of the program closes.
 * Call it from one thread.
 */
#ifndef FPM_LAUNCH_H
#define FPM_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

/* A resource limit to set, or not. */
struct launch_limit {
    bool set;
    struct rlimit value;
};

/* A number to set, or not. */
struct launch_number {
    bool set;
    int value;
};

/* Nothing here is changed or kept. */
struct launch_arguments {
    const char *program; /* path; no search takes place */
    char *const *argv;
    char *const *envp;
    /* They get the contract's numbers; -1 = the number stays free. */
    int listen_fd, board_fd, slot_fd, doorbell_fd, conn_handoff_in, conn_handoff_out, access_log_fd,
        messages_fd;
    int output_fd, error_fd; /* become 1 and 2 */
    const char *chroot;      /* NULL = none; `program` and `chdir` are seen from inside it */
    const char *chdir;       /* NULL = keep, or with chroot the new root */
    int umask;               /* -1 = keep */
    struct launch_limit files, core, address_space;
    struct launch_number priority; /* nice value */
    const char *oom_score_adj;     /* decimal; NULL = keep */
    bool change_identity;
    const char *user; /* the name, for sentences; NULL = none */
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* all groups, with change_identity */
    size_t group_count;
    bool no_new_privs;
};

/* Where a start failed, as the child reports it. */
struct launch_failure {
    int step; /* for launch_explain */
    int error;
};

/* Starts the program away from the manager's terminal and without its capabilities. Returns its
 * pid, and in *report_fd the end of the pipe, non-blocking, for launch_report; or -1 with a
 * sentence. */
pid_t launch(const struct launch_arguments *arguments, int *report_fd, char *error, size_t size);

/* Reads the report: 1 = the program runs, 0 = not known yet, -1 = it never will, with *failure
 * filled. */
int launch_report(int report_fd, struct launch_failure *failure);

/* The failure of a start that has no report in time; `stopped`: by a signal. */
struct launch_failure launch_without_report(bool stopped);

/* Composes "chdir /x: No such file or directory; check `chdir`". */
void launch_explain(const struct launch_arguments *arguments, const struct launch_failure *failure,
                    char *text, size_t size);

#endif
