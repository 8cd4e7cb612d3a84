/* request.c: see request.h. */
#include "sapi-shim/request/request.h"

#include "sapi-shim/access_log/log_pipe.h"
#include "sapi-shim/connection/graceful_stop.h"
#include "sapi-shim/connection/wait_set.h"
#include "sapi-shim/request/bailout_policy.h"
#include "sapi-shim/request/news.h"
#include "sapi-shim/request/peer_watch.h"
#include "sapi-shim/request/recycling.h"
#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/scoreboard/record.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/diagnostics.h"
#include "sapi-shim/util/procfs.h"
#include "sapi-shim/util/timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUEST_TURN_NS  20000000 /* between looks whether a thread waits for its turn to accept */
#define REQUEST_TURNS    64       /* most of these at exit(), or requests that end meanwhile */
#define REQUEST_NO_LIMIT 999999999u /* seconds; more counts as no limit */

/* Before the end of a response the client is checked unless that was done since. */
#define REQUEST_CHECK_AGE (20 * CLOCK_NS_PER_MS)

static pthread_mutex_t request_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t request_ended = PTHREAD_COND_INITIALIZER;
static struct request *request_open; /* all of the process */
static _Atomic size_t request_open_count;
static atomic_bool request_exit_called; /* exit() runs */
static atomic_bool request_exit_begun;  /* a thread is about to call it */
static _Thread_local _Atomic(struct request *) request_mine;

/* ---- the open requests ---- */

struct request *request_current(void)
{
    return request_mine;
}

static void request_link(struct request *request)
{
    (void)pthread_mutex_lock(&request_lock);
    request->prev = NULL;
    request->next = request_open;
    if (request_open != NULL)
        request_open->prev = request;
    request_open = request;
    atomic_fetch_add(&request_open_count, 1);
    (void)pthread_mutex_unlock(&request_lock);
}

static void request_unlink(struct request *request)
{
    (void)pthread_mutex_lock(&request_lock);
    *(request->prev != NULL ? &request->prev->next : &request_open) = request->next;
    if (request->next != NULL)
        request->next->prev = request->prev;
    atomic_fetch_sub(&request_open_count, 1);
    (void)pthread_cond_broadcast(&request_ended);
    (void)pthread_mutex_unlock(&request_lock);
}

struct request *request_find(bool (*match)(const struct request *, const void *context),
                             const void *context)
{
    struct request *request = request_mine;
    if (request != NULL && match(request, context))
        return request;
    if (atomic_load(&request_open_count) == 0)
        return NULL;
    (void)pthread_mutex_lock(&request_lock);
    request = request_open;
    while (request != NULL && !match(request, context))
        request = request->next;
    (void)pthread_mutex_unlock(&request_lock);
    return request;
}

size_t request_open_elsewhere(void)
{
    return atomic_load(&request_open_count) - (request_mine != NULL);
}

void request_after_fork(void)
{
    (void)pthread_mutex_init(&request_lock, NULL);
    request_open = NULL;
    request_mine = NULL;
    atomic_store(&request_open_count, 0);
}

/* ---- the mover ---- */

static const enum ot_state request_public_state[LIFECYCLE_STATES] = {
    [LIFECYCLE_RUNNING] = OT_STATE_RUNNING,
    [LIFECYCLE_POST] = OT_STATE_POST,
    [LIFECYCLE_SHUTDOWN_OPEN] = OT_STATE_SHUTDOWN,
    [LIFECYCLE_SHUTDOWN] = OT_STATE_SHUTDOWN,
    [LIFECYCLE_ENDED] = OT_STATE_IDLE,
};

static void request_respond(struct request *request, enum lifecycle_event event);

static uint64_t request_duration(uint64_t from, uint64_t to)
{
    return from != 0 && from < to ? to - from : 0;
}

bool request_is_open(const struct request *request)
{
    return request->state == LIFECYCLE_RUNNING || request->state == LIFECYCLE_SHUTDOWN_OPEN;
}

/* Adds to one of the record's counters. */
static void request_count(struct request *request, uint64_t *counter, uint64_t count)
{
    record_begin(&request->record->change);
    *counter += count;
    record_end(&request->record->change);
}

