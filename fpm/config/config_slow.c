/* config_slow.c: see config_slow.h. */
#include "fpm/config/config_slow.h"

#include "fpm/util/chroot_path.h"

#include <errno.h>
#include <string.h>

static void slow_limit(const struct config_pool *pool, size_t index, int64_t limit,
                       size_t end_index, int64_t end, struct config_report *report)
{
    const char *name = directive_pool[index].name;
    if (limit > 0 && pool->slowlog == NULL) {
        config_report_error(
            report, &pool->origins[index],
            "[%s] %s: there is no slow log to write to; name a file, as in slowlog = "
            "/var/log/overtime/$pool.slow, or remove the line",
            pool->name, name);
    } else if (limit > 0 && end > 0 && limit >= end) {
        config_report_warning(
            report, &pool->origins[index],
            "[%s] %s has no effect: it is not less than %s, at which the worker is "
            "ended",
            pool->name, name, directive_pool[end_index].name);
    }
}

/* The manager runs it, not a worker: no jail. */
static void slow_command(const struct config_pool *pool, struct config_report *report)
{
    const char *name = pool->slowlog_command.argc > 0 ? pool->slowlog_command.argv[0] : NULL;
    int result = 0;
    if (name != NULL)
        result = *name == '/' ? chroot_path_runnable(NULL, name) : EINVAL;
    if (result != 0) {
        config_report_error(report, &pool->origins[DIRECTIVE_POOL_slowlog_command],
                            "[%s] slowlog.command = %.200s: must begin with the absolute path of a "
                            "program; %.200s: %s",
                            pool->name, pool->slowlog_command.text, name, strerror(result));
    }
}

void config_slow_check(const struct config_pool *pool, struct config_report *report)
{
    slow_limit(pool, DIRECTIVE_POOL_request_slowlog_timeout, pool->request_slowlog_timeout,
               DIRECTIVE_POOL_request_terminate_timeout, pool->request_terminate_timeout, report);
    slow_limit(pool, DIRECTIVE_POOL_post_response_slowlog_timeout,
               pool->post_response_slowlog_timeout, DIRECTIVE_POOL_post_response_terminate_timeout,
               pool->post_response_terminate_timeout, report);
    slow_command(pool, report);
}
