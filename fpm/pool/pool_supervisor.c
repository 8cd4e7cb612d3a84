/* pool_supervisor.c: see pool_supervisor.h. */
#include "fpm/pool/pool_supervisor.h"

#include "fpm/util/invariant.h"
#include "fpm/util/untrusted_io.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/scalar.h"

#include <errno.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

enum {
    POOL_SUPERVISOR_RING_INTERVAL = 5,  /* ms between two passes for the doorbell */
    POOL_SUPERVISOR_PAUSE_FIRST = 2,    /* ms without watching the sockets, doubled up to */
    POOL_SUPERVISOR_PAUSE_LONGEST = 64, /* ms */
    POOL_SUPERVISOR_PAUSE_RESET = 1000, /* ms after which the pauses start short again */
    POOL_SUPERVISOR_STUCK = 16,         /* ms between checks of a queue that does not move */
    POOL_SUPERVISOR_FULL_AFTER = 100,   /* ms that connections wait before the pool is full */
    POOL_SUPERVISOR_PROOF = 20,         /* ms between looks whether a worker accepts */
    POOL_SUPERVISOR_EPISODE_END = 3000  /* ms of normal state that end an episode */
};

/* What led to a pass. */
enum pool_supervisor_cause {
    POOL_SUPERVISOR_TIMER,
    POOL_SUPERVISOR_CHANGED,   /* workers that the pool has marked as changed */
    POOL_SUPERVISOR_DOORBELL,  /* some worker changed */
    POOL_SUPERVISOR_LIMIT,     /* a limit of one worker may have expired */
    POOL_SUPERVISOR_CONNECTION /* a connection found no idle worker */
};

/* ---- look ---- */

/* `attached`: how many workers that accept use the library. */
static struct scaling_counts pool_supervisor_count(struct pool_supervisor *supervisor,
                                                   unsigned *attached)
{
    struct pool *pool = supervisor->pool;
    const unsigned *states = supervisor->monitor.tally.counts;
    struct listen_queue_state queue = {0};
    if (listen_queue_look(supervisor->queue, pool->listener.fd, &queue) != 0)
        queue = (struct listen_queue_state){0};
    unsigned char kind = 0;
    bool handed_on = untrusted_io_peek(pool->current->channels->handoff[0], &kind, 1) == 1;
    struct scaling_counts counts = {
        .starting = states[WORKER_MONITOR_STARTING],
        .idle = states[WORKER_MONITOR_IDLE] + states[WORKER_MONITOR_UNATTACHED_IDLE],
        .partly = states[WORKER_MONITOR_PARTLY],
        .serving = states[WORKER_MONITOR_SERVING] + states[WORKER_MONITOR_UNATTACHED_SERVING] +
                   states[WORKER_MONITOR_UNATTACHED_LOADING],
        .post = states[WORKER_MONITOR_POST],
        .waiting = queue.waiting + handed_on,
    };
    /* An idle connection may need a worker, but no client waits for one. */
    supervisor->clients_waiting = queue.waiting + (handed_on && kind == OT_HANDOFF_REQUEST);
    /* A worker in an unknown state would have taken what waits, if it could. */
    *(counts.waiting > 0 ? &counts.serving : &counts.idle) +=
        states[WORKER_MONITOR_UNATTACHED_UNKNOWN];
    *attached =
        states[WORKER_MONITOR_IDLE] + counts.partly + states[WORKER_MONITOR_SERVING] + counts.post;

    /* Older generations can go once the current one accepts. */
    bool proven = pool->older_retired || pool_is_proven(pool, clock_ms());
    unsigned accepting =
        proven ? counts.idle + counts.partly + counts.serving + counts.post : *attached;
    pool_allow_handoff(pool, *attached > 0, *attached > 0);
    if (pool_retire_older(pool, accepting))
        supervisor->first_due = supervisor->first_due && accepting + counts.starting < pool->first;
    counts.first = supervisor->first_due ? pool->first : 0;
    counts.free_slots = supervisor->free_slots(supervisor->context);

    struct pool_seen *seen = &pool->seen;
    seen->counts = counts;
    seen->counts.waiting = supervisor->clients_waiting;
    seen->backlog = queue.backlog;
    seen->most_waiting = MAX(seen->most_waiting, supervisor->clients_waiting);
    seen->most_post = MAX(seen->most_post, counts.post);
    seen->most_active = MAX(seen->most_active, counts.partly + counts.serving + counts.post);
    return counts;
}

