/* writer_lines.h: turns the bytes of a pool's access log pipe into the lines of its file; pure.
 *
 * Splits the messages (sapi-shim/contract.h), drops the manager's line about a request if the dead
 * worker wrote one itself, and drops bytes that are no message: workers are not trusted.
 */
#ifndef FPM_WRITER_LINES_H
#define FPM_WRITER_LINES_H

#include "sapi-shim/contract.h"

#include <stddef.h>
#include <stdint.h>

/* The last line that a thread of a worker wrote. */
struct writer_lines_seen {
    uint64_t pid, number;
};

struct writer_lines {
    unsigned slots;
    struct writer_lines_seen *
        *seen;        /* per slot, OT_THREADS_MAX each; NULL until the slot is used */
    uint64_t lost;    /* lines that did not fit into the pipe, as workers say */
    uint64_t invalid; /* bytes that were no message */
};

/* Returns 0, or -1 without memory. */
int writer_lines_init(struct writer_lines *lines, unsigned slots);
void writer_lines_free(struct writer_lines *lines);

/* Takes the whole messages of `bytes` and writes their lines to `out`, which has room for `count`
 * bytes and may be `bytes` itself. Returns the number of bytes written; *taken is the number of
 * bytes used; the rest must be passed again, with the bytes that follow it. */
size_t writer_lines_take(struct writer_lines *lines, const char *bytes, size_t count, char *out,
                         size_t *taken);

#endif
