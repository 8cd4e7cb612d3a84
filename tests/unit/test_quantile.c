/* test_quantile.c: quantiles of histograms. */
#include "fpm/util/quantile.h"

#include <criterion/criterion.h>
#include <math.h>

#define NEAR(a, b) cr_expect_float_eq(a, b, 1e-9, "%.12g is not %.12g", (double)(a), (double)(b))

static struct quantile_histogram histogram(uint64_t a, uint64_t b, uint64_t c, uint64_t above)
{
    return (struct quantile_histogram){
        .bounds_count = 3, .bounds = {1, 2, 5}, .buckets = {a, b, c, above}};
}

Test(quantile, is_the_bound_of_its_bucket)
{
    struct quantile_histogram h = histogram(10, 0, 10, 0);
    NEAR(quantile_of(&h, 1), 1);
    NEAR(quantile_of(&h, 50), 1);
    NEAR(quantile_of(&h, 51), 5);
    NEAR(quantile_of(&h, 100), 5);
}

Test(quantile, is_infinite_above_all_bounds)
{
    struct quantile_histogram h = histogram(1, 0, 0, 9);
    NEAR(quantile_of(&h, 10), 1);
    cr_expect(isinf(quantile_of(&h, 99)));
}

Test(quantile, knows_nothing_of_nothing)
{
    struct quantile_histogram h = histogram(0, 0, 0, 0), none = {0};
    cr_expect(quantile_of(&h, 50) < 0);
    cr_expect(quantile_of(&none, 50) < 0);
}

Test(quantile, takes_differences)
{
    struct quantile_histogram a = histogram(1, 2, 3, 4), b = histogram(1, 5, 3, 4), out;
    cr_assert(quantile_between(&a, &b, &out));
    NEAR(quantile_of(&out, 50), 2);
    cr_expect_not(quantile_between(&b, &a, &out), "counters fell");
    cr_expect_eq(out.bounds_count, 0);
    b.bounds[1] = 3;
    cr_expect_not(quantile_between(&a, &b, &out), "bounds changed");
}
