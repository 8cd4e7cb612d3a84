/* upgrade_state.h: all pools with their sockets, generations and workers, handed over to the
 * program that takes this one's place, or taken over from it.
 *
 * Each fact is named once, for writing and for reading. Who was known by a configuration goes on
 * with it: their texts go along. Called by upgrade.
 */
#ifndef FPM_UPGRADE_STATE_H
#define FPM_UPGRADE_STATE_H

#include "fpm/manager/pool_set.h"
#include "fpm/util/saved_state.h"

/* The configurations that pools live by; the first is in force. */
struct upgrade_state {
    struct config **confs; /* held */
    size_t count;
};

/* Those that these pools live by. Returns 0, or -1 without memory. */
int upgrade_state_gather(struct upgrade_state *upgrade_state, const struct pool_set *pools);
void upgrade_state_free(struct upgrade_state *upgrade_state);

/* Writes their texts, or reads them; `flags` as for config_load. One that this program does not
 * take is a fault on the paper. */
void upgrade_state_confs(struct upgrade_state *upgrade_state, struct saved_state *paper,
                         unsigned flags);

/* Writes the pools, or fills a set with them that pool_set_begin made; with SAVED_STATE_CHECK
 * `pools` is not touched. After a fault there may be a part of them, fit to be stopped.
 * access_log_hand_over and upgrade_state_confs come before. */
void upgrade_state_pools(const struct upgrade_state *upgrade_state, struct saved_state *paper,
                         struct pool_set *pools);

/* Were workers of the current generations started by a manager of another contract version? New
 * ones would not understand the scoreboard. */
bool upgrade_state_foreign(const struct pool_set *pools);

#endif
