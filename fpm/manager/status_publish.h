/* status_publish.h: writes the manager's own counts of a pool onto the pool's scoreboards.
 *
 * Counts and copies; decides nothing. Workers, the status worker and the manager itself read the
 * status (status.h) there.
 */
#ifndef FPM_STATUS_PUBLISH_H
#define FPM_STATUS_PUBLISH_H

#include "fpm/pool/pool.h"
#include "sapi-shim/status/status.h"

/* Publishes onto the scoreboard of every generation. */
void status_publish(const struct pool *pool);

/* Fills *stats with what is published to readers of the scoreboard of `of`. */
void status_publish_stats(const struct pool *pool, const struct generation *of,
                          struct ot_pool_stats *stats);

/* Where the manager reads the workers of a generation. It trusts nothing that a worker could have
 * changed, except the slots themselves. */
struct status_source status_publish_source(const struct generation *generation);

#endif
