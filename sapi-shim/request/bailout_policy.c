/* bailout_policy.c: see bailout_policy.h. */
#include "sapi-shim/request/bailout_policy.h"

enum bailout_policy_cause {
    BAILOUT_POLICY_NO_CAUSE,
    BAILOUT_POLICY_BY_ABORT,
    BAILOUT_POLICY_BY_TIMEOUT,
};

/* Shutdown functions are the clean-up that an abort asks for: only their time limit ends them. */
static enum bailout_policy_cause bailout_policy_cause(const struct bailout_policy_facts *facts)
{
    if (facts->timed_out)
        return BAILOUT_POLICY_BY_TIMEOUT;
    if (facts->aborted && !facts->ignore_abort && !facts->in_shutdown)
        return BAILOUT_POLICY_BY_ABORT;
    return BAILOUT_POLICY_NO_CAUSE;
}

/* `auto`, and `unwind` where there is nothing to unwind to. */
static enum bailout_policy_verdict bailout_policy_auto(const struct bailout_policy_facts *facts,
                                                       enum bailout_policy_cause cause)
{
    if (facts->can_unwind)
        return BAILOUT_POLICY_UNWIND;
    return cause == BAILOUT_POLICY_BY_ABORT ? BAILOUT_POLICY_REPORT : BAILOUT_POLICY_EXIT;
}

enum bailout_policy_verdict bailout_policy_decide(const struct bailout_policy_facts *facts)
{
    enum bailout_policy_cause cause = bailout_policy_cause(facts);
    if (cause == BAILOUT_POLICY_NO_CAUSE)
        return BAILOUT_POLICY_GO_ON;
    switch (facts->bailout) {
    case OT_BAILOUT_EXIT:
        return BAILOUT_POLICY_EXIT;
    case OT_BAILOUT_NONE:
        return BAILOUT_POLICY_REPORT;
    case OT_BAILOUT_AUTO:
    case OT_BAILOUT_UNWIND:
    default:
        return bailout_policy_auto(facts, cause);
    }
}
