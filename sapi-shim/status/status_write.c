/* status_write.c: see status_write.h. */
#include "sapi-shim/status/status_write.h"

#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/util/escape.h"
#include "sapi-shim/util/locale_free.h"

#include <inttypes.h>
#include <string.h>
#include <sys/param.h>
#include <time.h>

enum {
    STATUS_WRITE_COLUMN = 22, /* of the text: where values begin, as PHP-FPM has it */
    STATUS_WRITE_OWN = 29     /* and for names of ours, which are longer */
};

enum status_write_format {
    STATUS_WRITE_TEXT,
    STATUS_WRITE_JSON,
    STATUS_WRITE_XML
};

struct status_write {
    FILE *out;
    enum status_write_format format;
    const char *separator; /* of JSON: stands before the next member */
    int column;            /* of the text */
};

enum status_write_type {
    STATUS_WRITE_NUMBER,      /* negative: unknown */
    STATUS_WRITE_THOUSANDTHS, /* the same, shown with a fraction */
    STATUS_WRITE_DATE,        /* seconds of CLOCK_REALTIME */
    STATUS_WRITE_STRING,      /* from clients and applications; NULL: unknown */
    STATUS_WRITE_DECIMAL      /* a text that is ready */
};

/* ---- one value ---- */

static void status_write_name(FILE *out, const char *name)
{
    for (; *name != '\0'; name++)
        fputc(*name == ' ' || *name == '_' ? '-' : *name, out);
}

/* Writes a member of the present object. Only the text shows a date as a date. */
static void status_write_value(struct status_write *w, const char *name,
                               enum status_write_type type, int64_t number, const char *text)
{
    static const enum escape_target targets[] = {[STATUS_WRITE_TEXT] = ESCAPE_QUOTED,
                                                 [STATUS_WRITE_JSON] = ESCAPE_JSON_SHORT,
                                                 [STATUS_WRITE_XML] = ESCAPE_XML};
    static const char *const unknown[] = {
        [STATUS_WRITE_TEXT] = "-", [STATUS_WRITE_JSON] = "null", [STATUS_WRITE_XML] = ""};
    char buffer[64];
    time_t moment = (time_t)number;
    struct tm tm;
    if (type == STATUS_WRITE_DATE && w->format == STATUS_WRITE_TEXT) {
        bool valid = localtime_r(&moment, &tm) != NULL &&
                     locale_free_date(buffer, sizeof buffer, "%d/%b/%Y:%H:%M:%S %z", &tm) > 0;
        text = valid ? buffer : NULL;
    } else if (type <= STATUS_WRITE_DATE) {
        if (type == STATUS_WRITE_THOUSANDTHS)
            snprintf(buffer, sizeof buffer, "%" PRId64 ".%03d", number / 1000,
                     (int)(number % 1000));
        else
            snprintf(buffer, sizeof buffer, "%" PRId64, number);
        text = number >= 0 ? buffer : NULL;
    }

    const char *quote = w->format == STATUS_WRITE_JSON && type == STATUS_WRITE_STRING ? "\"" : "";
    if (w->format == STATUS_WRITE_JSON) {
        fprintf(w->out, "%s\"%s\": ", w->separator, name);
        w->separator = ", ";
    } else if (w->format == STATUS_WRITE_TEXT) {
        fprintf(w->out, "%s:%*s", name, MAX(w->column - (int)strlen(name) - 1, 0), "");
    } else {
        fputc('<', w->out);
        status_write_name(w->out, name);
        fputc('>', w->out);
    }
    if (text == NULL || (*text == '\0' && w->format == STATUS_WRITE_TEXT)) {
        fputs(unknown[w->format], w->out);
    } else {
        fputs(quote, w->out);
        escape_print(w->out, targets[w->format], text);
        fputs(quote, w->out);
    }
    if (w->format == STATUS_WRITE_TEXT) {
        fputc('\n', w->out);
    } else if (w->format == STATUS_WRITE_XML) {
        fputs("</", w->out);
        status_write_name(w->out, name);
        fputs(">\n", w->out);
    }
}

static void status_write_string(struct status_write *w, const char *name, const char *text)
{
    status_write_value(w, name, STATUS_WRITE_STRING, 0, text);
}

