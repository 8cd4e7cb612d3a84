/* pools.c: see pools.h. */
#include "fpm/pools.h"

#include "fpm/facts.h"
#include "fpm/log.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
    POOLS_SENTENCE = 1024
};

/* ---- what pools tell ---- */

/* A generation that has taken over is news, too: no worker needs to end after the last look. */
static void pools_on_turned(struct keeper *keeper)
{
    struct pool *pool = keeper->pool;
    struct pools_item *item = pool->owner;
    facts_publish(pool, keeper);
    status_proc_follow(&item->status);
    if (item->alone == pool->number || pool->older != NULL || !pool->handed_over ||
        !pool_ready(pool))
        return;
    item->alone = pool->number;
    item->set->events->changed(item->set->context);
}

static void pools_on_changed(struct pool *pool)
{
    struct pools_item *item = pool->owner;
    /* While there are older workers that takes a look at each of them: the turn does it for all
     * that is new, where there are turns for more than limits. */
    if (pool->older == NULL || pool->stop != POOL_STAY)
        facts_publish(pool, &item->keeper);
    keeper_news(&item->keeper);
    item->set->events->changed(item->set->context);
}

static void pools_on_crashed(struct pool *pool)
{
    const struct pools_item *item = pool->owner;
    item->set->events->crashed(item->set->context);
}

static const struct pool_events pools_pool_events = {
    .changed = pools_on_changed,
    .crashed = pools_on_crashed,
};

/* Workers that process.max still allows. */
static unsigned pools_room(void *context)
{
    const struct pools *pools = context;
    int64_t max = pools->conf->global.process_max;
    unsigned staying = 0;
    if (max == 0)
        return UINT_MAX;
    for (size_t i = 0; i < pools->count; i++)
        staying += pool_staying(&pools->items[i]->pool);
    return max > staying ? (unsigned)max - staying : 0;
}

/* ---- the set ---- */

/* Room for one more, at the end of those that stay. */
static int pools_grow(struct pools *pools)
{
    struct pools_item **grown =
        reallocarray(pools->items, pools->count + 1, sizeof(struct pools_item *));
    if (grown == NULL)
        return -1;
    pools->items = grown;
    return 0;
}

static void pools_drop(struct pools_item **item)
{
    if (*item == NULL)
        return;
    keeper_rest(&(*item)->keeper);
    status_proc_close(&(*item)->status);
    pool_close(&(*item)->pool);
    free(*item);
    *item = NULL;
}

static struct pools_item *pools_make(struct pools *pools, const struct pool_wish *wish, int *status,
                                     char *error, size_t size)
{
    struct pools_item *item = calloc(1, sizeof *item);
    if (item == NULL) {
        snprintf(error, size, "out of memory");
        *status = EX_SOFTWARE;
        return NULL;
    }
    item->set = pools;
    *status = pool_open(&item->pool, pools->loop, wish, &pools_pool_events, item, error, size);
    if (*status != 0) {
        free(item);
        return NULL;
    }
    keeper_open(&item->keeper, &item->pool, &pools->queue, pools_room, pools, pools_on_turned);
    status_proc_init(&item->status, pools->loop, &item->pool);
    if (status_proc_listen(&item->status, error, size) != 0) {
        *status = EX_SOFTWARE;
        pools_drop(&item);
    }
    return item;
}

/* "FILE:LINE: pool NAME: what", at the line that has to change. */
static void pools_place(const struct conf_pool *wanted, int status, const char *what, char *error,
                        size_t size)
{
    const struct conf_origin *origin =
        status == EX_CONFIG ? &wanted->origins[DIRECTIVE_POOL_listen] : &wanted->origin;
    snprintf(error, size, "%s:%u: pool %s: %s", origin->file, origin->line, wanted->name, what);
}

void pools_begin(struct pools *pools, struct ev_loop *loop, struct conf *conf,
                 const struct pools_events *events, void *context)
{
    *pools = (struct pools){
        .loop = loop,
        .conf = conf_keep(conf),
        .events = events,
        .context = context,
        .queue = QUEUE_NONE,
    };
}

struct pools_item *pools_adopt(struct pools *pools, const char *name)
{
    struct pools_item *item = calloc(1, sizeof *item);
    char *own = strdup(name);
    if (item == NULL || own == NULL || pools_grow(pools) != 0) {
        free(item);
        free(own);
        return NULL;
    }
    item->set = pools;
    pool_adopt(&item->pool, pools->loop, own, &pools_pool_events, item);
    keeper_open(&item->keeper, &item->pool, &pools->queue, pools_room, pools, pools_on_turned);
    status_proc_init(&item->status, pools->loop, &item->pool);
    pools->items[pools->count++] = item;
    return item;
}

void pools_forget_last(struct pools *pools)
{
    pools_drop(&pools->items[--pools->count]);
}

