/* wire.h: what run.c needs of libfcgi: to take a request and to end it.
 *
 * Implemented by wire_fcgi.c, the only file that knows libfcgi's types and fields.
 */
#ifndef OT_WIRE_H
#define OT_WIRE_H

struct FCGX_Request;

/* A request object on the listening socket that the worker inherited (descriptor 0). NULL without
 * memory, or if libfcgi cannot be initialised. */
struct FCGX_Request *wire_new(void);
void wire_free(struct FCGX_Request **request);

/* Takes the next request: 0, or -1 when told to stop (errno ESHUTDOWN) or on failure. */
int wire_accept(struct FCGX_Request *request);

/* Ends it, if it has not ended. */
void wire_finish(struct FCGX_Request *request);

#endif
