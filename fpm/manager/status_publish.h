/* status_publish.h: what the manager alone knows of a pool, written onto its scoreboards.
 *
 * Counts and copies; decides nothing. Whoever shows the status (status.h) reads there: workers, the
 * status worker, and the manager itself. Called by pools when something has happened, and by
 * commands before it shows something.
 */
#ifndef FPM_STATUS_PUBLISH_H
#define FPM_STATUS_PUBLISH_H

#include "fpm/pool/pool.h"
#include "fpm/pool/pool_supervisor.h"
#include "sapi-shim/status/status.h"

/* Onto the scoreboard of every generation. */
void status_publish_publish(const struct pool *pool, const struct pool_supervisor *keeper);

/* What a reader of this generation's scoreboard finds. */
void status_publish_gather(const struct pool *pool, const struct pool_supervisor *keeper,
                           const struct generation *of, struct ot_pool_stats *facts);

/* Where the manager reads the workers of a generation: nothing that a worker could have changed is
 * believed but the slots themselves. */
struct status_source status_publish_source(const struct generation *generation);

#endif