int pools_open(struct pools *pools, struct ev_loop *loop, struct conf *conf,
               const struct pools_events *events, void *context, char *error, size_t size)
{
    pools_begin(pools, loop, conf, events, context);
    for (size_t i = 0; i < conf->pool_count; i++) {
        struct pool_wish wish = {.conf = conf, .settings = &conf->pools[i]};
        char why[POOLS_SENTENCE] = "out of memory";
        int status = EX_SOFTWARE;
        struct pools_item *item =
            pools_grow(pools) == 0 ? pools_make(pools, &wish, &status, why, sizeof why) : NULL;
        if (item == NULL) {
            pools_place(wish.settings, status, why, error, size);
            return status;
        }
        pools->items[pools->count++] = item;
    }
    return 0;
}

void pools_close(struct pools *pools)
{
    while (pools->count > 0)
        pools_drop(&pools->items[--pools->count]);
    free(pools->items);
    queue_close(&pools->queue);
    conf_free(&pools->conf);
    pools->items = NULL;
}

void pools_hush(struct pools *pools)
{
    for (size_t i = 0; i < pools->count; i++)
        status_proc_close(&pools->items[i]->status);
}

void pools_start(struct pools *pools)
{
    for (size_t i = 0; i < pools->count; i++)
        keeper_poke(&pools->items[i]->keeper);
}

void pools_stop(struct pools *pools, enum pool_stop how)
{
    for (size_t i = 0; i < pools->count; i++) {
        pool_stop(&pools->items[i]->pool, how);
        keeper_poke(&pools->items[i]->keeper);
        facts_publish(&pools->items[i]->pool, &pools->items[i]->keeper);
    }
}

unsigned pools_live(const struct pools *pools)
{
    unsigned live = 0;
    for (size_t i = 0; i < pools->count; i++)
        live += pool_live(&pools->items[i]->pool);
    return live;
}

size_t pools_staying(const struct pools *pools)
{
    size_t staying = 0;
    while (staying < pools->count && !pools->items[staying]->leaving)
        staying++;
    return staying;
}

void pools_sweep(struct pools *pools)
{
    size_t left = 0;
    for (size_t i = 0; i < pools->count; i++) {
        struct pools_item *item = pools->items[i];
        if (item->leaving && pool_live(&item->pool) == 0) {
            log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = item->pool.name},
                      "pool %s: gone", item->pool.name);
            pools_drop(&item);
        } else {
            pools->items[left++] = item;
        }
    }
    pools->count = left;
}

/* ---- reload ---- */

int pools_plan(const struct pools *pools, const struct conf *wanted, const char *all,
               struct reload_plan *plan)
{
    size_t staying = pools_staying(pools);
    struct reload_was *was = calloc(staying + 1, sizeof *was);
    if (was == NULL)
        return -1;
    for (size_t i = 0; i < staying; i++) {
        const struct pool *pool = &pools->items[i]->pool;
        was[i] = (struct reload_was){pool_settings(pool), pool->current->size};
    }
    int result = reload_plan(&pools->conf->global, was, staying, wanted, all, plan);
    free(was);
    return result;
}

/* What is made ready for one step of the plan. */
struct pools_ready {
    struct pools_item *made; /* RELOAD_ADD */
    struct pool_change change;
    struct pool_wish wish;
};

static void pools_give_up(struct pools_ready *ready, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pool_abandon(&ready[i].change);
        if (ready[i].made != NULL && ready[i].wish.inherit != NULL)
            pool_disown_socket(&ready[i].made->pool);
        pools_drop(&ready[i].made);
    }
    free(ready);
}

/* Returns 0 or an exit status, with the sentence not yet placed. */
static int pools_prepare(struct pools *pools, const struct reload_step *step, struct conf *wanted,
                         struct pools_ready *ready, char *why, size_t size)
{
    int status = 0;
    struct pool_wish *wish = &ready->wish;
    bool moves = step->socket != step->before;
    *wish = (struct pool_wish){
        .conf = wanted,
        .settings = step->wanted,
        .replace = step->deed == RELOAD_REPLACE,
        .listen = moves || step->deed == RELOAD_ADD,
        .inherit = moves && step->socket != RELOAD_NONE ? &pools->items[step->socket]->pool.listener
                                                        : NULL,
    };
    if (step->deed == RELOAD_ADD)
        ready->made = pools_make(pools, wish, &status, why, size);
    else
        status = pool_prepare(&pools->items[step->before]->pool, wish, &ready->change, why, size);
    return status;
}

/* `fresh`: room for the pools' new order. */
static struct pools_ready *pools_prepare_all(struct pools *pools, const struct reload_plan *plan,
                                             struct conf *wanted, struct pools_item ***fresh,
                                             char *error, size_t size)
{
    char why[POOLS_SENTENCE];
    struct pools_ready *ready = calloc(plan->count, sizeof *ready);
    *fresh = calloc(pools->count + plan->count, sizeof(struct pools_item *));
    if (ready == NULL || *fresh == NULL) {
        snprintf(error, size, "out of memory");
        free(ready);
        free(*fresh);
        return NULL;
    }
    for (size_t i = 0; i < plan->count; i++)
        ready[i].change = (struct pool_change){.listener = SOCKET_NONE};
    for (size_t i = 0; i < plan->count; i++) {
        int status = pools_prepare(pools, &plan->steps[i], wanted, &ready[i], why, sizeof why);
        if (status != 0) {
            pools_place(plan->steps[i].wanted, status, why, error, size);
            pools_give_up(ready, plan->count);
            free(*fresh);
            return NULL;
        }
    }
    return ready;
}

