/* exit_cause.c: see exit_cause.h. */
#include "fpm/worker/exit_cause.h"

#include "sapi-shim/contract.h"

#include <stddef.h>
#include <sys/wait.h>

_Static_assert((int)EXIT_CAUSE_COUNT <= OT_ENDINGS_MAX, "every cause has its place on the board");

static const struct {
    const char *name;
    enum exit_cause ending;
} exit_cause_asks[EXIT_CAUSE_ASK_COUNT] = {
    [EXIT_CAUSE_NOT_ASKED] = {"not asked to go", EXIT_CAUSE_BY_EXIT},
    [EXIT_CAUSE_SUPERFLUOUS] = {"superfluous", EXIT_CAUSE_BY_RETIREMENT},
    [EXIT_CAUSE_RELOAD] = {"a newer generation took over", EXIT_CAUSE_BY_RELOAD},
    [EXIT_CAUSE_MEMORY] = {"above `pm.max_memory`", EXIT_CAUSE_BY_MEMORY},
    [EXIT_CAUSE_MEMORY_HARD] = {"above `pm.max_memory_hard`", EXIT_CAUSE_BY_MEMORY},
    [EXIT_CAUSE_REQUEST] = {"over `request_terminate_timeout`", EXIT_CAUSE_BY_TERMINATION},
    [EXIT_CAUSE_POST] = {"over `post_response.terminate_timeout`", EXIT_CAUSE_BY_TERMINATION},
    [EXIT_CAUSE_STOP] = {"the manager stops", EXIT_CAUSE_BY_STOP},
};

/* What a worker says of itself counts where nobody asked it to go. */
static const enum exit_cause exit_cause_said[OT_EXIT_COUNT] = {
    [OT_EXIT_UNSAID] = EXIT_CAUSE_BY_EXIT,
    [OT_EXIT_ASKED] = EXIT_CAUSE_BY_EXIT,
    [OT_EXIT_MAX_REQUESTS] = EXIT_CAUSE_BY_REQUESTS,
    [OT_EXIT_MAX_MEMORY] = EXIT_CAUSE_BY_MEMORY,
    [OT_EXIT_BAILOUT] = EXIT_CAUSE_BY_BAILOUT,
    [OT_EXIT_HARD_TIMEOUT] = EXIT_CAUSE_BY_HARD_TIMEOUT,
};

enum exit_cause exit_cause_judge(const struct exit_cause_facts *facts)
{
    if (facts->start_failed)
        return EXIT_CAUSE_BY_START;
    if (facts->asked != EXIT_CAUSE_NOT_ASKED && facts->asked < EXIT_CAUSE_ASK_COUNT)
        return exit_cause_asks[facts->asked].ending;
    if (facts->status != -1 && WIFSIGNALED(facts->status))
        return EXIT_CAUSE_BY_CRASH;
    return facts->said < OT_EXIT_COUNT ? exit_cause_said[facts->said] : EXIT_CAUSE_BY_EXIT;
}

const char *exit_cause_reason(const struct exit_cause_facts *facts)
{
    static const char *const said[OT_EXIT_COUNT] = {
        [OT_EXIT_ASKED] = "asked to go, not by the manager",
        [OT_EXIT_MAX_REQUESTS] = "`pm.max_requests` reached",
        [OT_EXIT_MAX_MEMORY] = "above `pm.max_memory`",
        [OT_EXIT_BAILOUT] = "its request timed out or was aborted",
        [OT_EXIT_HARD_TIMEOUT] = "no safe point within `hard_timeout`",
    };
    if (facts->asked != EXIT_CAUSE_NOT_ASKED && facts->asked < EXIT_CAUSE_ASK_COUNT)
        return exit_cause_asks[facts->asked].name;
    if (exit_cause_judge(facts) == EXIT_CAUSE_BY_CRASH || facts->said >= OT_EXIT_COUNT)
        return NULL;
    return said[facts->said];
}

bool exit_cause_is_expected(enum exit_cause ending)
{
    return ending == EXIT_CAUSE_BY_REQUESTS || ending == EXIT_CAUSE_BY_MEMORY ||
           ending == EXIT_CAUSE_BY_RETIREMENT || ending == EXIT_CAUSE_BY_RELOAD ||
           ending == EXIT_CAUSE_BY_STOP;
}

const char *exit_cause_name(enum exit_cause ending)
{
    static const char *const names[] = {
#define EXIT_CAUSE(cause, name, help) name,
#include "sapi-shim/exit_causes.def"
#undef EXIT_CAUSE
    };
    return ending < EXIT_CAUSE_COUNT ? names[ending] : "unknown";
}

const char *exit_cause_ask_name(enum exit_cause_ask ask)
{
    return ask < EXIT_CAUSE_ASK_COUNT ? exit_cause_asks[ask].name : "unknown";
}
