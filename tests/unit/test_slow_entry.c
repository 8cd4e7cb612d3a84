/* test_slow_entry.c: the text of an entry of the slow log. */
#include "fpm/slow_log/slow_entry.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000

static char *compose(const struct slow_entry *entry, const struct slow_entry_stack *stack)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    cr_assert_not_null(out);
    slow_entry_write(out, entry, stack);
    cr_assert_eq(fclose(out), 0);
    return text;
}

static struct slow_entry example(void)
{
    struct slow_entry entry = {.pool = "www",
                               .pid = 812,
                               .slot = 3,
                               .why = DEADLINE_POST_RESPONSE,
                               .limit = 1000,
                               .now = (int64_t)100 * SECOND,
                               .wall = {.tv_sec = 1764000000, .tv_nsec = 7000000}};
    struct ot_record *record = &entry.record;
    record->state = OT_STATE_POST;
    record->tid = 812;
    record->accepted_at = (uint64_t)97 * SECOND;
    record->running_at = (uint64_t)97 * SECOND;
    record->finished_at = (uint64_t)98 * SECOND;
    record->requests = 17;
    strcpy(record->method, "GET");
    strcpy(record->uri, "/report");
    strcpy(record->label, "page 3");
    return entry;
}

Test(slow_entry, all_that_is_known)
{
    struct slow_entry entry = example();
    const char *lines = "stopped for 0.2 ms\nthread 812 (app)\n  #0  nap  nap.c:3\n";
    const struct slow_entry_stack stack = {.text = lines, .length = strlen(lines)};
    char *text = compose(&entry, &stack);
    char *head = strchr(text, ']');
    cr_assert_not_null(head);
    cr_expect_str_eq(head, "] [pool www] worker 812 (slot 3): post-response for 2.0 s, "
                           "post_response.slowlog_timeout = 1.0 s\n"
                           "  request  GET /report\n"
                           "  label    page 3\n"
                           "  age      3.0 s since it was accepted, 2.0 s since its response, the "
                           "thread's request number 17\n"
                           "  stack    stopped for 0.2 ms\n"
                           "thread 812 (app)\n"
                           "  #0  nap  nap.c:3\n\n");
    free(text);
}

Test(slow_entry, why_there_is_no_stack)
{
    struct slow_entry entry = example();
    const struct slow_entry_stack stack = {
        .text = "", .missing = "not\nallowed", .note = "so it is"};
    char *text = compose(&entry, &stack);
    cr_expect_not_null(strstr(text, "  note     so it is\n  stack    none: not\\x0aallowed\n\n"),
                       "%s", text);
    free(text);
}

Test(slow_entry, nothing_hostile_gets_through)
{
    struct slow_entry entry = example();
    const char *lines = "\x1b[31m\n\n\nfake\r\n";
    const struct slow_entry_stack stack = {.text = lines, .length = strlen(lines)};
    strcpy(entry.record.uri, "/\n\n[pool x] worker 1");
    strcpy(entry.record.label, "\xff\x1b");
    entry.record.state = 77;
    entry.record.tid = 4711;
    entry.record.finished_at = UINT64_MAX;
    char *text = compose(&entry, &stack);
    cr_expect_null(strchr(text, '\x1b'));
    cr_expect_null(strchr(text, '\r'));
    cr_expect_not_null(strstr(text, ", thread 4711: unknown for 0 ms"), "%s", text);
    cr_expect_eq(strstr(text, "\n\n"), text + strlen(text) - 2, "only the last line is empty: %s",
                 text);
    free(text);
}
