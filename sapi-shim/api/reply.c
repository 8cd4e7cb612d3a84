/* reply.c: see reply.h. */
#include "sapi-shim/api/reply.h"

#include "sapi-shim/util/clock.h"

#include <string.h>

enum {
    REPLY_PIECE_MAX = 32768, /* bytes of content in a record */
    REPLY_TIMEOUT_MS = 5000
};

void reply_send(struct conn *conn, const char *response, size_t size)
{
    unsigned char out[REPLY_PIECE_MAX + 64];
    uint64_t deadline = clock_ns() + REPLY_TIMEOUT_MS * CLOCK_NS_PER_MS;
    size_t sent = 0;
    conn->last_write = conn->is_tcp && !conn->frame.keep;
    do {
        size_t piece = size - sent < REPLY_PIECE_MAX ? size - sent : REPLY_PIECE_MAX;
        size_t length = 0;
        if (piece > 0) {
            length = frame_stdout_header(conn->frame.id, piece, out);
            memcpy(out + length, response + sent, piece);
            length += piece;
        }
        /* The end of output and of the request go out with the last piece. */
        if (sent + piece == size) {
            length += frame_stdout_header(conn->frame.id, 0, out + length);
            length += frame_end_request(conn->frame.id, FRAME_REQUEST_COMPLETE, out + length);
        }
        if (conn_write(conn, out, length, deadline) != CONN_OK)
            return;
        sent += piece;
    } while (sent < size);
}
