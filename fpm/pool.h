/* pool.h: one pool: its socket, its scoreboard, its workers.
 *
 * Keeps as many workers as the configuration wants, replaces the dead (at once, or after the
 * back-off), stops them when told. It owns everything it opens and closes it in pool_close. News
 * goes to the master by one callback. Called by master; status reads it.
 */
#ifndef FPM_POOL_H
#define FPM_POOL_H

#include "fpm/backoff.h"
#include "fpm/capture.h"
#include "fpm/conf.h"
#include "fpm/log.h"
#include "fpm/scoreboard.h"
#include "fpm/socket.h"
#include "fpm/spec.h"
#include "fpm/worker.h"

#include <ev.h>

/* How workers are made to go, from gentle to not. The order counts: a stop never becomes gentler.
 */
enum pool_stop {
    POOL_STAY,
    POOL_STOP_GRACEFUL, /* after their request and the work behind it */
    POOL_STOP_NOW,      /* TERM: at their next chance */
    POOL_STOP_KILL,
};

/* One of a worker's two output streams. */
struct pool_stream {
    struct pool_member *member;
    const char *name;
    struct capture capture;
};

/* A slot of the pool and the worker in it. */
struct pool_member {
    struct pool *pool;
    unsigned slot;
    struct worker worker;
    struct pool_stream output, error;
};

/* What happened since the pool was opened. */
struct pool_totals {
    uint64_t spawned;
    uint64_t died; /* without being asked to */
    uint64_t start_failures;
    uint64_t requests; /* of workers that are gone */
    uint64_t finished;
    uint64_t aborted;
    uint64_t timed_out;
    uint64_t dropped;
    uint64_t discarded;
    uint64_t shutdown_run, shutdown_late, shutdown_lost;
};

struct pool {
    const struct conf_pool *conf;
    const struct conf_global *global;
    struct ev_loop *loop;
    void (*changed)(struct pool *pool, void *context); /* a worker started, failed or ended */
    void *context;
    struct socket_listener listener;
    struct scoreboard scoreboard;
    struct spec spec;
    int doorbell_fd, null_fd;
    int handoff[2];              /* in and out: connections that workers give each other */
    struct pool_member *members; /* one a slot */
    unsigned size;               /* members */
    unsigned live; /* members with a process; the sum of counts[] beyond WORKER_NONE */
    unsigned counts[WORKER_STATE_COUNT];
    unsigned started; /* programs that ran, up to size; as many as size: the pool is ready */
    unsigned failed;  /* starts that failed or were put off since the pool was opened, up to size */
    enum pool_stop stop;
    struct backoff backoff;
    uint64_t served_at_failure; /* requests of the pool when the last failure was noted */
    ev_timer respawn;
    struct pool_totals totals;
    int64_t opened; /* ms, clock.h */
    time_t opened_time;
    struct log_episode alien; /* workers with a library of another treaty version */
};

/* Makes socket, scoreboard and the rest; starts nobody. `conf` and `global` are borrowed. Returns
 * 0, or an exit status (sysexits.h) with a sentence: EX_CONFIG where `listen` is what failed, which
 * the sentence then names, EX_SOFTWARE for all else. */
int pool_open(struct pool *pool, struct ev_loop *loop, const struct conf_global *global,
              const struct conf_pool *conf, char *error, size_t size);

/* Starts the workers. */
void pool_start(struct pool *pool);

/* Makes all workers go; a later call may only be harsher. The pool is empty when pool->live is 0.
 */
void pool_stop(struct pool *pool, enum pool_stop how);

/* Frees everything. The pool has to be empty. */
void pool_close(struct pool *pool);

/* Have all first workers started their program? */
bool pool_ready(const struct pool *pool);

/* Is it known of every first worker whether it could be started? */
bool pool_settled(const struct pool *pool);

#endif
