/* conf_slow.h: what a pool's directives for the slow log have to be, taken together.
 *
 * It looks at the program of slowlog.command and changes nothing. Called by conf_check.
 */
#ifndef CONF_SLOW_H
#define CONF_SLOW_H

#include "fpm/conf_report.h"
#include "fpm/directive.h"

void conf_slow_check(const struct conf_pool *pool, struct conf_report *report);

#endif
