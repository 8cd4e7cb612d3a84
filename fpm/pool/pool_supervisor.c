/* pool_supervisor.c: see pool_supervisor.h. */
#include "fpm/pool/pool_supervisor.h"

#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

enum {
    POOL_SUPERVISOR_RING_GAP = 5, /* ms between two turns by the doorbell */
    POOL_SUPERVISOR_DEAF_FIRST =
        2, /* ms without arrivals after one that led to nothing, doubled up to */
    POOL_SUPERVISOR_DEAF_LONGEST = 64,  /* ms */
    POOL_SUPERVISOR_DEAF_FORGET = 1000, /* ms after which deafness begins anew */
    POOL_SUPERVISOR_STUCK = 16,         /* ms between looks at a queue that does not move */
    POOL_SUPERVISOR_FULL_AFTER =
        100,                     /* ms that connections wait for a full pool before it is told */
    POOL_SUPERVISOR_QUIET = 3000 /* ms without what an episode is about that end it */
};

/* What one look at the pool found. */
struct pool_supervisor_look {
    struct scaling_counts counts;
    unsigned speaking; /* with the library, past their start */
};

/* ---- look ---- */

/* Of what is in an unknown state: it would take what waits at once, if it could. */
static void pool_supervisor_look_at_queue(struct pool_supervisor *keeper,
                                          struct pool_supervisor_look *look)
{
    const struct pool *pool = keeper->pool;
    struct listen_queue_state state = {0};
    if (listen_queue_look(keeper->queue, pool->listener.fd, &state) != 0)
        state = (struct listen_queue_state){0};
    look->counts.waiting = state.waiting + socket_pending(pool->current->handoff[0]);
    *(look->counts.waiting > 0 ? &look->counts.serving : &look->counts.idle) +=
        keeper->inspect.census.counts[CENSUS_BOX_RIDDLE];
    keeper->seen.backlog = state.backlog;
}

static void pool_supervisor_sum(const struct census *census, struct pool_supervisor_look *look)
{
    const unsigned *counts = census->counts;
    look->counts.starting = counts[CENSUS_STARTING];
    look->counts.idle = counts[CENSUS_IDLE] + counts[CENSUS_BOX_IDLE];
    look->counts.serving = counts[CENSUS_SERVING] + counts[CENSUS_BOX_SERVING];
    look->counts.post = counts[CENSUS_POST];
    look->speaking = counts[CENSUS_IDLE] + counts[CENSUS_SERVING] + counts[CENSUS_POST];
}

static struct pool_supervisor_look pool_supervisor_look(struct pool_supervisor *keeper)
{
    struct pool *pool = keeper->pool;
    struct pool_supervisor_look look = {0};
    pool_supervisor_sum(&keeper->inspect.census, &look);
    pool_supervisor_look_at_queue(keeper, &look);
    unsigned accepting = look.counts.idle + look.counts.serving + look.counts.post;
    pool_bequeath(pool, look.speaking > 0, look.speaking > 0);
    if (pool_hand_over(pool, accepting))
        keeper->first_due = keeper->first_due && accepting + look.counts.starting < pool->first;
    look.counts.first = keeper->first_due ? pool->first : 0;
    look.counts.room = keeper->room(keeper->context);
    struct pool_supervisor_seen *seen = &keeper->seen;
    seen->counts = look.counts;
    seen->most_waiting = MAX(seen->most_waiting, look.counts.waiting);
    seen->most_post = MAX(seen->most_post, look.counts.post);
    seen->most_active = MAX(seen->most_active, look.counts.serving + look.counts.post);
    return look;
}

/* ---- decide ---- */

static struct scaling_limits pool_supervisor_limits(const struct config_pool *settings)
{
    static const enum scaling_kind kinds[] = {
        [CONFIG_PM_STATIC] = SCALING_STATIC,
        [CONFIG_PM_DYNAMIC] = SCALING_DYNAMIC,
        [CONFIG_PM_ONDEMAND] = SCALING_ONDEMAND,
    };
    return (struct scaling_limits){
        .kind = kinds[settings->pm],
        .max_children = (unsigned)settings->pm_max_children,
        .min_spare = (unsigned)settings->pm_min_spare_servers,
        .max_spare = (unsigned)settings->pm_max_spare_servers,
        .max_spawn_rate = (unsigned)settings->pm_max_spawn_rate,
        .post_max = (unsigned)settings->post_response_max_children,
        .idle_timeout = settings->pm_process_idle_timeout,
    };
}

