/* test_locale_free.c: numbers and dates as text, in every locale. */
#include "sapi-shim/util/locale_free.h"

#include <criterion/criterion.h>
#include <inttypes.h>

Test(plain, fractions_are_as_short_as_asked)
{
    const struct {
        uint64_t number;
        unsigned decimals, least;
        const char *text;
    } cases[] = {
        {0, 0, 0, "0"},
        {0, 3, 0, "0"},
        {0, 3, 3, "0.000"},
        {100000, 6, 0, "0.1"},
        {1000000, 6, 0, "1"},
        {2000000000000, 6, 0, "2000000"},
        {100000, 9, 1, "0.0001"},
        {1000000000, 9, 1, "1.0"},
        {2000000000000, 9, 1, "2000.0"},
        {123, 2, 2, "1.23"},
        {5, 2, 2, "0.05"},
        {1050, 3, 0, "1.05"},
        {UINT64_MAX, 0, 0, "18446744073709551615"},
        {UINT64_MAX, 9, 9, "18446744073.709551615"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[LOCALE_FREE_MAX];
        cr_expect_str_eq(
            locale_free_decimal(out, cases[i].number, cases[i].decimals, cases[i].least),
            cases[i].text, "%" PRIu64 ": %s, not %s", cases[i].number, out, cases[i].text);
    }
}

Test(plain, dates_are_english)
{
    const struct tm when = {.tm_mday = 2, .tm_mon = 9, .tm_year = 126, .tm_wday = 5};
    char out[64] = "", small[4] = "";
    cr_assert_eq(locale_free_date(out, sizeof out, "%a %d/%b/%Y", &when), 15);
    cr_assert_str_eq(out, "Fri 02/Oct/2026");
    cr_assert_eq(locale_free_date(small, sizeof small, "%d/%b/%Y", &when), 0);
}
