/* test_exit_message.c: the line about a dead worker: how it ended, what it did, and the level. */
#include "fpm/worker/exit_message.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

enum {
    EXITED_3 = 3 << 8,
    SEGV_CORE = 11 | 0x80,
    KILLED = 9
};

static struct slot_view view_of(unsigned state)
{
    struct slot_view view = {.attached = true, .threads = 1, .counts.requests = 17};
    view.lead.state = state;
    view.lead.accepted_at = (uint64_t)(100 * SECOND);
    view.busy = slot_view_state_busy(state);
    snprintf(view.lead.method, sizeof view.lead.method, "POST");
    snprintf(view.lead.uri, sizeof view.lead.uri, "/send?n=%d", 3);
    return view;
}

static enum log_level compose(const struct slot_view *view, int status, bool stop_requested,
                              char *line)
{
    struct exit_message message = {.pool = "www",
                                   .pid = 123,
                                   .slot = 4,
                                   .status = status,
                                   .uptime = 65000,
                                   .stop_requested = stop_requested,
                                   .view = view};
    return exit_message_compose(&message, 102 * SECOND, line, EXIT_MESSAGE_MAX);
}

Test(exit_message, tells_who_how_and_what)
{
    char line[EXIT_MESSAGE_MAX];
    struct slot_view view = view_of(OT_STATE_POST);
    snprintf(view.lead.label, sizeof view.lead.label, "mail 3 of 10");
    cr_expect(compose(&view, SEGV_CORE, false, line) == LOG_LEVEL_WARNING);
    cr_expect_str_eq(line,
                     "pool www: worker 123 (slot 4) died of SIGSEGV (core dumped) while in "
                     "post-response work of POST /send?n=3, 2.0 s old, \"mail 3 of 10\", after "
                     "65.0 s and 17 requests");
}

static const char *compose_dead(struct slot_view view, int status, bool asked, const char *last)
{
    static char line[EXIT_MESSAGE_MAX];
    struct exit_message message = {.pool = "www",
                                   .pid = 123,
                                   .status = status,
                                   .stop_requested = asked,
                                   .last_error = last,
                                   .view = &view};
    (void)exit_message_compose(&message, SECOND, line, sizeof line);
    return line;
}

Test(exit_message, tells_the_last_line_of_a_worker_that_died_early)
{
    struct slot_view unattached = {.threads = 1}, first = view_of(OT_STATE_RUNNING),
                     later = view_of(OT_STATE_RUNNING);
    const char *said = "; last line on its standard error: \"out of \\x07\"";
    first.counts.requests = 1;
    cr_expect(strstr(compose_dead(unattached, EXITED_3, false, "out of \a"), said) != NULL);
    cr_expect(strstr(compose_dead(first, KILLED, false, "out of \a"), said) != NULL);
    cr_expect(strstr(compose_dead(later, KILLED, false, "out of \a"), "last line") == NULL);
    cr_expect(strstr(compose_dead(first, KILLED, true, "out of \a"), "last line") == NULL);
    cr_expect(strstr(compose_dead(first, KILLED, false, ""), "last line") == NULL);
    cr_expect(strstr(compose_dead(first, KILLED, false, NULL), "last line") == NULL);
}

Test(exit_message, says_where_to_look_when_a_program_did_not_run)
{
    struct slot_view unattached = {.threads = 1}, attached = view_of(OT_STATE_RUNNING);
    cr_expect(strstr(compose_dead(unattached, 127 << 8, false, ""), "shared library") != NULL);
    cr_expect(strstr(compose_dead(unattached, 126 << 8, false, ""), "its mode") != NULL);
    cr_expect(strstr(compose_dead(unattached, EXITED_3, false, ""), "mostly") == NULL);
    cr_expect(strstr(compose_dead(attached, 127 << 8, false, ""), "mostly") == NULL);
}

Test(exit_message, levels)
{
    char line[EXIT_MESSAGE_MAX];
    struct slot_view idle = view_of(OT_STATE_IDLE), busy = view_of(OT_STATE_RUNNING);
    cr_expect(compose(&idle, 0, false, line) == LOG_LEVEL_NOTICE);
    cr_expect(compose(&idle, 0, true, line) == LOG_LEVEL_DEBUG);
    cr_expect(compose(&idle, KILLED, true, line) == LOG_LEVEL_DEBUG);
    cr_expect(compose(&idle, EXITED_3, false, line) == LOG_LEVEL_WARNING);
    cr_expect(compose(&idle, KILLED, false, line) == LOG_LEVEL_WARNING);
    cr_expect(compose(&busy, 0, false, line) == LOG_LEVEL_WARNING);
    cr_expect(compose(&busy, KILLED, true, line) == LOG_LEVEL_WARNING);
}

Test(exit_message, tells_why_and_is_quiet_about_what_is_expected)
{
    char line[EXIT_MESSAGE_MAX];
    struct slot_view view = view_of(OT_STATE_EXITING);
    struct exit_message message = {.pool = "www",
                                   .pid = 123,
                                   .uptime = 65000,
                                   .expected = true,
                                   .reason = "`pm.max_requests` reached",
                                   .view = &view};
    cr_expect(exit_message_compose(&message, 102 * SECOND, line, sizeof line) == LOG_LEVEL_DEBUG);
    cr_expect_str_eq(line, "pool www: worker 123 (slot 0) exited with status 0 while exiting, "
                           "after 65.0 s and 17 requests: `pm.max_requests` reached");
    message.status = EXITED_3;
    cr_expect(exit_message_compose(&message, 102 * SECOND, line, sizeof line) == LOG_LEVEL_WARNING);
}

Test(exit_message, says_unknown_rather_than_guess)
{
    char line[EXIT_MESSAGE_MAX];
    struct slot_view view = {.attached = false};
    (void)compose(&view, EXITED_3, false, line);
    cr_expect(strstr(line, "exited with status 3 in unknown state") != NULL, "%s", line);
    cr_expect(strstr(line, "an unknown number of requests") != NULL, "%s", line);
}

Test(exit_message, hostile_text_stays_on_one_line)
{
    char line[EXIT_MESSAGE_MAX];
    struct slot_view view = view_of(OT_STATE_RUNNING);
    memset(view.lead.uri, '\n', sizeof view.lead.uri - 1);
    memset(view.lead.label, 0x1b, sizeof view.lead.label - 1);
    view.lead.accepted_at = UINT64_MAX;
    (void)compose(&view, KILLED, false, line);
    cr_expect(strpbrk(line, "\n\x1b") == NULL, "%s", line);
    cr_expect(strstr(line, "0 ms old") != NULL, "%s", line);
}
