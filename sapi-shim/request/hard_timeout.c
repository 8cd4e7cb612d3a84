/* hard_timeout.c: see hard_timeout.h. */
#include "sapi-shim/request/hard_timeout.h"

#include "sapi-shim/protocol/frame.h"
#include "sapi-shim/util/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HARD_TIMEOUT_LINGER (500 * CLOCK_NS_PER_MS) /* for a peer that still sends */

static const char hard_timeout_page[] = "Status: 504 Gateway Timeout\r\n"
                                        "Content-Type: text/plain\r\n\r\n"
                                        "The request took too long.\n";

/* ---- one line of text, without stdio ---- */

struct hard_timeout_line {
    char text[1024];
    size_t length;
};

static void hard_timeout_put(struct hard_timeout_line *line, const char *text)
{
    while (*text != '\0' && line->length < sizeof line->text - 1)
        line->text[line->length++] = *text++;
}

static void hard_timeout_put_number(struct hard_timeout_line *line, uint64_t number)
{
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    hard_timeout_put(line, digits + at);
}

static void hard_timeout_say(const struct hard_timeout *e)
{
    struct hard_timeout_line line = {.length = 0};
    hard_timeout_put(&line, "overtime: pool ");
    hard_timeout_put(&line, e->pool);
    hard_timeout_put(&line, ": ");
    hard_timeout_put(&line, e->method);
    hard_timeout_put(&line, " ");
    hard_timeout_put(&line, e->uri);
    hard_timeout_put(&line, ": no safe point within hard_timeout (");
    hard_timeout_put_number(&line, (uint64_t)e->grace);
    hard_timeout_put(&line, " ms) after ");
    hard_timeout_put(&line, e->limit_name);
    hard_timeout_put(&line, " (");
    hard_timeout_put_number(&line, (uint64_t)e->limit);
    hard_timeout_put(&line, " ms), ");
    hard_timeout_put(&line, e->phase);
    hard_timeout_put(&line, ": worker ended; lost: ");
    hard_timeout_put_number(&line, e->lost);
    hard_timeout_put(&line, " shutdown functions, ");
    hard_timeout_put_number(&line, e->others);
    hard_timeout_put(&line, " requests of other threads\n");
    ssize_t n = write(STDERR_FILENO, line.text, line.length);
    (void)n; /* nobody is left to be told */
}

/* ---- the answer ---- */

static size_t hard_timeout_answer(const struct hard_timeout *e, unsigned char *out)
{
    size_t at = 0;
    if (!e->responded) {
        at = frame_stdout_header(e->id, sizeof hard_timeout_page - 1, out);
        memcpy(out + at, hard_timeout_page, sizeof hard_timeout_page - 1);
        at += sizeof hard_timeout_page - 1;
    }
    at += frame_stdout_header(e->id, 0, out + at);
    return at + frame_end_request(e->id, FRAME_REQUEST_COMPLETE, out + at);
}

/* Closing with unread input would take the answer away from the client again. */
static void hard_timeout_linger(int fd)
{
    static unsigned char nowhere[65536];
    uint64_t deadline = clock_ns() + HARD_TIMEOUT_LINGER;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint64_t now = clock_ns();
        if (now >= deadline)
            return;
        int n = poll(&p, 1, clock_timeout_ms(deadline, now));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || recv(fd, nowhere, sizeof nowhere, MSG_DONTWAIT) <= 0)
            return;
    }
}

void hard_timeout_exit(const struct hard_timeout *e)
{
    unsigned char out[256];
    hard_timeout_say(e);
    if (e->fd >= 0) {
        if (!e->mid_record) {
            ssize_t n = send(e->fd, out, hard_timeout_answer(e, out), MSG_DONTWAIT | MSG_NOSIGNAL);
            (void)n; /* a client that takes nothing gets nothing */
        }
        (void)shutdown(e->fd, SHUT_WR);
        hard_timeout_linger(e->fd);
    }
    _exit(HARD_TIMEOUT_STATUS);
}
