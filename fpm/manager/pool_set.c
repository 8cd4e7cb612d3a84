/* pool_set.c: see pool_set.h. */
#include "fpm/manager/pool_set.h"

#include "fpm/config/address_place.h"
#include "fpm/log/log.h"
#include "fpm/manager/status_publish.h"
#include "fpm/util/error.h"
#include "fpm/util/invariant.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* ---- events of pools ---- */

/* That the last older generation has ended is an event of its own: no worker may end after that. */
static void pool_set_on_pass(struct pool_supervisor *supervisor)
{
    struct pool *pool = supervisor->pool;
    struct pool_set_item *item = pool->owner;
    status_publish(pool);
    status_worker_update(&item->status);
    if (item->settled_generation == pool->number || pool->current->older != NULL ||
        !pool->older_retired || !pool_ready(pool))
        return;
    INVARIANT(pool_ready(pool) && pool->current->number == pool->number);
    item->settled_generation = pool->number;
    item->set->events->changed(item->set->context);
}

static void pool_set_on_changed(struct pool *pool)
{
    struct pool_set_item *item = pool->owner;
    /* With older generations, publishing looks at each of their workers: the supervisor's pass then
     * does it once for all changes, unless the pool is stopping. */
    if (pool->current->older == NULL || pool->stop != POOL_STOP_NONE)
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
static unsigned pool_set_free_slots(void *context)
{
    const struct pool_set *pools = context;
    int64_t max = pools->config->global.process_max;
    unsigned present = 0;
    if (max == 0)
        return UINT_MAX;
    for (size_t i = 0; i < pools->count; i++)
        present += pool_in_service(&pools->items[i]->pool);
    return max > present ? (unsigned)max - present : 0;
}

/* ---- the set ---- */

/* Makes room for one more. */
static int pool_set_grow(struct pool_set *pools)
{
    struct pool_set_item **grown =
        reallocarray(pools->items, pools->count + 1, sizeof(struct pool_set_item *));
    if (grown == NULL)
        return -1;
    pools->items = grown;
    return 0;
}

static void pool_set_free_item(struct pool_set_item **item)
{
    if (*item == NULL)
        return;
    INVARIANT((*item)->pool.owner == *item);
    pool_supervisor_close(&(*item)->supervisor);
    status_worker_close(&(*item)->status);
    pool_close(&(*item)->pool);
    free(*item);
    *item = NULL;
}

static void pool_set_init_item(struct pool_set *pools, struct pool_set_item *item)
{
    item->set = pools;
    pool_supervisor_open(&item->supervisor, &item->pool, &pools->queue, pool_set_free_slots, pools,
                         pool_set_on_pass);
    status_worker_init(&item->status, pools->loop, &item->pool);
}

static struct pool_set_item *pool_set_open_item(struct pool_set *pools,
                                                const struct pool_request *request,
                                                struct pool_fault *fault, char *error, size_t size)
{
    struct pool_set_item *item = calloc(1, sizeof *item);
    *fault = (struct pool_fault){EX_SOFTWARE, -1};
    if (item == NULL) {
        snprintf(error, size, "out of memory");
        return NULL;
    }
    *fault = pool_open(&item->pool, pools->loop, request, &pool_set_pool_events, item, error, size);
    if (fault->status != 0) {
        free(item);
        return NULL;
    }
    pool_set_init_item(pools, item);
    if (status_worker_listen(&item->status, error, size) != 0) {
        *fault = (struct pool_fault){EX_SOFTWARE, DIRECTIVE_POOL_pm_status_listen};
        pool_set_free_item(&item);
    }
    return item;
}

/* "FILE:LINE: pool NAME: what", with the line that must be changed. */
static void pool_set_locate(const struct config_pool *wanted, struct pool_fault fault,
                            const char *what, char *error, size_t size)
{
    const struct directive_origin *origin = &wanted->origin;
    if (fault.directive >= 0 && wanted->origins[fault.directive].file != NULL)
        origin = &wanted->origins[fault.directive];
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

int pool_set_adopt(struct pool_set *pools, const struct pool_set_item *before,
                   struct config *config, const struct config_pool *settings, char *error,
                   size_t size)
{
    struct pool_set_item *item = calloc(1, sizeof *item);
    if (item == NULL || pool_set_grow(pools) != 0) {
        snprintf(error, size, "out of memory");
        free(item);
        return -1;
    }
    item->removed = before->removed;
    item->pool = before->pool;
    item->pool.current = NULL;
    int result = pool_adopt(&item->pool, pools->loop, config, settings, before->pool.current,
                            !item->removed, &pool_set_pool_events, item, error, size);
    pool_set_init_item(pools, item);
    if (item->pool.current == NULL) {
        pool_set_free_item(&item);
        return -1;
    }
    pool_supervisor_adopt(&item->supervisor, &before->supervisor);
    pools->items[pools->count++] = item;
    return result;
}

int pool_set_open(struct pool_set *pools, struct ev_loop *loop, struct config *config,
                  const struct pool_set_events *events, void *context, char *error, size_t size)
{
    pool_set_begin(pools, loop, config, events, context);
    for (size_t i = 0; i < config->pool_count; i++) {
        struct pool_request request = {.config = config, .settings = &config->pools[i]};
        char why[ERROR_SIZE] = "out of memory";
        struct pool_fault fault = {EX_SOFTWARE, -1};
        struct pool_set_item *item =
            pool_set_grow(pools) == 0 ? pool_set_open_item(pools, &request, &fault, why, sizeof why)
                                      : NULL;
        if (item == NULL) {
            pool_set_locate(request.settings, fault, why, error, size);
            return fault.status;
        }
        pools->items[pools->count++] = item;
    }
    return 0;
}

void pool_set_close(struct pool_set *pools)
{
    while (pools->count > 0)
        pool_set_free_item(&pools->items[--pools->count]);
    free(pools->items);
    listen_queue_close(&pools->queue);
    config_free(&pools->config);
    pools->items = NULL;
}

void pool_set_hand_over(struct pool_set *pools)
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
    size_t count = 0;
    while (count < pools->count && !pools->items[count]->removed)
        count++;
    return count;
}

void pool_set_sweep(struct pool_set *pools)
{
    size_t left = 0;
    for (size_t i = 0; i < pools->count; i++) {
        struct pool_set_item *item = pools->items[i];
        if (item->removed && pool_live(&item->pool) == 0) {
            log_pool(LOG_LEVEL_NOTICE, item->pool.name, "removed, its last worker has ended");
            pool_set_free_item(&item);
        } else {
            pools->items[left++] = item;
        }
    }
    INVARIANT(left <= pools->count);
    pools->count = left;
}

/* ---- reload ---- */

int pool_set_plan(const struct pool_set *pools, const struct config *wanted, const char *all,
                  struct reload_plan *plan)
{
    size_t configured = pool_set_configured(pools);
    struct reload_plan_was *was = calloc(configured + 1, sizeof *was);
    if (was == NULL)
        return -1;
    for (size_t i = 0; i < configured; i++) {
        const struct pool *pool = &pools->items[i]->pool;
        was[i] = (struct reload_plan_was){pool_settings(pool), pool->current->size,
                                          socket_is_lost(&pool->listener)};
    }
    int result = reload_plan_make(&pools->config->global, was, configured, wanted, all, plan);
    free(was);
    return result;
}

/* The prepared pool for one step of the plan. */
struct pool_set_ready {
    struct pool_set_item *added; /* RELOAD_PLAN_ADD */
    struct pool_prepared prepared;
    struct pool_request request;
};

static void pool_set_discard(struct pool_set_ready *ready, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pool_discard(&ready[i].prepared);
        if (ready[i].added != NULL && ready[i].request.inherit != NULL)
            pool_disown_socket(&ready[i].added->pool);
        pool_set_free_item(&ready[i].added);
    }
    free(ready);
}

