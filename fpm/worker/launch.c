/* launch.c: see launch.h.
 *
 * The manager does not wait for the exec of the child, as vfork does: from its change of user on,
 * processes of that user can stop the child, and with it whoever waits. The price is a copy of the
 * manager's page tables. Between fork and exec the child makes only async-signal-safe calls.
 */
#include "fpm/worker/launch.h"

#include "fpm/util/capabilities.h"
#include "fpm/util/child.h"
#include "fpm/util/fd.h"
#include "fpm/util/path_access.h"
#include "fpm/util/untrusted_io.h"
#include "sapi-shim/contract.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum launch_step {
    LAUNCH_SESSION,
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
    LAUNCH_CAPABILITIES,
    LAUNCH_DESCRIPTORS,
    LAUNCH_EXEC,
    LAUNCH_REPORT,
    LAUNCH_STEP_COUNT
};

static const struct {
    const char *action;
    const char *directive; /* that the operator can change */
} launch_steps[LAUNCH_STEP_COUNT] = {
    [LAUNCH_SESSION] = {"make a session", NULL},
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
    [LAUNCH_CAPABILITIES] = {"give up the manager's capabilities", NULL},
    [LAUNCH_DESCRIPTORS] = {"place the descriptors", "rlimit_files"},
    [LAUNCH_EXEC] = {"exec", "command"},
    [LAUNCH_REPORT] = {NULL, NULL},
};

enum {
    LAUNCH_PARKING = 11, /* while descriptors are moved they are above the contract's numbers */
    LAUNCH_MOVED = 10
};

static int launch_set_limit(int resource, const struct launch_limit *limit)
{
    return limit->set ? setrlimit((__rlimit_resource_t)resource, &limit->value) : 0;
}

/* First moves all descriptors out of the way, then each to its place. */
static int launch_place_descriptors(const struct launch_arguments *arguments)
{
    const struct {
        int from, to; /* from -1: close */
    } moves[LAUNCH_MOVED] = {
        {arguments->listen_fd, OT_FD_LISTEN},
        {arguments->output_fd, STDOUT_FILENO},
        {arguments->error_fd, STDERR_FILENO},
        {arguments->board_fd, OT_FD_BOARD},
        {arguments->slot_fd, OT_FD_SLOT},
        {arguments->doorbell_fd, OT_FD_DOORBELL},
        {arguments->conn_handoff_in, OT_FD_HANDOFF_IN},
        {arguments->conn_handoff_out, OT_FD_HANDOFF_OUT},
        {arguments->access_log_fd, OT_FD_ACCESS},
        {arguments->messages_fd, OT_FD_MESSAGES},
    };
    int parked[LAUNCH_MOVED];
    for (int i = 0; i < LAUNCH_MOVED; i++) {
        parked[i] = moves[i].from < 0 ? -1 : fcntl(moves[i].from, F_DUPFD_CLOEXEC, LAUNCH_PARKING);
        if (moves[i].from >= 0 && parked[i] < 0)
            return -1;
    }
    for (int i = 0; i < LAUNCH_MOVED; i++) {
        if (parked[i] < 0)
            (void)close(moves[i].to);
        else if (dup2(parked[i], moves[i].to) < 0)
            return -1;
    }
    fd_cloexec_from(OT_FD_FIRST_FREE);
    return 0;
}

static int launch_set_oom_score(const char *score)
{
    static const char path[] = "/proc/self/oom_score_adj";
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES) {
        /* Like the manager, its child cannot be traced, and then its /proc files belong to root.
         * Give that protection up while the file is opened. */
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    if (fd < 0)
        return -1;
    ssize_t done = write(fd, score, strlen(score));
    fd_close(&fd);
    return done == (ssize_t)strlen(score) ? 0 : -1;
}

/* With a session of its own it has no terminal to read from or to type into. Where the manager has
 * none there is nothing to leave: then a process group suffices, as Linux gives each session a
 * share of the processors of its own (sched(7), autogroup), and workers would not yield to their
 * clients. */
static int launch_leave_terminal(void)
{
    int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0 && errno == ENXIO)
        return setpgid(0, 0);
    fd_close(&terminal);
    return setsid() < 0 ? -1 : 0;
}

/* Each step may need a right, or a file, that a later step takes away. Returns the step that
 * failed, with errno. */
