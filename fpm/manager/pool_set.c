/* pool_set.c: see pool_set.h. */
#include "fpm/manager/pool_set.h"

#include "fpm/log/log.h"
#include "fpm/manager/status_publish.h"
#include "fpm/util/error.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* ---- what pools tell ---- */

/* A generation that has taken over is news, too: no worker needs to end after the last look. */
static void pool_set_on_turned(struct pool_supervisor *supervisor)
{
    struct pool *pool = supervisor->pool;
    struct pool_set_item *item = pool->owner;
    status_publish(pool);
    status_worker_follow(&item->status);
    if (item->alone == pool->number || pool->older != NULL || !pool->older_retired ||
        !pool_ready(pool))
        return;
    item->alone = pool->number;
    item->set->events->changed(item->set->context);
}

static void pool_set_on_changed(struct pool *pool)
{
    struct pool_set_item *item = pool->owner;
    /* While there are older workers that takes a look at each of them: the turn does it for all
     * that is new, where there are turns for more than limits. */
    if (pool->older == NULL || pool->stop != POOL_STOP_NONE)
        status_publish(pool);
    pool_supervisor_check_changed(&item->supervisor);
    item->set->events->changed(item->set->context);
}

static void pool_set_on_crashed(struct pool *pool)
{
    const struct pool_set_item *item = pool->owner;
    item->set->events->crashed(item->set->context);
}

static const struct pool_events pool_set_pool_events = {
    .changed = pool_set_on_changed,
    .crashed = pool_set_on_crashed,
};

/* Workers that process.max still allows. */
static unsigned pool_set_room(void *context)
{
    const struct pool_set *pools = context;
    int64_t max = pools->config->global.process_max;
    unsigned staying = 0;
    if (max == 0)
        return UINT_MAX;
    for (size_t i = 0; i < pools->count; i++)
        staying += pool_in_service(&pools->items[i]->pool);
    return max > staying ? (unsigned)max - staying : 0;
}

/* ---- the set ---- */

/* Room for one more, at the end of those that stay. */
static int pool_set_grow(struct pool_set *pools)
{
    struct pool_set_item **grown =
        reallocarray(pools->items, pools->count + 1, sizeof(struct pool_set_item *));
    if (grown == NULL)
        return -1;
    pools->items = grown;
    return 0;
}

static void pool_set_drop(struct pool_set_item **item)
{
    if (*item == NULL)
        return;
    pool_supervisor_close(&(*item)->supervisor);
    status_worker_close(&(*item)->status);
    pool_close(&(*item)->pool);
    free(*item);
    *item = NULL;
}

static struct pool_set_item *pool_set_make(struct pool_set *pools, const struct pool_request *wish,
                                           int *status, char *error, size_t size)
{
    struct pool_set_item *item = calloc(1, sizeof *item);
    if (item == NULL) {
        snprintf(error, size, "out of memory");
        *status = EX_SOFTWARE;
        return NULL;
    }
    item->set = pools;
    *status = pool_open(&item->pool, pools->loop, wish, &pool_set_pool_events, item, error, size);
    if (*status != 0) {
        free(item);
        return NULL;
    }
    pool_supervisor_open(&item->supervisor, &item->pool, &pools->queue, pool_set_room, pools,
                         pool_set_on_turned);
    status_worker_init(&item->status, pools->loop, &item->pool);
    if (status_worker_listen(&item->status, error, size) != 0) {
        *status = EX_SOFTWARE;
        pool_set_drop(&item);
    }
    return item;
}

/* "FILE:LINE: pool NAME: what", at the line that has to change. */
static void pool_set_place(const struct config_pool *wanted, int status, const char *what,
                           char *error, size_t size)
{
    const struct directive_origin *origin =
        status == EX_CONFIG ? &wanted->origins[DIRECTIVE_POOL_listen] : &wanted->origin;
    snprintf(error, size, "%s:%u: pool %s: %s", origin->file, origin->line, wanted->name, what);
}

