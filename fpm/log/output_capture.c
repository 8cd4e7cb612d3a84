/* output_capture.c: see output_capture.h. */
#include "fpm/log/output_capture.h"

#include "fpm/util/fd.h"
#include "fpm/util/untrusted_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    OUTPUT_CAPTURE_LAST_READ = 16384,
    OUTPUT_CAPTURE_LAST_READS = 64, /* at close: more than a pipe holds */
    OUTPUT_CAPTURE_LINES_MANY = 32, /* of one read */
    OUTPUT_CAPTURE_LINES_FEW = 8
};

#define OUTPUT_CAPTURE_SILENCE 0.2 /* s */

void output_capture_init(struct output_capture *capture, output_capture_limit_fn *longest,
                         output_capture_line_fn *line, void *context)
{
    *capture = OUTPUT_CAPTURE_NONE;
    capture->longest = longest;
    capture->line = line;
    capture->context = context;
    capture->read_size = OUTPUT_CAPTURE_READ_FIRST;
}

/* ---- lines ---- */

static void output_capture_emit(struct output_capture *capture, const char *text, size_t length,
                                bool ends)
{
    struct output_capture_line line = {
        .text = text, .length = length, .begins = !capture->inside, .ends = ends};
    capture->inside = !ends;
    capture->lines++;
    capture->line(capture->context, &line);
}

static void output_capture_emit_empty(struct output_capture *capture)
{
    struct output_capture_line line = {.text = "", .begins = true, .ends = true};
    if (capture->empty == 0)
        return;
    line.empty_lines = capture->empty > 1 ? capture->empty : 0;
    capture->empty = 0;
    capture->lines++;
    capture->line(capture->context, &line);
}

static void output_capture_emit_buffer(struct output_capture *capture, bool ends)
{
    output_capture_emit(capture, capture->buffer, capture->used, ends);
    free(capture->buffer);
    capture->buffer = NULL;
    capture->used = 0;
}

/* Takes bytes of one line, with its end if `whole`; returns how many. Only a line that arrives in
 * parts needs memory. */
static size_t output_capture_take(struct output_capture *capture, const char *data, size_t size,
                                  bool whole)
{
    if (capture->buffer == NULL) {
        capture->limit = capture->longest();
        if (whole && size <= capture->limit) {
            output_capture_emit(capture, data, size, true);
            return size + 1;
        }
        capture->buffer = malloc(capture->limit);
    }
    size_t space = capture->limit - capture->used;
    size_t taken = size < space ? size : space;
    if (capture->buffer == NULL) {
        output_capture_emit(capture, data, taken, false);
        return taken;
    }
    memcpy(capture->buffer + capture->used, data, taken);
    capture->used += taken;
    return taken;
}

void output_capture_feed(struct output_capture *capture, const char *data, size_t size)
{
    while (size > 0) {
        size_t taken = 1;
        if (*data == '\n' && capture->buffer != NULL) {
            output_capture_emit_buffer(capture, true);
        } else if (*data == '\n' && capture->inside) {
            output_capture_emit(capture, "", 0, true);
        } else if (*data == '\n') {
            capture->empty++;
        } else {
            const char *newline = memchr(data, '\n', size);
            size_t piece = newline != NULL ? (size_t)(newline - data) : size;
            output_capture_emit_empty(capture);
            /* A full buffer is reported only when more of its line arrives. */
            if (capture->buffer != NULL && capture->used == capture->limit)
                output_capture_emit_buffer(capture, false);
            taken = output_capture_take(capture, data, piece, newline != NULL);
        }
        data += taken;
        size -= taken;
    }
    output_capture_emit_empty(capture);
}

void output_capture_flush(struct output_capture *capture)
{
    if (capture->buffer != NULL)
        output_capture_emit_buffer(capture, true);
    capture->inside = false;
}

