/* limits.c: see limits.h. */
#include "fpm/limits.h"

#include "fpm/blackbox.h"
#include "fpm/clock.h"
#include "fpm/log.h"
#include "fpm/obituary.h"
#include "fpm/overdue.h"
#include "fpm/text.h"

#include <inttypes.h>
#include <stdio.h>

#define LIMITS_NS 1000000 /* in a millisecond */

/* ---- ending ---- */

/* TERM, then KILL after hard_timeout, with a line that says what was cut off. */
static void limits_end(const struct pool *pool, struct generation_member *member,
                       enum ending_ask why, const char *cause)
{
    const struct generation *generation = member->generation;
    struct view view;
    char doing[OBITUARY_MAX], grace[32];
    scoreboard_look(&generation->scoreboard, member->slot, &view);
    obituary_doing(&view, clock_ns(), doing, sizeof doing);
    text_duration(generation->pool->hard_timeout, grace, sizeof grace);
    const struct log_about about = {pool->name, member->worker.pid, member->slot};
    log_about(LOG_LEVEL_WARNING, &about,
              "pool %s: worker %d (slot %u) is ended %s: %s; TERM now, KILL in %s", pool->name,
              (int)member->worker.pid, member->slot, doing, cause, grace);
    generation_end(member, why, generation->pool->hard_timeout);
}

static void limits_end_late(const struct pool *pool, struct generation_member *member,
                            enum ending_ask why, int64_t limit)
{
    char cause[128], allowed[32];
    text_duration(limit, allowed, sizeof allowed);
    snprintf(cause, sizeof cause, "%s = %s", ending_ask_name(why), allowed);
    limits_end(pool, member, why, cause);
}

/* What a limit has ended already is not ended again. */
static bool limits_may_end(const struct generation_member *member)
{
    return member->asked != ENDING_REQUEST && member->asked != ENDING_POST &&
           member->asked != ENDING_MEMORY_HARD;
}

/* ---- time ---- */

void limits_check(const struct pool *pool, struct generation_member *member,
                  const struct scoreboard_glance *glance, uint64_t *again)
{
    const struct conf_pool *limits = pool_settings(pool);
    struct overdue_facts facts = {
        .running_since = glance->running_since,
        .finished_since = glance->finished_since,
        .request_limit = (uint64_t)limits->request_terminate_timeout * LIMITS_NS,
        .post_limit = (uint64_t)limits->post_response_terminate_timeout * LIMITS_NS,
        .now = (uint64_t)clock_ns(),
    };
    uint64_t next = 0;
    if (!limits_may_end(member))
        return;
    switch (overdue_check(&facts, &next)) {
    case OVERDUE_REQUEST:
        limits_end_late(pool, member, ENDING_REQUEST, limits->request_terminate_timeout);
        break;
    case OVERDUE_POST:
        limits_end_late(pool, member, ENDING_POST, limits->post_response_terminate_timeout);
        break;
    case OVERDUE_NOTHING:
    default:
        if (next != 0 && (*again == 0 || next < *again))
            *again = next;
    }
}

/* ---- memory ---- */

/* After a request is the library's part; here is what happens inside one, and all of a black box.
 */
void limits_check_memory(const struct pool *pool, struct generation_member *member,
                         const struct scoreboard_glance *glance)
{
    const struct conf_pool *limits = pool_settings(pool);
    const struct worker *worker = &member->worker;
    bool box = glance->phase == SCOREBOARD_BLACK_BOX;
    bool soft = limits->pm_max_memory > 0 && (box || glance->phase == SCOREBOARD_IDLE);
    uint64_t used = 0;
    if (worker->state != WORKER_RUNNING && worker->state != WORKER_STOPPING)
        return;
    if ((limits->pm_max_memory_hard == 0 && !soft) ||
        blackbox_memory(generation_program_pid(member), &used) != 0)
        return;
    if (limits->pm_max_memory_hard > 0 && used > (uint64_t)limits->pm_max_memory_hard &&
        limits_may_end(member)) {
        char cause[128];
        snprintf(cause, sizeof cause, "it uses %" PRIu64 " KiB, above `pm.max_memory_hard`",
                 used / 1024);
        limits_end(pool, member, ENDING_MEMORY_HARD, cause);
    } else if (soft && used > (uint64_t)limits->pm_max_memory && generation_member_stays(member)) {
        log_debug("pool %s: worker %d (slot %u) is replaced: it uses %" PRIu64 " KiB, more than "
                  "pm.max_memory",
                  pool->name, (int)worker->pid, member->slot, used / 1024);
        generation_ask(member, ENDING_MEMORY,
                       member->generation->conf->global.process_control_timeout);
    }
}