static void request_set_status(struct request *request, enum ot_status_bits bit)
{
    struct ot_record *record = request->record;
    if (!(request->status & bit))
        request_count(request, bit == OT_BIT_ABORTED ? &record->aborted : &record->timed_out, 1);
    request->status |= bit;
}

/* Within a change of the record: the request is no longer tracked, as of this time. */
static void request_end_mark(struct request *request, uint64_t ended_at)
{
    if (request->mark != NULL)
        request->mark->ended_at = ended_at;
    request->mark = NULL;
}

/* Publishes the step from `from` to the request's present state. */
static void request_publish(struct request *request, enum lifecycle_state from, unsigned actions)
{
    struct ot_record *record = request->record;
    uint64_t now = clock_ns();
    uint32_t before = record->state;
    record_begin(&record->change);
    record->status = request->status;
    if (from == LIFECYCLE_RUNNING && request->state == LIFECYCLE_POST)
        record->finished++;
    if (actions & LIFECYCLE_RESPOND) {
        request->entry.finished_at = record->finished_at = now;
        histogram_add(&record->measures[OT_MEASURE_ANSWER],
                      request_duration(record->accepted_at, now));
    }
    if (request->in_shutdown && record->shutdown_at == 0)
        request->entry.shutdown_at = record->shutdown_at = now;
    if (request->state == LIFECYCLE_ENDED) {
        record->ended_at = now;
        record->last_wait = request->waited;
        record->last_answer = request_duration(record->accepted_at, record->finished_at);
        record->last_post = request_duration(record->finished_at, record->shutdown_at);
        record->last_shutdown = request_duration(record->shutdown_at, now);
        if (from == LIFECYCLE_SHUTDOWN)
            histogram_add(&record->measures[OT_MEASURE_POST],
                          request_duration(record->finished_at, now));
        request_end_mark(request, now);
    } else if (request->state != from) {
        record->state = request_public_state[request->state];
        record->state_since = now;
    }
    record_end(&record->change);
    /* The state outlasts the request: the thread is idle once it waits again. */
    if (record->state != before)
        worker_slot_ring(OT_NOTIFY_LEAVE(before) | OT_NOTIFY_ENTER(record->state));
}

/* The only function that moves a request. It completes the response before it publishes the new
 * state. */
static void request_move(struct request *request, enum lifecycle_event event)
{
    enum lifecycle_state from = request->state;
    const struct lifecycle_row *row = lifecycle_step(from, event);
    if (row->actions & LIFECYCLE_IMPOSSIBLE) {
        diagnostics_error("internal: event %d in state \"%s\": %s", (int)event,
                          lifecycle_name(from), row->name);
        return;
    }
    if (row->actions & LIFECYCLE_SET_ABORTED)
        request_set_status(request, OT_BIT_ABORTED);
    if (row->actions & LIFECYCLE_SET_TIMEOUT)
        request_set_status(request, OT_BIT_TIMEOUT);
    if (row->actions & LIFECYCLE_RESPOND)
        request_respond(request, event);
    request->state = row->next;
    if (event == LIFECYCLE_LEAVE)
        request->in_shutdown = true;
    request_publish(request, from, row->actions);
}

/* ---- begin ---- */

/* The timer belongs to the thread that took the request. */
static bool request_has_timer(const struct request *request)
{
    return request->current == &request_mine;
}

/* When the timer must expire. Without ot_on_news a safe point sees the soft limit by itself. */
static uint64_t request_timer_at(const struct request *request)
{
    return news_wanted() && request->limit.deadline != 0 ? request->limit.deadline
                                                         : request->limit.hard_at;
}

static bool request_wants_watch(void)
{
    int detection = worker_slot_settings()->abort_detection;
    return detection == OT_ABORT_INSTANT || (news_wanted() && detection != OT_ABORT_WRITE);
}

/* Sets a limit other than the one that most requests begin with. */
static void request_start_clock(struct request *request, int64_t ms, const char *name)
{
    request->timed_out = false;
    request->news_pause = 0;
    time_limit_set(&request->limit, ms, name, clock_ns());
    if (request_has_timer(request))
        timer_set(request_timer_at(request));
}

