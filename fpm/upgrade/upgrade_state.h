/* upgrade_state.h: saves all pools with their sockets, generations and workers for an upgrade, or
 * restores them.
 *
 * Each value is named once, for saving and for restoring: the functions here read into structures
 * of the same types as those that are in use, from which the _adopt functions of pool set, pool,
 * generation, worker and scoreboard go on. The text of each configuration by which a
 * pool was made is saved, too.
 */
#ifndef FPM_UPGRADE_STATE_H
#define FPM_UPGRADE_STATE_H

#include "fpm/manager/pool_set.h"
#include "fpm/util/saved_state.h"

/* The configurations that pools use; the first is in force. */
struct upgrade_state_configs {
    struct config **items; /* held */
    size_t count;
};

/* Collects those that these pools use. Returns 0, or -1 without memory. */
int upgrade_state_collect(struct upgrade_state_configs *configs, const struct pool_set *pools);
void upgrade_state_free(struct upgrade_state_configs *configs);

/* Saves their texts, or restores them; `flags` as for config_load. A text that this program does
 * not accept is a fault of the state. */
void upgrade_state_texts(struct upgrade_state_configs *configs, struct saved_state *state,
                         unsigned flags);

/* Saves the pools, or restores them into a set that pool_set_begin made; with SAVED_STATE_CHECK
 * `pools` is not used. After a fault a part of them may be there, fit to be stopped. Call
 * access_log_saved_state and upgrade_state_texts before. */
void upgrade_state_pools(const struct upgrade_state_configs *configs, struct saved_state *state,
                         struct pool_set *pools);

/* Did a manager of another contract version start the workers of a current generation? New workers
 * would not understand its scoreboard. */
bool upgrade_state_foreign(const struct pool_set *pools);

#endif