/* ---- decide ---- */

static struct scaling_verdict pool_supervisor_decide(struct pool_supervisor *supervisor,
                                                     const struct scaling_counts *counts,
                                                     int64_t now)
{
    static const enum scaling_kind kinds[] = {
        [DIRECTIVE_PM_STATIC] = SCALING_STATIC,
        [DIRECTIVE_PM_DYNAMIC] = SCALING_DYNAMIC,
        [DIRECTIVE_PM_ONDEMAND] = SCALING_ONDEMAND,
    };
    const struct config_pool *settings = pool_settings(supervisor->pool);
    const struct scaling_limits limits = {
        .kind = kinds[settings->pm],
        .max_children = (unsigned)settings->pm_max_children,
        .min_spare = (unsigned)settings->pm_min_spare_servers,
        .max_spare = (unsigned)settings->pm_max_spare_servers,
        .max_spawn_rate = (unsigned)settings->pm_max_spawn_rate,
        .post_max = (unsigned)settings->post_response_max_children,
        .idle_timeout = settings->pm_process_idle_timeout,
    };
    struct scaling_verdict verdict = scaling_decide(&limits, counts, &supervisor->memory, now);
    if (backoff_wait(&supervisor->pool->backoff, now) > 0 && verdict.spawn > 0) {
        verdict.spawn = 0;
        verdict.again = -1;
        verdict.watch = false;
    }
    return verdict;
}

/* ---- act: log ---- */

/* A load that swings about the budget is one episode, not one with each swing. */
static void pool_supervisor_report_budget(struct pool_supervisor *supervisor,
                                          const struct scaling_counts *counts, unsigned over,
                                          int64_t now)
{
    struct pool *pool = supervisor->pool;
    unsigned budget = (unsigned)pool_settings(pool)->post_response_max_children;
    pool->seen.over = over;
    if (over > 0 && log_episode_begin(&supervisor->over)) {
        supervisor->within_budget_since = 0;
        pool->stats.over_budget_episodes++;
        log_pool(LOG_LEVEL_WARNING, pool->name,
                 "%u worker%s in post-response work, more than "
                 "`post_response.max_children` = %u: those above it count as serving and take "
                 "room from requests; raise it, shorten the work, or bound it by "
                 "`post_response.time_limit`",
                 counts->post, counts->post == 1 ? " is" : "s are", budget);
        return;
    }
    if (!supervisor->over.on || counts->post > budget / 4 * 3) {
        supervisor->within_budget_since = 0;
        return;
    }
    if (supervisor->within_budget_since == 0)
        supervisor->within_budget_since = now;
    if (now - supervisor->within_budget_since >= POOL_SUPERVISOR_EPISODE_END &&
        log_episode_end(&supervisor->over))
        log_pool(LOG_LEVEL_NOTICE, pool->name,
                 "post-response work is within `post_response.max_children` again");
}

static void pool_supervisor_end_full(struct pool_supervisor *supervisor, int64_t now)
{
    char length[32];
    if (supervisor->eased_since == 0 ||
        now - supervisor->eased_since < POOL_SUPERVISOR_EPISODE_END ||
        !log_episode_end(&supervisor->full))
        return;
    scalar_duration(supervisor->eased_since - supervisor->full_began, length, sizeof length);
    log_pool(LOG_LEVEL_NOTICE, supervisor->pool->name,
             "workers are idle again: all were busy, and connections waited, for %s", length);
}

