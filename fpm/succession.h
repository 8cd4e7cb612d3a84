/* succession.h: all pools with their sockets, generations and workers, handed over to the program
 * that takes this one's place, or taken over from it.
 *
 * Each fact is named once, for writing and for reading. Who was known by a configuration goes on
 * with it: their texts go along. Called by upgrade.
 */
#ifndef FPM_SUCCESSION_H
#define FPM_SUCCESSION_H

#include "fpm/handover.h"
#include "fpm/pools.h"

/* The configurations that pools live by; the first is in force. */
struct succession {
    struct conf **confs; /* held */
    size_t count;
};

/* Those that these pools live by. Returns 0, or -1 without memory. */
int succession_gather(struct succession *succession, const struct pools *pools);
void succession_free(struct succession *succession);

/* Writes their texts, or reads them; `flags` as for conf_load. One that this program does not take
 * is a fault on the paper. */
void succession_confs(struct succession *succession, struct handover *paper, unsigned flags);

/* Writes the pools, or fills a set with them that pools_begin made; with HANDOVER_CHECK `pools` is
 * not touched. After a fault there may be a part of them, fit to be stopped. access_hand_over and
 * succession_confs come before. */
void succession_pools(const struct succession *succession, struct handover *paper,
                      struct pools *pools);

/* Were workers of the current generations started by a manager of another treaty version? New ones
 * would not understand the scoreboard. */
bool succession_foreign(const struct pools *pools);

#endif
