/* log_pipe.c: see log_pipe.h. */
#include "sapi-shim/access_log/log_pipe.h"

#include "sapi-shim/util/diagnostics.h"
#include "sapi-shim/access_log/line_buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct {
    int fd;
    struct log_format *format; /* NULL: there is no access log */
    const char *suppressed;
    size_t suppressed_size;
    const char *pool;
    _Atomic uint32_t *lost_lines; /* in our slot, so that a death leaves no loss unsaid */
    unsigned slot;
    pid_t pid, parent; /* asked for once, as each time is a system call */
} access_log = {.fd = -1};

/* The board is the manager's and constant, but nothing is lost by looking. */
static bool log_pipe_read(const struct ot_board *board)
{
    char error[512];
    size_t size = board->access_size <= sizeof board->access ? board->access_size : 0;
    size_t length = strnlen(board->access, size);
    if (length == size)
        return false;
    access_log.format = log_format_compile(board->access, error, sizeof error);
    if (access_log.format == NULL)
        diagnostics_write("pool %s: no access log: access.format %s", board->pool, error);
    access_log.suppressed = board->access + length + 1;
    access_log.suppressed_size = size - length - 1;
    access_log.pool = board->pool;
    return access_log.format != NULL;
}

void log_pipe_attach(const struct ot_board *board, struct ot_slot *own, unsigned slot)
{
    if (board == NULL || board->access_size == 0)
        return; /* the descriptor may be anybody's */
    if (log_pipe_read(board)) {
        access_log.fd = fcntl(OT_FD_ACCESS, F_DUPFD_CLOEXEC, OT_FD_FIRST_FREE);
        access_log.lost_lines = &own->lost_lines;
        access_log.slot = slot;
        access_log.pid = getpid();
        access_log.parent = getppid();
        if (access_log.fd < 0)
            diagnostics_write("pool %s: no access log: %s; raise rlimit_files", board->pool,
                              strerror(errno));
    }
    (void)close(OT_FD_ACCESS);
}

bool log_pipe_active(void)
{
    return access_log.fd >= 0;
}

unsigned log_pipe_needs(void)
{
    return log_pipe_active() ? log_format_needs(access_log.format) : 0;
}

/* What the writer reads before the line; see contract.h. */
static void log_pipe_head(struct line_buffer *line, unsigned thread, uint64_t number, uint64_t lost)
{
    const uint64_t numbers[] = {access_log.slot, thread, (uint64_t)access_log.pid, number, lost};
    const size_t count = sizeof numbers / sizeof *numbers;
    line_buffer_bytes(line, (const char[]){OT_ACCESS_FROM_WORKER}, 1);
    for (size_t i = 0; i < count; i++) {
        line_buffer_number(line, numbers[i]);
        line_buffer_bytes(line, i + 1 < count ? "." : " ", 1);
    }
}

static bool log_pipe_send(const char *message, size_t length, uint32_t lost)
{
    int saved = errno;
    ssize_t n = write(access_log.fd, message, length);
    errno = saved;
    if (n == (ssize_t)length)
        return true;
    (void)atomic_fetch_add(access_log.lost_lines, lost + 1);
    return false;
}

bool log_pipe_write(unsigned thread, uint64_t number, struct log_format_input *input)
{
    char message[OT_ACCESS_MESSAGE_MAX];
    struct line_buffer line = {.text = message, .size = sizeof message};
    uint32_t lost = 0;
    if (!log_pipe_active() ||
        log_format_suppresses(access_log.suppressed, access_log.suppressed_size, input))
        return true;
    if (atomic_load_explicit(access_log.lost_lines, memory_order_relaxed) != 0)
        lost = atomic_exchange(access_log.lost_lines, 0);
    input->pool = access_log.pool;
    input->pid = access_log.pid;
    input->parent = access_log.parent;
    log_pipe_head(&line, thread, number, lost);
    size_t length = line.length;
    length += log_format_line(access_log.format, input, message + length);
    message[length++] = '\n';
    return log_pipe_send(message, length, lost);
}

void log_pipe_after_fork(void)
{
    if (access_log.fd >= 0)
        (void)close(access_log.fd);
    access_log.fd = -1;
}
