/* status_worker.h: the process that answers on `pm.status_listen`, and its socket.
 *
 * Each pool has one small program of ours (overtime_status.c), which maps the pool's scoreboards
 * read-only and so answers however busy the pool is. It is started again for a new generation and,
 * with a back-off, after it ended. Decides nothing about the pool.
 */
#ifndef FPM_STATUS_WORKER_H
#define FPM_STATUS_WORKER_H

#include "fpm/pool/backoff.h"
#include "fpm/pool/pool.h"
#include "fpm/pool/socket.h"
#include "fpm/worker/worker.h"

#include <ev.h>

/* The program lies beside the manager's or in libexec/overtime. */
#define STATUS_WORKER_PROGRAM "overtime-status"

struct status_worker_process {
    struct pool *pool;
    struct ev_loop *loop;
    struct socket_listener listener;
    char *listens; /* the text of `pm.status_listen` for `listener` */
    struct worker worker;
    const struct generation *generation; /* the current one when it was started */
    struct backoff backoff;
    ev_timer retry;
};

/* Without a socket and a process yet. */
void status_worker_init(struct status_worker_process *status, struct ev_loop *loop,
                        struct pool *pool);

/* Opens the socket if the pool's settings want one. Returns 0, or -1 with a sentence that names the
 * directive. */
int status_worker_listen(struct status_worker_process *status, char *error, size_t size);

/* Opens the socket, starts and stops the process as the state of the pool requires. */
void status_worker_update(struct status_worker_process *status);

/* Ends the process without waiting for its answers, and closes the socket. */
void status_worker_close(struct status_worker_process *status);

#endif