static void request_publish_begin(struct request *request, const struct request_info *info)
{
    struct ot_record *record = request->record;
    uint64_t now = clock_ns();
    uint32_t before = record->state; /* under load that of the previous request */
    record_begin(&record->change);
    record->state = OT_STATE_RUNNING;
    record->status = 0;
    record->state_since = now;
    record->accepted_at = request->conn->since;
    record->running_at = now;
    record->finished_at = 0;
    record->shutdown_at = 0;
    record->ended_at = 0;
    record->requests++;
    request->waited =
        info->waited != 0 ? info->waited : request_duration(request->conn->since, now);
    histogram_add(&record->measures[OT_MEASURE_WAIT], request->waited);
    record->content_length = info->content_length;
    record_text(record->method, sizeof record->method, info->method);
    record_text(record->uri, sizeof record->uri, info->uri);
    record_text(record->user, sizeof record->user, info->user);
    record->label[0] = '\0';
    if (info->mark != 0) {
        request->mark = &record->tracking[record->tracked++ % OT_TRACKING_MAX];
        *request->mark = (struct ot_tracking){.id = info->mark};
    }
    log_entry_begin(&request->entry, record, request->conn->since, info->remote, info->user);
    record_end(&record->change);
    worker_slot_ring(OT_NOTIFY_LEAVE(before) | OT_NOTIFY_ENTER(OT_STATE_RUNNING));
}

void request_begin(struct request *request, const struct request_ops *ops, struct conn *conn,
                   const struct request_info *info)
{
    const struct ot_settings *settings = worker_slot_settings();
    const struct request_overrides *overrides = &info->overrides;
    int64_t limit = settings->max_execution_time;
    *request = (struct request){
        .ops = ops,
        .conn = conn,
        .record = worker_slot_record(),
        .thread = pthread_self(),
        .current = &request_mine,
        .state = LIFECYCLE_RUNNING,
        .ignore_abort = settings->ignore_user_abort != 0,
        .bailout = (enum ot_bailout)settings->bailout,
        .post_response_limit = settings->post_response_time_limit,
        .locked = info->locked,
        .overridden = overrides->set,
        .limit.hard_ms = settings->hard_timeout,
        .keep_alive = conn->frame.keep,
        .watch = request_wants_watch(),
        .content_length = info->content_length,
        .last_check = clock_coarse_ns(),
        .details.params = info->params,
    };
    if (overrides->set & REQUEST_OVERRIDES_IGNORE_USER_ABORT)
        request->ignore_abort = overrides->ignore_user_abort;
    if (overrides->set & REQUEST_OVERRIDES_BAILOUT)
        request->bailout = overrides->bailout;
    if (overrides->set & REQUEST_OVERRIDES_POST_RESPONSE_TIME_LIMIT)
        request->post_response_limit = overrides->post_response_time_limit;
    if (overrides->set & REQUEST_OVERRIDES_MAX_EXECUTION_TIME)
        limit = overrides->max_execution_time;

    request_publish_begin(request, info);
    request_link(request);
    atomic_signal_fence(memory_order_seq_cst); /* the timer's handler reads the request */
    request_mine = request;

    time_limit_set(&request->limit, limit, "max_execution_time", clock_ns());
    timer_expect(request_timer_at(request), time_limit_leeway(&request->limit));
    if (settings->max_execution_cpu_time > 0) {
        time_limit_set_cpu(&request->limit, settings->max_execution_cpu_time,
                           clock_read_ns(CLOCK_THREAD_CPUTIME_ID));
        timer_set_cpu(request->limit.cpu_deadline);
    }
    request_input_came(request);
    recycling_count_request();
}

/* The record, the timer and the jump target belong to the thread: the request loses all three. */
void request_detach(void)
{
    static struct ot_record unseen;
    struct request *request = request_mine;
    if (request == NULL)
        return;
    request_mine = NULL;
    atomic_signal_fence(memory_order_seq_cst); /* the timer's handler no longer sees it */
    request->current = NULL;
    request->detached = true;
    record_begin(&request->record->change);
    request->record->logged = request->record->requests; /* its line comes without the record */
    request_end_mark(request, OT_TRACKING_LOST);
    record_end(&request->record->change);
    request->record = &unseen;
    request->run_jump = NULL;
}

/* ---- safe points ---- */

static void request_abort(struct request *request)
{
    request_move(request, LIFECYCLE_ABORT);
    if (request->ignore_abort)
        request->ops->mute(request);
    if (request->conn->aborted)
        peer_watch_raise();
    /* The news is known now. */
    if (request->news_pause != 0 && request_has_timer(request))
        timer_set(request_timer_at(request));
    request->news_pause = 0;
}

