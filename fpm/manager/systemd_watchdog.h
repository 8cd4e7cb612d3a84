/* systemd_watchdog.h: sends systemd a status line and the watchdog's keep-alive at intervals.
 *
 * Starts no timer if systemd does not listen.
 */
#ifndef FPM_SYSTEMD_WATCHDOG_H
#define FPM_SYSTEMD_WATCHDOG_H

#include "fpm/manager/pool_set.h"

#include <ev.h>
#include <stdint.h>

struct systemd_watchdog {
    struct ev_loop *loop;
    const struct pool_set *pools;
    ev_timer status, ping;
};

void systemd_watchdog_init(struct systemd_watchdog *watchdog, struct ev_loop *loop,
                           const struct pool_set *pools);

/* Starts both anew, the status line every `interval` ms; 0 = never. */
void systemd_watchdog_start(struct systemd_watchdog *watchdog, int64_t interval);

void systemd_watchdog_stop(struct systemd_watchdog *watchdog);

#endif