/* ---- act: tell ---- */

/* Load that swings about the budget is one episode, not one with each swing. */
static bool pool_supervisor_over_ends(struct pool_supervisor *keeper,
                                      const struct pool_supervisor_look *look, unsigned budget,
                                      int64_t now)
{
    if (!keeper->over.on || look->counts.post > budget / 4 * 3) {
        keeper->over_quiet = 0;
        return false;
    }
    if (keeper->over_quiet == 0)
        keeper->over_quiet = now;
    return now - keeper->over_quiet >= POOL_SUPERVISOR_QUIET && log_episode_end(&keeper->over);
}

static void pool_supervisor_tell_over(struct pool_supervisor *keeper,
                                      const struct pool_supervisor_look *look, unsigned over,
                                      int64_t now)
{
    struct pool *pool = keeper->pool;
    unsigned budget = (unsigned)pool_settings(pool)->post_response_max_children;
    keeper->seen.over = over;
    if (over > 0 && log_episode_begin(&keeper->over)) {
        keeper->over_quiet = 0;
        pool->totals.over_budget++;
        log_about(LOG_LEVEL_WARNING, &(struct log_about){.pool = pool->name},
                  "pool %s: %u worker%s in post-response work, more than "
                  "`post_response.max_children` = %u: those above it count as serving and take "
                  "room from requests; raise it, shorten the work, or bound it by "
                  "`post_response.time_limit`",
                  pool->name, look->counts.post, look->counts.post == 1 ? " is" : "s are", budget);
    } else if (pool_supervisor_over_ends(keeper, look, budget, now)) {
        log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = pool->name},
                  "pool %s: post-response work is within `post_response.max_children` again",
                  pool->name);
    }
}

/* A pool that is full again a moment after it was not has been full all the time, to a reader; and
 * one that was full for a moment alone was not. */
static void pool_supervisor_tell_full(struct pool_supervisor *keeper,
                                      const struct pool_supervisor_look *look,
                                      enum scaling_limit limit, int64_t now)
{
    struct pool *pool = keeper->pool;
    const char *directive = limit == SCALING_AT_PROCESS_MAX ? "process.max" : "pm.max_children";
    if (limit == SCALING_NO_LIMIT || look->counts.waiting == 0) {
        if (look->counts.idle > 0 && keeper->full_eased == 0)
            keeper->full_eased = now;
        keeper->full_since = 0;
        return;
    }
    if (keeper->full_since == 0)
        keeper->full_since = now;
    if (now - keeper->full_since < POOL_SUPERVISOR_FULL_AFTER)
        return;
    if (keeper->full_eased != 0 && now - keeper->full_eased >= POOL_SUPERVISOR_QUIET)
        (void)log_episode_end(&keeper->full);
    keeper->full_eased = 0;
    if (!log_episode_begin(&keeper->full))
        return;
    pool->totals.at_max++;
    log_about(LOG_LEVEL_WARNING, &(struct log_about){.pool = pool->name},
              "pool %s: %u connection%s and all workers that `%s` allows are busy; raise "
              "it, or make requests shorter",
              pool->name, look->counts.waiting, look->counts.waiting == 1 ? " waits" : "s wait",
              directive);
}

/* ---- act: listen for the next event ---- */

/* ms after which a request that nobody has looked at may be over a limit, 0 = never. */
static int64_t pool_supervisor_request_limit(const struct pool_supervisor *keeper)
{
    int64_t limit = pool_settings(keeper->pool)->request_terminate_timeout;
    int64_t slow = (int64_t)(slow_log_limit(keeper->pool->slowlog) / CLOCK_NS_PER_MS);
    return limit == 0 || (slow > 0 && slow < limit) ? slow : limit;
}

/* What has to ring so that no limit passes unseen. A request that begins needs not, where all
 * workers are looked at before it can be over its limit. */
static uint32_t pool_supervisor_want_for_limits(const struct pool_supervisor *keeper)
{
    uint32_t want = 0;
    if (pool_settings(keeper->pool)->post_response_terminate_timeout > 0 ||
        slow_log_post_limit(keeper->pool->slowlog) > 0)
        want |= OT_NOTIFY_ENTER(OT_STATE_POST);
    if (pool_supervisor_request_limit(keeper) > 0 && !keeper->inspect.timed)
        want |= OT_NOTIFY_ENTER(OT_STATE_RUNNING);
    return want;
}

