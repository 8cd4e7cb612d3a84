/* test_frame.c: the request to which a record belongs, for any input from a peer. */
#include "sapi-shim/protocol/frame.h"

#include <criterion/criterion.h>
#include <string.h>

static struct frame_record look(struct frame *frame, int type, int id, int content, int padding)
{
    unsigned char bytes[16] = {1,
                               (unsigned char)type,
                               (unsigned char)(id >> 8),
                               (unsigned char)id,
                               (unsigned char)(content >> 8),
                               (unsigned char)content,
                               (unsigned char)padding};
    bytes[9] = 1; /* responder, for BEGIN_REQUEST */
    return frame_next(frame, bytes, sizeof bytes);
}

enum {
    BEGIN = 1,
    ABORT = 2,
    PARAMS = 4,
    INPUT = 5,
    DATA = 8,
    VALUES = 9
};

Test(frame, a_request_from_begin_to_complete)
{
    struct frame frame = {.phase = FRAME_NONE};
    cr_assert_eq(look(&frame, BEGIN, 1, 8, 0).kind, FRAME_PASS);
    cr_assert_eq(frame.phase, FRAME_PARAMS);
    struct frame_record record = look(&frame, PARAMS, 1, 300, 4);
    cr_assert_eq(record.kind, FRAME_PASS);
    cr_assert_eq(record.size, 8 + 300 + 4);
    cr_assert_eq(frame.params_bytes, 300);
    cr_assert_eq(look(&frame, PARAMS, 1, 0, 0).kind, FRAME_PASS);
    cr_assert_eq(frame.phase, FRAME_STDIN);
    cr_assert_eq(look(&frame, INPUT, 1, 65535, 255).size, 8 + 65535 + 255);
    cr_assert_eq(look(&frame, INPUT, 1, 0, 0).kind, FRAME_PASS);
    cr_assert_eq(frame.phase, FRAME_COMPLETE);
    frame_reset(&frame);
    cr_assert_eq(look(&frame, BEGIN, 1, 8, 0).kind, FRAME_PASS);
}

Test(frame, nothing_is_decided_on_less_than_a_header)
{
    const unsigned char begin[16] = {1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1};
    for (size_t n = 0; n < 16; n++) {
        struct frame frame = {.phase = FRAME_NONE};
        cr_assert_eq(frame_next(&frame, begin, n).kind, FRAME_MORE, "%zu bytes", n);
        cr_assert_eq(frame.phase, FRAME_NONE);
    }
    struct frame frame = {.phase = FRAME_NONE};
    cr_assert_eq(frame_next(&frame, begin, 16).kind, FRAME_PASS);
    cr_assert(frame.keep);
}

struct frame_case {
    const char *name;
    enum frame_phase phase;
    int type, id, content;
    enum frame_kind expected;
};

static const struct frame_case cases[] = {
    {"values between requests", FRAME_NONE, VALUES, 0, 20, FRAME_VALUES},
    {"values inside a body", FRAME_STDIN, VALUES, 0, 20, FRAME_VALUES},
    {"unknown management type", FRAME_COMPLETE, 77, 0, 3, FRAME_UNKNOWN},
    {"second request", FRAME_STDIN, BEGIN, 2, 8, FRAME_SECOND},
    {"second request after the body", FRAME_COMPLETE, BEGIN, 2, 8, FRAME_SECOND},
    {"same request again", FRAME_PARAMS, BEGIN, 7, 8, FRAME_BAD},
    {"next request sent ahead", FRAME_COMPLETE, BEGIN, 7, 8, FRAME_HOLD},
    {"begin of the wrong length", FRAME_NONE, BEGIN, 7, 9, FRAME_BAD},
    {"abort", FRAME_STDIN, ABORT, 7, 0, FRAME_ABORT},
    {"abort before the parameters ended", FRAME_PARAMS, ABORT, 7, 0, FRAME_CANCEL},
    {"abort after the body", FRAME_COMPLETE, ABORT, 7, 0, FRAME_ABORT},
    {"abort of a request that is over", FRAME_NONE, ABORT, 7, 0, FRAME_DROP},
    {"abort of another request", FRAME_STDIN, ABORT, 8, 0, FRAME_DROP},
    {"rest of a refused request", FRAME_STDIN, PARAMS, 8, 100, FRAME_DROP},
    {"body before the parameters ended", FRAME_PARAMS, INPUT, 7, 5, FRAME_BAD},
    {"parameters after they ended", FRAME_STDIN, PARAMS, 7, 5, FRAME_BAD},
    {"body after its end", FRAME_COMPLETE, INPUT, 7, 5, FRAME_BAD},
    {"second end of the body", FRAME_COMPLETE, INPUT, 7, 0, FRAME_DROP},
    {"records of an answer", FRAME_STDIN, 6, 7, 5, FRAME_BAD},
};