void pool_set_begin(struct pool_set *pools, struct ev_loop *loop, struct config *config,
                    const struct pool_set_events *events, void *context)
{
    *pools = (struct pool_set){
        .loop = loop,
        .config = config_keep(config),
        .events = events,
        .context = context,
        .queue = LISTEN_QUEUE_NONE,
    };
}

struct pool_set_item *pool_set_restore_pool(struct pool_set *pools, const char *name)
{
    struct pool_set_item *item = calloc(1, sizeof *item);
    char *own = strdup(name);
    if (item == NULL || own == NULL || pool_set_grow(pools) != 0) {
        free(item);
        free(own);
        return NULL;
    }
    item->set = pools;
    pool_restore(&item->pool, pools->loop, own, &pool_set_pool_events, item);
    pool_supervisor_open(&item->supervisor, &item->pool, &pools->queue, pool_set_room, pools,
                         pool_set_on_turned);
    status_worker_init(&item->status, pools->loop, &item->pool);
    pools->items[pools->count++] = item;
    return item;
}

void pool_set_forget_last(struct pool_set *pools)
{
    pool_set_drop(&pools->items[--pools->count]);
}

int pool_set_open(struct pool_set *pools, struct ev_loop *loop, struct config *config,
                  const struct pool_set_events *events, void *context, char *error, size_t size)
{
    pool_set_begin(pools, loop, config, events, context);
    for (size_t i = 0; i < config->pool_count; i++) {
        struct pool_request wish = {.config = config, .settings = &config->pools[i]};
        char why[ERROR_SIZE] = "out of memory";
        int status = EX_SOFTWARE;
        struct pool_set_item *item = pool_set_grow(pools) == 0
                                         ? pool_set_make(pools, &wish, &status, why, sizeof why)
                                         : NULL;
        if (item == NULL) {
            pool_set_place(wish.settings, status, why, error, size);
            return status;
        }
        pools->items[pools->count++] = item;
    }
    return 0;
}

void pool_set_close(struct pool_set *pools)
{
    while (pools->count > 0)
        pool_set_drop(&pools->items[--pools->count]);
    free(pools->items);
    listen_queue_close(&pools->queue);
    config_free(&pools->config);
    pools->items = NULL;
}

void pool_set_stop_status_workers(struct pool_set *pools)
{
    for (size_t i = 0; i < pools->count; i++)
        status_worker_close(&pools->items[i]->status);
}

void pool_set_start(struct pool_set *pools)
{
    for (size_t i = 0; i < pools->count; i++)
        pool_supervisor_check_all(&pools->items[i]->supervisor);
}

void pool_set_stop(struct pool_set *pools, enum pool_stop how)
{
    for (size_t i = 0; i < pools->count; i++) {
        pool_stop(&pools->items[i]->pool, how);
        pool_supervisor_check_all(&pools->items[i]->supervisor);
        status_publish(&pools->items[i]->pool);
    }
}

unsigned pool_set_live(const struct pool_set *pools)
{
    unsigned live = 0;
    for (size_t i = 0; i < pools->count; i++)
        live += pool_live(&pools->items[i]->pool);
    return live;
}

size_t pool_set_configured(const struct pool_set *pools)
{
    size_t staying = 0;
    while (staying < pools->count && !pools->items[staying]->leaving)
        staying++;
    return staying;
}

void pool_set_sweep(struct pool_set *pools)
{
    size_t left = 0;
    for (size_t i = 0; i < pools->count; i++) {
        struct pool_set_item *item = pools->items[i];
        if (item->leaving && pool_live(&item->pool) == 0) {
            log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = item->pool.name},
                      "pool %s: removed, its last worker has ended", item->pool.name);
            pool_set_drop(&item);
        } else {
            pools->items[left++] = item;
        }
    }
    pools->count = left;
}

/* ---- reload ---- */

