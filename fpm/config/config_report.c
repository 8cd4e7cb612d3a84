/* config_report.c: the list of what is wrong. See config_report.h. */
#include "fpm/config/config_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((format(printf, 4, 0))) static void
config_report_add(struct config_report *report, struct value_parse_list *list,
                  const struct directive_origin *origin, const char *format, va_list arguments)
{
    char *what = NULL, *sentence = NULL;
    if (list->count >= CONFIG_REPORT_MAX || vasprintf(&what, format, arguments) < 0) {
        report->dropped++;
        return;
    }
    int length;
    if (origin == NULL || origin->file == NULL)
        length = asprintf(&sentence, "%s", what);
    else if (origin->line == 0)
        length = asprintf(&sentence, "%s: %s", origin->file, what);
    else
        length = asprintf(&sentence, "%s:%u: %s", origin->file, origin->line, what);
    free(what);
    if (length < 0 || value_parse_list_add(list, sentence) != 0)
        report->dropped++;
    if (length >= 0)
        free(sentence);
}

void config_report_error(struct config_report *report, const struct directive_origin *origin,
                         const char *format, ...)
{
    va_list arguments;
    report->failed++;
    va_start(arguments, format);
    config_report_add(report, &report->errors, origin, format, arguments);
    va_end(arguments);
}

void config_report_warning(struct config_report *report, const struct directive_origin *origin,
                           const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    config_report_add(report, &report->warnings, origin, format, arguments);
    va_end(arguments);
}

void config_report_close(struct config_report *report)
{
    char sentence[64];
    if (report->dropped > 0) {
        (void)snprintf(sentence, sizeof sentence, "... and %zu more", report->dropped);
        if (value_parse_list_add(&report->errors, sentence) == 0)
            report->dropped = 0;
    }
}

void config_report_free(struct config_report *report)
{
    value_parse_list_free(&report->errors);
    value_parse_list_free(&report->warnings);
    *report = (struct config_report){0};
}
