/* facts.c: see facts.h. */
#include "fpm/facts.h"

#include "fpm/clock.h"
#include "sapi-shim/measure.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FACTS_NS 1000000 /* in a millisecond */

static uint32_t facts_pm(int pm)
{
    static const enum ot_pm kinds[] = {
        [CONF_PM_STATIC] = OT_PM_STATIC,
        [CONF_PM_DYNAMIC] = OT_PM_DYNAMIC,
        [CONF_PM_ONDEMAND] = OT_PM_ONDEMAND,
    };
    return kinds[pm];
}

static void facts_add_other(struct ot_facts *facts, const struct generation *generation)
{
    for (unsigned i = 0; i < generation->size; i++) {
        struct view view;
        if (generation->members[i].worker.state == WORKER_NONE)
            continue;
        scoreboard_look(&generation->scoreboard, i, &view);
        *(view.attached ? &facts->others[view_state(&view.lead)] : &facts->others_unknown) += 1;
        facts->others_kept += view.kept;
        measure_counts(&facts->elsewhere, &view.counts);
    }
}

static uint64_t facts_inode(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

/* What is the same for all generations. */
static void facts_of_pool(const struct pool *pool, const struct keeper *keeper,
                          struct ot_facts *facts)
{
    const struct pool_totals *totals = &pool->totals;
    const struct conf_pool *settings = pool_settings(pool);
    int64_t now = clock_ms(), wait = backoff_wait(&pool->backoff, now);
    memset(facts, 0, sizeof *facts);
    facts->pm = facts_pm(settings->pm);
    facts->generation = pool->number;
    facts->max_children = (uint32_t)settings->pm_max_children;
    facts->post_max_children = (uint32_t)settings->post_response_max_children;
    facts->over_budget = keeper->seen.over;
    facts->listen_queue = keeper->seen.counts.waiting;
    facts->listen_backlog = keeper->seen.backlog;
    facts->max_listen_queue = keeper->seen.most_waiting;
    facts->max_active = keeper->seen.most_active;
    facts->max_post_response = keeper->seen.most_post;
    facts->opened_at = (uint64_t)pool->opened * FACTS_NS;
    facts->opened_time = pool->opened_time;
    facts->backoff_ends = wait > 0 ? (uint64_t)(now + wait) * FACTS_NS : 0;
    facts->listen_inode = facts_inode(pool->listener.fd);
    facts->spawned = totals->spawned;
    facts->died = totals->died;
    facts->start_failures = totals->start_failures;
    facts->over_budget_episodes = totals->over_budget;
    facts->max_children_reached = totals->at_max;
    facts->slow_requests = totals->slow;
    for (unsigned i = 0; i < ENDING_COUNT; i++)
        facts->ended[i] = totals->ended[i];
    memcpy(facts->exits, totals->exits, sizeof facts->exits);
    memcpy(facts->signals, totals->signals, sizeof facts->signals);
    facts->elsewhere = totals->gone;
    snprintf(facts->listen, sizeof facts->listen, "%s", settings->listen.text);
    facts->retiring = pool->current->asked;
    for (const struct generation *g = pool->older; g != NULL; g = g->older)
        facts->retiring += g->asked;
}

void facts_gather(const struct pool *pool, const struct keeper *keeper, const struct generation *of,
                  struct ot_facts *facts)
{
    facts_of_pool(pool, keeper, facts);
    if (pool->current != of)
        facts_add_other(facts, pool->current);
    for (const struct generation *g = pool->older; g != NULL; g = g->older)
        if (g != of)
            facts_add_other(facts, g);
}

void facts_publish(const struct pool *pool, const struct keeper *keeper)
{
    struct ot_facts facts;
    facts_gather(pool, keeper, pool->current, &facts);
    scoreboard_publish(&pool->current->scoreboard, &facts);
    for (struct generation *g = pool->older; g != NULL; g = g->older) {
        facts_gather(pool, keeper, g, &facts);
        scoreboard_publish(&g->scoreboard, &facts);
    }
}

struct status_source facts_source(const struct generation *generation)
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
