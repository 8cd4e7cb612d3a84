/* status_text.c: see status_text.h. */
#include "sapi-shim/status/status_text.h"

#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/status/status_php.h"
#include "sapi-shim/util/escape.h"
#include "sapi-shim/util/locale_free.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum {
    STATUS_TEXT_COLUMN = 22, /* where values begin, as PHP-FPM has it */
    STATUS_TEXT_OWN = 29,    /* and for names of ours, which are longer */
    STATUS_TEXT_FIELD = 4 * OT_URI_MAX
};

static void status_text_foreign(FILE *out, const char *name, const char *text)
{
    fprintf(out, "%s:%*s", name, STATUS_TEXT_COLUMN - (int)strlen(name) - 1, "");
    escape_print(out, ESCAPE_QUOTED, *text != '\0' ? text : "-");
    fputc('\n', out);
}

static void status_text_number(FILE *out, const char *name, int64_t number)
{
    fprintf(out, "%s:%*s%" PRId64 "\n", name, STATUS_TEXT_COLUMN - (int)strlen(name) - 1, "",
            number);
}

static void status_text_date(FILE *out, const char *name, int64_t seconds)
{
    char date[64] = "-";
    struct tm tm;
    time_t moment = (time_t)seconds;
    if (localtime_r(&moment, &tm) != NULL)
        (void)locale_free_date(date, sizeof date, "%d/%b/%Y:%H:%M:%S %z", &tm);
    status_text_foreign(out, name, date);
}

/* Our own fields: "post_response_ms" is shown as "post response ms". */
static void status_text_owns(FILE *out, const struct status_field *field, const void *owner)
{
    for (; field->key != NULL; field++) {
        char name[64];
        int64_t number = status_number(field, owner);
        if (field->php != NULL)
            continue;
        snprintf(name, sizeof name, "%s:", field->key);
        for (char *c = name; *c != '\0'; c++)
            *c = *c == '_' ? ' ' : *c;
        if (number < 0)
            fprintf(out, "%-*s-\n", STATUS_TEXT_OWN, name);
        else if (field->unit == STATUS_US)
            fprintf(out, "%-*s%" PRId64 ".%03d\n", STATUS_TEXT_OWN, name, number / 1000,
                    (int)(number % 1000));
        else
            fprintf(out, "%-*s%" PRId64 "\n", STATUS_TEXT_OWN, name, number);
    }
}

static void status_text_pool(FILE *out, const struct status_pool *pool)
{
    char name[64], mean[LOCALE_FREE_MAX];
    struct status_exit way;
    status_text_foreign(out, "pool", pool->name);
    status_text_foreign(out, "process manager", pool->pm);
    status_text_date(out, "start time", pool->start_time);
    for (const struct status_field *field = status_pool_fields; field->key != NULL; field++)
        if (field->php != NULL && field->unit != STATUS_DATE)
            status_text_number(out, field->php, status_php_number(field, pool));
    status_text_owns(out, status_pool_fields, pool);
    for (unsigned i = 0; i < STATUS_CAUSES; i++) {
        snprintf(name, sizeof name, "ended by %s:", status_causes[i].name);
        fprintf(out, "%-*s%" PRIu64 "\n", STATUS_TEXT_OWN, name, pool->ended_by[i]);
    }
    for (unsigned at = 0; status_next_exit(pool, &at, &way);) {
        snprintf(name, sizeof name, "%s %s:", way.signal ? "died of" : "exited with", way.name);
        fprintf(out, "%-*s%" PRIu64 "\n", STATUS_TEXT_OWN, name, way.count);
    }
    for (unsigned i = 0; i < OT_MEASURE_COUNT; i++) {
        uint64_t count = histogram_count(&pool->measures[i]);
        snprintf(name, sizeof name, "%s mean ms:", status_measures[i].name);
        locale_free_decimal(mean, count > 0 ? pool->measures[i].sum / count / 1000 : 0, 3, 3);
        fprintf(out, "%-*s%s of %" PRIu64 "\n", STATUS_TEXT_OWN, name, mean, count);
    }
}

static void status_text_worker(FILE *out, const struct status_worker *worker)
{
    struct status_php php;
    status_php_worker(worker, &php);
    fputs("\n************************\n", out);
    for (size_t i = 0; i < STATUS_PHP_FIELDS; i++) {
        const char *name = php.fields[i].name;
        if (strcmp(name, "request uri") == 0)
            name = "request URI"; /* PHP-FPM has capitals in this format alone */
        if (php.fields[i].type == STATUS_PHP_NUMBER)
            status_text_number(out, name, php.fields[i].number);
        else if (php.fields[i].type == STATUS_PHP_DATE)
            status_text_date(out, name, php.fields[i].number);
        else
            status_text_foreign(out, name, php.fields[i].text);
    }
    status_text_foreign(out, "label", worker->doing.label);
    status_text_foreign(out, "life", worker->doing.state);
    status_text_foreign(out, "process", worker->process);
    status_text_owns(out, status_worker_fields, worker);
    status_text_owns(out, status_thread_fields, &worker->doing);
}

void status_text(FILE *out, const struct status_report *report)
{
    status_text_pool(out, report->pool);
    for (size_t i = 0; report->workers != NULL && i < report->count; i++)
        status_text_worker(out, &report->workers[i]);
}
