/* For what reason a worker ended, row by row. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "fpm/ending.h"
#include "sapi-shim/contract.h"

#define EXITED(code)     ((code) << 8)
#define SIGNALLED(which) (which)

Test(ending, judges)
{
    static const struct {
        const char *what;
        struct ending_facts facts;
        enum ending expected;
    } cases[] = {
        {"left", {.status = EXITED(0)}, ENDING_BY_EXIT},
        {"left with a failure", {.status = EXITED(1)}, ENDING_BY_EXIT},
        {"nobody knows how", {.status = -1}, ENDING_BY_EXIT},
        {"crashed", {.status = SIGNALLED(SIGSEGV)}, ENDING_BY_CRASH},
        {"crashed whatever it said",
         {.status = SIGNALLED(SIGSEGV), .said = OT_EXIT_MAX_REQUESTS},
         ENDING_BY_CRASH},
        {"its program never ran", {.start_failed = true, .status = EXITED(127)}, ENDING_BY_START},
        {"its program never ran, and it was asked to go",
         {.start_failed = true, .asked = ENDING_STOP, .status = EXITED(127)},
         ENDING_BY_START},
        {"had its requests", {.said = OT_EXIT_MAX_REQUESTS}, ENDING_BY_REQUESTS},
        {"had its memory", {.said = OT_EXIT_MAX_MEMORY}, ENDING_BY_MEMORY},
        {"bailed out", {.said = OT_EXIT_BAILOUT, .status = EXITED(124)}, ENDING_BY_BAILOUT},
        {"hard time-out",
         {.said = OT_EXIT_HARD_TIMEOUT, .status = EXITED(124)},
         ENDING_BY_HARD_TIMEOUT},
        {"says it was asked, but nobody asked", {.said = OT_EXIT_ASKED}, ENDING_BY_EXIT},
        {"says nonsense", {.said = 4711}, ENDING_BY_EXIT},
        {"superfluous", {.asked = ENDING_SUPERFLUOUS}, ENDING_BY_RETIREMENT},
        {"superfluous, and had its requests",
         {.asked = ENDING_SUPERFLUOUS, .said = OT_EXIT_MAX_REQUESTS},
         ENDING_BY_RETIREMENT},
        {"reload, killed",
         {.asked = ENDING_RELOAD, .status = SIGNALLED(SIGKILL)},
         ENDING_BY_RELOAD},
        {"asked for its memory", {.asked = ENDING_MEMORY}, ENDING_BY_MEMORY},
        {"ended for its memory",
         {.asked = ENDING_MEMORY_HARD, .status = SIGNALLED(SIGTERM)},
         ENDING_BY_MEMORY},
        {"request_terminate_timeout",
         {.asked = ENDING_REQUEST, .status = SIGNALLED(SIGKILL)},
         ENDING_BY_TERMINATION},
        {"post_response.terminate_timeout",
         {.asked = ENDING_POST, .status = SIGNALLED(SIGKILL)},
         ENDING_BY_TERMINATION},
        {"stop", {.asked = ENDING_STOP, .status = SIGNALLED(SIGTERM)}, ENDING_BY_STOP},
        {"asked for no known reason", {.asked = ENDING_ASK_COUNT}, ENDING_BY_EXIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum ending got = ending_judge(&cases[i].facts);
        cr_expect_eq(got, cases[i].expected, "%s: %s instead of %s", cases[i].what,
                     ending_name(got), ending_name(cases[i].expected));
    }
}

Test(ending, every_row_has_a_name_of_its_own)
{
    for (int i = 0; i < ENDING_COUNT; i++)
        for (int j = 0; j < i; j++)
            cr_expect(strcmp(ending_name((enum ending)i), ending_name((enum ending)j)) != 0);
    cr_expect_str_eq(ending_name(ENDING_COUNT), "unknown");
    for (int i = 0; i < ENDING_ASK_COUNT; i++)
        cr_expect_str_neq(ending_ask_name((enum ending_ask)i), "unknown");
    cr_expect_str_eq(ending_ask_name(ENDING_ASK_COUNT), "unknown");
}

Test(ending, tells_the_reason_as_words)
{
    static const struct {
        struct ending_facts facts;
        const char *expected;
    } cases[] = {
        {{.status = EXITED(0)}, NULL},
        {{.status = SIGNALLED(SIGSEGV), .said = OT_EXIT_MAX_REQUESTS}, NULL},
        {{.said = 4711}, NULL},
        {{.said = OT_EXIT_MAX_REQUESTS}, "`pm.max_requests` reached"},
        {{.said = OT_EXIT_MAX_MEMORY}, "above `pm.max_memory`"},
        {{.said = OT_EXIT_ASKED}, "asked to go, not by the manager"},
        {{.said = OT_EXIT_ASKED, .asked = ENDING_SUPERFLUOUS}, "superfluous"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *reason = ending_reason(&cases[i].facts);
        cr_expect(reason == cases[i].expected || (reason != NULL && cases[i].expected != NULL &&
                                                  strcmp(reason, cases[i].expected) == 0),
                  "case %zu: %s", i, reason != NULL ? reason : "none");
    }
}

Test(ending, knows_what_is_expected)
{
    cr_expect(ending_is_expected(ENDING_BY_REQUESTS) && ending_is_expected(ENDING_BY_MEMORY));
    cr_expect(ending_is_expected(ENDING_BY_RETIREMENT) && ending_is_expected(ENDING_BY_RELOAD));
    cr_expect(!ending_is_expected(ENDING_BY_CRASH) && !ending_is_expected(ENDING_BY_EXIT));
}
