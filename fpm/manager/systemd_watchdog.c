/* systemd_watchdog.c: see systemd_watchdog.h. */
#include "fpm/manager/systemd_watchdog.h"

#include "fpm/util/systemd_notify.h"

#include <stdio.h>

static void systemd_watchdog_on_status(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    const struct systemd_watchdog *supervisor = timer->data;
    const struct pool_set *pools = supervisor->pools;
    unsigned serving = 0, post = 0, waiting = 0;
    char line[256];
    for (size_t i = 0; i < pools->count; i++) {
        const struct scaling_counts *counts = &pools->items[i]->pool.seen.counts;
        serving += counts->serving;
        post += counts->post;
        waiting += counts->waiting;
    }
    snprintf(
        line, sizeof line,
        "pools: %zu, workers: %u, serving: %u, in post-response work: %u, connections waiting: "
        "%u",
        pool_set_configured(pools), pool_set_live(pools), serving, post, waiting);
    (void)systemd_notify_status(line);
}

static void systemd_watchdog_on_watchdog(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
    (void)systemd_notify_watchdog();
}

void systemd_watchdog_init(struct systemd_watchdog *supervisor, struct ev_loop *loop,
                           const struct pool_set *pools)
{
    *supervisor = (struct systemd_watchdog){.loop = loop, .pools = pools};
    ev_timer_init(&supervisor->status, systemd_watchdog_on_status, 0., 0.);
    ev_timer_init(&supervisor->watchdog, systemd_watchdog_on_watchdog, 0., 0.);
    supervisor->status.data = supervisor->watchdog.data = supervisor;
}

void systemd_watchdog_stop(struct systemd_watchdog *supervisor)
{
    ev_timer_stop(supervisor->loop, &supervisor->status);
    ev_timer_stop(supervisor->loop, &supervisor->watchdog);
}

void systemd_watchdog_time(struct systemd_watchdog *supervisor, int64_t interval)
{
    int64_t watchdog = systemd_notify_watchdog_interval();
    systemd_watchdog_stop(supervisor);
    if (interval > 0 && systemd_notify_wanted()) {
        ev_timer_set(&supervisor->status, 0., (double)interval / 1000.);
        ev_timer_start(supervisor->loop, &supervisor->status);
    }
    if (watchdog > 0) {
        ev_timer_set(&supervisor->watchdog, 0., (double)watchdog / 1000.);
        ev_timer_start(supervisor->loop, &supervisor->watchdog);
    }
}
