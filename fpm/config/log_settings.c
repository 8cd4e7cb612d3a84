/* log_settings.c: see log_settings.h. */
#include "fpm/config/log_settings.h"

#include "fpm/log/log.h"
#include "fpm/util/account.h"
#include "fpm/util/error.h"
#include "fpm/util/fd.h"

#include <stdio.h>

int log_settings_files(const struct config_global *global, char *error, size_t size)
{
    gid_t gid = (gid_t)-1;
    char why[ERROR_SIZE];
    if (global->log_group != NULL && account_group(global->log_group, &gid, why, sizeof why) != 0) {
        snprintf(error, size, "`log.group = %s`: %s", global->log_group, why);
        return -1;
    }
    fd_set_log_files(gid, (mode_t)global->log_mode,
                     global->origins[DIRECTIVE_GLOBAL_log_mode].file != NULL);
    return 0;
}

int log_settings_apply(const struct config_global *global, char *error, size_t size)
{
    struct log_settings settings = {
        .target = global->error_log,
        .level = (enum log_level)global->log_level,
        .json = global->log_format == DIRECTIVE_LOG_JSON,
        .limit = (size_t)global->log_limit,
        .syslog_ident = global->syslog_ident,
        .syslog_facility = global->syslog_facility,
    };
    if (log_settings_files(global, error, size) != 0)
        return -1;
    return log_configure(&settings, error, size);
}
