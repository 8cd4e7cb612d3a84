/* Which requests are entered into the slow log, and when to look again. */
#include "fpm/slow_log/deadline.h"

#include <criterion/criterion.h>

#define SECOND UINT64_C(1000000000)

struct look {
    uint64_t running, finished, now;
    enum deadline_verdict verdict;
    uint64_t again;
};

static void follow(const struct deadline_limits *limits, const struct look *looks, size_t count)
{
    struct deadline_seen seen = {0};
    for (size_t i = 0; i < count; i++) {
        struct deadline_facts facts = {looks[i].running * SECOND, looks[i].finished * SECOND,
                                       looks[i].now * SECOND};
        uint64_t again = 0;
        cr_assert_eq(deadline_check(limits, &facts, &seen, &again), looks[i].verdict, "look %zu",
                     i);
        cr_assert_eq(again, looks[i].again * SECOND, "look %zu", i);
    }
}

Test(slow, once_per_request_and_phase)
{
    const struct deadline_limits limits = {2 * SECOND, 5 * SECOND};
    const struct look looks[] = {
        {10, 0, 11, DEADLINE_NOTHING, 12}, {10, 0, 12, DEADLINE_REQUEST, 0},
        {10, 0, 13, DEADLINE_NOTHING, 0},  {0, 14, 15, DEADLINE_NOTHING, 19},
        {0, 14, 20, DEADLINE_POST, 0},     {0, 14, 30, DEADLINE_NOTHING, 0},
        {0, 0, 31, DEADLINE_NOTHING, 0},   {32, 0, 33, DEADLINE_NOTHING, 34},
        {32, 0, 40, DEADLINE_REQUEST, 0},
    };
    follow(&limits, looks, sizeof looks / sizeof *looks);
}

Test(slow, without_a_limit_never)
{
    const struct deadline_limits limits = {0, 0};
    const struct look looks[] = {{10, 0, 1000, DEADLINE_NOTHING, 0},
                                 {0, 10, 1000, DEADLINE_NOTHING, 0}};
    follow(&limits, looks, 2);
}

Test(slow, stamp_from_the_future_counts_from_now)
{
    const struct deadline_limits limits = {2 * SECOND, 0};
    const struct look looks[] = {{100, 0, 10, DEADLINE_NOTHING, 12}};
    follow(&limits, looks, 1);
}

Test(slow, keeps_an_earlier_moment)
{
    const struct deadline_limits limits = {2 * SECOND, 0};
    const struct deadline_facts facts = {10 * SECOND, 0, 11 * SECOND};
    struct deadline_seen seen = {0};
    uint64_t again = 11 * SECOND;
    cr_assert_eq(deadline_check(&limits, &facts, &seen, &again), DEADLINE_NOTHING);
    cr_assert_eq(again, 11 * SECOND);
    again = 13 * SECOND;
    cr_assert_eq(deadline_check(&limits, &facts, &seen, &again), DEADLINE_NOTHING);
    cr_assert_eq(again, 12 * SECOND);
}
