/* test_stdin_split.c: however libfcgi and the application take turns in reading a request's input,
 * nothing is lost, doubled or out of order, and libfcgi never sees half a header. */
#include "sapi-shim/protocol/stdin_split.h"
#include "sapi-shim/protocol/frame.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum {
    ID = 7,
    BEGIN = 1,
    PARAMS = 4,
    STDIN = 5,
    DATA = 8,
    MANY = 300000
};

/* The input, how much of it is done, and what came out. */
static unsigned char input[MANY];
static size_t size, taken;
static unsigned char got[MANY];
static size_t count;
static unsigned char body[MANY];
static size_t length;

static void put(int type, size_t content, size_t padding)
{
    unsigned char *at = input + size;
    memset(at, 0, FRAME_HEADER);
    at[0] = 1;
    at[1] = (unsigned char)type;
    at[3] = ID;
    at[4] = (unsigned char)(content >> 8);
    at[5] = (unsigned char)content;
    at[6] = (unsigned char)padding;
    for (size_t i = 0; i < content; i++) {
        at[FRAME_HEADER + i] = (unsigned char)('a' + length % 23);
        if (type == STDIN)
            body[length] = at[FRAME_HEADER + i];
        length += type == STDIN;
    }
    memset(at + FRAME_HEADER + content, '#', padding);
    size += FRAME_HEADER + content + padding;
}

static size_t records(struct stdin_split *split, size_t present, size_t room)
{
    size_t used = 0;
    size_t n = stdin_split_records(split, ID, input + taken, present, got + count, room, &used);
    cr_assert_leq(n, room);
    cr_assert_leq(used, present);
    taken += used;
    count += n;
    return n;
}

static size_t content(struct stdin_split *split, size_t present, size_t room)
{
    size_t used = 0;
    size_t n = stdin_split_content(split, input + taken, present, got + count, room, &used);
    cr_assert_leq(n, room);
    cr_assert_leq(used, present);
    taken += used;
    count += n;
    return n;
}

Test(stdin_split, the_head_and_the_end_of_a_request_without_a_body_go_at_once)
{
    struct stdin_split split = {0};
    put(BEGIN, 8, 0);
    put(PARAMS, 0, 0);
    put(STDIN, 0, 0);
    cr_expect_eq(records(&split, size, 8192), size);
    cr_expect_eq(taken, size);
    cr_expect_arr_eq(got, input, size);
}

Test(stdin_split, content_of_the_body_ends_a_read)
{
    struct stdin_split split = {0};
    put(BEGIN, 8, 0);
    put(PARAMS, 0, 0);
    put(STDIN, 10, 6);
    put(STDIN, 20, 0);
    put(STDIN, 0, 0);
    cr_expect_eq(records(&split, size, 8192), 24);
    cr_expect(stdin_split_may_read_content(&split));
    cr_expect_eq(records(&split, size - taken, 8192), 24);
    cr_expect(stdin_split_may_read_content(&split), "libfcgi has all of it and nothing after it");
    cr_expect_eq(records(&split, size - taken, 8192), 28);
    cr_expect_eq(records(&split, size - taken, 8192), 8);
    cr_expect_eq(records(&split, 0, 8192), 0);
}

Test(stdin_split, data_of_a_filter_is_libfcgis)
{
    struct stdin_split split = {0};
    put(DATA, 30, 2);
    put(DATA, 30, 2);
    cr_expect_eq(content(&split, size, 8192), 0);
    cr_expect_eq(records(&split, size, 8192), 80);
}

Test(stdin_split, half_a_header_is_not_read)
{
    struct stdin_split split = {0};
    put(STDIN, 10, 0);
    cr_expect_eq(records(&split, 7, 8192), 0);
    cr_expect_eq(content(&split, 7, 8192), 0);
    cr_expect_eq(taken, 0);
    cr_expect_eq(records(&split, size, 8), 8, "room for the header alone");
    cr_expect_not(stdin_split_may_read_content(&split), "libfcgi is within it");
    cr_expect_eq(stdin_split_direct_records(&split), 10);
    cr_expect_eq(stdin_split_direct_content(&split), 0);
}