/* Every change that the turn which goes on may find that it has to follow. */
static uint32_t pool_supervisor_want_most(const struct pool_supervisor *keeper)
{
    uint32_t want = OT_NOTIFY_ENTER(OT_STATE_POST) | OT_NOTIFY_LEAVE(OT_STATE_STARTING);
    if (pool_settings(keeper->pool)->pm == CONFIG_PM_DYNAMIC ||
        pool_supervisor_request_limit(keeper) > 0)
        want |= OT_NOTIFY_ENTER(OT_STATE_RUNNING);
    return want;
}

static void pool_supervisor_want_of_older(const struct pool_supervisor *keeper, uint32_t want)
{
    for (const struct generation *g = keeper->pool->older; g != NULL; g = g->older)
        scoreboard_notify(&g->scoreboard, want);
}

/* What is taken for a black box may only be slow to say that it is none. */
static bool pool_supervisor_sees_boxes(const struct pool_supervisor *keeper)
{
    const unsigned *counts = keeper->inspect.census.counts;
    return counts[CENSUS_BOX_IDLE] + counts[CENSUS_BOX_SERVING] + counts[CENSUS_BOX_RIDDLE] > 0;
}

/* Requests are told of only where a limit has to be timed and nothing else leads here in time. */
static void pool_supervisor_want(struct pool_supervisor *keeper,
                                 const struct pool_supervisor_look *look,
                                 const struct scaling_verdict *verdict)
{
    const struct config_pool *settings = pool_settings(keeper->pool);
    const struct generation *generation = keeper->pool->current;
    bool spare = settings->pm == CONFIG_PM_DYNAMIC && look->counts.serving == 0;
    uint32_t limits = pool_supervisor_want_for_limits(keeper);
    uint32_t want = limits | OT_NOTIFY_ENTER(OT_STATE_POST);
    if (look->counts.starting > 0 || verdict->spawn > 0 || pool_supervisor_sees_boxes(keeper))
        want |= OT_NOTIFY_LEAVE(OT_STATE_STARTING);
    if (spare)
        want |= OT_NOTIFY_ENTER(OT_STATE_RUNNING);
    scoreboard_notify(&generation->scoreboard, want);
    pool_supervisor_want_of_older(keeper, limits);
}

/* An arrival that led to nothing was taken by a worker that was awake: under load every one is, so
 * the next ones are not listened for, for a while. */
static void pool_supervisor_listen(struct pool_supervisor *keeper,
                                   const struct scaling_verdict *verdict, int64_t now, bool started)
{
    if (started)
        (void)listen_watch_requeue(&keeper->arrival);
    if (listen_watch_watch(&keeper->arrival, verdict->watch && now >= keeper->deaf_until) != 0)
        log_about(LOG_LEVEL_ERROR, &(struct log_about){.pool = keeper->pool->name},
                  "pool %s: cannot watch its socket: %s", keeper->pool->name, strerror(errno));
}

static void pool_supervisor_turn_deaf(struct pool_supervisor *keeper, int64_t now)
{
    if (keeper->deafness == 0 || now - keeper->arrived > POOL_SUPERVISOR_DEAF_FORGET)
        keeper->deafness = POOL_SUPERVISOR_DEAF_FIRST;
    else if (keeper->deafness < POOL_SUPERVISOR_DEAF_LONGEST)
        keeper->deafness *= 2;
    keeper->arrived = now;
    keeper->deaf_until = now + keeper->deafness;
}

/* Where all workers are retired there is no heir: what they left would have one started for it. */
static void pool_supervisor_bequeath(const struct pool_supervisor *keeper,
                                     const struct pool_supervisor_look *look,
                                     const struct scaling_verdict *verdict)
{
    bool replaced = pool_settings(keeper->pool)->pm == CONFIG_PM_STATIC;
    pool_bequeath(keeper->pool, replaced || look->speaking > verdict->retire, look->speaking > 0);
}

/* ---- the turn ---- */

/* At a moment (ms), negative = not at all. Timed from the clock as it is: turns of several pools
 * that are due in the same millisecond come with one wake-up. */
static void pool_supervisor_schedule(struct pool_supervisor *keeper, int64_t moment)
{
    ev_timer_stop(keeper->loop, &keeper->turn);
    if (moment < 0)
        return;
    int64_t left = moment * CLOCK_NS_PER_MS - (int64_t)clock_ns();
    ev_now_update(keeper->loop);
    ev_timer_set(&keeper->turn, left > 0 ? (double)left / 1e9 : 0., 0.);
    ev_timer_start(keeper->loop, &keeper->turn);
}