static void status_write_number(struct status_write *w, const char *name, int64_t number)
{
    status_write_value(w, name, STATUS_WRITE_NUMBER, number, NULL);
}

/* ---- PHP-FPM's fields: an unknown value is 0 or "-" ---- */

static int64_t status_write_known(int64_t number)
{
    return MAX(number, 0);
}

static void status_write_php_pool(struct status_write *w, const struct status_pool *pool)
{
    status_write_string(w, "pool", pool->name);
    status_write_string(w, "process manager", pool->pm);
    for (const struct status_field *field = status_pool_fields; field->key != NULL; field++) {
        int64_t number = status_write_known(status_number(field, pool));
        if (field->php != NULL)
            status_write_value(w, field->php,
                               field->unit == STATUS_DATE ? STATUS_WRITE_DATE : STATUS_WRITE_NUMBER,
                               field->unit == STATUS_MS ? number / 1000 : number, NULL);
    }
}

static void status_write_php_worker(struct status_write *w, const struct status_worker *worker)
{
    static const struct {
        const char *ours, *theirs;
    } states[] = {{"idle", "Idle"},
                  {"starting", "Starting"},
                  {"reading", "Reading headers"},
                  {"post-response", "Finishing"},
                  {"shutdown", "Ending"},
                  {"exiting", "Ending"}};
    const struct status_thread *doing = &worker->doing;
    const char *state = "Running";
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(states[i].ours, doing->state) == 0)
            state = states[i].theirs;

    /* The duration of the present request, or else of the last one, in microseconds. */
    int64_t duration = doing->request_ms * 1000;
    if (duration <= 0)
        duration = status_write_known(doing->last_answer_ms) +
                   status_write_known(doing->last_post_response_ms) +
                   status_write_known(doing->last_shutdown_ms);

    /* Processor time in percent of one processor: the mean since the worker's start. */
    char digits[LOCALE_FREE_MAX];
    int64_t part = worker->cpu_ms > 0 && worker->uptime_ms > 0
                       ? worker->cpu_ms * 10000 / worker->uptime_ms
                       : 0;

    status_write_number(w, "pid", worker->pid);
    status_write_string(w, "state", state);
    status_write_value(w, "start time", STATUS_WRITE_DATE, worker->start_time, NULL);
    status_write_number(w, "start since", worker->uptime_ms / 1000);
    status_write_number(w, "requests", status_write_known(worker->requests));
    status_write_number(w, "request duration", duration);
    status_write_string(w, "request method", *doing->method != '\0' ? doing->method : "-");
    /* PHP-FPM has capitals in this format alone. */
    status_write_string(w, w->format == STATUS_WRITE_TEXT ? "request URI" : "request uri",
                        *doing->uri != '\0' ? doing->uri : "-");
    status_write_number(w, "content length", status_write_known(doing->content_length));
    status_write_string(w, "user", *doing->user != '\0' ? doing->user : "-");
    status_write_string(w, "script", "-");
    status_write_value(w, "last request cpu", STATUS_WRITE_DECIMAL, 0,
                       locale_free_decimal(digits, (uint64_t)part, 2, 2));
    status_write_number(w, "last request memory", status_write_known(worker->memory_bytes));
}

/* ---- our own fields ---- */

/* The text leaves out fields of PHP-FPM, and shows "post_response_ms" as "post response ms". */
static void status_write_fields(struct status_write *w, const struct status_field *field,
                                const void *owner)
{
    w->column = STATUS_WRITE_OWN;
    for (; field->key != NULL; field++) {
        char name[64];
        snprintf(name, sizeof name, "%s", field->key);
        for (char *c = name; *c != '\0' && w->format == STATUS_WRITE_TEXT; c++)
            *c = *c == '_' ? ' ' : *c;
        if (field->php == NULL || w->format != STATUS_WRITE_TEXT)
            status_write_value(
                w, name, field->unit == STATUS_US ? STATUS_WRITE_THOUSANDTHS : STATUS_WRITE_NUMBER,
                status_number(field, owner), NULL);
    }
}

/* ---- text ---- */

