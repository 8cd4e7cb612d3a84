/* test_log_line.c: lines of the log: every format, pieces, hostile bytes, and maximal lengths. */
#include "fpm/log/log_line.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

enum {
    STYLES = 4
};

static char line[70000];

static const struct log_line_style file = {.frame = LOG_LINE_FILE};
static const struct log_line_style file_json = {.frame = LOG_LINE_FILE, .json = true};
static const struct log_line_style journal = {.frame = LOG_LINE_JOURNAL};
static const struct log_line_style system_log = {
    .frame = LOG_LINE_SYSLOG, .ident = "web", .facility = LOG_LOCAL3, .self = 77};

static size_t compose_cut(const struct log_line_style *style, const struct log_record *record,
                          size_t size)
{
    struct timespec now = {.tv_sec = 1767323045, .tv_nsec = 6789000}; /* 2026-01-02 03:04:05 UTC */
    size_t taken = 0;
    size_t length = log_line_compose(style, &now, record, line, size, &taken);
    cr_assert(length <= size);
    line[length] = '\0';
    return taken;
}

static const char *compose(const struct log_line_style *style, const struct log_record *record)
{
    cr_assert(setenv("TZ", "XXX-5:30", 1) == 0);
    cr_assert(compose_cut(style, record, 4096) == record->length);
    return line;
}

static struct log_record words(const char *text)
{
    return (struct log_record){.level = LOG_LEVEL_ERROR, .text = text, .length = strlen(text)};
}

static struct log_record output(const char *text, size_t length)
{
    return (struct log_record){.level = LOG_LEVEL_WARNING,
                               .about = {"www", 12, 3},
                               .text = text,
                               .length = length,
                               .stream = "stderr",
                               .decorate = true,
                               .begins = true,
                               .ends = true};
}

Test(logline, the_managers_words)
{
    struct log_record record = words("it \"fell\"\n\xff");
    cr_expect_str_eq(compose(&file, &record),
                     "[02-Jan-2026 08:34:05.006] ERROR: it \"fell\"\\x0a\\xff\n");
    cr_expect_str_eq(compose(&journal, &record), "<3>it \"fell\"\\x0a\\xff\n");
    cr_expect_str_eq(compose(&system_log, &record),
                     "<155>Jan  2 08:34:05 web[77]: it \"fell\"\\x0a\\xff");
    cr_expect_str_eq(compose(&file_json, &record),
                     "{\"time\":\"2026-01-02T08:34:05.006+05:30\",\"level\":\"error\","
                     "\"message\":\"it \\u0022fell\\u0022\\u000a\\ufffd\"}\n");
}

Test(logline, escapes_of_the_caller_stay)
{
    struct log_record record = words("URI /\\x0a");
    cr_expect_str_eq(compose(&journal, &record), "<3>URI /\\x0a\n");
}

Test(logline, fields)
{
    struct log_record record = words("x");
    record.about = (struct log_about){.pool = "a\"b"};
    cr_expect(strstr(compose(&file_json, &record), ",\"pool\":\"a\\u0022b\",\"message\"") != NULL);
    record.about = (struct log_about){"www", 12, 0};
    cr_expect(strstr(compose(&file_json, &record),
                     ",\"pool\":\"www\",\"pid\":12,\"slot\":0,\"message\"") != NULL);
}

Test(logline, west_of_greenwich)
{
    struct log_record record = words("x");
    cr_assert(setenv("TZ", "XXX3:30", 1) == 0);
    compose_cut(&file_json, &record, 1024);
    cr_expect(strstr(line, "2026-01-01T23:34:05.006-03:30") != NULL, "%s", line);
}