/* The kernel refuses connections, or lets them wait, when the listen queue is full. */
static void pool_supervisor_report_overflow(struct pool_supervisor *supervisor, int64_t now)
{
    const struct pool_seen *seen = &supervisor->pool->seen;
    char length[32];
    if (seen->backlog > 0 && seen->counts.waiting >= seen->backlog) {
        supervisor->overflow_left = 0;
        supervisor->overflow_seen++;
        if (!log_episode_begin(&supervisor->overflow))
            return;
        supervisor->overflow_since = now;
        supervisor->overflow_seen = 1;
        log_pool(LOG_LEVEL_WARNING, supervisor->pool->name,
                 "the listen queue is full, %u connections wait: web servers may be refused; raise "
                 "`listen.backlog` (and net.core.somaxconn) or `pm.max_children`",
                 seen->counts.waiting);
        return;
    }
    if (!supervisor->overflow.on)
        return;
    if (supervisor->overflow_left == 0)
        supervisor->overflow_left = now;
    if (now - supervisor->overflow_left < POOL_SUPERVISOR_EPISODE_END ||
        !log_episode_end(&supervisor->overflow))
        return;
    scalar_duration(supervisor->overflow_left - supervisor->overflow_since, length, sizeof length);
    log_pool(LOG_LEVEL_NOTICE, supervisor->pool->name,
             "the listen queue is not full any more: it was for %s, seen %u time%s", length,
             supervisor->overflow_seen, supervisor->overflow_seen == 1 ? "" : "s");
}

/* A pool that has idle workers only for a moment is still full, for a reader of the log; a pool
 * that is full only for a moment is not. */
static void pool_supervisor_report_full(struct pool_supervisor *supervisor,
                                        const struct scaling_counts *counts,
                                        enum scaling_limit limit, int64_t now)
{
    struct pool *pool = supervisor->pool;
    unsigned waiting = supervisor->clients_waiting;
    const char *directive = limit == SCALING_AT_PROCESS_MAX ? "process.max" : "pm.max_children";
    if (limit == SCALING_NO_LIMIT || waiting == 0) {
        if (counts->idle + counts->partly > 0 && supervisor->eased_since == 0)
            supervisor->eased_since = now;
        supervisor->full_since = 0;
        pool_supervisor_end_full(supervisor, now);
        return;
    }
    if (supervisor->full_since == 0)
        supervisor->full_since = now;
    if (now - supervisor->full_since < POOL_SUPERVISOR_FULL_AFTER)
        return;
    pool_supervisor_end_full(supervisor, now);
    supervisor->eased_since = 0;
    if (!log_episode_begin(&supervisor->full))
        return;
    supervisor->full_began = supervisor->full_since;
    pool->stats.max_children_reached++;
    log_pool(LOG_LEVEL_WARNING, pool->name,
             "%u connection%s and all workers that `%s` allows are busy; raise "
             "it, or make requests shorter",
             waiting, waiting == 1 ? " waits" : "s wait", directive);
}

/* ---- act: choose the events that lead to the next pass ---- */

/* ms after which a request that was not checked before may be over a limit, 0 = never. */
static int64_t pool_supervisor_request_limit(const struct pool_supervisor *supervisor)
{
    int64_t limit = pool_settings(supervisor->pool)->request_terminate_timeout;
    int64_t slow = (int64_t)(slow_log_limits(supervisor->pool->slowlog).request / CLOCK_NS_PER_MS);
    return limit == 0 || (slow > 0 && slow < limit) ? slow : limit;
}

/* State changes that workers must report so that no limit expires unnoticed. The start of a request
 * need not be reported if a full check is due before its limit can expire. */
static uint32_t pool_supervisor_limit_events(const struct pool_supervisor *supervisor)
{
    const struct pool *pool = supervisor->pool;
    uint32_t events = 0;
    if (pool_settings(pool)->post_response_terminate_timeout > 0 ||
        slow_log_limits(pool->slowlog).post_response > 0)
        events |= OT_NOTIFY_ENTER(OT_STATE_POST);
    if (pool_supervisor_request_limit(supervisor) > 0 && !supervisor->monitor.limits_pending)
        events |= OT_NOTIFY_ENTER(OT_STATE_RUNNING);
    return events;
}

