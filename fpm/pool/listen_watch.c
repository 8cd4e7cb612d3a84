/* listen_watch.c: see listen_watch.h. */
#include "fpm/pool/listen_watch.h"

#include "fpm/util/fd.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

static void listen_watch_on_event(struct ev_loop *loop, ev_io *io, int events)
{
    struct listen_watch *watch = io->data;
    struct epoll_event seen[2];
    (void)loop;
    (void)events;
    /* Edge-triggered: an event that is fetched here returns only with the next connection. */
    if (epoll_wait(watch->epfd, seen, 2, 0) > 0)
        watch->on_connection(watch->context);
}

int listen_watch_open(struct listen_watch *watch, struct ev_loop *loop, int listen_fd,
                      int conn_handoff_fd, listen_watch_fn *on_connection, void *context)
{
    *watch = LISTEN_WATCH_NONE;
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    if (epfd < 0)
        return -1;
    watch->epfd = epfd;
    watch->listen_fd = listen_fd;
    watch->conn_handoff_fd = conn_handoff_fd;
    watch->on_connection = on_connection;
    watch->context = context;
    watch->loop = loop;
    ev_io_init(&watch->io, listen_watch_on_event, epfd, EV_READ);
    watch->io.data = watch;
    ev_io_start(loop, &watch->io);
    return 0;
}

static int listen_watch_add(const struct listen_watch *watch, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLET};
    return fd < 0 ? 0 : epoll_ctl(watch->epfd, EPOLL_CTL_ADD, fd, &event);
}

static void listen_watch_remove(struct listen_watch *watch)
{
    int saved = errno;
    (void)epoll_ctl(watch->epfd, EPOLL_CTL_DEL, watch->listen_fd, NULL);
    if (watch->conn_handoff_fd >= 0)
        (void)epoll_ctl(watch->epfd, EPOLL_CTL_DEL, watch->conn_handoff_fd, NULL);
    watch->on = false;
    errno = saved;
}

int listen_watch_set(struct listen_watch *watch, bool on)
{
    if (on == watch->on)
        return 0;
    if (!on) {
        listen_watch_remove(watch);
        return 0;
    }
    watch->on = true;
    if (listen_watch_add(watch, watch->listen_fd) == 0 &&
        listen_watch_add(watch, watch->conn_handoff_fd) == 0)
        return 0;
    listen_watch_remove(watch);
    return -1;
}

int listen_watch_requeue(struct listen_watch *watch)
{
    if (!watch->on)
        return 0;
    listen_watch_remove(watch);
    return listen_watch_set(watch, true);
}

void listen_watch_close(struct listen_watch *watch)
{
    if (watch->epfd >= 0)
        ev_io_stop(watch->loop, &watch->io);
    fd_close(&watch->epfd);
    *watch = LISTEN_WATCH_NONE;
}