/* Those whose names are no longer in the file end as a reload ends workers, and nobody waits. */
static void pools_let_go(struct pools_item *item)
{
    log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = item->pool.name},
              "pool %s: no longer in the file, ends when its %u worker%s done", item->pool.name,
              pool_live(&item->pool), pool_live(&item->pool) == 1 ? " is" : "s are");
    item->leaving = true;
    pool_return_socket(&item->pool);
    pool_stop(&item->pool, POOL_STOP_GRACEFUL);
    keeper_poke(&item->keeper);
}

static void pools_tell(const struct reload_step *step, const struct pool *pool)
{
    switch (step->deed) {
    case RELOAD_ADD:
        log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = pool->name}, "pool %s: added",
                  pool->name);
        break;
    case RELOAD_REPLACE:
        log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = pool->name},
                  "pool %s: generation %u begins: %s%s%s", pool->name, pool->number,
                  step->because != NULL ? "`" : "",
                  step->because != NULL ? step->because : "asked for",
                  step->because != NULL ? "` changed" : "");
        break;
    case RELOAD_APPLY:
        log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = pool->name},
                  "pool %s: `%s` changed, applied to its workers", pool->name, step->because);
        break;
    case RELOAD_KEEP:
    default:
        break;
    }
}

static void pools_count(struct pools_outcome *outcome, enum reload_deed deed)
{
    size_t *const counts[] = {
        [RELOAD_KEEP] = &outcome->kept,
        [RELOAD_APPLY] = &outcome->applied,
        [RELOAD_REPLACE] = &outcome->replaced,
        [RELOAD_ADD] = &outcome->added,
    };
    ++*counts[deed];
}

/* Cannot fail. The order of the file becomes the order of the pools. */
static void pools_commit(struct pools *pools, const struct reload_plan *plan,
                         struct pools_ready *ready, struct pools_item **fresh,
                         struct pools_outcome *outcome)
{
    size_t staying = pools_staying(pools), total = pools->count;
    struct pools_item **items = pools->items;
    size_t used = 0;
    /* The names of sockets that go to another pool must outlive their former owners. */
    for (size_t i = 0; i < plan->count; i++)
        if (ready[i].wish.inherit != NULL)
            pool_disown_socket(&items[plan->steps[i].socket]->pool);
    for (size_t i = 0; i < plan->count; i++) {
        const struct reload_step *step = &plan->steps[i];
        struct pools_item *item = ready[i].made;
        if (step->deed != RELOAD_ADD) {
            item = items[step->before];
            items[step->before] = NULL;
            pool_commit(&item->pool, &ready[i].wish, &ready[i].change);
        }
        pools_tell(step, &item->pool);
        pools_count(outcome, step->deed);
        fresh[used++] = item;
    }
    for (size_t i = 0; i < total; i++) {
        if (items[i] == NULL)
            continue;
        if (i < staying) {
            outcome->removed++;
            pools_let_go(items[i]);
        }
        fresh[used++] = items[i];
    }
    free(items);
    pools->items = fresh;
    pools->count = used;
}

int pools_reload(struct pools *pools, struct conf *wanted, const struct reload_plan *plan,
                 struct pools_outcome *outcome, char *error, size_t size)
{
    struct pools_item **fresh;
    struct pools_ready *ready = pools_prepare_all(pools, plan, wanted, &fresh, error, size);
    *outcome = (struct pools_outcome){0};
    if (ready == NULL)
        return -1;
    pools_commit(pools, plan, ready, fresh, outcome);
    free(ready);
    struct conf *before = pools->conf;
    pools->conf = conf_keep(wanted);
    conf_free(&before);
    pools_start(pools);
    return 0;
}

static bool pools_failed(const struct pools_item *item)
{
    const struct pool *pool = &item->pool;
    const struct scale_counts *seen = &item->keeper.seen.counts;
    return (*pool->failure != '\0' && (!pool->handed_over || !pool_ready(pool))) ||
           pool_ails(pool, seen->idle + seen->serving + seen->post);
}

bool pools_settled(const struct pools *pools, const struct pool **failed)
{
    bool settled = true;
    *failed = NULL;
    for (size_t i = 0; i < pools->count; i++) {
        const struct pool *pool = &pools->items[i]->pool;
        if (*failed == NULL && pools_failed(pools->items[i]))
            *failed = pool;
        settled = settled && !pools->items[i]->leaving && pool->handed_over &&
                  pool->older == NULL && pool_ready(pool);
    }
    return settled;
}
