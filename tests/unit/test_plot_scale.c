/* Round numbers for axes. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "fpm/ctl/plot_scale.h"

static void utc(void)
{
    (void)setenv("TZ", "UTC", 1);
    tzset();
}

TestSuite(plot_scale, .init = utc);

Test(plot_scale, steps_are_1_2_5)
{
    static const struct {
        double most;
        unsigned count;
        double least, step;
    } rows[] = {{12, 6, 1, 2},     {13, 6, 1, 5},     {6, 6, 1, 1},       {3, 6, 1, 1},
                {0, 6, 1, 1},      {100, 4, 0.1, 50}, {0.7, 4, 0.1, 0.2}, {1000, 5, 1, 200},
                {1001, 5, 1, 500}, {60, 6, 1, 10}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_float_eq(plot_scale_step(rows[i].most, rows[i].count, rows[i].least),
                           rows[i].step, 1e-9, "0 to %g in %u", rows[i].most, rows[i].count);
}

Test(plot_scale, steps_of_time_are_those_of_clocks)
{
    static const struct {
        int64_t span, step;
    } rows[] = {{1000, 200},          {8000, 1000},     {8001, 2000},
                {60000, 10000},       {600000, 120000}, {3600000, 600000},
                {86400000, 10800000}, {0, 100},         {691200000, 86400000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(plot_scale_time_step(rows[i].span, 8), rows[i].step, "span %lld",
                     (long long)rows[i].span);
    cr_expect_geq(plot_scale_time_step(INT64_C(86400000) * 3650, 8) * 8, INT64_C(86400000) * 3650);
}

Test(plot_scale, first_mark_is_on_the_step)
{
    cr_expect_eq(plot_scale_time_first(1000000000123, 1000), 1000000001000);
    cr_expect_eq(plot_scale_time_first(1000000001000, 1000), 1000000001000);
    cr_expect_eq(plot_scale_time_first(1000000001000, 60000), 1000000020000);
    (void)setenv("TZ", "TST-5:30", 1);
    tzset();
    cr_expect_eq(plot_scale_time_first(1000000001000, 3600000) % 3600000, 1800000, "local hours");
}

static const char *moment(int64_t time, int64_t step)
{
    static char out[32];
    plot_scale_time(time, step, out, sizeof out);
    return out;
}

Test(plot_scale, moments_are_as_exact_as_the_step)
{
    cr_expect_str_eq(moment(1000000001200, 200), "01:46:41.2");
    cr_expect_str_eq(moment(1000000001000, 5000), "01:46:41");
    cr_expect_str_eq(moment(1000000001000, 60000), "01:46");
    cr_expect_str_eq(moment(1000000001000, 86400000), "Sep  9");
}

static const char *duration(double ms)
{
    static char out[32];
    plot_scale_duration(ms, out, sizeof out);
    return out;
}

Test(plot_scale, words)
{
    char out[32];
    cr_expect_str_eq(duration(0.1), "0.1 ms");
    cr_expect_str_eq(duration(100), "100 ms");
    cr_expect_str_eq(duration(1000), "1 s");
    cr_expect_str_eq(duration(120000), "2 min");
    plot_scale_number(1500, out, sizeof out);
    cr_expect_str_eq(out, "1500");
    plot_scale_number(0.2, out, sizeof out);
    cr_expect_str_eq(out, "0.2");
}