/* Says which limit it was, what it cuts, and how to allow for more. */
static void request_log_time_out(const struct request *request)
{
    const struct ot_record *record = request->record;
    const char *quote = record->label[0] != '\0' ? "\"" : "";
    const char *name = request->limit.name;
    char remedy[128];
    unsigned own = strcmp(name, "max_execution_time") == 0 ? REQUEST_OVERRIDES_MAX_EXECUTION_TIME
                   : strcmp(name, "post_response.time_limit") == 0
                       ? REQUEST_OVERRIDES_POST_RESPONSE_TIME_LIMIT
                       : 0;
    if (strcmp(name, "ot_set_time_limit") == 0)
        (void)snprintf(remedy, sizeof remedy, "the application has set this limit");
    else if (request->locked & own)
        (void)snprintf(remedy, sizeof remedy, "raise it in OVERTIME_ADMIN_VALUE");
    else
        (void)snprintf(remedy, sizeof remedy, "raise %s%s%s", name,
                       request->overridden & own ? " in OVERTIME_VALUE" : "",
                       strcmp(name, "max_execution_cpu_time") == 0
                           ? ""
                           : ", or call ot_set_time_limit for more");
    diagnostics_write("pool %s: %s %s reached %s of %lld ms: %s, %lld ms old%s%s%s%s; %s",
                      worker_slot_pool(), record->method, record->uri, name,
                      (long long)request->limit.ms, lifecycle_name(request->state),
                      (long long)clock_ms_since(record->accepted_at, clock_ns()),
                      *quote != '\0' ? ", " : "", quote, record->label, quote, remedy);
}

static void request_time_out(struct request *request)
{
    if (request->limit.deadline == 0)
        return;
    time_limit_clear(&request->limit);
    if (request_has_timer(request))
        timer_set(0);
    request->timed_out = true;
    request_log_time_out(request);
    request_move(request, LIFECYCLE_TIMEOUT);
}

void request_io_result(struct request *request, enum conn_result result)
{
    if (result == CONN_CLOSED)
        request_abort(request);
    else if (result == CONN_TIMEOUT)
        request_time_out(request);
}

static void request_check_client(struct request *request)
{
    struct conn *conn = request->conn;
    if (!request_is_open(request) || (request->status & OT_BIT_ABORTED))
        return;
    if (worker_slot_settings()->abort_detection != OT_ABORT_WRITE)
        conn_check_peer(conn);
    if (conn->disconnected || conn->aborted)
        request_abort(request);
}

void request_input_came(struct request *request)
{
    const struct conn *conn = request->conn;
    if (!request->watch || request->watched || atomic_load(&request->client_left) ||
        !request_is_open(request) || !request_has_timer(request) || conn->fd < 0 ||
        !conn_input_complete(conn) || (request->status & OT_BIT_ABORTED))
        return;
    request->watched = peer_watch_arm(conn->fd, timer_signal());
    request_check_client(request); /* it may have left before */
}

static void request_check_clocks(struct request *request, uint64_t now)
{
    if (request->limit.cpu_deadline != 0)
        time_limit_check_cpu(&request->limit, clock_read_ns(CLOCK_THREAD_CPUTIME_ID), now);
    if (time_limit_is_reached(&request->limit, now))
        request_time_out(request);
}

static void request_check(struct request *request)
{
    uint64_t tick = clock_coarse_ns();
    /* News from the timer's handler counts at once, not at the next tick. */
    bool has_news = atomic_load_explicit(&request->has_news, memory_order_relaxed);
    if (tick == request->last_check && !has_news)
        return;
    request->last_check = tick;
    atomic_store_explicit(&request->has_news, false, memory_order_relaxed);
    request_check_client(request);
    request_check_clocks(request, has_news ? clock_ns() : tick);
}

