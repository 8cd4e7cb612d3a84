/* status_worker_process.h: the process that answers on `pm.status_listen`, and its socket.
 *
 * One small program of ours per pool (overtime_status.c), which maps the pool's scoreboards
 * read-only and so answers however busy the pool is. Follows the pool: it is started anew for a new
 * generation, and after it ended, with a back-off. Decides nothing about the pool. Called by pools.
 */
#ifndef FPM_STATUS_WORKER_H
#define FPM_STATUS_WORKER_H

#include "fpm/pool/backoff.h"
#include "fpm/pool/pool.h"
#include "fpm/pool/socket.h"
#include "fpm/worker/worker.h"

#include <ev.h>

/* The name of its program, which lies beside the manager's or in libexec/overtime. */
#define STATUS_WORKER_PROGRAM "overtime-status"

struct status_worker_process {
    const struct pool *pool;
    struct ev_loop *loop;
    struct socket_listener listener;
    char *listens; /* `pm.status_listen` as it was written for `listener` */
    struct worker worker;
    const struct generation *shows; /* the generation that was current when it was started */
    struct backoff backoff;
    ev_timer again;
};

/* Nothing listens and nothing runs. */
void status_worker_init(struct status_worker_process *status, struct ev_loop *loop,
                        const struct pool *pool);

/* Listens where the pool says, if it does. Returns 0, or -1 with a sentence that names the
 * directive. */
int status_worker_listen(struct status_worker_process *status, char *error, size_t size);

/* Something may have changed in the pool: listens, starts and stops as it says now. */
void status_worker_follow(struct status_worker_process *status);

/* Ends it, without waiting for what it answers, and closes its socket. Until status_worker_follow,
 * nothing listens. */
void status_worker_close(struct status_worker_process *status);

#endif
