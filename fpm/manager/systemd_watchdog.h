/* systemd_watchdog.h: what whoever supervises the manager (systemd) is told at intervals: a status
 * line, and that it is well.
 *
 * Wakes nobody where nobody listens. Called by master.
 */
#ifndef FPM_SYSTEMD_WATCHDOG_H
#define FPM_SYSTEMD_WATCHDOG_H

#include "fpm/manager/pool_set.h"

#include <ev.h>
#include <stdint.h>

struct systemd_watchdog {
    struct ev_loop *loop;
    const struct pool_set *pools;
    ev_timer status, watchdog;
};

void systemd_watchdog_init(struct systemd_watchdog *supervisor, struct ev_loop *loop,
                           const struct pool_set *pools);

/* From now on, the status line every `interval` ms; 0 = never. */
void systemd_watchdog_time(struct systemd_watchdog *supervisor, int64_t interval);

/* No more of it. */
void systemd_watchdog_stop(struct systemd_watchdog *supervisor);

#endif
