/* Output turned into lines: whole, partial, long, binary, and in pieces of every size. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "fpm/capture.h"

/* What was handed out, as "[text]" with '+' for a cut before or behind. */
static char seen[65536];

static void note(void *context, const char *text, size_t length, bool begins, bool ends)
{
    size_t used = strlen(seen);
    cr_assert(context == seen);
    snprintf(seen + used, sizeof seen - used, "%s[%.*s]%s", begins ? "" : "+", (int)length, text,
             ends ? "" : "+");
}

static struct capture make(size_t limit)
{
    struct capture capture;
    seen[0] = '\0';
    cr_assert(capture_init(&capture, limit, note, seen) == 0);
    return capture;
}

static void feed(struct capture *capture, const char *text)
{
    capture_feed(capture, text, strlen(text));
}

Test(capture, hands_out_whole_lines)
{
    struct capture capture = make(100);
    feed(&capture, "one\ntwo\n\nfour");
    cr_expect_str_eq(seen, "[one][two][]");
    feed(&capture, " and more\n");
    cr_expect_str_eq(seen, "[one][two][][four and more]");
    capture_close(&capture);
    cr_expect_str_eq(seen, "[one][two][][four and more]");
}

Test(capture, hands_out_the_rest_at_the_end)
{
    struct capture capture = make(100);
    feed(&capture, "cut sho");
    cr_expect_str_eq(seen, "");
    capture_close(&capture);
    cr_expect_str_eq(seen, "[cut sho]");
}

Test(capture, cuts_long_lines)
{
    struct capture capture = make(4);
    feed(&capture, "abcdefghij\nk\n");
    cr_expect_str_eq(seen, "[abcd]++[efgh]++[ij][k]");
    capture_close(&capture);
}

Test(capture, a_line_of_exactly_the_limit_is_not_cut)
{
    struct capture capture = make(4);
    feed(&capture, "abcd");
    cr_expect_str_eq(seen, "");
    feed(&capture, "\nefgh\n");
    cr_expect_str_eq(seen, "[abcd][efgh]");
    capture_close(&capture);
}

Test(capture, a_cut_line_ends_at_the_end)
{
    struct capture capture = make(4);
    feed(&capture, "abcdefgh");
    capture_close(&capture);
    cr_expect_str_eq(seen, "[abcd]++[efgh]");
}

Test(capture, keeps_bytes_as_they_are)
{
    static char lengths[64];
    struct capture capture = make(16);
    capture_feed(&capture, "a\0b\xff\n", 5);
    snprintf(lengths, sizeof lengths, "%zu", capture.used);
    cr_expect_str_eq(lengths, "0");
    capture_close(&capture);
}

Test(capture, pieces_of_any_size_give_the_same_lines)
{
    static const char text[] = "first\n\nthe third line is long\nx\nlast";
    char expected[sizeof seen];
    struct capture capture = make(8);
    feed(&capture, text);
    capture_close(&capture);
    memcpy(expected, seen, sizeof expected);
    for (size_t piece = 1; piece < sizeof text; piece++) {
        capture = make(8);
        for (size_t i = 0; i < sizeof text - 1; i += piece) {
            size_t left = sizeof text - 1 - i;
            capture_feed(&capture, text + i, left < piece ? left : piece);
        }
        capture_close(&capture);
        cr_expect_str_eq(seen, expected, "pieces of %zu", piece);
    }
}
