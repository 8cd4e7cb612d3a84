/* limit_enforcer.h: ends a worker that is over a limit of its pool, and logs what was cut off.
 *
 * Applies the limits of the pool's settings to one worker at a time; the caller decides when.
 */
#ifndef FPM_LIMIT_ENFORCER_H
#define FPM_LIMIT_ENFORCER_H

#include "fpm/pool/pool.h"

#include <stdint.h>

/* request_terminate_timeout and post_response.terminate_timeout: TERM if one has expired, KILL
 * after hard_timeout. Otherwise *again becomes the time (ns, clock.h) at which one expires, if that
 * is earlier than what it holds; 0 = none. */
void limit_enforcer_check(const struct pool *pool, struct generation_member *member,
                          const struct scoreboard_glance *glance, uint64_t *again);

/* pm.max_memory_hard, which ends a worker as above, and pm.max_memory for a worker without the
 * library, which is stopped gracefully. Reads /proc. */
void limit_enforcer_check_memory(const struct pool *pool, struct generation_member *member,
                                 const struct scoreboard_glance *glance);

#endif
