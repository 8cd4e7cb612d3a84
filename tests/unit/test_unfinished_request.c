/* test_unfinished_request.c: the access log line of requests whose worker died. */
#include "fpm/access_log/unfinished_request.h"
#include "sapi-shim/scoreboard/record.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#define SECOND         1000000000ll
#define EXITED(status) ((status) << 8)

static struct ot_record running(void)
{
    struct ot_record record = {.state = OT_STATE_RUNNING,
                               .accepted_at = 100 * SECOND,
                               .running_at = 100 * SECOND + 5,
                               .requests = 7,
                               .logged = 6,
                               .content_length = 12};
    strcpy(record.method, "POST");
    strcpy(record.uri, "/a?b=c");
    strcpy(record.remote, "192.0.2.7");
    strcpy(record.label, "mail 3");
    return record;
}

static const struct unfinished_request killed = {.pool = "www",
                                                 .pid = 42,
                                                 .parent = 7,
                                                 .status = SIGKILL,
                                                 .now = 103 * SECOND,
                                                 .wall = 1000 * SECOND};

Test(unfinished_request, what_is_owed)
{
    struct ot_record record = running();
    cr_expect(unfinished_request_is_unlogged(&record));
    record.logged = 7;
    cr_expect_not(unfinished_request_is_unlogged(&record));
    memset(&record, 0, sizeof record);
    cr_expect_not(unfinished_request_is_unlogged(&record), "no request at all");
}

Test(unfinished_request, killed_while_running)
{
    struct ot_record record = running();
    struct unfinished_request_texts texts;
    struct log_format_input facts = unfinished_request_describe(&record, &killed, &texts);
    cr_expect_eq(facts.outcome, LOG_FORMAT_KILLED);
    cr_expect_str_eq(facts.uri, "/a?b=c");
    cr_expect_str_eq(facts.method, "POST");
    cr_expect_str_eq(facts.remote, "192.0.2.7");
    cr_expect_str_eq(facts.label, "mail 3");
    cr_expect_eq(facts.duration, 3 * SECOND);
    cr_expect_eq(facts.began, 997 * SECOND);
    cr_expect_eq(facts.ended, 1000 * SECOND);
    cr_expect_eq(facts.answer, LOG_FORMAT_UNKNOWN);
    cr_expect_eq(facts.post_response, 0);
    cr_expect_eq(facts.shutdown, 0);
    cr_expect_eq(facts.status, 0, "nothing was answered");
    cr_expect_eq(facts.content_length, 12);
    cr_expect_str_eq(facts.param(facts.context, "CONTENT_LENGTH", 14), "12");
    cr_expect_null(facts.param(facts.context, "HTTP_HOST", 9));
}

Test(unfinished_request, a_client_that_left_has_499_however_the_worker_ended)
{
    struct ot_record record = running();
    struct unfinished_request_texts texts;
    record.status = OT_BIT_ABORTED;
    cr_expect_eq(unfinished_request_describe(&record, &killed, &texts).status, 499);
    record.http_status = 200;
    cr_expect_eq(unfinished_request_describe(&record, &killed, &texts).status, 200);
}

Test(unfinished_request, phases_have_their_lengths)
{
    struct ot_record record = running();
    struct unfinished_request_texts texts;
    record.finished_at = 101 * SECOND;
    record.http_status = 201;
    struct log_format_input facts = unfinished_request_describe(&record, &killed, &texts);
    cr_expect_eq(facts.answer, 1 * SECOND);
    cr_expect_eq(facts.post_response, 2 * SECOND);
    cr_expect_eq(facts.status, 201);
    record.http_status = 0;
    facts = unfinished_request_describe(&record, &killed, &texts);
    cr_expect_eq(facts.status, 200, "a response without a status was complete");
    record.shutdown_at = 102 * SECOND;
    facts = unfinished_request_describe(&record, &killed, &texts);
    cr_expect_eq(facts.post_response, 1 * SECOND);
    cr_expect_eq(facts.shutdown, 1 * SECOND);
}

