/* test_log_format.c: the fields of a line of the access log. */
#include "sapi-shim/access_log/log_format.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *sample_param(const void *context, const char *name, size_t length)
{
    (void)context;
    return length == 15 && strncmp(name, "HTTP_USER_AGENT", length) == 0 ? "curl \"7\"\n" : NULL;
}

static const char *sample_field(const void *context, const char *name, size_t name_length,
                                size_t *length)
{
    (void)context;
    *length = 10;
    return name_length == 12 && strncmp(name, "Content-Type", 12) == 0 ? "text/plain;..." : NULL;
}

static const struct log_format_input sample = {
    .pool = "www",
    .pid = 42,
    .parent = 7,
    .method = "GET",
    .uri = "/index?a=b",
    .script = "/srv/index",
    .remote = "192.0.2.7",
    .user = "ann",
    .label = "mail 3 of 9",
    .param = sample_param,
    .field = sample_field,
    .outcome = LOG_FORMAT_OK,
    .bits = 0,
    .status = 200,
    .content_length = 3145728,
    .sent = 2048,
    .discarded = 5,
    .began = 1000000000123456789,
    .ended = 1000000061123456789,
    .duration = 61000000000,
    .answer = 1234567,
    .post_response = 60000000000,
    .shutdown = 2000,
    .cpu_user = 6100000000,
    .cpu_system = 3050000000,
    .memory = 8388608,
};

static const char *line_of(const char *text, const struct log_format_input *facts)
{
    static char out[OT_ACCESS_LINE_MAX + 1];
    char error[512] = "";
    struct log_format *format = log_format_compile(text, error, sizeof error);
    cr_assert_not_null(format, "%s: %s", text, error);
    size_t length = log_format_line(format, facts, out);
    cr_assert_leq(length, OT_ACCESS_LINE_MAX);
    out[length] = '\0';
    log_format_free(&format);
    return out;
}

static const struct {
    const char *format;
    const char *line;
} cases[] = {
    {"%R - %u %t \"%m %r%Q%q\" %s",
     "192.0.2.7 - ann 09/Sep/2001:01:46:40 +0000 \"GET /index?a=b\" 200"},
    {"%%%p%%%P", "%42%7"},
    {"%n %f %l %{kilo}l %{megabytes}l", "www /srv/index 3145728 3072 3"},
    {"%d %{seconds}d %{mili}d %{milliseconds}d %{micro}d",
     "61.000 61.000 61000.000 61000.000 61000000"},
    {"%A %{milli}A %{microseconds}A", "0.001 1.234 1234"},
    {"%W %{micro}S", "60.000 2"},
    {"%C %{user}C %{system}C %{total}C", "14.99 9.99 4.99 14.99"},
    {"%M %{mega}M", "8388608 8"},
    {"%B %D %O %X %L", "2048 5 ok 0 mail 3 of 9"},
    {"%{HTTP_USER_AGENT}e|%{HTTP_NONE}e", "curl \\\"7\\\"\\x0a|-"},
    {"%{Content-Type}o|%{X-None}o", "text/plain|-"},
    {"%{%Y-%m-%d}t %{%H:%M:%S}T", "2001-09-09 01:47:41"},
    {"a\tb", "a\tb"},
};

Test(format, every_code)
{
    setenv("TZ", "UTC", 1);
    tzset();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_str_eq(line_of(cases[i].format, &sample), cases[i].line);
}

Test(format, every_code_of_the_table_is_taken)
{
    for (const struct log_format_code_help *help = log_format_help(); help->code != NULL; help++) {
        char text[64], error[512];
        const char *inside = strcmp(help->in, "NAME") == 0 ? "{NAME}" : "";
        cr_expect_gt(strlen(help->help), 0);
        snprintf(text, sizeof text, "%%%s%c", inside, help->code[1]);
        struct log_format *format = log_format_compile(text, error, sizeof error);
        cr_expect_not_null(format, "%s: %s", text, error);
        log_format_free(&format);
    }
}

Test(format, what_is_not_known_is_a_dash)
{
    const struct log_format_input nothing = {.pool = "www",
                                             .pid = 1,
                                             .parent = 2,
                                             .outcome = LOG_FORMAT_KILLED,
                                             .content_length = -1,
                                             .sent = -1,
                                             .discarded = -1,
                                             .began = -1,
                                             .ended = -1,
                                             .duration = -1,
                                             .answer = -1,
                                             .post_response = -1,
                                             .shutdown = -1,
                                             .cpu_user = -1,
                                             .cpu_system = -1,
                                             .memory = -1};
    cr_expect_str_eq(
        line_of("%R %u %m %r %s %d %A %C %M %l %B %f %{X}e %{Y}o %t %L%Q%q %O", &nothing),
        "- - - - - - - - - - - - - - - - killed");
    cr_expect_str_eq(
        line_of("json", &nothing),
        "{\"time\":null,\"pool\":\"www\",\"pid\":1,\"remote\":null,\"user\":null,\"method\":null,"
        "\"path\":null,\"query\":null,\"status\":null,\"outcome\":\"killed\",\"aborted\":false,"
        "\"timed_out\":false,\"request_bytes\":null,\"response_bytes\":null,"
        "\"discarded_bytes\":null,\"duration_ms\":null,\"answer_ms\":null,"
        "\"post_response_ms\":null,\"shutdown_ms\":null,\"label\":null}");
}