/* Sets the state changes that ring the doorbell: of the current generation, and of older ones. */
static void pool_supervisor_notify(const struct pool_supervisor *supervisor, uint32_t current,
                                   uint32_t older)
{
    scoreboard_notify(&supervisor->pool->current->scoreboard, current);
    for (const struct generation *g = supervisor->pool->current->older; g != NULL; g = g->older)
        scoreboard_notify(&g->scoreboard, older);
}

/* A pool that has to be scaled follows more than the limits. */
static void pool_supervisor_notify_changes(const struct pool_supervisor *supervisor,
                                           const struct scaling_counts *counts, unsigned spawn)
{
    const unsigned *states = supervisor->monitor.tally.counts;
    bool dynamic = pool_settings(supervisor->pool)->pm == DIRECTIVE_PM_DYNAMIC;
    /* A worker that seems to have no library may only be slow to attach. */
    bool unattached =
        states[WORKER_MONITOR_UNATTACHED_IDLE] + states[WORKER_MONITOR_UNATTACHED_SERVING] +
            states[WORKER_MONITOR_UNATTACHED_LOADING] + states[WORKER_MONITOR_UNATTACHED_UNKNOWN] >
        0;
    uint32_t limits = pool_supervisor_limit_events(supervisor);
    uint32_t events = limits | OT_NOTIFY_ENTER(OT_STATE_POST);
    if (counts->starting > 0 || spawn > 0 || unattached)
        events |= OT_NOTIFY_LEAVE(OT_STATE_STARTING);
    if (dynamic && counts->serving + counts->partly == 0)
        events |= OT_NOTIFY_ENTER(OT_STATE_RUNNING);
    pool_supervisor_notify(supervisor, events, limits);
}

/* Under load, a connection that wakes the manager is usually taken by a worker that was awake
 * anyway. After a wake-up that started no worker, the sockets are not watched for a while. */
static void pool_supervisor_pause_watch(struct pool_supervisor *supervisor, int64_t now)
{
    if (supervisor->watch_pause == 0 ||
        now - supervisor->last_idle_wakeup > POOL_SUPERVISOR_PAUSE_RESET)
        supervisor->watch_pause = POOL_SUPERVISOR_PAUSE_FIRST;
    else if (supervisor->watch_pause < POOL_SUPERVISOR_PAUSE_LONGEST)
        supervisor->watch_pause *= 2;
    supervisor->last_idle_wakeup = now;
    supervisor->watch_paused_until = now + supervisor->watch_pause;
}

/* ---- act: set the time of the next pass ---- */

/* At this time (ms), negative = not at all. Measured from the present time, so that passes of
 * several pools that are due in the same millisecond share a wake-up. */
static void pool_supervisor_set_timer(struct pool_supervisor *supervisor, int64_t at)
{
    ev_timer_stop(supervisor->loop, &supervisor->timer);
    if (at < 0)
        return;
    int64_t left = at * CLOCK_NS_PER_MS - (int64_t)clock_ns();
    ev_now_update(supervisor->loop);
    ev_timer_set(&supervisor->timer, left > 0 ? (double)left / 1e9 : 0., 0.);
    ev_timer_start(supervisor->loop, &supervisor->timer);
}

/* Without an event, the next pass follows `in` ms after `now`, negative = none does; `full`: it
 * checks all workers. A full check that was planned stays planned, unless this pass was one. */
static void pool_supervisor_schedule(struct pool_supervisor *supervisor, bool was_full, bool full,
                                     int64_t in, int64_t now)
{
    int64_t at = in < 0 ? -1 : now + in;
    if (was_full)
        supervisor->full_check_at = -1;
    if (full)
        supervisor->full_check_at = clock_sooner(supervisor->full_check_at, at);
    pool_supervisor_set_timer(supervisor, clock_sooner(supervisor->full_check_at, at));
}

