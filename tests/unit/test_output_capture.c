/* test_output_capture.c: output turned into lines: whole, partial, long, binary, and in pieces of
 * every size. */
#include "fpm/log/output_capture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The lines that were passed on, as "[text]" with '+' for a cut before or after, or "[3 empty]". */
static char seen[65536];
static size_t limit;

static size_t room(void)
{
    return limit;
}

static void note(void *context, const struct output_capture_line *line)
{
    size_t used = strlen(seen);
    cr_assert(context == seen);
    if (line->empty_lines > 0)
        snprintf(seen + used, sizeof seen - used, "[%zu empty]", line->empty_lines);
    else
        snprintf(seen + used, sizeof seen - used, "%s[%.*s]%s", line->begins ? "" : "+",
                 (int)line->length, line->text, line->ends ? "" : "+");
}

static struct output_capture make(size_t longest)
{
    struct output_capture capture;
    seen[0] = '\0';
    limit = longest;
    output_capture_init(&capture, room, note, seen);
    return capture;
}

static void feed(struct output_capture *capture, const char *text)
{
    output_capture_feed(capture, text, strlen(text));
}

Test(capture, hands_out_whole_lines)
{
    struct output_capture capture = make(100);
    feed(&capture, "one\ntwo\n\nfour");
    cr_expect_str_eq(seen, "[one][two][]");
    feed(&capture, " and more\n");
    cr_expect_str_eq(seen, "[one][two][][four and more]");
    output_capture_close(&capture);
    cr_expect_str_eq(seen, "[one][two][][four and more]");
}

Test(capture, hands_out_the_rest_at_the_end)
{
    struct output_capture capture = make(100);
    feed(&capture, "cut sho");
    cr_expect_str_eq(seen, "");
    output_capture_close(&capture);
    cr_expect_str_eq(seen, "[cut sho]");
}

Test(capture, cuts_long_lines)
{
    struct output_capture capture = make(4);
    feed(&capture, "abcdefghij\nk\n");
    cr_expect_str_eq(seen, "[abcd]++[efgh]++[ij][k]");
    output_capture_close(&capture);
}

Test(capture, a_line_of_exactly_the_limit_is_not_cut)
{
    struct output_capture capture = make(4);
    feed(&capture, "abcd");
    cr_expect_str_eq(seen, "");
    feed(&capture, "\nefgh\n");
    cr_expect_str_eq(seen, "[abcd][efgh]");
    output_capture_close(&capture);
}

Test(capture, a_cut_line_ends_at_the_end)
{
    struct output_capture capture = make(4);
    feed(&capture, "abcdefgh");
    output_capture_close(&capture);
    cr_expect_str_eq(seen, "[abcd]++[efgh]");
}

Test(capture, a_run_of_empty_lines_is_one)
{
    struct output_capture capture = make(100);
    feed(&capture, "\n\n\nx\n\n\n");
    cr_expect_str_eq(seen, "[3 empty][x][2 empty]");
    feed(&capture, "\n");
    cr_expect_str_eq(seen, "[3 empty][x][2 empty][]");
    output_capture_close(&capture);
}

Test(capture, the_end_of_a_cut_line_is_no_empty_line)
{
    struct output_capture capture = make(4);
    feed(&capture, "abcdefgh");
    feed(&capture, "\n\n\n");
    cr_expect_str_eq(seen, "[abcd]++[efgh][2 empty]");
    output_capture_close(&capture);
}

Test(capture, a_changed_limit_is_for_the_next_piece)
{
    struct output_capture capture = make(4);
    feed(&capture, "abcdef");
    limit = 6;
    feed(&capture, "ghijklmnop\n");
    cr_expect_str_eq(seen, "[abcd]++[efgh]++[ijklmn]++[op]");
    limit = 2;
    feed(&capture, "abc\n");
    cr_expect_str_eq(seen, "[abcd]++[efgh]++[ijklmn]++[op][ab]++[c]");
    output_capture_close(&capture);
}