bool request_safe_point(struct request *request)
{
    request_check(request);
    if (request->status == 0)
        return true;
    bool own_thread = pthread_equal(request->thread, pthread_self()) != 0;
    struct bailout_policy_state state = {
        .aborted = (request->status & OT_BIT_ABORTED) != 0,
        .timed_out = request->timed_out,
        .ignore_abort = request->ignore_abort,
        .in_shutdown = request->in_shutdown,
        .can_unwind = own_thread && (request->shutdown_jump != NULL || request->run_jump != NULL),
        .bailout = request->bailout,
    };
    enum bailout_policy_verdict verdict = bailout_policy_decide(&state);
    if (verdict == BAILOUT_POLICY_CONTINUE)
        return true;
    /* A thread that only helps with a request must not end it while another one serves it. */
    if (verdict == BAILOUT_POLICY_REPORT || !(own_thread || request->detached))
        return false;
    request->cut_off = request->cut_off || request->timed_out;
    if (verdict == BAILOUT_POLICY_EXIT) {
        request->exit_after = true;
        if (request->shutdown_jump == NULL)
            request_end(request); /* does not return */
    }
    siglongjmp(request->shutdown_jump != NULL ? *request->shutdown_jump : *request->run_jump, 1);
}

unsigned request_status(struct request *request)
{
    /* The first call checks the client even within the tick in which the request began. */
    if (!request->status_read)
        request_check_client(request);
    request->status_read = true;
    request_check(request);
    return request->status;
}

bool request_is_mute(const struct request *request)
{
    return !request_is_open(request) ||
           ((request->status & OT_BIT_ABORTED) != 0 && request->ignore_abort);
}

void request_sent(struct request *request, size_t bytes)
{
    log_entry_sent(&request->entry, request->record, bytes, request->details.head.status);
}

void request_discard(struct request *request, size_t bytes)
{
    if (bytes == 0)
        return;
    record_begin(&request->record->change);
    request->record->discarded += bytes;
    log_entry_discarded(&request->entry, request->record, bytes);
    record_end(&request->record->change);
}

/* ---- the end of the response ---- */

static void request_unwatch(struct request *request)
{
    peer_watch_stop(request->conn->fd);
    if (request->watched && request->conn->fd >= 0)
        peer_watch_disarm(request->conn->fd);
    request->watched = false;
}

/* After ot_finish_request the connection leaves the request; what was read of it stays readable
 * until the request's end. One that the web server keeps goes to the next worker that is free: the
 * web server may send its next request as soon as it sees the END_REQUEST, and a close would lose
 * that. Without other workers to hand it to, close at once, before one can come. */
static void request_disconnect(struct request *request)
{
    struct conn *conn = request->conn;
    bool complete = conn_input_complete(conn) || conn->disconnected || conn->eof;
    bool reusable = request->keep_alive && wait_set_hands_over() &&
                    conn_is_reusable(conn, request->content_length);
    request_unwatch(request);
    struct conn *rest = conn_split(conn);
    if (rest == NULL) {
        conn_half_close(conn);
        conn_close(conn);
    } else if (reusable || (request->keep_alive && conn_next_request_begun(rest))) {
        if (conn->last_write)
            conn_flush(rest);
        wait_set_hand_over(&rest);
    } else if (complete) {
        conn_half_close(rest);
        wait_set_close(&rest);
    } else {
        wait_set_linger(&rest);
    }
}

static void request_respond(struct request *request, enum lifecycle_event event)
{
    struct conn *conn = request->conn;
    bool disconnect = event == LIFECYCLE_FINISH;
    /* Where a close is to follow, the peer must not see the END_REQUEST before it. */
    bool reusable = conn_is_reusable(conn, request->content_length);
    conn->surplus =
        conn->is_tcp && request->keep_alive && reusable && !disconnect && !wait_set_has_room(conn);
    bool hands_over = disconnect && request->keep_alive && wait_set_hands_over();
    conn->last_write = conn->is_tcp && (!reusable || conn->surplus || (disconnect && !hands_over));
    request->ops->end_response(request, disconnect);
    if (conn->disconnected)
        request_set_status(request, OT_BIT_ABORTED);
    else if (conn->broken && !request->abandoned)
        diagnostics_write("pool %s: %s %s: response cut off: the client did not take it in time",
                          worker_slot_pool(), request->record->method, request->record->uri);
    if (disconnect)
        request_disconnect(request);
}

/* Over TCP the first write to a client that has left succeeds, and so does each to one that has
 * sent an abort record. */
static void request_check_before_response(struct request *request)
{
    uint64_t tick = clock_coarse_ns();
    if (tick - request->last_check < REQUEST_CHECK_AGE &&
        !atomic_load_explicit(&request->has_news, memory_order_relaxed))
        return;
    request->last_check = tick;
    request_check_client(request);
}

