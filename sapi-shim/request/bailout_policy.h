/* bailout_policy.h: what a safe point does about an abort or a time-out; pure.
 *
 * Facts in, verdict out: no clock, no socket, no action. Called by request.c at every safe point.
 */
#ifndef OT_BAILOUT_POLICY_H
#define OT_BAILOUT_POLICY_H

#include "sapi-shim/contract.h"

#include <stdbool.h>

struct bailout_policy_facts {
    bool aborted;            /* the OT_ABORTED bit */
    bool timed_out;          /* a time limit was reached and no new one was set since */
    bool ignore_abort;       /* ot_ignore_user_abort */
    bool in_shutdown;        /* a shutdown function runs */
    bool can_unwind;         /* ot_run stands below on this thread's stack */
    enum ot_bailout bailout; /* the pool's or the request's setting */
};

enum bailout_policy_verdict {
    BAILOUT_POLICY_GO_ON,  /* nothing to act on */
    BAILOUT_POLICY_REPORT, /* the application is told by the status bits alone */
    BAILOUT_POLICY_UNWIND, /* jump back to ot_run, or out of the shutdown function */
    BAILOUT_POLICY_EXIT,   /* end the request here, then the process */
};

enum bailout_policy_verdict bailout_policy_decide(const struct bailout_policy_facts *facts);

#endif
