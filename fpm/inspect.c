/* inspect.c: see inspect.h. */
#include "fpm/inspect.h"

#include "fpm/blackbox.h"
#include "fpm/clock.h"
#include "fpm/limits.h"

#include <stddef.h>

enum {
    INSPECT_RING_LATE = 50,     /* ms after which one that was seen to have started has rung */
    INSPECT_BOX_START = 250,    /* ms that a worker without the library is taken to need to start */
    INSPECT_SLOW_START = 5000,  /* ms, where others of the pool have the library */
    INSPECT_MEMORY_LOOK = 1000, /* ms between looks at the workers' memory, on whole seconds */
};

#define INSPECT_NS 1000000 /* in a millisecond */

/* ---- memory ---- */

static bool inspect_checks_memory(const struct inspect *inspect)
{
    const struct conf_pool *limits = pool_settings(inspect->pool);
    return (limits->pm_max_memory > 0 || limits->pm_max_memory_hard > 0) &&
           pool_live(inspect->pool) > 0;
}

static bool inspect_memory_due(struct inspect *inspect, int64_t now)
{
    if (!inspect_checks_memory(inspect) || now < inspect->memory_at)
        return false;
    inspect->memory_at = now - now % INSPECT_MEMORY_LOOK + INSPECT_MEMORY_LOOK;
    return true;
}

/* ---- one worker ---- */

/* What the kernel tells of a worker without the library. */
static enum census_kind inspect_box(const struct worker *worker)
{
    switch (blackbox_doing(worker->pid)) {
    case BLACKBOX_WAITING:
        return CENSUS_BOX_IDLE;
    case BLACKBOX_BUSY:
        return CENSUS_BOX_SERVING;
    case BLACKBOX_UNKNOWN:
    default:
        return CENSUS_BOX_RIDDLE;
    }
}

static enum census_kind inspect_kind(const struct inspect *inspect,
                                     const struct generation_member *member,
                                     const struct scoreboard_glance *glance, int64_t now)
{
    static const enum census_kind kinds[SCOREBOARD_PHASES] = {
        [SCOREBOARD_BLACK_BOX] = CENSUS_STARTING, [SCOREBOARD_STARTING] = CENSUS_STARTING,
        [SCOREBOARD_IDLE] = CENSUS_IDLE,          [SCOREBOARD_SERVING] = CENSUS_SERVING,
        [SCOREBOARD_POST] = CENSUS_POST,          [SCOREBOARD_LEAVING] = CENSUS_LEAVING,
    };
    const struct worker *worker = &member->worker;
    int64_t start = inspect->speaking ? INSPECT_SLOW_START : INSPECT_BOX_START;
    if (!generation_member_stays(member))
        return CENSUS_NONE;
    if (glance->phase == SCOREBOARD_BLACK_BOX && worker->state == WORKER_RUNNING &&
        now - worker->started >= start)
        return inspect_box(worker);
    /* One that was interrupted on its way from its start to its first wait is not busy yet. */
    if (glance->changing && now - worker->started < INSPECT_SLOW_START)
        return census_kind(&inspect->census, member->slot, CENSUS_STARTING);
    return kinds[glance->phase];
}

static void inspect_on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    char *member = (char *)timer - offsetof(struct generation_member, limit);
    struct inspect *inspect = timer->data;
    (void)loop;
    (void)events;
    ((struct generation_member *)member)->limit_at = 0;
    generation_touch((struct generation_member *)member);
    inspect->due(inspect->context);
}

/* The worker is looked at again at this moment (ns, rounded up to a ms), 0 = not for a limit. */
static void inspect_time(struct inspect *inspect, struct generation_member *member, uint64_t moment)
{
    if (member->limit_at == moment)
        return;
    ev_timer_stop(inspect->pool->loop, &member->limit);
    member->limit_at = moment;
    if (moment == 0)
        return;
    int64_t left = ((int64_t)(moment - 1) / INSPECT_NS + 1) * INSPECT_NS - clock_ns();
    ev_timer_init(&member->limit, inspect_on_limit, left > 0 ? (double)left / 1e9 : 0., 0.);
    member->limit.data = inspect;
    ev_timer_start(inspect->pool->loop, &member->limit);
}

/* One worker: its limits, the slow log, what it counts as. */
static void inspect_member(struct inspect *inspect, struct generation_member *member, bool memory,
                           int64_t now)
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
    enum ending_ask asked = member->asked;
    limits_check(pool, member, &glance, &again);
    unsigned slow = slowlog_look(pool->slowlog, member, &glance, &again);
    pool->totals.slow += slow;
    inspect->passed += slow + (asked != member->asked);
    inspect->timed = inspect->timed || again != 0 || glance.changing;
    if (again != 0 || !glance.changing)
        inspect_time(inspect, member, again);
    if (memory)
        limits_check_memory(pool, member, &glance);
    if (!counts)
        return;
    enum census_kind kind = inspect_kind(inspect, member, &glance, now);
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
static void inspect_list(struct inspect *inspect, struct generation *generation, bool memory,
                         int64_t now)
{
    struct generation_member *next, *member = generation_take_touched(generation);
    for (; member != NULL; member = next) {
        next = member->next_touched;
        inspect_member(inspect, member, memory, now);
    }
}

/* The list of touched ones is taken first: it is made anew by the look. */
static void inspect_generation(struct inspect *inspect, struct generation *generation, bool memory,
                               int64_t now)
{
    (void)generation_take_touched(generation);
    for (unsigned i = 0; i < generation->size; i++)
        inspect_member(inspect, &generation->members[i], memory, now);
}

static void inspect_look(struct inspect *inspect, bool all, int64_t now)
{
    bool memory = all && inspect_memory_due(inspect, now);
    void (*look)(struct inspect *, struct generation *, bool, int64_t) =
        all ? inspect_generation : inspect_list;
    const unsigned *counts = inspect->census.counts;
    inspect->passed = 0;
    if (now - inspect->settled_at > INSPECT_RING_LATE)
        inspect->settled = 0;
    ev_now_update(inspect->pool->loop);
    look(inspect, inspect->pool->current, memory, now);
    for (struct generation *g = inspect->pool->older; g != NULL; g = g->older)
        look(inspect, g, memory, now);
    if (counts[CENSUS_IDLE] + counts[CENSUS_SERVING] + counts[CENSUS_POST] > 0)
        inspect->speaking = true;
}

void inspect_touched(struct inspect *inspect, int64_t now)
{
    inspect_look(inspect, false, now);
}

void inspect_all(struct inspect *inspect, int64_t now)
{
    inspect->timed = false;
    inspect_look(inspect, true, now);
    inspect->all_at = now;
    inspect->settled = 0; /* who was found by this look may have been heard already */
}

/* Each worker that is found to have started rings once, before that or after. */
bool inspect_knows_who_rang(struct inspect *inspect, uint64_t rings)
{
    if (rings > inspect->settled)
        return false;
    inspect->settled -= rings;
    return true;
}

void inspect_deafen(struct inspect *inspect)
{
    inspect->settled = 0;
}

int64_t inspect_memory_at(const struct inspect *inspect)
{
    return inspect_checks_memory(inspect) ? inspect->memory_at : -1;
}

/* ---- of whom ---- */

int inspect_begin(struct inspect *inspect, const struct generation *generation)
{
    inspect->counted = generation;
    inspect->speaking = false;
    return census_begin(&inspect->census, generation->size);
}

void inspect_end(struct inspect *inspect)
{
    census_end(&inspect->census);
    inspect->counted = NULL;
}
