/* listen_watch.h: reports that a connection arrived for which no waiting worker was woken, and that
 * a listening socket was shut down.
 *
 * An inner epoll descriptor, one for all pools, waits with EPOLLEXCLUSIVE, as the workers do, at
 * the listening socket and at the socket through which workers pass connections on; the loop
 * watches the inner descriptor. The kernel asks the waiters in the order in which they registered
 * and stops at the first that sleeps in epoll_wait. No process ever sleeps on the inner descriptor,
 * so it never takes a wake-up away from a worker; if it stands last, it reports only what found no
 * worker waiting. Workers that registered after it are not asked first, which costs wake-ups, but
 * never a connection; listen_watch_requeue corrects the order.
 *
 * A worker without the library waits in accept(), and queues up after this descriptor with every
 * call: for a pool of such workers, every connection is reported.
 *
 * Whoever shares a listening socket can shut it down, for all. A second inner epoll descriptor
 * waits for that alone, whether connections are watched or not.
 *
 * Accepts and reads nothing; decides nothing. To be used in the loop's thread only.
 */
#ifndef FPM_LISTEN_WATCH_H
#define FPM_LISTEN_WATCH_H

#include <ev.h>
#include <stdbool.h>

/* `on_connection`: a connection came for which no waiting worker was woken; it may have been taken
 * since. Called once for all that came before the loop's turn. `on_shut`: the listening socket was
 * shut down, and may listen again since. Both may call every function here except
 * listen_watch_open.
 */
typedef void listen_watch_fn(void *context);

struct listen_watch {
    int listen_fd;       /* -1 = it is not open */
    int conn_handoff_fd; /* -1 = none */
    bool on;
    listen_watch_fn *on_connection;
    listen_watch_fn *on_shut;
    void *context;
};

#define LISTEN_WATCH_NONE ((struct listen_watch){.listen_fd = -1, .conn_handoff_fd = -1})

/* Prepares it, without watching yet; all are of one loop. The sockets stay the caller's, and must
 * stay open until listen_watch_close; `conn_handoff_fd`, the receiving end, may be -1. Returns 0,
 * or -1 with errno and LISTEN_WATCH_NONE. */
int listen_watch_open(struct listen_watch *watch, struct ev_loop *loop, int listen_fd,
                      int conn_handoff_fd, listen_watch_fn *on_connection, listen_watch_fn *on_shut,
                      void *context);

/* Starts to watch, as the last waiter, or stops, so that no connection wakes the loop. Connections
 * that wait when it starts are reported once. Returns 0, or -1 with errno: it is off then. */
int listen_watch_set(struct listen_watch *watch, bool on);

/* Becomes the last waiter again, after a worker has registered; does nothing when off. No
 * connection is lost meanwhile: those that wait are reported once, as above. Returns as
 * listen_watch_set. */
int listen_watch_requeue(struct listen_watch *watch);

/* The workers' socket, where listen_watch_open did not have it yet. It is watched from the next
 * listen_watch_set or listen_watch_requeue on. */
void listen_watch_set_handoff(struct listen_watch *watch, int conn_handoff_fd);

/* To be called before the sockets are closed. */
void listen_watch_close(struct listen_watch *watch);

#endif
