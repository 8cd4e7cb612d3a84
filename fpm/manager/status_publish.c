/* status_publish.c: see status_publish.h. */
#include "fpm/manager/status_publish.h"

#include "sapi-shim/util/clock.h"
#include "sapi-shim/scoreboard/histogram.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static uint32_t status_publish_pm(int pm)
{
    static const enum ot_pm kinds[] = {
        [CONFIG_PM_STATIC] = OT_PM_STATIC,
        [CONFIG_PM_DYNAMIC] = OT_PM_DYNAMIC,
        [CONFIG_PM_ONDEMAND] = OT_PM_ONDEMAND,
    };
    return kinds[pm];
}

static void status_publish_add_other(struct ot_pool_stats *facts,
                                     const struct generation *generation)
{
    for (unsigned i = 0; i < generation->size; i++) {
        struct slot_view view;
        if (generation->members[i].worker.state == WORKER_NONE)
            continue;
        scoreboard_look(&generation->scoreboard, i, &view);
        *(view.attached ? &facts->others[slot_view_state(&view.lead)] : &facts->others_unknown) +=
            1;
        facts->others_kept += view.kept;
        histogram_counts(&facts->elsewhere, &view.counts);
    }
}

static uint64_t status_publish_inode(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

/* What is the same for all generations. */
static void status_publish_of_pool(const struct pool *pool, const struct pool_supervisor *keeper,
                                   struct ot_pool_stats *facts)
{
    const struct pool_totals *totals = &pool->totals;
    const struct config_pool *settings = pool_settings(pool);
    int64_t now = clock_ms(), wait = backoff_wait(&pool->backoff, now);
    memset(facts, 0, sizeof *facts);
    facts->pm = status_publish_pm(settings->pm);
    facts->generation = pool->number;
    facts->max_children = (uint32_t)settings->pm_max_children;
    facts->post_max_children = (uint32_t)settings->post_response_max_children;
    facts->over_budget = keeper->seen.over;
    facts->listen_queue = keeper->seen.counts.waiting;
    facts->listen_backlog = keeper->seen.backlog;
    facts->max_listen_queue = keeper->seen.most_waiting;
    facts->max_active = keeper->seen.most_active;
    facts->max_post_response = keeper->seen.most_post;
    facts->opened_at = (uint64_t)pool->opened * CLOCK_NS_PER_MS;
    facts->opened_time = pool->opened_time;
    facts->backoff_ends = wait > 0 ? (uint64_t)(now + wait) * CLOCK_NS_PER_MS : 0;
    facts->listen_inode = status_publish_inode(pool->listener.fd);
    facts->spawned = totals->spawned;
    facts->died = totals->died;
    facts->start_failures = totals->start_failures;
    facts->over_budget_episodes = totals->over_budget;
    facts->max_children_reached = totals->at_max;
    facts->slow_requests = totals->slow;
    for (unsigned i = 0; i < EXIT_CAUSE_COUNT; i++)
        facts->ended[i] = totals->ended[i];
    memcpy(facts->exits, totals->exits, sizeof facts->exits);
    memcpy(facts->signals, totals->signals, sizeof facts->signals);
    facts->elsewhere = totals->gone;
    snprintf(facts->listen, sizeof facts->listen, "%s", settings->listen.text);
    facts->retiring = pool->current->asked;
    for (const struct generation *g = pool->older; g != NULL; g = g->older)
        facts->retiring += g->asked;
}

void status_publish_gather(const struct pool *pool, const struct pool_supervisor *keeper,
                           const struct generation *of, struct ot_pool_stats *facts)
{
    status_publish_of_pool(pool, keeper, facts);
    if (pool->current != of)
        status_publish_add_other(facts, pool->current);
    for (const struct generation *g = pool->older; g != NULL; g = g->older)
        if (g != of)
            status_publish_add_other(facts, g);
}

void status_publish_publish(const struct pool *pool, const struct pool_supervisor *keeper)
{
    struct ot_pool_stats facts;
    status_publish_gather(pool, keeper, pool->current, &facts);
    scoreboard_publish(&pool->current->scoreboard, &facts);
    for (struct generation *g = pool->older; g != NULL; g = g->older) {
        status_publish_gather(pool, keeper, g, &facts);
        scoreboard_publish(&g->scoreboard, &facts);
    }
}

struct status_source status_publish_source(const struct generation *generation)
{
    const struct scoreboard *scoreboard = &generation->scoreboard;
    return (struct status_source){
        .board = scoreboard->board,
        .slots = (const unsigned char *)scoreboard->board + scoreboard->offset,
        .stride = scoreboard->stride,
        .count = scoreboard->count,
        .generation = generation->number,
        .members = scoreboard->members,
    };
}
