/* status_xml.c: see status_xml.h. */
#include "sapi-shim/status/status_xml.h"

#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/status/status_php.h"
#include "sapi-shim/util/escape.h"
#include "sapi-shim/util/locale_free.h"

#include <inttypes.h>

/* Names have dashes in place of blanks and underscores. */
static void status_xml_name(FILE *out, const char *name)
{
    for (; *name != '\0'; name++)
        fputc(*name == ' ' || *name == '_' ? '-' : *name, out);
}

static void status_xml_string(FILE *out, const char *name, const char *text)
{
    fputc('<', out);
    status_xml_name(out, name);
    fputc('>', out);
    escape_print(out, ESCAPE_XML, text);
    fputs("</", out);
    status_xml_name(out, name);
    fputs(">\n", out);
}

static void status_xml_number(FILE *out, const char *name, int64_t number)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRId64, number);
    status_xml_string(out, name, digits);
}

/* An unknown number is an empty element. */
static void status_xml_owns(FILE *out, const struct status_field *field, const void *owner)
{
    for (; field->key != NULL; field++) {
        int64_t number = status_number(field, owner);
        char digits[32] = "";
        if (number >= 0 && field->unit == STATUS_US)
            snprintf(digits, sizeof digits, "%" PRId64 ".%03d", number / 1000,
                     (int)(number % 1000));
        else if (number >= 0)
            snprintf(digits, sizeof digits, "%" PRId64, number);
        status_xml_string(out, field->key, digits);
    }
}

static void status_xml_histogram(FILE *out, const char *name, const struct ot_histogram *histogram)
{
    char number[LOCALE_FREE_MAX];
    fprintf(out, "<histogram name=\"%s\" count=\"%" PRIu64 "\" sum-ms=\"%s\">\n", name,
            histogram_count(histogram), locale_free_decimal(number, histogram->sum / 1000, 3, 3));
    for (unsigned i = 0; i < OT_BUCKETS; i++) {
        if (i < OT_BUCKETS - 1)
            fprintf(out, "<bucket le-ms=\"%s\">",
                    locale_free_decimal(number, histogram_bounds[i], 6, 0));
        else
            fputs("<bucket>", out);
        fprintf(out, "%" PRIu64 "</bucket>\n", histogram->buckets[i]);
    }
    fputs("</histogram>\n", out);
}

static void status_xml_pool(FILE *out, const struct status_pool *pool)
{
    struct status_exit way;
    fputs("<overtime>\n", out);
    status_xml_string(out, "listen", pool->listen);
    status_xml_owns(out, status_pool_fields, pool);
    fputs("<ended-by>\n", out);
    for (unsigned i = 0; i < STATUS_CAUSES; i++)
        status_xml_number(out, status_causes[i].name, (int64_t)pool->ended_by[i]);
    fputs("</ended-by>\n", out);
    fputs("<exits>\n", out);
    for (unsigned at = 0; status_next_exit(pool, &at, &way);)
        fprintf(out, "<%s name=\"%s\">%" PRIu64 "</%s>\n", way.signal ? "signal" : "status",
                way.name, way.count, way.signal ? "signal" : "status");
    fputs("</exits>\n", out);
    for (unsigned i = 0; i < OT_MEASURE_COUNT; i++)
        status_xml_histogram(out, status_measures[i].name, &pool->measures[i]);
    fputs("</overtime>\n", out);
}

static void status_xml_worker(FILE *out, const struct status_worker *worker)
{
    struct status_php php;
    status_php_worker(worker, &php);
    fputs("<process>\n", out);
    for (size_t i = 0; i < STATUS_PHP_FIELDS; i++)
        if (php.fields[i].text != NULL)
            status_xml_string(out, php.fields[i].name, php.fields[i].text);
        else
            status_xml_number(out, php.fields[i].name, php.fields[i].number);
    fputs("<overtime>\n", out);
    status_xml_string(out, "process", worker->process);
    status_xml_string(out, "state", worker->doing.state);
    status_xml_string(out, "label", worker->doing.label);
    status_xml_owns(out, status_worker_fields, worker);
    status_xml_owns(out, status_thread_fields, &worker->doing);
    fputs("</overtime>\n</process>\n", out);
}

void status_xml(FILE *out, const struct status_report *report)
{
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<status>\n", out);
    status_xml_string(out, "pool", report->pool->name);
    status_xml_string(out, "process manager", report->pool->pm);
    for (const struct status_field *field = status_pool_fields; field->key != NULL; field++)
        if (field->php != NULL)
            status_xml_number(out, field->php, status_php_number(field, report->pool));
    if (report->workers != NULL)
        fputs("<processes>\n", out);
    for (size_t i = 0; report->workers != NULL && i < report->count; i++)
        status_xml_worker(out, &report->workers[i]);
    if (report->workers != NULL)
        fputs("</processes>\n", out);
    status_xml_pool(out, report->pool);
    fputs("</status>\n", out);
}
