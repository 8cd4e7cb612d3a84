/* log_pipe.c: see log_pipe.h. */
#include "sapi-shim/access_log/log_pipe.h"

#include "sapi-shim/access_log/line_buffer.h"
#include "sapi-shim/util/diagnostics.h"

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
    _Atomic uint32_t
        *lost_lines; /* in our slot, so that the manager can report it after our death */
    unsigned slot;
    pid_t pid, parent; /* kept, as each getpid() is a system call */
} log_pipe = {.fd = -1};

void log_pipe_attach(const struct ot_board *board, struct ot_slot *own, unsigned slot)
{
    if (board == NULL || board->access_size == 0)
        return; /* the descriptor is not ours */
    /* The manager writes the board; check it all the same. */
    size_t size = board->access_size <= sizeof board->access ? board->access_size : 0;
    size_t length = strnlen(board->access, size);
    if (own != NULL && length < size) {
        char error[512];
        log_pipe.format = log_format_compile(board->access, error, sizeof error);
        if (log_pipe.format == NULL)
            diagnostics_write("pool %s: no access log: access.format %s", board->pool, error);
    }
    if (log_pipe.format != NULL) {
        log_format_set_zone(&board->zone);
        log_pipe.suppressed = board->access + length + 1;
        log_pipe.suppressed_size = size - length - 1;
        log_pipe.pool = board->pool;
        log_pipe.fd = fcntl(OT_FD_ACCESS, F_DUPFD_CLOEXEC, OT_FD_FIRST_FREE);
        log_pipe.lost_lines = &own->lost_lines;
        log_pipe.slot = slot;
        log_pipe.pid = getpid();
        log_pipe.parent = getppid();
        if (log_pipe.fd < 0)
            diagnostics_write("pool %s: no access log: %s; raise rlimit_files", board->pool,
                              strerror(errno));
    }
    (void)close(OT_FD_ACCESS);
}

bool log_pipe_active(void)
{
    return log_pipe.fd >= 0;
}

unsigned log_pipe_needs(void)
{
    return log_pipe_active() ? log_format_needs(log_pipe.format) : 0;
}

bool log_pipe_write(unsigned thread, uint64_t number, struct log_format_input *input)
{
    char message[OT_ACCESS_MESSAGE_MAX];
    struct line_buffer line = {.text = message, .size = sizeof message};
    uint32_t lost = 0;
    if (!log_pipe_active() ||
        log_format_suppresses(log_pipe.suppressed, log_pipe.suppressed_size, input))
        return true;
    if (atomic_load_explicit(log_pipe.lost_lines, memory_order_relaxed) != 0)
        lost = atomic_exchange(log_pipe.lost_lines, 0);
    input->pool = log_pipe.pool;
    input->pid = log_pipe.pid;
    input->parent = log_pipe.parent;

    /* The head that contract.h describes. */
    const uint64_t numbers[] = {log_pipe.slot, thread, (uint64_t)log_pipe.pid, number, lost};
    const size_t count = sizeof numbers / sizeof *numbers;
    line_buffer_bytes(&line, (const char[]){OT_ACCESS_FROM_WORKER}, 1);
    for (size_t i = 0; i < count; i++) {
        line_buffer_decimal(&line, numbers[i], 0);
        line_buffer_bytes(&line, i + 1 < count ? "." : " ", 1);
    }
    size_t length = line.length;
    length += log_format_line(log_pipe.format, input, message + length);
    message[length++] = '\n';

    int saved = errno;
    ssize_t n = write(log_pipe.fd, message, length);
    errno = saved;
    if (n == (ssize_t)length)
        return true;
    (void)atomic_fetch_add(log_pipe.lost_lines, lost + 1);
    return false;
}

void log_pipe_after_fork(void)
{
    if (log_pipe.fd >= 0)
        (void)close(log_pipe.fd);
    log_pipe.fd = -1;
}
