/* stdin_split.h: who is given which bytes of a request's input: libfcgi its records, or the
 * application the content of its body at once; pure.
 *
 * Both may take turns within a record: libfcgi is then given a header for what is left of it. What
 * libfcgi is given ends with a record that has content, so that where it has none left the next
 * bytes are as good as anybody's. Bytes in and out, no socket. Called by conn.c.
 */
#ifndef OT_STDIN_SPLIT_H
#define OT_STDIN_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero between two records. */
struct stdin_split {
    size_t content; /* left of the record whose header has been taken */
    size_t padding;
    bool body; /* that record is FCGI_STDIN */
    bool ours; /* ... and libfcgi has had nothing of it */
};

/* Copies records that begin at `from`, `there` bytes, into `into`, at most `size`, at least
 * FRAME_HEADER; returns how many, and in *used how much of `from` is done with. `id` is the
 * request's. Nothing is given where a header is incomplete. */
size_t stdin_split_records(struct stdin_split *feed, uint16_t id, const unsigned char *from,
                           size_t there, unsigned char *into, size_t size, size_t *used);

/* The same without their headers: of FCGI_STDIN only, and only where stdin_split_may_read_content.
 * Stops before any other record, and before the one that ends the body. */
size_t stdin_split_content(struct stdin_split *feed, const unsigned char *from, size_t there,
                           unsigned char *into, size_t size, size_t *used);

/* Nobody is within a record; and libfcgi is not. */
bool stdin_split_is_idle(const struct stdin_split *feed);
bool stdin_split_may_read_content(const struct stdin_split *feed);

/* Where nothing is left to copy from: how many of the next bytes may go to where
 * stdin_split_records, or stdin_split_content, would copy them; and that so many went there. */
size_t stdin_split_direct_records(const struct stdin_split *feed);
size_t stdin_split_direct_content(const struct stdin_split *feed);
void stdin_split_advance(struct stdin_split *feed, size_t count);

#endif
