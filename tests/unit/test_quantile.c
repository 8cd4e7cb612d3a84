/* test_quantile.c: quantiles of histograms. */
#include <criterion/criterion.h>

#include "fpm/ctl/quantile.h"

#define NEAR(a, b) cr_expect_float_eq(a, b, 1e-9, "%.12g is not %.12g", (double)(a), (double)(b))

static struct quantile_histogram histogram(int64_t a, int64_t b, int64_t c, int64_t above)
{
    return (struct quantile_histogram){
        .bounds_count = 3, .bounds = {1, 2, 5}, .buckets = {a, b, c, above}};
}

Test(quantile, is_linear_within_a_bucket)
{
    struct quantile_histogram h = histogram(10, 0, 10, 0);
    NEAR(quantile_of(&h, 0.25), 0.5);
    NEAR(quantile_of(&h, 0.5), 1);
    NEAR(quantile_of(&h, 0.75), 3.5);
    NEAR(quantile_of(&h, 1), 5);
    NEAR(quantile_of(&h, 0), 0);
}

Test(quantile, cuts_at_the_highest_bound)
{
    struct quantile_histogram h = histogram(1, 0, 0, 9);
    NEAR(quantile_of(&h, 0.99), 5);
}

Test(quantile, knows_nothing_of_nothing)
{
    struct quantile_histogram h = histogram(0, 0, 0, 0), none = {0};
    cr_expect(quantile_of(&h, 0.5) < 0);
    cr_expect(quantile_of(&none, 0.5) < 0);
}

Test(quantile, takes_differences)
{
    struct quantile_histogram a = histogram(1, 2, 3, 4), b = histogram(1, 5, 3, 4), out;
    cr_assert(quantile_between(&a, &b, &out));
    NEAR(quantile_of(&out, 0.5), 1.5);
    cr_expect_not(quantile_between(&b, &a, &out), "counters fell");
    cr_expect_eq(out.bounds_count, 0);
    b.bounds[1] = 3;
    cr_expect_not(quantile_between(&a, &b, &out), "bounds changed");
}
