/* test_exit_cause.c: why a worker ended, row by row. */
#include "fpm/worker/exit_cause.h"

#include "sapi-shim/contract.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#define EXITED(code)     ((code) << 8)
#define SIGNALLED(which) (which)

Test(exit_cause, judges)
{
    static const struct {
        const char *what;
        struct exit_cause_input input;
        enum exit_cause expected;
    } cases[] = {
        {"left", {.status = EXITED(0)}, EXIT_CAUSE_EXIT},
        {"left with a failure", {.status = EXITED(1)}, EXIT_CAUSE_EXIT},
        {"unknown status", {.status = -1}, EXIT_CAUSE_EXIT},
        {"crashed", {.status = SIGNALLED(SIGSEGV)}, EXIT_CAUSE_CRASH},
        {"crashed, although it gave a reason",
         {.status = SIGNALLED(SIGSEGV), .exit_reason = OT_EXIT_MAX_REQUESTS},
         EXIT_CAUSE_CRASH},
        {"its program never ran", {.start_failed = true, .status = EXITED(127)}, EXIT_CAUSE_START},
        {"its program never ran, and it was asked to go",
         {.start_failed = true, .stop_reason = EXIT_CAUSE_STOP_MANAGER, .status = EXITED(127)},
         EXIT_CAUSE_START},
        {"had its requests", {.exit_reason = OT_EXIT_MAX_REQUESTS}, EXIT_CAUSE_REQUESTS},
        {"had its memory", {.exit_reason = OT_EXIT_MAX_MEMORY}, EXIT_CAUSE_MEMORY},
        {"bailed out", {.exit_reason = OT_EXIT_BAILOUT, .status = EXITED(124)}, EXIT_CAUSE_BAILOUT},
        {"hard time-out",
         {.exit_reason = OT_EXIT_HARD_TIMEOUT, .status = EXITED(124)},
         EXIT_CAUSE_HARD_TIMEOUT},
        {"says it was asked, but not by the manager",
         {.exit_reason = OT_EXIT_STOPPED},
         EXIT_CAUSE_EXIT},
        {"says nonsense", {.exit_reason = 4711}, EXIT_CAUSE_EXIT},
        {"superfluous", {.stop_reason = EXIT_CAUSE_STOP_SUPERFLUOUS}, EXIT_CAUSE_RETIREMENT},
        {"superfluous, and had its requests",
         {.stop_reason = EXIT_CAUSE_STOP_SUPERFLUOUS, .exit_reason = OT_EXIT_MAX_REQUESTS},
         EXIT_CAUSE_RETIREMENT},
        {"reload, killed",
         {.stop_reason = EXIT_CAUSE_STOP_RELOAD, .status = SIGNALLED(SIGKILL)},
         EXIT_CAUSE_RELOAD},
        {"asked for its memory", {.stop_reason = EXIT_CAUSE_STOP_MEMORY}, EXIT_CAUSE_MEMORY},
        {"ended for its memory",
         {.stop_reason = EXIT_CAUSE_STOP_MEMORY_HARD, .status = SIGNALLED(SIGTERM)},
         EXIT_CAUSE_MEMORY},
        {"request_terminate_timeout",
         {.stop_reason = EXIT_CAUSE_STOP_REQUEST, .status = SIGNALLED(SIGKILL)},
         EXIT_CAUSE_TERMINATION},
        {"post_response.terminate_timeout",
         {.stop_reason = EXIT_CAUSE_STOP_POST_RESPONSE, .status = SIGNALLED(SIGKILL)},
         EXIT_CAUSE_TERMINATION},
        {"stop",
         {.stop_reason = EXIT_CAUSE_STOP_MANAGER, .status = SIGNALLED(SIGTERM)},
         EXIT_CAUSE_STOP},
        {"asked for no known reason", {.stop_reason = EXIT_CAUSE_STOP_COUNT}, EXIT_CAUSE_EXIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum exit_cause got = exit_cause_of(&cases[i].input);
        cr_expect_eq(got, cases[i].expected, "%s: %s instead of %s", cases[i].what,
                     exit_cause_name(got), exit_cause_name(cases[i].expected));
    }
}

Test(exit_cause, every_row_has_a_name_of_its_own)
{
    for (int i = 0; i < EXIT_CAUSE_COUNT; i++)
        for (int j = 0; j < i; j++)
            cr_expect(strcmp(exit_cause_name((enum exit_cause)i),
                             exit_cause_name((enum exit_cause)j)) != 0);
    cr_expect_str_eq(exit_cause_name(EXIT_CAUSE_COUNT), "unknown");
    for (int i = 0; i < EXIT_CAUSE_STOP_COUNT; i++)
        cr_expect_str_neq(exit_cause_stop_text((enum exit_cause_stop)i), "unknown");
    cr_expect_str_eq(exit_cause_stop_text(EXIT_CAUSE_STOP_COUNT), "unknown");
}

Test(exit_cause, tells_the_reason_as_words)
{
    static const struct {
        struct exit_cause_input input;
        const char *expected;
    } cases[] = {
        {{.status = EXITED(0)}, NULL},
        {{.status = SIGNALLED(SIGSEGV), .exit_reason = OT_EXIT_MAX_REQUESTS}, NULL},
        {{.exit_reason = 4711}, NULL},
        {{.exit_reason = OT_EXIT_MAX_REQUESTS}, "`pm.max_requests` reached"},
        {{.exit_reason = OT_EXIT_MAX_MEMORY}, "above `pm.max_memory`"},
        {{.exit_reason = OT_EXIT_STOPPED}, "asked to go, not by the manager"},
        {{.exit_reason = OT_EXIT_STOPPED, .stop_reason = EXIT_CAUSE_STOP_SUPERFLUOUS},
         "superfluous"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *reason = exit_cause_text(&cases[i].input);
        cr_expect(reason == cases[i].expected || (reason != NULL && cases[i].expected != NULL &&
                                                  strcmp(reason, cases[i].expected) == 0),
                  "case %zu: %s", i, reason != NULL ? reason : "none");
    }
}

Test(exit_cause, knows_what_is_expected)
{
    cr_expect(exit_cause_is_expected(EXIT_CAUSE_REQUESTS) &&
              exit_cause_is_expected(EXIT_CAUSE_MEMORY));
    cr_expect(exit_cause_is_expected(EXIT_CAUSE_RETIREMENT) &&
              exit_cause_is_expected(EXIT_CAUSE_RELOAD));
    cr_expect(!exit_cause_is_expected(EXIT_CAUSE_CRASH) &&
              !exit_cause_is_expected(EXIT_CAUSE_EXIT));
}