Test(frame, every_record_finds_its_place)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct frame frame = {.phase = cases[i].phase, .id = 7, .role = 1};
        struct frame_record record = look(&frame, cases[i].type, cases[i].id, cases[i].content, 0);
        cr_expect_eq(record.kind, cases[i].expected, "%s: got %d", cases[i].name, (int)record.kind);
    }
}

Test(frame, roles)
{
    struct frame filter = {.phase = FRAME_STDIN, .id = 7, .role = 3};
    (void)look(&filter, INPUT, 7, 0, 0);
    cr_assert_eq(filter.phase, FRAME_DATA);
    (void)look(&filter, DATA, 7, 0, 0);
    cr_assert_eq(filter.phase, FRAME_COMPLETE);
    struct frame authorizer = {.phase = FRAME_PARAMS, .id = 7, .role = 2};
    (void)look(&authorizer, PARAMS, 7, 0, 0);
    cr_assert_eq(authorizer.phase, FRAME_COMPLETE);
}

Test(frame, another_version_is_refused)
{
    struct frame frame = {.phase = FRAME_NONE};
    const unsigned char bytes[16] = {2, 1, 0, 1, 0, 8};
    cr_assert_eq(frame_next(&frame, bytes, sizeof bytes).kind, FRAME_BAD);
}

Test(frame, values_are_answered_as_asked)
{
    static const unsigned char asked[] = "\x0e\x00"
                                         "FCGI_MAX_CONNS"
                                         "\x03\x00"
                                         "XXX"
                                         "\x0f\x00"
                                         "FCGI_MPXS_CONNS";
    static const unsigned char expected[] = "\x01\x0a\x00\x00\x00\x25\x00\x00"
                                            "\x0e\x03"
                                            "FCGI_MAX_CONNS250"
                                            "\x0f\x01"
                                            "FCGI_MPXS_CONNS0";
    unsigned char out[FRAME_ANSWER_MAX];
    size_t size = frame_values_answer(asked, sizeof asked - 1, 250, out);
    cr_assert_eq(size, sizeof expected - 1, "%zu", size);
    cr_assert_arr_eq(out, expected, size);
}

Test(frame, unknown_values_are_left_out)
{
    static const unsigned char asked[] = "\x0e\x00"
                                         "FCGI_MAX_CONNS"
                                         "\x0f\x00"
                                         "FCGI_MPXS_CONNS";
    unsigned char out[FRAME_ANSWER_MAX];
    size_t size = frame_values_answer(asked, sizeof asked - 1, 0, out);
    cr_assert_eq(size, FRAME_HEADER + 18, "%zu", size);
    cr_assert_arr_eq(out + FRAME_HEADER,
                     "\x0f\x01"
                     "FCGI_MPXS_CONNS0",
                     18);
    size = frame_values_answer(asked, sizeof asked - 1, UINT32_MAX, out);
    cr_assert_leq(size, FRAME_ANSWER_MAX);
}

Test(frame, malformed_values_are_refused)
{
    unsigned char out[FRAME_ANSWER_MAX];
    cr_assert_eq(frame_values_answer((const unsigned char *)"\x0e", 1, 1, out), 0);
    cr_assert_eq(frame_values_answer((const unsigned char *)"\x0e\x00short", 7, 1, out), 0);
    cr_assert_eq(frame_values_answer((const unsigned char *)"\xff\xff\xff\xff\x00", 5, 1, out), 0);
    cr_assert_eq(frame_values_answer((const unsigned char *)"\x80\x00", 2, 1, out), 0);
    cr_assert_eq(frame_values_answer((const unsigned char *)"", 0, 1, out), 8);
}

Test(frame, end_request_has_zero_reserved_bytes)
{
    unsigned char out[FRAME_ANSWER_MAX];
    static const unsigned char expected[16] = {1, 3, 0x12, 0x34, 0, 8, 0, 0, 0, 0, 0, 0, 1};
    memset(out, 0xaa, sizeof out);
    cr_assert_eq(frame_end_request(0x1234, FRAME_CANT_MPX_CONN, out), 16);
    cr_assert_arr_eq(out, expected, 16);
}