/* The next turn that no event leads to comes `in` ms after `now`, negative = none. When all are to
 * be looked at stays as it was, unless that was now, or has to be sooner. */
static void pool_supervisor_come_again(struct pool_supervisor *keeper, bool looked, bool whole,
                                       int64_t in, int64_t now)
{
    int64_t moment = in < 0 ? -1 : now + in;
    if (looked)
        keeper->whole_at = -1;
    if (whole)
        keeper->whole_at = clock_sooner(keeper->whole_at, moment);
    keeper->again_at = whole ? -1 : moment;
    pool_supervisor_schedule(keeper, clock_sooner(keeper->whole_at, keeper->again_at));
}

/* ms from `now` to `moment`; what has passed already comes at once, but not within this turn. */
static int64_t pool_supervisor_left(int64_t moment, int64_t now)
{
    return moment > now ? moment - now : 1;
}

/* ms until all have to be looked at for their limits or their memory; -1 = never. */
static int64_t pool_supervisor_next_limit(const struct pool_supervisor *keeper, int64_t now)
{
    int64_t next = -1, memory = worker_monitor_memory_at(&keeper->inspect);
    if (keeper->inspect.timed && pool_supervisor_request_limit(keeper) > 0)
        next = pool_supervisor_left(keeper->inspect.all_at + pool_supervisor_request_limit(keeper),
                                    now);
    if (memory >= 0)
        next = clock_sooner(next, pool_supervisor_left(memory, now));
    return next;
}

/* ms until the next turn that no event leads to, -1 = none. */
static int64_t pool_supervisor_next(const struct pool_supervisor *keeper,
                                    const struct scaling_verdict *verdict, int64_t backoff,
                                    int64_t now)
{
    int64_t next = verdict->again;
    if (backoff > 0)
        next = clock_sooner(next, backoff);
    if (verdict->watch && keeper->deaf_until > now)
        next = clock_sooner(next, keeper->deaf_until - now);
    if (keeper->full_since != 0 && !keeper->full.on)
        next = clock_sooner(
            next, pool_supervisor_left(keeper->full_since + POOL_SUPERVISOR_FULL_AFTER, now));
    if (keeper->over.on && keeper->over_quiet != 0)
        next = clock_sooner(next, keeper->over_quiet + POOL_SUPERVISOR_QUIET - now);
    return clock_sooner(next, pool_supervisor_next_limit(keeper, now));
}

/* Is what the next turn comes for to be seen by a look at all? Not where some start, and enough;
 * and how many are idle is a static pool's affair only when its queue does not move. */
static bool pool_supervisor_needs_all(const struct pool_supervisor *keeper,
                                      const struct scaling_counts *counts)
{
    bool fixed = pool_settings(keeper->pool)->pm == CONFIG_PM_STATIC;
    bool patient = fixed && keeper->memory.patience < POOL_SUPERVISOR_STUCK;
    return (counts->waiting > counts->starting && !patient) || (counts->serving > 0 && !fixed) ||
           keeper->memory.since != 0 || keeper->inspect.timed ||
           worker_monitor_memory_at(&keeper->inspect) >= 0;
}

/* What a pool that stops still needs: how many workers there shall be is decided. */
static void pool_supervisor_turn_to_limits(struct pool_supervisor *keeper, bool looked, int64_t now)
{
    uint32_t want = pool_supervisor_want_for_limits(keeper);
    scoreboard_notify(&keeper->pool->current->scoreboard, want);
    pool_supervisor_want_of_older(keeper, want);
    pool_supervisor_come_again(keeper, looked, true, pool_supervisor_next_limit(keeper, now), now);
}

