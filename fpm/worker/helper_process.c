/* helper_process.c: see helper_process.h. */
#include "fpm/worker/helper_process.h"

#include "fpm/util/capabilities.h"
#include "fpm/util/fd.h"
#include "fpm/util/untrusted_io.h"
#include "fpm/worker/process_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    HELPER_PROCESS_BUFFER = 4096,  /* bytes of output to allocate at first */
    HELPER_PROCESS_READS = 64,     /* of what is left in the pipe at the end */
    HELPER_PROCESS_REAP_MS = 1000, /* to wait for a killed process */
    HELPER_PROCESS_NOT_RUN = 127
};

int helper_process_find(const char *name, char *path, size_t size, char *error, size_t error_size)
{
    static const char *const places[] = {"", "../libexec/overtime/"};
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    own[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(own, '/');
    for (size_t i = 0; slash != NULL && i < sizeof places / sizeof *places; i++) {
        slash[1] = '\0';
        int used = snprintf(path, size, "%s%s%s", own, places[i], name);
        if (used > 0 && (size_t)used < size && access(path, X_OK) == 0)
            return 0;
    }
    snprintf(error, error_size,
             "%s is neither beside the manager's program nor in ../libexec/overtime from there",
             name);
    return -1;
}

/* ---- output ---- */

/* False if there is no more for now. */
static bool helper_process_read(struct helper_process *helper)
{
    char dropped[HELPER_PROCESS_BUFFER];
    if (helper->length == helper->size && helper->size < helper->max) {
        size_t size = helper->size * 2 < helper->max ? helper->size * 2 : helper->max;
        char *grown = realloc(helper->output, size + 1);
        if (grown != NULL) {
            helper->output = grown;
            helper->size = size;
        }
    }
    /* A full pipe would block the program, so what exceeds the maximum is read, too. */
    size_t space = helper->size - helper->length;
    ssize_t count = untrusted_io_read_own(helper->output_fd,
                                          space > 0 ? helper->output + helper->length : dropped,
                                          space > 0 ? space : sizeof dropped);
    if (count < 0 && errno == EINTR)
        return true;
    if (count == 0)
        ev_io_stop(helper->child.loop, &helper->io);
    if (count <= 0)
        return false;
    helper->truncated |= space == 0;
    helper->length += space > 0 ? (size_t)count : 0;
    helper->output[helper->length] = '\0';
    return true;
}

static void helper_process_on_output(struct ev_loop *loop, ev_io *io, int events)
{
    (void)helper_process_read(io->data);
}

static void helper_process_close(struct helper_process *helper)
{
    ev_timer_stop(helper->child.loop, &helper->limit);
    if (helper->output_fd >= 0)
        ev_io_stop(helper->child.loop, &helper->io);
    fd_close(&helper->output_fd);
}

static void helper_process_free(struct helper_process *helper)
{
    helper_process_close(helper);
    free(helper->output);
    helper->output = NULL;
}

/* ---- the end ---- */

/* Reads what is still in the pipe; output of processes that the program left behind is not waited
 * for. */
static void helper_process_done(struct helper_process *helper, int status)
{
    for (int i = 0; i < HELPER_PROCESS_READS && helper_process_read(helper); i++)
        continue;
    helper_process_close(helper);
    helper->done_called = true;
    helper->done(helper, status);
}

static void helper_process_on_end(struct child *child, int status)
{
    struct helper_process *helper = child->owner;
    if (!helper->done_called)
        helper_process_done(helper, status);
    helper_process_free(helper);
    if (helper->reaped != NULL)
        helper->reaped(helper);
}

static void helper_process_kill(pid_t pid)
{
    (void)kill(-pid, SIGKILL);
    (void)kill(pid, SIGKILL);
}

/* The owner learns of it now, even if the process takes its time to die. */
static void helper_process_on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct helper_process *helper = timer->data;
    helper_process_kill(helper->child.pid);
    helper->timed_out = true;
    helper_process_done(helper, -1);
}

void helper_process_stop(struct helper_process *helper)
{
    pid_t pid = helper->child.pid;
    if (pid == 0)
        return;
    child_forget(&helper->child);
    helper_process_kill(pid);
    for (int ms = 0; ms < HELPER_PROCESS_REAP_MS && waitpid(pid, NULL, WNOHANG) == 0; ms++)
        (void)usleep(1000);
    helper_process_free(helper);
}

