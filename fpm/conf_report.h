/* conf_report.h: collects what is wrong with a configuration, as ready sentences.
 *
 * It decides their shape, "FILE:LINE: what", and how many are kept; it shows them to nobody. Used
 * by the files that read a configuration; read by whoever asked for it.
 */
#ifndef CONF_REPORT_H
#define CONF_REPORT_H

#include <stddef.h>

#include "fpm/directive.h"

/* Errors, and as many warnings, kept in a report. */
#define CONF_REPORT_MAX 200

/* Birth value: all zero. */
struct conf_report {
    struct conf_list errors;
    struct conf_list warnings;
    size_t dropped; /* errors and warnings not kept, for their number or without memory */
    size_t failed;  /* errors, kept or not: 0 = the configuration can be used */
};

/* `origin` may be NULL, or without a file: then the sentence stands alone. */
void conf_report_error(struct conf_report *report, const struct conf_origin *origin,
                       const char *format, ...) __attribute__((format(printf, 3, 4)));
void conf_report_warning(struct conf_report *report, const struct conf_origin *origin,
                         const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Says how many were not kept, as a last sentence. */
void conf_report_close(struct conf_report *report);
void conf_report_free(struct conf_report *report);

#endif
