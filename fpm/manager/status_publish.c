/* status_publish.c: see status_publish.h. */
#include "fpm/manager/status_publish.h"

#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/util/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>

static void status_publish_add_other(struct ot_pool_stats *stats,
                                     const struct generation *generation)
{
    for (unsigned i = 0; i < generation->size; i++) {
        struct slot_view view;
        if (generation->members[i].worker.state == WORKER_NONE)
            continue;
        slot_view_look(scoreboard_slot(&generation->scoreboard, i), &view);
        *(view.attached ? &stats->others[slot_view_state(&view.lead)] : &stats->others_unknown) +=
            1;
        stats->others_kept += view.kept;
        histogram_add_counts(&stats->elsewhere, &view.counts);
    }
}

/* The counts that are the same for all generations. */
static void status_publish_of_pool(const struct pool *pool, struct ot_pool_stats *stats)
{
    static const enum ot_pm kinds[] = {
        [DIRECTIVE_PM_STATIC] = OT_PM_STATIC,
        [DIRECTIVE_PM_DYNAMIC] = OT_PM_DYNAMIC,
        [DIRECTIVE_PM_ONDEMAND] = OT_PM_ONDEMAND,
    };
    const struct config_pool *settings = pool_settings(pool);
    struct stat file;
    int64_t now = clock_ms(), wait = backoff_wait(&pool->backoff, now);
    if (pool->renewal.failed.on)
        wait = MAX(wait, pool->renewal.due - now);
    *stats = pool->stats;
    stats->pm = kinds[settings->pm];
    stats->generation = pool->number;
    stats->max_children = (uint32_t)settings->pm_max_children;
    stats->post_max_children = (uint32_t)settings->post_response_max_children;
    stats->over_budget = pool->seen.over;
    stats->listen_queue = pool->seen.counts.waiting;
    stats->listen_backlog = pool->seen.backlog;
    stats->max_listen_queue = pool->seen.most_waiting;
    stats->max_active = pool->seen.most_active;
    stats->max_post_response = pool->seen.most_post;
    stats->opened_at = (uint64_t)pool->opened * CLOCK_NS_PER_MS;
    stats->opened_time = pool->opened_time;
    stats->backoff_ends = wait > 0 ? (uint64_t)(now + wait) * CLOCK_NS_PER_MS : 0;
    stats->listen_inode = fstat(pool->listener.fd, &file) == 0 ? (uint64_t)file.st_ino : 0;
    snprintf(stats->listen, sizeof stats->listen, "%s", settings->listen.text);
    for (const struct generation *g = pool->current; g != NULL; g = g->older)
        stats->retiring += g->retiring;
}

void status_publish_stats(const struct pool *pool, const struct generation *of,
                          struct ot_pool_stats *stats)
{
    status_publish_of_pool(pool, stats);
    for (const struct generation *g = pool->current; g != NULL; g = g->older)
        if (g != of)
            status_publish_add_other(stats, g);
}

void status_publish(const struct pool *pool)
{
    struct ot_pool_stats stats;
    for (struct generation *g = pool->current; g != NULL; g = g->older) {
        status_publish_stats(pool, g, &stats);
        scoreboard_publish(&g->scoreboard, &stats);
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
