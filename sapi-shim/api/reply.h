/* reply.h: a whole response to a request that the application never sees.
 *
 * Frames and sends it, and leaves the connection to the wait set. Decides nothing. Called by
 * libfcgi.c for what status_handler.c has composed.
 */
#ifndef OT_REPLY_H
#define OT_REPLY_H

#include "sapi-shim/connection/conn.h"

/* Sends the head and body of a CGI response. A peer that does not take it within some seconds loses
 * the rest. */
void reply_send(struct conn *conn, const char *response, size_t size);

#endif
