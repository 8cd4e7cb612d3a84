/* wait_set.h: the worker's wait set: everything a worker waits for between two requests.
 *
 * Holds the listening socket, connections whose request header is incomplete, idle kept ones, and
 * parked ones that are drained; hands out connections whose request header is complete, so that
 * nobody but a whole request ever holds a worker. Accepts, refuses, expires and, when the worker
 * drains, brings to an end what was accepted. Knows no request: libfcgi.c asks for the next
 * connection, request.c gives connections back. One set per listening socket, shared by all
 * threads.
 */
#ifndef OT_WAIT_SET_H
#define OT_WAIT_SET_H

#include "sapi-shim/connection/conn.h"

enum wait_set_result {
    WAIT_SET_REQUEST,     /* *conn has a whole request header and belongs to the caller */
    WAIT_SET_DRAINED,     /* told to stop, and nothing accepted is left */
    WAIT_SET_INTERRUPTED, /* a signal that is not ours; only where the caller asked to be told */
    WAIT_SET_FAILED,      /* not a listening socket, or out of resources; errno says */
};

/* Waits for the next request on this listening socket. `addresses` is the list of allowed TCP
 * clients as FCGI_WEB_SERVER_ADDRS gives it, or NULL; read at the first call. */
enum wait_set_result wait_set_next(int listener, const char *addresses, bool tell_interrupts,
                                   struct conn **conn);

/* The descriptor is a listening socket that a wait set has taken over. */
bool wait_set_has(int listener);

/* Takes back a connection after its request, for the next one on it. Of more than keepalive_max the
 * longest idle one is closed. Forgets the pointer. */
void wait_set_keep(struct conn **conn);

/* Takes a connection on which the next request has begun and which this worker will not serve soon:
 * another worker gets it if there is one, else it waits its turn here. Forgets the pointer. */
void wait_set_hand_over(struct conn **conn);

/* Ends the current request and decides on its connection: kept for the next request if `keep` and
 * possible, else closed, or lingering if the peer may still send. `announced` as for
 * conn_end_request. Forgets the pointer. */
void wait_set_end_request(struct conn **conn, bool keep, uint64_t announced);

/* Closes a connection whose input was read to its end. Forgets the pointer. */
void wait_set_close(struct conn **conn);

/* Takes a connection whose response is complete but whose peer may still send: drained while the
 * worker waits, closed after two seconds at the latest. Forgets the pointer. */
void wait_set_linger(struct conn **conn);

/* The worker will not wait for long: closes kept connections on which nothing has arrived, so that
 * the web server does not send a request to a worker that cannot take it. */
void wait_set_release_idle(const struct conn *of);

/* The process ends without having served all that it accepted: other workers get what has come. */
void wait_set_exit(void);

/* In a forked child: lets go of everything the parent waits for. */
void wait_set_after_fork(void);

#endif
