/* config_report.h: collects the errors of a configuration as ready sentences.
 *
 * It decides their form, "FILE:LINE: what", and how many are kept; it prints nothing.
 */
#ifndef FPM_CONFIG_REPORT_H
#define FPM_CONFIG_REPORT_H

#include "fpm/config/directive.h"

#include <stddef.h>

/* Errors, and as many warnings, kept in a report. */
#define CONFIG_REPORT_MAX 200

/* Begins as {0}. */
struct config_report {
    struct value_parse_list errors;
    struct value_parse_list warnings;
    size_t dropped; /* errors and warnings not kept: too many, or no memory */
    size_t failed;  /* errors, kept or not: 0 = the configuration can be used */
};

/* `origin` may be NULL or without a file: then the sentence has no position. */
void config_report_add(struct config_report *report, bool is_error,
                       const struct directive_origin *origin, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define config_report_error(report, ...)   config_report_add(report, true, __VA_ARGS__)
#define config_report_warning(report, ...) config_report_add(report, false, __VA_ARGS__)
/* Adds the number of those not kept as a last sentence. */
void config_report_close(struct config_report *report);
void config_report_free(struct config_report *report);

#endif
