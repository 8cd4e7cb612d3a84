/* arrival.c: see arrival.h. */
#include "fpm/arrival.h"

#include "fpm/fd.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

static void arrival_on_event(struct ev_loop *loop, ev_io *io, int events)
{
    struct arrival *arrival = io->data;
    struct epoll_event seen[2];
    (void)loop;
    (void)events;
    /* Edge-triggered: what is fetched here comes again only with the next arrival. */
    if (epoll_wait(arrival->epfd, seen, 2, 0) > 0)
        arrival->arrived(arrival->context);
}

int arrival_open(struct arrival *arrival, struct ev_loop *loop, int listen_fd, int handoff_fd,
                 arrival_fn *arrived, void *context)
{
    *arrival = ARRIVAL_NONE;
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    if (epfd < 0)
        return -1;
    arrival->epfd = epfd;
    arrival->listen_fd = listen_fd;
    arrival->handoff_fd = handoff_fd;
    arrival->arrived = arrived;
    arrival->context = context;
    arrival->loop = loop;
    ev_io_init(&arrival->io, arrival_on_event, epfd, EV_READ);
    arrival->io.data = arrival;
    ev_io_start(loop, &arrival->io);
    return 0;
}

static int arrival_add(const struct arrival *arrival, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLET};
    return fd < 0 ? 0 : epoll_ctl(arrival->epfd, EPOLL_CTL_ADD, fd, &event);
}

static void arrival_remove(struct arrival *arrival)
{
    int saved = errno;
    (void)epoll_ctl(arrival->epfd, EPOLL_CTL_DEL, arrival->listen_fd, NULL);
    if (arrival->handoff_fd >= 0)
        (void)epoll_ctl(arrival->epfd, EPOLL_CTL_DEL, arrival->handoff_fd, NULL);
    arrival->watching = false;
    errno = saved;
}

int arrival_watch(struct arrival *arrival, bool on)
{
    if (on == arrival->watching)
        return 0;
    if (!on) {
        arrival_remove(arrival);
        return 0;
    }
    arrival->watching = true;
    if (arrival_add(arrival, arrival->listen_fd) == 0 &&
        arrival_add(arrival, arrival->handoff_fd) == 0)
        return 0;
    arrival_remove(arrival);
    return -1;
}

int arrival_requeue(struct arrival *arrival)
{
    if (!arrival->watching)
        return 0;
    arrival_remove(arrival);
    return arrival_watch(arrival, true);
}

void arrival_close(struct arrival *arrival)
{
    if (arrival->epfd >= 0)
        ev_io_stop(arrival->loop, &arrival->io);
    fd_close(&arrival->epfd);
    *arrival = ARRIVAL_NONE;
}
