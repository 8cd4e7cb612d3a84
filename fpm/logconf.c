/* logconf.c: see logconf.h. */
#include "fpm/logconf.h"

#include "fpm/log.h"

int logconf_apply(const struct conf_global *global, char *error, size_t size)
{
    static const enum log_level levels[] = {
        [CONF_LOG_DEBUG] = LOG_LEVEL_DEBUG,     [CONF_LOG_NOTICE] = LOG_LEVEL_NOTICE,
        [CONF_LOG_WARNING] = LOG_LEVEL_WARNING, [CONF_LOG_ERROR] = LOG_LEVEL_ERROR,
        [CONF_LOG_ALERT] = LOG_LEVEL_ALERT,
    };
    struct log_settings settings = {
        .target = global->error_log,
        .level = levels[global->log_level],
        .json = global->log_format == CONF_LOG_JSON,
        .limit = (size_t)global->log_limit,
        .syslog_ident = global->syslog_ident,
        .syslog_facility = global->syslog_facility,
    };
    return log_configure(&settings, error, size);
}
