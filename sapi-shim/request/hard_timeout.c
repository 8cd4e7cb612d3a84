/* hard_timeout.c: see hard_timeout.h. */
#include "sapi-shim/request/hard_timeout.h"

#include "sapi-shim/protocol/frame.h"
#include "sapi-shim/scoreboard/record.h"
#include "sapi-shim/scoreboard/worker_slot.h"
#include "sapi-shim/util/clock.h"
#include "sapi-shim/util/diagnostics.h"
#include "sapi-shim/util/locale_free.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HARD_TIMEOUT_EXIT_STATUS = 124,
    HARD_TIMEOUT_HTTP_STATUS = 504
};

#define HARD_TIMEOUT_LINGER (500 * CLOCK_NS_PER_MS) /* at most, for a peer that still sends */

const char hard_timeout_page[] = "Status: 504 Gateway Timeout\r\n"
                                 "Content-Type: text/plain\r\n\r\n"
                                 "The request took too long.\n";

/* Puts the message together without stdio, which is not async-signal-safe. */
static void hard_timeout_log(const struct request *request)
{
    char grace[LOCALE_FREE_MAX], limit[LOCALE_FREE_MAX], age[LOCALE_FREE_MAX],
        lost[LOCALE_FREE_MAX], others[LOCALE_FREE_MAX];
    const struct ot_record *record = request->record;
    bool labelled = record->label[0] != '\0';
    const char *const parts[] = {
        "pool ",
        worker_slot_pool(),
        ": ",
        record->method,
        " ",
        record->uri,
        ": no safe point within hard_timeout (",
        locale_free_decimal(grace, (uint64_t)request->limit.hard_ms, 0, 0),
        " ms) after ",
        request->limit.name,
        " (",
        locale_free_decimal(limit, (uint64_t)request->limit.ms, 0, 0),
        " ms), ",
        lifecycle_name(request->state),
        ", ",
        locale_free_decimal(age, (uint64_t)clock_ms_since(record->accepted_at, clock_ns()), 0, 0),
        " ms old",
        labelled ? ", \"" : "",
        record->label,
        labelled ? "\"" : "",
        ": worker ended; raise ",
        request->limit.name,
        " or hard_timeout, or call ot_checkpoint in this code; lost: ",
        locale_free_decimal(lost, request->functions.count, 0, 0),
        " shutdown functions, ",
        locale_free_decimal(others, request_open_elsewhere(), 0, 0),
        " requests of other threads",
    };
    char line[1024];
    size_t length = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        for (const char *text = parts[i]; *text != '\0' && length < sizeof line; text++)
            line[length++] = *text;
    diagnostics_text(OT_MESSAGE_WARNING, line, length);
}

/* Answers 504 if nothing of the response was sent, and ends the response in any case. */
static void hard_timeout_answer(const struct conn *conn)
{
    unsigned char out[256];
    uint16_t id = conn->frame.id;
    size_t at = 0;
    if (!conn->stdout_sent) {
        at = frame_stdout_header(id, sizeof hard_timeout_page - 1, out);
        memcpy(out + at, hard_timeout_page, sizeof hard_timeout_page - 1);
        at += sizeof hard_timeout_page - 1;
    }
    at += frame_stdout_header(id, 0, out + at);
    at += frame_end_request(id, FRAME_REQUEST_COMPLETE, out + at);
    ssize_t n = send(conn->fd, out, at, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)n; /* a client that takes no bytes gets none */
}

/* Reads what the peer still sends: a close with unread input would reset the connection, and the
 * client would lose the answer. */
static void hard_timeout_linger(int fd)
{
    static unsigned char ignored[65536];
    uint64_t deadline = clock_ns() + HARD_TIMEOUT_LINGER;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint64_t now = clock_ns();
        if (now >= deadline)
            return;
        int n = poll(&p, 1, clock_timeout_ms(deadline, now));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || recv(fd, ignored, sizeof ignored, MSG_DONTWAIT) <= 0)
            return;
    }
}

void hard_timeout_exit(struct request *request)
{
    struct ot_record *record = request->record;
    const struct conn *conn = request->conn;
    bool connected = conn != NULL && conn->fd >= 0;
    /* Nothing valid can follow a record that may be half sent. */
    bool may_answer = connected && !conn->writing && !conn->broken && !conn->end_sent;

    /* The interrupted code may have left a change of the record open; it never resumes. */
    if (!(atomic_load(&record->change) & 1))
        record_begin(&record->change);
    record->status |= OT_BIT_TIMEOUT;
    if (may_answer && !conn->stdout_sent)
        record->http_status = HARD_TIMEOUT_HTTP_STATUS;
    record->timed_out += !(request->status & OT_BIT_TIMEOUT);
    record->shutdown_lost += request->functions.count;
    record->shutdown_late += request->shutdown_jump != NULL; /* the one that runs */
    record_end(&record->change);
    worker_slot_set_exit_reason(OT_EXIT_HARD_TIMEOUT);

    hard_timeout_log(request);
    if (may_answer)
        hard_timeout_answer(conn);
    if (connected) {
        (void)shutdown(conn->fd, SHUT_WR);
        hard_timeout_linger(conn->fd);
    }
    _exit(HARD_TIMEOUT_EXIT_STATUS);
}
