/* logconf.h: the log as [global] of the configuration wants it.
 *
 * Knows which directive says what of the log, and nothing else. Called by main at the start and by
 * the master at a reload.
 */
#ifndef FPM_LOGCONF_H
#define FPM_LOGCONF_H

#include "fpm/conf.h"

/* Nothing of `global` is kept. Returns 0, or -1 with a sentence and the log as it was. */
int logconf_apply(const struct conf_global *global, char *error, size_t size);

#endif
