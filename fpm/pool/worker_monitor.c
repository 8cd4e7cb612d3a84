/* worker_monitor.c: see worker_monitor.h. */
#include "fpm/pool/worker_monitor.h"

#include "fpm/pool/limit_enforcer.h"
#include "sapi-shim/util/clock.h"
#include "fpm/worker/proc_activity.h"

#include <stddef.h>

enum {
    WORKER_MONITOR_RING_LATE = 50, /* ms after which one that was seen to have started has rung */
    WORKER_MONITOR_BOX_START =
        250, /* ms that a worker without the library is taken to need to start */
    WORKER_MONITOR_SLOW_START = 5000, /* ms, where others of the pool have the library */
    WORKER_MONITOR_MEMORY_LOOK =
        1000, /* ms between looks at the workers' memory, on whole seconds */
};

/* ---- memory ---- */

static bool worker_monitor_checks_memory(const struct worker_monitor *inspect)
{
    const struct config_pool *limits = pool_settings(inspect->pool);
    return (limits->pm_max_memory > 0 || limits->pm_max_memory_hard > 0) &&
           pool_live(inspect->pool) > 0;
}

static bool worker_monitor_memory_due(struct worker_monitor *inspect, int64_t now)
{
    if (!worker_monitor_checks_memory(inspect) || now < inspect->memory_at)
        return false;
    inspect->memory_at = now - now % WORKER_MONITOR_MEMORY_LOOK + WORKER_MONITOR_MEMORY_LOOK;
    return true;
}

/* ---- one worker ---- */

/* What the kernel tells of a worker without the library. */
static enum census_kind worker_monitor_box(const struct worker *worker)
{
    switch (proc_activity_doing(worker->pid)) {
    case PROC_ACTIVITY_WAITING:
        return CENSUS_BOX_IDLE;
    case PROC_ACTIVITY_BUSY:
        return CENSUS_BOX_SERVING;
    case PROC_ACTIVITY_UNKNOWN:
    default:
        return CENSUS_BOX_RIDDLE;
    }
}

static enum census_kind worker_monitor_kind(const struct worker_monitor *inspect,
                                            const struct generation_member *member,
                                            const struct scoreboard_glance *glance, int64_t now)
{
    static const enum census_kind kinds[SCOREBOARD_PHASES] = {
        [SCOREBOARD_BLACK_BOX] = CENSUS_STARTING, [SCOREBOARD_STARTING] = CENSUS_STARTING,
        [SCOREBOARD_IDLE] = CENSUS_IDLE,          [SCOREBOARD_SERVING] = CENSUS_SERVING,
        [SCOREBOARD_POST] = CENSUS_POST,          [SCOREBOARD_LEAVING] = CENSUS_LEAVING,
    };
    const struct worker *worker = &member->worker;
    int64_t start = inspect->speaking ? WORKER_MONITOR_SLOW_START : WORKER_MONITOR_BOX_START;
    if (!generation_member_stays(member))
        return CENSUS_NONE;
    if (glance->phase == SCOREBOARD_BLACK_BOX && worker->state == WORKER_RUNNING &&
        now - worker->started >= start)
        return worker_monitor_box(worker);
    /* One that was interrupted on its way from its start to its first wait is not busy yet. */
    if (glance->changing && now - worker->started < WORKER_MONITOR_SLOW_START)
        return census_kind(&inspect->census, member->slot, CENSUS_STARTING);
    return kinds[glance->phase];
}

static void worker_monitor_on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    char *member = (char *)timer - offsetof(struct generation_member, limit);
    struct worker_monitor *inspect = timer->data;
    (void)loop;
    (void)events;
    ((struct generation_member *)member)->limit_at = 0;
    generation_touch((struct generation_member *)member);
    inspect->due(inspect->context);
}

/* The worker is looked at again at this moment (ns, rounded up to a ms), 0 = not for a limit. */
static void worker_monitor_time(struct worker_monitor *inspect, struct generation_member *member,
                                uint64_t moment)
{
    if (member->limit_at == moment)
        return;
    ev_timer_stop(inspect->pool->loop, &member->limit);
    member->limit_at = moment;
    if (moment == 0)
        return;
    int64_t left =
        ((int64_t)(moment - 1) / CLOCK_NS_PER_MS + 1) * CLOCK_NS_PER_MS - (int64_t)clock_ns();
    ev_timer_init(&member->limit, worker_monitor_on_limit, left > 0 ? (double)left / 1e9 : 0., 0.);
    member->limit.data = inspect;
    ev_timer_start(inspect->pool->loop, &member->limit);
}

