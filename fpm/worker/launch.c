/* launch.c: see launch.h.
 *
 * The child runs in the manager's memory, on a stack of its own, while the manager waits for its
 * exec: there is no memory to copy and none to fault in, which is most of what a start costs. Nor
 * does it copy the manager's descriptors, of which there are some for each worker: it begins with
 * the manager's table and takes of it what it is given, which is put low for that.
 * Between clone and exec only async-signal-safe calls are made, and nothing of the manager's is
 * written but errno.
 */
#include "fpm/worker/launch.h"

#include "fpm/util/child.h"
#include "fpm/util/fd.h"
#include "fpm/worker/launch_fds.h"
#include "sapi-shim/contract.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum launch_step {
    LAUNCH_GROUP,
    LAUNCH_FILES,
    LAUNCH_CORE,
    LAUNCH_ADDRESS_SPACE,
    LAUNCH_OOM,
    LAUNCH_CHROOT,
    LAUNCH_CHDIR,
    LAUNCH_PRIORITY,
    LAUNCH_GROUPS,
    LAUNCH_GID,
    LAUNCH_UID,
    LAUNCH_PRIVS,
    LAUNCH_DESCRIPTORS,
    LAUNCH_EXEC,
    LAUNCH_STEP_COUNT
};

static const struct {
    const char *deed;
    const char *directive; /* what the operator can turn */
} launch_steps[LAUNCH_STEP_COUNT] = {
    [LAUNCH_GROUP] = {"make a process group", NULL},
    [LAUNCH_FILES] = {"set the limit of open files", "rlimit_files"},
    [LAUNCH_CORE] = {"set the limit of core files", "rlimit_core"},
    [LAUNCH_ADDRESS_SPACE] = {"set the limit of address space", "rlimit_as"},
    [LAUNCH_OOM] = {"set the OOM score", "oom_score_adj"},
    [LAUNCH_CHROOT] = {"chroot", "chroot"},
    [LAUNCH_CHDIR] = {"chdir", "chdir"},
    [LAUNCH_PRIORITY] = {"set the priority", "process.priority"},
    [LAUNCH_GROUPS] = {"set the supplementary groups", "user"},
    [LAUNCH_GID] = {"set the group", "group"},
    [LAUNCH_UID] = {"set the user", "user"},
    [LAUNCH_PRIVS] = {"set no_new_privs", "no_new_privs"},
    [LAUNCH_DESCRIPTORS] = {"place the descriptors", "rlimit_files"},
    [LAUNCH_EXEC] = {"exec", "command"},
};

/* While being moved, descriptors stay above this, clear of the contract's numbers. */
enum {
    LAUNCH_PARKING = 10,
    LAUNCH_MOVED = 9,
    LAUNCH_REPORT = LAUNCH_MOVED, /* behind those that are moved */
    LAUNCH_GIVEN
};

/* Where a child finds its descriptors, in the contract's order, and the pipe to the manager. */
struct launch_order {
    const struct launch_arguments *spec;
    int from[LAUNCH_GIVEN]; /* -1 = none */
    unsigned end;           /* all are below this, and the table is the manager's; 0 = it is not */
};

static int launch_limit_set(int resource, const struct launch_limit *limit)
{
    return limit->set ? setrlimit((__rlimit_resource_t)resource, &limit->value) : 0;
}

/* First all out of the way, then each to its place. */
static int launch_place_descriptors(const int *from)
{
    static const int to[LAUNCH_MOVED] = {OT_FD_LISTEN,     STDOUT_FILENO,     STDERR_FILENO,
                                         OT_FD_BOARD,      OT_FD_SLOT,        OT_FD_DOORBELL,
                                         OT_FD_HANDOFF_IN, OT_FD_HANDOFF_OUT, OT_FD_ACCESS};
    int parked[LAUNCH_MOVED];
    for (int i = 0; i < LAUNCH_MOVED; i++) {
        parked[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD_CLOEXEC, LAUNCH_PARKING);
        if (from[i] >= 0 && parked[i] < 0)
            return -1;
    }
    for (int i = 0; i < LAUNCH_MOVED; i++) {
        if (parked[i] < 0)
            (void)close(to[i]);
        else if (dup2(parked[i], to[i]) < 0)
            return -1;
    }
    fd_cloexec_from(OT_FD_FIRST_FREE);
    return 0;
}

