/* emergency.c: see emergency.h. */
#include "sapi-shim/emergency.h"
#include "sapi-shim/clock.h"
#include "sapi-shim/frame.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EMERGENCY_LINGER (500 * CLOCK_MS) /* for a peer that still sends */

static const char emergency_page[] = "Status: 504 Gateway Timeout\r\n"
                                     "Content-Type: text/plain\r\n\r\n"
                                     "The request took too long.\n";

/* ---- one line of text, without stdio ---- */

struct emergency_line {
    char text[1024];
    size_t length;
};

static void emergency_put(struct emergency_line *line, const char *text)
{
    while (*text != '\0' && line->length < sizeof line->text - 1)
        line->text[line->length++] = *text++;
}

static void emergency_put_number(struct emergency_line *line, uint64_t number)
{
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    emergency_put(line, digits + at);
}

static void emergency_say(const struct emergency *e)
{
    struct emergency_line line = {.length = 0};
    emergency_put(&line, "overtime: pool ");
    emergency_put(&line, e->pool);
    emergency_put(&line, ": ");
    emergency_put(&line, e->method);
    emergency_put(&line, " ");
    emergency_put(&line, e->uri);
    emergency_put(&line, ": no safe point within hard_timeout (");
    emergency_put_number(&line, (uint64_t)e->grace);
    emergency_put(&line, " ms) after ");
    emergency_put(&line, e->limit_name);
    emergency_put(&line, " (");
    emergency_put_number(&line, (uint64_t)e->limit);
    emergency_put(&line, " ms), ");
    emergency_put(&line, e->phase);
    emergency_put(&line, ": worker ended; lost: ");
    emergency_put_number(&line, e->lost);
    emergency_put(&line, " shutdown functions, ");
    emergency_put_number(&line, e->others);
    emergency_put(&line, " requests of other threads\n");
    ssize_t n = write(STDERR_FILENO, line.text, line.length);
    (void)n; /* nobody is left to be told */
}

/* ---- the answer ---- */

static size_t emergency_answer(const struct emergency *e, unsigned char *out)
{
    size_t at = 0;
    if (!e->responded) {
        at = frame_stdout_header(e->id, sizeof emergency_page - 1, out);
        memcpy(out + at, emergency_page, sizeof emergency_page - 1);
        at += sizeof emergency_page - 1;
    }
    at += frame_stdout_header(e->id, 0, out + at);
    return at + frame_end_request(e->id, FRAME_REQUEST_COMPLETE, out + at);
}

/* Closing with unread input would take the answer away from the client again. */
static void emergency_linger(int fd)
{
    static unsigned char nowhere[65536];
    uint64_t deadline = clock_now() + EMERGENCY_LINGER;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint64_t now = clock_now();
        if (now >= deadline)
            return;
        int n = poll(&p, 1, clock_timeout(deadline, now));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || recv(fd, nowhere, sizeof nowhere, MSG_DONTWAIT) <= 0)
            return;
    }
}

void emergency_exit(const struct emergency *e)
{
    unsigned char out[256];
    emergency_say(e);
    if (e->fd >= 0) {
        if (!e->mid_record) {
            ssize_t n = send(e->fd, out, emergency_answer(e, out), MSG_DONTWAIT | MSG_NOSIGNAL);
            (void)n; /* a client that takes nothing gets nothing */
        }
        (void)shutdown(e->fd, SHUT_WR);
        emergency_linger(e->fd);
    }
    _exit(EMERGENCY_STATUS);
}