/* Does a pool listen on an address that overlaps the one that a step of the plan needs? Both cannot
 * listen. A pool that is removed holds its port until its last worker has ended. */
static bool pool_set_is_held(const struct pool_set *pools, const struct reload_plan_step *step,
                             char *why, size_t size)
{
    const struct value_parse_address *wanted = &step->wanted->listen;
    for (size_t i = 0; i < pools->count; i++) {
        const struct pool_set_item *item = pools->items[i];
        const struct value_parse_address *held = &pool_settings(&item->pool)->listen;
        if (held->kind != VALUE_PARSE_ADDRESS_TCP || i == step->socket ||
            item->pool.listener.given || !address_place_clash(held, wanted))
            continue;
        unsigned live = pool_live(&item->pool);
        snprintf(why, size, "`listen = %s`: pool %s%s listens on %s, and %u worker%s there; %s",
                 wanted->text, item->pool.name, item->removed ? ", which was removed," : "",
                 held->text, live, live == 1 ? " is" : "s are",
                 item->removed ? "reload again when they have ended"
                               : "take another port, or restart the manager");
        return true;
    }
    return false;
}

/* A fault comes with a sentence that does not name the line yet. */
static struct pool_fault pool_set_prepare(struct pool_set *pools,
                                          const struct reload_plan_step *step,
                                          struct config *wanted, struct pool_set_ready *ready,
                                          char *why, size_t size)
{
    struct pool_fault fault;
    struct pool_request *request = &ready->request;
    bool moves = step->socket != step->before;
    *request = (struct pool_request){
        .config = wanted,
        .settings = step->wanted,
        .replace = step->action == RELOAD_PLAN_REPLACE,
        .listen = moves || step->action == RELOAD_PLAN_ADD,
        .inherit = moves && step->socket != RELOAD_PLAN_NONE
                       ? &pools->items[step->socket]->pool.listener
                       : NULL,
    };
    if (request->listen && request->inherit == NULL && pool_set_is_held(pools, step, why, size))
        return (struct pool_fault){EX_SOFTWARE, DIRECTIVE_POOL_listen};
    if (step->action == RELOAD_PLAN_ADD)
        ready->added = pool_set_open_item(pools, request, &fault, why, size);
    else
        fault =
            pool_prepare(&pools->items[step->before]->pool, request, &ready->prepared, why, size);
    return fault;
}