/* The manager cannot be traced, and neither can its child; what is in /proc of such a process
 * belongs to root. The moment it takes to open the file is given up for that. */
static int launch_open_oom(void)
{
    static const char path[] = "/proc/self/oom_score_adj";
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 || errno != EACCES)
        return fd;
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return fd;
}

static int launch_oom(const char *score)
{
    if (score == NULL)
        return 0;
    int fd = launch_open_oom();
    if (fd < 0)
        return -1;
    ssize_t done = write(fd, score, strlen(score));
    fd_close(&fd);
    return done == (ssize_t)strlen(score) ? 0 : -1;
}

/* Where the worker stands. Returns the step that failed, -1 if none. */
static int launch_place(const struct launch_arguments *spec)
{
    const char *folder = spec->chdir != NULL ? spec->chdir : spec->chroot != NULL ? "/" : NULL;
    if (spec->chroot != NULL && chroot(spec->chroot) != 0)
        return LAUNCH_CHROOT;
    if (folder != NULL && chdir(folder) != 0)
        return LAUNCH_CHDIR;
    return -1;
}

/* Returns the step that failed, -1 if none. */
static int launch_identity(const struct launch_arguments *spec)
{
    if (!spec->change_identity)
        return -1;
    if (setgroups(spec->group_count, spec->groups) != 0)
        return LAUNCH_GROUPS;
    if (setgid(spec->gid) != 0)
        return LAUNCH_GID;
    if (setuid(spec->uid) != 0)
        return LAUNCH_UID;
    return -1;
}

/* What only the manager may do: each of these may need a right, or a file, that the next take away.
 * Limits come after the descriptors, which a low one would not let through. Returns the step that
 * failed, -1 if none. */
static int launch_prepare(const struct launch_arguments *spec)
{
    if (launch_limit_set(RLIMIT_NOFILE, &spec->files) != 0)
        return LAUNCH_FILES;
    if (launch_limit_set(RLIMIT_CORE, &spec->core) != 0)
        return LAUNCH_CORE;
    if (launch_oom(spec->oom_score_adj) != 0)
        return LAUNCH_OOM;
    int step = launch_place(spec);
    if (step >= 0)
        return step;
    if (spec->priority.set && setpriority(PRIO_PROCESS, 0, spec->priority.value) != 0)
        return LAUNCH_PRIORITY;
    return launch_identity(spec);
}

