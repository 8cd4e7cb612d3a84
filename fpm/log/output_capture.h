/* output_capture.h: what a worker writes to its standard output or error, turned into lines.
 *
 * Never blocks: one bounded read a turn of the loop, the smaller the shorter the lines are, after
 * all other events of the turn. A flood waits in its pipe, and its writer with it, for that and for
 * nothing else: what is done with a line is the owner's, who must not wait either. Decides where a
 * line ends and where a long one is cut. A run of empty lines is handed out as one.
 * output_capture_feed, output_capture_flush and output_capture_appetite are pure and can be called
 * without a loop or a descriptor.
 */
#ifndef FPM_OUTPUT_CAPTURE_H
#define FPM_OUTPUT_CAPTURE_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

/* Bytes of one read. */
enum {
    OUTPUT_CAPTURE_APPETITE_LEAST = 64,
    OUTPUT_CAPTURE_APPETITE_FIRST = 256,
    OUTPUT_CAPTURE_APPETITE_MOST = 4096
};

/* A line or a piece of one, without its end. */
struct output_capture_line {
    const char *text; /* any bytes */
    size_t length;
    bool begins, ends;  /* it opens its line, closes it */
    size_t empty_lines; /* 2 or more: in place of text, so many empty lines in a row */
};

typedef void output_capture_line_fn(void *context, const struct output_capture_line *line);

/* Says how long a piece may be, in bytes; asked at the begin of each. */
typedef size_t output_capture_limit_fn(void);

struct output_capture {
    char *buffer;    /* the line so far; NULL between lines */
    size_t limit;    /* longest piece, bytes; the buffer's size */
    size_t used;     /* <= limit */
    bool inside;     /* a piece of the current line was handed out already */
    size_t empty;    /* empty lines that were not handed out yet */
    size_t appetite; /* bytes that the next read asks for, CAPTURE_APPETITE_... */
    size_t lines;    /* handed out since the last turn of the loop began with it */
    output_capture_limit_fn *room;
    output_capture_line_fn *line;
    void *context;
    int fd; /* read end, -1 = none */
    struct ev_loop *loop;
    ev_io io;
};

#define OUTPUT_CAPTURE_NONE ((struct output_capture){.fd = -1})

/* Makes it ready for output_capture_feed. */
void output_capture_init(struct output_capture *capture, output_capture_limit_fn *room,
                         output_capture_line_fn *line, void *context);

/* Takes bytes in and hands out every line that is complete, or as long as the limit. Where there is
 * no memory to keep the begin of a line, it is cut there. */
void output_capture_feed(struct output_capture *capture, const char *data, size_t size);

/* Hands out a line that was begun and never ended. */
void output_capture_flush(struct output_capture *capture);

/* How many bytes the next read asks for, after one of `asked` bytes that made so many lines: what a
 * turn costs is the lines, not the bytes. */
size_t output_capture_appetite(size_t asked, size_t lines);

/* Opens a pipe, watches one end and returns the other, close-on-exec, for the child; -1 with errno.
 * After output_capture_init. */
int output_capture_open(struct output_capture *capture, struct ev_loop *loop);

/* Takes over the read end of a pipe that another program in this process's place has opened, with
 * what it had read of a line; `inside`: a piece of that line was handed out before. After
 * output_capture_init. */
void output_capture_restore(struct output_capture *capture, struct ev_loop *loop, int fd,
                            const char *begun, size_t size, bool inside);

/* Reads what is there, hands out the rest and forgets everything. */
void output_capture_close(struct output_capture *capture);

#endif
