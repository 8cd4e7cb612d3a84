/* log_settings.c: see log_settings.h. */
#include "fpm/config/log_settings.h"

#include "fpm/log/log.h"

int log_settings_apply(const struct config_global *global, char *error, size_t size)
{
    static const enum log_level levels[] = {
        [DIRECTIVE_LOG_DEBUG] = LOG_LEVEL_DEBUG,     [DIRECTIVE_LOG_NOTICE] = LOG_LEVEL_NOTICE,
        [DIRECTIVE_LOG_WARNING] = LOG_LEVEL_WARNING, [DIRECTIVE_LOG_ERROR] = LOG_LEVEL_ERROR,
        [DIRECTIVE_LOG_ALERT] = LOG_LEVEL_ALERT,
    };
    struct log_settings settings = {
        .target = global->error_log,
        .level = levels[global->log_level],
        .json = global->log_format == DIRECTIVE_LOG_JSON,
        .limit = (size_t)global->log_limit,
        .syslog_ident = global->syslog_ident,
        .syslog_facility = global->syslog_facility,
    };
    return log_configure(&settings, error, size);
}
