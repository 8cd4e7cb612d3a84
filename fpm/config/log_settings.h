/* log_settings.h: applies the directives of [global] that concern the log. */
#ifndef FPM_LOG_SETTINGS_H
#define FPM_LOG_SETTINGS_H

#include "fpm/config/config.h"

/* Sets the group and the mode of log files, of all kinds, that are opened from now on. Returns 0,
 * or -1 with a sentence. */
int log_settings_files(const struct config_global *global, char *error, size_t size);

/* The same, and all else of the manager's log. Keeps no pointer into `global`. Returns 0, or -1
 * with a sentence and the log as it was. */
int log_settings_apply(const struct config_global *global, char *error, size_t size);

#endif
