/* status.c: see status.h. */
#include "sapi-shim/status/status.h"

#include "sapi-shim/scoreboard/record.h"
#include "sapi-shim/scoreboard/slot_view.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/procfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

enum {
    STATUS_TRIES = 16 /* to count all slots between two changes of the stats */
};

/* ---- the table ---- */

#define STATUS_ROW(owner, member, php, type, unit, help)                                           \
    {#member, php, STATUS_##type, STATUS_##unit, help, offsetof(struct owner, member)},

const struct status_field status_pool_fields[] = {
#define POOL(member, php, type, unit, help) STATUS_ROW(status_pool, member, php, type, unit, help)
#include "sapi-shim/status/status.def"
    {.key = NULL},
};

const struct status_field status_worker_fields[] = {
#define WORKER(member, php, type, unit, help)                                                      \
    STATUS_ROW(status_worker, member, php, type, unit, help)
#include "sapi-shim/status/status.def"
    {.key = NULL},
};

const struct status_field status_thread_fields[] = {
#define THREAD(member, php, type, unit, help)                                                      \
    STATUS_ROW(status_thread, member, php, type, unit, help)
#include "sapi-shim/status/status.def"
    {.key = NULL},
};

int64_t status_number(const struct status_field *field, const void *owner)
{
    int64_t number;
    memcpy(&number, (const char *)owner + field->offset, sizeof number);
    return number;
}

const struct status_cause status_causes[] = {
#define EXIT_CAUSE(cause, name, help) {name, help},
#include "sapi-shim/exit_causes.def"
#undef EXIT_CAUSE
};

_Static_assert(STATUS_CAUSES <= OT_EXIT_CAUSES_MAX, "every cause has its place on the board");

const struct status_cause status_measures[OT_MEASURE_COUNT] = {
    [OT_MEASURE_WAIT] =
        {"queue_wait",
         "Time until the application had the request, counted from OVERTIME_START; without that "
         "parameter the time in the listen queue is not included"},
    [OT_MEASURE_ANSWER] = {"answer", "Time until the response was complete"},
    [OT_MEASURE_POST] = {"post_response",
                         "Time from the end of the response to that of the request"},
};

/* ---- the board ---- */

bool status_open(const struct ot_board *board, size_t size, struct status_source *source)
{
    if (size < sizeof *board || board->magic != OT_BOARD_MAGIC ||
        board->version != OT_CONTRACT_VERSION || board->slot_stride < sizeof(struct ot_slot) ||
        board->slots_offset > size || board->members_offset > board->slots_offset ||
        board->members_offset < sizeof *board ||
        (size - board->slots_offset) / board->slot_stride < board->slot_count ||
        (board->slots_offset - board->members_offset) / sizeof(struct ot_member) <
            board->slot_count)
        return false;
    const unsigned char *bytes = (const unsigned char *)board;
    *source = (struct status_source){
        .board = board,
        .slots = bytes + board->slots_offset,
        .stride = board->slot_stride,
        .count = board->slot_count,
        .generation = board->generation,
        .members = (const void *)(bytes + board->members_offset),
    };
    return true;
}

static const struct ot_slot *status_slot(const struct status_source *source, unsigned slot)
{
    return (const void *)(source->slots + source->stride * slot);
}

bool status_stats(const struct status_source *source, struct ot_pool_stats *stats)
{
    if (!record_read(&source->board->stats, stats, sizeof *stats))
        return false;
    stats->listen[sizeof stats->listen - 1] = '\0';
    return true;
}

/* Workers may write any counter; the status shows no negative number. */
static int64_t status_positive(uint64_t number)
{
    return (int64_t)(number & INT64_MAX);
}

/* ---- a pool ---- */

static const char *status_pm_name(uint32_t pm)
{
    static const char *const names[] = {
        [OT_PM_STATIC] = "static", [OT_PM_DYNAMIC] = "dynamic", [OT_PM_ONDEMAND] = "ondemand"};
    return pm < sizeof names / sizeof *names ? names[pm] : "unknown";
}

/* OT_STATE_COUNT: the state is unknown. */
static void status_add_state(struct status_pool *pool, unsigned state, int64_t count)
{
    int64_t *const numbers[OT_STATE_COUNT + 1] = {
        [OT_STATE_STARTING] = &pool->starting,  [OT_STATE_IDLE] = &pool->idle,
        [OT_STATE_READING] = &pool->serving,    [OT_STATE_RUNNING] = &pool->serving,
        [OT_STATE_POST] = &pool->post_response, [OT_STATE_SHUTDOWN] = &pool->shutdown,
        [OT_STATE_EXITING] = &pool->exiting,    [OT_STATE_COUNT] = &pool->unknown};
    *numbers[MIN(state, OT_STATE_COUNT)] += count;
}

/* The counters that a pool and a worker have alike. */
#define STATUS_COUNT(from, to)                                                                     \
    {                                                                                              \
        offsetof(struct ot_counts, from), offsetof(struct status_pool, to),                        \
            offsetof(struct status_worker, to)                                                     \
    }
static const struct {
    size_t from, pool, worker;
} status_counts[] = {STATUS_COUNT(requests, requests),
                     STATUS_COUNT(finished, post_response_requests),
                     STATUS_COUNT(aborted, aborted),
                     STATUS_COUNT(timed_out, timed_out),
                     STATUS_COUNT(dropped, dropped),
                     STATUS_COUNT(discarded, discarded_bytes),
                     STATUS_COUNT(shutdown_run, shutdown_run),
                     STATUS_COUNT(shutdown_late, shutdown_late),
                     STATUS_COUNT(shutdown_lost, shutdown_lost),
                     STATUS_COUNT(refused_clients, refused_clients)};

/* Either of *pool and *worker is NULL. */
static void status_take_counts(const struct ot_counts *counts, struct status_pool *pool,
                               struct status_worker *worker)
{
    for (size_t i = 0; i < sizeof status_counts / sizeof *status_counts; i++) {
        uint64_t counter;
        memcpy(&counter, (const char *)counts + status_counts[i].from, sizeof counter);
        int64_t number = status_positive(counter);
        if (pool != NULL)
            memcpy((char *)pool + status_counts[i].pool, &number, sizeof number);
        if (worker != NULL)
            memcpy((char *)worker + status_counts[i].worker, &number, sizeof number);
    }
}

/* The values that are not counted from the slots. */
static void status_take_stats(struct status_pool *pool, const struct ot_pool_stats *stats,
                              uint64_t now)
{
    pool->pm = status_pm_name(stats->pm);
    memcpy(pool->listen, stats->listen, sizeof pool->listen);
    pool->start_time = stats->opened_time;
    pool->uptime_ms =
        stats->opened_at < now ? (int64_t)((now - stats->opened_at) / CLOCK_NS_PER_MS) : 0;
    pool->listen_queue = stats->listen_queue;
    pool->max_listen_queue = stats->max_listen_queue;
    pool->listen_backlog = stats->listen_backlog;
    pool->max_active = stats->max_active;
    pool->max_children_reached = (int64_t)stats->max_children_reached;
    pool->slow_requests = (int64_t)stats->slow_requests;
    pool->refused_packets = (int64_t)stats->refused_packets;
    pool->max_children = stats->max_children;
    pool->post_response_max_children = stats->post_max_children;
    pool->max_post_response = stats->max_post_response;
    pool->retiring = stats->retiring;
    pool->generation = stats->generation;
    pool->over_budget = (int64_t)stats->over_budget_episodes;
    pool->over_budget_now = stats->over_budget;
    pool->spawned = (int64_t)stats->spawned;
    pool->died = (int64_t)stats->died;
    pool->start_failures = (int64_t)stats->start_failures;
    pool->backoff_ms =
        stats->backoff_ends > now
            ? (int64_t)((stats->backoff_ends - now + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS)
            : 0;
    for (unsigned i = 0; i < STATUS_CAUSES; i++) {
        pool->ended_by[i] = stats->ended[i];
        pool->ended += (int64_t)stats->ended[i];
    }
    memcpy(pool->exits, stats->exits, sizeof pool->exits);
    memcpy(pool->signals, stats->signals, sizeof pool->signals);
}

bool status_next_exit(const struct status_pool *pool, unsigned *at, struct status_exit *out)
{
    for (; *at < OT_STATUSES + OT_SIGNALS_MAX; (*at)++) {
        bool signal = *at >= OT_STATUSES;
        unsigned number = signal ? *at - OT_STATUSES : *at;
        uint64_t count = signal ? pool->signals[number] : pool->exits[number];
        const char *name = signal ? sigabbrev_np((int)number) : NULL;
        if (count == 0)
            continue;
        *out = (struct status_exit){.signal = signal, .count = count};
        if (name != NULL)
            snprintf(out->name, sizeof out->name, "SIG%s", name);
        else
            snprintf(out->name, sizeof out->name, "%u", number);
        (*at)++;
        return true;
    }
    return false;
}

static void status_count(const struct status_source *source, const struct ot_pool_stats *stats,
                         struct status_pool *pool)
{
    struct ot_counts counts = stats->elsewhere;
    int64_t here = 0;
    for (unsigned i = 0; i < source->count; i++) {
        struct slot_view view;
        if (source->members[i].process == OT_PROCESS_NONE)
            continue;
        slot_view_look_and_add(status_slot(source, i), &view, &counts);
        status_add_state(pool, view.attached ? slot_view_state(&view.lead) : OT_STATE_COUNT, 1);
        pool->kept_connections += view.kept;
        here++;
    }
    for (unsigned state = 0; state < OT_STATE_COUNT; state++)
        status_add_state(pool, state, stats->others[state]);
    status_add_state(pool, OT_STATE_COUNT, stats->others_unknown);
    pool->kept_connections += stats->others_kept;
    pool->active = pool->serving + pool->post_response + pool->shutdown;
    pool->workers = pool->starting + pool->idle + pool->active + pool->exiting + pool->unknown;
    pool->older = source->generation == stats->generation ? pool->workers - here : here;
    status_take_counts(&counts, pool, NULL);
    pool->post_response_ms =
        status_positive(counts.measures[OT_MEASURE_POST].sum / CLOCK_NS_PER_MS);
    memcpy(pool->measures, counts.measures, sizeof pool->measures);
}

static void status_fill(const struct status_source *source, const struct ot_pool_stats *stats,
                        const struct status_queue *queue, struct status_pool *pool)
{
    memset(pool, 0, sizeof *pool);
    memcpy(pool->name, source->board->pool, sizeof pool->name);
    pool->name[sizeof pool->name - 1] = '\0';
    status_take_stats(pool, stats, clock_ns());
    status_count(source, stats, pool);
    if (queue != NULL) {
        pool->listen_queue = queue->waiting;
        pool->listen_backlog = queue->backlog;
    }

    /* A maximum is at least the present value, which the manager may not have seen yet. */
    pool->max_listen_queue = MAX(pool->max_listen_queue, pool->listen_queue);
    pool->max_active = MAX(pool->max_active, pool->active);
    pool->max_post_response = MAX(pool->max_post_response, pool->post_response);
}

void status_pool(const struct status_source *source, const struct ot_pool_stats *stats,
                 const struct status_queue *queue, struct status_pool *pool)
{
    struct ot_pool_stats own;
    memset(&own, 0, sizeof own);
    if (stats != NULL) {
        status_fill(source, stats, queue, pool);
        return;
    }
    for (int i = 0; i < STATUS_TRIES; i++) {
        uint32_t after;
        bool whole = status_stats(source, &own);
        status_fill(source, &own, queue, pool);
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&source->board->stats.change, memory_order_relaxed);
        if (whole && after == atomic_load(&own.change))
            return;
    }
}

/* ---- a worker ---- */

static int64_t status_us(uint64_t ns)
{
    return ns == 0 ? STATUS_UNKNOWN : (int64_t)(ns / 1000);
}

static void status_set_unknown(const struct status_field *field, void *owner)
{
    int64_t unknown = STATUS_UNKNOWN;
    for (; field->key != NULL; field++)
        memcpy((char *)owner + field->offset, &unknown, sizeof unknown);
}

static void status_unknown(struct status_thread *out, const char *state)
{
    memset(out, 0, sizeof *out);
    out->state = state;
    out->requests = STATUS_UNKNOWN;
    status_set_unknown(status_thread_fields, out);
}

static void status_activity(const struct ot_record *record, struct status_thread *out)
{
    uint64_t now = clock_ns();
    /* While a request is read, the record has none of its values. */
    bool busy = slot_view_state_busy(record->state) && record->state != OT_STATE_READING;
    memset(out, 0, sizeof *out);
    out->state = slot_view_state_name(slot_view_state(record));
    out->requests = status_positive(record->requests);
    out->state_ms = clock_ms_since(record->state_since, now);
    out->last_wait_ms = status_us(record->last_wait);
    out->last_answer_ms = status_us(record->last_answer);
    out->last_post_response_ms = status_us(record->last_post);
    out->last_shutdown_ms = status_us(record->last_shutdown);
    if (!busy)
        return;
    out->request_ms = clock_ms_since(record->accepted_at, now);
    out->content_length =
        record->content_length > INT64_MAX ? STATUS_UNKNOWN : (int64_t)record->content_length;
    memcpy(out->method, record->method, sizeof out->method);
    memcpy(out->uri, record->uri, sizeof out->uri);
    memcpy(out->label, record->label, sizeof out->label);
    memcpy(out->user, record->user, sizeof out->user);
}

static const char *status_process_name(uint32_t process)
{
    static const char *const names[OT_PROCESS_COUNT] = {
        [OT_PROCESS_NONE] = "none",       [OT_PROCESS_STARTING] = "starting",
        [OT_PROCESS_RUNNING] = "running", [OT_PROCESS_STOPPING] = "stopping",
        [OT_PROCESS_KILLED] = "killed",
    };
    return process < OT_PROCESS_COUNT ? names[process] : "unknown";
}

bool status_worker(const struct status_source *source, unsigned slot, struct status_worker *worker)
{
    const struct ot_member member = source->members[slot];
    struct slot_view view;
    if (member.process == OT_PROCESS_NONE)
        return false;
    memset(worker, 0, sizeof *worker);
    status_set_unknown(status_worker_fields, worker);
    status_unknown(&worker->doing, "unknown");
    worker->source = source;
    worker->process = status_process_name(member.process);
    worker->pid = member.pid;
    worker->slot = slot;
    worker->generation = source->generation;
    worker->start_time = member.started_time;
    worker->uptime_ms = clock_ms_since(member.started_at, clock_ns());
    worker->restarts = member.restarts;
    (void)procfs_usage(member.pid, &worker->cpu_ms, &worker->memory_bytes);

    /* The rest is known only if the worker uses the library. */
    slot_view_look(status_slot(source, slot), &view);
    if (view.attached) {
        worker->known = true;
        status_take_counts(&view.counts, NULL, worker);
        worker->kept_connections = view.kept;
        worker->threads = view.threads;
        worker->busy = view.busy;
        status_activity(&view.lead, &worker->doing);
        /* Until it accepts for the first time it has been starting since it was started. */
        if (view.lead.state == OT_STATE_STARTING)
            worker->doing.state_ms = worker->uptime_ms;
    }
    return true;
}

void status_thread(const struct status_worker *worker, unsigned thread, struct status_thread *out)
{
    struct ot_record record;
    if (slot_view_thread(status_slot(worker->source, (unsigned)worker->slot), thread, &record))
        status_activity(&record, out);
    else
        status_unknown(out, "changing");
}

/* ---- a page ---- */

bool status_collect(const struct status_source *sources, size_t count, struct status_report *report)
{
    size_t max = 0;
    for (size_t s = 0; s < count; s++)
        max += sources[s].count;
    report->count = 0;
    report->workers = calloc(max, sizeof *report->workers);
    for (size_t s = 0; s < count && report->workers != NULL; s++)
        for (unsigned i = 0; i < sources[s].count; i++)
            report->count += status_worker(&sources[s], i, &report->workers[report->count]);
    return report->workers != NULL;
}