bool request_finish(struct request *request)
{
    if (lifecycle_step(request->state, LIFECYCLE_FINISH)->actions != LIFECYCLE_RESPOND)
        return false;
    wait_set_release_idle(request->conn);
    request_check_clocks(request, clock_coarse_ns());
    request_check_before_response(request);
    request_move(request, LIFECYCLE_FINISH);
    if (!request->in_shutdown) {
        time_limit_set_cpu(&request->limit, 0, 0);
        if (request_has_timer(request))
            timer_set_cpu(0);
        request_start_clock(request, request->post_response_limit, "post_response.time_limit");
    }
    return true;
}

/* ---- settings of one request ---- */

int request_ignore_abort(struct request *request, int setting)
{
    int before = request->ignore_abort ? 1 : 0;
    if (setting < 0 || (request->locked & REQUEST_OVERRIDES_IGNORE_USER_ABORT))
        return before;
    request->ignore_abort = setting != 0;
    if (request->ignore_abort && (request->status & OT_BIT_ABORTED))
        request->ops->mute(request);
    return before;
}

bool request_set_time_limit(struct request *request, unsigned seconds)
{
    int64_t ms = seconds > REQUEST_NO_LIMIT ? 0 : (int64_t)seconds * 1000;
    /* A limit that the administrator has fixed holds in its own part of the request only. */
    unsigned name = request->state == LIFECYCLE_POST ? REQUEST_OVERRIDES_POST_RESPONSE_TIME_LIMIT
                                                     : REQUEST_OVERRIDES_MAX_EXECUTION_TIME;
    if (!request->in_shutdown && (request->locked & name) != 0)
        return false;
    request_start_clock(request, ms, "ot_set_time_limit");
    return true;
}

void request_news_changed(struct request *request)
{
    request->watch = request_wants_watch();
    request_input_came(request);
    if (request_has_timer(request))
        timer_set(request_timer_at(request));
}

int request_abort_fd(struct request *request)
{
    bool open = request_is_open(request);
    int fd = peer_watch_descriptor(open ? request->conn->fd : -1,
                                   open && conn_input_complete(request->conn));
    if (open && request->conn->aborted)
        peer_watch_raise();
    return fd;
}

void request_set_label(struct request *request, const char *text)
{
    if (text == NULL && request->record->label[0] == '\0')
        return;
    record_begin(&request->record->change);
    record_text(request->record->label, sizeof request->record->label, text);
    record_end(&request->record->change);
}

/* ---- the end ---- */

/* Runs one function; false if its time limit cut it off. In a frame of its own, to which the jump
 * returns. */
static bool request_call(struct request *request, shutdown_functions_function *function,
                         void *argument)
{
    sigjmp_buf here;
    if (sigsetjmp(here, 0) != 0) {
        request->shutdown_jump = NULL;
        request_count(request, &request->record->shutdown_late, 1);
        return false;
    }
    request->shutdown_jump = &here;
    function(argument);
    request->shutdown_jump = NULL;
    request_count(request, &request->record->shutdown_run, 1);
    return true;
}

static void request_run_functions(struct request *request)
{
    shutdown_functions_function *function = NULL;
    void *argument = NULL;
    bool exit_inside = request->in_shutdown;
    request_check_clocks(request, clock_coarse_ns());
    request_move(request, LIFECYCLE_LEAVE);
    /* After exit() inside a shutdown function: that one counts as run, and the rest is skipped. */
    if (exit_inside) {
        request->shutdown_jump = NULL;
        request_count(request, &request->record->shutdown_run, 1);
        return;
    }
    /* Without shutdown functions the limit holds for the rest of the response, and needs no timer.
     */
    int64_t limit = worker_slot_settings()->shutdown_functions_time_limit;
    if (request->functions.count > 0)
        request_start_clock(request, limit, "shutdown_functions.time_limit");
    else
        time_limit_set(&request->limit, limit, "shutdown_functions.time_limit", clock_ns());
    while (!request->skip_functions &&
           shutdown_functions_take(&request->functions, &function, &argument))
        request->skip_functions = !request_call(request, function, argument);
}

