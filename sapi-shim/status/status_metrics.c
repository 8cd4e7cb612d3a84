/* status_metrics.c: see status_metrics.h. */
#include "sapi-shim/status/status_metrics.h"

#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/escape.h"
#include "sapi-shim/util/locale_free.h"

#include <inttypes.h>
#include <string.h>

enum {
    STATUS_METRICS_NAME = 128
};

static void status_metrics_label(FILE *out, const char *name, const char *text)
{
    fprintf(out, "%s=\"", name);
    escape_print(out, ESCAPE_LABEL, text);
    fputc('"', out);
}

static void status_metrics_family(FILE *out, const char *name, const char *type, const char *unit,
                                  const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    if (*unit != '\0')
        fprintf(out, "# UNIT %s %s\n", name, unit);
}

/* Begins the family of a field. Its name ends with its unit, a base unit. */
static void status_metrics_head(FILE *out, const char *prefix, const struct status_field *field,
                                char name[STATUS_METRICS_NAME])
{
    bool time = field->unit == STATUS_MS || field->unit == STATUS_US;
    bool seconds = time || field->unit == STATUS_DATE;
    snprintf(name, STATUS_METRICS_NAME, "%s%.*s%s", prefix,
             (int)(strlen(field->key) - (time ? strlen("_ms") : 0)), field->key,
             seconds ? "_seconds" : "");
    status_metrics_family(out, name, field->type == STATUS_COUNTER ? "counter" : "gauge",
                          seconds                       ? "seconds"
                          : field->unit == STATUS_BYTES ? "bytes"
                                                        : "",
                          field->help);
}

static void status_metrics_number(FILE *out, const struct status_field *field, int64_t number)
{
    int64_t base = field->unit == STATUS_MS ? 1000 : field->unit == STATUS_US ? 1000000 : 1;
    int digits = base == 1000 ? 3 : 6;
    if (base == 1)
        fprintf(out, " %" PRId64 "\n", number);
    else
        fprintf(out, " %" PRId64 ".%0*" PRId64 "\n", number / base, digits, number % base);
}

static const char *status_metrics_suffix(const struct status_field *field)
{
    return field->type == STATUS_COUNTER ? "_total" : "";
}

/* ---- a pool ---- */

static void status_metrics_sample(FILE *out, const char *name, const char *suffix,
                                  const struct status_pool *pool)
{
    fprintf(out, "%s%s{", name, suffix);
    status_metrics_label(out, "pool", pool->name);
}

/* A family without a sample is left out. */
static void status_metrics_exits(FILE *out, const struct status_pool *pool, bool signals)
{
    const char *name = signals ? "overtime_exit_signals" : "overtime_exit_statuses";
    struct status_exit way;
    bool begun = false;
    for (unsigned at = 0; status_next_exit(pool, &at, &way);) {
        if (way.signal != signals)
            continue;
        if (!begun)
            status_metrics_family(out, name, "counter", "",
                                  signals ? "Workers that died, by signal"
                                          : "Workers that exited, by status");
        begun = true;
        status_metrics_sample(out, name, "_total", pool);
        fprintf(out, ",%s=\"%s\"} %" PRIu64 "\n", signals ? "signal" : "status", way.name,
                way.count);
    }
}

static void status_metrics_histogram(FILE *out, const struct status_pool *pool, unsigned measure)
{
    const struct ot_histogram *histogram = &pool->measures[measure];
    char name[STATUS_METRICS_NAME], bound[LOCALE_FREE_MAX];
    uint64_t count = 0;
    snprintf(name, sizeof name, "overtime_request_%s_seconds", status_measures[measure].name);
    status_metrics_family(out, name, "histogram", "seconds", status_measures[measure].help);
    for (unsigned i = 0; i < OT_BUCKETS; i++) {
        count += histogram->buckets[i];
        status_metrics_sample(out, name, "_bucket", pool);
        if (i < OT_BUCKETS - 1)
            fprintf(out, ",le=\"%s\"} %" PRIu64 "\n",
                    locale_free_decimal(bound, histogram_bounds[i], 9, 1), count);
        else
            fprintf(out, ",le=\"+Inf\"} %" PRIu64 "\n", count);
    }
    status_metrics_sample(out, name, "_sum", pool);
    fprintf(out, "} %" PRIu64 ".%09" PRIu64 "\n", histogram->sum / CLOCK_NS_PER_S,
            histogram->sum % CLOCK_NS_PER_S);
    status_metrics_sample(out, name, "_count", pool);
    fprintf(out, "} %" PRIu64 "\n", count);
}

