/* writer_lines.h: from what comes through a pool's access pipe to the lines that go into its file;
 * pure.
 *
 * Takes the messages apart (sapi-shim/contract.h), drops the line of a dead worker that had written
 * it itself, and lets nothing through that is no line: what workers send is untrusted. Opens and
 * writes nothing. Called by access_writer.
 */
#ifndef FPM_WRITER_LINES_H
#define FPM_WRITER_LINES_H

#include "sapi-shim/contract.h"

#include <stddef.h>
#include <stdint.h>

/* The last line a thread of a worker wrote. */
struct access_seen {
    uint64_t pid, number;
};

struct writer_lines {
    unsigned slots;
    struct access_seen **seen; /* one a slot, OT_THREADS_MAX each; NULL until the slot is used */
    uint64_t lost;             /* lines that found no room in the pipe, as their workers tell */
    uint64_t junk;             /* bytes that were no message */
};

/* Returns 0, or -1 without memory. */
int writer_lines_init(struct writer_lines *sink, unsigned slots);
void writer_lines_free(struct writer_lines *sink);

/* Takes the whole messages of `bytes` and writes their lines to `out`, which has room for `count`
 * bytes and may be `bytes` itself. Returns how many bytes were written; *taken says how many were
 * used up, the rest is to come again with what follows it. */
size_t writer_lines_take(struct writer_lines *sink, const char *bytes, size_t count, char *out,
                         size_t *taken);

#endif
