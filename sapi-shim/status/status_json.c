/* status_json.c: see status_json.h. */
#include "sapi-shim/status/status_json.h"

#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/status/status_php.h"
#include "sapi-shim/util/escape.h"
#include "sapi-shim/util/locale_free.h"

#include <inttypes.h>
#include <string.h>

static void status_json_text(FILE *out, const char *text)
{
    fputc('"', out);
    escape_print(out, ESCAPE_JSON_SHORT, text);
    fputc('"', out);
}

static void status_json_member(FILE *out, const char *key, const char *text)
{
    fprintf(out, "\"%s\": ", key);
    status_json_text(out, text);
}

/* Thousandths as a number with fractions. */
static void status_json_thousandths(FILE *out, uint64_t number)
{
    fprintf(out, "%" PRIu64 ".%03u", number / 1000, (unsigned)(number % 1000));
}

static void status_json_numbers(FILE *out, const struct status_field *field, const void *owner)
{
    for (; field->key != NULL; field++) {
        int64_t number = status_number(field, owner);
        fprintf(out, ", \"%s\": ", field->key);
        if (number < 0)
            fputs("null", out);
        else if (field->unit == STATUS_US)
            status_json_thousandths(out, (uint64_t)number);
        else
            fprintf(out, "%" PRId64, number);
    }
}

/* ---- our own objects ---- */

static void status_json_histogram(FILE *out, const char *name, const struct ot_histogram *histogram)
{
    fprintf(out, ", \"%s\": {\"count\": %" PRIu64 ", \"sum_ms\": ", name,
            histogram_count(histogram));
    status_json_thousandths(out, histogram->sum / 1000);
    fputs(", \"buckets\": [", out);
    for (unsigned i = 0; i < OT_BUCKETS; i++)
        fprintf(out, "%s%" PRIu64, i > 0 ? ", " : "", histogram->buckets[i]);
    fputs("]}", out);
}

/* The members of those that occurred: "0": 7, "3": 1. */
static void status_json_exits(FILE *out, const struct status_pool *pool, bool signals)
{
    struct status_exit way;
    const char *comma = "";
    for (unsigned at = 0; status_next_exit(pool, &at, &way);)
        if (way.signal == signals) {
            fprintf(out, "%s\"%s\": %" PRIu64, comma, way.name, way.count);
            comma = ", ";
        }
}

void status_json_pool(FILE *out, const struct status_pool *pool)
{
    char number[LOCALE_FREE_MAX];
    fputc('{', out);
    status_json_member(out, "pool", pool->name);
    fputs(", ", out);
    status_json_member(out, "process_manager", pool->pm);
    fputs(", ", out);
    status_json_member(out, "listen", pool->listen);
    status_json_numbers(out, status_pool_fields, pool);
    fputs(", \"ended_by\": {", out);
    for (unsigned i = 0; i < STATUS_CAUSES; i++)
        fprintf(out, "%s\"%s\": %" PRIu64, i > 0 ? ", " : "", status_causes[i].name,
                pool->ended_by[i]);
    fputs("}, \"exit_statuses\": {", out);
    status_json_exits(out, pool, false);
    fputs("}, \"exit_signals\": {", out);
    status_json_exits(out, pool, true);
    fputs("}, \"histograms\": {", out);
    fputs("\"bounds_ms\": [", out);
    for (unsigned i = 0; i < OT_BUCKETS - 1; i++)
        fprintf(out, "%s%s", i > 0 ? ", " : "",
                locale_free_decimal(number, histogram_bounds[i], 6, 0));
    fputc(']', out);
    for (unsigned i = 0; i < OT_MEASURE_COUNT; i++)
        status_json_histogram(out, status_measures[i].name, &pool->measures[i]);
    fputs("}}", out);
}

/* Unknown strings are null. */
static void status_json_doing(FILE *out, const struct status_thread *doing)
{
    const struct {
        const char *key, *text;
    } texts[] = {{"method", doing->method},
                 {"uri", doing->uri},
                 {"label", doing->label},
                 {"user", doing->user}};
    bool known = doing->requests != STATUS_UNKNOWN;
    fprintf(out, ", \"state\": \"%s\"", doing->state);
    status_json_numbers(out, status_thread_fields, doing);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        fprintf(out, ", \"%s\": ", texts[i].key);
        if (known)
            status_json_text(out, texts[i].text);
        else
            fputs("null", out);
    }
}

void status_json_worker(FILE *out, const char *pool, const struct status_worker *worker)
{
    fputc('{', out);
    status_json_member(out, "pool", pool);
    fprintf(out, ", \"process\": \"%s\"", worker->process);
    status_json_numbers(out, status_worker_fields, worker);
    status_json_doing(out, &worker->doing);
    fputs(", \"each\": [", out);
    for (unsigned i = 0; worker->known && i < (unsigned)worker->threads; i++) {
        struct status_thread thread;
        status_thread(worker, i, &thread);
        fprintf(out, "%s{\"thread\": %u, \"requests\": ", i > 0 ? ", " : "", i);
        if (thread.requests == STATUS_UNKNOWN)
            fputs("null", out);
        else
            fprintf(out, "%" PRId64, thread.requests);
        status_json_doing(out, &thread);
        fputc('}', out);
    }
    fputs("]}", out);
}

/* ---- PHP-FPM's ---- */

static void status_json_php_worker(FILE *out, const struct status_worker *worker)
{
    struct status_php php;
    status_php_worker(worker, &php);
    for (size_t i = 0; i < STATUS_PHP_FIELDS; i++) {
        fprintf(out, "%s\"%s\": ", i > 0 ? ", " : "{", php.fields[i].name);
        if (php.fields[i].type == STATUS_PHP_TEXT)
            status_json_text(out, php.fields[i].text);
        else if (php.fields[i].type == STATUS_PHP_DECIMAL)
            fputs(php.fields[i].text, out);
        else
            fprintf(out, "%" PRId64, php.fields[i].number);
    }
    fputc('}', out);
}

void status_json(FILE *out, const struct status_report *report)
{
    fputc('{', out);
    status_json_member(out, "pool", report->pool->name);
    fputs(", ", out);
    status_json_member(out, "process manager", report->pool->pm);
    for (const struct status_field *field = status_pool_fields; field->key != NULL; field++)
        if (field->php != NULL)
            fprintf(out, ", \"%s\": %" PRId64, field->php, status_php_number(field, report->pool));
    if (report->workers != NULL)
        fputs(", \"processes\": [", out);
    for (size_t i = 0; report->workers != NULL && i < report->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        status_json_php_worker(out, &report->workers[i]);
    }
    fputs(report->workers != NULL ? "], \"overtime\": " : ", \"overtime\": ", out);
    status_json_pool(out, report->pool);
    if (report->workers != NULL)
        fputs(", \"workers\": [", out);
    for (size_t i = 0; report->workers != NULL && i < report->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        status_json_worker(out, report->pool->name, &report->workers[i]);
    }
    fputs(report->workers != NULL ? "]}\n" : "}\n", out);
}
