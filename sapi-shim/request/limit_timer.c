/* limit_timer.c: see limit_timer.h. */
#include "sapi-shim/request/limit_timer.h"

#include "sapi-shim/request/hard_timeout.h"
#include "sapi-shim/request/peer_watch.h"
#include "sapi-shim/request/request.h"
#include "sapi-shim/request/timer.h"
#include "sapi-shim/scoreboard/record.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/util/clock.h"

static void limit_timer_emergency(struct request *request)
{
    struct ot_record *record = request->record;
    const struct conn *conn = request->conn;
    size_t lost = request->functions.count;
    const struct hard_timeout e = {
        .fd = conn != NULL ? conn->fd : -1,
        .id = conn != NULL ? conn->frame.id : 0,
        .responded = conn != NULL && conn->stdout_sent,
        .mid_record = conn != NULL && (conn->writing || conn->broken || conn->end_sent),
        .pool = worker_slot_pool(),
        .method = record->method,
        .uri = record->uri,
        .phase = life_name(request->state),
        .limit_name = request->limit.name,
        .limit = request->limit.ms,
        .grace = request->limit.hard_ms,
        .lost = lost,
        .others = request_open_elsewhere(),
    };
    /* The interrupted code may have a change of the record open; it will not close it any more. */
    if (!(atomic_load(&record->change) & 1))
        record_begin(record);
    record->status |= OT_BIT_TIMEOUT;
    if (e.fd >= 0 && !e.responded && !e.mid_record)
        record->http_status = HARD_TIMEOUT_ANSWER;
    record->timed_out += !(request->status & OT_BIT_TIMEOUT);
    record->shutdown_lost += lost;
    record->shutdown_late += request->jump != NULL; /* the one that runs */
    record_end(record);
    worker_slot_leaving(OT_EXIT_HARD_TIMEOUT);
    hard_timeout_exit(&e);
}

/* The operator sees it at once; it is counted at the safe point. The interrupted code may have a
 * change of the record open: then a moment later. */
static uint64_t limit_timer_show_left(struct request *request, uint64_t now)
{
    struct ot_record *record = request->record;
    if (atomic_load(&record->change) & 1)
        return now + CLOCK_NS_PER_MS;
    record_begin(record);
    record->status |= OT_BIT_ABORTED;
    record_end(record);
    return 0;
}

/* abort_detection = instant: a short request is never looked at; a longer one once, and from then
 * on the kernel says when something happens, if the body is in and only the client's leaving can.
 */
static uint64_t limit_timer_watch(struct request *request, uint64_t now)
{
    const struct conn *conn = request->conn;
    if (worker_slot_settings()->abort_detection != OT_ABORT_INSTANT ||
        request_is_finished(request) || conn == NULL || conn->fd < 0 ||
        (request->record->status & OT_BIT_ABORTED))
        return 0;
    if (atomic_load(&request->left))
        return limit_timer_show_left(request, now);
    if (now < request->began + REQUEST_WATCH_AGE)
        return request->began + REQUEST_WATCH_AGE;
    if (!request->watched && conn_input_complete(conn))
        request->watched = peer_watch_arm(conn->fd, timer_signal());
    if (peer_watch_gone(conn->fd) || conn_abort_pending(conn)) {
        atomic_store(&request->left, true);
        return limit_timer_show_left(request, now);
    }
    return request->watched ? 0 : now + REQUEST_WATCH_AGE;
}

uint64_t limit_timer_request(uint64_t now)
{
    struct request *request = request_current();
    uint64_t cpu = 0;
    if (request == NULL)
        return 0;
    if (request->limit.cpu_deadline != 0) {
        cpu = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
        time_limit_cpu(&request->limit, cpu, now);
    }
    if (time_limit_is_hard(&request->limit, now))
        limit_timer_emergency(request);
    return clock_earlier(time_limit_next(&request->limit, cpu, now),
                         limit_timer_watch(request, now));
}
