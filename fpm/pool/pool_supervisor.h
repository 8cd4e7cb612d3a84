/* pool_supervisor.h: one turn of the wheel for a pool: look, decide, act.
 *
 * Looks at the scoreboard and the listen queue, asks the pure files (scale, overdue) what to do,
 * and has the pool do it. A turn comes with an event: a worker started, ended or rang; a connection
 * found no idle worker; a moment passed that was waited for. A pool at rest is not looked at. What
 * one worker's start, end or limit leads to takes a look at that one, however many there are; all
 * are looked at where the event does not tell whom it is about. Called by pools.
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

/* What the last look found, for status and for the master. */
struct pool_supervisor_seen {
    struct scaling_counts counts;
    unsigned backlog;      /* connections that the queue takes, 0 = unknown */
    unsigned most_waiting; /* connections, most seen at once */
    unsigned most_active;  /* workers serving or in post-response work */
    unsigned most_post;    /* workers in post-response work */
    unsigned over;         /* workers in post-response work beyond the budget */
};

/* What led to a turn. */
enum pool_supervisor_cause {
    POOL_SUPERVISOR_BY_TIME,
    POOL_SUPERVISOR_BY_NEWS,    /* of workers that the pool knows to have changed */
    POOL_SUPERVISOR_BY_RING,    /* the doorbell: somebody changed */
    POOL_SUPERVISOR_BY_LIMIT,   /* one worker's request, or work, may have gone on for too long */
    POOL_SUPERVISOR_BY_ARRIVAL, /* a connection found no idle worker */
};

struct pool_supervisor {
    struct pool *pool;
    struct ev_loop *loop;
    struct listen_queue *queue; /* one for all pools */
    /* How many more workers process.max allows; asked of the owner. */
    unsigned (*room)(void *context);
    void *context;
    void (*turned)(
        struct pool_supervisor *keeper); /* at the end of a turn, and in it before workers start */
    struct listen_watch arrival;
    const struct generation *served; /* the one whose doorbell and sockets are watched */
    ev_io doorbell;
    ev_timer turn;
    struct worker_monitor inspect;
    struct scaling_memory memory;
    struct pool_supervisor_seen seen;
    bool first_due;     /* the current generation has not had its first workers yet */
    bool news;          /* a turn comes for workers that have changed */
    bool whole;         /* the next turn looks at all workers */
    int64_t whole_at;   /* ms: all are looked at then at the latest, -1 = not by the clock */
    int64_t again_at;   /* ms: a turn comes then that need not look at all, -1 = none */
    uint64_t rings;     /* of the doorbell, that led to the turn which goes on */
    int64_t rang;       /* ms: last turn by the doorbell */
    int64_t deaf_until; /* ms: arrivals are not listened for before */
    int64_t deafness;   /* ms: how long the next time */
    int64_t arrived;    /* ms: last turn by an arrival that led to nothing */
    struct log_episode over, full;
    int64_t over_quiet; /* ms: within the budget from then on, though `over` is on; 0 = is not */
    int64_t full_since; /* ms: connections wait for a full pool from then on; 0 = none do */
    int64_t full_eased; /* ms: there were idle workers again from then on; 0 = none were seen */
};

/* Makes it ready; the first turn comes with pool_supervisor_poke. `room` is asked at every turn,
 * and `turned` called behind it. */
void pool_supervisor_open(struct pool_supervisor *keeper, struct pool *pool,
                          struct listen_queue *queue, unsigned (*room)(void *context),
                          void *context, void (*turned)(struct pool_supervisor *keeper));

/* Goes on where another program in this process's place has left it; `first_due`: the workers of a
 * start are still to come. */
void pool_supervisor_resume(struct pool_supervisor *keeper, bool first_due);

/* Something may have changed: a turn follows at once. Call it after pool_open, pool_commit and
 * pool_stop; of a pool that stops only the limits are looked after. */
void pool_supervisor_poke(struct pool_supervisor *keeper);

/* Workers of the pool changed, which the pool knows by itself: a turn for them follows at once. */
void pool_supervisor_news(struct pool_supervisor *keeper);

/* No more turns: the pool is closed. */
void pool_supervisor_rest(struct pool_supervisor *keeper);

#endif