size_t output_capture_read_size(size_t asked, size_t lines)
{
    if (lines > OUTPUT_CAPTURE_LINES_MANY)
        return asked / 4 > OUTPUT_CAPTURE_READ_LEAST ? asked / 4 : OUTPUT_CAPTURE_READ_LEAST;
    if (lines < OUTPUT_CAPTURE_LINES_FEW)
        return asked * 2 < OUTPUT_CAPTURE_READ_MOST ? asked * 2 : OUTPUT_CAPTURE_READ_MOST;
    return asked;
}

/* At most `size` bytes, OUTPUT_CAPTURE_LAST_READ or less. Returns true while more may be there. */
static bool output_capture_read(struct output_capture *capture, size_t size)
{
    char data[OUTPUT_CAPTURE_LAST_READ];
    ssize_t got = untrusted_io_read_own(capture->fd, data, size);
    if (got > 0) {
        output_capture_feed(capture, data, (size_t)got);
        return true;
    }
    if (got < 0 && errno == EINTR)
        return true;
    if (got == 0 || errno != EAGAIN)
        ev_io_stop(capture->loop, &capture->io);
    return false;
}

/* Begins to wait for the rest of a line, if one has begun. */
static void output_capture_time(struct output_capture *capture)
{
    if (capture->buffer != NULL || capture->inside)
        ev_timer_again(capture->loop, &capture->silence);
    else if (ev_is_active(&capture->silence))
        ev_timer_stop(capture->loop, &capture->silence);
}

static void output_capture_on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct output_capture *capture = io->data;
    capture->lines = 0;
    if (output_capture_read(capture, capture->read_size))
        capture->read_size = capture->whole
                                 ? OUTPUT_CAPTURE_LAST_READ
                                 : output_capture_read_size(capture->read_size, capture->lines);
    output_capture_time(capture);
}

/* If the manager was late, the pipe may have more. */
static void output_capture_on_silence(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct output_capture *capture = timer->data;
    if (output_capture_read(capture, OUTPUT_CAPTURE_READ_LEAST)) {
        output_capture_time(capture);
        return;
    }
    ev_timer_stop(loop, timer);
    output_capture_flush(capture);
}

static void output_capture_watch(struct output_capture *capture, struct ev_loop *loop, int fd)
{
    capture->fd = fd;
    capture->loop = loop;
    ev_io_init(&capture->io, output_capture_on_readable, capture->fd, EV_READ);
    capture->io.data = capture;
    /* Signals, exits of children, timers and the control socket come first. */
    ev_set_priority(&capture->io, EV_MINPRI);
    ev_io_start(loop, &capture->io);
    ev_timer_init(&capture->silence, output_capture_on_silence, 0, OUTPUT_CAPTURE_SILENCE);
    capture->silence.data = capture;
}

int output_capture_open(struct output_capture *capture, struct ev_loop *loop)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    /* The child's end stays blocking, because programs do not expect EAGAIN on standard error. */
    if (untrusted_io_own(ends[0]) != 0) {
        fd_close(&ends[0]);
        fd_close(&ends[1]);
        return -1;
    }
    output_capture_watch(capture, loop, ends[0]);
    return ends[1];
}

/* If the write end is readable, too, the pipe raises no SIGPIPE, even when the manager has ended.
 */
int output_capture_never_waits(int write_end)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", write_end);
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    fd_close(&write_end);
    return fd;
}

void output_capture_adopt(struct output_capture *capture, struct ev_loop *loop,
                          const struct output_capture *before)
{
    output_capture_watch(capture, loop, before->fd);
    capture->inside = before->inside;
    output_capture_feed(capture, before->buffer, before->used);
    output_capture_time(capture);
}

void output_capture_close(struct output_capture *capture)
{
    if (capture->fd >= 0) {
        for (int i = 0; i < OUTPUT_CAPTURE_LAST_READS &&
                        output_capture_read(capture, OUTPUT_CAPTURE_LAST_READ);
             i++)
            continue;
        ev_io_stop(capture->loop, &capture->io);
        ev_timer_stop(capture->loop, &capture->silence);
        fd_close(&capture->fd);
    }
    output_capture_flush(capture);
    *capture = OUTPUT_CAPTURE_NONE;
}
