/* config_slow.h: what a pool's directives for the slow log have to be, taken together.
 *
 * It looks at the program of slowlog.command and changes nothing. Called by conf_check.
 */
#ifndef FPM_CONFIG_SLOW_H
#define FPM_CONFIG_SLOW_H

#include "fpm/config/config_report.h"
#include "fpm/config/directive.h"

void config_slow_check(const struct config_pool *pool, struct config_report *report);

#endif
