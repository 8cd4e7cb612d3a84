/* For what reason a worker ended, row by row. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "fpm/worker/exit_cause.h"
#include "sapi-shim/contract.h"

#define EXITED(code)     ((code) << 8)
#define SIGNALLED(which) (which)

Test(ending, judges)
{
    static const struct {
        const char *what;
        struct exit_cause_facts facts;
        enum exit_cause expected;
    } cases[] = {
        {"left", {.status = EXITED(0)}, EXIT_CAUSE_BY_EXIT},
        {"left with a failure", {.status = EXITED(1)}, EXIT_CAUSE_BY_EXIT},
        {"nobody knows how", {.status = -1}, EXIT_CAUSE_BY_EXIT},
        {"crashed", {.status = SIGNALLED(SIGSEGV)}, EXIT_CAUSE_BY_CRASH},
        {"crashed whatever it said",
         {.status = SIGNALLED(SIGSEGV), .said = OT_EXIT_MAX_REQUESTS},
         EXIT_CAUSE_BY_CRASH},
        {"its program never ran",
         {.start_failed = true, .status = EXITED(127)},
         EXIT_CAUSE_BY_START},
        {"its program never ran, and it was asked to go",
         {.start_failed = true, .asked = EXIT_CAUSE_STOP, .status = EXITED(127)},
         EXIT_CAUSE_BY_START},
        {"had its requests", {.said = OT_EXIT_MAX_REQUESTS}, EXIT_CAUSE_BY_REQUESTS},
        {"had its memory", {.said = OT_EXIT_MAX_MEMORY}, EXIT_CAUSE_BY_MEMORY},
        {"bailed out", {.said = OT_EXIT_BAILOUT, .status = EXITED(124)}, EXIT_CAUSE_BY_BAILOUT},
        {"hard time-out",
         {.said = OT_EXIT_HARD_TIMEOUT, .status = EXITED(124)},
         EXIT_CAUSE_BY_HARD_TIMEOUT},
        {"says it was asked, but nobody asked", {.said = OT_EXIT_ASKED}, EXIT_CAUSE_BY_EXIT},
        {"says nonsense", {.said = 4711}, EXIT_CAUSE_BY_EXIT},
        {"superfluous", {.asked = EXIT_CAUSE_SUPERFLUOUS}, EXIT_CAUSE_BY_RETIREMENT},
        {"superfluous, and had its requests",
         {.asked = EXIT_CAUSE_SUPERFLUOUS, .said = OT_EXIT_MAX_REQUESTS},
         EXIT_CAUSE_BY_RETIREMENT},
        {"reload, killed",
         {.asked = EXIT_CAUSE_RELOAD, .status = SIGNALLED(SIGKILL)},
         EXIT_CAUSE_BY_RELOAD},
        {"asked for its memory", {.asked = EXIT_CAUSE_MEMORY}, EXIT_CAUSE_BY_MEMORY},
        {"ended for its memory",
         {.asked = EXIT_CAUSE_MEMORY_HARD, .status = SIGNALLED(SIGTERM)},
         EXIT_CAUSE_BY_MEMORY},
        {"request_terminate_timeout",
         {.asked = EXIT_CAUSE_REQUEST, .status = SIGNALLED(SIGKILL)},
         EXIT_CAUSE_BY_TERMINATION},
        {"post_response.terminate_timeout",
         {.asked = EXIT_CAUSE_POST, .status = SIGNALLED(SIGKILL)},
         EXIT_CAUSE_BY_TERMINATION},
        {"stop", {.asked = EXIT_CAUSE_STOP, .status = SIGNALLED(SIGTERM)}, EXIT_CAUSE_BY_STOP},
        {"asked for no known reason", {.asked = EXIT_CAUSE_ASK_COUNT}, EXIT_CAUSE_BY_EXIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum exit_cause got = exit_cause_judge(&cases[i].facts);
        cr_expect_eq(got, cases[i].expected, "%s: %s instead of %s", cases[i].what,
                     exit_cause_name(got), exit_cause_name(cases[i].expected));
    }
}

Test(ending, every_row_has_a_name_of_its_own)
{
    for (int i = 0; i < EXIT_CAUSE_COUNT; i++)
        for (int j = 0; j < i; j++)
            cr_expect(strcmp(exit_cause_name((enum exit_cause)i),
                             exit_cause_name((enum exit_cause)j)) != 0);
    cr_expect_str_eq(exit_cause_name(EXIT_CAUSE_COUNT), "unknown");
    for (int i = 0; i < EXIT_CAUSE_ASK_COUNT; i++)
        cr_expect_str_neq(exit_cause_ask_name((enum exit_cause_ask)i), "unknown");
    cr_expect_str_eq(exit_cause_ask_name(EXIT_CAUSE_ASK_COUNT), "unknown");
}

Test(ending, tells_the_reason_as_words)
{
    static const struct {
        struct exit_cause_facts facts;
        const char *expected;
    } cases[] = {
        {{.status = EXITED(0)}, NULL},
        {{.status = SIGNALLED(SIGSEGV), .said = OT_EXIT_MAX_REQUESTS}, NULL},
        {{.said = 4711}, NULL},
        {{.said = OT_EXIT_MAX_REQUESTS}, "`pm.max_requests` reached"},
        {{.said = OT_EXIT_MAX_MEMORY}, "above `pm.max_memory`"},
        {{.said = OT_EXIT_ASKED}, "asked to go, not by the manager"},
        {{.said = OT_EXIT_ASKED, .asked = EXIT_CAUSE_SUPERFLUOUS}, "superfluous"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *reason = exit_cause_reason(&cases[i].facts);
        cr_expect(reason == cases[i].expected || (reason != NULL && cases[i].expected != NULL &&
                                                  strcmp(reason, cases[i].expected) == 0),
                  "case %zu: %s", i, reason != NULL ? reason : "none");
    }
}

Test(ending, knows_what_is_expected)
{
    cr_expect(exit_cause_is_expected(EXIT_CAUSE_BY_REQUESTS) &&
              exit_cause_is_expected(EXIT_CAUSE_BY_MEMORY));
    cr_expect(exit_cause_is_expected(EXIT_CAUSE_BY_RETIREMENT) &&
              exit_cause_is_expected(EXIT_CAUSE_BY_RELOAD));
    cr_expect(!exit_cause_is_expected(EXIT_CAUSE_BY_CRASH) &&
              !exit_cause_is_expected(EXIT_CAUSE_BY_EXIT));
}
