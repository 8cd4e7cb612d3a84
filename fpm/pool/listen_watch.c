/* listen_watch.c: see listen_watch.h. */
#include "fpm/pool/listen_watch.h"

#include "fpm/util/fd.h"
#include "fpm/util/invariant.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

enum {
    LISTEN_WATCH_TURN = 64 /* events in one turn of the loop */
};

static struct {
    int epfd;
    int shut_epfd;  /* waits for the end of listening sockets alone; no connection wakes it */
    unsigned users; /* they are closed with the last */
    struct ev_loop *loop;
    ev_io io, shut_io;
} listen_watch_inner = {.epfd = -1, .shut_epfd = -1};

/* Edge-triggered: an event that is fetched here returns only with the next connection. Fetched one
 * by one, as what follows an event may close other watches. */
static void listen_watch_on_event(struct ev_loop *loop, ev_io *io, int events)
{
    struct epoll_event seen;
    for (int i = 0; i < LISTEN_WATCH_TURN && listen_watch_inner.users > 0 &&
                    epoll_wait(listen_watch_inner.epfd, &seen, 1, 0) > 0;
         i++) {
        struct listen_watch *watch = seen.data.ptr;
        watch->on_connection(watch->context);
    }
}

static void listen_watch_on_shut(struct ev_loop *loop, ev_io *io, int events)
{
    struct epoll_event seen;
    for (int i = 0; i < LISTEN_WATCH_TURN && listen_watch_inner.users > 0 &&
                    epoll_wait(listen_watch_inner.shut_epfd, &seen, 1, 0) > 0;
         i++) {
        struct listen_watch *watch = seen.data.ptr;
        watch->on_shut(watch->context);
    }
}

/* Opens the two inner descriptors. Returns 0, or -1 with errno. */
static int listen_watch_open_inner(struct ev_loop *loop)
{
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    int shut_epfd = epfd >= 0 ? epoll_create1(EPOLL_CLOEXEC) : -1;
    if (shut_epfd < 0) {
        fd_close(&epfd);
        return -1;
    }
    listen_watch_inner.epfd = epfd;
    listen_watch_inner.shut_epfd = shut_epfd;
    listen_watch_inner.loop = loop;
    ev_io_init(&listen_watch_inner.io, listen_watch_on_event, epfd, EV_READ);
    ev_io_init(&listen_watch_inner.shut_io, listen_watch_on_shut, shut_epfd, EV_READ);
    ev_io_start(loop, &listen_watch_inner.io);
    ev_io_start(loop, &listen_watch_inner.shut_io);
    return 0;
}

static void listen_watch_release_inner(void)
{
    INVARIANT(listen_watch_inner.users > 0);
    if (--listen_watch_inner.users > 0)
        return;
    ev_io_stop(listen_watch_inner.loop, &listen_watch_inner.io);
    ev_io_stop(listen_watch_inner.loop, &listen_watch_inner.shut_io);
    fd_close(&listen_watch_inner.epfd);
    fd_close(&listen_watch_inner.shut_epfd);
}

int listen_watch_open(struct listen_watch *watch, struct ev_loop *loop, int listen_fd,
                      int conn_handoff_fd, listen_watch_fn *on_connection, listen_watch_fn *on_shut,
                      void *context)
{
    /* EPOLLHUP, which a TCP socket has that listens no more, is always reported. */
    struct epoll_event shut = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = watch};
    *watch = LISTEN_WATCH_NONE;
    if (listen_watch_inner.users == 0 && listen_watch_open_inner(loop) != 0)
        return -1;
    listen_watch_inner.users++;
    if (epoll_ctl(listen_watch_inner.shut_epfd, EPOLL_CTL_ADD, listen_fd, &shut) != 0) {
        int saved = errno;
        listen_watch_release_inner();
        errno = saved;
        return -1;
    }
    watch->listen_fd = listen_fd;
    watch->conn_handoff_fd = conn_handoff_fd;
    watch->on_connection = on_connection;
    watch->on_shut = on_shut;
    watch->context = context;
    return 0;
}

static int listen_watch_add(struct listen_watch *watch, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, .data.ptr = watch};
    return fd < 0 ? 0 : epoll_ctl(listen_watch_inner.epfd, EPOLL_CTL_ADD, fd, &event);
}

static void listen_watch_remove(struct listen_watch *watch)
{
    int saved = errno;
    (void)epoll_ctl(listen_watch_inner.epfd, EPOLL_CTL_DEL, watch->listen_fd, NULL);
    if (watch->conn_handoff_fd >= 0)
        (void)epoll_ctl(listen_watch_inner.epfd, EPOLL_CTL_DEL, watch->conn_handoff_fd, NULL);
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

void listen_watch_set_handoff(struct listen_watch *watch, int conn_handoff_fd)
{
    bool on = watch->on;
    if (watch->listen_fd < 0 || watch->conn_handoff_fd == conn_handoff_fd)
        return;
    (void)listen_watch_set(watch, false);
    watch->conn_handoff_fd = conn_handoff_fd;
    (void)listen_watch_set(watch, on);
}

void listen_watch_close(struct listen_watch *watch)
{
    if (watch->listen_fd < 0)
        return;
    (void)listen_watch_set(watch, false);
    (void)epoll_ctl(listen_watch_inner.shut_epfd, EPOLL_CTL_DEL, watch->listen_fd, NULL);
    listen_watch_release_inner();
    *watch = LISTEN_WATCH_NONE;
}
