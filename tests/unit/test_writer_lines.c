/* test_writer_lines.c: from the bytes in an access log's pipe to the lines of the file. */
#include "fpm/access_log/writer_lines.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct writer_lines lines;

static void setup(void)
{
    cr_assert_eq(writer_lines_init(&lines, 4), 0);
}

static void teardown(void)
{
    writer_lines_free(&lines);
}

TestSuite(writer_lines, .init = setup, .fini = teardown);

static const char *take_bytes(const char *bytes, size_t count, size_t *taken)
{
    static char out[4 * OT_ACCESS_MESSAGE_MAX + 1];
    size_t length = writer_lines_take(&lines, bytes, count, out, taken);
    cr_assert_leq(length, count);
    out[length] = '\0';
    return out;
}

static const char *take(const char *text)
{
    size_t taken = 0;
    const char *out = take_bytes(text, strlen(text), &taken);
    cr_expect_eq(taken, strlen(text));
    return out;
}

Test(writer_lines, lines_come_without_their_heads)
{
    cr_expect_str_eq(take("\1"
                          "0.0.10.1.0 first\n\1"
                          "1.0.11.1.0 second\n"),
                     "first\nsecond\n");
    cr_expect_str_eq(take("\1"
                          "0.0.10.2.0 \n"),
                     "\n", "an empty line is one");
    cr_expect_eq(lines.lost, 0);
    cr_expect_eq(lines.invalid, 0);
}

Test(writer_lines, what_is_incomplete_comes_again)
{
    static const char bytes[] = "\1"
                                "0.0.10.1.0 first\n\1"
                                "0.0.10.2.0 sec";
    size_t taken = 0;
    cr_expect_str_eq(take_bytes(bytes, sizeof bytes - 1, &taken), "first\n");
    cr_expect_str_eq(bytes + taken, "\1"
                                    "0.0.10.2.0 sec");
}

Test(writer_lines, the_dead_are_written_once)
{
    cr_expect_str_eq(take("\1"
                          "0.0.10.7.0 mine\n\2"
                          "0.0.10.7.0 his\n"),
                     "mine\n");
    cr_expect_str_eq(take("\2"
                          "0.0.10.8.0 his\n"),
                     "his\n", "the next request");
    cr_expect_str_eq(take("\2"
                          "0.0.12.7.0 his\n"),
                     "his\n", "another process");
    cr_expect_str_eq(take("\2"
                          "0.1.10.7.0 his\n"),
                     "his\n", "another thread");
    cr_expect_str_eq(take("\2"
                          "1.0.10.7.0 his\n"),
                     "his\n", "another slot");
    cr_expect_str_eq(take("\1"
                          "0.0.10.0.0 dropped\n\2"
                          "0.0.10.7.0 his\n"),
                     "dropped\n", "a request that was not counted does not match one that was");
}

Test(writer_lines, losses_add_up)
{
    (void)take("\1"
               "0.0.10.1.3 x\n\1"
               "0.0.10.2.4 x\n");
    cr_expect_eq(lines.lost, 7);
}

Test(writer_lines, no_control_character_gets_through)
{
    cr_expect_str_eq(take("\1"
                          "0.0.10.1.0 a\x1b[31m\tb\x7f\r\n"),
                     "a?[31m\tb??\n");
    cr_expect_str_eq(take("\1"
                          "0.0.10.1.0 gr\xc3\xbc\xc3\x9f\n"),
                     "gr\xc3\xbc\xc3\x9f\n");
}

Test(writer_lines, junk_is_dropped_and_counted)
{
    static const char *const junk[] = {"hello\n",
                                       "\1\n",
                                       "\1"
                                       "0.0.10.1 x\n",
                                       "\1"
                                       "0.0.10.1.0x\n",
                                       "\1"
                                       "0.-1.10.1.0 x\n",
                                       "\1"
                                       "0..10.1.0 x\n",
                                       "\1"
                                       "99999999999999999999.0.10.1.0 x\n",
                                       "\3"
                                       "0.0.10.1.0 x\n"};
    uint64_t count = 0;
    for (size_t i = 0; i < sizeof junk / sizeof *junk; i++) {
        cr_expect_str_eq(take(junk[i]), "", "%s", junk[i]);
        count += strlen(junk[i]);
        cr_expect_eq(lines.invalid, count, "%s", junk[i]);
    }
    cr_expect_str_eq(take("half of a \1"
                          "0.0.10.1.0 whole\n"),
                     "whole\n");
    cr_expect_eq(lines.invalid, count + 10);
}

Test(writer_lines, numbers_out_of_range_do_no_harm)
{
    cr_expect_str_eq(take("\1"
                          "4.0.10.1.0 x\n\2"
                          "4.0.10.1.0 y\n"),
                     "x\ny\n");
    cr_expect_str_eq(take("\1"
                          "0.64.10.1.0 x\n"),
                     "x\n");
    cr_expect_str_eq(take("\1"
                          "4294967296.0.10.1.0 x\n"),
                     "x\n");
}

Test(writer_lines, a_message_without_end_is_not_kept_for_ever)
{
    static char bytes[2 * OT_ACCESS_MESSAGE_MAX];
    size_t taken = 0;
    memset(bytes, 'x', sizeof bytes);
    cr_expect_str_eq(take_bytes(bytes, OT_ACCESS_MESSAGE_MAX, &taken), "");
    cr_expect_eq(taken, 0);
    cr_expect_str_eq(take_bytes(bytes, sizeof bytes, &taken), "");
    cr_expect_eq(taken, sizeof bytes);
    cr_expect_eq(lines.invalid, sizeof bytes);
}

Test(writer_lines, any_bytes_at_all)
{
    static const char letters[] = "\1\2"
                                  "0.1 \nx9\x1b";
    static char bytes[OT_ACCESS_MESSAGE_MAX];
    size_t taken = 0;
    unsigned state = 1;
    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < 200; i++) {
            state = state * 1103515245 + 12345;
            bytes[i] = letters[(state >> 16) % (sizeof letters - 1)];
        }
        (void)take_bytes(bytes, 200, &taken);
        cr_assert_leq(taken, 200);
    }
}
