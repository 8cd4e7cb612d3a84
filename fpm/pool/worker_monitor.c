/* worker_monitor.c: see worker_monitor.h. */
#include "fpm/pool/worker_monitor.h"

#include "fpm/pool/attach_report.h"
#include "fpm/pool/limit_enforcer.h"
#include "fpm/util/invariant.h"
#include "fpm/worker/proc_activity.h"
#include "sapi-shim/util/clock.h"

#include <stddef.h>
#include <stdlib.h>

enum {
    WORKER_MONITOR_RING_DELAY = 50,        /* ms within which a started worker has rung */
    WORKER_MONITOR_UNATTACHED_START = 250, /* ms that a worker without the library may take */
    WORKER_MONITOR_SLOW_START = 5000,      /* ms, if other workers of the pool use the library */
    WORKER_MONITOR_NO_ACCEPT = 10000, /* ms after which a worker that accepts nothing is told of */
    WORKER_MONITOR_REPORT_INTERVAL = 1000, /* ms between looks whether that is so */
    WORKER_MONITOR_MEMORY_INTERVAL = 1000  /* ms between memory checks, on whole seconds */
};

/* ---- the tally ---- */

int worker_monitor_tally_open(struct worker_monitor_tally *tally, unsigned size)
{
    worker_monitor_tally_close(tally);
    tally->states = calloc(size, sizeof *tally->states);
    if (tally->states == NULL)
        return -1;
    tally->size = size;
    tally->counts[WORKER_MONITOR_NONE] = size;
    return 0;
}

enum worker_monitor_state worker_monitor_tally_set(struct worker_monitor_tally *tally,
                                                   unsigned slot, enum worker_monitor_state state)
{
    if (slot >= tally->size)
        return WORKER_MONITOR_NONE;
    enum worker_monitor_state before = (enum worker_monitor_state)tally->states[slot];
    INVARIANT(tally->counts[before] > 0);
    tally->counts[before]--;
    tally->counts[state]++;
    tally->states[slot] = (unsigned char)state;
    return before;
}

void worker_monitor_tally_close(struct worker_monitor_tally *tally)
{
    free(tally->states);
    *tally = (struct worker_monitor_tally){0};
}

/* ---- memory ---- */

int64_t worker_monitor_next_memory_check(const struct worker_monitor *monitor)
{
    const struct config_pool *settings = pool_settings(monitor->pool);
    bool limited = settings->pm_max_memory > 0 || settings->pm_max_memory_hard > 0;
    return limited && pool_live(monitor->pool) > 0 ? monitor->memory_check_at : -1;
}

/* ---- one worker ---- */

/* A worker without the library, or before it attaches. One that has no connection and does not wait
 * for one has not come so far: it loads, or it is a shell in front of a program that loads. */
static enum worker_monitor_state worker_monitor_unattached(const struct worker_monitor *monitor,
                                                           struct generation_member *member,
                                                           const struct scoreboard_glance *glance,
                                                           int64_t age)
{
    static const enum worker_monitor_state by_activity[] = {
        [PROC_ACTIVITY_WAITING] = WORKER_MONITOR_UNATTACHED_IDLE,
        [PROC_ACTIVITY_BUSY] = WORKER_MONITOR_UNATTACHED_SERVING,
        [PROC_ACTIVITY_UNKNOWN] = WORKER_MONITOR_UNATTACHED_UNKNOWN,
    };
    const struct worker_monitor_tally *tally = &monitor->tally;
    pid_t pid = member->worker.pid;
    enum proc_activity doing = proc_activity_doing(pid);
    unsigned before =
        member->slot < tally->size ? tally->states[member->slot] : WORKER_MONITOR_NONE;
    bool new = before == WORKER_MONITOR_NONE || before == WORKER_MONITOR_STARTING ||
               before == WORKER_MONITOR_UNATTACHED_LOADING;
    bool loads = doing == PROC_ACTIVITY_BUSY ||
                 (doing == PROC_ACTIVITY_UNKNOWN && glance->preloaded &&
                  age < WORKER_MONITOR_SLOW_START && proc_activity_waits_for_child(pid));
    if (new &&loads && generation_unattached_activity(member) == PROC_ACTIVITY_WAITING)
        return glance->preloaded ? WORKER_MONITOR_STARTING : WORKER_MONITOR_UNATTACHED_LOADING;
    return by_activity[doing];
}

