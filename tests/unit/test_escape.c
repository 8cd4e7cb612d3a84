/* test_escape.c: foreign text made harmless, for each place where it is shown. */
#include "sapi-shim/util/escape.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *show(const char *text)
{
    static char out[256];
    return escape_show(out, sizeof out, text);
}

Test(escape, leaves_harmless_text_alone)
{
    cr_expect_str_eq(show("GET /a?b=c \"d\""), "GET /a?b=c \"d\"");
    cr_expect_str_eq(show("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
                     "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
}

Test(escape, escapes_what_could_do_harm)
{
    cr_expect_str_eq(show("a\nb\rc\td\\e"), "a\\x0ab\\x0dc\\td\\\\e");
    cr_expect_str_eq(show("\x1b[31m\x7f"), "\\x1b[31m\\x7f");
    cr_expect_str_eq(show("\xc2\x9b"), "\\xc2\\x9b", "a C1 control character");
    cr_expect_str_eq(show("\xff\xc3"), "\\xff\\xc3", "stray and cut bytes");
    cr_expect_str_eq(show("\xc0\xaf"), "\\xc0\\xaf", "overlong");
    cr_expect_str_eq(show("\xed\xa0\x80"), "\\xed\\xa0\\x80", "a surrogate");
}

Test(escape, cuts_to_whole_characters)
{
    char out[6];
    cr_expect(escape_text(out, sizeof out, ESCAPE_LOG, "abc\xe2\x82\xac", 6) == 3);
    cr_expect_str_eq(out, "abc");
    cr_expect(escape_text(out, sizeof out, ESCAPE_LOG, "ab\n", 3) == 2);
    cr_expect_str_eq(out, "ab");
    cr_expect(escape_text(out, sizeof out, ESCAPE_LOG, "a\0b", 3) == 2);
    cr_expect_str_eq(out, "a\\x00");
}

Test(escape, always_takes_something)
{
    char out[5];
    for (int byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        cr_expect(escape_text(out, sizeof out, ESCAPE_LOG, &text, 1) == 1, "byte %d", byte);
    }
}

static void expect(enum escape_target target, const char *text, const char *wanted)
{
    char *got = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&got, &size);
    cr_assert(out != NULL);
    escape_print(out, target, text);
    cr_assert(fclose(out) == 0);
    cr_expect_str_eq(got, wanted);
    free(got);
}

Test(escape, makes_json_strings)
{
    expect(ESCAPE_JSON, "", "");
    expect(ESCAPE_JSON, "a\"b\\c/", "a\\u0022b\\u005cc/");
    expect(ESCAPE_JSON_SHORT, "a\"b\\c/\n", "a\\\"b\\\\c/\\u000a");
}

Test(escape, makes_json_of_hostile_bytes)
{
    expect(ESCAPE_JSON, "\n\x01\x7f", "\\u000a\\u0001\\u007f");
    expect(ESCAPE_JSON, "\xff\xc3\xbc", "\\ufffd\xc3\xbc");
    expect(ESCAPE_JSON, "\xc2\x9b", "\\u009b");
}

Test(escape, escapes_once)
{
    char out[32];
    cr_expect(escape_text(out, sizeof out, ESCAPE_LOG_AGAIN, "a\\x0a\nb\xff", 8) == 8);
    cr_expect_str_eq(out, "a\\x0a\\x0ab\\xff");
}

Test(escape, makes_parts_of_json_strings)
{
    char out[8];
    cr_expect(escape_text(out, sizeof out, ESCAPE_JSON, "a\0b", 3) == 2);
    cr_expect_str_eq(out, "a\\u0000");
    cr_expect(escape_text(out, sizeof out, ESCAPE_JSON, "\"", 1) == 1);
    cr_expect_str_eq(out, "\\u0022");
    cr_expect(escape_text(out, 4, ESCAPE_JSON, "ab\xe2\x82\xac", 5) == 2);
    cr_expect_str_eq(out, "ab", "whole characters");
}

Test(escape, prints_xml)
{
    expect(ESCAPE_XML, "<a b=\"c\">&'\t", "&lt;a b=&quot;c&quot;&gt;&amp;&#39;\t");
    expect(ESCAPE_XML, "\n\x7f\xff", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    expect(ESCAPE_XML, "\xc2\x9b\xef\xbf\xbe\xef\xbf\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    expect(ESCAPE_XML, "\xef\xbf\xbd \xef\xbe\xbf", "\xef\xbf\xbd \xef\xbe\xbf");
}

Test(escape, prints_labels)
{
    expect(ESCAPE_LABEL, "a\"b\\c\nd", "a\\\"b\\\\c\\nd");
    expect(ESCAPE_LABEL, "\t\xff", "\xef\xbf\xbd\xef\xbf\xbd");
    expect(ESCAPE_LABEL, "\x7f\xc2\x9b<&>", "\x7f\xc2\x9b<&>");
}

Test(escape, puts_quotes_around_json)
{
    char *got = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&got, &size);
    cr_assert(out != NULL);
    escape_json(out, "a\nb");
    cr_assert(fclose(out) == 0);
    cr_expect_str_eq(got, "\"a\\u000ab\"");
    free(got);
}
