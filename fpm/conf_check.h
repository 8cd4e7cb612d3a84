/* conf_check.h: what must hold between directives, and between a configuration and the machine.
 *
 * It decides what is missing, what contradicts, which user the workers become and where the program
 * is. It fills in what follows from other directives (identity, program, defaults that are another
 * directive's value) and reports the rest. Called by conf when everything is read.
 */
#ifndef CONF_CHECK_H
#define CONF_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "fpm/conf_report.h"
#include "fpm/directive.h"

/* One pool by itself. */
void conf_check_pool(struct conf_pool *pool, bool allow_root, struct conf_report *report);

/* [global], pools against one another and against [global], and the folders that all of them need.
 */
void conf_check_all(struct conf_global *global, const struct conf_pool *pools, size_t count,
                    struct conf_report *report);

#endif
