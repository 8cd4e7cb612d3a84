/* config_check.h: what must hold between directives, and between a configuration and the machine.
 *
 * It decides what is missing, what contradicts, which user the workers become and where the program
 * is. It fills in what follows from other directives (identity, program, defaults that are another
 * directive's value) and reports the rest.
 */
#ifndef FPM_CONFIG_CHECK_H
#define FPM_CONFIG_CHECK_H

#include "fpm/config/config_report.h"
#include "fpm/config/directive.h"

#include <stdbool.h>
#include <stddef.h>

/* One pool by itself. What it has in common with the pool `before` it (NULL = none), which was
 * checked, is not looked up again. */
void config_check_pool(struct config_pool *pool, const struct config_pool *before, bool allow_root,
                       struct config_report *report);

/* [global], pools against one another and against [global], and the folders that all of them need.
 */
void config_check_all(struct config_global *global, struct config_pool *pools, size_t count,
                      struct config_report *report);

#endif
