/* test_params.c: a request's parameters as texts, for any input from a web server. */
#include "sapi-shim/protocol/params.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct params params;

static void free_params(void)
{
    params_free(&params);
    cr_assert_null(params.vector);
    cr_assert_null(params.text);
}

TestSuite(params, .fini = free_params);

static size_t put_length(unsigned char *out, size_t length, int wide)
{
    if (!wide) {
        out[0] = (unsigned char)length;
        return 1;
    }
    out[0] = (unsigned char)(0x80 | length >> 24);
    out[1] = (unsigned char)(length >> 16);
    out[2] = (unsigned char)(length >> 8);
    out[3] = (unsigned char)length;
    return 4;
}

static size_t put_pair(unsigned char *out, const char *name, const char *value, int wide)
{
    size_t at = put_length(out, strlen(name), wide);
    at += put_length(out + at, strlen(value), wide);
    memcpy(out + at, name, strlen(name));
    at += strlen(name);
    memcpy(out + at, value, strlen(value));
    return at + strlen(value);
}

Test(params, pairs_become_texts_in_their_order)
{
    unsigned char content[256];
    size_t count = put_pair(content, "REQUEST_METHOD", "GET", 0);
    count += put_pair(content + count, "HTTP_COOKIE", "a=b; c=d", 1);
    count += put_pair(content + count, "EMPTY", "", 0);
    count += put_pair(content + count, "", "nameless", 0);
    cr_assert(params_decode(&params, "FCGI_ROLE=RESPONDER", content, count));
    cr_expect_str_eq(params.vector[0], "FCGI_ROLE=RESPONDER");
    cr_expect_str_eq(params.vector[1], "REQUEST_METHOD=GET");
    cr_expect_str_eq(params.vector[2], "HTTP_COOKIE=a=b; c=d");
    cr_expect_str_eq(params.vector[3], "EMPTY=");
    cr_expect_str_eq(params.vector[4], "=nameless");
    cr_expect_null(params.vector[5]);
}

Test(params, none_leaves_the_role)
{
    cr_assert(params_decode(&params, "FCGI_ROLE=FILTER", (const unsigned char *)"", 0));
    cr_expect_str_eq(params.vector[0], "FCGI_ROLE=FILTER");
    cr_expect_null(params.vector[1]);
}

Test(params, every_cut_is_malformed_and_reads_nothing_behind_it)
{
    unsigned char content[64];
    size_t count = put_pair(content, "NAME", "value", 1);
    for (size_t cut = 1; cut < count; cut++) {
        unsigned char *exact = malloc(cut); /* the sanitizer sees a byte read too far */
        cr_assert_not_null(exact);
        memcpy(exact, content, cut);
        cr_expect_not(params_decode(&params, "", exact, cut), "%zu bytes", cut);
        free(exact);
    }
}

Test(params, lengths_beyond_the_content_are_malformed)
{
    static const unsigned char cases[][10] = {
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'a', 'b'},
        {0x01, 0xff, 0xff, 0xff, 0xff, 'a', 'b', 'c', 'd', 'e'},
        {0x09, 0x00, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_not(params_decode(&params, "", cases[i], sizeof cases[i]));
}

Test(params, more_than_ever_before_and_then_few_again)
{
    enum {
        MANY = 30000
    };
    unsigned char *content = malloc(MANY * 8);
    size_t count = 0;
    cr_assert_not_null(content);
    for (int i = 0; i < MANY; i++)
        count += put_pair(content + count, "N", "v", i % 2);
    cr_assert(params_decode(&params, "first", content, count));
    for (int i = 1; i <= MANY; i++)
        cr_assert_str_eq(params.vector[i], "N=v");
    cr_assert_null(params.vector[MANY + 1]);
    params_trim(&params);
    cr_expect_null(params.text, "so much does not stay");
    count = put_pair(content, "A", "b", 0);
    cr_assert(params_decode(&params, "first", content, count));
    char *text = params.text;
    params_trim(&params);
    cr_expect_eq(params.text, text, "a usual request's room does");
    cr_expect_str_eq(params.vector[1], "A=b");
    free(content);
}
