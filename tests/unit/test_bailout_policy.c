/* test_bailout_policy.c: the verdict at a safe point, case by case. */
#include "sapi-shim/request/bailout_policy.h"

#include <criterion/criterion.h>

struct bailout_case {
    const char *name;
    struct bailout_policy_state state;
    enum bailout_policy_verdict expected;
};

#define AUTO   .bailout = OT_BAILOUT_AUTO
#define UNWIND .bailout = OT_BAILOUT_UNWIND
#define EXIT   .bailout = OT_BAILOUT_EXIT
#define NONE   .bailout = OT_BAILOUT_NONE

static const struct bailout_case cases[] = {
    {"nothing happened", {AUTO}, BAILOUT_POLICY_CONTINUE},
    {"nothing happened, exit", {EXIT}, BAILOUT_POLICY_CONTINUE},
    {"abort, loop", {.aborted = true, AUTO}, BAILOUT_POLICY_REPORT},
    {"abort, ot_run", {.aborted = true, .can_unwind = true, AUTO}, BAILOUT_POLICY_UNWIND},
    {"abort, exit", {.aborted = true, .can_unwind = true, EXIT}, BAILOUT_POLICY_EXIT},
    {"abort, none", {.aborted = true, .can_unwind = true, NONE}, BAILOUT_POLICY_REPORT},
    {"abort, unwind but nowhere to", {.aborted = true, UNWIND}, BAILOUT_POLICY_REPORT},
    {"abort ignored", {.aborted = true, .ignore_abort = true, EXIT}, BAILOUT_POLICY_CONTINUE},
    {"abort ignored, ot_run",
     {.aborted = true, .ignore_abort = true, .can_unwind = true, AUTO},
     BAILOUT_POLICY_CONTINUE},
    {"abort in a shutdown function",
     {.aborted = true, .in_shutdown = true, EXIT},
     BAILOUT_POLICY_CONTINUE},
    {"time-out, loop", {.timed_out = true, AUTO}, BAILOUT_POLICY_EXIT},
    {"time-out, ot_run", {.timed_out = true, .can_unwind = true, AUTO}, BAILOUT_POLICY_UNWIND},
    {"time-out, none", {.timed_out = true, .can_unwind = true, NONE}, BAILOUT_POLICY_REPORT},
    {"time-out, exit", {.timed_out = true, .can_unwind = true, EXIT}, BAILOUT_POLICY_EXIT},
    {"time-out, unwind but nowhere to", {.timed_out = true, UNWIND}, BAILOUT_POLICY_EXIT},
    {"time-out although aborts are ignored",
     {.timed_out = true, .ignore_abort = true, AUTO},
     BAILOUT_POLICY_EXIT},
    {"time-out in a shutdown function",
     {.timed_out = true, .in_shutdown = true, .can_unwind = true, AUTO},
     BAILOUT_POLICY_UNWIND},
    {"time-out in a shutdown function, exit",
     {.timed_out = true, .in_shutdown = true, .can_unwind = true, EXIT},
     BAILOUT_POLICY_EXIT},
    {"both, loop", {.aborted = true, .timed_out = true, AUTO}, BAILOUT_POLICY_EXIT},
};

Test(bailout_policy, verdicts)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_eq(bailout_policy_decide(&cases[i].state), cases[i].expected, "%s: got %d",
                     cases[i].name, (int)bailout_policy_decide(&cases[i].state));
}
