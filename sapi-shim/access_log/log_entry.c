/* log_entry.c: see log_entry.h. */
#include "sapi-shim/access_log/log_entry.h"

#include "sapi-shim/access_log/log_pipe.h"
#include "sapi-shim/scoreboard/record.h"
#include "sapi-shim/util/clock.h"

#include <sys/resource.h>

enum {
    LOG_ENTRY_STATUS = 200,        /* of a response without a Status line */
    LOG_ENTRY_STATUS_ABORTED = 499 /* of a client that left before the response */
};

struct log_format_input log_entry_unknown(void)
{
    return (struct log_format_input){
        .content_length = LOG_FORMAT_UNKNOWN,
        .sent = LOG_FORMAT_UNKNOWN,
        .discarded = LOG_FORMAT_UNKNOWN,
        .began = LOG_FORMAT_UNKNOWN,
        .ended = LOG_FORMAT_UNKNOWN,
        .duration = LOG_FORMAT_UNKNOWN,
        .answer = LOG_FORMAT_UNKNOWN,
        .post_response = LOG_FORMAT_UNKNOWN,
        .shutdown = LOG_FORMAT_UNKNOWN,
        .cpu_user = LOG_FORMAT_UNKNOWN,
        .cpu_system = LOG_FORMAT_UNKNOWN,
        .memory = LOG_FORMAT_UNKNOWN,
    };
}

static int64_t log_entry_time(struct timeval t)
{
    return (int64_t)t.tv_sec * CLOCK_NS_PER_S + (int64_t)t.tv_usec * 1000;
}

void log_entry_begin(struct log_entry *entry, struct ot_record *record, uint64_t accepted_at,
                     const char *remote, const char *user)
{
    if (!log_pipe_active())
        return;
    *entry = (struct log_entry){
        .number = record->requests, .accepted_at = accepted_at, .cpu_user = LOG_FORMAT_UNKNOWN};
    record->http_status = 0;
    record->response_bytes = 0;
    record->request_discarded = 0;
    record_text(record->remote, sizeof record->remote, remote);
    record_text(record->user, sizeof record->user, user);
    struct rusage usage;
    if ((log_pipe_needs() & LOG_FORMAT_NEEDS_CPU) != 0 && getrusage(RUSAGE_THREAD, &usage) == 0) {
        entry->cpu_user = log_entry_time(usage.ru_utime);
        entry->cpu_system = log_entry_time(usage.ru_stime);
        entry->thread = pthread_self();
    }
}

void log_entry_sent(struct log_entry *entry, struct ot_record *record, size_t bytes,
                    unsigned status)
{
    entry->sent += bytes;
    record_begin(&record->change);
    record->response_bytes = entry->sent;
    record->http_status = status;
    record_end(&record->change);
}

void log_entry_discarded(struct log_entry *entry, struct ot_record *record, size_t bytes)
{
    entry->discarded += bytes;
    record->request_discarded = entry->discarded;
}

/* `logged` is set after the line is sent. If the worker is killed between the two, the manager
 * sends a line for the request as well; the writer sees both and drops the second. */
void log_entry_end(struct log_entry *entry, struct ot_record *record, int thread,
                   uint64_t functions_at, struct log_format_input *input)
{
    uint64_t now = clock_ns();
    bool timed_out = (input->bits & OT_BIT_TIMEOUT) != 0;
    bool aborted = (input->bits & OT_BIT_ABORTED) != 0;
    input->outcome = timed_out ? LOG_FORMAT_TIMEOUT : aborted ? LOG_FORMAT_ABORTED : LOG_FORMAT_OK;
    if (input->status == 0 && !timed_out)
        input->status = aborted ? LOG_ENTRY_STATUS_ABORTED : LOG_ENTRY_STATUS;
    input->sent = (int64_t)entry->sent;
    input->discarded = (int64_t)entry->discarded;

    /* A thread writes its stamps in order, so no difference is negative. */
    uint64_t wall = clock_read_ns(CLOCK_REALTIME);
    input->ended = (int64_t)wall;
    input->began = (int64_t)(wall - (now - entry->accepted_at));
    input->duration = (int64_t)(now - entry->accepted_at);
    input->post_response = 0;
    input->shutdown = (int64_t)(functions_at - entry->shutdown_at);
    if ((input->bits & OT_BIT_ABORTED) == 0)
        input->answer = (int64_t)(entry->finished_at - entry->accepted_at);
    if (entry->finished_at < entry->shutdown_at)
        input->post_response = (int64_t)(entry->shutdown_at - entry->finished_at);
    struct rusage usage;
    /* Unknown for a request that two threads served. */
    if ((log_pipe_needs() & LOG_FORMAT_NEEDS_CPU) != 0 && entry->cpu_user >= 0 &&
        pthread_equal(entry->thread, pthread_self()) && getrusage(RUSAGE_THREAD, &usage) == 0) {
        input->cpu_user = log_entry_time(usage.ru_utime) - entry->cpu_user;
        input->cpu_system = log_entry_time(usage.ru_stime) - entry->cpu_system;
    }
    if ((log_pipe_needs() & LOG_FORMAT_NEEDS_MEMORY) != 0 && getrusage(RUSAGE_SELF, &usage) == 0)
        input->memory = (int64_t)usage.ru_maxrss * 1024;

    if (thread < 0) {
        (void)log_pipe_write(0, 0, input);
        return;
    }
    bool written = log_pipe_write((unsigned)thread, entry->number, input);
    record_begin(&record->change);
    record->logged = entry->number;
    record->unlogged += !written;
    record_end(&record->change);
}

void log_entry_dropped(struct ot_record *record, int thread, unsigned status, uint64_t accepted_at,
                       const struct log_format_input *known)
{
    struct log_format_input input = known != NULL ? *known : log_entry_unknown();
    bool written = true;
    if (log_pipe_active()) {
        uint64_t wall = clock_read_ns(CLOCK_REALTIME);
        input.outcome = LOG_FORMAT_DROPPED;
        input.status = status;
        input.began = input.ended = (int64_t)wall;
        if (accepted_at != 0) {
            input.duration = (int64_t)(clock_ns() - accepted_at);
            input.began -= input.duration;
        }
        written = log_pipe_write(thread < 0 ? 0 : (unsigned)thread, 0, &input);
    }
    record_begin(&record->change);
    record->dropped++;
    record->unlogged += !written;
    record_end(&record->change);
}
