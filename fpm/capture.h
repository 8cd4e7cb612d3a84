/* capture.h: what a worker writes to its standard output or error, turned into lines.
 *
 * Never blocks: one bounded read a turn of the loop. Decides where a line ends and where a long one
 * is cut; what is done with a line is the owner's. capture_feed and capture_flush are pure and can
 * be called without a loop or a descriptor.
 */
#ifndef FPM_CAPTURE_H
#define FPM_CAPTURE_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

/* A line or a piece of one, without its end. `begins`: it opens a line; `ends`: it closes it. */
typedef void capture_line_fn(void *context, const char *text, size_t length, bool begins,
                             bool ends);

struct capture {
    char *buffer; /* the line so far */
    size_t limit; /* longest piece, bytes */
    size_t used;  /* <= limit */
    bool inside;  /* a piece of the current line was handed out already */
    capture_line_fn *line;
    void *context;
    int fd; /* read end, -1 = none */
    struct ev_loop *loop;
    ev_io io;
};

#define CAPTURE_NONE ((struct capture){.fd = -1})

/* Makes it ready for capture_feed. Returns 0, or -1 without memory. */
int capture_init(struct capture *capture, size_t limit, capture_line_fn *line, void *context);

/* Takes bytes in and hands out every line that is complete, or as long as the limit. */
void capture_feed(struct capture *capture, const char *data, size_t size);

/* Hands out a line that was begun and never ended. */
void capture_flush(struct capture *capture);

/* Opens a pipe, watches one end and returns the other, close-on-exec, for the child; -1 with errno.
 * After capture_init. */
int capture_open(struct capture *capture, struct ev_loop *loop);

/* Reads what is there, hands out the rest and forgets everything. */
void capture_close(struct capture *capture);

#endif
