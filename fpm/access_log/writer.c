/* writer.c: see writer.h. */
#include "fpm/access_log/writer.h"

#include "fpm/access_log/writer_lines.h"
#include "fpm/access_log/writer_proto.h"
#include "sapi-shim/util/clock.h"
#include "fpm/util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WRITER_BUFFER = 65536,
    WRITER_PAUSE = 5, /* ms between two rounds: workers then wake nobody, and batches grow */
    WRITER_HURRY = 1, /* ms, when the last round brought more than this: */
    WRITER_MUCH = 16384,
    WRITER_NEWS = 1000, /* ms between two tellings of the same loss */
    WRITER_FDS = 2
};

struct writer_log {
    struct writer_log *next;
    uint32_t id;
    int pipe, file;
    bool ending;   /* to be emptied and forgotten */
    bool waiting;  /* the file takes no more for now */
    bool failing;  /* the file could not be written, and the manager was told */
    bool torn;     /* the last line stands there in part */
    uint64_t gone; /* lines that are missing in the file */
    int64_t told;  /* ms: last telling of what the sink counts */
    struct writer_lines sink;
    size_t in_length;       /* bytes of an incomplete message at the beginning of `in` */
    size_t out_at, out_end; /* not yet written */
    char in[WRITER_BUFFER], out[WRITER_BUFFER];
};

static struct {
    int control; /* -1: the manager has gone */
    struct writer_log *logs;
    size_t count;
    size_t brought; /* bytes read since the last pause */
} writer = {.control = -1};

/* ---- telling the manager ---- */

static void writer_tell(const struct writer_log *log, enum writer_proto_news_kind kind, int error,
                        uint64_t count)
{
    const struct writer_proto_news news = {
        .kind = kind, .id = log->id, .error = error, .count = count};
    if (writer.control >= 0)
        (void)send(writer.control, &news, sizeof news, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* True while there is something to tell that has to wait. */
static bool writer_tell_losses(struct writer_log *log, bool now)
{
    if (log->sink.lost == 0 && log->sink.junk == 0)
        return false;
    if (!now && clock_ms() - log->told < WRITER_NEWS)
        return true;
    if (log->sink.lost > 0)
        writer_tell(log, WRITER_PROTO_NO_ROOM, 0, log->sink.lost);
    if (log->sink.junk > 0)
        writer_tell(log, WRITER_PROTO_JUNK, 0, log->sink.junk);
    log->sink.lost = log->sink.junk = 0;
    log->told = clock_ms();
    return false;
}

/* ---- writing ---- */

static uint64_t writer_count_lines(const char *bytes, size_t count)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < count; i++)
        lines += bytes[i] == '\n';
    return lines;
}

/* The file cannot take what is left: the lines are gone, and the log goes on. */
static void writer_give_up(struct writer_log *log, int error)
{
    log->torn |= log->out_at > 0 && log->out[log->out_at - 1] != '\n';
    log->gone += writer_count_lines(log->out + log->out_at, log->out_end - log->out_at);
    log->out_at = log->out_end = 0;
    log->waiting = false;
    if (!log->failing)
        writer_tell(log, WRITER_PROTO_FAILING, error, 0);
    log->failing = true;
}

static ssize_t writer_attempt(const struct writer_log *log, const char *bytes, size_t count)
{
    ssize_t n;
    do
        n = write(log->file, bytes, count);
    while (n < 0 && errno == EINTR);
    return n;
}

/* A line of which a part was lost must not run into the next. */
static bool writer_mend(struct writer_log *log)
{
    if (!log->torn)
        return true;
    log->torn = writer_attempt(log, "\n", 1) != 1;
    return !log->torn;
}

static void writer_write(struct writer_log *log)
{
    if (log->out_at == log->out_end)
        return;
    log->waiting = false;
    bool good = writer_mend(log);
    while (good && log->out_at < log->out_end) {
        ssize_t n = writer_attempt(log, log->out + log->out_at, log->out_end - log->out_at);
        good = n > 0;
        log->out_at += good ? (size_t)n : 0;
    }
    if (!good && errno == EAGAIN) {
        log->waiting = true;
        return;
    }
    if (!good) {
        writer_give_up(log, errno);
        return;
    }
    log->out_at = log->out_end = 0;
    if (log->failing)
        writer_tell(log, WRITER_PROTO_RECOVERED, 0, log->gone);
    log->failing = false;
    log->gone = 0;
}

/* ---- reading ---- */

enum writer_result {
    WRITER_EMPTY, /* nothing more for now */
    WRITER_SOME,
    WRITER_END /* nobody can write into it any more */
};

/* What was read before is written, or waits and keeps the rest in the pipe. */
static enum writer_result writer_read(struct writer_log *log)
{
    size_t taken = 0;
    if (log->waiting)
        return WRITER_EMPTY;
    ssize_t n;
    do
        n = read(log->pipe, log->in + log->in_length, sizeof log->in - log->in_length);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n == 0 ? WRITER_END : WRITER_EMPTY;
    size_t count = log->in_length + (size_t)n;
    writer.brought += (size_t)n;
    log->out_end = writer_lines_take(&log->sink, log->in, count, log->out, &taken);
    log->in_length = count - taken;
    memmove(log->in, log->in + taken, log->in_length);
    writer_write(log);
    return count == sizeof log->in ? WRITER_SOME : WRITER_EMPTY;
}

/* ---- orders ---- */

