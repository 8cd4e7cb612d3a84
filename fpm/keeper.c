/* keeper.c: see keeper.h. */
#include "fpm/keeper.h"

#include "fpm/blackbox.h"
#include "fpm/clock.h"
#include "fpm/obituary.h"
#include "fpm/overdue.h"
#include "fpm/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
    KEEPER_RING_GAP = 5,      /* ms between two turns by the doorbell */
    KEEPER_DEAF_FIRST = 2,    /* ms without arrivals after one that led to nothing, doubled up to */
    KEEPER_DEAF_LONGEST = 64, /* ms */
    KEEPER_DEAF_FORGET = 1000, /* ms after which deafness begins anew */
    KEEPER_BOX_START = 250,    /* ms that a worker without the library is taken to need to start */
    KEEPER_MEMORY_LOOK = 1000, /* ms between looks at the workers' memory */
    KEEPER_OLDER_LOOK = 100    /* ms between looks at older workers that serve and do not ring */
};

#define KEEPER_NS 1000000 /* in a millisecond */

/* Every change that a turn may have to follow. */
#define KEEPER_WANT_ALL                                                                            \
    (OT_WANT_ENTER(OT_STATE_IDLE) | OT_WANT_ENTER(OT_STATE_RUNNING) | OT_WANT_ENTER(OT_STATE_POST))

/* Everything one look at the workers found. */
struct keeper_look {
    struct scale_counts counts;
    unsigned speaking;   /* with the library, past their start */
    unsigned boxes;      /* without the library, past their start */
    unsigned riddles;    /* of these, in an unknown state */
    uint64_t overdue_at; /* ns: the next limit passes then, 0 = none */
};

/* ---- limits ---- */

/* TERM, then KILL after hard_timeout, with a line that says what was cut off. */
static void keeper_terminate(const struct keeper *keeper, struct generation_member *member,
                             enum ending_ask why, const char *cause)
{
    const struct generation *generation = member->generation;
    struct view view;
    char doing[OBITUARY_MAX], grace[32];
    scoreboard_look(&generation->scoreboard, member->slot, &view);
    obituary_doing(&view, clock_ns(), doing, sizeof doing);
    text_duration(generation->pool->hard_timeout, grace, sizeof grace);
    const struct log_about about = {keeper->pool->name, member->worker.pid, member->slot};
    log_about(LOG_LEVEL_WARNING, &about,
              "pool %s: worker %d (slot %u) is ended %s: %s; TERM now, KILL in %s",
              keeper->pool->name, (int)member->worker.pid, member->slot, doing, cause, grace);
    generation_end(member, why, generation->pool->hard_timeout);
}

static void keeper_terminate_late(const struct keeper *keeper, struct generation_member *member,
                                  enum ending_ask why, int64_t limit)
{
    char cause[128], allowed[32];
    text_duration(limit, allowed, sizeof allowed);
    snprintf(cause, sizeof cause, "%s = %s", ending_ask_name(why), allowed);
    keeper_terminate(keeper, member, why, cause);
}

static bool keeper_may_terminate(const struct generation_member *member)
{
    return member->asked != ENDING_REQUEST && member->asked != ENDING_POST &&
           member->asked != ENDING_MEMORY_HARD;
}

static void keeper_check_limits(const struct keeper *keeper, struct generation_member *member,
                                const struct scoreboard_glance *glance, struct keeper_look *look)
{
    const struct conf_pool *limits = pool_settings(keeper->pool);
    struct overdue_facts facts = {
        .running_since = glance->running_since,
        .finished_since = glance->finished_since,
        .request_limit = (uint64_t)limits->request_terminate_timeout * KEEPER_NS,
        .post_limit = (uint64_t)limits->post_response_terminate_timeout * KEEPER_NS,
        .now = (uint64_t)clock_ns(),
    };
    uint64_t again = 0;
    if (!keeper_may_terminate(member))
        return;
    switch (overdue_check(&facts, &again)) {
    case OVERDUE_REQUEST:
        keeper_terminate_late(keeper, member, ENDING_REQUEST, limits->request_terminate_timeout);
        break;
    case OVERDUE_POST:
        keeper_terminate_late(keeper, member, ENDING_POST, limits->post_response_terminate_timeout);
        break;
    case OVERDUE_NOTHING:
    default:
        if (again != 0 && (look->overdue_at == 0 || again < look->overdue_at))
            look->overdue_at = again;
    }
}

/* ---- memory ---- */

/* After a request is the library's part; here is what happens inside one, and all of a black box.
 */
