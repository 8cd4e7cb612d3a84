/* So many crashes within so short a time. */
#include <criterion/criterion.h>

#include "fpm/pool/crashes.h"

static struct crashes crashes;

static void forget(void)
{
    crashes_free(&crashes);
}

TestSuite(crashes, .fini = forget);

Test(crashes, never_without_a_threshold)
{
    for (int64_t at = 1; at < 100; at++) {
        cr_expect(!crashes_note(&crashes, 0, 1000, at));
        cr_expect(!crashes_note(&crashes, 3, 0, at));
    }
}

Test(crashes, the_last_of_so_many)
{
    cr_expect(!crashes_note(&crashes, 3, 1000, 1));
    cr_expect(!crashes_note(&crashes, 3, 1000, 500));
    cr_expect(crashes_note(&crashes, 3, 1000, 1001));
}

Test(crashes, too_slow)
{
    for (int64_t at = 1; at < 100000; at += 501)
        cr_expect(!crashes_note(&crashes, 3, 1000, at), "%lld", (long long)at);
}

Test(crashes, older_ones_slide_out)
{
    cr_expect(!crashes_note(&crashes, 3, 1000, 1));
    cr_expect(!crashes_note(&crashes, 3, 1000, 900));
    cr_expect(!crashes_note(&crashes, 3, 1000, 1100));
    cr_expect(crashes_note(&crashes, 3, 1000, 1900));
}

Test(crashes, forgotten_once_told)
{
    for (int round = 0; round < 5; round++) {
        cr_expect(!crashes_note(&crashes, 3, 1000, 10 + round));
        cr_expect(!crashes_note(&crashes, 3, 1000, 10 + round));
        cr_expect(crashes_note(&crashes, 3, 1000, 10 + round));
    }
}

Test(crashes, one_is_enough)
{
    cr_expect(crashes_note(&crashes, 1, 1000, 1));
    cr_expect(crashes_note(&crashes, 1, 1000, 2));
}

Test(crashes, another_threshold_begins_anew)
{
    cr_expect(!crashes_note(&crashes, 3, 1000, 1));
    cr_expect(!crashes_note(&crashes, 3, 1000, 2));
    cr_expect(!crashes_note(&crashes, 2, 1000, 3));
    cr_expect(crashes_note(&crashes, 2, 1000, 4));
}
