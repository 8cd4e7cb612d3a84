/* bailout_policy.h: what a safe point does about an abort or a time-out; pure.
 *
 * State in, verdict out: no clock, no socket, no action.
 */
#ifndef OT_BAILOUT_POLICY_H
#define OT_BAILOUT_POLICY_H

#include "sapi-shim/contract.h"

#include <stdbool.h>

struct bailout_policy_state {
    bool aborted;            /* the OT_ABORTED bit is set */
    bool timed_out;          /* a time limit was reached and no new one has been set */
    bool ignore_abort;       /* ot_ignore_user_abort */
    bool in_shutdown;        /* the shutdown functions run */
    bool can_unwind;         /* there is a jump target on this thread's stack */
    enum ot_bailout bailout; /* the pool's or the request's setting */
};

enum bailout_policy_verdict {
    BAILOUT_POLICY_CONTINUE, /* nothing to act on */
    BAILOUT_POLICY_REPORT,   /* the application learns it from the status bits only */
    BAILOUT_POLICY_UNWIND,   /* jump back to ot_run, or out of the shutdown function */
    BAILOUT_POLICY_EXIT,     /* end the request, then the process */
};

enum bailout_policy_verdict bailout_policy_decide(const struct bailout_policy_state *state);

#endif
