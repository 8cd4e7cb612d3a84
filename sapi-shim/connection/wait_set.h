/* wait_set.h: the worker's wait set: everything that a worker waits for between two requests.
 *
 * Holds the listening socket, connections whose request header is incomplete, idle kept ones, and
 * lingering ones. Returns connections whose request header is complete, so that only a complete
 * request occupies a worker. Accepts, refuses and expires connections and, when the worker stops,
 * finishes what was accepted. Knows no requests: libfcgi.c asks for the next connection, request.c
 * gives connections back. One set per listening socket, shared by all threads; thread-safe.
 */
#ifndef OT_WAIT_SET_H
#define OT_WAIT_SET_H

#include "sapi-shim/connection/conn.h"

enum wait_set_result {
    WAIT_SET_REQUEST,     /* *conn has a complete request header and belongs to the caller */
    WAIT_SET_DRAINED,     /* the worker stops, and nothing that was accepted is left */
    WAIT_SET_INTERRUPTED, /* by a signal that is not ours; only with tell_interrupts */
    WAIT_SET_FAILED,      /* not a listening socket, or out of resources; errno is set */
    WAIT_SET_NONE,        /* no request yet; within wait_set.c only */
};

/* Waits for the next request on this listening socket. `addresses` is the list of allowed TCP
 * clients as FCGI_WEB_SERVER_ADDRS holds it, or NULL; read at the first call. */
enum wait_set_result wait_set_next(int listener, const char *addresses, bool tell_interrupts,
                                   struct conn **conn);

/* The descriptor is a listening socket of a wait set. */
bool wait_set_has(int listener);

/* Ends the connection's current request. The connection is kept for the next one if `keep` and
 * possible, else closed; it lingers if the peer may still send. `announced` as for
 * conn_end_request. Clears the pointer. */
void wait_set_end_request(struct conn **conn, bool keep, uint64_t announced);

/* Can kept connections go to other workers of the pool? Not under a plain spawner. */
bool wait_set_hands_over(void);

/* Takes a kept connection between two requests, or on which the next one has begun, and which this
 * worker will not serve soon: the next worker that is free gets it, or it waits here. Clears the
 * pointer. */
void wait_set_hand_over(struct conn **conn);

/* Would the connection be kept after its request? If not, the pool has held as many idle ones as
 * keepalive_max allows for a second, and this one is surplus: close it together with its response.
 * Until then a surplus one is kept, and closed when it has been idle for a second. */
bool wait_set_has_room(const struct conn *conn);

/* Closes a connection whose input was read to its end. Clears the pointer. */
void wait_set_close(struct conn **conn);

/* Takes a connection whose response is complete but whose peer may still send. Its input is
 * discarded while the worker waits; it is closed after two seconds at the latest. Clears the
 * pointer. */
void wait_set_linger(struct conn **conn);

/* The worker takes no request for a while: gives up the idle kept connections of the set that `of`
 * belongs to, so that the web server sends its next requests elsewhere. */
void wait_set_release_idle(const struct conn *of);

/* The process ends: passes on to siblings what it has accepted but not served. */
void wait_set_exit(void);

/* In a forked child: closes everything that the parent waits for. */
void wait_set_after_fork(void);

#endif
