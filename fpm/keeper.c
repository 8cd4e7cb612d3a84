/* keeper.c: see keeper.h. */
#include "fpm/keeper.h"

#include "fpm/clock.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    KEEPER_RING_GAP = 5,      /* ms between two turns by the doorbell */
    KEEPER_DEAF_FIRST = 2,    /* ms without arrivals after one that led to nothing, doubled up to */
    KEEPER_DEAF_LONGEST = 64, /* ms */
    KEEPER_DEAF_FORGET = 1000, /* ms after which deafness begins anew */
    KEEPER_STUCK = 16,         /* ms between looks at a queue that does not move */
    KEEPER_FULL_AFTER = 100,   /* ms that connections wait for a full pool before it is told */
    KEEPER_QUIET = 3000        /* ms without what an episode is about that end it */
};

#define KEEPER_NS 1000000 /* in a millisecond */

/* What one look at the pool found. */
struct keeper_look {
    struct scale_counts counts;
    unsigned speaking; /* with the library, past their start */
};

/* ---- look ---- */

/* Of what is in an unknown state: it would take what waits at once, if it could. */
static void keeper_look_at_queue(struct keeper *keeper, struct keeper_look *look)
{
    const struct pool *pool = keeper->pool;
    struct queue_state state = {0};
    if (queue_look(keeper->queue, pool->listener.fd, &state) != 0)
        state = (struct queue_state){0};
    look->counts.waiting = state.waiting + socket_pending(pool->current->handoff[0]);
    *(look->counts.waiting > 0 ? &look->counts.serving : &look->counts.idle) +=
        keeper->inspect.census.counts[CENSUS_BOX_RIDDLE];
    keeper->seen.backlog = state.backlog;
}

static unsigned keeper_most(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static void keeper_sum(const struct census *census, struct keeper_look *look)
{
    const unsigned *counts = census->counts;
    look->counts.starting = counts[CENSUS_STARTING];
    look->counts.idle = counts[CENSUS_IDLE] + counts[CENSUS_BOX_IDLE];
    look->counts.serving = counts[CENSUS_SERVING] + counts[CENSUS_BOX_SERVING];
    look->counts.post = counts[CENSUS_POST];
    look->speaking = counts[CENSUS_IDLE] + counts[CENSUS_SERVING] + counts[CENSUS_POST];
}

static struct keeper_look keeper_look(struct keeper *keeper)
{
    struct pool *pool = keeper->pool;
    struct keeper_look look = {0};
    keeper_sum(&keeper->inspect.census, &look);
    keeper_look_at_queue(keeper, &look);
    unsigned accepting = look.counts.idle + look.counts.serving + look.counts.post;
    pool_bequeath(pool, look.speaking > 0, look.speaking > 0);
    if (pool_hand_over(pool, accepting))
        keeper->first_due = keeper->first_due && accepting + look.counts.starting < pool->first;
    look.counts.first = keeper->first_due ? pool->first : 0;
    look.counts.room = keeper->room(keeper->context);
    struct keeper_seen *seen = &keeper->seen;
    seen->counts = look.counts;
    seen->most_waiting = keeper_most(seen->most_waiting, look.counts.waiting);
    seen->most_post = keeper_most(seen->most_post, look.counts.post);
    seen->most_active = keeper_most(seen->most_active, look.counts.serving + look.counts.post);
    return look;
}

/* ---- decide ---- */

static struct scale_limits keeper_limits(const struct conf_pool *settings)
{
    static const enum scale_kind kinds[] = {
        [CONF_PM_STATIC] = SCALE_STATIC,
        [CONF_PM_DYNAMIC] = SCALE_DYNAMIC,
        [CONF_PM_ONDEMAND] = SCALE_ONDEMAND,
    };
    return (struct scale_limits){
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
static bool keeper_over_ends(struct keeper *keeper, const struct keeper_look *look, unsigned budget,
                             int64_t now)
{
    if (!keeper->over.on || look->counts.post > budget / 4 * 3) {
        keeper->over_quiet = 0;
        return false;
    }
    if (keeper->over_quiet == 0)
        keeper->over_quiet = now;
    return now - keeper->over_quiet >= KEEPER_QUIET && log_episode_end(&keeper->over);
}

static void keeper_tell_over(struct keeper *keeper, const struct keeper_look *look, unsigned over,
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
    } else if (keeper_over_ends(keeper, look, budget, now)) {
        log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = pool->name},
                  "pool %s: post-response work is within `post_response.max_children` again",
                  pool->name);
    }
}