static void writer_forget(struct writer_log **link)
{
    struct writer_log *log = *link;
    (void)writer_tell_losses(log, true);
    if (log->failing)
        writer_tell(log, WRITER_PROTO_RECOVERED, EPIPE, log->gone);
    writer_tell(log, WRITER_PROTO_GONE, 0, 0);
    *link = log->next;
    writer.count--;
    fd_close(&log->pipe);
    fd_close(&log->file);
    writer_lines_free(&log->sink);
    free(log);
}

static void writer_add(const struct access_log_order *order, int fds[WRITER_FDS])
{
    struct writer_log *log = calloc(1, sizeof *log);
    if (log == NULL || fds[0] < 0 || fds[1] < 0 ||
        writer_lines_init(&log->sink, order->slots) != 0) {
        free(log);
        return;
    }
    log->id = order->id;
    log->pipe = fds[0];
    log->file = fds[1];
    log->next = writer.logs;
    writer.logs = log;
    writer.count++;
    fds[0] = fds[1] = -1;
}

static void writer_obey(const struct access_log_order *order, int fds[WRITER_FDS])
{
    if (order->kind == WRITER_PROTO_ADD) {
        writer_add(order, fds);
        return;
    }
    for (struct writer_log *log = writer.logs; log != NULL; log = log->next) {
        if (log->id != order->id)
            continue;
        log->ending |= order->kind == WRITER_PROTO_END;
        if (order->kind == WRITER_PROTO_FILE && fds[0] >= 0) {
            fd_close(&log->file);
            log->file = fds[0];
            log->torn = false;
            fds[0] = -1;
            writer_write(log);
        }
        return;
    }
}

static void writer_take_fds(struct msghdr *message, int fds[WRITER_FDS])
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return;
    size_t bytes = header->cmsg_len - CMSG_LEN(0);
    if (bytes <= WRITER_FDS * sizeof *fds)
        memcpy(fds, CMSG_DATA(header), bytes);
}

/* False when there are no more orders for now. */
static bool writer_order(void)
{
    struct access_log_order order = {.kind = WRITER_PROTO_END};
    int fds[WRITER_FDS] = {-1, -1};
    struct iovec part = {.iov_base = &order, .iov_len = sizeof order};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(WRITER_FDS * sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n = recvmsg(writer.control, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EINTR;
    writer_take_fds(&message, fds);
    if (n == (ssize_t)sizeof order)
        writer_obey(&order, fds);
    for (int i = 0; i < WRITER_FDS; i++)
        fd_close(&fds[i]);
    if (n == 0)
        fd_close(&writer.control);
    return n > 0;
}

/* ---- the loop ---- */

/* One turn over all logs. Says whether something may be left to do at once. */
static bool writer_round(bool *untold)
{
    bool more = false;
    struct writer_log **link = &writer.logs;
    *untold = false;
    while (*link != NULL) {
        struct writer_log *log = *link;
        if (log->waiting)
            writer_write(log);
        if (log->waiting && log->ending)
            writer_give_up(log, EAGAIN); /* whoever reads it has been waited for long enough */
        enum writer_result result = writer_read(log);
        *untold |= writer_tell_losses(log, false);
        more |= result == WRITER_SOME;
        more |= log->waiting && log->ending;
        if (!log->waiting && (result == WRITER_END || (log->ending && result == WRITER_EMPTY)))
            writer_forget(link);
        else
            link = &log->next;
    }
    return more;
}

/* Waits for something to do, or for `timeout` ms; -1 = for ever. */
static void writer_wait(int timeout, bool with_pipes)
{
    static struct pollfd *set;
    static size_t room;
    size_t count = 0;
    if (set == NULL || room < writer.count + 1) {
        struct pollfd *grown = reallocarray(set, writer.count + 1, sizeof *set);
        if (grown == NULL) {
            (void)poll(NULL, 0, WRITER_PAUSE);
            return;
        }
        set = grown;
        room = writer.count + 1;
    }
    if (writer.control >= 0)
        set[count++] = (struct pollfd){.fd = writer.control, .events = POLLIN};
    for (const struct writer_log *log = writer.logs; with_pipes && log != NULL; log = log->next) {
        int fd = log->waiting ? log->file : log->pipe;
        set[count++] = (struct pollfd){.fd = fd, .events = log->waiting ? POLLOUT : POLLIN};
    }
    (void)poll(set, count, timeout);
}

/* What ps shows; the C library keeps where the words of our command line begin. */
static void writer_title(void)
{
    static const char title[] = "overtime: access writer";
    char words[4096];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t room = fd < 0 ? 0 : read(fd, words, sizeof words);
    fd_close(&fd);
    if (room < (ssize_t)sizeof title || strcmp(program_invocation_name, words) != 0)
        return;
    memset(program_invocation_name, 0, (size_t)room);
    memcpy(program_invocation_name, title, sizeof title);
}

static void writer_prepare(int control)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t none;
    sigemptyset(&none);
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        (void)sigaction(ignored[i], &ignore, NULL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_NAME, "overtime-access");
    writer_title();
    (void)chdir("/");
    writer.control = dup2(control, STDERR_FILENO + 1);
    (void)close_range(STDERR_FILENO + 2, ~0u, 0);
}

_Noreturn void writer_run(int control)
{
    bool untold = false;
    writer_prepare(control);
    while (writer.control >= 0 || writer.logs != NULL) {
        writer_wait(untold ? WRITER_NEWS : -1, true);
        while (writer.control >= 0 && writer_order()) {
        }
        while (writer_round(&untold)) {
        }
        if (writer.control >= 0 && writer.logs != NULL)
            writer_wait(writer.brought > WRITER_MUCH ? WRITER_HURRY : WRITER_PAUSE, false);
        writer.brought = 0;
    }
    _exit(0);
}
