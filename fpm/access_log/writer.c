/* writer.c: see writer.h. */
#include "fpm/access_log/writer.h"

#include "fpm/access_log/writer_lines.h"
#include "fpm/access_log/writer_proto.h"
#include "fpm/util/capabilities.h"
#include "fpm/util/fd.h"
#include "sapi-shim/util/clock.h"

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
    /* During a pause between two rounds lines collect, so that not every line wakes the writer. The
     * pause is shorter after a round that has read many bytes. */
    WRITER_PAUSE_MS = 5,
    WRITER_SHORT_PAUSE_MS = 1,
    WRITER_BUSY_BYTES = 16384,
    WRITER_REPORT_MS = 1000, /* between two reports of the same loss */
    WRITER_FDS = 2
};

struct writer_log {
    struct writer_log *next;
    uint32_t id;
    int pipe, file;
    bool closing;     /* to be emptied and closed */
    bool blocked;     /* the file takes no more for now */
    bool failed;      /* the file could not be written, and the manager knows */
    bool torn;        /* only a part of the last line was written */
    uint64_t missing; /* lines that could not be written */
    int64_t reported; /* ms: last report of lost lines and invalid bytes */
    struct writer_lines lines;
    size_t in_length;       /* bytes of an incomplete message at the beginning of `in` */
    size_t out_at, out_end; /* not yet written */
    char in[WRITER_BUFFER], out[WRITER_BUFFER];
};

static struct {
    int control; /* -1 = the manager has ended */
    struct writer_log *logs;
    size_t count;
    size_t bytes_read; /* bytes read since the last pause */
} writer = {.control = -1};

/* ---- reports to the manager ---- */

