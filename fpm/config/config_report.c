/* config_report.c: the list of what is wrong. See config_report.h. */
#include "fpm/config/config_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void config_report_add(struct config_report *report, bool is_error,
                       const struct directive_origin *origin, const char *format, ...)
{
    struct value_parse_list *list = is_error ? &report->errors : &report->warnings;
    char *what = NULL, *sentence = NULL;
    va_list arguments;
    int length = -1;
    report->failed += is_error;
    va_start(arguments, format);
    if (list->count < CONFIG_REPORT_MAX && vasprintf(&what, format, arguments) >= 0) {
        if (origin == NULL || origin->file == NULL)
            length = asprintf(&sentence, "%s", what);
        else if (origin->line == 0)
            length = asprintf(&sentence, "%s: %s", origin->file, what);
        else
            length = asprintf(&sentence, "%s:%u: %s", origin->file, origin->line, what);
        free(what);
    }
    va_end(arguments);
    if (length < 0 || value_parse_list_add(list, sentence) != 0)
        report->dropped++;
    if (length >= 0)
        free(sentence);
}

void config_report_close(struct config_report *report)
{
    char sentence[64];
    if (report->dropped == 0 && report->errors.count >= CONFIG_REPORT_MAX)
        (void)value_parse_list_add(&report->errors, "... and perhaps more: the rest is not read");
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
