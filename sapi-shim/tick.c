/* tick.c: see tick.h. */
#include "sapi-shim/tick.h"
#include "sapi-shim/board.h"
#include "sapi-shim/clock.h"
#include "sapi-shim/emergency.h"
#include "sapi-shim/request.h"
#include "sapi-shim/slot.h"
#include "sapi-shim/timer.h"
#include "sapi-shim/watch.h"

static void tick_emergency(struct request *request)
{
    struct ot_record *record = request->record;
    const struct conn *conn = request->conn;
    size_t lost = request->functions.count;
    const struct emergency e = {
        .fd = conn != NULL ? conn->fd : -1,
        .id = conn != NULL ? conn->frame.id : 0,
        .responded = conn != NULL && conn->sent_any,
        .mid_record = conn != NULL && (conn->writing || conn->broken || conn->ended),
        .pool = board_pool(),
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
        slot_begin(record);
    record->status |= OT_BIT_TIMEOUT;
    if (e.fd >= 0 && !e.responded && !e.mid_record)
        record->http_status = EMERGENCY_ANSWER;
    record->timed_out += !(request->status & OT_BIT_TIMEOUT);
    record->shutdown_lost += lost;
    record->shutdown_late += request->jump != NULL; /* the one that runs */
    slot_end(record);
    board_leaving(OT_EXIT_HARD_TIMEOUT);
    emergency_exit(&e);
}

/* The operator sees it at once; it is counted at the safe point. The interrupted code may have a
 * change of the record open: then a moment later. */
static uint64_t tick_show_left(struct request *request, uint64_t now)
{
    struct ot_record *record = request->record;
    if (atomic_load(&record->change) & 1)
        return now + CLOCK_MS;
    slot_begin(record);
    record->status |= OT_BIT_ABORTED;
    slot_end(record);
    return 0;
}

/* abort_detection = instant: a short request is never looked at; a longer one once, and from then
 * on the kernel says when something happens, if the body is in and only the client's leaving can.
 */
static uint64_t tick_watch(struct request *request, uint64_t now)
{
    const struct conn *conn = request->conn;
    if (board_settings()->abort_detection != OT_ABORT_INSTANT || request_is_finished(request) ||
        conn == NULL || conn->fd < 0 || (request->record->status & OT_BIT_ABORTED))
        return 0;
    if (atomic_load(&request->left))
        return tick_show_left(request, now);
    if (now < request->began + REQUEST_WATCH_AGE)
        return request->began + REQUEST_WATCH_AGE;
    if (!request->watched && conn_input_complete(conn))
        request->watched = watch_arm(conn->fd, timer_signal());
    if (watch_gone(conn->fd) || conn_sees_abort(conn)) {
        atomic_store(&request->left, true);
        return tick_show_left(request, now);
    }
    return request->watched ? 0 : now + REQUEST_WATCH_AGE;
}

uint64_t tick_request(uint64_t now)
{
    struct request *request = request_current();
    uint64_t cpu = 0;
    if (request == NULL)
        return 0;
    if (request->limit.cpu_deadline != 0) {
        cpu = clock_read(CLOCK_THREAD_CPUTIME_ID);
        limit_cpu(&request->limit, cpu, now);
    }
    if (limit_is_hard(&request->limit, now))
        tick_emergency(request);
    return limit_earlier(limit_next(&request->limit, cpu, now), tick_watch(request, now));
}
