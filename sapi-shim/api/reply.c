/* reply.c: see reply.h. */
#include "sapi-shim/api/reply.h"

#include "sapi-shim/util/clock.h"

#include <string.h>

enum {
    REPLY_PIECE = 32768,  /* bytes of content in a record */
    REPLY_PATIENCE = 5000 /* ms */
};

/* A record and, behind the last one, the end of output and of the request. */
static size_t reply_compose(const struct conn *conn, const char *content, size_t size, bool last,
                            unsigned char *out)
{
    size_t at = 0;
    if (size > 0) {
        at = frame_stdout_header(conn->frame.id, size, out);
        memcpy(out + at, content, size);
        at += size;
    }
    if (last) {
        at += frame_stdout_header(conn->frame.id, 0, out + at);
        at += frame_end_request(conn->frame.id, FRAME_REQUEST_COMPLETE, out + at);
    }
    return at;
}

void reply_send(struct conn *conn, const char *response, size_t size)
{
    unsigned char record[REPLY_PIECE + 64];
    uint64_t deadline = clock_ns() + REPLY_PATIENCE * CLOCK_NS_PER_MS;
    size_t sent = 0;
    conn->last_write = conn->is_tcp && !conn->frame.keep;
    do {
        size_t piece = size - sent < REPLY_PIECE ? size - sent : REPLY_PIECE;
        size_t count = reply_compose(conn, response + sent, piece, sent + piece == size, record);
        if (conn_write(conn, record, count, deadline) != CONN_OK)
            return;
        sent += piece;
    } while (sent < size);
}
