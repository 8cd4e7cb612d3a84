/* conn_handoff.h: passes a connection to another worker of the pool.
 *
 * A kept connection belongs to one worker. If that worker cannot take the request that has just
 * come on it, because post-response work or another request lies ahead, the connection goes to a
 * sibling together with the bytes read so far; so do idle connections of a worker that leaves. All
 * workers of the pool, of later generations too, share one SOCK_SEQPACKET pair for this. Without a
 * manager there is none. Decides nothing.
 */
#ifndef OT_CONN_HANDOFF_H
#define OT_CONN_HANDOFF_H

#include "sapi-shim/connection/conn.h"

#include <stdbool.h>

/* Takes over the contract's descriptors, if the manager has passed them. Called when the process
 * attaches. */
void conn_handoff_attach(void);

/* Readable when a connection can be taken; -1 = there is no pair. */
int conn_handoff_fd(void);

/* Passes the connection on, with the bytes of the request that has begun. `idle`: it is a kept one;
 * `leaving`: this worker takes no more requests. On success the connection is freed and the pointer
 * cleared. False if no sibling can take it: nothing has changed then. Never waits. */
bool conn_handoff_send(struct conn **conn, bool idle, bool leaving);

/* Takes a connection; NULL if there is none. *idle: a kept one on which nothing has come;
 * *leaving: the worker that passed it on takes no more requests. Never waits. A pair that was shut
 * down is said once, and conn_handoff_fd() is -1 from then on. */
struct conn *conn_handoff_receive(bool *idle, bool *leaving);

/* In a forked child: closes the pair, which is the parent's. */
void conn_handoff_after_fork(void);

#endif