void request_end(struct request *request)
{
    /* From here on the request is this thread's, whichever thread took it. */
    request->run_jump = NULL;
    request->thread = pthread_self();
    request_check_before_response(request);
    request_run_functions(request);
    uint64_t functions_at = log_pipe_active() ? clock_ns() : 0;
    size_t lost = shutdown_functions_clear(&request->functions);
    if (lost > 0) {
        request_count(request, &request->record->shutdown_lost, lost);
        diagnostics_write("pool %s: %s %s: %zu shutdown function%s lost: %s", worker_slot_pool(),
                          request->record->method, request->record->uri, lost, lost == 1 ? "" : "s",
                          request->timed_out ? "shutdown_functions.time_limit is too short"
                                             : "one of them called exit()");
    }

    /* Complete the response, or count the output that is left in the buffers. */
    request_check_before_response(request);
    if (!request_is_open(request))
        request->ops->mute(request);
    request_move(request, LIFECYCLE_END);
    if (log_pipe_active()) {
        int thread = worker_slot_number(request->record);
        struct log_format_input input = log_entry_unknown();
        if (thread >= 0)
            input.label = request->record->label; /* a record outside the slot may be shared */
        input.bits = request->status;
        request_details_fill(&request->details, request->entry.sent > 0, &input);
        log_entry_end(&request->entry, request->record, thread, functions_at, &input);
    }
    request_details_end(&request->details);
    request_set_label(request, NULL);

    /* The thread that took the request may be another one, and still see it as its current one. */
    if (request_has_timer(request))
        timer_release();
    if (request->current != NULL)
        *request->current = NULL;
    atomic_signal_fence(memory_order_seq_cst); /* the timer's handler no longer sees it */
    request_unwatch(request);
    request->conn->request = NULL;
    if (request->conn->fd < 0)
        conn_free(&request->conn);
    else
        wait_set_end_request(&request->conn, request->keep_alive && !request->abandoned,
                             request->content_length);
    request_unlink(request);
    bool exit_after = request->exit_after && !atomic_load(&request_exit_called);
    request->ops->free(request);
    if (exit_after)
        request_exit(OT_EXIT_BAILOUT);
    if (!atomic_load(&request_exit_called))
        recycling_check_memory();
}

void request_exiting(void)
{
    atomic_store(&request_exit_called, true);
}

/* With the lock held: does another thread work on a request? */
static bool request_others_work(bool *look_again)
{
    const struct request *mine = request_mine;
    bool work = false;
    *look_again = false;
    for (const struct request *r = request_open; r != NULL; r = r->next) {
        /* A request that lasts until its thread accepts has nothing left to do if that thread waits
         * for its turn, for an accept mutex that the caller of request_wait_for_others holds. */
        if (r == mine || (r->until_accept && procfs_waits_for_lock((pid_t)r->record->tid)))
            continue;
        work = true;
        *look_again = *look_again || r->until_accept;
    }
    return work;
}

/* With the lock held: until a request ends, or for a moment. */
static void request_wait_for_turn(void)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += REQUEST_TURN_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&request_ended, &request_lock, &until);
}

void request_wait_for_others(void)
{
    bool look_again;
    (void)pthread_mutex_lock(&request_lock);
    while (request_others_work(&look_again)) {
        if (look_again)
            request_wait_for_turn();
        else
            (void)pthread_cond_wait(&request_ended, &request_lock);
    }
    (void)pthread_mutex_unlock(&request_lock);
}

void request_let_others_accept(void)
{
    bool lasts = true;
    (void)pthread_mutex_lock(&request_lock);
    for (int turns = 0; lasts && turns < REQUEST_TURNS; turns++) {
        lasts = false;
        for (const struct request *r = request_open; r != NULL; r = r->next)
            lasts = lasts || (r != request_mine && r->until_accept);
        if (lasts)
            request_wait_for_turn();
    }
    (void)pthread_mutex_unlock(&request_lock);
}

void request_exit(enum ot_exit_reason reason)
{
    graceful_stop_begin(reason);
    (void)pthread_mutex_lock(&request_lock);
    while (request_open != NULL)
        (void)pthread_cond_wait(&request_ended, &request_lock);
    (void)pthread_mutex_unlock(&request_lock);
    /* Only one thread may call exit(). */
    if (!atomic_exchange(&request_exit_begun, true))
        exit(EXIT_SUCCESS);
    for (;;)
        (void)pause();
}
