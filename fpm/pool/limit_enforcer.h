/* limit_enforcer.h: ends a worker that is over a limit of its pool, and says what was cut off.
 *
 * Which limits there are is the pool's settings' to say, and overdue's whether one has passed.
 * Looks at one worker at a time; when to look is the caller's to know. Called by inspect.
 */
#ifndef FPM_LIMIT_ENFORCER_H
#define FPM_LIMIT_ENFORCER_H

#include "fpm/pool/pool.h"

#include <stdint.h>

/* request_terminate_timeout and post_response.terminate_timeout: TERM if one has passed, KILL after
 * hard_timeout. Else *again becomes the moment (ns, clock.h) at which one passes, if that is
 * earlier than what stands there; 0 = none. */
void limit_enforcer_check(const struct pool *pool, struct generation_member *member,
                          const struct scoreboard_glance *glance, uint64_t *again);

/* pm.max_memory_hard, which ends as above; and pm.max_memory of a worker that does not look after
 * it by itself, which is asked to go. Reads /proc. */
void limit_enforcer_check_memory(const struct pool *pool, struct generation_member *member,
                                 const struct scoreboard_glance *glance);

#endif