static const struct {
    const char *name;
    int status;
    bool asked;
    unsigned bits;
    bool ended;
    enum log_format_outcome outcome;
} outcomes[] = {
    {"kill -9", SIGKILL, false, 0, false, LOG_FORMAT_KILLED},
    {"TERM of the manager", SIGTERM, true, 0, false, LOG_FORMAT_KILLED},
    {"crash", SIGSEGV, false, 0, false, LOG_FORMAT_CRASHED},
    {"crash with a core file", SIGABRT | 0x80, false, OT_BIT_ABORTED, false, LOG_FORMAT_CRASHED},
    {"crash of a worker that was being stopped", SIGBUS, true, 0, false, LOG_FORMAT_CRASHED},
    {"_exit", EXITED(0), false, 0, false, LOG_FORMAT_CRASHED},
    {"_exit of a worker that was being stopped", EXITED(1), true, 0, false, LOG_FORMAT_KILLED},
    {"hard_timeout", EXITED(124), false, OT_BIT_TIMEOUT, false, LOG_FORMAT_TIMEOUT},
    {"124 for another reason", EXITED(124), false, 0, false, LOG_FORMAT_CRASHED},
    {"another wait reaped it", -1, false, 0, false, LOG_FORMAT_CRASHED},
    {"another wait reaped a worker that was being stopped", -1, true, 0, false, LOG_FORMAT_KILLED},
    {"killed after the request's end", SIGKILL, false, 0, true, LOG_FORMAT_OK},
    {"killed after an abort's end", SIGKILL, false, OT_BIT_ABORTED, true, LOG_FORMAT_ABORTED},
    {"killed after a time-out's end", SIGKILL, false, OT_BIT_TIMEOUT, true, LOG_FORMAT_TIMEOUT},
};

Test(unfinished_request, outcomes)
{
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        struct ot_record record = running();
        struct unfinished_request death = killed;
        struct unfinished_request_texts texts;
        record.status = outcomes[i].bits;
        record.ended_at = outcomes[i].ended ? 102 * SECOND : 99 * SECOND;
        death.status = outcomes[i].status;
        death.stop_requested = outcomes[i].asked;
        struct log_format_input facts = unfinished_request_describe(&record, &death, &texts);
        cr_expect_eq(facts.outcome, outcomes[i].outcome, "%s: %s", outcomes[i].name,
                     log_format_outcome_name(facts.outcome));
        cr_expect_eq(facts.bits, outcomes[i].bits);
        if (outcomes[i].ended)
            cr_expect_eq(facts.duration, 2 * SECOND, "%s", outcomes[i].name);
    }
}

Test(unfinished_request, what_was_cut_says_so)
{
    struct ot_record record = running();
    struct unfinished_request_texts texts;
    char uri[sizeof record.uri + 1];
    memset(uri, 'u', sizeof uri - 1);
    uri[sizeof uri - 1] = '\0';
    record_text(record.uri, sizeof record.uri, uri);
    struct log_format_input facts = unfinished_request_describe(&record, &killed, &texts);
    cr_expect_eq(strlen(facts.uri), sizeof record.uri - 1);
    cr_expect_str_eq(facts.uri + sizeof record.uri - 6, "[...]");
}

Test(unfinished_request, nothing_a_worker_writes_does_harm)
{
    struct ot_record raw = {.state = OT_STATE_IDLE}, record;
    struct unfinished_request_texts texts;
    char error[256], line[OT_ACCESS_LINE_MAX];
    struct log_format *format =
        log_format_compile("%R %u %m %r%Q%q %s %d %A %W %S %O %D %B %l %t %T %X %L %{REQUEST_URI}e",
                           error, sizeof error);
    cr_assert_not_null(format, "%s", error);
    unsigned state = 1;
    for (int round = 0; round < 500; round++) {
        for (size_t i = 0; i < sizeof raw; i++) {
            state = state * 1103515245 + 12345;
            ((unsigned char *)&raw)[i] = (unsigned char)(state >> 16);
        }
        record_copy_dead(&raw, &record); /* as the manager does */
        struct log_format_input facts = unfinished_request_describe(&record, &killed, &texts);
        cr_expect_leq(log_format_line(format, &facts, line), sizeof line);
    }
    log_format_free(&format);
}
