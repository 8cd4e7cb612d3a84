/* ending.c: see ending.h. */
#include "fpm/ending.h"

#include "sapi-shim/contract.h"

#include <stddef.h>
#include <sys/wait.h>

_Static_assert((int)ENDING_COUNT <= OT_ENDINGS_MAX, "every cause has its place on the board");

static const struct {
    const char *name;
    enum ending ending;
} ending_asks[ENDING_ASK_COUNT] = {
    [ENDING_NOT_ASKED] = {"not asked to go", ENDING_BY_EXIT},
    [ENDING_SUPERFLUOUS] = {"superfluous", ENDING_BY_RETIREMENT},
    [ENDING_RELOAD] = {"a newer generation took over", ENDING_BY_RELOAD},
    [ENDING_MEMORY] = {"above `pm.max_memory`", ENDING_BY_MEMORY},
    [ENDING_MEMORY_HARD] = {"above `pm.max_memory_hard`", ENDING_BY_MEMORY},
    [ENDING_REQUEST] = {"over `request_terminate_timeout`", ENDING_BY_TERMINATION},
    [ENDING_POST] = {"over `post_response.terminate_timeout`", ENDING_BY_TERMINATION},
    [ENDING_STOP] = {"the manager stops", ENDING_BY_STOP},
};

/* What a worker says of itself counts where nobody asked it to go. */
static const enum ending ending_said[OT_EXIT_COUNT] = {
    [OT_EXIT_UNSAID] = ENDING_BY_EXIT,           [OT_EXIT_ASKED] = ENDING_BY_EXIT,
    [OT_EXIT_MAX_REQUESTS] = ENDING_BY_REQUESTS, [OT_EXIT_MAX_MEMORY] = ENDING_BY_MEMORY,
    [OT_EXIT_BAILOUT] = ENDING_BY_BAILOUT,       [OT_EXIT_HARD_TIMEOUT] = ENDING_BY_HARD_TIMEOUT,
};

enum ending ending_judge(const struct ending_facts *facts)
{
    if (facts->start_failed)
        return ENDING_BY_START;
    if (facts->asked != ENDING_NOT_ASKED && facts->asked < ENDING_ASK_COUNT)
        return ending_asks[facts->asked].ending;
    if (facts->status != -1 && WIFSIGNALED(facts->status))
        return ENDING_BY_CRASH;
    return facts->said < OT_EXIT_COUNT ? ending_said[facts->said] : ENDING_BY_EXIT;
}

const char *ending_reason(const struct ending_facts *facts)
{
    static const char *const said[OT_EXIT_COUNT] = {
        [OT_EXIT_ASKED] = "asked to go, not by the manager",
        [OT_EXIT_MAX_REQUESTS] = "`pm.max_requests` reached",
        [OT_EXIT_MAX_MEMORY] = "above `pm.max_memory`",
        [OT_EXIT_BAILOUT] = "its request timed out or was aborted",
        [OT_EXIT_HARD_TIMEOUT] = "no safe point within `hard_timeout`",
    };
    if (facts->asked != ENDING_NOT_ASKED && facts->asked < ENDING_ASK_COUNT)
        return ending_asks[facts->asked].name;
    if (ending_judge(facts) == ENDING_BY_CRASH || facts->said >= OT_EXIT_COUNT)
        return NULL;
    return said[facts->said];
}

bool ending_is_expected(enum ending ending)
{
    return ending == ENDING_BY_REQUESTS || ending == ENDING_BY_MEMORY ||
           ending == ENDING_BY_RETIREMENT || ending == ENDING_BY_RELOAD || ending == ENDING_BY_STOP;
}

const char *ending_name(enum ending ending)
{
    static const char *const names[] = {
#define ENDING(cause, name, help) name,
#include "sapi-shim/endings.def"
#undef ENDING
    };
    return ending < ENDING_COUNT ? names[ending] : "unknown";
}

const char *ending_ask_name(enum ending_ask ask)
{
    return ask < ENDING_ASK_COUNT ? ending_asks[ask].name : "unknown";
}
