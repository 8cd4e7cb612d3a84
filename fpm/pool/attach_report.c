/* attach_report.c: see attach_report.h. */
#include "fpm/pool/attach_report.h"

#include "fpm/config/directive_value.h"
#include "fpm/log/log.h"
#include "sapi-shim/util/scalar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ATTACH_REPORT_NAMED = 8 /* directives; of more than these the number is said */
};

/* Only the library obeys these. */
static const enum directive_pool_index attach_report_needs[] = {
    DIRECTIVE_POOL_pm_max_requests,
    DIRECTIVE_POOL_pm_max_requests_jitter,
    DIRECTIVE_POOL_pm_status_path,
    DIRECTIVE_POOL_ping_path,
    DIRECTIVE_POOL_ping_response,
    DIRECTIVE_POOL_ignore_user_abort,
    DIRECTIVE_POOL_abort_detection,
    DIRECTIVE_POOL_drop_dead_on_arrival,
    DIRECTIVE_POOL_max_execution_time,
    DIRECTIVE_POOL_max_execution_cpu_time,
    DIRECTIVE_POOL_hard_timeout,
    DIRECTIVE_POOL_bailout,
    DIRECTIVE_POOL_post_response_max_children,
    DIRECTIVE_POOL_post_response_time_limit,
    DIRECTIVE_POOL_post_response_until_accept,
    DIRECTIVE_POOL_shutdown_functions_time_limit,
    DIRECTIVE_POOL_request_terminate_timeout,
    DIRECTIVE_POOL_post_response_terminate_timeout,
    DIRECTIVE_POOL_request_slowlog_timeout,
    DIRECTIVE_POOL_post_response_slowlog_timeout,
    DIRECTIVE_POOL_access_log,
    DIRECTIVE_POOL_request_header_timeout,
    DIRECTIVE_POOL_keepalive_timeout,
    DIRECTIVE_POOL_keepalive_max,
    DIRECTIVE_POOL_limit_params_size,
};

/* Does a file set it, to anything but "off"? */
static bool attach_report_counts(const struct config_pool *pool, size_t index)
{
    const struct directive *row = &directive_pool[index];
    bool by_status_worker = index == DIRECTIVE_POOL_pm_status_path ||
                            index == DIRECTIVE_POOL_ping_path ||
                            index == DIRECTIVE_POOL_ping_response;
    bool has_status_worker = pool->origins[DIRECTIVE_POOL_pm_status_listen].file != NULL;
    if (pool->origins[index].file == NULL || (by_status_worker && has_status_worker))
        return false;
    char *text = directive_value_text(row, pool);
    bool off = text != NULL && (strcmp(text, "0") == 0 || strcmp(text, "no") == 0);
    free(text);
    return !off;
}

void attach_report_directives(const struct config_pool *pool, char *text, size_t size)
{
    unsigned count = 0;
    size_t used = 0;
    *text = '\0';
    for (size_t i = 0; i < sizeof attach_report_needs / sizeof *attach_report_needs; i++) {
        const struct directive *row = &directive_pool[attach_report_needs[i]];
        if (!attach_report_counts(pool, attach_report_needs[i]) || count++ >= ATTACH_REPORT_NAMED ||
            used >= size)
            continue;
        int n = snprintf(text + used, size - used, "%s`%s`", used > 0 ? ", " : "", row->name);
        used += n > 0 ? (size_t)n : 0;
    }
    if (count > ATTACH_REPORT_NAMED && used < size)
        (void)snprintf(text + used, size - used, " and %u more", count - ATTACH_REPORT_NAMED);
}

void attach_report_without_library(const struct generation_member *member)
{
    const struct config_pool *pool = member->generation->pool;
    char names[512];
    attach_report_directives(pool, names, sizeof names);
    if (*names != '\0')
        log_pool(LOG_LEVEL_NOTICE, pool->name,
                 "its workers serve without the library, so that these directives have "
                 "no effect: %s; link the program with -lovertime, or preload the library by "
                 "env[LD_PRELOAD]: see overtime(8)",
                 names);
}

void attach_report_no_accept(const struct generation_member *member, int64_t age)
{
    char since[32];
    scalar_duration(age, since, sizeof since);
    log_worker(LOG_LEVEL_WARNING, generation_about(member),
               " has accepted no connection within %s of its start: it "
               "is still loading or waits for something, or `command` is no FastCGI application",
               since);
}