/* *order becomes room for the pools in their new order. */
static struct pool_set_ready *
pool_set_prepare_all(struct pool_set *pools, const struct reload_plan *plan, struct config *wanted,
                     struct pool_set_item ***order, char *error, size_t size)
{
    char why[ERROR_SIZE];
    struct pool_set_ready *ready = calloc(plan->count, sizeof *ready);
    *order = calloc(pools->count + plan->count, sizeof(struct pool_set_item *));
    if (ready == NULL || *order == NULL) {
        snprintf(error, size, "out of memory");
        free(ready);
        free(*order);
        return NULL;
    }
    for (size_t i = 0; i < plan->count; i++)
        ready[i].prepared = (struct pool_prepared){.listener = SOCKET_NONE, .socket_name = ""};
    for (size_t i = 0; i < plan->count; i++) {
        struct pool_fault fault =
            pool_set_prepare(pools, &plan->steps[i], wanted, &ready[i], why, sizeof why);
        if (fault.status != 0) {
            pool_set_locate(plan->steps[i].wanted, fault, why, error, size);
            pool_set_discard(ready, plan->count);
            free(*order);
            return NULL;
        }
    }
    return ready;
}

static void pool_set_report(const struct reload_plan_step *step, const struct pool *pool,
                            struct pool_set_outcome *outcome)
{
    switch (step->action) {
    case RELOAD_PLAN_ADD:
        outcome->added++;
        log_pool(LOG_LEVEL_NOTICE, pool->name, "added");
        break;
    case RELOAD_PLAN_REPLACE:
        outcome->replaced++;
        log_pool(LOG_LEVEL_NOTICE, pool->name, "starting the workers of generation %u: %s%s%s",
                 pool->number, step->changed != NULL ? "`" : "",
                 step->changed != NULL ? step->changed
                 : step->lost          ? "its socket was gone and was made anew"
                                       : "requested",
                 step->changed != NULL ? "` changed" : "");
        break;
    case RELOAD_PLAN_APPLY:
        outcome->applied++;
        log_pool(LOG_LEVEL_NOTICE, pool->name, "`%s` changed, applied to its workers",
                 step->changed);
        break;
    case RELOAD_PLAN_KEEP:
    default:
        outcome->kept++;
        break;
    }
}

