/* capture.c: see capture.h. */
#include "fpm/capture.h"

#include "fpm/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CAPTURE_LAST_READ = 16384,
    CAPTURE_LAST_READS = 64, /* at the end: what a pipe can hold, and then some */
    CAPTURE_LINES_MANY = 32, /* of one read */
    CAPTURE_LINES_FEW = 8
};

int capture_init(struct capture *capture, size_t limit, capture_line_fn *line, void *context)
{
    *capture = CAPTURE_NONE;
    capture->limit = limit;
    capture->line = line;
    capture->context = context;
    capture->appetite = CAPTURE_APPETITE_FIRST;
    capture->buffer = malloc(limit);
    return capture->buffer == NULL ? -1 : 0;
}

static void capture_emit(struct capture *capture, bool ends)
{
    capture->line(capture->context, capture->buffer, capture->used, !capture->inside, ends);
    capture->inside = !ends;
    capture->lines++;
    capture->used = 0;
}

void capture_feed(struct capture *capture, const char *data, size_t size)
{
    while (size > 0) {
        const char *newline = memchr(data, '\n', size);
        size_t piece = newline != NULL ? (size_t)(newline - data) : size;
        size_t room = capture->limit - capture->used;
        /* A full buffer is handed out only when more of its line comes. */
        if (piece > 0 && room == 0) {
            capture_emit(capture, false);
            room = capture->limit;
        }
        size_t taken = piece < room ? piece : room;
        memcpy(capture->buffer + capture->used, data, taken);
        capture->used += taken;
        data += taken;
        size -= taken;
        if (taken == piece && newline != NULL) {
            capture_emit(capture, true);
            data++;
            size--;
        }
    }
}

void capture_flush(struct capture *capture)
{
    if (capture->used > 0)
        capture_emit(capture, true);
    capture->inside = false;
}

size_t capture_appetite(size_t asked, size_t lines)
{
    if (lines > CAPTURE_LINES_MANY)
        return asked / 4 > CAPTURE_APPETITE_LEAST ? asked / 4 : CAPTURE_APPETITE_LEAST;
    if (lines < CAPTURE_LINES_FEW)
        return asked * 2 < CAPTURE_APPETITE_MOST ? asked * 2 : CAPTURE_APPETITE_MOST;
    return asked;
}

/* At most `size` bytes, CAPTURE_LAST_READ or less. Returns true while more may be there. */
static bool capture_read(struct capture *capture, size_t size)
{
    char data[CAPTURE_LAST_READ];
    ssize_t got = read(capture->fd, data, size);
    if (got > 0) {
        capture_feed(capture, data, (size_t)got);
        return true;
    }
    if (got < 0 && errno == EINTR)
        return true;
    if (got == 0 || errno != EAGAIN)
        ev_io_stop(capture->loop, &capture->io);
    return false;
}

static void capture_on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct capture *capture = io->data;
    capture->lines = 0;
    if (capture_read(capture, capture->appetite))
        capture->appetite = capture_appetite(capture->appetite, capture->lines);
}

int capture_open(struct capture *capture, struct ev_loop *loop)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    /* The child's end stays blocking: programs do not expect EAGAIN on their standard error. */
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        fd_close(&ends[0]);
        fd_close(&ends[1]);
        return -1;
    }
    capture->fd = ends[0];
    capture->loop = loop;
    ev_io_init(&capture->io, capture_on_readable, capture->fd, EV_READ);
    capture->io.data = capture;
    /* Signals, deaths, timers and control come first. */
    ev_set_priority(&capture->io, EV_MINPRI);
    ev_io_start(loop, &capture->io);
    return ends[1];
}

void capture_close(struct capture *capture)
{
    if (capture->fd >= 0) {
        for (int i = 0; i < CAPTURE_LAST_READS && capture_read(capture, CAPTURE_LAST_READ); i++)
            continue;
        ev_io_stop(capture->loop, &capture->io);
        fd_close(&capture->fd);
    }
    if (capture->buffer != NULL)
        capture_flush(capture);
    free(capture->buffer);
    *capture = CAPTURE_NONE;
}
