/* listen_watch.c: see listen_watch.h. */
#include "fpm/pool/listen_watch.h"

#include "fpm/util/fd.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

static void listen_watch_on_event(struct ev_loop *loop, ev_io *io, int events)
{
    struct listen_watch *arrival = io->data;
    struct epoll_event seen[2];
    (void)loop;
    (void)events;
    /* Edge-triggered: what is fetched here comes again only with the next arrival. */
    if (epoll_wait(arrival->epfd, seen, 2, 0) > 0)
        arrival->arrived(arrival->context);
}

int listen_watch_open(struct listen_watch *arrival, struct ev_loop *loop, int listen_fd,
                      int conn_handoff_fd, listen_watch_fn *arrived, void *context)
{
    *arrival = LISTEN_WATCH_NONE;
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    if (epfd < 0)
        return -1;
    arrival->epfd = epfd;
    arrival->listen_fd = listen_fd;
    arrival->conn_handoff_fd = conn_handoff_fd;
    arrival->arrived = arrived;
    arrival->context = context;
    arrival->loop = loop;
    ev_io_init(&arrival->io, listen_watch_on_event, epfd, EV_READ);
    arrival->io.data = arrival;
    ev_io_start(loop, &arrival->io);
    return 0;
}

static int listen_watch_add(const struct listen_watch *arrival, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLET};
    return fd < 0 ? 0 : epoll_ctl(arrival->epfd, EPOLL_CTL_ADD, fd, &event);
}

static void listen_watch_remove(struct listen_watch *arrival)
{
    int saved = errno;
    (void)epoll_ctl(arrival->epfd, EPOLL_CTL_DEL, arrival->listen_fd, NULL);
    if (arrival->conn_handoff_fd >= 0)
        (void)epoll_ctl(arrival->epfd, EPOLL_CTL_DEL, arrival->conn_handoff_fd, NULL);
    arrival->watching = false;
    errno = saved;
}

int listen_watch_set(struct listen_watch *arrival, bool on)
{
    if (on == arrival->watching)
        return 0;
    if (!on) {
        listen_watch_remove(arrival);
        return 0;
    }
    arrival->watching = true;
    if (listen_watch_add(arrival, arrival->listen_fd) == 0 &&
        listen_watch_add(arrival, arrival->conn_handoff_fd) == 0)
        return 0;
    listen_watch_remove(arrival);
    return -1;
}

int listen_watch_requeue(struct listen_watch *arrival)
{
    if (!arrival->watching)
        return 0;
    listen_watch_remove(arrival);
    return listen_watch_set(arrival, true);
}

void listen_watch_close(struct listen_watch *arrival)
{
    if (arrival->epfd >= 0)
        ev_io_stop(arrival->loop, &arrival->io);
    fd_close(&arrival->epfd);
    *arrival = LISTEN_WATCH_NONE;
}
