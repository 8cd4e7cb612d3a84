/* limit_timer.c: see limit_timer.h. */
#include "sapi-shim/request/limit_timer.h"

#include "sapi-shim/request/hard_timeout.h"
#include "sapi-shim/request/peer_watch.h"
#include "sapi-shim/request/request.h"
#include "sapi-shim/scoreboard/record.h"
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

/* The kernel sends the signal when something happens on a watched connection. Once the client has
 * left it must not send another one. */
static uint64_t limit_timer_check_client(struct request *request, uint64_t now)
{
    const struct conn *conn = request->conn;
    if (request_is_finished(request) || conn == NULL || conn->fd < 0 ||
        (request->record->status & OT_BIT_ABORTED))
        return 0;
    if (!atomic_load(&request->client_left)) {
        if (!request->watched || !(peer_watch_gone(conn->fd) || conn_abort_pending(conn)))
            return 0;
        atomic_store(&request->client_left, true);
        peer_watch_disarm(conn->fd);
        request->watched = false;
    }
    return limit_timer_show_left(request, now);
}

uint64_t limit_timer_check(uint64_t now)
{
    struct request *request = request_current();
    if (request == NULL)
        return 0;
    if (request->limit.cpu_deadline != 0)
        time_limit_check_cpu(&request->limit, clock_read_ns(CLOCK_THREAD_CPUTIME_ID), now);
    if (time_limit_is_hard(&request->limit, now))
        hard_timeout_exit(request);
    return clock_earlier(request->limit.hard_at, limit_timer_check_client(request, now));
}