/* ms from `now`; a time that has passed becomes the next millisecond, never this pass. */
static int64_t pool_supervisor_left(int64_t at, int64_t now)
{
    return at > now ? at - now : 1;
}

/* ms until all workers must be checked for their limits or their memory; -1 = never. */
static int64_t pool_supervisor_next_limit(const struct pool_supervisor *supervisor, int64_t now)
{
    const struct worker_monitor *monitor = &supervisor->monitor;
    int64_t limit = pool_supervisor_request_limit(supervisor);
    int64_t memory = worker_monitor_next_memory_check(monitor);
    int64_t next = -1;
    if (monitor->limits_pending && limit > 0)
        next = pool_supervisor_left(monitor->last_full_check + limit, now);
    if (memory >= 0)
        next = clock_sooner(next, pool_supervisor_left(memory, now));
    return next;
}

/* ms until the next pass that needs no event, -1 = none. */
static int64_t pool_supervisor_next(const struct pool_supervisor *supervisor,
                                    const struct scaling_verdict *verdict, int64_t now)
{
    int64_t next = verdict->again;
    int64_t backoff = backoff_wait(&supervisor->pool->backoff, now);
    if (backoff > 0)
        next = clock_sooner(next, backoff);
    if (supervisor->pool->renewal.due != 0)
        next = clock_sooner(next, pool_supervisor_left(supervisor->pool->renewal.due, now));
    if (verdict->watch && supervisor->watch_paused_until > now)
        next = clock_sooner(next, supervisor->watch_paused_until - now);
    if (supervisor->monitor.unproven > 0 ||
        (!supervisor->pool->older_retired && !supervisor->pool->proven &&
         pool_in_service(supervisor->pool) > 0))
        next = clock_sooner(next, POOL_SUPERVISOR_PROOF);
    if (supervisor->full_since != 0 && !supervisor->full.on)
        next = clock_sooner(
            next, pool_supervisor_left(supervisor->full_since + POOL_SUPERVISOR_FULL_AFTER, now));
    if (supervisor->over.on && supervisor->within_budget_since != 0)
        next =
            clock_sooner(next, supervisor->within_budget_since + POOL_SUPERVISOR_EPISODE_END - now);
    if (supervisor->full.on && supervisor->eased_since != 0)
        next = clock_sooner(
            next, pool_supervisor_left(supervisor->eased_since + POOL_SUPERVISOR_EPISODE_END, now));
    if (supervisor->overflow.on)
        next = clock_sooner(next, POOL_SUPERVISOR_EPISODE_END / 2);
    int64_t report = worker_monitor_next_report(&supervisor->monitor, now);
    if (report >= 0)
        next = clock_sooner(next, pool_supervisor_left(report, now));
    return clock_sooner(next, pool_supervisor_next_limit(supervisor, now));
}

/* Does the next pass need a full check? Not if enough workers are starting; in a static pool, only
 * if the queue has stopped moving. */
static bool pool_supervisor_needs_full_check(const struct pool_supervisor *supervisor,
                                             const struct scaling_counts *counts)
{
    bool fixed = pool_settings(supervisor->pool)->pm == DIRECTIVE_PM_STATIC;
    bool queue_moves = fixed && supervisor->memory.queue_check < POOL_SUPERVISOR_STUCK;
    return (counts->waiting > counts->starting && !queue_moves) ||
           (counts->serving + counts->partly > 0 && !fixed) || supervisor->memory.since != 0 ||
           supervisor->monitor.limits_pending ||
           worker_monitor_next_memory_check(&supervisor->monitor) >= 0;
}

/* ---- a pass ---- */

static void pool_supervisor_watch_doorbell(struct pool_supervisor *supervisor);