void status_write_text(FILE *out, const struct status_report *report)
{
    const struct status_pool *pool = report->pool;
    struct status_write w = {.out = out, .column = STATUS_WRITE_COLUMN};
    char name[64], mean[LOCALE_FREE_MAX];
    struct status_exit way;
    status_write_php_pool(&w, pool);
    status_write_fields(&w, status_pool_fields, pool);
    for (unsigned i = 0; i < STATUS_CAUSES; i++) {
        snprintf(name, sizeof name, "ended by %s", status_causes[i].name);
        status_write_number(&w, name, (int64_t)pool->ended_by[i]);
    }
    for (unsigned at = 0; status_next_exit(pool, &at, &way);) {
        snprintf(name, sizeof name, "%s %s", way.signal ? "died of" : "exited with", way.name);
        status_write_number(&w, name, (int64_t)way.count);
    }
    for (unsigned i = 0; i < OT_MEASURE_COUNT; i++) {
        uint64_t count = histogram_count(&pool->measures[i]);
        snprintf(name, sizeof name, "%s mean ms:", status_measures[i].name);
        fprintf(
            out, "%-*s%s of %" PRIu64 "\n", STATUS_WRITE_OWN, name,
            locale_free_decimal(mean, count > 0 ? pool->measures[i].sum / count / 1000 : 0, 3, 3),
            count);
    }
    for (size_t i = 0; report->workers != NULL && i < report->count; i++) {
        const struct status_worker *worker = &report->workers[i];
        fputs("\n************************\n", out);
        w.column = STATUS_WRITE_COLUMN;
        status_write_php_worker(&w, worker);
        status_write_string(&w, "label", worker->doing.label);
        status_write_string(&w, "life", worker->doing.state);
        status_write_string(&w, "process", worker->process);
        status_write_fields(&w, status_worker_fields, worker);
        status_write_fields(&w, status_thread_fields, &worker->doing);
    }
}

/* ---- JSON ---- */

/* The members of those that occurred: "0": 7, "3": 1. */
static void status_write_json_exits(struct status_write *w, const struct status_pool *pool,
                                    bool signals)
{
    struct status_exit way;
    w->separator = "";
    for (unsigned at = 0; status_next_exit(pool, &at, &way);)
        if (way.signal == signals)
            status_write_number(w, way.name, (int64_t)way.count);
}

void status_write_json_pool(FILE *out, const struct status_pool *pool)
{
    struct status_write w = {.out = out, .format = STATUS_WRITE_JSON, .separator = "{"};
    char number[LOCALE_FREE_MAX];
    status_write_string(&w, "pool", pool->name);
    status_write_string(&w, "process_manager", pool->pm);
    status_write_string(&w, "listen", pool->listen);
    status_write_fields(&w, status_pool_fields, pool);
    fputs(", \"ended_by\": {", out);
    w.separator = "";
    for (unsigned i = 0; i < STATUS_CAUSES; i++)
        status_write_number(&w, status_causes[i].name, (int64_t)pool->ended_by[i]);
    fputs("}, \"exit_statuses\": {", out);
    status_write_json_exits(&w, pool, false);
    fputs("}, \"exit_signals\": {", out);
    status_write_json_exits(&w, pool, true);
    fputs("}, \"histograms\": {\"bounds_ms\": [", out);
    for (unsigned i = 0; i < OT_BUCKETS - 1; i++)
        fprintf(out, "%s%s", i > 0 ? ", " : "",
                locale_free_decimal(number, histogram_bounds[i], 6, 0));
    for (unsigned m = 0; m < OT_MEASURE_COUNT; m++) {
        const struct ot_histogram *histogram = &pool->measures[m];
        fprintf(out, "%s, \"%s\": ", m == 0 ? "]" : "]}", status_measures[m].name);
        w.separator = "{";
        status_write_number(&w, "count", (int64_t)histogram_count(histogram));
        status_write_value(&w, "sum_ms", STATUS_WRITE_THOUSANDTHS, (int64_t)(histogram->sum / 1000),
                           NULL);
        fputs(", \"buckets\": [", out);
        for (unsigned i = 0; i < OT_BUCKETS; i++)
            fprintf(out, "%s%" PRIu64, i > 0 ? ", " : "", histogram->buckets[i]);
    }
    fputs("]}}}", out);
}

