/* supervisor.h: what whoever supervises the manager (systemd) is told at intervals: a status line,
 * and that it is well.
 *
 * Wakes nobody where nobody listens. Called by master.
 */
#ifndef FPM_SUPERVISOR_H
#define FPM_SUPERVISOR_H

#include "fpm/pools.h"

#include <ev.h>
#include <stdint.h>

struct supervisor {
    struct ev_loop *loop;
    const struct pools *pools;
    ev_timer status, watchdog;
};

void supervisor_init(struct supervisor *supervisor, struct ev_loop *loop,
                     const struct pools *pools);

/* From now on, the status line every `interval` ms; 0 = never. */
void supervisor_time(struct supervisor *supervisor, int64_t interval);

/* No more of it. */
void supervisor_stop(struct supervisor *supervisor);

#endif
