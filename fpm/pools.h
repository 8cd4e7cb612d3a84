/* pools.h: all pools together: opened, reloaded and stopped as one.
 *
 * A reload is prepared for every pool before it is put in force for any, so that one that cannot be
 * made leaves everything as it was. Called by master; status and verbs read it.
 */
#ifndef FPM_POOLS_H
#define FPM_POOLS_H

#include "fpm/conf.h"
#include "fpm/keeper.h"
#include "fpm/pool.h"
#include "sapi-shim/queue.h"
#include "fpm/reload.h"
#include "fpm/status_proc.h"

#include <ev.h>

struct pools;

struct pools_events {
    void (*changed)(void *context); /* a worker started, failed or ended somewhere, or a generation
                                     * has taken over */
    void (*crashed)(void *context); /* one by SIGSEGV or SIGBUS */
};

struct pools_item {
    struct pools *set;
    struct pool pool;
    struct keeper keeper;
    struct status_proc status;
    bool leaving;   /* no longer in the file: it goes when its workers have */
    unsigned alone; /* the generation that was told to be all there is */
};

struct pools {
    struct ev_loop *loop;
    struct conf *conf; /* in force; held */
    const struct pools_events *events;
    void *context;
    struct queue queue;
    struct pools_item **items; /* those that leave are the last */
    size_t count;
};

/* What a reload did. */
struct pools_outcome {
    size_t kept, applied, replaced, added, removed;
};

/* Opens every pool of the file. Returns 0, or an exit status with a sentence. */
int pools_open(struct pools *pools, struct ev_loop *loop, struct conf *conf,
               const struct pools_events *events, void *context, char *error, size_t size);
void pools_close(struct pools *pools);

/* A set without pools, for succession to fill in. `conf`, held, is in force. */
void pools_begin(struct pools *pools, struct ev_loop *loop, struct conf *conf,
                 const struct pools_events *events, void *context);

/* One pool more, as pool_adopt makes it; NULL without memory. */
struct pools_item *pools_adopt(struct pools *pools, const char *name);

/* Frees the last pool of the set, which has no worker. */
void pools_forget_last(struct pools *pools);

/* Ends the status workers, which are nobody's to hand over; pools_start brings them back. */
void pools_hush(struct pools *pools);

/* Starts the first workers. */
void pools_start(struct pools *pools);

/* Puts another configuration in force, or nothing of it. `plan` was made by pools_plan, `all` as
 * reload_plan has it. Returns 0, or -1 with a sentence. */
int pools_plan(const struct pools *pools, const struct conf *wanted, const char *all,
               struct reload_plan *plan);
int pools_reload(struct pools *pools, struct conf *wanted, const struct reload_plan *plan,
                 struct pools_outcome *outcome, char *error, size_t size);

/* Is everything as the last reload wants it: all new workers serving, all older ones gone? With
 * `failed` the first pool that has not the workers it wants since some could not start, or has none
 * since all die young; NULL = none. */
bool pools_settled(const struct pools *pools, const struct pool **failed);

void pools_stop(struct pools *pools, enum pool_stop how);

/* Frees pools that have left. Not from within a callback. */
void pools_sweep(struct pools *pools);

/* Processes of all pools. */
unsigned pools_live(const struct pools *pools);

/* Pools that are in the file. */
size_t pools_staying(const struct pools *pools);

#endif
