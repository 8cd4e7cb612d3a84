/* test_deadline.c: when a request, or its post-response work, passes its limit, and when to check
 * again. */
#include "fpm/slow_log/deadline.h"

#include <criterion/criterion.h>

#define SECOND UINT64_C(1000000000)

struct look {
    uint64_t running, finished, now;
    enum deadline_verdict verdict;
    uint64_t next_check;
};

static void check_all(const struct deadline_limits *limits, const struct look *looks, size_t count)
{
    struct deadline_reported reported = {0};
    for (size_t i = 0; i < count; i++) {
        struct deadline_stamps stamps = {looks[i].running * SECOND, looks[i].finished * SECOND,
                                         looks[i].now * SECOND};
        uint64_t next_check = 0;
        cr_assert_eq(deadline_check(limits, &stamps, &reported, &next_check), looks[i].verdict,
                     "look %zu", i);
        cr_assert_eq(next_check, looks[i].next_check * SECOND, "look %zu", i);
    }
}

Test(deadline, once_per_request_and_phase)
{
    const struct deadline_limits limits = {2 * SECOND, 5 * SECOND};
    const struct look looks[] = {
        {10, 0, 11, DEADLINE_NOT_PASSED, 12},   {10, 0, 12, DEADLINE_REQUEST, 0},
        {10, 0, 13, DEADLINE_NOT_PASSED, 0},    {0, 14, 15, DEADLINE_NOT_PASSED, 19},
        {0, 14, 20, DEADLINE_POST_RESPONSE, 0}, {0, 14, 30, DEADLINE_NOT_PASSED, 0},
        {0, 0, 31, DEADLINE_NOT_PASSED, 0},     {32, 0, 33, DEADLINE_NOT_PASSED, 34},
        {32, 0, 40, DEADLINE_REQUEST, 0},
    };
    check_all(&limits, looks, sizeof looks / sizeof *looks);
}

Test(deadline, without_a_limit_never)
{
    const struct deadline_limits limits = {0, 0};
    const struct look looks[] = {{10, 0, 1000, DEADLINE_NOT_PASSED, 0},
                                 {0, 10, 1000, DEADLINE_NOT_PASSED, 0}};
    check_all(&limits, looks, 2);
}

Test(deadline, stamp_from_the_future_counts_from_now)
{
    const struct deadline_limits limits = {2 * SECOND, 0};
    const struct look looks[] = {{100, 0, 10, DEADLINE_NOT_PASSED, 12}};
    check_all(&limits, looks, 1);
}

Test(deadline, keeps_an_earlier_moment)
{
    const struct deadline_limits limits = {2 * SECOND, 0};
    const struct deadline_stamps stamps = {10 * SECOND, 0, 11 * SECOND};
    struct deadline_reported reported = {0};
    uint64_t next_check = 11 * SECOND;
    cr_assert_eq(deadline_check(&limits, &stamps, &reported, &next_check), DEADLINE_NOT_PASSED);
    cr_assert_eq(next_check, 11 * SECOND);
    next_check = 13 * SECOND;
    cr_assert_eq(deadline_check(&limits, &stamps, &reported, &next_check), DEADLINE_NOT_PASSED);
    cr_assert_eq(next_check, 12 * SECOND);
}

/* Without a memory: a limit is passed at every check. */
Test(deadline, verdicts)
{
    static const struct {
        const char *what;
        struct deadline_stamps stamps;
        struct deadline_limits limits;
        enum deadline_verdict expected;
        uint64_t next_check;
    } cases[] = {
        {"nothing at all", {.now = 100}, {0}, DEADLINE_NOT_PASSED, 0},
        {"no limits",
         {.running_since = 1, .finished_since = 1, .now = 100},
         {0},
         DEADLINE_NOT_PASSED,
         0},
        {"no request", {.now = 100}, {.request = 10, .post_response = 10}, DEADLINE_NOT_PASSED, 0},
        {"young", {.running_since = 95, .now = 100}, {.request = 10}, DEADLINE_NOT_PASSED, 105},
        {"a moment before",
         {.running_since = 91, .now = 100},
         {.request = 10},
         DEADLINE_NOT_PASSED,
         101},
        {"at the limit", {.running_since = 90, .now = 100}, {.request = 10}, DEADLINE_REQUEST, 0},
        {"long over", {.running_since = 1, .now = 100}, {.request = 10}, DEADLINE_REQUEST, 0},
        {"just begun",
         {.running_since = 100, .now = 100},
         {.request = 10},
         DEADLINE_NOT_PASSED,
         110},
        {"work, young",
         {.finished_since = 95, .now = 100},
         {.post_response = 10},
         DEADLINE_NOT_PASSED,
         105},
        {"work at the limit",
         {.finished_since = 90, .now = 100},
         {.post_response = 10},
         DEADLINE_POST_RESPONSE,
         0},
        {"the other's limit",
         {.finished_since = 1, .now = 100},
         {.request = 10},
         DEADLINE_NOT_PASSED,
         0},
        {"the earlier moment is the request's",
         {.running_since = 95, .finished_since = 99, .now = 100},
         {.request = 10, .post_response = 10},
         DEADLINE_NOT_PASSED,
         105},
        {"the earlier moment is the work's",
         {.running_since = 99, .finished_since = 95, .now = 100},
         {.request = 10, .post_response = 10},
         DEADLINE_NOT_PASSED,
         105},
        {"both are over: the request's",
         {.running_since = 1, .finished_since = 1, .now = 100},
         {.request = 10, .post_response = 10},
         DEADLINE_REQUEST,
         0},
        {"from the future: counts from now",
         {.running_since = 5000, .now = 100},
         {.request = 10},
         DEADLINE_NOT_PASSED,
         110},
        {"from the end of time",
         {.running_since = UINT64_MAX, .now = 100},
         {.request = 10},
         DEADLINE_NOT_PASSED,
         110},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t next_check = 0;
        cr_expect_eq(deadline_check(&cases[i].limits, &cases[i].stamps, NULL, &next_check),
                     cases[i].expected, "%s", cases[i].what);
        if (cases[i].expected == DEADLINE_NOT_PASSED)
            cr_expect_eq(next_check, cases[i].next_check, "%s: checked again at %llu",
                         cases[i].what, (unsigned long long)next_check);
    }
}