/* A pool that is full again a moment after it was not has been full all the time, to a reader; and
 * one that was full for a moment alone was not. */
static void keeper_tell_full(struct keeper *keeper, const struct keeper_look *look,
                             enum scale_limit limit, int64_t now)
{
    struct pool *pool = keeper->pool;
    const char *directive = limit == SCALE_AT_PROCESS_MAX ? "process.max" : "pm.max_children";
    if (limit == SCALE_NO_LIMIT || look->counts.waiting == 0) {
        if (look->counts.idle > 0 && keeper->full_eased == 0)
            keeper->full_eased = now;
        keeper->full_since = 0;
        return;
    }
    if (keeper->full_since == 0)
        keeper->full_since = now;
    if (now - keeper->full_since < KEEPER_FULL_AFTER)
        return;
    if (keeper->full_eased != 0 && now - keeper->full_eased >= KEEPER_QUIET)
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
static int64_t keeper_request_limit(const struct keeper *keeper)
{
    int64_t limit = pool_settings(keeper->pool)->request_terminate_timeout;
    int64_t slow = (int64_t)(slowlog_limit(keeper->pool->slowlog) / KEEPER_NS);
    return limit == 0 || (slow > 0 && slow < limit) ? slow : limit;
}

/* What has to ring so that no limit passes unseen. A request that begins needs not, where all
 * workers are looked at before it can be over its limit. */
static uint32_t keeper_want_for_limits(const struct keeper *keeper)
{
    uint32_t want = 0;
    if (pool_settings(keeper->pool)->post_response_terminate_timeout > 0 ||
        slowlog_post_limit(keeper->pool->slowlog) > 0)
        want |= OT_WANT_ENTER(OT_STATE_POST);
    if (keeper_request_limit(keeper) > 0 && !keeper->inspect.timed)
        want |= OT_WANT_ENTER(OT_STATE_RUNNING);
    return want;
}

/* Every change that the turn which goes on may find that it has to follow. */
static uint32_t keeper_want_most(const struct keeper *keeper)
{
    uint32_t want = OT_WANT_ENTER(OT_STATE_POST) | OT_WANT_LEAVE(OT_STATE_STARTING);
    if (pool_settings(keeper->pool)->pm == CONF_PM_DYNAMIC || keeper_request_limit(keeper) > 0)
        want |= OT_WANT_ENTER(OT_STATE_RUNNING);
    return want;
}

static void keeper_want_of_older(const struct keeper *keeper, uint32_t want)
{
    for (const struct generation *g = keeper->pool->older; g != NULL; g = g->older)
        scoreboard_want(&g->scoreboard, want);
}

/* What is taken for a black box may only be slow to say that it is none. */
static bool keeper_sees_boxes(const struct keeper *keeper)
{
    const unsigned *counts = keeper->inspect.census.counts;
    return counts[CENSUS_BOX_IDLE] + counts[CENSUS_BOX_SERVING] + counts[CENSUS_BOX_RIDDLE] > 0;
}

/* Requests are told of only where a limit has to be timed and nothing else leads here in time. */
static void keeper_want(struct keeper *keeper, const struct keeper_look *look,
                        const struct scale_verdict *verdict)
{
    const struct conf_pool *settings = pool_settings(keeper->pool);
    const struct generation *generation = keeper->pool->current;
    bool spare = settings->pm == CONF_PM_DYNAMIC && look->counts.serving == 0;
    uint32_t limits = keeper_want_for_limits(keeper);
    uint32_t want = limits | OT_WANT_ENTER(OT_STATE_POST);
    if (look->counts.starting > 0 || verdict->spawn > 0 || keeper_sees_boxes(keeper))
        want |= OT_WANT_LEAVE(OT_STATE_STARTING);
    if (spare)
        want |= OT_WANT_ENTER(OT_STATE_RUNNING);
    scoreboard_want(&generation->scoreboard, want);
    keeper_want_of_older(keeper, limits);
}

/* An arrival that led to nothing was taken by a worker that was awake: under load every one is, so
 * the next ones are not listened for, for a while. */
static void keeper_listen(struct keeper *keeper, const struct scale_verdict *verdict, int64_t now,
                          bool started)
{
    if (started)
        (void)arrival_requeue(&keeper->arrival);
    if (arrival_watch(&keeper->arrival, verdict->watch && now >= keeper->deaf_until) != 0)
        log_about(LOG_LEVEL_ERROR, &(struct log_about){.pool = keeper->pool->name},
                  "pool %s: cannot watch its socket: %s", keeper->pool->name, strerror(errno));
}

static void keeper_turn_deaf(struct keeper *keeper, int64_t now)
{
    if (keeper->deafness == 0 || now - keeper->arrived > KEEPER_DEAF_FORGET)
        keeper->deafness = KEEPER_DEAF_FIRST;
    else if (keeper->deafness < KEEPER_DEAF_LONGEST)
        keeper->deafness *= 2;
    keeper->arrived = now;
    keeper->deaf_until = now + keeper->deafness;
}

/* Where all workers are retired there is no heir: what they left would have one started for it. */
static void keeper_bequeath(const struct keeper *keeper, const struct keeper_look *look,
                            const struct scale_verdict *verdict)
{
    bool replaced = pool_settings(keeper->pool)->pm == CONF_PM_STATIC;
    pool_bequeath(keeper->pool, replaced || look->speaking > verdict->retire, look->speaking > 0);
}

/* ---- the turn ---- */

static int64_t keeper_sooner(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* At a moment (ms), negative = not at all. Timed from the clock as it is: turns of several pools
 * that are due in the same millisecond come with one wake-up. */
static void keeper_schedule(struct keeper *keeper, int64_t moment)
{
    ev_timer_stop(keeper->loop, &keeper->turn);
    if (moment < 0)
        return;
    int64_t left = moment * KEEPER_NS - clock_ns();
    ev_now_update(keeper->loop);
    ev_timer_set(&keeper->turn, left > 0 ? (double)left / 1e9 : 0., 0.);
    ev_timer_start(keeper->loop, &keeper->turn);
}

/* The next turn that no event leads to comes `in` ms after `now`, negative = none. When all are to
 * be looked at stays as it was, unless that was now, or has to be sooner. */
static void keeper_come_again(struct keeper *keeper, bool looked, bool whole, int64_t in,
                              int64_t now)
{
    int64_t moment = in < 0 ? -1 : now + in;
    if (looked)
        keeper->whole_at = -1;
    if (whole)
        keeper->whole_at = keeper_sooner(keeper->whole_at, moment);
    keeper->again_at = whole ? -1 : moment;
    keeper_schedule(keeper, keeper_sooner(keeper->whole_at, keeper->again_at));
}

/* ms from `now` to `moment`; what has passed already comes at once, but not within this turn. */
static int64_t keeper_left(int64_t moment, int64_t now)
{
    return moment > now ? moment - now : 1;
}

/* ms until all have to be looked at for their limits or their memory; -1 = never. */
static int64_t keeper_next_limit(const struct keeper *keeper, int64_t now)
{
    int64_t next = -1, memory = inspect_memory_at(&keeper->inspect);
    if (keeper->inspect.timed && keeper_request_limit(keeper) > 0)
        next = keeper_left(keeper->inspect.all_at + keeper_request_limit(keeper), now);
    if (memory >= 0)
        next = keeper_sooner(next, keeper_left(memory, now));
    return next;
}

/* ms until the next turn that no event leads to, -1 = none. */
static int64_t keeper_next(const struct keeper *keeper, const struct scale_verdict *verdict,
                           int64_t backoff, int64_t now)
{
    int64_t next = verdict->again;
    if (backoff > 0)
        next = keeper_sooner(next, backoff);
    if (verdict->watch && keeper->deaf_until > now)
        next = keeper_sooner(next, keeper->deaf_until - now);
    if (keeper->full_since != 0 && !keeper->full.on)
        next = keeper_sooner(next, keeper_left(keeper->full_since + KEEPER_FULL_AFTER, now));
    if (keeper->over.on && keeper->over_quiet != 0)
        next = keeper_sooner(next, keeper->over_quiet + KEEPER_QUIET - now);
    return keeper_sooner(next, keeper_next_limit(keeper, now));
}

/* Is what the next turn comes for to be seen by a look at all? Not where some start, and enough;
 * and how many are idle is a static pool's affair only when its queue does not move. */
static bool keeper_needs_all(const struct keeper *keeper, const struct scale_counts *counts)
{
    bool fixed = pool_settings(keeper->pool)->pm == CONF_PM_STATIC;
    bool patient = fixed && keeper->memory.patience < KEEPER_STUCK;
    return (counts->waiting > counts->starting && !patient) || (counts->serving > 0 && !fixed) ||
           keeper->memory.since != 0 || keeper->inspect.timed ||
           inspect_memory_at(&keeper->inspect) >= 0;
}

/* What a pool that stops still needs: how many workers there shall be is decided. */
static void keeper_turn_to_limits(struct keeper *keeper, bool looked, int64_t now)
{
    uint32_t want = keeper_want_for_limits(keeper);
    scoreboard_want(&keeper->pool->current->scoreboard, want);
    keeper_want_of_older(keeper, want);
    keeper_come_again(keeper, looked, true, keeper_next_limit(keeper, now), now);
}

static void keeper_turn_to_workers(struct keeper *keeper, enum keeper_cause cause, bool looked,
                                   int64_t now)
{
    struct pool *pool = keeper->pool;
    unsigned starting = keeper->seen.counts.starting;
    int64_t backoff = pool_may_start_in(pool, now);
    struct keeper_look look = keeper_look(keeper);
    struct scale_limits limits = keeper_limits(pool_settings(pool));
    struct scale_verdict verdict = scale_decide(&limits, &look.counts, &keeper->memory, now);
    keeper_tell_over(keeper, &look, verdict.over, now);
    if (backoff > 0 && verdict.spawn > 0) {
        verdict.spawn = 0;
        verdict.again = -1;
        verdict.watch = false;
    }
    keeper_want(keeper, &look, &verdict);
    keeper_bequeath(keeper, &look, &verdict);
    /* Who takes a dead one's slot wipes it: what that one did has to be told before. */
    if (verdict.spawn > 0 && pool->older != NULL)
        keeper->turned(keeper);
    pool_spawn(pool, verdict.spawn, scale_reason_name(verdict.reason));
    pool_retire(pool, verdict.retire, scale_reason_name(verdict.reason));
    keeper_tell_full(keeper, &look, verdict.limit, now); /* of those just started, too */
    if (verdict.spawn > 0)
        keeper->deafness = keeper->deaf_until = 0;
    else if (cause == KEEPER_BY_ARRIVAL)
        keeper_turn_deaf(keeper, now);
    keeper_listen(keeper, &verdict, now, starting > 0 || verdict.spawn > 0);
    keeper_come_again(keeper, looked, keeper_needs_all(keeper, &look.counts),
                      keeper_next(keeper, &verdict, pool_may_start_in(pool, now), now), now);
    keeper->turned(keeper);
    if (look.counts.first > 0 && verdict.limit == SCALE_AT_PROCESS_MAX)
        pool_limit_first(pool, pool_staying(pool));
}

/* Is what led here explained by those that the pool knows to have changed? Others are looked at
 * only if not: the doorbell does not tell who rang, and where a request that was timed is over, the
 * worker's next one is no more its own affair than anybody's. */
static bool keeper_look_suffices(struct keeper *keeper, enum keeper_cause cause)
{
    switch (cause) {
    case KEEPER_BY_TIME: /* when it is not time for all of them */
    case KEEPER_BY_NEWS:
        return true;
    case KEEPER_BY_RING:
        return inspect_knows_who_rang(&keeper->inspect, keeper->rings);
    case KEEPER_BY_LIMIT:
        return keeper->inspect.passed > 0;
    case KEEPER_BY_ARRIVAL:
    default:
        return false;
    }
}

/* What changes between the look and the choice of what rings has to ring as well. */
static void keeper_look_around(struct keeper *keeper, int64_t now)
{
    uint32_t want = keeper_want_most(keeper);
    scoreboard_want(&keeper->pool->current->scoreboard, want);
    keeper_want_of_older(keeper, want);
    inspect_all(&keeper->inspect, now);
    keeper->whole = false;
}

static void keeper_serve(struct keeper *keeper);

static void keeper_turn(struct keeper *keeper, enum keeper_cause cause)
{
    int64_t now = clock_ms();
    keeper_serve(keeper); /* first: what is swept is not watched any more */
    pool_sweep(keeper->pool);
    /* The loop's timers may be a moment early. */
    bool whole = keeper->whole || (keeper->whole_at >= 0 && now + 1 >= keeper->whole_at);
    if (!whole) {
        inspect_touched(&keeper->inspect, now);
        whole = !keeper_look_suffices(keeper, cause);
    }
    if (whole)
        keeper_look_around(keeper, now);
    if (keeper->pool->stop == POOL_STAY)
        keeper_turn_to_workers(keeper, cause, whole, now);
    else
        keeper_turn_to_limits(keeper, whole, now);
}

static void keeper_on_turn(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct keeper *keeper = timer->data;
    enum keeper_cause cause = keeper->news ? KEEPER_BY_NEWS : KEEPER_BY_TIME;
    (void)loop;
    (void)events;
    keeper->news = false;
    keeper_turn(keeper, cause);
}

/* Turns come from the loop alone, never from within what the pool is about to do. */
void keeper_poke(struct keeper *keeper)
{
    keeper->whole = true;
    keeper_schedule(keeper, 0);
}

void keeper_news(struct keeper *keeper)
{
    keeper->news = true;
    keeper_schedule(keeper, 0);
}

static void keeper_on_limit(void *context)
{
    keeper_turn(context, KEEPER_BY_LIMIT);
}

static void keeper_on_ring(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct keeper *keeper = io->data;
    if (read(io->fd, &keeper->rings, sizeof keeper->rings) != (ssize_t)sizeof keeper->rings)
        return;
    int64_t now = clock_ms();
    int64_t gap = keeper->rang + KEEPER_RING_GAP - now;
    if (gap > 0) {
        inspect_deafen(&keeper->inspect);
        scoreboard_want(&keeper->pool->current->scoreboard, 0);
        keeper_want_of_older(keeper, 0);
        keeper_come_again(keeper, false, true, gap, now);
        return;
    }
    keeper->rang = now;
    keeper_turn(keeper, KEEPER_BY_RING);
}

static void keeper_on_arrival(void *context)
{
    struct keeper *keeper = context;
    if (keeper->served != keeper->pool->current)
        keeper_poke(keeper);
    else
        keeper_turn(keeper, KEEPER_BY_ARRIVAL);
}

/* ---- which generation is looked after ---- */

static void keeper_unserve(struct keeper *keeper)
{
    ev_io_stop(keeper->loop, &keeper->doorbell);
    arrival_close(&keeper->arrival);
    inspect_end(&keeper->inspect);
    keeper->served = NULL;
}

/* Doorbell and sockets of the current generation are watched. */
static void keeper_serve(struct keeper *keeper)
{
    const struct generation *generation = keeper->pool->current;
    bool stops = keeper->pool->stop != POOL_STAY;
    if (stops)
        arrival_close(&keeper->arrival);
    if (keeper->served == generation)
        return;
    keeper_unserve(keeper);
    keeper->served = generation;
    keeper->whole = true;
    keeper->first_due = true;
    if (inspect_begin(&keeper->inspect, generation) != 0)
        log_about(LOG_LEVEL_ERROR, &(struct log_about){.pool = keeper->pool->name},
                  "pool %s: out of memory: its workers cannot be counted", keeper->pool->name);
    ev_io_init(&keeper->doorbell, keeper_on_ring, generation->doorbell_fd, EV_READ);
    keeper->doorbell.data = keeper;
    ev_io_start(keeper->loop, &keeper->doorbell);
    if (!stops && arrival_open(&keeper->arrival, keeper->loop, keeper->pool->listener.fd,
                               generation->handoff[0], keeper_on_arrival, keeper) != 0)
        log_about(LOG_LEVEL_ERROR, &(struct log_about){.pool = keeper->pool->name},
                  "pool %s: cannot watch its socket: %s; check `rlimit_files` in [global]",
                  keeper->pool->name, strerror(errno));
}

void keeper_open(struct keeper *keeper, struct pool *pool, struct queue *queue,
                 unsigned (*room)(void *context), void *context,
                 void (*turned)(struct keeper *keeper))
{
    *keeper = (struct keeper){
        .pool = pool,
        .loop = pool->loop,
        .queue = queue,
        .room = room,
        .context = context,
        .turned = turned,
        .arrival = ARRIVAL_NONE,
        .inspect = {.pool = pool, .due = keeper_on_limit, .context = keeper},
        .whole_at = -1,
        .again_at = -1,
    };
    ev_timer_init(&keeper->turn, keeper_on_turn, 0., 0.);
    keeper->turn.data = keeper;
    ev_init(&keeper->doorbell, keeper_on_ring);
}

void keeper_resume(struct keeper *keeper, bool first_due)
{
    keeper_serve(keeper);
    keeper->first_due = first_due;
}

void keeper_rest(struct keeper *keeper)
{
    ev_timer_stop(keeper->loop, &keeper->turn);
    keeper_unserve(keeper);
}
