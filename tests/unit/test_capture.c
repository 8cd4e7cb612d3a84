/* Output turned into lines: whole, partial, long, binary, and in pieces of every size. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* ---- on a loop ---- */

static size_t lines_of_turn;
static size_t lines_before_other;

static void count(void *context, const char *text, size_t length, bool begins, bool ends)
{
    (void)context, (void)text, (void)length, (void)begins, (void)ends;
    lines_of_turn++;
}

static void on_other(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop, (void)io, (void)events;
    lines_before_other += lines_of_turn;
}

Test(capture, a_flood_takes_little_of_each_turn_and_its_end)
{
    static char newlines[16384];
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct capture capture;
    ev_io other;
    size_t all = 0;
    int ends[2], pipe_in;
    memset(newlines, '\n', sizeof newlines);
    cr_assert(loop != NULL && pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
    ev_io_init(&other, on_other, ends[0], EV_READ);
    ev_io_start(loop, &other);
    cr_assert(capture_init(&capture, 100, count, NULL) == 0);
    pipe_in = capture_open(&capture, loop);
    cr_assert(pipe_in >= 0);
    cr_assert(write(pipe_in, newlines, sizeof newlines) == (ssize_t)sizeof newlines);
    while (all < sizeof newlines) {
        lines_of_turn = 0;
        ev_run(loop, EVRUN_NOWAIT);
        cr_assert(lines_of_turn > 0 && lines_of_turn <= CAPTURE_APPETITE_FIRST, "%zu",
                  lines_of_turn);
        all += lines_of_turn;
    }
    cr_expect(lines_before_other == 0, "other events waited for %zu lines", lines_before_other);
    capture_close(&capture);
    ev_io_stop(loop, &other);
    ev_loop_destroy(loop);
    close(pipe_in);
    close(ends[0]);
    close(ends[1]);
}

Test(capture, reads_less_the_shorter_the_lines)
{
    size_t asked = CAPTURE_APPETITE_FIRST;
    for (int i = 0; i < 10; i++)
        asked = capture_appetite(asked, 0);
    cr_expect(asked == CAPTURE_APPETITE_MOST);
    cr_expect(capture_appetite(asked, 16) == asked);
    for (int i = 0; i < 10; i++)
        asked = capture_appetite(asked, asked);
    cr_expect(asked == CAPTURE_APPETITE_LEAST);
}
