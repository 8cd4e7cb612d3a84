/* Foreign text made harmless, for log lines and for JSON. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fpm/util/text.h"

static const char *show(const char *text)
{
    static char out[256];
    return text_show(out, sizeof out, text);
}

Test(text, leaves_harmless_text_alone)
{
    cr_expect_str_eq(show("GET /a?b=c \"d\""), "GET /a?b=c \"d\"");
    cr_expect_str_eq(show("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
                     "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
}

Test(text, escapes_what_could_do_harm)
{
    cr_expect_str_eq(show("a\nb\rc\td\\e"), "a\\x0ab\\x0dc\\td\\\\e");
    cr_expect_str_eq(show("\x1b[31m\x7f"), "\\x1b[31m\\x7f");
    cr_expect_str_eq(show("\xc2\x9b"), "\\xc2\\x9b", "a C1 control character");
    cr_expect_str_eq(show("\xff\xc3"), "\\xff\\xc3", "stray and cut bytes");
    cr_expect_str_eq(show("\xc0\xaf"), "\\xc0\\xaf", "overlong");
    cr_expect_str_eq(show("\xed\xa0\x80"), "\\xed\\xa0\\x80", "a surrogate");
}

Test(text, cuts_to_whole_characters)
{
    char out[6];
    cr_expect(text_printable(out, sizeof out, "abc\xe2\x82\xac", 6) == 3);
    cr_expect_str_eq(out, "abc");
    cr_expect(text_printable(out, sizeof out, "ab\n", 3) == 2);
    cr_expect_str_eq(out, "ab");
    cr_expect(text_printable(out, sizeof out, "a\0b", 3) == 2);
    cr_expect_str_eq(out, "a\\x00");
}

Test(text, always_takes_something)
{
    char out[5];
    for (int byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        cr_expect(text_printable(out, sizeof out, &text, 1) == 1, "byte %d", byte);
    }
}

static void expect_json(const char *text, const char *wanted)
{
    char *got = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&got, &size);
    cr_assert(out != NULL);
    text_json(out, text);
    cr_assert(fclose(out) == 0);
    cr_expect_str_eq(got, wanted);
    free(got);
}

Test(text, makes_json_strings)
{
    expect_json("", "\"\"");
    expect_json("a\"b\\c/", "\"a\\u0022b\\u005cc/\"");
}

Test(text, makes_json_of_hostile_bytes)
{
    expect_json("\n\x01\x7f", "\"\\u000a\\u0001\\u007f\"");
    expect_json("\xff\xc3\xbc", "\"\\ufffd\xc3\xbc\"");
    expect_json("\xc2\x9b", "\"\\u009b\"");
}

Test(text, escapes_once)
{
    char out[32];
    cr_expect(text_one_line(out, sizeof out, "a\\x0a\nb\xff", 8) == 8);
    cr_expect_str_eq(out, "a\\x0a\\x0ab\\xff");
}

Test(text, makes_parts_of_json_strings)
{
    char out[8];
    cr_expect(text_json_part(out, sizeof out, "a\0b", 3) == 2);
    cr_expect_str_eq(out, "a\\u0000");
    cr_expect(text_json_part(out, sizeof out, "\"", 1) == 1);
    cr_expect_str_eq(out, "\\u0022");
    cr_expect(text_json_part(out, 4, "ab\xe2\x82\xac", 5) == 2);
    cr_expect_str_eq(out, "ab", "whole characters");
}

Test(text, durations)
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
        text_duration(cases[i].ms, text, sizeof text);
        cr_expect_str_eq(text, cases[i].text);
    }
}