static void keeper_check_memory(const struct keeper *keeper, struct generation_member *member,
                                const struct scoreboard_glance *glance)
{
    const struct conf_pool *limits = pool_settings(keeper->pool);
    const struct worker *worker = &member->worker;
    bool box = glance->phase == SCOREBOARD_BLACK_BOX;
    bool soft = limits->pm_max_memory > 0 && (box || glance->phase == SCOREBOARD_IDLE);
    uint64_t used = 0;
    if (worker->state != WORKER_RUNNING && worker->state != WORKER_STOPPING)
        return;
    if ((limits->pm_max_memory_hard == 0 && !soft) || blackbox_memory(worker->pid, &used) != 0)
        return;
    if (limits->pm_max_memory_hard > 0 && used > (uint64_t)limits->pm_max_memory_hard &&
        keeper_may_terminate(member)) {
        char cause[128];
        snprintf(cause, sizeof cause, "it uses %" PRIu64 " KiB, above `pm.max_memory_hard`",
                 used / 1024);
        keeper_terminate(keeper, member, ENDING_MEMORY_HARD, cause);
    } else if (soft && used > (uint64_t)limits->pm_max_memory && generation_member_stays(member)) {
        log_debug("pool %s: worker %d (slot %u) is replaced: it uses %" PRIu64 " KiB, more than "
                  "pm.max_memory",
                  keeper->pool->name, (int)worker->pid, member->slot, used / 1024);
        generation_ask(member, ENDING_MEMORY,
                       member->generation->conf->global.process_control_timeout);
    }
}

static bool keeper_memory_due(struct keeper *keeper, int64_t now)
{
    const struct conf_pool *limits = pool_settings(keeper->pool);
    keeper->memory_checked = (limits->pm_max_memory > 0 || limits->pm_max_memory_hard > 0) &&
                             pool_live(keeper->pool) > 0;
    if (!keeper->memory_checked || now < keeper->memory_at)
        return false;
    keeper->memory_at = now + KEEPER_MEMORY_LOOK;
    return true;
}

/* ---- look ---- */

/* What the kernel tells of a worker without the library. */
static void keeper_count_box(struct keeper_look *look, const struct worker *worker)
{
    look->boxes++;
    switch (blackbox_doing(worker->pid)) {
    case BLACKBOX_WAITING:
        look->counts.idle++;
        break;
    case BLACKBOX_BUSY:
        look->counts.serving++;
        break;
    case BLACKBOX_UNKNOWN:
    default:
        look->riddles++;
    }
}

/* Adds a worker of the current generation that was not asked to go. */
static void keeper_count(struct keeper_look *look, const struct worker *worker,
                         const struct scoreboard_glance *glance, int64_t now)
{
    switch (glance->phase) {
    case SCOREBOARD_IDLE:
        look->counts.idle++;
        break;
    case SCOREBOARD_SERVING:
        look->counts.serving++;
        break;
    case SCOREBOARD_POST:
        look->counts.post++;
        break;
    case SCOREBOARD_LEAVING:
        break;
    case SCOREBOARD_BLACK_BOX:
        if (worker->state == WORKER_RUNNING && now - worker->started >= KEEPER_BOX_START) {
            keeper_count_box(look, worker);
            break;
        }
        /* fall through */
    default:
        look->counts.starting++;
    }
}

static void keeper_look_at(struct keeper *keeper, struct generation *generation,
                           struct keeper_look *look, bool memory, int64_t now)
{
    for (unsigned i = 0; i < generation->size; i++) {
        struct generation_member *member = &generation->members[i];
        if (member->worker.state == WORKER_NONE)
            continue;
        struct scoreboard_glance glance = scoreboard_glance(&generation->scoreboard, i);
        keeper_check_limits(keeper, member, &glance, look);
        keeper->pool->totals.slow +=
            slowlog_look(keeper->pool->slowlog, member, &glance, &look->overdue_at);
        if (memory)
            keeper_check_memory(keeper, member, &glance);
        if (generation == keeper->pool->current && generation_member_stays(member))
            keeper_count(look, &member->worker, &glance, now);
    }
}

/* Of what is in an unknown state: it would take what waits at once, if it could. */
static void keeper_look_at_queue(struct keeper *keeper, struct keeper_look *look)
{
    const struct pool *pool = keeper->pool;
    struct queue_state state = {0};
    if (queue_look(keeper->queue, pool->listener.fd, &state) != 0)
        state = (struct queue_state){0};
    look->counts.waiting = state.waiting + socket_pending(pool->current->handoff[0]);
    *(look->counts.waiting > 0 ? &look->counts.serving : &look->counts.idle) += look->riddles;
    keeper->seen.backlog = state.backlog;
}

