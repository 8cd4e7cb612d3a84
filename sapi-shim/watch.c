/* watch.c: see watch.h. */
#include "sapi-shim/watch.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An epoll descriptor is readable while one of those it watches has news, and it can be told to
 * look at nothing but the peer's leaving. */
static _Thread_local int watch_epoll = -1;
static _Thread_local int watch_fd = -1;     /* the connection in it */
static _Thread_local int watch_raised = -1; /* an eventfd in it, readable from the start */

int watch_descriptor(int fd, bool input_complete)
{
    struct epoll_event event = {.events = EPOLLRDHUP | (input_complete ? EPOLLIN : 0u)};
    if (watch_epoll < 0)
        watch_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (watch_epoll >= 0 && fd >= 0 && watch_fd != fd &&
        epoll_ctl(watch_epoll, EPOLL_CTL_ADD, fd, &event) == 0)
        watch_fd = fd;
    return watch_epoll;
}

void watch_raise(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (watch_epoll < 0 || watch_raised >= 0)
        return;
    watch_raised = eventfd(1, EFD_CLOEXEC);
    if (watch_raised >= 0)
        (void)epoll_ctl(watch_epoll, EPOLL_CTL_ADD, watch_raised, &event);
}

void watch_stop(int fd)
{
    if (watch_fd >= 0 && watch_fd == fd)
        (void)epoll_ctl(watch_epoll, EPOLL_CTL_DEL, watch_fd, NULL);
    watch_fd = -1;
    if (watch_raised >= 0)
        (void)close(watch_raised);
    watch_raised = -1;
}

bool watch_gone(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0;
}

bool watch_arm(int fd, int signal)
{
    struct f_owner_ex owner = {.type = F_OWNER_TID, .pid = (pid_t)syscall(SYS_gettid)};
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETSIG, signal) == 0 && fcntl(fd, F_SETOWN_EX, &owner) == 0 &&
           fcntl(fd, F_SETFL, flags | O_ASYNC) == 0;
}

void watch_disarm(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags & ~O_ASYNC);
}

void watch_thread_end(void)
{
    if (watch_raised >= 0)
        (void)close(watch_raised);
    if (watch_epoll >= 0)
        (void)close(watch_epoll);
    watch_raised = -1;
    watch_epoll = -1;
    watch_fd = -1;
}
