/* keeper.h: one turn of the wheel for a pool: look, decide, act.
 *
 * Looks at the scoreboard and the listen queue, asks the pure files (scale, overdue) what to do,
 * and has the pool do it. A turn comes with an event: a worker started, ended or rang; a connection
 * found no idle worker; a moment passed that was waited for. A pool at rest is not looked at.
 * Called by master.
 */
#ifndef FPM_KEEPER_H
#define FPM_KEEPER_H

#include "fpm/arrival.h"
#include "fpm/log.h"
#include "fpm/pool.h"
#include "sapi-shim/queue.h"
#include "fpm/scale.h"

#include <ev.h>

/* What the last look found, for status and for the master. */
struct keeper_seen {
    struct scale_counts counts;
    unsigned backlog;      /* connections that the queue takes, 0 = unknown */
    unsigned most_waiting; /* connections, most seen at once */
    unsigned most_active;  /* workers serving or in post-response work */
    unsigned most_post;    /* workers in post-response work */
    unsigned over;         /* workers in post-response work beyond the budget */
};

struct keeper {
    struct pool *pool;
    struct ev_loop *loop;
    struct queue *queue; /* one for all pools */
    /* How many more workers process.max allows; asked of the owner. */
    unsigned (*room)(void *context);
    void *context;
    void (*turned)(struct keeper *keeper); /* at the end of each turn */
    struct arrival arrival;
    const struct generation *served; /* the one whose doorbell and sockets are watched */
    ev_io doorbell;
    ev_timer turn;
    struct scale_memory memory;
    struct keeper_seen seen;
    bool first_due;      /* the current generation has not had its first workers yet */
    bool by_arrival;     /* the turn that goes on came with an arrival */
    bool memory_checked; /* pm.max_memory is looked after here */
    int64_t rang;        /* ms: last turn by the doorbell */
    int64_t deaf_until;  /* ms: arrivals are not listened for before */
    int64_t deafness;    /* ms: how long the next time */
    int64_t arrived;     /* ms: last turn by an arrival that led to nothing */
    int64_t memory_at;   /* ms: next look at the workers' memory */
    struct log_episode over, full;
};

/* Makes it ready; the first turn comes with keeper_poke. `room` is asked at every turn, and
 * `turned` called behind it. */
void keeper_open(struct keeper *keeper, struct pool *pool, struct queue *queue,
                 unsigned (*room)(void *context), void *context,
                 void (*turned)(struct keeper *keeper));

/* Goes on where another program in this process's place has left it; `first_due`: the workers of a
 * start are still to come. */
void keeper_resume(struct keeper *keeper, bool first_due);

/* Something may have changed: a turn follows at once. Call it after pool_open and pool_commit. */
void keeper_poke(struct keeper *keeper);

/* No more turns: the pool stops, or is closed. */
void keeper_rest(struct keeper *keeper);

#endif