/* Returns the step that failed, errno set. */
static int launch_become(const struct launch_order *order)
{
    const struct launch_arguments *spec = order->spec;
    sigset_t none;
    sigemptyset(&none);
    child_default_signals();
    /* The mask is lifted last, so that no handler of the manager ever runs in the child. */
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (setpgid(0, 0) != 0)
        return LAUNCH_GROUP;
    if (launch_place_descriptors(order->from) != 0)
        return LAUNCH_DESCRIPTORS;
    if (spec->umask >= 0)
        (void)umask((mode_t)spec->umask);
    int step = launch_prepare(spec);
    if (step >= 0)
        return step;
    if (spec->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return LAUNCH_PRIVS;
    if (launch_limit_set(RLIMIT_AS, &spec->address_space) != 0)
        return LAUNCH_ADDRESS_SPACE;
    (void)execve(spec->program, spec->argv, spec->envp);
    return LAUNCH_EXEC;
}

/* A table of its own, with the low end of the manager's. The pipe to the manager may stand where
 * the contract puts a descriptor, so it is moved first. */
static int launch_child(void *context)
{
    const struct launch_order *order = context;
    int safe = order->from[LAUNCH_REPORT], step = LAUNCH_DESCRIPTORS;
    if (order->end == 0 || close_range(order->end, ~0u, CLOSE_RANGE_UNSHARE) == 0) {
        int moved = fcntl(safe, F_DUPFD_CLOEXEC, LAUNCH_PARKING);
        safe = moved >= 0 ? moved : safe;
        step = launch_become(order);
    }
    struct launch_failure failure = {.step = step, .error = errno};
    ssize_t told = write(safe, &failure, sizeof failure);
    _exit(told == (ssize_t)sizeof failure ? 127 : 126);
}

#ifdef __SANITIZE_ADDRESS__
/* The sanitizer keeps books of the stack, which a child must not write. */
static pid_t launch_clone(struct launch_order *order)
{
    pid_t pid = fork();
    if (pid == 0)
        (void)launch_child(order);
    return pid;
}
#else
/* What the child changes of its memory's rights is the manager's, too: a change of user takes away
 * that it can be dumped, and gets it back here. An OOM score needs more, and a copy. */
static pid_t launch_clone(struct launch_order *order)
{
    static _Alignas(16) char stack[64 * 1024];
    int flags = order->spec->oom_score_adj == NULL ? CLONE_VM | CLONE_VFORK : 0;
    if (order->end > 0)
        flags |= CLONE_FILES;
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    pid_t pid = clone(launch_child, stack + sizeof stack, flags | SIGCHLD, order);
    int saved = errno;
    if (dumpable == 1)
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    errno = saved;
    return pid;
}
#endif

/* What the child is given, at its own numbers. */
static struct launch_order launch_order(const struct launch_arguments *spec, int report_fd)
{
    return (struct launch_order){
        .spec = spec,
        .from = {spec->listen_fd, spec->output_fd, spec->error_fd, spec->board_fd, spec->slot_fd,
                 spec->doorbell_fd, spec->conn_handoff_in, spec->conn_handoff_out,
                 spec->access_log_fd, report_fd},
    };
}

pid_t launch(const struct launch_arguments *spec, int *report_fd, char *error, size_t size)
{
    int report[2];
    sigset_t all, before;
    if (pipe2(report, O_CLOEXEC | O_NONBLOCK) != 0) {
        snprintf(error, size, "pipe: %s; check `rlimit_files` in [global]", strerror(errno));
        return -1;
    }
    struct launch_order order = launch_order(spec, report[1]);
    bool shares = launch_fds_ready() && spec->oom_score_adj == NULL;
    if (shares)
        order.end = launch_fds_fill(order.from, LAUNCH_GIVEN);
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = launch_clone(&order);
    int saved = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (shares)
        launch_fds_empty();
    fd_close(&report[1]);
    if (pid < 0) {
        fd_close(&report[0]);
        snprintf(error, size, "fork: %s", strerror(saved));
        return -1;
    }
    /* The child does the same; whoever is first, a signal to the group finds it. */
    (void)setpgid(pid, pid);
    *report_fd = report[0];
    return pid;
}

int launch_report(int report_fd, struct launch_failure *failure)
{
    struct launch_failure told;
    ssize_t got = read(report_fd, &told, sizeof told);
    if (got == 0)
        return 1;
    if (got == (ssize_t)sizeof told && told.step >= 0 && told.step < LAUNCH_STEP_COUNT) {
        *failure = told;
        return -1;
    }
    return 0;
}

/* What the step was done to. */
static const char *launch_object(const struct launch_arguments *spec, int step)
{
    switch (step) {
    case LAUNCH_CHROOT:
        return spec->chroot;
    case LAUNCH_CHDIR:
        return spec->chdir != NULL ? spec->chdir : "/";
    case LAUNCH_OOM:
        return spec->oom_score_adj;
    case LAUNCH_EXEC:
        return spec->program;
    default:
        return NULL;
    }
}

/* What is looked for inside a jail is told so. */
static bool launch_is_inside(const struct launch_arguments *spec, int step)
{
    return spec->chroot != NULL && (step == LAUNCH_CHDIR || step == LAUNCH_EXEC);
}

void launch_explain(const struct launch_arguments *spec, const struct launch_failure *failure,
                    char *text, size_t size)
{
    int step =
        failure->step >= 0 && failure->step < LAUNCH_STEP_COUNT ? failure->step : LAUNCH_EXEC;
    const char *object = launch_object(spec, step);
    const char *directive = launch_steps[step].directive;
    bool inside = launch_is_inside(spec, step);
    int used =
        snprintf(text, size, "%s%s%s%s%s: %s", launch_steps[step].deed, object != NULL ? " " : "",
                 object != NULL ? object : "", inside ? " inside " : "", inside ? spec->chroot : "",
                 strerror(failure->error));
    if (directive != NULL && used > 0 && (size_t)used < size)
        snprintf(text + used, size - (size_t)used, "; check `%s`", directive);
}
