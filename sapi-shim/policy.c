/* policy.c: see policy.h. */
#include "sapi-shim/policy.h"

enum policy_cause {
    POLICY_NO_CAUSE,
    POLICY_BY_ABORT,
    POLICY_BY_TIMEOUT,
};

/* Shutdown functions are the clean-up that an abort asks for: only their time limit ends them. */
static enum policy_cause policy_cause(const struct policy_facts *facts)
{
    if (facts->timed_out)
        return POLICY_BY_TIMEOUT;
    if (facts->aborted && !facts->ignore_abort && !facts->in_shutdown)
        return POLICY_BY_ABORT;
    return POLICY_NO_CAUSE;
}

/* `auto`, and `unwind` where there is nothing to unwind to. */
static enum policy_verdict policy_auto(const struct policy_facts *facts, enum policy_cause cause)
{
    if (facts->can_unwind)
        return POLICY_UNWIND;
    return cause == POLICY_BY_ABORT ? POLICY_REPORT : POLICY_EXIT;
}

enum policy_verdict policy_decide(const struct policy_facts *facts)
{
    enum policy_cause cause = policy_cause(facts);
    if (cause == POLICY_NO_CAUSE)
        return POLICY_GO_ON;
    switch (facts->bailout) {
    case OT_BAILOUT_EXIT:
        return POLICY_EXIT;
    case OT_BAILOUT_NONE:
        return POLICY_REPORT;
    case OT_BAILOUT_AUTO:
    case OT_BAILOUT_UNWIND:
    default:
        return policy_auto(facts, cause);
    }
}