/* One worker: its limits, the slow log, what it counts as. */
static void worker_monitor_member(struct worker_monitor *inspect, struct generation_member *member,
                                  bool memory, int64_t now)
{
    struct pool *pool = inspect->pool;
    bool counts = member->generation == inspect->counted;
    uint64_t again = 0;
    if (member->worker.state == WORKER_NONE) {
        if (counts)
            (void)census_note(&inspect->census, member->slot, CENSUS_NONE);
        inspect->settled = 0; /* it may have died before it rang */
        return;
    }
    struct scoreboard_glance glance =
        scoreboard_glance(&member->generation->scoreboard, member->slot);
    enum exit_cause_ask asked = member->asked;
    limit_enforcer_check(pool, member, &glance, &again);
    unsigned slow = slow_log_look(pool->slowlog, member, &glance, &again);
    pool->totals.slow += slow;
    inspect->passed += slow + (asked != member->asked);
    inspect->timed = inspect->timed || again != 0 || glance.changing;
    if (again != 0 || !glance.changing)
        worker_monitor_time(inspect, member, again);
    if (memory)
        limit_enforcer_check_memory(pool, member, &glance);
    if (!counts)
        return;
    enum census_kind kind = worker_monitor_kind(inspect, member, &glance, now);
    enum census_kind before = census_note(&inspect->census, member->slot, kind);
    /* The end of these rings, or not at all: they are looked at whenever anybody is. */
    if (kind == CENSUS_STARTING || kind == CENSUS_POST || glance.changing)
        generation_touch(member);
    bool young = before == CENSUS_STARTING || before == CENSUS_NONE;
    bool speaks = kind == CENSUS_IDLE || kind == CENSUS_SERVING || kind == CENSUS_POST;
    if (young && speaks) {
        inspect->settled++;
        inspect->settled_at = now;
    }
}

/* ---- many ---- */

/* Those that have changed their state or are in their start. */
static void worker_monitor_list(struct worker_monitor *inspect, struct generation *generation,
                                bool memory, int64_t now)
{
    struct generation_member *next, *member = generation_take_touched(generation);
    for (; member != NULL; member = next) {
        next = member->next_touched;
        worker_monitor_member(inspect, member, memory, now);
    }
}

/* The list of touched ones is taken first: it is made anew by the look. */
static void worker_monitor_generation(struct worker_monitor *inspect, struct generation *generation,
                                      bool memory, int64_t now)
{
    (void)generation_take_touched(generation);
    for (unsigned i = 0; i < generation->size; i++)
        worker_monitor_member(inspect, &generation->members[i], memory, now);
}

static void worker_monitor_look(struct worker_monitor *inspect, bool all, int64_t now)
{
    bool memory = all && worker_monitor_memory_due(inspect, now);
    void (*look)(struct worker_monitor *, struct generation *, bool, int64_t) =
        all ? worker_monitor_generation : worker_monitor_list;
    const unsigned *counts = inspect->census.counts;
    inspect->passed = 0;
    if (now - inspect->settled_at > WORKER_MONITOR_RING_LATE)
        inspect->settled = 0;
    ev_now_update(inspect->pool->loop);
    look(inspect, inspect->pool->current, memory, now);
    for (struct generation *g = inspect->pool->older; g != NULL; g = g->older)
        look(inspect, g, memory, now);
    if (counts[CENSUS_IDLE] + counts[CENSUS_SERVING] + counts[CENSUS_POST] > 0)
        inspect->speaking = true;
}

void worker_monitor_touched(struct worker_monitor *inspect, int64_t now)
{
    worker_monitor_look(inspect, false, now);
}

void worker_monitor_all(struct worker_monitor *inspect, int64_t now)
{
    inspect->timed = false;
    worker_monitor_look(inspect, true, now);
    inspect->all_at = now;
    inspect->settled = 0; /* who was found by this look may have been heard already */
}

/* Each worker that is found to have started rings once, before that or after. */
bool worker_monitor_knows_who_rang(struct worker_monitor *inspect, uint64_t rings)
{
    if (rings > inspect->settled)
        return false;
    inspect->settled -= rings;
    return true;
}

void worker_monitor_deafen(struct worker_monitor *inspect)
{
    inspect->settled = 0;
}

int64_t worker_monitor_memory_at(const struct worker_monitor *inspect)
{
    return worker_monitor_checks_memory(inspect) ? inspect->memory_at : -1;
}

/* ---- of whom ---- */

int worker_monitor_begin(struct worker_monitor *inspect, const struct generation *generation)
{
    inspect->counted = generation;
    inspect->speaking = false;
    return census_begin(&inspect->census, generation->size);
}

void worker_monitor_end(struct worker_monitor *inspect)
{
    census_end(&inspect->census);
    inspect->counted = NULL;
}