int pool_set_plan(const struct pool_set *pools, const struct config *wanted, const char *all,
                  struct reload_plan *plan)
{
    size_t staying = pool_set_configured(pools);
    struct reload_plan_was *was = calloc(staying + 1, sizeof *was);
    if (was == NULL)
        return -1;
    for (size_t i = 0; i < staying; i++) {
        const struct pool *pool = &pools->items[i]->pool;
        was[i] = (struct reload_plan_was){pool_settings(pool), pool->current->size};
    }
    int result = reload_plan_make(&pools->config->global, was, staying, wanted, all, plan);
    free(was);
    return result;
}

/* What is made ready for one step of the plan. */
struct pool_set_ready {
    struct pool_set_item *made; /* RELOAD_PLAN_ADD */
    struct pool_prepared change;
    struct pool_request wish;
};

static void pool_set_give_up(struct pool_set_ready *ready, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pool_discard(&ready[i].change);
        if (ready[i].made != NULL && ready[i].wish.inherit != NULL)
            pool_disown_socket(&ready[i].made->pool);
        pool_set_drop(&ready[i].made);
    }
    free(ready);
}

/* Returns 0 or an exit status, with the sentence not yet placed. */
static int pool_set_prepare(struct pool_set *pools, const struct reload_plan_step *step,
                            struct config *wanted, struct pool_set_ready *ready, char *why,
                            size_t size)
{
    int status = 0;
    struct pool_request *wish = &ready->wish;
    bool moves = step->socket != step->before;
    *wish = (struct pool_request){
        .config = wanted,
        .settings = step->wanted,
        .replace = step->deed == RELOAD_PLAN_REPLACE,
        .listen = moves || step->deed == RELOAD_PLAN_ADD,
        .inherit = moves && step->socket != RELOAD_PLAN_NONE
                       ? &pools->items[step->socket]->pool.listener
                       : NULL,
    };
    if (step->deed == RELOAD_PLAN_ADD)
        ready->made = pool_set_make(pools, wish, &status, why, size);
    else
        status = pool_prepare(&pools->items[step->before]->pool, wish, &ready->change, why, size);
    return status;
}

/* `fresh`: room for the pools' new order. */
static struct pool_set_ready *
pool_set_prepare_all(struct pool_set *pools, const struct reload_plan *plan, struct config *wanted,
                     struct pool_set_item ***fresh, char *error, size_t size)
{
    char why[ERROR_SIZE];
    struct pool_set_ready *ready = calloc(plan->count, sizeof *ready);
    *fresh = calloc(pools->count + plan->count, sizeof(struct pool_set_item *));
    if (ready == NULL || *fresh == NULL) {
        snprintf(error, size, "out of memory");
        free(ready);
        free(*fresh);
        return NULL;
    }
    for (size_t i = 0; i < plan->count; i++)
        ready[i].change = (struct pool_prepared){.listener = SOCKET_NONE};
    for (size_t i = 0; i < plan->count; i++) {
        int status = pool_set_prepare(pools, &plan->steps[i], wanted, &ready[i], why, sizeof why);
        if (status != 0) {
            pool_set_place(plan->steps[i].wanted, status, why, error, size);
            pool_set_give_up(ready, plan->count);
            free(*fresh);
            return NULL;
        }
    }
    return ready;
}

/* Those whose names are no longer in the file end as a reload ends workers, and nobody waits. */
static void pool_set_let_go(struct pool_set_item *item)
{
    log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = item->pool.name},
              "pool %s: no longer in the file, ends when its %u worker%s done", item->pool.name,
              pool_live(&item->pool), pool_live(&item->pool) == 1 ? " is" : "s are");
    item->leaving = true;
    pool_return_socket(&item->pool);
    pool_stop(&item->pool, POOL_STOP_GRACEFUL);
    pool_supervisor_check_all(&item->supervisor);
}

