/* test_line_buffer.c: foreign text in a line of the access log. */
#include "sapi-shim/access_log/line_buffer.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *put(void (*how)(struct line_buffer *, const char *, size_t), const char *text,
                       size_t length, size_t field_max)
{
    static char out[512];
    struct line_buffer line = {.text = out, .size = sizeof out - 1, .field_max = field_max};
    how(&line, text, length);
    cr_assert(line.length < sizeof out);
    out[line.length] = '\0';
    return out;
}

#define FIELD(text)  put(line_buffer_field, text, sizeof(text) - 1, 400)
#define STRING(text) put(line_buffer_string, text, sizeof(text) - 1, 400)

Test(line_buffer, a_field_stays_one_field)
{
    cr_expect_str_eq(FIELD("/a?b=c&d=gr\xc3\xbc\xc3\x9f"), "/a?b=c&d=gr\xc3\xbc\xc3\x9f");
    cr_expect_str_eq(FIELD("a\nb\rc\td\\e\"f"), "a\\x0ab\\x0dc\\td\\\\e\\\"f");
    cr_expect_str_eq(FIELD("\x1b[31m\x7f\xff\xc2\x9b"), "\\x1b[31m\\x7f\\xff\\xc2\\x9b");
    cr_expect_str_eq(FIELD("a\0b"), "a\\x00b");
    cr_expect_str_eq(FIELD(""), "-");
    cr_expect_str_eq(put(line_buffer_field, NULL, 0, 400), "-");
}

Test(line_buffer, a_string_stays_one_string)
{
    cr_expect_str_eq(STRING("a\nb\"c\\d\x7f"), "\"a\\u000ab\\\"c\\\\d\\u007f\"");
    cr_expect_str_eq(STRING("\xff \xc2\x9b \xe2\x82\xac"), "\"\\ufffd \\u009b \xe2\x82\xac\"");
    cr_expect_str_eq(STRING(""), "\"\"");
    cr_expect_str_eq(put(line_buffer_string, NULL, 0, 400), "null");
}

Test(line_buffer, what_is_cut_says_so)
{
    cr_expect_str_eq(put(line_buffer_field, "abcdefghij", 10, 10), "abcdefghij");
    cr_expect_str_eq(put(line_buffer_field, "abcdefghijk", 11, 10), "abcde[...]");
    cr_expect_str_eq(put(line_buffer_field, "abc\n\n\n\n\n\n", 9, 10), "abc[...]",
                     "no part of an escape");
    cr_expect_str_eq(
        put(line_buffer_field, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", 12, 10),
        "\xe2\x82\xac[...]", "no part of a character");
    cr_expect_str_eq(put(line_buffer_string, "abcdefghijk", 11, 10), "\"abcde[...]\"");
}

Test(line_buffer, every_bound_holds)
{
    char foreign[64], out[256];
    for (size_t i = 0; i < sizeof foreign; i++)
        foreign[i] = (char)(i * 37 + i / 3);
    for (size_t size = 0; size < sizeof out; size++) {
        struct line_buffer line = {.text = out, .size = size, .field_max = 400};
        line_buffer_field(&line, foreign, sizeof foreign);
        line_buffer_string(&line, foreign, sizeof foreign);
        line_buffer_decimal(&line, UINT64_MAX, 3);
        cr_expect(line.length <= size);
    }
    for (size_t most = 5; most < 300; most++) {
        struct line_buffer line = {.text = out, .size = sizeof out, .field_max = most};
        line_buffer_field(&line, foreign, sizeof foreign);
        cr_expect(line.full || line.length <= most, "%zu of %zu", line.length, most);
    }
}

Test(line_buffer, numbers)
{
    char out[64];
    struct line_buffer line = {.text = out, .size = sizeof out};
    const struct {
        uint64_t number;
        unsigned decimals;
        const char *text;
    } cases[] = {{0, 0, "0"},
                 {7, 0, "7"},
                 {0, 3, "0.000"},
                 {5, 3, "0.005"},
                 {1234, 3, "1.234"},
                 {100, 2, "1.00"},
                 {99, 2, "0.99"},
                 {123456, 1, "12345.6"},
                 {UINT64_MAX, 0, "18446744073709551615"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        line.length = 0;
        line_buffer_decimal(&line, cases[i].number, cases[i].decimals);
        out[line.length] = '\0';
        cr_expect_str_eq(out, cases[i].text);
    }
}
