/* peer_watch.c: see peer_watch.h. */
#include "sapi-shim/request/peer_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An epoll descriptor is itself readable while a descriptor in it has an event, and can be limited
 * to the event that the peer has left. */
static _Thread_local int peer_watch_epoll = -1;
static _Thread_local int peer_watch_fd = -1;     /* the connection in it */
static _Thread_local int peer_watch_raised = -1; /* an eventfd in it, always readable */

int peer_watch_descriptor(int fd, bool input_complete)
{
    struct epoll_event event = {.events = EPOLLRDHUP | (input_complete ? EPOLLIN : 0u)};
    if (peer_watch_epoll < 0)
        peer_watch_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (peer_watch_epoll >= 0 && fd >= 0 && peer_watch_fd != fd &&
        epoll_ctl(peer_watch_epoll, EPOLL_CTL_ADD, fd, &event) == 0)
        peer_watch_fd = fd;
    return peer_watch_epoll;
}

void peer_watch_raise(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (peer_watch_epoll < 0 || peer_watch_raised >= 0)
        return;
    peer_watch_raised = eventfd(1, EFD_CLOEXEC);
    if (peer_watch_raised >= 0)
        (void)epoll_ctl(peer_watch_epoll, EPOLL_CTL_ADD, peer_watch_raised, &event);
}

void peer_watch_stop(int fd)
{
    if (peer_watch_fd >= 0 && peer_watch_fd == fd)
        (void)epoll_ctl(peer_watch_epoll, EPOLL_CTL_DEL, peer_watch_fd, NULL);
    peer_watch_fd = -1;
    if (peer_watch_raised >= 0)
        (void)close(peer_watch_raised);
    peer_watch_raised = -1;
}

bool peer_watch_gone(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0;
}

bool peer_watch_arm(int fd, int signal)
{
    struct f_owner_ex owner = {.type = F_OWNER_TID, .pid = (pid_t)syscall(SYS_gettid)};
    int on = 1;
    return signal != 0 && fcntl(fd, F_SETSIG, signal) == 0 && fcntl(fd, F_SETOWN_EX, &owner) == 0 &&
           ioctl(fd, FIOASYNC, &on) == 0;
}

void peer_watch_disarm(int fd)
{
    int off = 0;
    (void)ioctl(fd, FIOASYNC, &off); /* fails only if the descriptor is closed */
}

void peer_watch_thread_end(void)
{
    peer_watch_stop(-1);
    if (peer_watch_epoll >= 0)
        (void)close(peer_watch_epoll);
    peer_watch_epoll = -1;
}
