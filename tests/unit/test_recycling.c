/* When a worker has served its share: numbers in, numbers out. */
#include <criterion/criterion.h>

#include "sapi-shim/request/recycling.h"

Test(recycle, a_share_of_requests)
{
    static const struct {
        uint64_t max, jitter, random, share;
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
        cr_expect(recycling_share(cases[i].max, cases[i].jitter, cases[i].random) == cases[i].share,
                  "case %zu", i);
}