static enum worker_monitor_state worker_monitor_state(const struct worker_monitor *monitor,
                                                      struct generation_member *member,
                                                      const struct scoreboard_glance *glance,
                                                      int64_t now)
{
    static const enum worker_monitor_state by_phase[SCOREBOARD_PHASES] = {
        [SCOREBOARD_UNATTACHED] = WORKER_MONITOR_STARTING,
        [SCOREBOARD_STARTING] = WORKER_MONITOR_STARTING,
        [SCOREBOARD_IDLE] = WORKER_MONITOR_IDLE,
        [SCOREBOARD_SERVING] = WORKER_MONITOR_SERVING,
        [SCOREBOARD_POST_RESPONSE] = WORKER_MONITOR_POST,
        [SCOREBOARD_LEAVING] = WORKER_MONITOR_LEAVING,
    };
    const struct worker_monitor_tally *tally = &monitor->tally;
    const struct worker *worker = &member->worker;
    int64_t age = now - worker->started;
    int64_t start =
        monitor->library_seen ? WORKER_MONITOR_SLOW_START : WORKER_MONITOR_UNATTACHED_START;
    if (!generation_member_in_service(member))
        return WORKER_MONITOR_NONE;
    /* Only after this time is a silent worker taken for one without the library. */
    if (glance->phase == SCOREBOARD_UNATTACHED && worker->state == WORKER_RUNNING && age >= start)
        return worker_monitor_unattached(monitor, member, glance, age);
    /* A worker that was interrupted between its start and its first wait is not busy yet. */
    if (glance->changing && age < WORKER_MONITOR_SLOW_START)
        return member->slot < tally->size && tally->states[member->slot] != WORKER_MONITOR_NONE
                   ? (enum worker_monitor_state)tally->states[member->slot]
                   : WORKER_MONITOR_STARTING;
    if (glance->phase == SCOREBOARD_IDLE && glance->busy > 0)
        return WORKER_MONITOR_PARTLY;
    return by_phase[glance->phase];
}

/* Says what is wrong with workers that do not attach. One that sleeps in accept() has no library
 * for sure; of others that is believed after the time that one may take to start. */
static void worker_monitor_report(struct worker_monitor *monitor,
                                  const struct generation_member *member,
                                  enum worker_monitor_state state, int64_t now)
{
    int64_t age = now - member->worker.started;
    bool late = age >= WORKER_MONITOR_NO_ACCEPT;
    if (!late && monitor->report_at <= now)
        monitor->report_at = member->worker.started + WORKER_MONITOR_NO_ACCEPT;
    if ((state == WORKER_MONITOR_STARTING || state == WORKER_MONITOR_UNATTACHED_LOADING) && late &&
        !monitor->told_no_accept) {
        monitor->told_no_accept = true;
        attach_report_no_accept(member, age);
    }
    if (monitor->told_no_library || monitor->library_seen ||
        (state != WORKER_MONITOR_UNATTACHED_IDLE &&
         !(late && (state == WORKER_MONITOR_UNATTACHED_SERVING ||
                    state == WORKER_MONITOR_UNATTACHED_UNKNOWN))))
        return;
    monitor->told_no_library = true;
    attach_report_without_library(member);
}

static void worker_monitor_on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    char *at = (char *)timer - offsetof(struct generation_member, limit);
    struct generation_member *member = (struct generation_member *)at;
    struct worker_monitor *monitor = timer->data;
    INVARIANT(member->limit_at != 0 && member->worker.state != WORKER_NONE);
    member->limit_at = 0;
    generation_mark_changed(member);
    monitor->on_limit(monitor->context);
}

