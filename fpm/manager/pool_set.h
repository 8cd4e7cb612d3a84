/* pool_set.h: all pools together: opened, reloaded and stopped as one.
 *
 * A reload is prepared for every pool before it is put in force for any, so that one that cannot be
 * made leaves everything as it was. Called by master; status and commands read it.
 */
#ifndef FPM_POOL_SET_H
#define FPM_POOL_SET_H

#include "fpm/config/config.h"
#include "fpm/manager/reload_plan.h"
#include "fpm/manager/status_worker.h"
#include "fpm/pool/pool.h"
#include "fpm/pool/pool_supervisor.h"
#include "sapi-shim/util/listen_queue.h"

#include <ev.h>

struct pool_set;

struct pool_set_events {
    void (*changed)(void *context); /* a worker started, failed or ended somewhere, or a generation
                                     * has taken over */
    void (*crashed)(void *context); /* one by SIGSEGV or SIGBUS */
};

struct pool_set_item {
    struct pool_set *set;
    struct pool pool;
    struct pool_supervisor supervisor;
    struct status_worker_process status;
    bool leaving;   /* no longer in the file: it goes when its workers have */
    unsigned alone; /* the generation that was told to be all there is */
};

struct pool_set {
    struct ev_loop *loop;
    struct config *config; /* in force; held */
    const struct pool_set_events *events;
    void *context;
    struct listen_queue queue;
    struct pool_set_item **items; /* those that leave are the last */
    size_t count;
};

/* What a reload did. */
struct pool_set_outcome {
    size_t kept, applied, replaced, added, removed;
};

/* Opens every pool of the file. Returns 0, or an exit status with a sentence. */
int pool_set_open(struct pool_set *pools, struct ev_loop *loop, struct config *config,
                  const struct pool_set_events *events, void *context, char *error, size_t size);
void pool_set_close(struct pool_set *pools);

/* A set without pools, for upgrade_state to fill in. `config`, held, is in force. */
void pool_set_begin(struct pool_set *pools, struct ev_loop *loop, struct config *config,
                    const struct pool_set_events *events, void *context);

/* One pool more, as pool_restore makes it; NULL without memory. */
struct pool_set_item *pool_set_restore_pool(struct pool_set *pools, const char *name);

/* Frees the last pool of the set, which has no worker. */
void pool_set_forget_last(struct pool_set *pools);

/* Ends the status workers, which are nobody's to hand over; pool_set_start brings them back. */
void pool_set_stop_status_workers(struct pool_set *pools);

/* Starts the first workers. */
void pool_set_start(struct pool_set *pools);

/* Puts another configuration in force, or nothing of it. `plan` was made by pool_set_plan, `all` as
 * reload_plan_make has it. Returns 0, or -1 with a sentence. */
int pool_set_plan(const struct pool_set *pools, const struct config *wanted, const char *all,
                  struct reload_plan *plan);
int pool_set_reload(struct pool_set *pools, struct config *wanted, const struct reload_plan *plan,
                    struct pool_set_outcome *outcome, char *error, size_t size);

/* Is everything as the last reload wants it: all new workers serving, all older ones gone? With
 * `failed` the first pool that has not the workers it wants since some could not start, or has none
 * since all die young; NULL = none. */
bool pool_set_settled(const struct pool_set *pools, const struct pool **failed);

void pool_set_stop(struct pool_set *pools, enum pool_stop how);

/* Frees pools that have left. Not from within a callback. */
void pool_set_sweep(struct pool_set *pools);

/* Processes of all pools. */
unsigned pool_set_live(const struct pool_set *pools);

/* Pools that are in the file. */
size_t pool_set_configured(const struct pool_set *pools);

#endif