/* ---- the start ---- */

void helper_process_init(struct helper_process *helper, struct ev_loop *loop,
                         void (*done)(struct helper_process *helper, int status),
                         void (*reaped)(struct helper_process *helper), void *owner)
{
    *helper =
        (struct helper_process){.output_fd = -1, .done = done, .reaped = reaped, .owner = owner};
    child_init(&helper->child, loop, helper_process_on_end, helper);
    ev_init(&helper->io, helper_process_on_output);
    ev_init(&helper->limit, helper_process_on_limit);
    helper->io.data = helper->limit.data = helper;
}

pid_t helper_process_fork(int output_fd)
{
    sigset_t all, before;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        (void)setsid();
        child_default_signals();
        (void)fd_null_standard();
        if (output_fd >= 0 &&
            (dup2(output_fd, STDOUT_FILENO) < 0 || dup2(output_fd, STDERR_FILENO) < 0))
            _exit(HELPER_PROCESS_NOT_RUN);
        return 0;
    }
    int saved = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

/* Gives up what the helper does not need. Returns 0, or -1 with errno. */
static int helper_process_restrict(const struct helper_process_arguments *arguments)
{
    const struct helper_process_user *user = arguments->user;
    bool root = user != NULL ? user->uid == 0 : geteuid() == 0;
    if (arguments->successor)
        return 0;
    if (capabilities_clear_inherited(!root && !arguments->traces) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    if (user != NULL && (setgroups(user->count, user->groups) != 0 || setgid(user->gid) != 0 ||
                         setuid(user->uid) != 0))
        return -1;
    return root ? 0 : capabilities_drop(arguments->traces ? CAP_SYS_PTRACE : CAPABILITIES_NONE);
}

static _Noreturn void helper_process_exec(const struct helper_process_arguments *arguments)
{
    struct rlimit files = process_limits_worker_files();
    static char path[] = "PATH=" HELPER_PROCESS_PATH;
    static char *const clean[] = {path, NULL};
    char *const *envp = arguments->envp != NULL ? arguments->envp : clean;
    sigset_t none;
    sigemptyset(&none);
#ifdef __SANITIZE_ADDRESS__
    envp = environ; /* which holds the sanitizers' options */
#endif
    fd_cloexec_from(STDERR_FILENO + 1);
    if (arguments->keep_fd >= 0)
        (void)fcntl(arguments->keep_fd, F_SETFD, 0);
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    /* The signal at the manager's death comes last, because a change of user cancels it. */
    if (helper_process_restrict(arguments) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
        (void)execve(arguments->program, arguments->argv, arguments->successor ? environ : envp);
    dprintf(STDOUT_FILENO, "cannot run %s: %s\n", arguments->program, strerror(errno));
    _exit(HELPER_PROCESS_NOT_RUN);
}

int helper_process_start(struct helper_process *helper,
                         const struct helper_process_arguments *arguments)
{
    struct ev_loop *loop = helper->child.loop;
    int ends[2] = {-1, -1};
    pid_t pid = -1;
    helper->max = arguments->output_max;
    helper->size =
        helper->max < HELPER_PROCESS_BUFFER ? helper->max : (size_t)HELPER_PROCESS_BUFFER;
    helper->length = 0;
    helper->truncated = helper->timed_out = helper->done_called = false;
    helper->output = calloc(1, helper->size + 1);
    if (helper->output != NULL && pipe2(ends, O_CLOEXEC) == 0 && untrusted_io_own(ends[0]) == 0)
        pid = helper_process_fork(ends[1]);
    if (pid == 0)
        helper_process_exec(arguments);
    fd_close(&ends[1]);
    helper->output_fd = ends[0];
    if (pid < 0 || child_watch(&helper->child, pid) != 0) {
        int saved = errno;
        if (pid > 0)
            helper_process_kill(pid); /* reaped at SIGCHLD */
        helper_process_free(helper);
        errno = saved;
        return -1;
    }
    ev_io_set(&helper->io, helper->output_fd, EV_READ);
    ev_io_start(loop, &helper->io);
    ev_now_update(loop);
    ev_timer_set(&helper->limit, arguments->limit_ms / 1000., 0.);
    ev_timer_start(loop, &helper->limit);
    return 0;
}
