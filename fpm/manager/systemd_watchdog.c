/* systemd_watchdog.c: see systemd_watchdog.h. */
#include "fpm/manager/systemd_watchdog.h"

#include "fpm/util/systemd_notify.h"

#include <stdio.h>

static void systemd_watchdog_on_status(struct ev_loop *loop, ev_timer *timer, int events)
{
    const struct systemd_watchdog *watchdog = timer->data;
    const struct pool_set *pools = watchdog->pools;
    unsigned serving = 0, post = 0, waiting = 0;
    char line[256];
    for (size_t i = 0; i < pools->count; i++) {
        const struct scaling_counts *counts = &pools->items[i]->pool.seen.counts;
        serving += counts->partly + counts->serving;
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

static void systemd_watchdog_on_ping(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)systemd_notify_watchdog();
}

void systemd_watchdog_init(struct systemd_watchdog *watchdog, struct ev_loop *loop,
                           const struct pool_set *pools)
{
    *watchdog = (struct systemd_watchdog){.loop = loop, .pools = pools};
    ev_timer_init(&watchdog->status, systemd_watchdog_on_status, 0., 0.);
    ev_timer_init(&watchdog->ping, systemd_watchdog_on_ping, 0., 0.);
    watchdog->status.data = watchdog->ping.data = watchdog;
}

void systemd_watchdog_stop(struct systemd_watchdog *watchdog)
{
    ev_timer_stop(watchdog->loop, &watchdog->status);
    ev_timer_stop(watchdog->loop, &watchdog->ping);
}

void systemd_watchdog_start(struct systemd_watchdog *watchdog, int64_t interval)
{
    int64_t ping = systemd_notify_watchdog_interval();
    systemd_watchdog_stop(watchdog);
    if (interval > 0 && systemd_notify_wanted()) {
        ev_timer_set(&watchdog->status, 0., (double)interval / 1000.);
        ev_timer_start(watchdog->loop, &watchdog->status);
    }
    if (ping > 0) {
        ev_timer_set(&watchdog->ping, 0., (double)ping / 1000.);
        ev_timer_start(watchdog->loop, &watchdog->ping);
    }
}
