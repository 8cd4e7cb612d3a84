/* status_php.c: see status_php.h. */
#include "sapi-shim/status/status_php.h"

#include <string.h>

static const char *status_php_state(const char *state)
{
    static const struct {
        const char *ours, *theirs;
    } names[] = {
        {"idle", "Idle"},       {"starting", "Starting"},       {"reading", "Reading headers"},
        {"running", "Running"}, {"post-response", "Finishing"}, {"shutdown", "Ending"},
        {"exiting", "Ending"},  {"unknown", "Running"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].ours, state) == 0)
            return names[i].theirs;
    return "Running";
}

static int64_t status_php_known(int64_t number)
{
    return number < 0 ? 0 : number;
}

static const char *status_php_text(const char *text)
{
    return *text != '\0' ? text : "-";
}

void status_php_worker(const struct status_worker *worker, struct status_php *php)
{
    const struct status_thread *doing = &worker->doing;

    /* The duration of the present request, or else of the last one, in microseconds. */
    int64_t duration = doing->request_ms * 1000;
    if (duration <= 0)
        duration = status_php_known(doing->last_answer_ms) +
                   status_php_known(doing->last_post_response_ms) +
                   status_php_known(doing->last_shutdown_ms);

    /* Processor time in percent of one processor: the mean since the worker's start. */
    int64_t cpu = worker->cpu_ms > 0 && worker->uptime_ms > 0
                      ? worker->cpu_ms * 10000 / worker->uptime_ms
                      : 0;
    *php = (struct status_php){
        .fields = {
            {"pid", STATUS_PHP_NUMBER, worker->pid, NULL},
            {"state", STATUS_PHP_TEXT, 0, status_php_state(doing->state)},
            {"start time", STATUS_PHP_DATE, worker->start_time, NULL},
            {"start since", STATUS_PHP_NUMBER, worker->uptime_ms / 1000, NULL},
            {"requests", STATUS_PHP_NUMBER, status_php_known(worker->requests), NULL},
            {"request duration", STATUS_PHP_NUMBER, duration, NULL},
            {"request method", STATUS_PHP_TEXT, 0, status_php_text(doing->method)},
            {"request uri", STATUS_PHP_TEXT, 0, status_php_text(doing->uri)},
            {"content length", STATUS_PHP_NUMBER, status_php_known(doing->content_length), NULL},
            {"user", STATUS_PHP_TEXT, 0, status_php_text(doing->user)},
            {"script", STATUS_PHP_TEXT, 0, "-"},
            {"last request cpu", STATUS_PHP_DECIMAL, 0, php->cpu},
            {"last request memory", STATUS_PHP_NUMBER, status_php_known(worker->memory_bytes),
             NULL},
        }};
    (void)locale_free_decimal(php->cpu, (uint64_t)cpu, 2, 2);
}

int64_t status_php_number(const struct status_field *field, const struct status_pool *pool)
{
    int64_t number = status_php_known(status_number(field, pool));
    return field->unit == STATUS_MS ? number / 1000 : number;
}
