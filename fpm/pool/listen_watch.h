/* listen_watch.h: tells its owner that a connection has arrived for which no waiting worker was
 * woken.
 *
 * An inner epoll descriptor waits at the listening socket, and at the socket through which workers
 * give each other connections, with EPOLLEXCLUSIVE as the workers do; the loop watches the inner
 * descriptor. The kernel asks those who registered in the order of their registration and stops at
 * the first that sleeps in epoll_wait. Nobody ever sleeps in that of the inner descriptor, so it is
 * passed over and never takes a wake-up away from a worker, wherever it stands; standing last it
 * hears only of what found no worker waiting. Workers that registered after it are not asked first:
 * that costs wake-ups, never a connection, and listen_watch_requeue mends it.
 *
 * A worker without the library waits in accept() and queues up behind us with every call: for a
 * pool of such the owner hears of every connection.
 *
 * Accepts and reads nothing; decides nothing. Called by the owner of a pool's sockets, from the
 * loop's thread alone.
 */
#ifndef FPM_LISTEN_WATCH_H
#define FPM_LISTEN_WATCH_H

#include <ev.h>
#include <stdbool.h>

/* Something came that no waiting worker was woken for; it may be gone again by now. Called once for
 * all that came before the turn of the loop. May call anything here but listen_watch_open. */
typedef void listen_watch_fn(void *context);

struct listen_watch {
    int epfd; /* the inner epoll descriptor, close-on-exec; -1 = none */
    int listen_fd;
    int conn_handoff_fd; /* -1 = none */
    bool watching;
    listen_watch_fn *arrived;
    void *context;
    struct ev_loop *loop;
    ev_io io;
};

#define LISTEN_WATCH_NONE                                                                          \
    ((struct listen_watch){.epfd = -1, .listen_fd = -1, .conn_handoff_fd = -1})

/* Makes it ready, not yet watching. The sockets stay the caller's, and must stay open until
 * listen_watch_close; `conn_handoff_fd`, the receiving end, may be -1. Returns 0, or -1 with errno
 * and LISTEN_WATCH_NONE. */
int listen_watch_open(struct listen_watch *arrival, struct ev_loop *loop, int listen_fd,
                      int conn_handoff_fd, listen_watch_fn *arrived, void *context);

/* Begins to watch, as the last in line, or stops, so that nothing that arrives wakes the loop. What
 * is waiting already when it begins is told once. Returns 0, or -1 with errno: it does not watch
 * then. */
int listen_watch_set(struct listen_watch *arrival, bool on);

/* Becomes the last in line again, after a worker has registered; nothing to do when not watching.
 * No arrival is lost meanwhile: what is waiting is told once, as above. Returns as
 * listen_watch_set.
 */
int listen_watch_requeue(struct listen_watch *arrival);

/* Forgets everything. Before the sockets are closed. */
void listen_watch_close(struct listen_watch *arrival);

#endif
