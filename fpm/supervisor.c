/* supervisor.c: see supervisor.h. */
#include "fpm/supervisor.h"

#include "fpm/notify.h"

#include <stdio.h>

static void supervisor_on_status(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    const struct supervisor *supervisor = timer->data;
    const struct pools *pools = supervisor->pools;
    unsigned serving = 0, post = 0, waiting = 0;
    char line[256];
    for (size_t i = 0; i < pools->count; i++) {
        const struct scale_counts *counts = &pools->items[i]->keeper.seen.counts;
        serving += counts->serving;
        post += counts->post;
        waiting += counts->waiting;
    }
    snprintf(
        line, sizeof line,
        "pools: %zu, workers: %u, serving: %u, in post-response work: %u, connections waiting: "
        "%u",
        pools_staying(pools), pools_live(pools), serving, post, waiting);
    (void)notify_status(line);
}

static void supervisor_on_watchdog(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
    (void)notify_watchdog();
}

void supervisor_init(struct supervisor *supervisor, struct ev_loop *loop, const struct pools *pools)
{
    *supervisor = (struct supervisor){.loop = loop, .pools = pools};
    ev_timer_init(&supervisor->status, supervisor_on_status, 0., 0.);
    ev_timer_init(&supervisor->watchdog, supervisor_on_watchdog, 0., 0.);
    supervisor->status.data = supervisor->watchdog.data = supervisor;
}

void supervisor_stop(struct supervisor *supervisor)
{
    ev_timer_stop(supervisor->loop, &supervisor->status);
    ev_timer_stop(supervisor->loop, &supervisor->watchdog);
}

void supervisor_time(struct supervisor *supervisor, int64_t interval)
{
    int64_t watchdog = notify_watchdog_interval();
    supervisor_stop(supervisor);
    if (interval > 0 && notify_wanted()) {
        ev_timer_set(&supervisor->status, 0., (double)interval / 1000.);
        ev_timer_start(supervisor->loop, &supervisor->status);
    }
    if (watchdog > 0) {
        ev_timer_set(&supervisor->watchdog, 0., (double)watchdog / 1000.);
        ev_timer_start(supervisor->loop, &supervisor->watchdog);
    }
}
