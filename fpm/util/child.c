/* child.c: see child.h. */
#include "fpm/util/child.h"

#include "fpm/util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* All watched children by pid, for child_reap_all. */
static void *child_tree;
static unsigned child_count;

static int child_order(const void *a, const void *b)
{
    pid_t first = ((const struct child *)a)->pid, second = ((const struct child *)b)->pid;
    return (first > second) - (first < second);
}

static void child_stop(struct child *child)
{
    (void)tdelete(child, &child_tree, child_order);
    child_count--;
    ev_io_stop(child->loop, &child->io);
    fd_close(&child->fd);
    child->pid = 0;
}

static void child_end(struct child *child, int status)
{
    child_stop(child);
    child->ended(child, status);
}

static void child_on_end(struct ev_loop *loop, ev_io *io, int events)
{
    struct child *child = io->data;
    int status = -1;
    pid_t pid;
    do
        pid = waitpid(child->pid, &status, WNOHANG);
    while (pid < 0 && errno == EINTR);
    if (pid != 0)
        child_end(child, pid > 0 ? status : -1);
}

void child_init(struct child *child, struct ev_loop *loop,
                void (*ended)(struct child *child, int status), void *owner)
{
    *child = (struct child){.fd = -1, .loop = loop, .ended = ended, .owner = owner};
}

void child_default_signals(void)
{
    struct sigaction fresh = {.sa_handler = SIG_DFL};
    sigemptyset(&fresh.sa_mask);
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &fresh, NULL);
}

int child_watch(struct child *child, pid_t pid)
{
    child->fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (child->fd < 0)
        return -1;
    (void)fcntl(child->fd, F_SETFD, FD_CLOEXEC);
    child->pid = pid;
    if (tsearch(child, &child_tree, child_order) == NULL) {
        fd_close(&child->fd);
        child->pid = 0;
        errno = ENOMEM;
        return -1;
    }
    child_count++;
    ev_io_init(&child->io, child_on_end, child->fd, EV_READ);
    child->io.data = child;
    ev_io_start(child->loop, &child->io);
    return 0;
}

void child_forget(struct child *child)
{
    if (child->pid != 0)
        child_stop(child);
}

static struct child *child_find(pid_t pid)
{
    struct child wanted = {.pid = pid};
    struct child **known = (struct child **)tfind(&wanted, &child_tree, child_order);
    return known != NULL ? *known : NULL;
}

bool child_is_watched(pid_t pid)
{
    return child_find(pid) != NULL;
}

unsigned child_watched(void)
{
    return child_count;
}

/* Looks before it reaps, because the process may be watched. */
void child_reap_all(void (*orphan)(pid_t pid, int status))
{
    siginfo_t dead = {0};
    while (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) == 0 && dead.si_pid != 0) {
        struct child *known = child_find(dead.si_pid);
        int status = 0;
        if (waitpid(dead.si_pid, &status, WNOHANG) <= 0)
            return;
        if (known != NULL)
            child_end(known, status);
        else
            orphan(dead.si_pid, status);
        dead = (siginfo_t){0};
    }
}
