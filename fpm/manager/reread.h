/* reread.h: the configuration file as it is now, for a reload, and what is told of how it went.
 *
 * Every fault goes into the log and to whoever asked. Puts nothing in force. Called by master.
 */
#ifndef FPM_REREAD_H
#define FPM_REREAD_H

#include "fpm/config/config.h"
#include "fpm/manager/pool_set.h"
#include "fpm/manager/reload_plan.h"

#include <stdio.h>

/* Returns it, the caller's to free, or NULL with a line for each fault in `error`. `flags` as for
 * config_load. */
struct config *reread(const char *file, unsigned flags, char *error, size_t size);

/* What was done with it, for the log and for `out`, which may be NULL. */
void reread_tell(const struct pool_set_outcome *outcome, const struct reload_plan_plan *plan,
                 FILE *out);

#endif
