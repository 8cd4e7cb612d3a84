/* What does not pay is left alone for longer each time, and tried for ever while it does. */
#include <criterion/criterion.h>

#include "sapi-shim/connection/luck.h"

/* How often it is left alone until it is tried again. */
static unsigned pause_of(struct luck *luck)
{
    unsigned count = 0;
    while (!luck_tries(luck))
        cr_assert_lt(count++, 1000);
    return count;
}

Test(luck, what_pays_is_tried_each_time)
{
    struct luck luck = {0};
    for (int i = 0; i < 100; i++) {
        cr_expect(luck_tries(&luck));
        luck_tried(&luck, true);
    }
}

Test(luck, misses_in_a_row_make_longer_pauses_up_to_the_longest)
{
    static const unsigned pauses[] = {0, 1, 3, 7, 15, 31, 63, 63, 63};
    struct luck luck = {0};
    for (unsigned i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
        cr_expect_eq(pause_of(&luck), pauses[i], "pause %u", i);
        luck_tried(&luck, false);
    }
}

Test(luck, one_that_pays_ends_them)
{
    struct luck luck = {0};
    for (int i = 0; i < 5; i++)
        luck_tried(&luck, false);
    (void)pause_of(&luck);
    luck_tried(&luck, true);
    cr_expect_eq(pause_of(&luck), 0);
    luck_tried(&luck, false);
    cr_expect_eq(pause_of(&luck), 1, "the row begins anew");
}