static void pool_supervisor_turn_to_workers(struct pool_supervisor *keeper,
                                            enum pool_supervisor_cause cause, bool looked,
                                            int64_t now)
{
    struct pool *pool = keeper->pool;
    unsigned starting = keeper->seen.counts.starting;
    int64_t backoff = pool_may_start_in(pool, now);
    struct pool_supervisor_look look = pool_supervisor_look(keeper);
    struct scaling_limits limits = pool_supervisor_limits(pool_settings(pool));
    struct scaling_verdict verdict = scaling_decide(&limits, &look.counts, &keeper->memory, now);
    pool_supervisor_tell_over(keeper, &look, verdict.over, now);
    if (backoff > 0 && verdict.spawn > 0) {
        verdict.spawn = 0;
        verdict.again = -1;
        verdict.watch = false;
    }
    pool_supervisor_want(keeper, &look, &verdict);
    pool_supervisor_bequeath(keeper, &look, &verdict);
    /* Who takes a dead one's slot wipes it: what that one did has to be told before. */
    if (verdict.spawn > 0 && pool->older != NULL)
        keeper->turned(keeper);
    pool_spawn(pool, verdict.spawn, scaling_reason_name(verdict.reason));
    pool_retire(pool, verdict.retire, scaling_reason_name(verdict.reason));
    pool_supervisor_tell_full(keeper, &look, verdict.limit, now); /* of those just started, too */
    if (verdict.spawn > 0)
        keeper->deafness = keeper->deaf_until = 0;
    else if (cause == POOL_SUPERVISOR_BY_ARRIVAL)
        pool_supervisor_turn_deaf(keeper, now);
    pool_supervisor_listen(keeper, &verdict, now, starting > 0 || verdict.spawn > 0);
    pool_supervisor_come_again(
        keeper, looked, pool_supervisor_needs_all(keeper, &look.counts),
        pool_supervisor_next(keeper, &verdict, pool_may_start_in(pool, now), now), now);
    keeper->turned(keeper);
    if (look.counts.first > 0 && verdict.limit == SCALING_AT_PROCESS_MAX)
        pool_limit_first(pool, pool_staying(pool));
}

/* Is what led here explained by those that the pool knows to have changed? Others are looked at
 * only if not: the doorbell does not tell who rang, and where a request that was timed is over, the
 * worker's next one is no more its own affair than anybody's. */
static bool pool_supervisor_look_suffices(struct pool_supervisor *keeper,
                                          enum pool_supervisor_cause cause)
{
    switch (cause) {
    case POOL_SUPERVISOR_BY_TIME: /* when it is not time for all of them */
    case POOL_SUPERVISOR_BY_NEWS:
        return true;
    case POOL_SUPERVISOR_BY_RING:
        return worker_monitor_knows_who_rang(&keeper->inspect, keeper->rings);
    case POOL_SUPERVISOR_BY_LIMIT:
        return keeper->inspect.passed > 0;
    case POOL_SUPERVISOR_BY_ARRIVAL:
    default:
        return false;
    }
}

/* What changes between the look and the choice of what rings has to ring as well. */
static void pool_supervisor_look_around(struct pool_supervisor *keeper, int64_t now)
{
    uint32_t want = pool_supervisor_want_most(keeper);
    scoreboard_notify(&keeper->pool->current->scoreboard, want);
    pool_supervisor_want_of_older(keeper, want);
    worker_monitor_all(&keeper->inspect, now);
    keeper->whole = false;
}

static void pool_supervisor_serve(struct pool_supervisor *keeper);

static void pool_supervisor_turn(struct pool_supervisor *keeper, enum pool_supervisor_cause cause)
{
    int64_t now = clock_ms();
    pool_supervisor_serve(keeper); /* first: what is swept is not watched any more */
    pool_sweep(keeper->pool);
    /* The loop's timers may be a moment early. */
    bool whole = keeper->whole || (keeper->whole_at >= 0 && now + 1 >= keeper->whole_at);
    if (!whole) {
        worker_monitor_touched(&keeper->inspect, now);
        whole = !pool_supervisor_look_suffices(keeper, cause);
    }
    if (whole)
        pool_supervisor_look_around(keeper, now);
    if (keeper->pool->stop == POOL_STAY)
        pool_supervisor_turn_to_workers(keeper, cause, whole, now);
    else
        pool_supervisor_turn_to_limits(keeper, whole, now);
}

static void pool_supervisor_on_turn(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pool_supervisor *keeper = timer->data;
    enum pool_supervisor_cause cause =
        keeper->news ? POOL_SUPERVISOR_BY_NEWS : POOL_SUPERVISOR_BY_TIME;
    (void)loop;
    (void)events;
    keeper->news = false;
    pool_supervisor_turn(keeper, cause);
}

/* Turns come from the loop alone, never from within what the pool is about to do. */
void pool_supervisor_poke(struct pool_supervisor *keeper)
{
    keeper->whole = true;
    pool_supervisor_schedule(keeper, 0);
}

