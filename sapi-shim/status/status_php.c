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

struct status_php status_php(const struct status_worker *worker)
{
    const struct status_thread *doing = &worker->doing;
    int64_t now = doing->request_ms * 1000;
    int64_t last = status_php_known(doing->last_answer_ms) +
                   status_php_known(doing->last_post_response_ms) +
                   status_php_known(doing->last_shutdown_ms);
    return (struct status_php){
        .state = status_php_state(doing->state),
        .requests = status_php_known(worker->requests),
        .duration = now > 0 ? now : last,
        .method = status_php_text(doing->method),
        .uri = status_php_text(doing->uri),
        .content_length = status_php_known(doing->content_length),
        .user = status_php_text(doing->user),
        .cpu = worker->cpu_ms > 0 && worker->uptime_ms > 0
                   ? worker->cpu_ms * 10000 / worker->uptime_ms
                   : 0,
        .memory = status_php_known(worker->memory_bytes),
    };
}

int64_t status_php_number(const struct status_field *field, const struct status_pool *pool)
{
    int64_t number = status_php_known(status_number(field, pool));
    return field->unit == STATUS_MS ? number / 1000 : number;
}