static unsigned keeper_most(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static struct keeper_look keeper_look(struct keeper *keeper, int64_t now)
{
    struct pool *pool = keeper->pool;
    struct keeper_look look = {0};
    bool memory = keeper_memory_due(keeper, now);
    keeper_look_at(keeper, pool->current, &look, memory, now);
    for (struct generation *g = pool->older; g != NULL; g = g->older)
        keeper_look_at(keeper, g, &look, memory, now);
    keeper_look_at_queue(keeper, &look);
    unsigned accepting = look.counts.idle + look.counts.serving + look.counts.post;
    look.speaking = accepting - look.boxes;
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

static void keeper_tell_over(struct keeper *keeper, const struct keeper_look *look, unsigned over)
{
    struct pool *pool = keeper->pool;
    unsigned budget = (unsigned)pool_settings(pool)->post_response_max_children;
    keeper->seen.over = over;
    if (over > 0 && log_episode_begin(&keeper->over)) {
        pool->totals.over_budget++;
        log_about(LOG_LEVEL_WARNING, &(struct log_about){.pool = pool->name},
                  "pool %s: %u workers are in post-response work, more than "
                  "`post_response.max_children` = %u: those above it count as serving and take "
                  "room from requests; raise it, shorten the work, or bound it by "
                  "`post_response.time_limit`",
                  pool->name, look->counts.post, budget);
    } else if (look->counts.post <= budget / 4 * 3 && log_episode_end(&keeper->over)) {
        log_about(LOG_LEVEL_NOTICE, &(struct log_about){.pool = pool->name},
                  "pool %s: post-response work is within `post_response.max_children` again",
                  pool->name);
    }
}

static void keeper_tell_full(struct keeper *keeper, const struct keeper_look *look,
                             enum scale_limit limit)
{
    struct pool *pool = keeper->pool;
    const char *directive = limit == SCALE_AT_PROCESS_MAX ? "process.max" : "pm.max_children";
    if (limit != SCALE_NO_LIMIT && look->counts.waiting > 0) {
        if (!log_episode_begin(&keeper->full))
            return;
        pool->totals.at_max++;
        log_about(LOG_LEVEL_WARNING, &(struct log_about){.pool = pool->name},
                  "pool %s: %u connection%s and all workers that `%s` allows are busy; raise "
                  "it, or make requests shorter",
                  pool->name, look->counts.waiting, look->counts.waiting == 1 ? " waits" : "s wait",
                  directive);
    } else if (look->counts.idle > 0) {
        (void)log_episode_end(&keeper->full);
    }
}

/* ---- act: listen for the next event ---- */

/* Could a request that begins now reach a limit before the turn that is timed already? */
static bool keeper_has_to_time(const struct keeper *keeper, const struct keeper_look *look)
{
    uint64_t limit = (uint64_t)pool_settings(keeper->pool)->request_terminate_timeout * KEEPER_NS;
    uint64_t slow = slowlog_limit(keeper->pool->slowlog);
    if (limit == 0 || (slow > 0 && slow < limit))
        limit = slow;
    return limit > 0 && (look->overdue_at == 0 || look->overdue_at > (uint64_t)clock_ns() + limit);
}

/* Requests are told of only where a limit has to be timed and nothing else leads here in time. */
static void keeper_want(struct keeper *keeper, const struct keeper_look *look,
                        const struct scale_verdict *verdict)
{
    const struct conf_pool *settings = pool_settings(keeper->pool);
    const struct generation *generation = keeper->pool->current;
    bool spare = settings->pm == CONF_PM_DYNAMIC && look->counts.serving == 0;
    uint32_t want = OT_WANT_ENTER(OT_STATE_POST);
    if (look->counts.starting > 0 || verdict->spawn > 0)
        want |= OT_WANT_ENTER(OT_STATE_IDLE);
    if (spare || keeper_has_to_time(keeper, look))
        want |= OT_WANT_ENTER(OT_STATE_RUNNING);
    scoreboard_want(&generation->scoreboard, want);
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

/* `in`: ms, negative = not at all. */
static void keeper_schedule(struct keeper *keeper, int64_t in)
{
    ev_timer_stop(keeper->loop, &keeper->turn);
    if (in < 0)
        return;
    ev_now_update(keeper->loop);
    ev_timer_set(&keeper->turn, (double)in / 1000., 0.);
    ev_timer_start(keeper->loop, &keeper->turn);
}

/* Does the older generation take requests whose limit nobody times? It does not ring. */
static bool keeper_times_older(const struct keeper *keeper)
{
    return !keeper->pool->handed_over &&
           (pool_settings(keeper->pool)->request_terminate_timeout > 0 ||
            slowlog_limit(keeper->pool->slowlog) > 0);
}

/* ms until the next turn that no event leads to, -1 = none. */
static int64_t keeper_next(const struct keeper *keeper, const struct keeper_look *look,
                           const struct scale_verdict *verdict, int64_t backoff, int64_t now)
{
    int64_t next = verdict->again;
    if (backoff > 0)
        next = keeper_sooner(next, backoff);
    /* Rounded up, or the turn would come a moment too early, and then another one at once. */
    if (look->overdue_at != 0)
        next =
            keeper_sooner(next, ((int64_t)look->overdue_at - clock_ns() + KEEPER_NS) / KEEPER_NS);
    if (keeper_times_older(keeper))
        next = keeper_sooner(next, KEEPER_OLDER_LOOK);
    if (verdict->watch && keeper->deaf_until > now)
        next = keeper_sooner(next, keeper->deaf_until - now);
    if (keeper->memory_checked)
        next = keeper_sooner(next, keeper->memory_at > now ? keeper->memory_at - now : 1);
    return next;
}

static void keeper_serve(struct keeper *keeper);

static void keeper_turn(struct keeper *keeper)
{
    struct pool *pool = keeper->pool;
    unsigned starting = keeper->seen.counts.starting;
    if (pool->stop != POOL_STAY)
        return;
    keeper_serve(keeper); /* first: what is swept is not watched any more */
    pool_sweep(pool);
    int64_t now = clock_ms();
    int64_t backoff = pool_may_start_in(pool);
    /* What changes between the look and the choice of what rings has to ring as well. */
    scoreboard_want(&pool->current->scoreboard, KEEPER_WANT_ALL);
    struct keeper_look look = keeper_look(keeper, now);
    struct scale_limits limits = keeper_limits(pool_settings(pool));
    struct scale_verdict verdict = scale_decide(&limits, &look.counts, &keeper->memory, now);
    keeper_tell_over(keeper, &look, verdict.over);
    if (backoff > 0 && verdict.spawn > 0) {
        verdict.spawn = 0;
        verdict.again = -1;
        verdict.watch = false;
    }
    keeper_want(keeper, &look, &verdict);
    keeper_bequeath(keeper, &look, &verdict);
    pool_spawn(pool, verdict.spawn, scale_reason_name(verdict.reason));
    pool_retire(pool, verdict.retire, scale_reason_name(verdict.reason));
    keeper_tell_full(keeper, &look, verdict.limit); /* of those just started, too */
    if (verdict.spawn > 0)
        keeper->deafness = keeper->deaf_until = 0;
    else if (keeper->by_arrival)
        keeper_turn_deaf(keeper, now);
    keeper_listen(keeper, &verdict, now, starting > 0 || verdict.spawn > 0);
    keeper_schedule(keeper, keeper_next(keeper, &look, &verdict, pool_may_start_in(pool), now));
    keeper->turned(keeper);
    if (look.counts.first > 0 && verdict.limit == SCALE_AT_PROCESS_MAX)
        pool_limit_first(pool, pool_staying(pool));
}

static void keeper_on_turn(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    keeper_turn(timer->data);
}

/* Turns come from the loop alone, never from within what the pool is about to do. */
void keeper_poke(struct keeper *keeper)
{
    if (keeper->pool->stop == POOL_STAY)
        keeper_schedule(keeper, 0);
}

static void keeper_on_ring(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct keeper *keeper = io->data;
    uint64_t rings;
    if (read(io->fd, &rings, sizeof rings) != (ssize_t)sizeof rings)
        return;
    int64_t now = clock_ms();
    int64_t gap = keeper->rang + KEEPER_RING_GAP - now;
    if (gap > 0) {
        scoreboard_want(&keeper->pool->current->scoreboard, 0);
        keeper_schedule(keeper, gap);
        return;
    }
    keeper->rang = now;
    keeper_turn(keeper);
}

static void keeper_on_arrival(void *context)
{
    struct keeper *keeper = context;
    if (keeper->served != keeper->pool->current) {
        keeper_poke(keeper);
        return;
    }
    keeper->by_arrival = true;
    keeper_turn(keeper);
    keeper->by_arrival = false;
}

/* ---- which generation is looked after ---- */

static void keeper_unserve(struct keeper *keeper)
{
    ev_io_stop(keeper->loop, &keeper->doorbell);
    arrival_close(&keeper->arrival);
    keeper->served = NULL;
}

/* Doorbell and sockets of the current generation are watched. */
static void keeper_serve(struct keeper *keeper)
{
    const struct generation *generation = keeper->pool->current;
    if (keeper->served == generation)
        return;
    keeper_unserve(keeper);
    keeper->served = generation;
    keeper->first_due = true;
    ev_io_init(&keeper->doorbell, keeper_on_ring, generation->doorbell_fd, EV_READ);
    keeper->doorbell.data = keeper;
    ev_io_start(keeper->loop, &keeper->doorbell);
    if (arrival_open(&keeper->arrival, keeper->loop, keeper->pool->listener.fd,
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