static void status_write_json_doing(struct status_write *w, const struct status_thread *doing)
{
    bool known = doing->requests != STATUS_UNKNOWN;
    status_write_string(w, "state", doing->state);
    status_write_fields(w, status_thread_fields, doing);
    status_write_string(w, "method", known ? doing->method : NULL);
    status_write_string(w, "uri", known ? doing->uri : NULL);
    status_write_string(w, "label", known ? doing->label : NULL);
    status_write_string(w, "user", known ? doing->user : NULL);
}

void status_write_json_worker(FILE *out, const char *pool, const struct status_worker *worker)
{
    struct status_write w = {.out = out, .format = STATUS_WRITE_JSON, .separator = "{"};
    status_write_string(&w, "pool", pool);
    status_write_string(&w, "process", worker->process);
    status_write_fields(&w, status_worker_fields, worker);
    status_write_json_doing(&w, &worker->doing);
    fputs(", \"each\": [", out);
    for (unsigned i = 0; worker->known && i < (unsigned)worker->threads; i++) {
        struct status_thread thread;
        status_thread(worker, i, &thread);
        w.separator = i > 0 ? ", {" : "{";
        status_write_number(&w, "thread", i);
        status_write_number(&w, "requests", thread.requests);
        status_write_json_doing(&w, &thread);
        fputc('}', out);
    }
    fputs("]}", out);
}

void status_write_json(FILE *out, const struct status_report *report)
{
    struct status_write w = {.out = out, .format = STATUS_WRITE_JSON, .separator = "{"};
    status_write_php_pool(&w, report->pool);
    if (report->workers != NULL) {
        fputs(", \"processes\": [", out);
        for (size_t i = 0; i < report->count; i++) {
            w.separator = i > 0 ? ", {" : "{";
            status_write_php_worker(&w, &report->workers[i]);
            fputc('}', out);
        }
        fputc(']', out);
    }
    fputs(", \"overtime\": ", out);
    status_write_json_pool(out, report->pool);
    if (report->workers != NULL) {
        fputs(", \"workers\": [", out);
        for (size_t i = 0; i < report->count; i++) {
            fputs(i > 0 ? ", " : "", out);
            status_write_json_worker(out, report->pool->name, &report->workers[i]);
        }
        fputc(']', out);
    }
    fputs("}\n", out);
}

/* ---- XML ---- */

static void status_write_xml_histogram(FILE *out, const char *name,
                                       const struct ot_histogram *histogram)
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

void status_write_xml(FILE *out, const struct status_report *report)
{
    const struct status_pool *pool = report->pool;
    struct status_write w = {.out = out, .format = STATUS_WRITE_XML};
    struct status_exit way;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<status>\n", out);
    status_write_php_pool(&w, pool);
    if (report->workers != NULL) {
        fputs("<processes>\n", out);
        for (size_t i = 0; i < report->count; i++) {
            const struct status_worker *worker = &report->workers[i];
            fputs("<process>\n", out);
            status_write_php_worker(&w, worker);
            fputs("<overtime>\n", out);
            status_write_string(&w, "process", worker->process);
            status_write_string(&w, "state", worker->doing.state);
            status_write_string(&w, "label", worker->doing.label);
            status_write_fields(&w, status_worker_fields, worker);
            status_write_fields(&w, status_thread_fields, &worker->doing);
            fputs("</overtime>\n</process>\n", out);
        }
        fputs("</processes>\n", out);
    }
    fputs("<overtime>\n", out);
    status_write_string(&w, "listen", pool->listen);
    status_write_fields(&w, status_pool_fields, pool);
    fputs("<ended-by>\n", out);
    for (unsigned i = 0; i < STATUS_CAUSES; i++)
        status_write_number(&w, status_causes[i].name, (int64_t)pool->ended_by[i]);
    fputs("</ended-by>\n<exits>\n", out);
    for (unsigned at = 0; status_next_exit(pool, &at, &way);)
        fprintf(out, "<%s name=\"%s\">%" PRIu64 "</%s>\n", way.signal ? "signal" : "status",
                way.name, way.count, way.signal ? "signal" : "status");
    fputs("</exits>\n", out);
    for (unsigned i = 0; i < OT_MEASURE_COUNT; i++)
        status_write_xml_histogram(out, status_measures[i].name, &pool->measures[i]);
    fputs("</overtime>\n</status>\n", out);
}
