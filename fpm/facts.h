/* facts.h: what the manager alone knows of a pool, written onto its scoreboards.
 *
 * Counts and copies; decides nothing. Whoever shows the status (status.h) reads there: workers, the
 * status worker, and the manager itself. Called by pools when something has happened, and by verbs
 * before it shows something.
 */
#ifndef FPM_FACTS_H
#define FPM_FACTS_H

#include "fpm/keeper.h"
#include "fpm/pool.h"
#include "sapi-shim/status.h"

/* Onto the scoreboard of every generation. */
void facts_publish(const struct pool *pool, const struct keeper *keeper);

/* What a reader of this generation's scoreboard finds. */
void facts_gather(const struct pool *pool, const struct keeper *keeper, const struct generation *of,
                  struct ot_facts *facts);

/* Where the manager reads the workers of a generation: nothing that a worker could have changed is
 * believed but the slots themselves. */
struct status_source facts_source(const struct generation *generation);

#endif
