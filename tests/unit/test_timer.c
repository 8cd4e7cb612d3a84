/* test_timer.c: for whom a timer that is set already will do. */
#include "sapi-shim/util/timer.h"

#include <criterion/criterion.h>

Test(timer, stays_as_it_is_within_the_leeway)
{
    cr_assert(timer_suits(1000, 1000, 100));
    cr_assert(timer_suits(1000, 900, 100));
    cr_assert_not(timer_suits(1000, 899, 100), "too late");
    cr_assert_not(timer_suits(1000, 1001, 100), "of an earlier request");
}

Test(timer, none)
{
    cr_assert(timer_suits(0, 0, 100));
    cr_assert_not(timer_suits(0, 50, 100), "must be set");
    cr_assert_not(timer_suits(50, 0, 100), "must be stopped");
}
