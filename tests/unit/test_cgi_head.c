/* test_cgi_head.c: the status and the fields of a response, in pieces of every size. */
#include "sapi-shim/protocol/cgi_head.h"

#include "sapi-shim/contract.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct {
    const char *bytes;
    unsigned status;
} cases[] = {
    {"Content-Type: text/plain\r\n\r\nhello", 200},
    {"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nStatus: 500", 404},
    {"Content-Type: text/plain\r\nstatus:503\r\n\r\n", 503},
    {"Content-Type: text/plain\nSTATUS:   201\n\nhello", 201},
    {"Location: /elsewhere\r\n\r\n", 302},
    {"Location: /elsewhere\r\nStatus: 303\r\n\r\n", 303},
    {"HTTP/1.1 418 I am a teapot\r\nContent-Type: text/plain\r\n\r\n", 418},
    {"X-Status: 500\r\n\r\n", 200},
    {"Status: none\r\n\r\n", 200},
    {"Status: 99\r\n\r\n", 200},
    {"Status: 042\r\n\r\n", 200},
    {"\r\nStatus: 500\r\n\r\n", 200},
    {"no head at all", 200},
    {"Status: 400", 400},
    {"Status:", 200},
    {"HTTP/1.", 200},
};

Test(cgi_head, the_status_is_found_whole_or_in_pieces)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length = strlen(cases[i].bytes);
        for (size_t piece = 1; piece <= length; piece++) {
            struct cgi_head head = {.done = false};
            for (size_t at = 0; at < length; at += piece)
                cgi_head_feed(&head, cases[i].bytes + at, length - at < piece ? length - at : piece,
                              false);
            cgi_head_end(&head);
            cr_expect_eq(head.status, cases[i].status, "case %zu by %zu: %u", i, piece,
                         head.status);
            cgi_head_free(&head);
        }
    }
}

Test(cgi_head, fields_are_kept_if_asked_for)
{
    static const char bytes[] =
        "Content-Type:  text/html; charset=utf-8 \r\nX-Empty:\r\nX-Last: 7\r\n\r\nX-Body: 1\r\n";
    for (size_t piece = 1; piece < sizeof bytes; piece += 11) {
        struct cgi_head head = {.done = false};
        size_t length = 99;
        for (size_t at = 0; at < sizeof bytes - 1; at += piece)
            cgi_head_feed(&head, bytes + at,
                          sizeof bytes - 1 - at < piece ? sizeof bytes - 1 - at : piece, true);
        const char *value = cgi_head_get(&head, "content-type", 12, &length);
        cr_assert_not_null(value);
        cr_expect_arr_eq(value, "text/html; charset=utf-8", 24);
        cr_expect_eq(length, 24);
        cr_expect_not_null(cgi_head_get(&head, "X-Empty", 7, &length));
        cr_expect_eq(length, 0);
        cr_expect_null(cgi_head_get(&head, "X-Body", 6, &length), "the body is none of the head");
        cr_expect_null(cgi_head_get(&head, "X-Las", 5, &length));
        cgi_head_free(&head);
        cr_expect_null(head.text);
    }
}

Test(cgi_head, a_head_without_end_is_not_kept_for_ever)
{
    struct cgi_head head = {.done = false};
    char line[64];
    memset(line, 'x', sizeof line);
    line[63] = '\n';
    cgi_head_feed(&head, "Status: 410\r\n", 13, true);
    for (int i = 0; i < 2000; i++)
        cgi_head_feed(&head, line, sizeof line, true);
    cr_expect(head.done);
    cr_expect_eq(head.status, 410);
    cr_expect_leq(head.length, CGI_HEAD_MAX);
    cgi_head_free(&head);
}

Test(cgi_head, a_long_head_has_its_status_or_none)
{
    char line[64];
    memset(line, 'x', sizeof line);
    line[63] = '\n';
    for (int lines = 0; lines < 2000; lines += 150) {
        struct cgi_head head = {.done = false};
        for (int i = 0; i < lines; i++)
            cgi_head_feed(&head, line, sizeof line, false);
        cgi_head_feed(&head, "Status: 404 Not Found\r\n\r\n", 26, false);
        cr_expect(head.done);
        cr_expect_eq(head.status, lines * 64 + 26 <= CGI_HEAD_MAX ? 404 : OT_HTTP_STATUS_UNKNOWN,
                     "%d lines: %u", lines, head.status);
        cgi_head_free(&head);
    }
}