Test(format, json)
{
    struct log_format_input facts = sample;
    facts.bits = OT_BIT_ABORTED | OT_BIT_TIMEOUT;
    facts.outcome = LOG_FORMAT_TIMEOUT;
    facts.uri = "/a\"b\\?x=\n";
    cr_expect_str_eq(
        line_of("json", &facts),
        "{\"time\":\"2001-09-09T01:46:40.123Z\",\"pool\":\"www\",\"pid\":42,"
        "\"remote\":\"192.0.2.7\",\"user\":\"ann\",\"method\":\"GET\",\"path\":\"/a\\\"b\\\\\","
        "\"query\":\"x=\\u000a\",\"status\":200,\"outcome\":\"timeout\",\"aborted\":true,"
        "\"timed_out\":true,\"request_bytes\":3145728,\"response_bytes\":2048,"
        "\"discarded_bytes\":5,\"duration_ms\":61000.000,\"answer_ms\":1.234,"
        "\"post_response_ms\":60000.000,\"shutdown_ms\":0.002,\"label\":\"mail 3 of 9\"}");
}

static const struct {
    const char *format;
    const char *said;
} bad[] = {
    {"%R %x", "has %x, which is no code; codes are %% %A"},
    {"%R %{a}Z b", "has %{a}Z, which is no code"},
    {"100%", "has %, which is no code"},
    {"%{a}", "has %{a}, which is no code"},
    {"%{HTTP_X", "has a { that is never closed: %{HTTP_X"},
    {"%{hours}d", "has %{hours}d; in its braces may stand seconds, milliseconds"},
    {"%e", "has %e without its {NAME}"},
    {"%{}o", "has %o without its {NAME}"},
    {"%{x}m", "has %{x}m, but %m takes no braces"},
    {"%{}t", "has %{}t; in its braces may stand as of strftime"},
    {"a\x1b", "has the control character 0x1b"},
    {"", "has 0 bytes"},
};

Test(format, what_is_wrong_is_told)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char error[512] = "";
        struct log_format *format = log_format_compile(bad[i].format, error, sizeof error);
        cr_expect_null(format, "%s", bad[i].format);
        cr_expect(strncmp(error, bad[i].said, strlen(bad[i].said)) == 0, "%s: %s", bad[i].format,
                  error);
        log_format_free(&format);
    }
    char text[LOG_FORMAT_MAX + 2], error[512] = "";
    memset(text, 'x', sizeof text);
    text[LOG_FORMAT_MAX + 1] = '\0';
    cr_expect_null(log_format_compile(text, error, sizeof error));
    text[LOG_FORMAT_MAX] = '\0';
    struct log_format *format = log_format_compile(text, error, sizeof error);
    cr_expect_not_null(format);
    log_format_free(&format);
}

Test(format, a_long_field_is_cut_and_the_rest_stays)
{
    static char uri[100000];
    memset(uri, 'u', sizeof uri - 1);
    uri[0] = '/';
    struct log_format_input facts = sample;
    facts.uri = uri;
    const char *line = line_of("%m %r %s", &facts);
    cr_expect(strncmp(line, "GET /uuuu", 9) == 0);
    cr_expect_str_eq(line + strlen(line) - 9, "[...] 200");
    cr_expect_gt(strlen(line), 1000, "as long as it may be: %zu", strlen(line));
    facts.label = facts.remote = facts.user = uri;
    line = line_of("json", &facts);
    cr_expect_str_eq(line + strlen(line) - 7, "[...]\"}");
    memset(uri + 1, '\n', sizeof uri - 2);
    line = line_of("json", &facts);
    cr_expect_eq(line[strlen(line) - 1], '}');
    char format[LOG_FORMAT_MAX + 1] = "";
    for (size_t i = 0; i < LOG_FORMAT_MAX / 2; i++)
        memcpy(format + 2 * i, "%r", 3);
    line = line_of(format, &facts);
    cr_expect_str_eq(line + strlen(line) - 5, "[...]", "too many fields");
}

Test(format, codes_say_what_they_need)
{
    char error[512];
    struct log_format *format = log_format_compile("%{user}C %M %{X}o", error, sizeof error);
    cr_expect_eq(log_format_needs(format),
                 LOG_FORMAT_NEEDS_CPU | LOG_FORMAT_NEEDS_MEMORY | LOG_FORMAT_NEEDS_HEAD);
    log_format_free(&format);
    format = log_format_compile("json", error, sizeof error);
    cr_expect_eq(log_format_needs(format), 0);
    log_format_free(&format);
}

Test(format, suppressed_are_plain_successes_of_these_paths)
{
    static const char paths[] = "/ping\0/health";
    struct log_format_input facts = sample;
    facts.uri = "/ping";
    facts.content_length = 0;
    cr_expect(log_format_suppresses(paths, sizeof paths, &facts));
    facts.method = "HEAD";
    facts.uri = "/health?";
    cr_expect(log_format_suppresses(paths, sizeof paths, &facts), "an empty query is none");
    facts.uri = "/heal";
    cr_expect_not(log_format_suppresses(paths, sizeof paths, &facts));
    facts.uri = "/ping?x";
    cr_expect_not(log_format_suppresses(paths, sizeof paths, &facts));
    facts.uri = "/ping";
    facts.method = "POST";
    cr_expect_not(log_format_suppresses(paths, sizeof paths, &facts));
    facts.method = "GET";
    facts.status = 302;
    cr_expect_not(log_format_suppresses(paths, sizeof paths, &facts));
    facts.status = 204;
    facts.content_length = 1;
    cr_expect_not(log_format_suppresses(paths, sizeof paths, &facts));
    facts.content_length = 0;
    facts.outcome = LOG_FORMAT_ABORTED;
    cr_expect_not(log_format_suppresses(paths, sizeof paths, &facts));
    facts.outcome = LOG_FORMAT_OK;
    cr_expect(log_format_suppresses(paths, sizeof paths, &facts));
    cr_expect_not(log_format_suppresses(paths, 0, &facts));
}
