/* log_settings.c: see log_settings.h. */
#include "fpm/config/log_settings.h"

#include "fpm/log/log.h"

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
    return log_configure(&settings, error, size);
}