Test(stdin_split, the_application_stops_before_the_end_of_the_body)
{
    struct stdin_split split = {0};
    put(STDIN, 10, 6);
    put(STDIN, 20, 1);
    put(STDIN, 0, 0);
    cr_expect_eq(content(&split, size, 8192), 30);
    cr_expect_arr_eq(got, body, 30);
    cr_expect_eq(size - taken, FRAME_HEADER);
    cr_expect_eq(records(&split, size - taken, 8192), FRAME_HEADER);
}

Test(stdin_split, libfcgi_goes_on_within_a_record_by_a_header_of_its_own)
{
    struct stdin_split split = {0};
    put(STDIN, 1000, 5);
    cr_expect_eq(content(&split, size, 300), 300);
    cr_expect_eq(stdin_split_direct_content(&split), 700);
    cr_expect_eq(stdin_split_direct_records(&split), 0, "not without a header");
    count = 0;
    cr_expect_eq(records(&split, 0, 8192), FRAME_HEADER, "there is nothing to copy yet");
    const unsigned char header[FRAME_HEADER] = {1, STDIN, 0, ID, 700 >> 8, 700 & 255, 5};
    cr_expect_arr_eq(got, header, FRAME_HEADER);
    cr_expect_eq(records(&split, size - taken, 8192), 705);
    cr_expect_arr_eq(got + FRAME_HEADER, body + 300, 700);
}

Test(stdin_split, late_padding_is_dropped_when_it_comes)
{
    struct stdin_split split = {0};
    put(STDIN, 10, 6);
    put(STDIN, 0, 0);
    cr_expect_eq(content(&split, FRAME_HEADER + 10 + 2, 8192), 10);
    cr_expect_eq(records(&split, 3, 8192), 0);
    cr_expect_eq(records(&split, size - taken, 8192), FRAME_HEADER);
    cr_expect_eq(taken, size);
}

/* libfcgi decodes the records that it gets. */
struct decoder {
    size_t content, padding;
};

static void decode(struct decoder *decoder, const unsigned char *bytes, size_t n, size_t *out)
{
    for (size_t at = 0; at < n;) {
        if (decoder->content + decoder->padding == 0) {
            cr_assert_geq(n - at, FRAME_HEADER, "half a header");
            size_t whole = 0;
            decoder->content = frame_content_size(bytes + at, &whole);
            decoder->padding = whole - FRAME_HEADER - decoder->content;
            cr_assert_eq(bytes[at + 1], STDIN);
            at += FRAME_HEADER;
        } else if (decoder->content > 0) {
            cr_assert_eq(bytes[at], body[*out], "byte %zu", *out);
            ++*out;
            decoder->content--;
            at++;
        } else {
            decoder->padding--;
            at++;
        }
    }
}

static size_t some(unsigned *seed, size_t most)
{
    return (size_t)rand_r(seed) % most;
}

/* As conn.c does: what has come is copied; if nothing has, the next bytes are read directly. */
static void turn(struct stdin_split *split, struct decoder *decoder, unsigned *seed, size_t *out)
{
    size_t present = some(seed, 4) == 0 ? 0 : some(seed, size - taken + 1);
    size_t room = FRAME_HEADER + some(seed, 3000);
    bool application = stdin_split_may_read_content(split) && some(seed, 2) == 0;
    count = 0;
    size_t n = application ? content(split, present, room) : records(split, present, room);
    if (n == 0 && present == 0) {
        size_t direct =
            application ? stdin_split_direct_content(split) : stdin_split_direct_records(split);
        n = direct < room ? direct : room;
        memcpy(got, input + taken, n);
        taken += n;
        stdin_split_advance(split, n);
    }
    if (!application) {
        decode(decoder, got, n, out);
        return;
    }
    cr_assert_arr_eq(got, body + *out, n, "at %zu", *out);
    *out += n;
}

Test(stdin_split, turns_in_any_order_lose_nothing)
{
    for (unsigned seed = 1; seed <= 200; seed++) {
        unsigned state = seed;
        struct stdin_split split = {0};
        struct decoder decoder = {0};
        size_t out = 0;
        size = taken = length = 0;
        for (size_t i = 0; i < 30; i++)
            put(STDIN, 1 + some(&state, 4000), some(&state, 3) == 0 ? some(&state, 256) : 0);
        put(STDIN, 0, 0);
        for (int i = 0; taken < size; i++) {
            cr_assert_lt(i, 100000, "seed %u: no end", seed);
            turn(&split, &decoder, &state, &out);
        }
        cr_assert_eq(out, length, "seed %u", seed);
    }
}
