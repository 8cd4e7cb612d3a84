/* Which requests are entered into the slow log, and when to look again. */
#include "fpm/slow.h"

#include <criterion/criterion.h>

#define SECOND UINT64_C(1000000000)

struct look {
    uint64_t running, finished, now;
    enum slow_verdict verdict;
    uint64_t again;
};

static void follow(const struct slow_limits *limits, const struct look *looks, size_t count)
{
    struct slow_seen seen = {0};
    for (size_t i = 0; i < count; i++) {
        struct slow_facts facts = {looks[i].running * SECOND, looks[i].finished * SECOND,
                                   looks[i].now * SECOND};
        uint64_t again = 0;
        cr_assert_eq(slow_check(limits, &facts, &seen, &again), looks[i].verdict, "look %zu", i);
        cr_assert_eq(again, looks[i].again * SECOND, "look %zu", i);
    }
}

Test(slow, once_per_request_and_phase)
{
    const struct slow_limits limits = {2 * SECOND, 5 * SECOND};
    const struct look looks[] = {
        {10, 0, 11, SLOW_NOTHING, 12}, {10, 0, 12, SLOW_REQUEST, 0},  {10, 0, 13, SLOW_NOTHING, 0},
        {0, 14, 15, SLOW_NOTHING, 19}, {0, 14, 20, SLOW_POST, 0},     {0, 14, 30, SLOW_NOTHING, 0},
        {0, 0, 31, SLOW_NOTHING, 0},   {32, 0, 33, SLOW_NOTHING, 34}, {32, 0, 40, SLOW_REQUEST, 0},
    };
    follow(&limits, looks, sizeof looks / sizeof *looks);
}

Test(slow, without_a_limit_never)
{
    const struct slow_limits limits = {0, 0};
    const struct look looks[] = {{10, 0, 1000, SLOW_NOTHING, 0}, {0, 10, 1000, SLOW_NOTHING, 0}};
    follow(&limits, looks, 2);
}

Test(slow, stamp_from_the_future_counts_from_now)
{
    const struct slow_limits limits = {2 * SECOND, 0};
    const struct look looks[] = {{100, 0, 10, SLOW_NOTHING, 12}};
    follow(&limits, looks, 1);
}

Test(slow, keeps_an_earlier_moment)
{
    const struct slow_limits limits = {2 * SECOND, 0};
    const struct slow_facts facts = {10 * SECOND, 0, 11 * SECOND};
    struct slow_seen seen = {0};
    uint64_t again = 11 * SECOND;
    cr_assert_eq(slow_check(&limits, &facts, &seen, &again), SLOW_NOTHING);
    cr_assert_eq(again, 11 * SECOND);
    again = 13 * SECOND;
    cr_assert_eq(slow_check(&limits, &facts, &seen, &again), SLOW_NOTHING);
    cr_assert_eq(again, 12 * SECOND);
}
