/* Who is at what, as noted slot by slot. */
#include <criterion/criterion.h>

#include "fpm/pool/census.h"

static unsigned total(const struct census *census)
{
    unsigned sum = 0;
    for (int kind = 0; kind < CENSUS_KINDS; kind++)
        sum += census->counts[kind];
    return sum;
}

Test(census, begins_with_nobody)
{
    struct census census = {0};
    cr_assert(census_begin(&census, 5) == 0);
    cr_expect(census.counts[CENSUS_NONE] == 5 && total(&census) == 5);
    census_end(&census);
    cr_expect(census.kinds == NULL && total(&census) == 0);
}

Test(census, a_note_moves_one_and_tells_what_it_was)
{
    struct census census = {0};
    cr_assert(census_begin(&census, 3) == 0);
    cr_expect(census_note(&census, 1, CENSUS_STARTING) == CENSUS_NONE);
    cr_expect(census_note(&census, 1, CENSUS_IDLE) == CENSUS_STARTING);
    cr_expect(census_note(&census, 1, CENSUS_IDLE) == CENSUS_IDLE, "told twice, counted once");
    cr_expect(census_note(&census, 2, CENSUS_BOX_RIDDLE) == CENSUS_NONE);
    cr_expect(census.counts[CENSUS_IDLE] == 1 && census.counts[CENSUS_BOX_RIDDLE] == 1);
    cr_expect(census.counts[CENSUS_NONE] == 1 && total(&census) == 3);
    cr_expect(census_note(&census, 1, CENSUS_NONE) == CENSUS_IDLE);
    cr_expect(census.counts[CENSUS_NONE] == 2 && total(&census) == 3);
    census_end(&census);
}

Test(census, what_was_noted_can_be_asked)
{
    struct census census = {0};
    cr_assert(census_begin(&census, 2) == 0);
    (void)census_note(&census, 1, CENSUS_SERVING);
    cr_expect(census_kind(&census, 1, CENSUS_STARTING) == CENSUS_SERVING);
    cr_expect(census_kind(&census, 0, CENSUS_STARTING) == CENSUS_STARTING);
    cr_expect(census_kind(&census, 7, CENSUS_STARTING) == CENSUS_STARTING);
    census_end(&census);
}

Test(census, beginning_again_forgets)
{
    struct census census = {0};
    cr_assert(census_begin(&census, 2) == 0);
    (void)census_note(&census, 0, CENSUS_POST);
    cr_assert(census_begin(&census, 4) == 0);
    cr_expect(census.counts[CENSUS_POST] == 0 && census.counts[CENSUS_NONE] == 4);
    census_end(&census);
}

Test(census, a_slot_that_is_none_changes_nothing)
{
    struct census census = {0};
    cr_assert(census_begin(&census, 2) == 0);
    cr_expect(census_note(&census, 2, CENSUS_IDLE) == CENSUS_NONE);
    cr_expect(census.counts[CENSUS_IDLE] == 0 && total(&census) == 2);
    census_end(&census);
}
