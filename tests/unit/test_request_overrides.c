/* test_request_overrides.c: what a web server may set for one request, and what it may not. */
#include "sapi-shim/request/request_overrides.h"

#include <criterion/criterion.h>
#include <string.h>

Test(request_overrides, several_lines)
{
    struct request_overrides v = {.set = 0};
    char error[200];
    cr_assert(request_overrides_parse("ignore_user_abort=on; max_execution_time = 5m\n"
                                      "post_response.time_limit=0\r\nbailout=unwind;",
                                      &v, error, sizeof error));
    cr_assert_eq(v.set, REQUEST_OVERRIDES_IGNORE_USER_ABORT | REQUEST_OVERRIDES_MAX_EXECUTION_TIME |
                            REQUEST_OVERRIDES_POST_RESPONSE_TIME_LIMIT | REQUEST_OVERRIDES_BAILOUT);
    cr_assert(v.ignore_user_abort);
    cr_assert_eq(v.max_execution_time, 300000);
    cr_assert_eq(v.post_response_time_limit, 0);
    cr_assert_eq(v.bailout, OT_BAILOUT_UNWIND);
}

Test(request_overrides, one_mistake_and_nothing_counts)
{
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"max_execution_time=5m;bailout=jump", "bailout cannot be \"jump\""},
        {"bailout=none\nmax_execution_time=-1", "max_execution_time cannot be \"-1\""},
        {"bailout=none;ignore_user_abort", "\"ignore_user_abort\" is not name=value"},
        {"bailout=none;pm.max_children=5", "\"pm.max_children\" cannot be set per request"},
        {"ignore_user_abort=maybe", "ignore_user_abort cannot be"},
        {"max_execution_time=99999999999999999999d", "max_execution_time cannot be"},
        {"=5", "\"\" cannot be set"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request_overrides v = {.set = REQUEST_OVERRIDES_BAILOUT, .bailout = OT_BAILOUT_EXIT};
        char error[200] = "";
        cr_expect_not(request_overrides_parse(cases[i].text, &v, error, sizeof error), "%s",
                      cases[i].text);
        cr_expect_not_null(strstr(error, cases[i].words), "%s: %s", cases[i].text, error);
        cr_expect_eq(v.set, REQUEST_OVERRIDES_BAILOUT);
        cr_expect_eq(v.bailout, OT_BAILOUT_EXIT);
    }
}

Test(request_overrides, a_line_without_end)
{
    char text[5000];
    char error[200];
    struct request_overrides v = {.set = 0};
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    cr_assert_not(request_overrides_parse(text, &v, error, sizeof error));
}

Test(request_overrides, nothing_is_fine)
{
    char error[200];
    struct request_overrides v = {.set = 0};
    cr_assert(request_overrides_parse("", &v, error, sizeof error));
    cr_assert(request_overrides_parse(" ;\n ;", &v, error, sizeof error));
    cr_assert_eq(v.set, 0);
}
