/* limit_timer.c: see limit_timer.h. */
#include "sapi-shim/request/limit_timer.h"

#include "sapi-shim/request/hard_timeout.h"
#include "sapi-shim/request/peer_watch.h"
#include "sapi-shim/request/request.h"
#include "sapi-shim/request/timer.h"
#include "sapi-shim/scoreboard/record.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/util/clock.h"

/* Shows the operator at once that the client has left; the next safe point counts it. Waits a
 * moment if the interrupted code has a change of the record open. */
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

/* abort_detection = instant. A short request is never checked. A longer one is checked once; from
 * then on the kernel sends the signal, provided the body is complete, so that an event on the
 * connection can only mean that the client leaves. */
static uint64_t limit_timer_check_client(struct request *request, uint64_t now)
{
    const struct conn *conn = request->conn;
    if (worker_slot_settings()->abort_detection != OT_ABORT_INSTANT ||
        request_is_finished(request) || conn == NULL || conn->fd < 0 ||
        (request->record->status & OT_BIT_ABORTED))
        return 0;
    if (atomic_load(&request->client_left))
        return limit_timer_show_left(request, now);
    if (now < request->began + REQUEST_WATCH_AGE)
        return request->began + REQUEST_WATCH_AGE;
    if (!request->watched && conn_input_complete(conn))
        request->watched = peer_watch_arm(conn->fd, timer_signal());
    if (peer_watch_gone(conn->fd) || conn_abort_pending(conn)) {
        atomic_store(&request->client_left, true);
        return limit_timer_show_left(request, now);
    }
    return request->watched ? 0 : now + REQUEST_WATCH_AGE;
}

uint64_t limit_timer_check(uint64_t now)
{
    struct request *request = request_current();
    uint64_t cpu_now = 0;
    if (request == NULL)
        return 0;
    if (request->limit.cpu_deadline != 0) {
        cpu_now = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
        time_limit_check_cpu(&request->limit, cpu_now, now);
    }
    if (time_limit_is_hard(&request->limit, now))
        hard_timeout_exit(request);
    return clock_earlier(time_limit_next(&request->limit, cpu_now, now),
                         limit_timer_check_client(request, now));
}