/* Checks the worker again at this moment (ns, rounded up to a ms); 0 = no limit is pending. */
static void worker_monitor_set_limit(struct worker_monitor *monitor,
                                     struct generation_member *member, uint64_t moment)
{
    if (member->limit_at == moment)
        return;
    ev_timer_stop(monitor->pool->loop, &member->limit);
    member->limit_at = moment;
    if (moment == 0)
        return;
    int64_t left =
        ((int64_t)(moment - 1) / CLOCK_NS_PER_MS + 1) * CLOCK_NS_PER_MS - (int64_t)clock_ns();
    ev_timer_init(&member->limit, worker_monitor_on_limit, left > 0 ? (double)left / 1e9 : 0., 0.);
    member->limit.data = monitor;
    ev_timer_start(monitor->pool->loop, &member->limit);
}

static void worker_monitor_check_one(struct worker_monitor *monitor,
                                     struct generation_member *member, bool memory, int64_t now)
{
    struct pool *pool = monitor->pool;
    bool counted = member->generation == monitor->generation;
    if (member->worker.state == WORKER_NONE) {
        if (counted)
            (void)worker_monitor_tally_set(&monitor->tally, member->slot, WORKER_MONITOR_NONE);
        monitor->unrung_starts = 0; /* it may have died before it rang */
        return;
    }

    /* Only helpers are left: what the slot says is over. */
    const struct process_tree *tree = &member->worker.tree;
    if (tree->leader != 0 && !tree->led && generation_member_program(member) == 0) {
        worker_monitor_set_limit(monitor, member, 0);
        if (counted)
            (void)worker_monitor_tally_set(&monitor->tally, member->slot, WORKER_MONITOR_NONE);
        return;
    }

    /* Limits and the slow log. A record that is being changed says nothing of its limits, so their
     * timer stays as it is. */
    struct scoreboard_glance glance =
        scoreboard_glance(&member->generation->scoreboard, member->slot);
    enum exit_cause_stop reason = member->stop_reason;
    uint64_t next_limit = 0;
    limit_enforcer_check(pool, member, &glance, &next_limit);
    const struct slow_log_worker worker = {&member->generation->scoreboard, member->slot,
                                           member->worker.pid, &member->slow};
    unsigned slow = slow_log_check(pool->slowlog, &worker, &glance, &next_limit);
    pool->stats.slow_requests += slow;
    monitor->limits_expired += slow + (reason != member->stop_reason);
    monitor->limits_pending = monitor->limits_pending || next_limit != 0 || glance.changing;
    if (next_limit != 0 || !glance.changing)
        worker_monitor_set_limit(monitor, member, next_limit);
    if (memory)
        limit_enforcer_check_memory(pool, member, &glance);
    if (!counted)
        return;

    /* The end of these states may go unreported, so check these workers on every pass. */
    enum worker_monitor_state state = worker_monitor_state(monitor, member, &glance, now);
    enum worker_monitor_state before =
        worker_monitor_tally_set(&monitor->tally, member->slot, state);
    worker_monitor_report(monitor, member, state, now);
    /* A young worker without the library is looked at until it was seen to accept. */
    if (glance.phase == SCOREBOARD_UNATTACHED && member->worker.state == WORKER_RUNNING &&
        !member->accepted && now - member->worker.started < POOL_PROOF_MS) {
        generation_look_for_accept(member);
        monitor->unproven += !member->accepted;
        if (!member->accepted)
            generation_mark_changed(member);
    }
    if (state == WORKER_MONITOR_STARTING || state == WORKER_MONITOR_POST || glance.changing ||
        state == WORKER_MONITOR_UNATTACHED_LOADING || worker_monitor_next_report(monitor, now) > 0)
        generation_mark_changed(member);
    bool was_starting = before == WORKER_MONITOR_STARTING || before == WORKER_MONITOR_NONE;
    bool accepts = state == WORKER_MONITOR_IDLE || state == WORKER_MONITOR_PARTLY ||
                   state == WORKER_MONITOR_SERVING || state == WORKER_MONITOR_POST;
    if (was_starting && accepts) {
        monitor->unrung_starts++;
        monitor->last_start = now;
    }
}

