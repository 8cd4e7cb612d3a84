/* test_scalar.c: durations as text. */
#include "sapi-shim/util/scalar.h"

#include <criterion/criterion.h>

Test(scalar, durations)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {-5, "0 ms"},           {999, "999 ms"},       {1000, "1.0 s"},
        {119999, "119.9 s"},    {120000, "2 min 0 s"}, {7199000, "119 min 59 s"},
        {7200000, "2 h 0 min"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32];
        scalar_duration(cases[i].ms, text, sizeof text);
        cr_expect_str_eq(text, cases[i].text);
    }
}
