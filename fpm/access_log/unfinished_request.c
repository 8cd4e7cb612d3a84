/* unfinished_request.c: see unfinished_request.h. */
#include "fpm/access_log/unfinished_request.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum {
    UNFINISHED_REQUEST_HARD_TIMEOUT = 124, /* exit status of the library at hard_timeout */
    UNFINISHED_REQUEST_OK = 200,
    UNFINISHED_REQUEST_CLIENT_CLOSED = 499
};

bool unfinished_request_is_unlogged(const struct ot_record *record)
{
    return record->requests != record->logged;
}

/* Did the request end before its worker? The stamp may be that of an earlier request. */
static bool unfinished_request_ended(const struct ot_record *record)
{
    return record->ended_at != 0 && record->ended_at >= record->running_at;
}

static enum log_format_outcome unfinished_request_outcome(const struct ot_record *record,
                                                          const struct unfinished_request *request)
{
    bool timeout = (record->status & OT_BIT_TIMEOUT) != 0;
    bool aborted = (record->status & OT_BIT_ABORTED) != 0;
    int status = request->status;
    if (unfinished_request_ended(record))
        return timeout ? LOG_FORMAT_TIMEOUT : aborted ? LOG_FORMAT_ABORTED : LOG_FORMAT_OK;
    if (status != -1 && WIFEXITED(status) &&
        WEXITSTATUS(status) == UNFINISHED_REQUEST_HARD_TIMEOUT && timeout)
        return LOG_FORMAT_TIMEOUT;
    /* These signals are sent on purpose; any other is a crash. */
    int signal = status != -1 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (signal == SIGKILL || signal == SIGTERM || signal == SIGINT || signal == SIGQUIT ||
        signal == SIGHUP || (signal == 0 && request->stop_requested))
        return LOG_FORMAT_KILLED;
    return LOG_FORMAT_CRASHED;
}

/* Nanoseconds between two stamps, of which the worker wrote at least one. */
static int64_t unfinished_request_span(uint64_t from, uint64_t to)
{
    return from == 0 || to < from || to - from > INT64_MAX ? LOG_FORMAT_UNKNOWN
                                                           : (int64_t)(to - from);
}

/* Finds a parameter of the request; only those in the record are known. */
static const char *unfinished_request_param(const void *context, const char *name, size_t length)
{
    const struct unfinished_request_texts *texts = context;
    const struct {
        const char *name, *value;
    } known[] = {
        {"REQUEST_METHOD", texts->record->method},
        {"REQUEST_URI", texts->record->uri},
        {"REMOTE_ADDR", texts->record->remote},
        {"REMOTE_USER", texts->record->user},
        {"CONTENT_LENGTH",
         texts->record->content_length > INT64_MAX ? NULL : texts->content_length},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].name) == length && memcmp(known[i].name, name, length) == 0)
            return known[i].value;
    return NULL;
}

static int64_t unfinished_request_count(uint64_t count)
{
    return count > INT64_MAX ? LOG_FORMAT_UNKNOWN : (int64_t)count;
}

struct log_format_input unfinished_request_describe(const struct ot_record *record,
                                                    const struct unfinished_request *request,
                                                    struct unfinished_request_texts *texts)
{
    enum log_format_outcome outcome = unfinished_request_outcome(record, request);
    uint64_t now = (uint64_t)request->now;
    bool over = unfinished_request_ended(record) && record->ended_at <= now;
    uint64_t end = over ? record->ended_at : now;
    uint64_t finished = record->finished_at, shutdown = record->shutdown_at;
    int64_t age = unfinished_request_span(record->accepted_at, now);
    struct log_format_input input = {
        .pool = request->pool,
        .pid = request->pid,
        .parent = request->parent,
        .method = record->method,
        .uri = record->uri,
        .remote = record->remote,
        .user = record->user,
        .label = record->label,
        .param = unfinished_request_param,
        .context = texts,
        .outcome = outcome,
        .bits = record->status & (OT_BIT_ABORTED | OT_BIT_TIMEOUT),
        .content_length = unfinished_request_count(record->content_length),
        .sent = unfinished_request_count(record->response_bytes),
        .discarded = unfinished_request_count(record->request_discarded),
        .duration = unfinished_request_span(record->accepted_at, end),
        .ended = request->wall - (request->now - (int64_t)end),
        .began = age < 0 ? LOG_FORMAT_UNKNOWN : request->wall - age,
        .answer = LOG_FORMAT_UNKNOWN,
        .shutdown = shutdown == 0 ? 0 : unfinished_request_span(shutdown, end),
        .cpu_user = LOG_FORMAT_UNKNOWN,
        .cpu_system = LOG_FORMAT_UNKNOWN,
        .memory = LOG_FORMAT_UNKNOWN,
    };
    if (record->http_status >= 100 && record->http_status <= 999)
        input.status = record->http_status;
    else if (record->http_status == OT_HTTP_STATUS_UNKNOWN)
        input.status = 0;
    /* What the client got does not depend on how the worker ended. */
    else if ((record->status & OT_BIT_ABORTED) != 0)
        input.status = UNFINISHED_REQUEST_CLIENT_CLOSED;
    else if (outcome == LOG_FORMAT_OK || finished != 0)
        input.status = UNFINISHED_REQUEST_OK;
    if (finished != 0 && (record->status & OT_BIT_ABORTED) == 0)
        input.answer = unfinished_request_span(record->accepted_at, finished);
    if (finished != 0 && (shutdown == 0 || finished < shutdown))
        input.post_response = unfinished_request_span(finished, shutdown != 0 ? shutdown : end);
    texts->record = record;
    snprintf(texts->content_length, sizeof texts->content_length, "%" PRIu64,
             record->content_length);
    return input;
}