static void pool_set_tell(const struct reload_plan_step *step, const struct pool *pool)
{
    switch (step->deed) {
    case RELOAD_PLAN_ADD:
        log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = pool->name}, "pool %s: added",
                  pool->name);
        break;
    case RELOAD_PLAN_REPLACE:
        log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = pool->name},
                  "pool %s: starting the workers of generation %u: %s%s%s", pool->name,
                  pool->number, step->because != NULL ? "`" : "",
                  step->because != NULL ? step->because : "requested",
                  step->because != NULL ? "` changed" : "");
        break;
    case RELOAD_PLAN_APPLY:
        log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = pool->name},
                  "pool %s: `%s` changed, applied to its workers", pool->name, step->because);
        break;
    case RELOAD_PLAN_KEEP:
    default:
        break;
    }
}

static void pool_set_count(struct pool_set_outcome *outcome, enum reload_plan_action deed)
{
    size_t *const counts[] = {
        [RELOAD_PLAN_KEEP] = &outcome->kept,
        [RELOAD_PLAN_APPLY] = &outcome->applied,
        [RELOAD_PLAN_REPLACE] = &outcome->replaced,
        [RELOAD_PLAN_ADD] = &outcome->added,
    };
    ++*counts[deed];
}

/* Cannot fail. The order of the file becomes the order of the pools. */
static void pool_set_commit(struct pool_set *pools, const struct reload_plan *plan,
                            struct pool_set_ready *ready, struct pool_set_item **fresh,
                            struct pool_set_outcome *outcome)
{
    size_t staying = pool_set_configured(pools), total = pools->count;
    struct pool_set_item **items = pools->items;
    size_t used = 0;
    /* The names of sockets that go to another pool must outlive their former owners. */
    for (size_t i = 0; i < plan->count; i++)
        if (ready[i].wish.inherit != NULL)
            pool_disown_socket(&items[plan->steps[i].socket]->pool);
    for (size_t i = 0; i < plan->count; i++) {
        const struct reload_plan_step *step = &plan->steps[i];
        struct pool_set_item *item = ready[i].made;
        if (step->deed != RELOAD_PLAN_ADD) {
            item = items[step->before];
            items[step->before] = NULL;
            pool_commit(&item->pool, &ready[i].wish, &ready[i].change);
        }
        pool_set_tell(step, &item->pool);
        pool_set_count(outcome, step->deed);
        fresh[used++] = item;
    }
    for (size_t i = 0; i < total; i++) {
        if (items[i] == NULL)
            continue;
        if (i < staying) {
            outcome->removed++;
            pool_set_let_go(items[i]);
        }
        fresh[used++] = items[i];
    }
    free(items);
    pools->items = fresh;
    pools->count = used;
}

int pool_set_reload(struct pool_set *pools, struct config *wanted, const struct reload_plan *plan,
                    struct pool_set_outcome *outcome, char *error, size_t size)
{
    struct pool_set_item **fresh;
    struct pool_set_ready *ready = pool_set_prepare_all(pools, plan, wanted, &fresh, error, size);
    *outcome = (struct pool_set_outcome){0};
    if (ready == NULL)
        return -1;
    pool_set_commit(pools, plan, ready, fresh, outcome);
    free(ready);
    struct config *before = pools->config;
    pools->config = config_keep(wanted);
    config_free(&before);
    pool_set_start(pools);
    return 0;
}

static bool pool_set_failed(const struct pool_set_item *item)
{
    const struct pool *pool = &item->pool;
    const struct scaling_counts *seen = &pool->seen.counts;
    return (*pool->failure != '\0' && (!pool->older_retired || !pool_ready(pool))) ||
           pool_failing(pool, seen->idle + seen->serving + seen->post);
}

bool pool_set_settled(const struct pool_set *pools, const struct pool **failed)
{
    bool settled = true;
    *failed = NULL;
    for (size_t i = 0; i < pools->count; i++) {
        const struct pool *pool = &pools->items[i]->pool;
        if (*failed == NULL && pool_set_failed(pools->items[i]))
            *failed = pool;
        settled = settled && !pools->items[i]->leaving && pool->older_retired &&
                  pool->older == NULL && pool_ready(pool);
    }
    return settled;
}