static void status_metrics_pool(FILE *out, const struct status_pool *pool)
{
    status_metrics_family(out, "overtime_pool", "info", "", "What the pool is");
    status_metrics_sample(out, "overtime_pool", "_info", pool);
    fputc(',', out);
    status_metrics_label(out, "process_manager", pool->pm);
    fputc(',', out);
    status_metrics_label(out, "listen", pool->listen);
    fputs("} 1\n", out);
    for (const struct status_field *field = status_pool_fields; field->key != NULL; field++) {
        char name[STATUS_METRICS_NAME];
        status_metrics_head(out, "overtime_", field, name);
        status_metrics_sample(out, name, status_metrics_suffix(field), pool);
        fputc('}', out);
        status_metrics_number(out, field, status_number(field, pool));
    }
    status_metrics_family(out, "overtime_ended_by", "counter", "", "Workers that ended, by cause");
    for (unsigned i = 0; i < STATUS_CAUSES; i++) {
        status_metrics_sample(out, "overtime_ended_by", "_total", pool);
        fprintf(out, ",cause=\"%s\"} %" PRIu64 "\n", status_causes[i].name, pool->ended_by[i]);
    }
    status_metrics_exits(out, pool, false);
    status_metrics_exits(out, pool, true);
    for (unsigned i = 0; i < OT_MEASURE_COUNT; i++)
        status_metrics_histogram(out, pool, i);
}

/* ---- workers ---- */

static void status_metrics_of_worker(FILE *out, const char *name, const char *suffix,
                                     const struct status_report *report,
                                     const struct status_worker *worker)
{
    status_metrics_sample(out, name, suffix, report->pool);
    fprintf(out, ",pid=\"%" PRId64 "\",slot=\"%" PRId64 "\",generation=\"%" PRId64 "\"",
            worker->pid, worker->slot, worker->generation);
}

/* `in` is the offset in a worker of the struct that the rows belong to. Unknown numbers have no
 * sample. */
static void status_metrics_rows(FILE *out, const struct status_report *report,
                                const struct status_field *field, size_t in)
{
    for (; field->key != NULL; field++) {
        char name[STATUS_METRICS_NAME];
        if (field->type == STATUS_LABEL)
            continue;
        status_metrics_head(out, "overtime_worker_", field, name);
        for (size_t i = 0; i < report->count; i++) {
            const struct status_worker *worker = &report->workers[i];
            int64_t number = status_number(field, (const char *)worker + in);
            if (number < 0)
                continue;
            status_metrics_of_worker(out, name, status_metrics_suffix(field), report, worker);
            fputc('}', out);
            status_metrics_number(out, field, number);
        }
    }
}

void status_metrics(FILE *out, const struct status_report *report)
{
    status_metrics_pool(out, report->pool);
    if (report->workers != NULL) {
        status_metrics_family(out, "overtime_worker", "info", "", "What a worker does");
        for (size_t i = 0; i < report->count; i++) {
            const struct status_worker *worker = &report->workers[i];
            status_metrics_of_worker(out, "overtime_worker", "_info", report, worker);
            fprintf(out, ",state=\"%s\",process=\"%s\"} 1\n", worker->doing.state, worker->process);
        }
        status_metrics_rows(out, report, status_worker_fields, 0);
        status_metrics_rows(out, report, status_thread_fields,
                            offsetof(struct status_worker, doing));
    }
    fputs("# EOF\n", out);
}
