/* request.c: see request.h. */
#include "sapi-shim/request/request.h"

#include "sapi-shim/access_log/log_pipe.h"
#include "sapi-shim/connection/graceful_stop.h"
#include "sapi-shim/connection/wait_set.h"
#include "sapi-shim/request/bailout_policy.h"
#include "sapi-shim/request/peer_watch.h"
#include "sapi-shim/request/recycling.h"
#include "sapi-shim/request/timer.h"
#include "sapi-shim/scoreboard/histogram.h"
#include "sapi-shim/scoreboard/record.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/diagnostics.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUEST_NO_LIMIT 999999999u /* seconds; more counts as no limit */

static pthread_mutex_t request_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t request_gone = PTHREAD_COND_INITIALIZER;
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
    (void)pthread_cond_broadcast(&request_gone);
    (void)pthread_mutex_unlock(&request_lock);
}

struct request *request_search(bool (*match)(const struct request *, const void *),
                               const void *context)
{
    if (atomic_load(&request_open_count) == 0)
        return NULL;
    (void)pthread_mutex_lock(&request_lock);
    struct request *request = request_open;
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

static const enum ot_state request_public_state[LIFE_STATES] = {
    [LIFE_IDLE] = OT_STATE_IDLE,
    [LIFE_READING] = OT_STATE_READING,
    [LIFE_RUNNING] = OT_STATE_RUNNING,
    [LIFE_POST] = OT_STATE_POST,
    [LIFE_SHUTDOWN_OPEN] = OT_STATE_SHUTDOWN,
    [LIFE_SHUTDOWN] = OT_STATE_SHUTDOWN,
};

static void request_respond(struct request *request, enum life_event event);

static uint64_t request_span(uint64_t from, uint64_t to)
{
    return from != 0 && from < to ? to - from : 0;
}

/* What the request came to. Inside a change of the record. */
static void request_publish_end(const struct request *request, enum life_state from, uint64_t now)
{
    struct ot_record *record = request->record;
    record->ended_at = now;
    record->last_wait = request->waited;
    record->last_answer = request_span(record->accepted_at, record->finished_at);
    record->last_post = request_span(record->finished_at, record->shutdown_at);
    record->last_shutdown = request_span(record->shutdown_at, now);
    if (from == LIFE_SHUTDOWN)
        histogram_add(&record->measures[OT_MEASURE_POST], request_span(record->finished_at, now));
}

/* Inside a change of the record, as request_mark. */
static void request_mark_end(struct request *request, uint64_t ended_at)
{
    if (request->mark != NULL)
        request->mark->ended_at = ended_at;
    request->mark = NULL;
}

/* Publishes the step from `from` to the request's present state. */
static void request_publish(struct request *request, enum life_state from, unsigned actions)
{
    struct ot_record *record = request->record;
    uint64_t now = clock_ns();
    uint32_t before = record->state;
    record_begin(record);
    record->status = request->status;
    if (actions & LIFE_RESPOND)
        request->entry.finished_at = record->finished_at = now;
    if (from == LIFE_RUNNING && request->state == LIFE_POST)
        record->finished++;
    if (request->in_shutdown && record->shutdown_at == 0)
        request->entry.shutdown_at = record->shutdown_at = now;
    if (request->state != from && request->state != LIFE_IDLE) {
        record->state = request_public_state[request->state];
        record->state_since = now;
    }
    if (actions & LIFE_RESPOND)
        histogram_add(&record->measures[OT_MEASURE_ANSWER], request_span(record->accepted_at, now));
    if (request->state == LIFE_IDLE) {
        request_publish_end(request, from, now);
        request_mark_end(request, now);
    }
    record_end(record);
    /* At the end of a request the state stays: the thread is idle when it waits again. */
    if (record->state != before)
        worker_slot_ring(OT_NOTIFY_LEAVE(before) | OT_NOTIFY_ENTER(record->state));
}

static void request_count_bit(struct request *request, unsigned bit)
{
    struct ot_record *record = request->record;
    if (request->status & bit)
        return;
    request->status |= bit;
    record_begin(record);
    *(bit == OT_BIT_ABORTED ? &record->aborted : &record->timed_out) += 1;
    record_end(record);
}

/* The only function that moves a request. The response is complete before the new state shows. */
static const struct life_row *request_move(struct request *request, enum life_event event)
{
    enum life_state from = request->state;
    const struct life_row *row = life_step(from, event);
    if (row->actions & LIFE_IMPOSSIBLE) {
        diagnostics_write("internal: event %d in state \"%s\": %s", (int)event, life_name(from),
                          row->name);
        return row;
    }
    if (row->actions & LIFE_SET_ABORTED)
        request_count_bit(request, OT_BIT_ABORTED);
    if (row->actions & LIFE_SET_TIMEOUT)
        request_count_bit(request, OT_BIT_TIMEOUT);
    if (row->actions & LIFE_RESPOND)
        request_respond(request, event);
    request->state = row->next;
    if (event == LIFE_LEAVE && !request->in_shutdown)
        request->in_shutdown = true;
    request_publish(request, from, row->actions);
    return row;
}

/* ---- begin ---- */

static void request_set_limit(struct request *request, int64_t ms, const char *name)
{
    request->late = false;
    time_limit_set(&request->limit, ms, name, clock_ns());
    if (request->limit.hard_at != 0)
        timer_need(request->limit.hard_at);
}

static void request_set_cpu_limit(struct request *request, int64_t ms)
{
    if (ms <= 0)
        return;
    time_limit_set_cpu(&request->limit, ms, clock_read_ns(CLOCK_THREAD_CPUTIME_ID));
    timer_need(clock_ns() + (uint64_t)ms * CLOCK_NS_PER_MS);
}

/* Inside a change of the record. */
static void request_mark(struct request *request, struct ot_record *record, uint64_t mark)
{
    request->mark = mark == 0 ? NULL : &record->marks[record->marked++ % OT_MARKS];
    if (request->mark != NULL)
        *request->mark = (struct ot_mark){.mark = mark};
}

static void request_record_begin(struct request *request, const struct request_facts *facts)
{
    struct ot_record *record = request->record;
    uint64_t now = clock_ns();
    uint32_t before = record->state; /* under load that of the request before */
    record_begin(record);
    record->state = OT_STATE_RUNNING;
    record->status = 0;
    record->state_since = now;
    record->accepted_at = request->conn->since;
    record->running_at = now;
    record->finished_at = 0;
    record->shutdown_at = 0;
    record->ended_at = 0;
    record->requests++;
    request->waited = facts->waited != 0 ? facts->waited : request_span(request->conn->since, now);
    histogram_add(&record->measures[OT_MEASURE_WAIT], request->waited);
    record->content_length = facts->content_length;
    record_text(record->method, sizeof record->method, facts->method);
    record_text(record->uri, sizeof record->uri, facts->uri);
    record_text(record->user, sizeof record->user, facts->user);
    record->label[0] = '\0';
    request_mark(request, record, facts->mark);
    log_entry_begin(&request->entry, record, request->conn->since, facts->remote, facts->user);
    record_end(record);
    worker_slot_ring(OT_NOTIFY_LEAVE(before) | OT_NOTIFY_ENTER(OT_STATE_RUNNING));
}

/* The record is its thread's alone, and so are the timer and the place to jump to. */
void request_let_pass(void)
{
    static struct ot_record nowhere;
    struct request *request = request_mine;
    if (request == NULL)
        return;
    request_mine = NULL;
    atomic_signal_fence(memory_order_seq_cst); /* the timer's handler does not see it any more */
    request->taker = NULL;
    request->handed = true;
    record_begin(request->record);
    log_entry_detach(request->record);
    request_mark_end(request, OT_MARK_LOST);
    record_end(request->record);
    request->record = &nowhere;
    request->unwind = NULL;
}

/* Takes over what the web server set for this request; returns its time limit in ms. */
static int64_t request_apply(struct request *request, const struct request_overrides *values)
{
    if (values->set & REQUEST_OVERRIDES_IGNORE_USER_ABORT)
        request->ignore_abort = values->ignore_user_abort;
    if (values->set & REQUEST_OVERRIDES_BAILOUT)
        request->bailout = values->bailout;
    if (values->set & REQUEST_OVERRIDES_POST_RESPONSE_TIME_LIMIT)
        request->post_limit = values->post_response_time_limit;
    return values->set & REQUEST_OVERRIDES_MAX_EXECUTION_TIME
               ? values->max_execution_time
               : worker_slot_settings()->max_execution_time;
}

void request_begin(struct request *request, const struct request_codec *codec, struct conn *conn,
                   const struct request_facts *facts)
{
    const struct ot_settings *settings = worker_slot_settings();
    *request = (struct request){
        .codec = codec,
        .conn = conn,
        .record = worker_slot_record(),
        .thread = pthread_self(),
        .taker = &request_mine,
        .state = LIFE_RUNNING,
        .ignore_abort = settings->ignore_user_abort != 0,
        .bailout = (enum ot_bailout)settings->bailout,
        .post_limit = settings->post_response_time_limit,
        .locked = facts->locked,
        .limit.hard_ms = settings->hard_timeout,
        .keep_wanted = conn->frame.keep,
        .announced = facts->content_length,
        .began = clock_ns(),
        .looked = clock_coarse_ns(),
    };
    request_record_begin(request, facts);
    request_link(request);
    atomic_signal_fence(memory_order_seq_cst); /* the timer's handler looks at it */
    request_mine = request;
    request_set_limit(request, request_apply(request, &facts->values), "max_execution_time");
    request_set_cpu_limit(request, settings->max_execution_cpu_time);
    if (settings->abort_detection == OT_ABORT_INSTANT)
        timer_need(request->began + REQUEST_WATCH_AGE);
    recycling_count();
}

/* ---- looking and acting ---- */

static bool request_is_open(const struct request *request)
{
    return request->state == LIFE_RUNNING || request->state == LIFE_SHUTDOWN_OPEN;
}

void request_aborted(struct request *request)
{
    (void)request_move(request, LIFE_ABORT);
    /* The application asked to go on: from here on its output succeeds and goes nowhere. */
    if (request->ignore_abort)
        request->codec->mute(request);
    if (request->conn->aborted)
        peer_watch_raise();
}

void request_late(struct request *request)
{
    if (request->limit.deadline == 0)
        return;
    time_limit_notice(&request->limit);
    request->late = true;
    diagnostics_write("pool %s: %s %s reached %s of %lld ms", worker_slot_pool(),
                      request->record->method, request->record->uri, request->limit.name,
                      (long long)request->limit.ms);
    (void)request_move(request, LIFE_TIMEOUT);
}

static void request_look_at_client(struct request *request)
{
    struct conn *conn = request->conn;
    if (!request_is_open(request) || (request->status & OT_BIT_ABORTED))
        return;
    if (worker_slot_settings()->abort_detection != OT_ABORT_WRITE)
        conn_check_peer(conn);
    if (conn->disconnected || conn->aborted)
        request_aborted(request);
}

/* What the timer's handler saw counts at once, and not at the next tick. */
static void request_look_at_signal(struct request *request)
{
    if (atomic_load_explicit(&request->left, memory_order_relaxed) && request_is_open(request) &&
        !(request->status & OT_BIT_ABORTED))
        request_look_at_client(request);
}

static void request_look_at_clocks(struct request *request, uint64_t now)
{
    if (request->limit.cpu_deadline != 0)
        time_limit_cpu(&request->limit, clock_read_ns(CLOCK_THREAD_CPUTIME_ID), now);
    if (time_limit_is_reached(&request->limit, now))
        request_late(request);
}

static void request_look(struct request *request)
{
    uint64_t tick = clock_coarse_ns();
    request_look_at_signal(request);
    if (tick == request->looked)
        return;
    request->looked = tick;
    request_look_at_client(request);
    request_look_at_clocks(request, tick);
}

static enum bailout_policy_verdict request_verdict(const struct request *request)
{
    bool here = pthread_equal(request->thread, pthread_self()) != 0;
    struct bailout_policy_facts facts = {
        .aborted = (request->status & OT_BIT_ABORTED) != 0,
        .timed_out = request->late,
        .ignore_abort = request->ignore_abort,
        .in_shutdown = request->in_shutdown,
        .can_unwind = here && (request->jump != NULL || request->unwind != NULL),
        .bailout = request->bailout,
    };
    return bailout_policy_decide(&facts);
}

/* A thread that only helps with a request cannot end it under the feet of the one that serves it.
 */
static bool request_is_ours(const struct request *request)
{
    return request->handed || pthread_equal(request->thread, pthread_self()) != 0;
}

static bool request_act(struct request *request, enum bailout_policy_verdict verdict)
{
    if (verdict == BAILOUT_POLICY_GO_ON)
        return true;
    if (verdict == BAILOUT_POLICY_REPORT || !request_is_ours(request))
        return false;
    if (verdict == BAILOUT_POLICY_EXIT) {
        request->exit_after = true;
        if (request->jump == NULL)
            request_end(request); /* does not return */
    }
    siglongjmp(request->jump != NULL ? *request->jump : *request->unwind, 1);
}

bool request_safe_point(struct request *request)
{
    request_look(request);
    if (request->status == 0)
        return true;
    return request_act(request, request_verdict(request));
}

unsigned request_status(struct request *request)
{
    /* A short request never pays for a look at its client, unless it asks. */
    if (!request->asked)
        request_look_at_client(request);
    request->asked = true;
    request_look(request);
    return request->status;
}

bool request_is_finished(const struct request *request)
{
    return !request_is_open(request);
}

bool request_is_mute(const struct request *request)
{
    return !request_is_open(request) ||
           ((request->status & OT_BIT_ABORTED) != 0 && request->ignore_abort);
}

void request_sent(struct request *request, size_t bytes, unsigned status)
{
    log_entry_sent(&request->entry, request->record, bytes, status);
}

void request_discard(struct request *request, size_t bytes)
{
    if (bytes == 0)
        return;
    record_begin(request->record);
    request->record->discarded += bytes;
    log_entry_discarded(&request->entry, request->record, bytes);
    record_end(request->record);
}

/* ---- the end of the response ---- */

static void request_unwatch(struct request *request)
{
    peer_watch_stop(request->conn->fd);
    if (request->watched && request->conn->fd >= 0)
        peer_watch_disarm(request->conn->fd);
    request->watched = false;
}

/* After the response of ot_finish_request the connection leaves the request for good; what was read
 * of it stays until the request's end. On a kept connection the web server may have sent its next
 * request as soon as it saw the END_REQUEST: such a request is not to be lost. Otherwise the end
 * follows at once, before one can come. */
static void request_disconnect(struct request *request)
{
    struct conn *conn = request->conn;
    bool complete = conn_input_complete(conn) || conn->disconnected || conn->eof;
    request_unwatch(request);
    request->codec->disconnect(request);
    struct conn *rest = conn_split(conn);
    if (rest == NULL) {
        conn_half_close(conn);
        conn_close(conn);
    } else if (request->keep_wanted && conn_next_request_begun(rest)) {
        conn_flush(rest);
        wait_set_hand_over(&rest);
    } else if (complete) {
        conn_half_close(rest);
        wait_set_close(&rest);
    } else {
        wait_set_linger(&rest);
    }
}

static void request_respond(struct request *request, enum life_event event)
{
    /* Where the connection's end is to follow, the peer is not to see the END_REQUEST before it. */
    request->conn->last_write =
        request->conn->is_tcp &&
        (event == LIFE_FINISH || !conn_input_suffices(request->conn, request->announced));
    if (!request->abandoned)
        request->codec->complete(request);
    if (request->conn->disconnected)
        request_count_bit(request, OT_BIT_ABORTED);
    else if (request->conn->broken && !request->abandoned)
        diagnostics_write("pool %s: %s %s: response cut off: the client did not take it in time",
                          worker_slot_pool(), request->record->method, request->record->uri);
    request->codec->mute(request);
    if (event == LIFE_FINISH)
        request_disconnect(request);
}

/* What becomes of the connection at the request's end. With a body that was not read to its end it
 * is not used again, but for a request that has come already. */
static void request_drop_conn(struct request *request)
{
    struct conn *conn = request->conn;
    request_unwatch(request);
    request->conn = NULL;
    conn->request = NULL;
    if (conn->fd < 0) {
        conn_free(&conn);
        return;
    }
    wait_set_end_request(&conn, request->keep_wanted && !request->abandoned, request->announced);
}

bool request_finish(struct request *request)
{
    if (life_step(request->state, LIFE_FINISH)->actions != LIFE_RESPOND)
        return false;
    wait_set_release_idle(request->conn);
    (void)request_move(request, LIFE_FINISH);
    if (request->post_limit >= 0 && !request->in_shutdown)
        request_set_limit(request, request->post_limit, "post_response.time_limit");
    return true;
}

/* ---- settings of one request ---- */

int request_ignore(struct request *request, int setting)
{
    int before = request->ignore_abort ? 1 : 0;
    if (setting < 0 || (request->locked & REQUEST_OVERRIDES_IGNORE_USER_ABORT))
        return before;
    request->ignore_abort = setting != 0;
    if (request->ignore_abort && (request->status & OT_BIT_ABORTED))
        request->codec->mute(request);
    return before;
}

/* An administrator's limit holds in the part of the request that it is for. */
static bool request_limit_is_locked(const struct request *request)
{
    unsigned name = request->state == LIFE_POST && request->post_limit >= 0
                        ? REQUEST_OVERRIDES_POST_RESPONSE_TIME_LIMIT
                        : REQUEST_OVERRIDES_MAX_EXECUTION_TIME;
    return !request->in_shutdown && (request->locked & name) != 0;
}

bool request_limit(struct request *request, unsigned seconds)
{
    int64_t ms = seconds > REQUEST_NO_LIMIT ? 0 : (int64_t)seconds * 1000;
    if (request_limit_is_locked(request))
        return false;
    request_set_limit(request, ms, "ot_set_time_limit");
    return true;
}

uint64_t request_deadline(const struct request *request)
{
    return request->limit.deadline;
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

bool request_register(struct request *request, shutdown_functions_function *function,
                      void *argument)
{
    return shutdown_functions_add(&request->functions, function, argument);
}

void request_label(struct request *request, const char *text)
{
    if (text == NULL && request->record->label[0] == '\0')
        return;
    record_begin(request->record);
    record_text(request->record->label, sizeof request->record->label, text);
    record_end(request->record);
}

/* ---- the end ---- */

enum request_account {
    REQUEST_RAN,
    REQUEST_CUT_OFF,
    REQUEST_LOST,
};

static void request_account(struct request *request, enum request_account account, size_t count)
{
    struct ot_record *record = request->record;
    record_begin(record);
    switch (account) {
    case REQUEST_RAN:
        record->shutdown_run += count;
        break;
    case REQUEST_CUT_OFF:
        record->shutdown_late += count;
        break;
    case REQUEST_LOST:
        record->shutdown_lost += count;
        break;
    }
    record_end(record);
}

/* Runs one function; false if its time limit cut it off. */
static bool request_call(struct request *request, shutdown_functions_function *function,
                         void *argument)
{
    sigjmp_buf here;
    if (sigsetjmp(here, 0) != 0) {
        request->jump = NULL;
        request_account(request, REQUEST_CUT_OFF, 1);
        return false;
    }
    request->jump = &here;
    function(argument);
    request->jump = NULL;
    request_account(request, REQUEST_RAN, 1);
    return true;
}

static void request_run_functions(struct request *request)
{
    shutdown_functions_function *function = NULL;
    void *argument = NULL;
    while (!request->skip && shutdown_functions_take(&request->functions, &function, &argument))
        request->skip = !request_call(request, function, argument);
}

static void request_count_lost(struct request *request)
{
    size_t lost = shutdown_functions_clear(&request->functions);
    if (lost == 0)
        return;
    request_account(request, REQUEST_LOST, lost);
    diagnostics_write("pool %s: %s %s: %zu shutdown function%s lost: %s", worker_slot_pool(),
                      request->record->method, request->record->uri, lost, lost == 1 ? "" : "s",
                      request->late ? "shutdown_functions.time_limit is too short"
                                    : "one of them called exit()");
}

/* exit() inside a shutdown function comes back here: the caller counts as run, the rest is skipped.
 */
static void request_leave(struct request *request)
{
    bool again = request->in_shutdown;
    request_look_at_clocks(request, clock_coarse_ns());
    (void)request_move(request, LIFE_LEAVE);
    if (again) {
        request->jump = NULL;
        request_account(request, REQUEST_RAN, 1);
        return;
    }
    request_set_limit(request, worker_slot_settings()->shutdown_functions_time_limit,
                      "shutdown_functions.time_limit");
    request_run_functions(request);
}

/* A record that belongs to nobody has no label to tell. */
static void request_log(struct request *request, uint64_t functions_at)
{
    int thread = worker_slot_number(request->record);
    if (!log_pipe_on())
        return;
    struct log_format_facts facts = log_entry_unknown();
    facts.label = thread >= 0 ? request->record->label : NULL;
    facts.bits = request->status;
    request->codec->describe(request, &facts);
    log_entry_end(&request->entry, request->record, thread, functions_at, &facts);
}

void request_end(struct request *request)
{
    uint64_t functions_at = 0;
    request->unwind = NULL;
    request->thread = pthread_self(); /* whoever took it, it is ours now */
    request_leave(request);
    if (log_pipe_on())
        functions_at = clock_ns();
    request_count_lost(request);
    if (request_is_finished(request))
        request->codec->mute(request); /* counts what is left in the buffers */
    (void)request_move(request, LIFE_END);
    request_log(request, functions_at);
    request_label(request, NULL);
    bool exits = request->exit_after && !atomic_load(&request_exit_called);
    /* It may be the current one of another thread, which took it and let this one serve it. */
    if (request->taker != NULL)
        *request->taker = NULL;
    atomic_signal_fence(memory_order_seq_cst); /* nothing is there for the timer's handler now */
    request_drop_conn(request);
    request_unlink(request);
    request->codec->let_go(request);
    if (exits)
        request_exit(OT_EXIT_BAILOUT);
    if (!atomic_load(&request_exit_called))
        recycling_weigh();
}

void request_exiting(void)
{
    atomic_store(&request_exit_called, true);
}

void request_exit(enum ot_exit_reason reason)
{
    graceful_stop_begin(reason);
    (void)pthread_mutex_lock(&request_lock);
    while (request_open != NULL)
        (void)pthread_cond_wait(&request_gone, &request_lock);
    (void)pthread_mutex_unlock(&request_lock);
    /* exit() is for one thread. */
    if (!atomic_exchange(&request_exit_begun, true))
        exit(EXIT_SUCCESS);
    for (;;)
        (void)pause();
}
