/* orphan_workers.h: workers of a manager that was killed, which still hold the socket of a pool.
 *
 * They are found at the start of the next manager, which can take their socket, with its queue, and
 * have them go once its own workers serve. A worker whose manager lives, also a stopped one, is
 * never an orphan. To take a socket, and to see who holds it, takes the right to trace the workers.
 */
#ifndef FPM_ORPHAN_WORKERS_H
#define FPM_ORPHAN_WORKERS_H

#include "fpm/pool/socket.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

/* Looks for all of them, in the /proc of this moment. `take_over`: take their sockets. */
void orphan_workers_open(struct ev_loop *loop, bool take_over);

/* The start is over: no more of them are looked for. Those that were told to go are followed. */
void orphan_workers_started(void);

void orphan_workers_close(void);

/* After socket_listen failed since the address is in use: takes the socket of the orphans that
 * listen there, with --take-over. Returns 0. Otherwise -1, and `text` says which processes hold it
 * and what to do; it is as it was if there are no such processes. */
int orphan_workers_take(const struct socket_spec *spec, struct socket_listener *listener,
                        char *text, size_t size);

/* A pool has its socket: its orphans, which hold this one, or one that had the same address, are
 * told to finish their requests, the queue and their work as soon as `serves` says that the pool
 * does. What has not ended `grace` ms later is killed. Without --take-over, and a socket that
 * another process gave, they are named only. Are there any? */
bool orphan_workers_replace(const char *pool, const struct socket_spec *spec,
                            const struct socket_listener *listener, int64_t grace,
                            bool (*serves)(void *context), void *context);

/* The pool is closed. */
void orphan_workers_forget(const void *context);

#endif
