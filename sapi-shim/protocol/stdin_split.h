/* stdin_split.h: splits a request's input between libfcgi, which reads records, and the
 * application, which reads the content of the body directly; pure.
 *
 * Both may take turns within a record: libfcgi then gets a header for the rest of it. A read by
 * libfcgi ends with the first record that has content of the body, so that the next bytes can go to
 * either. Bytes in, bytes out; knows no socket.
 */
#ifndef OT_STDIN_SPLIT_H
#define OT_STDIN_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The record whose header was read. All zero between two records. */
struct stdin_split {
    size_t content; /* bytes of its content and padding that were not read */
    size_t padding;
    bool is_body; /* it is FCGI_STDIN with content */
    bool direct;  /* the application reads it: libfcgi has had nothing of it */
};

/* Copies records from `from`, where `present` bytes have come, to `into`, at most `size`, which is
 * at least FRAME_HEADER. Returns the number of bytes copied; *used is the number of bytes of `from`
 * that are done. `id` is the request's. An incomplete header is not copied. */
size_t stdin_split_records(struct stdin_split *split, uint16_t id, const unsigned char *from,
                           size_t present, unsigned char *into, size_t size, size_t *used);

/* The same for the content of FCGI_STDIN records alone; only if stdin_split_may_read_content. Stops
 * before any other record, and before the one that ends the body. */
size_t stdin_split_content(struct stdin_split *split, const unsigned char *from, size_t present,
                           unsigned char *into, size_t size, size_t *used);

/* Between two records. */
bool stdin_split_is_idle(const struct stdin_split *split);

/* libfcgi has had no part of the current record. */
bool stdin_split_may_read_content(const struct stdin_split *split);

/* If nothing has come: how many of the next bytes may be read directly to where
 * stdin_split_records, or stdin_split_content, would copy them. stdin_split_advance then takes the
 * number of bytes that were. */
size_t stdin_split_direct_records(const struct stdin_split *split);
size_t stdin_split_direct_content(const struct stdin_split *split);
void stdin_split_advance(struct stdin_split *split, size_t count);

#endif
