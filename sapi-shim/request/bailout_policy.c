/* bailout_policy.c: see bailout_policy.h. */
#include "sapi-shim/request/bailout_policy.h"

enum bailout_policy_verdict bailout_policy_decide(const struct bailout_policy_state *state)
{
    /* Shutdown functions are the clean-up that an abort asks for: only a time limit ends them. */
    bool aborted = state->aborted && !state->ignore_abort && !state->in_shutdown;
    if (!state->timed_out && !aborted)
        return BAILOUT_POLICY_CONTINUE;
    switch (state->bailout) {
    case OT_BAILOUT_EXIT:
        return BAILOUT_POLICY_EXIT;
    case OT_BAILOUT_NONE:
        return BAILOUT_POLICY_REPORT;
    case OT_BAILOUT_AUTO:
    case OT_BAILOUT_UNWIND:
    default:
        if (state->can_unwind)
            return BAILOUT_POLICY_UNWIND;
        return state->timed_out ? BAILOUT_POLICY_EXIT : BAILOUT_POLICY_REPORT;
    }
}