Test(capture, keeps_no_memory_between_lines)
{
    struct output_capture capture = make(100);
    cr_expect(capture.buffer == NULL);
    feed(&capture, "whole\npart");
    cr_expect(capture.buffer != NULL);
    feed(&capture, "\n");
    cr_expect(capture.buffer == NULL);
    output_capture_close(&capture);
    cr_expect_str_eq(seen, "[whole][part]");
}

static size_t seen_length;

static void measure(void *context, const struct output_capture_line *line)
{
    (void)context;
    seen_length = line->length;
}

Test(capture, keeps_bytes_as_they_are)
{
    struct output_capture capture = make(16);
    seen_length = 0;
    capture.line = measure;
    output_capture_feed(&capture, "a\0b\xff\n", 5);
    cr_expect(seen_length == 4);
    output_capture_close(&capture);
}

Test(capture, pieces_of_any_size_give_the_same_lines)
{
    static const char text[] = "first\nthe third line is long\nx\nlast";
    char expected[sizeof seen];
    struct output_capture capture = make(8);
    feed(&capture, text);
    output_capture_close(&capture);
    memcpy(expected, seen, sizeof expected);
    for (size_t piece = 1; piece < sizeof text; piece++) {
        capture = make(8);
        for (size_t i = 0; i < sizeof text - 1; i += piece) {
            size_t left = sizeof text - 1 - i;
            output_capture_feed(&capture, text + i, left < piece ? left : piece);
        }
        output_capture_close(&capture);
        cr_expect_str_eq(seen, expected, "pieces of %zu", piece);
    }
}

/* ---- on a loop ---- */

static size_t lines_of_turn;
static size_t lines_before_other;

static void count(void *context, const struct output_capture_line *line)
{
    (void)context, (void)line;
    lines_of_turn++;
}

static void on_other(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop, (void)io, (void)events;
    lines_before_other += lines_of_turn;
}

Test(capture, a_flood_takes_little_of_each_turn_and_its_end)
{
    static char lines[32768];
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct output_capture capture;
    ev_io other;
    size_t all = 0;
    int ends[2], pipe_in;
    for (size_t i = 0; i < sizeof lines; i++)
        lines[i] = i % 2 == 0 ? 'x' : '\n';
    cr_assert(loop != NULL && pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
    ev_io_init(&other, on_other, ends[0], EV_READ);
    ev_io_start(loop, &other);
    limit = 100;
    output_capture_init(&capture, room, count, NULL);
    pipe_in = output_capture_open(&capture, loop);
    cr_assert(pipe_in >= 0);
    cr_assert(write(pipe_in, lines, sizeof lines) == (ssize_t)sizeof lines);
    while (all < sizeof lines / 2) {
        lines_of_turn = 0;
        ev_run(loop, EVRUN_NOWAIT);
        cr_assert(lines_of_turn > 0 && lines_of_turn <= OUTPUT_CAPTURE_READ_FIRST, "%zu",
                  lines_of_turn);
        all += lines_of_turn;
    }
    cr_expect(lines_before_other == 0, "other events waited for %zu lines", lines_before_other);
    output_capture_close(&capture);
    ev_io_stop(loop, &other);
    ev_loop_destroy(loop);
    close(pipe_in);
    close(ends[0]);
    close(ends[1]);
}

Test(capture, reads_less_the_shorter_the_lines)
{
    size_t asked = OUTPUT_CAPTURE_READ_FIRST;
    for (int i = 0; i < 10; i++)
        asked = output_capture_read_size(asked, 0);
    cr_expect(asked == OUTPUT_CAPTURE_READ_MOST);
    cr_expect(output_capture_read_size(asked, 16) == asked);
    for (int i = 0; i < 10; i++)
        asked = output_capture_read_size(asked, asked);
    cr_expect(asked == OUTPUT_CAPTURE_READ_LEAST);
}