/* ---- many workers ---- */

void worker_monitor_check(struct worker_monitor *monitor, bool all, int64_t now)
{
    const unsigned *counts = monitor->tally.counts;
    int64_t memory_at = worker_monitor_next_memory_check(monitor);
    bool memory = all && memory_at >= 0 && now >= memory_at;
    if (memory)
        monitor->memory_check_at =
            now - now % WORKER_MONITOR_MEMORY_INTERVAL + WORKER_MONITOR_MEMORY_INTERVAL;
    if (all)
        monitor->limits_pending = false;
    monitor->limits_expired = 0;
    monitor->unproven = 0;
    if (now - monitor->last_start > WORKER_MONITOR_RING_DELAY)
        monitor->unrung_starts = 0;
    ev_now_update(monitor->pool->loop);

    /* A check may mark its worker as changed again, so the list is taken before. */
    for (struct generation *g = monitor->pool->current; g != NULL; g = g->older) {
        struct generation_member *next, *changed = generation_take_changed(g);
        for (unsigned i = 0; all && i < g->size; i++)
            worker_monitor_check_one(monitor, &g->members[i], memory, now);
        for (; !all && changed != NULL; changed = next) {
            next = changed->next_changed;
            worker_monitor_check_one(monitor, changed, memory, now);
        }
    }
    if (counts[WORKER_MONITOR_IDLE] + counts[WORKER_MONITOR_PARTLY] +
            counts[WORKER_MONITOR_SERVING] + counts[WORKER_MONITOR_POST] >
        0)
        monitor->library_seen = true;
    if (all) {
        monitor->last_full_check = now;
        monitor->unrung_starts = 0; /* a worker found now may have rung before */
    }
}

int64_t worker_monitor_next_report(const struct worker_monitor *monitor, int64_t now)
{
    const unsigned *counts = monitor->tally.counts;
    unsigned without =
        counts[WORKER_MONITOR_UNATTACHED_SERVING] + counts[WORKER_MONITOR_UNATTACHED_UNKNOWN];
    bool library = !monitor->told_no_library && !monitor->library_seen && without > 0;
    bool accept = !monitor->told_no_accept && counts[WORKER_MONITOR_UNATTACHED_LOADING] > 0;
    if (!library && !accept)
        return -1;
    return monitor->report_at > now ? monitor->report_at : now + WORKER_MONITOR_REPORT_INTERVAL;
}

unsigned worker_monitor_starting(const struct worker_monitor *monitor, int64_t now,
                                 int64_t *longest)
{
    const struct worker_monitor_tally *tally = &monitor->tally;
    unsigned count =
        tally->counts[WORKER_MONITOR_STARTING] + tally->counts[WORKER_MONITOR_UNATTACHED_LOADING];
    *longest = 0;
    for (unsigned i = 0; i < tally->size && count > 0; i++) {
        int64_t age = now - monitor->generation->members[i].worker.started;
        bool starting = tally->states[i] == WORKER_MONITOR_STARTING ||
                        tally->states[i] == WORKER_MONITOR_UNATTACHED_LOADING;
        if (starting && age > *longest)
            *longest = age;
    }
    return count;
}

/* Each worker rings once for its start, before it is found or after. */
bool worker_monitor_explains_rings(struct worker_monitor *monitor, uint64_t rings)
{
    if (rings > monitor->unrung_starts)
        return false;
    monitor->unrung_starts -= rings;
    return true;
}

int worker_monitor_open(struct worker_monitor *monitor, const struct generation *generation)
{
    monitor->generation = generation;
    monitor->library_seen = monitor->told_no_accept = monitor->told_no_library = false;
    return worker_monitor_tally_open(&monitor->tally, generation->size);
}

void worker_monitor_close(struct worker_monitor *monitor)
{
    worker_monitor_tally_close(&monitor->tally);
    monitor->generation = NULL;
}
