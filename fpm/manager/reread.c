/* reread.c: see reread.h. */
#include "fpm/manager/reread.h"

#include "fpm/log/log.h"
#include "fpm/util/error.h"

struct config *reread(const char *file, unsigned flags, char *error, size_t size)
{
    struct config_report report = {0};
    struct config *config = config_load(file, flags, &report);
    size_t used = 0;
    for (size_t i = 0; i < report.errors.count; i++) {
        log_error("reload: %s", report.errors.items[i]);
        int more = snprintf(error + used, size - used, "%s%s", used > 0 ? "\n" : "",
                            report.errors.items[i]);
        if (more > 0 && (size_t)more < size - used)
            used += (size_t)more;
    }
    for (size_t i = 0; config != NULL && i < report.warnings.count; i++)
        log_warning("reload: %s", report.warnings.items[i]);
    config_report_free(&report);
    return config;
}

void reread_tell(const struct pool_set_outcome *outcome, const struct reload_plan_plan *plan,
                 FILE *out)
{
    char line[ERROR_SIZE];
    snprintf(line, sizeof line,
             "pools: %zu replaced, %zu changed in place, %zu added, %zu removed, %zu as they were",
             outcome->replaced, outcome->applied, outcome->added, outcome->removed, outcome->kept);
    log_notice("reload: in force; %s", line);
    if (out != NULL)
        fprintf(out, "%s\n", line);
    for (size_t i = 0; i < plan->later.count; i++) {
        log_warning("reload: %s", plan->later.items[i]);
        if (out != NULL)
            fprintf(out, "%s\n", plan->later.items[i]);
    }
}
