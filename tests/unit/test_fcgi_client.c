/* test_fcgi_client.c: FastCGI as overtimectl speaks it, in pieces of every size. */
#include "fpm/ctl/fcgi_client.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct heard {
    char output[256], error[256];
    size_t output_size, error_size;
};

static void heard_output(void *context, const char *bytes, size_t size)
{
    struct heard *heard = context;
    cr_assert(size <= sizeof heard->output - heard->output_size);
    memcpy(heard->output + heard->output_size, bytes, size);
    heard->output_size += size;
}

static void heard_error(void *context, const char *bytes, size_t size)
{
    struct heard *heard = context;
    cr_assert(size <= sizeof heard->error - heard->error_size);
    memcpy(heard->error + heard->error_size, bytes, size);
    heard->error_size += size;
}

static const struct fcgi_client_events events = {heard_output, heard_error};

/* "abc" with padding, an error "e", more output, the end with status 7, and a byte too many. */
static const char stream[] = "\1\6\0\1\0\3\5\0"
                             "abc-----"
                             "\1\7\0\1\0\1\0\0"
                             "e"
                             "\1\6\0\1\0\1\0\0"
                             "d"
                             "\1\6\0\1\0\0\0\0"
                             "\1\3\0\1\0\10\0\0"
                             "\0\0\0\7\0\0\0\0"
                             "x";

Test(fcgi_client, takes_an_answer_in_pieces_of_any_size)
{
    for (size_t piece = 1; piece < sizeof stream; piece++) {
        struct heard heard = {0};
        struct fcgi_client_answer answer = {.events = &events, .context = &heard};
        for (size_t at = 0; at < sizeof stream - 1; at += piece) {
            size_t left = sizeof stream - 1 - at;
            fcgi_client_feed(&answer, stream + at, left < piece ? left : piece);
        }
        cr_assert(answer.complete && answer.fault == NULL, "pieces of %zu", piece);
        cr_assert_eq(answer.app_status, 7u);
        cr_assert_eq(answer.protocol_status, 0u);
        cr_assert(heard.output_size == 4 && memcmp(heard.output, "abcd", 4) == 0);
        cr_assert(heard.error_size == 1 && heard.error[0] == 'e');
    }
}

Test(fcgi_client, tells_what_is_no_answer)
{
    static const char *const wrong[] = {
        "HTTP/1.1",         "\2\6\0\1\0\0\0\0", "\1\5\0\1\0\0\0\0",  "\1\6\0\2\0\0\0\0",
        "\1\6\1\1\0\0\0\0", "\1\3\0\1\0\7\0\0", "\1\3\0\1\1\10\0\0",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct heard heard = {0};
        struct fcgi_client_answer answer = {.events = &events, .context = &heard};
        fcgi_client_feed(&answer, wrong[i], 8);
        cr_assert(answer.fault != NULL && !answer.complete, "%zu", i);
        fcgi_client_feed(&answer, stream, sizeof stream - 1);
        cr_assert_not(answer.complete, "nothing is taken after a fault");
    }
}

Test(fcgi_client, is_not_complete_without_the_end)
{
    for (size_t size = 0; size < sizeof stream - 2; size++) {
        struct heard heard = {0};
        struct fcgi_client_answer answer = {.events = &events, .context = &heard};
        fcgi_client_feed(&answer, stream, size);
        cr_assert(!answer.complete && answer.fault == NULL, "%zu", size);
    }
}

Test(fcgi_client, sends_what_a_web_server_sends)
{
    static const char wanted[] = "\1\1\0\1\0\10\0\0"
                                 "\0\1\0\0\0\0\0\0"
                                 "\1\4\0\1\0\5\0\0"
                                 "\1\2AbC"
                                 "\1\4\0\1\0\0\0\0"
                                 "\1\5\0\1\0\2\0\0"
                                 "hi"
                                 "\1\5\0\1\0\0\0\0";
    struct fcgi_client_bytes params = {0};
    fcgi_client_param(&params, "A=ignored", 1, "bC");
    struct fcgi_client_bytes out = fcgi_client_request(&params, "hi", 2);
    cr_assert_not(out.failed);
    cr_assert_eq(out.size, sizeof wanted - 1);
    cr_assert(memcmp(out.bytes, wanted, out.size) == 0);
    free(out.bytes);
    free(params.bytes);
}

Test(fcgi_client, cuts_what_is_long)
{
    char *value = calloc(1, 200001);
    cr_assert_not_null(value);
    memset(value, 'v', 200000);
    struct fcgi_client_bytes params = {0};
    fcgi_client_param(&params, "NAME", 4, value);
    cr_assert_eq(params.size, 1u + 4 + 4 + 200000);
    cr_assert(memcmp(params.bytes, "\4\x80\3\r@NAME", 9) == 0);
    struct fcgi_client_bytes out = fcgi_client_request(&params, value, 70000);
    size_t content = 0, at = 0;
    while (at < out.size) {
        const unsigned char *header = (const unsigned char *)out.bytes + at;
        content += (size_t)header[4] << 8 | header[5];
        at += 8 + ((size_t)header[4] << 8 | header[5]);
    }
    cr_assert_eq(at, out.size);
    cr_assert_eq(content, 8 + params.size + 70000);
    free(out.bytes);
    free(params.bytes);
    free(value);
}
