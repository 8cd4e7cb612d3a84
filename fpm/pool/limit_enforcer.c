/* limit_enforcer.c: see limit_enforcer.h. */
#include "fpm/pool/limit_enforcer.h"

#include "fpm/log/log.h"
#include "fpm/slow_log/deadline.h"
#include "fpm/worker/exit_message.h"
#include "fpm/worker/proc_activity.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/scalar.h"

#include <inttypes.h>
#include <stdio.h>

/* TERM, then KILL after hard_timeout; the log line says what work was cut off. */
static void limit_enforcer_terminate(struct generation_member *member, enum exit_cause_stop why,
                                     const char *cause)
{
    const struct generation *generation = member->generation;
    struct slot_view view;
    char doing[EXIT_MESSAGE_MAX], grace[32];
    slot_view_look(scoreboard_slot(&generation->scoreboard, member->slot), &view);
    exit_message_doing(&view, clock_ns(), doing, sizeof doing);
    scalar_duration(generation->pool->hard_timeout, grace, sizeof grace);
    log_worker(LOG_LEVEL_WARNING, generation_about(member),
               " is ended %s: %s; TERM now, KILL in %s", doing, cause, grace);
    generation_terminate(member, why, generation->pool->hard_timeout);
}

void limit_enforcer_check(const struct pool *pool, struct generation_member *member,
                          const struct scoreboard_glance *glance, uint64_t *again)
{
    const struct config_pool *limits = pool_settings(pool);
    const struct deadline_limits deadlines = {
        .request = (uint64_t)limits->request_terminate_timeout * CLOCK_NS_PER_MS,
        .post_response = (uint64_t)limits->post_response_terminate_timeout * CLOCK_NS_PER_MS,
    };
    const struct deadline_stamps stamps = {glance->running_since, glance->finished_since,
                                           clock_ns()};
    if (exit_cause_is_limit(member->stop_reason)) /* it is being ended already */
        return;
    enum exit_cause_stop why = EXIT_CAUSE_STOP_REQUEST;
    int64_t limit = limits->request_terminate_timeout;
    switch (deadline_check(&deadlines, &stamps, NULL, again)) {
    case DEADLINE_REQUEST:
        break;
    case DEADLINE_POST_RESPONSE:
        why = EXIT_CAUSE_STOP_POST_RESPONSE;
        limit = limits->post_response_terminate_timeout;
        break;
    case DEADLINE_NOT_PASSED:
    default:
        return;
    }
    char cause[128], allowed[32];
    scalar_duration(limit, allowed, sizeof allowed);
    snprintf(cause, sizeof cause, "%s = %s", exit_cause_stop_text(why), allowed);
    limit_enforcer_terminate(member, why, cause);
}

/* Between requests the library checks its memory itself. Here it is checked within a request, and
 * at any time for a worker without the library. */
void limit_enforcer_check_memory(const struct pool *pool, struct generation_member *member,
                                 const struct scoreboard_glance *glance)
{
    const struct config_pool *limits = pool_settings(pool);
    const struct worker *worker = &member->worker;
    bool unattached = glance->phase == SCOREBOARD_UNATTACHED;
    bool soft = limits->pm_max_memory > 0 && (unattached || glance->phase == SCOREBOARD_IDLE);
    uint64_t used = 0;
    if (worker->state != WORKER_RUNNING && worker->state != WORKER_STOPPING)
        return;
    if ((limits->pm_max_memory_hard == 0 && !soft) ||
        proc_activity_memory(
            scoreboard_program_pid(&member->generation->scoreboard, member->slot, worker->pid),
            &used) != 0)
        return;
    if (limits->pm_max_memory_hard > 0 && used > (uint64_t)limits->pm_max_memory_hard &&
        !exit_cause_is_limit(member->stop_reason)) {
        char cause[128];
        snprintf(cause, sizeof cause, "it uses %" PRIu64 " KiB, above `pm.max_memory_hard`",
                 used / 1024);
        limit_enforcer_terminate(member, EXIT_CAUSE_STOP_MEMORY_HARD, cause);
    } else if (soft && used > (uint64_t)limits->pm_max_memory &&
               generation_member_in_service(member)) {
        log_debug("pool %s: worker %d (slot %u) is replaced: it uses %" PRIu64 " KiB, more than "
                  "`pm.max_memory`",
                  pool->name, (int)worker->pid, member->slot, used / 1024);
        generation_stop(member, EXIT_CAUSE_STOP_MEMORY,
                        member->generation->config->global.process_control_timeout);
    }
}
