/* launch.h: from a plain specification to a running program: everything between fork and exec.
 *
 * Decides nothing: the specification is complete and resolved. It waits for the kernel to begin
 * with the program, a fraction of a millisecond, and for nobody else: a child that fails before its
 * program runs says so through a pipe that closes by itself when the program runs. Called by
 * worker, from one thread.
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

/* All a worker is made of. Nothing here is changed or kept. */
struct launch_arguments {
    const char *program; /* path; no search takes place */
    char *const *argv;
    char *const *envp;
    int listen_fd, board_fd, slot_fd, doorbell_fd, conn_handoff_in,
        conn_handoff_out;    /* as the contract says */
    int access_log_fd;       /* the same; -1: its number stays free */
    int output_fd, error_fd; /* become 1 and 2 */
    const char *chroot;      /* NULL: none; `program` and `chdir` are then seen from inside */
    const char *chdir;       /* NULL: stay, with chroot: at its top */
    int umask;               /* -1: keep */
    struct launch_limit files, core, address_space;
    struct launch_number priority; /* nice value */
    const char *oom_score_adj;     /* decimal; NULL: keep */
    bool change_identity;
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* all groups, with change_identity */
    size_t group_count;
    bool no_new_privs;
};

/* Where a start failed, as the child reports it. */
struct launch_failure {
    int step; /* of launch.c, for launch_explain */
    int error;
};

/* Forks and lets the child become the program in a process group of its own. Returns its pid, with
 * *report_fd the non-blocking end of the pipe: end of file = the program runs, a whole struct
 * launch_failure = it never will. Or -1 with a sentence. */
pid_t launch(const struct launch_arguments *spec, int *report_fd, char *error, size_t size);

/* Reads the report: 1 the program runs, 0 not known yet, -1 failed and *failure filled. */
int launch_report(int report_fd, struct launch_failure *failure);

/* Composes "chdir /x: No such file or directory; check `chdir`". */
void launch_explain(const struct launch_arguments *spec, const struct launch_failure *failure,
                    char *text, size_t size);

#endif
