/* output_capture.h: splits a worker's standard output or standard error into lines.
 *
 * Decides where a line ends and where a long one is cut; a run of empty lines is reported as one,
 * and a line without an end is reported after 200 ms of silence.
 * Never blocks: it reads once in a turn of the loop, after all other events, and fewer bytes the
 * shorter the lines are. A worker that writes faster waits for its pipe. The owner's callback must
 * not block. output_capture_feed, output_capture_flush and output_capture_read_size need no loop
 * and no descriptor.
 */
#ifndef FPM_OUTPUT_CAPTURE_H
#define FPM_OUTPUT_CAPTURE_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

/* Bytes of one read. */
enum {
    OUTPUT_CAPTURE_READ_LEAST = 64,
    OUTPUT_CAPTURE_READ_FIRST = 256,
    OUTPUT_CAPTURE_READ_MOST = 4096
};

/* A line or a piece of one, without its end. */
struct output_capture_line {
    const char *text; /* any bytes */
    size_t length;
    bool begins, ends;  /* it opens its line, closes it */
    size_t empty_lines; /* 2 or more: in place of text, so many empty lines in a row */
};

typedef void output_capture_line_fn(void *context, const struct output_capture_line *line);

/* Returns the longest piece, in bytes; called at the start of each. */
typedef size_t output_capture_limit_fn(void);

struct output_capture {
    char *buffer;     /* the line so far; NULL between lines */
    size_t limit;     /* longest piece, bytes; the buffer's size */
    size_t used;      /* <= limit */
    bool inside;      /* a piece of the current line was reported already */
    size_t empty;     /* empty lines not reported yet */
    size_t read_size; /* bytes of the next read, OUTPUT_CAPTURE_READ_... */
    bool whole;       /* its lines cost little: reads as much as it can in each turn */
    size_t lines;     /* reported in this turn of the loop */
    output_capture_limit_fn *longest;
    output_capture_line_fn *line;
    void *context;
    int fd; /* read end, -1 = none */
    struct ev_loop *loop;
    ev_io io;
    ev_timer silence;
};

#define OUTPUT_CAPTURE_NONE ((struct output_capture){.fd = -1})

/* Must come before all other calls. */
void output_capture_init(struct output_capture *capture, output_capture_limit_fn *longest,
                         output_capture_line_fn *line, void *context);

/* Takes bytes, and reports each line that is complete or reaches the limit. Without memory for an
 * incomplete line, the line is cut there. */
void output_capture_feed(struct output_capture *capture, const char *data, size_t size);

/* Reports a line that has begun and not ended. */
void output_capture_flush(struct output_capture *capture);

/* The size of the next read, after one of `asked` bytes that contained so many lines: the cost of a
 * turn is the lines, not the bytes. */
size_t output_capture_read_size(size_t asked, size_t lines);

/* Opens a pipe, watches its read end and returns the write end, close-on-exec, for the child; -1
 * with errno. */
int output_capture_open(struct output_capture *capture, struct ev_loop *loop);

/* Replaces a write end by one that never waits and raises no SIGPIPE. Returns it, or -1 with
 * errno. */
int output_capture_never_waits(int write_end);

/* Goes on with the read end and the incomplete line of `before`, which stays the caller's. */
void output_capture_adopt(struct output_capture *capture, struct ev_loop *loop,
                          const struct output_capture *before);

/* Reads what is left in the pipe, reports the rest, and closes and frees all. */
void output_capture_close(struct output_capture *capture);

#endif