void pool_supervisor_news(struct pool_supervisor *keeper)
{
    keeper->news = true;
    pool_supervisor_schedule(keeper, 0);
}

static void pool_supervisor_on_limit(void *context)
{
    pool_supervisor_turn(context, POOL_SUPERVISOR_BY_LIMIT);
}

static void pool_supervisor_on_ring(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct pool_supervisor *keeper = io->data;
    if (read(io->fd, &keeper->rings, sizeof keeper->rings) != (ssize_t)sizeof keeper->rings)
        return;
    int64_t now = clock_ms();
    int64_t gap = keeper->rang + POOL_SUPERVISOR_RING_GAP - now;
    if (gap > 0) {
        worker_monitor_deafen(&keeper->inspect);
        scoreboard_notify(&keeper->pool->current->scoreboard, 0);
        pool_supervisor_want_of_older(keeper, 0);
        pool_supervisor_come_again(keeper, false, true, gap, now);
        return;
    }
    keeper->rang = now;
    pool_supervisor_turn(keeper, POOL_SUPERVISOR_BY_RING);
}

static void pool_supervisor_on_arrival(void *context)
{
    struct pool_supervisor *keeper = context;
    if (keeper->served != keeper->pool->current)
        pool_supervisor_poke(keeper);
    else
        pool_supervisor_turn(keeper, POOL_SUPERVISOR_BY_ARRIVAL);
}

/* ---- which generation is looked after ---- */

static void pool_supervisor_unserve(struct pool_supervisor *keeper)
{
    ev_io_stop(keeper->loop, &keeper->doorbell);
    listen_watch_close(&keeper->arrival);
    worker_monitor_end(&keeper->inspect);
    keeper->served = NULL;
}

/* Doorbell and sockets of the current generation are watched. */
static void pool_supervisor_serve(struct pool_supervisor *keeper)
{
    const struct generation *generation = keeper->pool->current;
    bool stops = keeper->pool->stop != POOL_STAY;
    if (stops)
        listen_watch_close(&keeper->arrival);
    if (keeper->served == generation)
        return;
    pool_supervisor_unserve(keeper);
    keeper->served = generation;
    keeper->whole = true;
    keeper->first_due = true;
    if (worker_monitor_begin(&keeper->inspect, generation) != 0)
        log_about(LOG_LEVEL_ERROR, &(struct log_about){.pool = keeper->pool->name},
                  "pool %s: out of memory: its workers cannot be counted", keeper->pool->name);
    ev_io_init(&keeper->doorbell, pool_supervisor_on_ring, generation->doorbell_fd, EV_READ);
    keeper->doorbell.data = keeper;
    ev_io_start(keeper->loop, &keeper->doorbell);
    if (!stops &&
        listen_watch_open(&keeper->arrival, keeper->loop, keeper->pool->listener.fd,
                          generation->handoff[0], pool_supervisor_on_arrival, keeper) != 0)
        log_about(LOG_LEVEL_ERROR, &(struct log_about){.pool = keeper->pool->name},
                  "pool %s: cannot watch its socket: %s; check `rlimit_files` in [global]",
                  keeper->pool->name, strerror(errno));
}

void pool_supervisor_open(struct pool_supervisor *keeper, struct pool *pool,
                          struct listen_queue *queue, unsigned (*room)(void *context),
                          void *context, void (*turned)(struct pool_supervisor *keeper))
{
    *keeper = (struct pool_supervisor){
        .pool = pool,
        .loop = pool->loop,
        .queue = queue,
        .room = room,
        .context = context,
        .turned = turned,
        .arrival = LISTEN_WATCH_NONE,
        .inspect = {.pool = pool, .due = pool_supervisor_on_limit, .context = keeper},
        .whole_at = -1,
        .again_at = -1,
    };
    ev_timer_init(&keeper->turn, pool_supervisor_on_turn, 0., 0.);
    keeper->turn.data = keeper;
    ev_init(&keeper->doorbell, pool_supervisor_on_ring);
}

void pool_supervisor_resume(struct pool_supervisor *keeper, bool first_due)
{
    pool_supervisor_serve(keeper);
    keeper->first_due = first_due;
}

void pool_supervisor_rest(struct pool_supervisor *keeper)
{
    ev_timer_stop(keeper->loop, &keeper->turn);
    pool_supervisor_unserve(keeper);
}