Test(logline, what_workers_write)
{
    struct log_record record = output("a\0\"\\\xc3\xbc", 6);
    cr_expect_str_eq(compose(&file, &record),
                     "[02-Jan-2026 08:34:05.006] WARNING: [pool www] child 12 said into stderr: "
                     "\"a\\x00\"\\\\\xc3\xbc\"\n");
    cr_expect_str_eq(compose(&file_json, &record),
                     "{\"time\":\"2026-01-02T08:34:05.006+05:30\",\"level\":\"warning\","
                     "\"pool\":\"www\",\"pid\":12,\"slot\":3,\"stream\":\"stderr\","
                     "\"message\":\"worker output\","
                     "\"text\":\"a\\u0000\\u0022\\u005c\xc3\xbc\"}\n");
    record.decorate = false;
    cr_expect_str_eq(compose(&file, &record), "a\\x00\"\\\xc3\xbc\n");
    cr_expect_str_eq(compose(&journal, &record), "<4>a\\x00\"\\\xc3\xbc\n");
    cr_expect(strstr(compose(&file_json, &record), "\"pid\":12") != NULL, "fields in any case");
}

Test(logline, pieces)
{
    struct log_record record = output("x", 1);
    record.ends = false;
    cr_expect(strstr(compose(&file, &record), ": \"x\" ...\n") != NULL);
    cr_expect(strstr(compose(&file_json, &record), "\"x\",\"part\":\"first\"}\n") != NULL);
    record.begins = false;
    cr_expect(strstr(compose(&file, &record), ": ... \"x\" ...\n") != NULL);
    cr_expect(strstr(compose(&file_json, &record), "\"x\",\"part\":\"middle\"}\n") != NULL);
    record.ends = true;
    cr_expect(strstr(compose(&file, &record), ": ... \"x\"\n") != NULL);
    cr_expect(strstr(compose(&file_json, &record), "\"x\",\"part\":\"last\"}\n") != NULL);
}

Test(logline, empty_lines)
{
    struct log_record record = output("", 0);
    cr_expect(strstr(compose(&file, &record), "said into stderr: \"\"\n") != NULL);
    record.empty_lines = 70;
    cr_expect(strstr(compose(&file, &record), "said into stderr: 70 empty lines\n") != NULL);
    cr_expect(strstr(compose(&file_json, &record), "\"text\":\"\",\"empty_lines\":70}\n") != NULL);
    record.decorate = false;
    cr_expect_str_eq(compose(&file, &record), "\n");
}

Test(logline, too_long_words_are_cut)
{
    static char text[2000];
    memset(text, 'x', sizeof text - 1);
    struct log_record record = words(text);
    const struct log_line_style *styles[STYLES] = {&file, &journal, &system_log, &file_json};
    for (size_t i = 0; i < STYLES; i++) {
        cr_expect(compose_cut(styles[i], &record, 1000) == record.length);
        cr_expect(strlen(line) > 980);
        cr_expect(strstr(line, i == 3 ? "x...\"}\n" : "x...") != NULL);
    }
}

/* The longest names and numbers there are: the least limit leaves room for words, every shape keeps
 * it, and nothing is lost between the pieces. */
Test(logline, every_limit_is_kept)
{
    static char text[5000], got[sizeof text];
    const struct log_line_style *styles[STYLES] = {&file, &journal, &system_log, &file_json};
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = (char)('a' + i % 26);
    for (size_t limit = LOG_LINE_LEAST; limit < LOG_LINE_LEAST + 90; limit++) {
        for (size_t i = 0; i < STYLES; i++) {
            struct log_record record = output(text, sizeof text - 1);
            record.about = (struct log_about){"a-pool-of-the-longest-name-that-a-pool-can-have-ok",
                                              4194304, 65535};
            got[0] = '\0';
            while (record.length > 0) {
                size_t taken = compose_cut(styles[i], &record, limit);
                cr_assert(taken >= LOG_LINE_TEXT_LEAST || taken == record.length);
                cr_assert(strstr(line, i == 3 ? "}\n" : "\"") != NULL);
                strncat(got, record.text, taken);
                record.text += taken;
                record.length -= taken;
                record.begins = false;
            }
            cr_assert_str_eq(got, text);
        }
    }
}

Test(logline, bytes_of_every_kind_go_on)
{
    static char text[4096];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    struct log_record record = output(text, sizeof text);
    while (record.length > 0) {
        size_t taken = compose_cut(&file_json, &record, LOG_LINE_LEAST);
        cr_assert(taken > 0);
        record.text += taken;
        record.length -= taken;
    }
}
