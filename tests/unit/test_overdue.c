/* When a request, or the work behind it, is over its limit. */
#include <criterion/criterion.h>

#include "fpm/pool/overdue.h"

Test(overdue, verdicts)
{
    static const struct {
        const char *what;
        struct overdue_facts facts;
        enum overdue_verdict expected;
        uint64_t again;
    } cases[] = {
        {"nothing at all", {.now = 100}, OVERDUE_NOTHING, 0},
        {"no limits", {.running_since = 1, .finished_since = 1, .now = 100}, OVERDUE_NOTHING, 0},
        {"no request", {.request_limit = 10, .post_limit = 10, .now = 100}, OVERDUE_NOTHING, 0},
        {"young", {.running_since = 95, .request_limit = 10, .now = 100}, OVERDUE_NOTHING, 105},
        {"a moment before",
         {.running_since = 91, .request_limit = 10, .now = 100},
         OVERDUE_NOTHING,
         101},
        {"at the limit",
         {.running_since = 90, .request_limit = 10, .now = 100},
         OVERDUE_REQUEST,
         0},
        {"long over", {.running_since = 1, .request_limit = 10, .now = 100}, OVERDUE_REQUEST, 0},
        {"just begun",
         {.running_since = 100, .request_limit = 10, .now = 100},
         OVERDUE_NOTHING,
         110},
        {"work, young", {.finished_since = 95, .post_limit = 10, .now = 100}, OVERDUE_NOTHING, 105},
        {"work at the limit",
         {.finished_since = 90, .post_limit = 10, .now = 100},
         OVERDUE_POST,
         0},
        {"the other's limit",
         {.finished_since = 1, .request_limit = 10, .now = 100},
         OVERDUE_NOTHING,
         0},
        {"the earlier moment is the request's",
         {.running_since = 95,
          .finished_since = 99,
          .request_limit = 10,
          .post_limit = 10,
          .now = 100},
         OVERDUE_NOTHING,
         105},
        {"the earlier moment is the work's",
         {.running_since = 99,
          .finished_since = 95,
          .request_limit = 10,
          .post_limit = 10,
          .now = 100},
         OVERDUE_NOTHING,
         105},
        {"both are over: the request's",
         {.running_since = 1,
          .finished_since = 1,
          .request_limit = 10,
          .post_limit = 10,
          .now = 100},
         OVERDUE_REQUEST,
         0},
        {"from the future: counts from now",
         {.running_since = 5000, .request_limit = 10, .now = 100},
         OVERDUE_NOTHING,
         110},
        {"from the end of time",
         {.running_since = UINT64_MAX, .request_limit = 10, .now = 100},
         OVERDUE_NOTHING,
         110},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t again = 4711;
        cr_expect_eq(overdue_check(&cases[i].facts, &again), cases[i].expected, "%s",
                     cases[i].what);
        if (cases[i].expected == OVERDUE_NOTHING)
            cr_expect_eq(again, cases[i].again, "%s: again at %llu", cases[i].what,
                         (unsigned long long)again);
    }
}