static void pool_supervisor_pass_serving(struct pool_supervisor *supervisor,
                                         enum pool_supervisor_cause cause, bool was_full,
                                         int64_t now)
{
    struct pool *pool = supervisor->pool;
    INVARIANT(pool->stop == POOL_STOP_NONE && supervisor->watched == pool->current);
    unsigned attached, starting = pool->seen.counts.starting;
    struct scaling_counts counts = pool_supervisor_count(supervisor, &attached);
    struct scaling_verdict verdict = pool_supervisor_decide(supervisor, &counts, now);
    pool_supervisor_report_budget(supervisor, &counts, verdict.over, now);
    pool_supervisor_notify_changes(supervisor, &counts, verdict.spawn);

    /* If every worker is being retired, let them close idle connections instead of passing them on;
     * otherwise a passed-on connection would make us start a worker. */
    bool replaced = pool_settings(pool)->pm == DIRECTIVE_PM_STATIC;
    pool_allow_handoff(pool, replaced || attached > verdict.retire, attached > 0);

    /* Publish before spawning: a new worker clears the slot it gets, and with it the counters of
     * the worker that died there. */
    if (verdict.spawn > 0 && pool->current->older != NULL)
        supervisor->on_pass(supervisor);
    unsigned tried = pool_spawn(pool, verdict.spawn, scaling_reason_name(verdict.reason));
    pool_supervisor_watch_doorbell(supervisor);
    pool_retire(pool, verdict.retire, scaling_reason_name(verdict.reason));
    pool_supervisor_report_full(supervisor, &counts, verdict.limit, now);
    pool_supervisor_report_overflow(supervisor, now);
    pool_filter_clients(pool);

    /* Watch the sockets behind the workers that have started to wait there. While processes that
     * workers left behind hold every slot, a waiting connection must not lead to pass after pass.
     */
    if (tried < verdict.spawn)
        verdict.watch = false;
    if (tried > 0)
        supervisor->watch_pause = supervisor->watch_paused_until = 0;
    else if (cause == POOL_SUPERVISOR_CONNECTION)
        pool_supervisor_pause_watch(supervisor, now);
    if (starting > 0 || tried > 0)
        (void)listen_watch_requeue(&supervisor->listen_watch);
    if (listen_watch_set(&supervisor->listen_watch,
                         verdict.watch && now >= supervisor->watch_paused_until) != 0)
        log_pool(LOG_LEVEL_ERROR, pool->name, "cannot watch its socket: %s", strerror(errno));

    pool_supervisor_schedule(supervisor, was_full,
                             pool_supervisor_needs_full_check(supervisor, &counts),
                             pool_supervisor_next(supervisor, &verdict, now), now);
    supervisor->on_pass(supervisor);
    if (counts.first > 0 && verdict.limit == SCALING_AT_PROCESS_MAX)
        pool_limit_first(pool, pool_in_service(pool));
}

/* Is it enough to check the workers already marked as changed? Not after a doorbell, which does not
 * say who rang, unless newly started workers account for it; and not after a limit timer whose
 * request has ended by itself. Then check all workers. */
static bool pool_supervisor_check_suffices(struct pool_supervisor *supervisor,
                                           enum pool_supervisor_cause cause)
{
    switch (cause) {
    case POOL_SUPERVISOR_TIMER: /* and no full check is due */
    case POOL_SUPERVISOR_CHANGED:
        return true;
    case POOL_SUPERVISOR_DOORBELL:
        return worker_monitor_explains_rings(&supervisor->monitor, supervisor->rings);
    case POOL_SUPERVISOR_LIMIT:
        return supervisor->monitor.limits_expired > 0;
    case POOL_SUPERVISOR_CONNECTION:
    default:
        return false;
    }
}

static void pool_supervisor_watch_current(struct pool_supervisor *supervisor);
static void pool_supervisor_pass(struct pool_supervisor *supervisor,
                                 enum pool_supervisor_cause cause)
{
    struct pool *pool = supervisor->pool;
    int64_t now = clock_ms();
    /* First: a generation that is swept must not be watched any more. */
    pool_supervisor_watch_current(supervisor);
    pool_sweep(pool);