static void writer_report(const struct writer_log *log, enum writer_proto_report_kind kind,
                          int error, uint64_t count)
{
    const struct writer_proto_report report = {
        .kind = kind, .id = log->id, .error = error, .count = count};
    if (writer.control >= 0)
        (void)send(writer.control, &report, sizeof report, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Reports losses, but not too often. Returns true if some are still to be reported. */
static bool writer_report_losses(struct writer_log *log, bool now)
{
    if (log->lines.lost == 0 && log->lines.invalid == 0)
        return false;
    if (!now && clock_ms() - log->reported < WRITER_REPORT_MS)
        return true;
    if (log->lines.lost > 0)
        writer_report(log, WRITER_PROTO_LOST, 0, log->lines.lost);
    if (log->lines.invalid > 0)
        writer_report(log, WRITER_PROTO_INVALID, 0, log->lines.invalid);
    log->lines.lost = log->lines.invalid = 0;
    log->reported = clock_ms();
    return false;
}

/* ---- writing ---- */

/* The file cannot take the buffer: its lines are lost, and the log goes on. */
static void writer_give_up(struct writer_log *log, int error)
{
    log->torn |= log->out_at > 0 && log->out[log->out_at - 1] != '\n';
    for (size_t i = log->out_at; i < log->out_end; i++)
        log->missing += log->out[i] == '\n';
    log->out_at = log->out_end = 0;
    log->blocked = false;
    if (!log->failed)
        writer_report(log, WRITER_PROTO_WRITE_FAILED, error, 0);
    log->failed = true;
}

static ssize_t writer_try(const struct writer_log *log, const char *bytes, size_t count)
{
    ssize_t n;
    do
        n = write(log->file, bytes, count);
    while (n < 0 && errno == EINTR);
    return n;
}

static void writer_write(struct writer_log *log)
{
    if (log->out_at == log->out_end)
        return;
    log->blocked = false;
    /* A line that was written in part is ended, so that the next does not run into it. */
    bool good = !log->torn || writer_try(log, "\n", 1) == 1;
    log->torn = log->torn && !good;
    while (good && log->out_at < log->out_end) {
        ssize_t n = writer_try(log, log->out + log->out_at, log->out_end - log->out_at);
        good = n > 0;
        log->out_at += good ? (size_t)n : 0;
    }
    if (!good && errno == EAGAIN) {
        log->blocked = true;
        return;
    }
    if (!good) {
        writer_give_up(log, errno);
        return;
    }
    log->out_at = log->out_end = 0;
    if (log->failed)
        writer_report(log, WRITER_PROTO_WRITABLE, 0, log->missing);
    log->failed = false;
    log->missing = 0;
}

/* ---- reading ---- */

enum writer_result {
    WRITER_EMPTY, /* nothing more for now */
    WRITER_SOME,
    WRITER_END /* every write end is closed */
};

/* While the file is blocked, lines stay in the pipe. */
static enum writer_result writer_read(struct writer_log *log)
{
    size_t taken = 0;
    if (log->blocked)
        return WRITER_EMPTY;
    ssize_t n;
    do
        n = read(log->pipe, log->in + log->in_length, sizeof log->in - log->in_length);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n == 0 ? WRITER_END : WRITER_EMPTY;
    size_t count = log->in_length + (size_t)n;
    writer.bytes_read += (size_t)n;
    log->out_end = writer_lines_take(&log->lines, log->in, count, log->out, &taken);
    log->in_length = count - taken;
    memmove(log->in, log->in + taken, log->in_length);
    writer_write(log);
    return count == sizeof log->in ? WRITER_SOME : WRITER_EMPTY;
}

/* ---- commands ---- */

static void writer_close(struct writer_log **link)
{
    struct writer_log *log = *link;
    (void)writer_report_losses(log, true);
    if (log->failed)
        writer_report(log, WRITER_PROTO_WRITABLE, EPIPE, log->missing);
    writer_report(log, WRITER_PROTO_CLOSED, 0, 0);
    *link = log->next;
    writer.count--;
    fd_close(&log->pipe);
    fd_close(&log->file);
    writer_lines_free(&log->lines);
    free(log);
}

/* Executes a command; takes the descriptors that it keeps out of `fds`. */
static void writer_execute(const struct writer_proto_command *command, int fds[WRITER_FDS])
{
    struct writer_log *log = writer.logs;
    if (command->kind == WRITER_PROTO_ADD) {
        log = calloc(1, sizeof *log);
        if (log == NULL || fds[0] < 0 || fds[1] < 0 ||
            writer_lines_init(&log->lines, command->slots) != 0) {
            free(log);
            return;
        }
        log->id = command->id;
        log->pipe = fds[0];
        log->file = fds[1];
        log->next = writer.logs;
        writer.logs = log;
        writer.count++;
        fds[0] = fds[1] = -1;
        return;
    }
    while (log != NULL && log->id != command->id)
        log = log->next;
    if (log == NULL)
        return;
    log->closing |= command->kind == WRITER_PROTO_END;
    if (command->kind == WRITER_PROTO_FILE && fds[0] >= 0) {
        fd_close(&log->file);
        log->file = fds[0];
        log->torn = false;
        fds[0] = -1;
        writer_write(log);
    }
}

/* False if there are no more commands for now. */
static bool writer_read_command(void)
{
    struct writer_proto_command command = {.kind = WRITER_PROTO_END};
    int fds[WRITER_FDS] = {-1, -1};
    struct iovec part = {.iov_base = &command, .iov_len = sizeof command};
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
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len - CMSG_LEN(0) <= sizeof fds)
        memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    if (n == (ssize_t)sizeof command)
        writer_execute(&command, fds);
    for (int i = 0; i < WRITER_FDS; i++)
        fd_close(&fds[i]);
    if (n == 0)
        fd_close(&writer.control);
    return n > 0;
}

/* ---- the loop ---- */

/* Serves all logs once. True if there may be more to do at once. */
static bool writer_round(bool *unreported)
{
    bool more = false;
    struct writer_log **link = &writer.logs;
    *unreported = false;
    while (*link != NULL) {
        struct writer_log *log = *link;
        if (log->blocked)
            writer_write(log);
        if (log->blocked && log->closing)
            writer_give_up(log, EAGAIN); /* its reader was too slow */
        enum writer_result result = writer_read(log);
        *unreported |= writer_report_losses(log, false);
        more |= result == WRITER_SOME;
        more |= log->blocked && log->closing;
        if (!log->blocked && (result == WRITER_END || (log->closing && result == WRITER_EMPTY)))
            writer_close(link);
        else
            link = &log->next;
    }
    return more;
}

/* Waits for an event, at most `timeout` ms; -1 = for ever. */
static void writer_wait(int timeout, bool with_pipes)
{
    static struct pollfd *set;
    static size_t room;
    size_t count = 0;
    if (set == NULL || room < writer.count + 1) {
        struct pollfd *grown = reallocarray(set, writer.count + 1, sizeof *set);
        if (grown == NULL) {
            (void)poll(NULL, 0, WRITER_PAUSE_MS);
            return;
        }
        set = grown;
        room = writer.count + 1;
    }
    if (writer.control >= 0)
        set[count++] = (struct pollfd){.fd = writer.control, .events = POLLIN};
    for (const struct writer_log *log = writer.logs; with_pipes && log != NULL; log = log->next) {
        int fd = log->blocked ? log->file : log->pipe;
        set[count++] = (struct pollfd){.fd = fd, .events = log->blocked ? POLLOUT : POLLIN};
    }
    (void)poll(set, count, timeout);
}

/* Sets the title that ps shows: it overwrites the command line, to whose start
 * program_invocation_name points. */
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
    /* It opens nothing: files and pipes come from the manager. */
    if (chdir("/") != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || capabilities_clear_inherited(true) != 0 ||
        capabilities_drop(CAPABILITIES_NONE) != 0)
        _exit(1);
    writer.control = dup2(control, STDERR_FILENO + 1);
    (void)close_range(STDERR_FILENO + 2, ~0u, 0);
}

_Noreturn void writer_run(int control)
{
    bool unreported = false;
    writer_prepare(control);
    while (writer.control >= 0 || writer.logs != NULL) {
        writer_wait(unreported ? WRITER_REPORT_MS : -1, true);
        while (writer.control >= 0 && writer_read_command()) {
        }
        while (writer_round(&unreported)) {
        }
        if (writer.control >= 0 && writer.logs != NULL)
            writer_wait(writer.bytes_read > WRITER_BUSY_BYTES ? WRITER_SHORT_PAUSE_MS
                                                              : WRITER_PAUSE_MS,
                        false);
        writer.bytes_read = 0;
    }
    _exit(0);
}
