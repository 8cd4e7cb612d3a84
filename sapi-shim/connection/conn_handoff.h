/* conn_handoff.h: a connection that another worker of the pool should serve.
 *
 * A kept connection belongs to one worker, and when that worker cannot take the request that has
 * just come on it (post-response work lies ahead), the connection goes to a sibling with the bytes
 * read so far, through a socket that all workers of the pool share, those of a later generation
 * too. So do idle ones when the worker leaves. With no manager there is no such socket. Decides
 * nothing; called by wait_set.c.
 */
#ifndef OT_CONN_HANDOFF_H
#define OT_CONN_HANDOFF_H

#include "sapi-shim/connection/conn.h"

#include <stdbool.h>

/* Takes over the contract's descriptors, if the manager handed them over. Before main(). */
void conn_handoff_attach(void);

/* Readable when a connection waits to be taken; -1 = there is no such socket. */
int conn_handoff_fd(void);

/* Gives the connection away, with the bytes of the request that has begun; `idle`: it is a kept
 * one, and none need have; `leaver`: this worker leaves. On success it is freed and the pointer
 * forgotten; false if nobody can take it, and nothing has changed. Never waits. */
bool conn_handoff_send(struct conn **conn, bool idle, bool leaver);

/* Takes one; NULL if there is none. `idle` becomes true for a kept one on which nothing had come,
 * `leaver` if the worker that gave it leaves. Never waits. */
struct conn *conn_handoff_take(bool *idle, bool *leaver);

/* In a forked child: the parent's siblings are not ours. */
void conn_handoff_after_fork(void);

#endif