    /* The loop's timers may fire a moment early. */
    bool full = supervisor->full_check_due ||
                (supervisor->full_check_at >= 0 && now + 1 >= supervisor->full_check_at);
    if (!full) {
        worker_monitor_check(&supervisor->monitor, false, now);
        full = !pool_supervisor_check_suffices(supervisor, cause);
    }
    if (full) {
        /* A change between this check and the choice of events must be reported as well: until
         * then, every event that may be chosen is. */
        uint32_t events = OT_NOTIFY_ENTER(OT_STATE_POST) | OT_NOTIFY_LEAVE(OT_STATE_STARTING);
        if (pool_settings(pool)->pm == DIRECTIVE_PM_DYNAMIC ||
            pool_supervisor_request_limit(supervisor) > 0)
            events |= OT_NOTIFY_ENTER(OT_STATE_RUNNING);
        pool_supervisor_notify(supervisor, events, events);
        worker_monitor_check(&supervisor->monitor, true, now);
        supervisor->full_check_due = false;
    }
    if (pool->stop == POOL_STOP_NONE) {
        pool_supervisor_pass_serving(supervisor, cause, full, now);
        return;
    }
    /* The number of workers of a pool that stops is decided; only its limits are followed. */
    uint32_t events = pool_supervisor_limit_events(supervisor);
    pool_supervisor_notify(supervisor, events, events);
    pool_supervisor_schedule(supervisor, full, true, pool_supervisor_next_limit(supervisor, now),
                             now);
}

/* ---- events ---- */

static void pool_supervisor_on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pool_supervisor *supervisor = timer->data;
    bool changed = supervisor->workers_changed;
    supervisor->workers_changed = false;
    pool_renew_socket(supervisor->pool);
    pool_supervisor_pass(supervisor, changed ? POOL_SUPERVISOR_CHANGED : POOL_SUPERVISOR_TIMER);
}

/* Passes start from the loop, never from within an action of the pool. */
void pool_supervisor_check_all(struct pool_supervisor *supervisor)
{
    supervisor->full_check_due = true;
    pool_supervisor_set_timer(supervisor, 0);
}

void pool_supervisor_check_changed(struct pool_supervisor *supervisor)
{
    supervisor->workers_changed = true;
    pool_supervisor_set_timer(supervisor, 0);
}

static void pool_supervisor_on_limit(void *context)
{
    pool_supervisor_pass(context, POOL_SUPERVISOR_LIMIT);
}

/* Rings that follow each other fast are switched off until the interval is over. */
static void pool_supervisor_on_doorbell(struct ev_loop *loop, ev_io *io, int events)
{
    struct pool_supervisor *supervisor = io->data;
    uint64_t *rings = &supervisor->rings;
    if (untrusted_io_read_shared(io->fd, rings, sizeof *rings) != (ssize_t)sizeof *rings)
        return;
    int64_t now = clock_ms();
    int64_t left = supervisor->last_ring + POOL_SUPERVISOR_RING_INTERVAL - now;
    if (left > 0) {
        supervisor->monitor.unrung_starts = 0; /* they no longer account for a ring */
        pool_supervisor_notify(supervisor, 0, 0);
        pool_supervisor_schedule(supervisor, false, true, left, now);
        return;
    }
    supervisor->last_ring = now;
    pool_supervisor_pass(supervisor, POOL_SUPERVISOR_DOORBELL);
}

static void pool_supervisor_on_connection(void *context)
{
    struct pool_supervisor *supervisor = context;
    if (supervisor->watched != supervisor->pool->current)
        pool_supervisor_check_all(supervisor);
    else
        pool_supervisor_pass(supervisor, POOL_SUPERVISOR_CONNECTION);
}

static void pool_supervisor_on_shut(void *context)
{
    struct pool_supervisor *supervisor = context;
    pool_note_shut(supervisor->pool);
    pool_supervisor_check_all(supervisor);
}

