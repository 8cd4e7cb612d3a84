/* libfcgi.h: what run.c needs of libfcgi: to take a request and to end it.
 *
 * Implemented by libfcgi.c, the only file that knows libfcgi's types and fields.
 */
#ifndef OT_WIRE_H
#define OT_WIRE_H

struct FCGX_Request;

/* The calling thread's own request object, on the listening socket that the worker inherited
 * (descriptor 0). NULL if it is in use (errno EBUSY: ot_run inside a handler of ot_run) or libfcgi
 * cannot be initialised. */
struct FCGX_Request *libfcgi_thread_request(void);

/* Takes the next request: 0, or -1 when told to stop (errno ESHUTDOWN) or on failure. */
int libfcgi_accept(struct FCGX_Request *request);

/* Ends it, if it has not ended. */
void libfcgi_finish(struct FCGX_Request *request);

#endif
