/* pool_set.h: all pools together: opened, reloaded and stopped as one.
 *
 * A reload is prepared for every pool before it is put in force for any: if one pool cannot be
 * prepared, nothing changes.
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
    /* In some pool a worker started, failed to start or ended, or an older generation has ended. */
    void (*changed)(void *context);
    void (*crashed)(void *context); /* a worker, by SIGSEGV or SIGBUS */
};

struct pool_set_item {
    struct pool_set *set;
    struct pool pool;
    struct pool_supervisor supervisor;
    struct status_worker_process status;
    bool removed;                /* no longer in the file: freed when its workers have ended */
    unsigned settled_generation; /* the generation that was reported to be the only one */
};

struct pool_set {
    struct ev_loop *loop;
    struct config *config; /* held: in force */
    const struct pool_set_events *events;
    void *context;
    struct listen_queue queue;
    struct pool_set_item **items; /* removed ones are the last */
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

/* A set without pools. Holds `config`. */
void pool_set_begin(struct pool_set *pools, struct ev_loop *loop, struct config *config,
                    const struct pool_set_events *events, void *context);

/* Ends what belongs to this program alone; pool_set_start starts it again. */
void pool_set_hand_over(struct pool_set *pools);

/* Adds a pool of another program: `before` has its values, and `current` and the `older` ones of it
 * as for pool_adopt. Takes its name and sockets. Returns 0, or -1 with a sentence: the pool may be
 * there then, fit to be stopped. */
int pool_set_adopt(struct pool_set *pools, const struct pool_set_item *before,
                   struct config *config, const struct config_pool *settings, char *error,
                   size_t size);

/* Starts the first workers. */
void pool_set_start(struct pool_set *pools);

/* Reload: pool_set_plan compares, `all` as reload_plan_make has it; returns 0, or -1 without
 * memory. pool_set_reload puts the plan in force, or nothing of it; returns 0, or -1 with a
 * sentence. */
int pool_set_plan(const struct pool_set *pools, const struct config *wanted, const char *all,
                  struct reload_plan *plan);
int pool_set_reload(struct pool_set *pools, struct config *wanted, const struct reload_plan *plan,
                    struct pool_set_outcome *outcome, char *error, size_t size);

/* Is the last reload complete: all new workers serve, all older ones have ended? *failed becomes
 * the first pool that lacks workers because they cannot start or end soon after, NULL = none. */
bool pool_set_settled(const struct pool_set *pools, const struct pool **failed);

void pool_set_stop(struct pool_set *pools, enum pool_stop how);

/* Frees removed pools without workers. Not to be called from a callback. */
void pool_set_sweep(struct pool_set *pools);

/* Processes of all pools. */
unsigned pool_set_live(const struct pool_set *pools);

/* Number of pools that are in the file. */
size_t pool_set_configured(const struct pool_set *pools);

#endif