/* ---- the generation that is watched ---- */

static void pool_supervisor_unwatch(struct pool_supervisor *supervisor)
{
    ev_io_stop(supervisor->loop, &supervisor->doorbell);
    listen_watch_close(&supervisor->listen_watch);
    worker_monitor_close(&supervisor->monitor);
    supervisor->watched = NULL;
}

/* Follows the pool's channels, which a pool without workers does without. */
static void pool_supervisor_watch_doorbell(struct pool_supervisor *supervisor)
{
    struct generation_channels *channels = supervisor->pool->current->channels;
    if (channels->doorbell_fd >= 0 && pool_live(supervisor->pool) == 0 &&
        !socket_pending(channels->handoff[0])) {
        ev_io_stop(supervisor->loop, &supervisor->doorbell);
        listen_watch_set_handoff(&supervisor->listen_watch, -1);
        generation_close_channels(channels);
    }
    if (channels->doorbell_fd < 0 || ev_is_active(&supervisor->doorbell))
        return;
    ev_io_init(&supervisor->doorbell, pool_supervisor_on_doorbell, channels->doorbell_fd, EV_READ);
    supervisor->doorbell.data = supervisor;
    ev_io_start(supervisor->loop, &supervisor->doorbell);
    listen_watch_set_handoff(&supervisor->listen_watch, channels->handoff[0]);
}

static void pool_supervisor_watch_current(struct pool_supervisor *supervisor)
{
    const struct pool *pool = supervisor->pool;
    const struct generation *generation = pool->current;
    bool stops = pool->stop != POOL_STOP_NONE;
    if (stops)
        listen_watch_close(&supervisor->listen_watch);
    if (supervisor->watched == generation)
        return;

    pool_supervisor_unwatch(supervisor);
    supervisor->watched = generation;
    supervisor->full_check_due = true;
    supervisor->first_due = true;
    if (worker_monitor_open(&supervisor->monitor, generation) != 0)
        log_pool(LOG_LEVEL_ERROR, pool->name, "out of memory: its workers cannot be counted");
    pool_supervisor_watch_doorbell(supervisor);
    if (!stops && listen_watch_open(&supervisor->listen_watch, supervisor->loop, pool->listener.fd,
                                    generation->channels->handoff[0], pool_supervisor_on_connection,
                                    pool_supervisor_on_shut, supervisor) != 0)
        log_pool(LOG_LEVEL_ERROR, pool->name,
                 "cannot watch its socket: %s; check `rlimit_files` in [global]", strerror(errno));
}

void pool_supervisor_open(struct pool_supervisor *supervisor, struct pool *pool,
                          struct listen_queue *queue, unsigned (*free_slots)(void *context),
                          void *context, void (*on_pass)(struct pool_supervisor *supervisor))
{
    *supervisor = (struct pool_supervisor){
        .pool = pool,
        .loop = pool->loop,
        .queue = queue,
        .free_slots = free_slots,
        .context = context,
        .on_pass = on_pass,
        .listen_watch = LISTEN_WATCH_NONE,
        .monitor = {.pool = pool, .on_limit = pool_supervisor_on_limit, .context = supervisor},
        .full_check_at = -1,
    };
    ev_timer_init(&supervisor->timer, pool_supervisor_on_timer, 0., 0.);
    supervisor->timer.data = supervisor;
    ev_init(&supervisor->doorbell, pool_supervisor_on_doorbell);
}

void pool_supervisor_adopt(struct pool_supervisor *supervisor, const struct pool_supervisor *before)
{
    pool_supervisor_watch_current(supervisor);
    supervisor->first_due = before->first_due;
    supervisor->over.on = before->over.on;
    supervisor->full.on = before->full.on;
}

void pool_supervisor_close(struct pool_supervisor *supervisor)
{
    ev_timer_stop(supervisor->loop, &supervisor->timer);
    pool_supervisor_unwatch(supervisor);
}
