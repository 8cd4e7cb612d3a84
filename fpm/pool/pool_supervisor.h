/* pool_supervisor.h: checks a pool, decides how many workers it needs, and acts.
 *
 * One pass reads the scoreboard and the listen queue, asks scaling for a decision, and has the pool
 * carry it out. Passes follow events: a worker started, ended or rang the doorbell, a connection
 * found no idle worker, a time limit expired. A pool at rest is not checked. If the event names its
 * workers, only these are checked, however many there are; otherwise all are.
 */
#ifndef FPM_POOL_SUPERVISOR_H
#define FPM_POOL_SUPERVISOR_H

#include "fpm/log/log.h"
#include "fpm/pool/listen_watch.h"
#include "fpm/pool/pool.h"
#include "fpm/pool/scaling.h"
#include "fpm/pool/worker_monitor.h"
#include "sapi-shim/util/listen_queue.h"

#include <ev.h>

struct pool_supervisor {
    struct pool *pool;
    struct ev_loop *loop;
    struct listen_queue *queue; /* one for all pools */
    /* How many more workers process.max allows. */
    unsigned (*free_slots)(void *context);
    void *context;
    /* Called at the end of a pass, and within it before workers are started. */
    void (*on_pass)(struct pool_supervisor *supervisor);
    struct listen_watch listen_watch;
    const struct generation *watched; /* its doorbell and sockets are watched; NULL = none */
    ev_io doorbell;
    ev_timer timer;
    struct worker_monitor monitor;
    struct scaling_memory memory;
    bool first_due;             /* the current generation has not had its first workers yet */
    bool workers_changed;       /* the next pass is for workers that have changed */
    bool full_check_due;        /* the next pass checks all workers */
    int64_t full_check_at;      /* ms: all are checked by then, -1 = no time set */
    uint64_t rings;             /* of the doorbell, that led to the current pass */
    int64_t last_ring;          /* ms: the last pass that the doorbell led to */
    int64_t watch_paused_until; /* ms: the sockets are not watched before */
    int64_t watch_pause;        /* ms: length of the last pause, 0 = none */
    int64_t last_idle_wakeup;   /* ms: the last pass for a connection that started no worker */
    struct log_episode over, full, overflow;
    int64_t overflow_since, overflow_left; /* ms: began; seen not full again, 0 = it is full */
    unsigned overflow_seen;                /* times that the queue was seen full in the episode */
    int64_t within_budget_since;           /* ms: while `over` is on; 0 = above the budget */
    unsigned clients_waiting;              /* for a worker, at the last look */
    int64_t full_began;                    /* ms: the episode `full` */
    int64_t full_since;                    /* ms: connections wait for a full pool, 0 = none do */
    int64_t eased_since; /* ms: there were idle workers again, 0 = none were seen */
};

/* Prepares it; the first pass follows pool_supervisor_check_all. */
void pool_supervisor_open(struct pool_supervisor *supervisor, struct pool *pool,
                          struct listen_queue *queue, unsigned (*free_slots)(void *context),
                          void *context, void (*on_pass)(struct pool_supervisor *supervisor));

/* Goes on as `before`, of which first_due, `over` and `full` are known. */
void pool_supervisor_adopt(struct pool_supervisor *supervisor,
                           const struct pool_supervisor *before);

/* Requests a pass over all workers at the loop's next turn. To be called after pool_open,
 * pool_commit and pool_stop; a pool that stops only has its limits applied. */
void pool_supervisor_check_all(struct pool_supervisor *supervisor);

/* Requests a pass over the workers that the pool has marked as changed. */
void pool_supervisor_check_changed(struct pool_supervisor *supervisor);

/* Ends all passes, before the pool is closed. */
void pool_supervisor_close(struct pool_supervisor *supervisor);

#endif
