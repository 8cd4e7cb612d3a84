/* access_death.c: see access_death.h. */
#include "fpm/access_death.h"

#include "sapi-shim/line.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum {
    ACCESS_DEATH_HARD_TIMEOUT = 124, /* how the library leaves at hard_timeout */
    ACCESS_DEATH_ANSWERED = 200,
    ACCESS_DEATH_GONE = 499
};

bool access_death_owes(const struct ot_record *record)
{
    return record->requests != record->logged;
}

/* Did the request end before its worker did? A stamp of an earlier one does not count. */
static bool access_death_ended(const struct ot_record *record)
{
    return record->ended_at != 0 && record->ended_at >= record->running_at;
}

/* Signals that somebody sends on purpose. */
static bool access_death_is_order(int signal)
{
    return signal == SIGKILL || signal == SIGTERM || signal == SIGINT || signal == SIGQUIT ||
           signal == SIGHUP;
}

static enum format_outcome access_death_outcome(const struct ot_record *record,
                                                const struct access_death *death)
{
    bool timeout = (record->status & OT_BIT_TIMEOUT) != 0;
    int status = death->status;
    if (access_death_ended(record)) {
        bool aborted = (record->status & OT_BIT_ABORTED) != 0;
        return timeout ? FORMAT_TIMEOUT : aborted ? FORMAT_ABORTED : FORMAT_OK;
    }
    if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == ACCESS_DEATH_HARD_TIMEOUT &&
        timeout)
        return FORMAT_TIMEOUT;
    if (status != -1 && WIFSIGNALED(status))
        return access_death_is_order(WTERMSIG(status)) ? FORMAT_KILLED : FORMAT_CRASHED;
    if (death->asked)
        return FORMAT_KILLED;
    return FORMAT_CRASHED;
}

static unsigned access_death_status(const struct ot_record *record, enum format_outcome outcome)
{
    if (record->http_status >= 100 && record->http_status <= 999)
        return record->http_status;
    if (outcome == FORMAT_OK)
        return ACCESS_DEATH_ANSWERED;
    return outcome == FORMAT_ABORTED ? ACCESS_DEATH_GONE : 0;
}

/* Between two stamps of which the worker wrote one at the least. */
static int64_t access_death_span(uint64_t from, uint64_t to)
{
    return from == 0 || to < from || to - from > INT64_MAX ? FORMAT_UNKNOWN : (int64_t)(to - from);
}

static void access_death_durations(const struct ot_record *record, const struct access_death *death,
                                   struct format_facts *facts)
{
    bool over = access_death_ended(record) && record->ended_at <= (uint64_t)death->now;
    uint64_t end = over ? record->ended_at : (uint64_t)death->now;
    uint64_t finished = record->finished_at, shutdown = record->shutdown_at;
    int64_t age = access_death_span(record->accepted_at, (uint64_t)death->now);
    facts->duration = access_death_span(record->accepted_at, end);
    facts->ended = death->wall - (death->now - (int64_t)end);
    facts->began = age < 0 ? FORMAT_UNKNOWN : death->wall - age;
    if (finished != 0 && (record->status & OT_BIT_ABORTED) == 0)
        facts->answer = access_death_span(record->accepted_at, finished);
    facts->shutdown = shutdown == 0 ? 0 : access_death_span(shutdown, end);
    facts->post_response = 0;
    if (finished != 0 && (shutdown == 0 || finished < shutdown))
        facts->post_response = access_death_span(finished, shutdown != 0 ? shutdown : end);
}

/* The parameters that the record has. */
static const char *access_death_param(const void *context, const char *name, size_t length)
{
    const struct access_death_texts *texts = context;
    const struct {
        const char *name, *value;
    } known[] = {
        {"REQUEST_METHOD", texts->record->method}, {"REQUEST_URI", texts->record->uri},
        {"REMOTE_ADDR", texts->record->remote},    {"REMOTE_USER", texts->record->user},
        {"CONTENT_LENGTH", texts->content_length},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].name) == length && memcmp(known[i].name, name, length) == 0)
            return known[i].value;
    return NULL;
}

static int64_t access_death_count(uint64_t count)
{
    return count > INT64_MAX ? FORMAT_UNKNOWN : (int64_t)count;
}

struct format_facts access_death_facts(const struct ot_record *record,
                                       const struct access_death *death,
                                       struct access_death_texts *texts)
{
    enum format_outcome outcome = access_death_outcome(record, death);
    struct format_facts facts = {
        .pool = death->pool,
        .pid = death->pid,
        .parent = death->parent,
        .method = record->method,
        .uri = record->uri,
        .remote = record->remote,
        .user = record->user,
        .label = record->label,
        .param = access_death_param,
        .context = texts,
        .outcome = outcome,
        .bits = record->status & (OT_BIT_ABORTED | OT_BIT_TIMEOUT),
        .status = access_death_status(record, outcome),
        .content_length = access_death_count(record->content_length),
        .sent = access_death_count(record->response_bytes),
        .discarded = access_death_count(record->request_discarded),
        .answer = FORMAT_UNKNOWN,
        .cpu_user = FORMAT_UNKNOWN,
        .cpu_system = FORMAT_UNKNOWN,
        .memory = FORMAT_UNKNOWN,
    };
    texts->record = record;
    snprintf(texts->content_length, sizeof texts->content_length, "%" PRIu64,
             record->content_length);
    access_death_durations(record, death, &facts);
    return facts;
}