/* Puts the plan in force; this cannot fail. The pools take the order of the file. */
static void pool_set_commit(struct pool_set *pools, const struct reload_plan *plan,
                            struct pool_set_ready *ready, struct pool_set_item **order,
                            struct pool_set_outcome *outcome)
{
    size_t configured = pool_set_configured(pools), total = pools->count;
    struct pool_set_item **items = pools->items;
    size_t used = 0;
    /* A socket that moves to another pool must keep its file when its former owner is closed. */
    for (size_t i = 0; i < plan->count; i++)
        if (ready[i].request.inherit != NULL)
            pool_disown_socket(&items[plan->steps[i].socket]->pool);
    for (size_t i = 0; i < plan->count; i++) {
        const struct reload_plan_step *step = &plan->steps[i];
        struct pool_set_item *item = ready[i].added;
        if (step->action != RELOAD_PLAN_ADD) {
            item = items[step->before];
            items[step->before] = NULL;
            pool_commit(&item->pool, &ready[i].request, &ready[i].prepared);
        }
        if (ready[i].request.inherit != NULL)
            pool_update_socket(&item->pool, ready[i].request.settings);
        pool_set_report(step, &item->pool, outcome);
        order[used++] = item;
    }
    /* The pools that are left are no longer in the file, some of them since an earlier reload. They
     * stop as the older workers of a reload do. */
    for (size_t i = 0; i < total; i++) {
        if (items[i] == NULL)
            continue;
        order[used++] = items[i];
        if (i >= configured)
            continue;
        struct pool *pool = &items[i]->pool;
        unsigned live = pool_live(pool);
        log_pool(LOG_LEVEL_NOTICE, pool->name,
                 "no longer in the file, ends when its %u worker%s done", live,
                 live == 1 ? " is" : "s are");
        outcome->removed++;
        items[i]->removed = true;
        pool_return_socket(pool);
        pool_stop(pool, POOL_STOP_GRACEFUL);
        pool_supervisor_check_all(&items[i]->supervisor);
    }
    INVARIANT(used <= total + plan->count && used >= plan->count);
    free(items);
    pools->items = order;
    pools->count = used;
}

int pool_set_reload(struct pool_set *pools, struct config *wanted, const struct reload_plan *plan,
                    struct pool_set_outcome *outcome, char *error, size_t size)
{
    struct pool_set_item **order;
    struct pool_set_ready *ready = pool_set_prepare_all(pools, plan, wanted, &order, error, size);
    *outcome = (struct pool_set_outcome){0};
    if (ready == NULL)
        return -1;
    pool_set_commit(pools, plan, ready, order, outcome);
    free(ready);
    struct config *before = pools->config;
    pools->config = config_keep(wanted);
    config_free(&before);
    pool_set_start(pools);
    return 0;
}

bool pool_set_settled(const struct pool_set *pools, const struct pool **failed)
{
    bool settled = true;
    *failed = NULL;
    for (size_t i = 0; i < pools->count; i++) {
        const struct pool *pool = &pools->items[i]->pool;
        const struct scaling_counts *seen = &pool->seen.counts;
        bool complete = pool->older_retired && pool_ready(pool);
        bool fails = (*pool->failure != '\0' && !complete) ||
                     pool_failing(pool, seen->idle + seen->partly + seen->serving + seen->post);
        if (*failed == NULL && fails)
            *failed = pool;
        settled = settled && complete && !pools->items[i]->removed && pool->current->older == NULL;
    }
    return settled;
}
