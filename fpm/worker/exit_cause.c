/* exit_cause.c: see exit_cause.h. */
#include "fpm/worker/exit_cause.h"

#include "sapi-shim/contract.h"

#include <stddef.h>
#include <sys/wait.h>

_Static_assert((int)EXIT_CAUSE_COUNT <= OT_EXIT_CAUSES_MAX,
               "every cause has its place on the board");

static const struct {
    const char *text;
    enum exit_cause cause;
} exit_cause_stops[EXIT_CAUSE_STOP_COUNT] = {
    [EXIT_CAUSE_STOP_NONE] = {"not asked to go", EXIT_CAUSE_EXIT},
    [EXIT_CAUSE_STOP_SUPERFLUOUS] = {"superfluous", EXIT_CAUSE_RETIREMENT},
    [EXIT_CAUSE_STOP_RELOAD] = {"a newer generation took over", EXIT_CAUSE_RELOAD},
    [EXIT_CAUSE_STOP_MEMORY] = {"above `pm.max_memory`", EXIT_CAUSE_MEMORY},
    [EXIT_CAUSE_STOP_MEMORY_HARD] = {"above `pm.max_memory_hard`", EXIT_CAUSE_MEMORY},
    [EXIT_CAUSE_STOP_REQUEST] = {"over `request_terminate_timeout`", EXIT_CAUSE_TERMINATION},
    [EXIT_CAUSE_STOP_POST_RESPONSE] = {"over `post_response.terminate_timeout`",
                                       EXIT_CAUSE_TERMINATION},
    [EXIT_CAUSE_STOP_MANAGER] = {"the manager stops", EXIT_CAUSE_STOP},
    [EXIT_CAUSE_STOP_REST] = {"its first process has ended", EXIT_CAUSE_EXIT},
};

/* The worker's own word counts if the manager did not stop it. */
static const struct {
    const char *text;
    enum exit_cause cause;
} exit_cause_exits[OT_EXIT_COUNT] = {
    [OT_EXIT_NONE] = {NULL, EXIT_CAUSE_EXIT},
    [OT_EXIT_STOPPED] = {"asked to go, not by the manager", EXIT_CAUSE_EXIT},
    [OT_EXIT_MAX_REQUESTS] = {"`pm.max_requests` reached", EXIT_CAUSE_REQUESTS},
    [OT_EXIT_MAX_MEMORY] = {"above `pm.max_memory`", EXIT_CAUSE_MEMORY},
    [OT_EXIT_BAILOUT] = {"its request timed out or was aborted", EXIT_CAUSE_BAILOUT},
    [OT_EXIT_HARD_TIMEOUT] = {"no safe point within `hard_timeout`", EXIT_CAUSE_HARD_TIMEOUT},
};

/* Only the rest of a worker that ended by itself is stopped with EXIT_CAUSE_STOP_REST. */
static bool exit_cause_is_stopped(const struct exit_cause_input *input)
{
    return input->stop_reason != EXIT_CAUSE_STOP_NONE &&
           input->stop_reason != EXIT_CAUSE_STOP_REST && input->stop_reason < EXIT_CAUSE_STOP_COUNT;
}

enum exit_cause exit_cause_of(const struct exit_cause_input *input)
{
    if (input->start_failed)
        return EXIT_CAUSE_START;
    if (exit_cause_is_stopped(input))
        return exit_cause_stops[input->stop_reason].cause;
    if (input->status != -1 && WIFSIGNALED(input->status))
        return EXIT_CAUSE_CRASH;
    return input->exit_reason < OT_EXIT_COUNT ? exit_cause_exits[input->exit_reason].cause
                                              : EXIT_CAUSE_EXIT;
}

const char *exit_cause_text(const struct exit_cause_input *input)
{
    if (exit_cause_is_stopped(input))
        return exit_cause_stops[input->stop_reason].text;
    if (exit_cause_of(input) == EXIT_CAUSE_CRASH || input->exit_reason >= OT_EXIT_COUNT)
        return NULL;
    return exit_cause_exits[input->exit_reason].text;
}

bool exit_cause_is_expected(enum exit_cause cause)
{
    return cause == EXIT_CAUSE_REQUESTS || cause == EXIT_CAUSE_MEMORY ||
           cause == EXIT_CAUSE_RETIREMENT || cause == EXIT_CAUSE_RELOAD || cause == EXIT_CAUSE_STOP;
}

const char *exit_cause_name(enum exit_cause cause)
{
    static const char *const names[] = {
#define EXIT_CAUSE(cause, name, help) name,
#include "sapi-shim/exit_causes.def"
#undef EXIT_CAUSE
    };
    return cause < EXIT_CAUSE_COUNT ? names[cause] : "unknown";
}

bool exit_cause_is_limit(enum exit_cause_stop reason)
{
    return reason == EXIT_CAUSE_STOP_REQUEST || reason == EXIT_CAUSE_STOP_POST_RESPONSE ||
           reason == EXIT_CAUSE_STOP_MEMORY_HARD;
}

const char *exit_cause_stop_text(enum exit_cause_stop reason)
{
    return reason < EXIT_CAUSE_STOP_COUNT ? exit_cause_stops[reason].text : "unknown";
}