static int launch_exec(const struct launch_arguments *arguments)
{
    const char *folder = arguments->chdir;
    sigset_t none;

    /* The mask is lifted last, so that no handler of the manager's ever runs in the child. */
    sigemptyset(&none);
    child_default_signals();
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (launch_leave_terminal() != 0)
        return LAUNCH_SESSION;

    /* Descriptors come before the limits: a low limit of open files would not let them be moved. */
    if (launch_place_descriptors(arguments) != 0)
        return LAUNCH_DESCRIPTORS;
    if (arguments->umask >= 0)
        (void)umask((mode_t)arguments->umask);
    if (launch_set_limit(RLIMIT_NOFILE, &arguments->files) != 0)
        return LAUNCH_FILES;
    if (launch_set_limit(RLIMIT_CORE, &arguments->core) != 0)
        return LAUNCH_CORE;
    if (arguments->oom_score_adj != NULL && launch_set_oom_score(arguments->oom_score_adj) != 0)
        return LAUNCH_OOM;

    if (arguments->chroot != NULL && chroot(arguments->chroot) != 0)
        return LAUNCH_CHROOT;
    if (folder == NULL && arguments->chroot != NULL)
        folder = "/";
    if (folder != NULL && chdir(folder) != 0)
        return LAUNCH_CHDIR;
    if (arguments->priority.set && setpriority(PRIO_PROCESS, 0, arguments->priority.value) != 0)
        return LAUNCH_PRIORITY;

    /* What the manager was given is not for its workers. One that runs as root, or whose set-uid
     * programs the operator wants, gets capabilities by its exec. */
    bool root = arguments->change_identity ? arguments->uid == 0 : geteuid() == 0;
    if (capabilities_clear_inherited(arguments->no_new_privs && !root) != 0)
        return LAUNCH_CAPABILITIES;
    if (arguments->change_identity) {
        if (setgroups(arguments->group_count, arguments->groups) != 0)
            return LAUNCH_GROUPS;
        if (setgid(arguments->gid) != 0)
            return LAUNCH_GID;
        if (setuid(arguments->uid) != 0)
            return LAUNCH_UID;
    }
    if (arguments->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return LAUNCH_PRIVS;
    if (!root && capabilities_drop(CAPABILITIES_NONE) != 0)
        return LAUNCH_CAPABILITIES;
    if (launch_set_limit(RLIMIT_AS, &arguments->address_space) != 0)
        return LAUNCH_ADDRESS_SPACE;
    (void)execve(arguments->program, arguments->argv, arguments->envp);
    return LAUNCH_EXEC;
}

/* The pipe to the manager may stand where the contract puts a descriptor, so it is moved first. */
static _Noreturn void launch_child(const struct launch_arguments *arguments, int report_fd)
{
    int moved = fcntl(report_fd, F_DUPFD_CLOEXEC, LAUNCH_PARKING);
    struct launch_failure failure = {.step = launch_exec(arguments)};
    failure.error = errno;
    ssize_t sent = write(moved >= 0 ? moved : report_fd, &failure, sizeof failure);
    _exit(sent == (ssize_t)sizeof failure ? 127 : 126);
}

pid_t launch(const struct launch_arguments *arguments, int *report_fd, char *error, size_t size)
{
    int report[2];
    sigset_t all, before;
    if (pipe2(report, O_CLOEXEC | O_NONBLOCK) != 0) {
        snprintf(error, size, "pipe: %s; check `rlimit_files` in [global]", strerror(errno));
        return -1;
    }
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        launch_child(arguments, report[1]);
    int saved = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    fd_close(&report[1]);
    if (pid < 0) {
        fd_close(&report[0]);
        snprintf(error, size, "fork: %s", strerror(saved));
        return -1;
    }
    *report_fd = report[0];
    return pid;
}

int launch_report(int report_fd, struct launch_failure *failure)
{
    struct launch_failure found;
    ssize_t got = untrusted_io_read_own(report_fd, &found, sizeof found);
    if (got == 0)
        return 1;
    if (got != (ssize_t)sizeof found || found.step < 0 || found.step >= LAUNCH_STEP_COUNT)
        return 0;
    *failure = found;
    return -1;
}

struct launch_failure launch_without_report(bool stopped)
{
    return (struct launch_failure){.step = LAUNCH_REPORT, .error = stopped ? EINTR : ETIMEDOUT};
}

void launch_explain(const struct launch_arguments *arguments, const struct launch_failure *failure,
                    char *text, size_t size)
{
    int step =
        failure->step >= 0 && failure->step < LAUNCH_STEP_COUNT ? failure->step : LAUNCH_EXEC;
    const char *object = step == LAUNCH_CHROOT ? arguments->chroot
                         : step == LAUNCH_CHDIR
                             ? (arguments->chdir != NULL ? arguments->chdir : "/")
                         : step == LAUNCH_OOM  ? arguments->oom_score_adj
                         : step == LAUNCH_EXEC ? arguments->program
                                               : NULL;
    if (step == LAUNCH_REPORT) {
        snprintf(text, size, "%s before it executed its program, and is killed",
                 failure->error == EINTR ? "another process of its user stopped it"
                                         : "it did not go on");
        return;
    }
    /* These two are resolved inside the new root. */
    bool inside = arguments->chroot != NULL && (step == LAUNCH_CHDIR || step == LAUNCH_EXEC);
    const char *directive = launch_steps[step].directive;
    const struct path_access_user user = {.name = arguments->user,
                                          .uid = arguments->uid,
                                          .gid = arguments->gid,
                                          .groups = arguments->groups,
                                          .count = arguments->group_count};
    char obstacle[PATH_MAX];
    int used =
        snprintf(text, size, "%s%s%s%s%s: %s", launch_steps[step].action, object != NULL ? " " : "",
                 object != NULL ? object : "", inside ? " inside " : "",
                 inside ? arguments->chroot : "", strerror(failure->error));
    if (step == LAUNCH_EXEC && failure->error == EACCES && arguments->change_identity && used > 0 &&
        (size_t)used < size &&
        path_access_obstacle(&user, arguments->chroot, arguments->program, obstacle,
                             sizeof obstacle))
        used += snprintf(text + used, size - (size_t)used, ": %s", obstacle);
    if (directive != NULL && used > 0 && (size_t)used < size)
        snprintf(text + used, size - (size_t)used, "; check `%s`", directive);
}
