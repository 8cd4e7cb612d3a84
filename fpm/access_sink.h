/* access_sink.h: from what comes through a pool's access pipe to the lines that go into its file;
 * pure.
 *
 * Takes the messages apart (sapi-shim/contract.h), drops the line of a dead worker that had written
 * it itself, and lets nothing through that is no line: what workers send is untrusted. Opens and
 * writes nothing. Called by access_writer.
 */
#ifndef FPM_ACCESS_SINK_H
#define FPM_ACCESS_SINK_H

#include "sapi-shim/contract.h"

#include <stddef.h>
#include <stdint.h>

/* The last line a thread of a worker wrote. */
struct access_seen {
    uint64_t pid, number;
};

struct access_sink {
    unsigned slots;
    struct access_seen **seen; /* one a slot, OT_THREADS_MAX each; NULL until the slot is used */
    uint64_t lost;             /* lines that found no room in the pipe, as their workers tell */
    uint64_t junk;             /* bytes that were no message */
};

/* Returns 0, or -1 without memory. */
int access_sink_init(struct access_sink *sink, unsigned slots);
void access_sink_free(struct access_sink *sink);

/* Takes the whole messages of `bytes` and writes their lines to `out`, which has room for `count`
 * bytes and may be `bytes` itself. Returns how many bytes were written; *taken says how many were
 * used up, the rest is to come again with what follows it. */
size_t access_sink_take(struct access_sink *sink, const char *bytes, size_t count, char *out,
                        size_t *taken);

#endif
