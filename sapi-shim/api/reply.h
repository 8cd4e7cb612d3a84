/* reply.h: sends a whole response to a request that the application does not see. Decides nothing.
 */
#ifndef OT_REPLY_H
#define OT_REPLY_H

#include "sapi-shim/connection/conn.h"

/* Sends the head and body of a CGI response, and the end of the request. A peer that does not take
 * it within some seconds loses the rest. */
void reply_send(struct conn *conn, const char *response, size_t size);

#endif
