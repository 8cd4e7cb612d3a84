/* log_settings.h: the log as [global] of the configuration wants it.
 *
 * Knows which directive says what of the log, and nothing else. Called by main at the start and by
 * the master at a reload.
 */
#ifndef FPM_LOG_SETTINGS_H
#define FPM_LOG_SETTINGS_H

#include "fpm/config/config.h"

/* Nothing of `global` is kept. Returns 0, or -1 with a sentence and the log as it was. */
int log_settings_apply(const struct config_global *global, char *error, size_t size);

#endif
