/* test_recycling.c: after how many requests a worker is replaced. */
#include "sapi-shim/request/recycling.h"

#include <criterion/criterion.h>

Test(recycling, requests_of_a_worker)
{
    static const struct {
        uint64_t max, jitter, random, expected;
    } cases[] = {
        {0, 0, 5, 0},
        {0, 100, 5, 0}, /* without a limit there is nothing to add to */
        {10, 0, 12345, 10},
        {10, 5, 5, 15},
        {10, 5, 6, 10},
        {10, 5, UINT64_MAX, 10 + UINT64_MAX % 6},
        {10, UINT64_MAX, 7, 17},
        {10, UINT64_MAX, UINT64_MAX, UINT64_MAX},
        {UINT64_MAX, 1, 1, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect(recycling_max_requests(cases[i].max, cases[i].jitter, cases[i].random) ==
                      cases[i].expected,
                  "case %zu", i);
}
