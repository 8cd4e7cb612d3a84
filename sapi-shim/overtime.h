/* overtime.h: end the response first, then do the post-response work.
 *
 * For applications that speak FastCGI through libfcgi (fcgiapp.h or fcgi_stdio.h). Link with
 * `-lovertime -lfcgi`, in this order. Every function acts on the calling thread's current request:
 * the one that this thread took with FCGX_Accept_r, FCGX_Accept, FCGI_Accept or ot_run. Every
 * function may be called without a request, and without a manager; the comments say what it does
 * then. None is safe in a signal handler. Threads may call them at the same time, each for its own
 * request. None changes errno.
 *
 * Words and numbers follow PHP's connection handling (connection_status, ignore_user_abort,
 * set_time_limit, register_shutdown_function) and PHP-FPM's fastcgi_finish_request, with the
 * differences that overtime(3) lists.
 */
#ifndef OT_OVERTIME_H
#define OT_OVERTIME_H

#include <stdbool.h>

struct FCGX_Request;

#ifdef __cplusplus
extern "C" {
#endif

/* Connection status: bits, so that both together are 3. Within a request bits are only added. */
#define OT_NORMAL  0u
#define OT_ABORTED 1u /* the client left before the response was complete */
#define OT_TIMEOUT 2u /* the time limit was reached */

/* Sends what was written so far, ends the response and closes the connection; the client has the
 * complete response while the caller continues. A connection that the web server keeps goes to
 * another worker, which serves its next request; it is closed if more than 16 MiB of its input were
 * not read, and under a plain spawner. Waits only for space in the socket's buffer, within the time
 * limit. Parameters and the input read so far stay valid until the request's end; later output is
 * discarded and counted. Not a safe point: it returns to its caller. Returns true if this call
 * ended the response (also if the client had already left), false without a request or if the
 * response had ended before. */
bool ot_finish_request(void);

/* True after the end of the response; false without a request. */
bool ot_request_finished(void);

/* OT_NORMAL, OT_ABORTED, OT_TIMEOUT or both bits, as known now: checks the connection and the
 * clock, at most once a clock tick (a few milliseconds). A client that leaves after the complete
 * response is never an abort. OT_NORMAL without a request. Not a safe point. */
unsigned ot_connection_status(void);

/* The OT_ABORTED bit of ot_connection_status(). */
bool ot_connection_aborted(void);

/* Sets whether an abort ends the request at its next safe point (0) or is only recorded in the
 * status (1); -1 changes nothing. Returns the setting before the call, 0 or 1; without a request
 * the pool's `ignore_user_abort`, and nothing changes. Each request begins with the pool's setting,
 * or with that of the web server for this request (OVERTIME_VALUE); the application cannot change
 * one that comes with OVERTIME_ADMIN_VALUE. A safe point with the new setting, except with -1. */
int ot_ignore_user_abort(int setting);

/* Restarts the request's clock from zero; the next time-out comes after this many seconds of
 * wall-clock time, 0 = no limit. The clock stops at ot_finish_request: called after it, this
 * function limits the post-response work, in a shutdown function the remaining shutdown functions.
 * A safe point with the new limit. Values above 999,999,999 count as no limit. Returns false
 * without a request, or if OVERTIME_ADMIN_VALUE fixes the limit. */
bool ot_set_time_limit(unsigned seconds);

/* Registers `function(argument)` to be called at the request's end, however it ends: return,
 * bailout, exit(), time-out, worker stop. The functions run in order of registration; those that a
 * shutdown function registers run after the others. Returns false without a request, with a null
 * function, or out of memory. A safe point once the function is registered. */
bool ot_register_shutdown_function(void (*function)(void *argument), void *argument);

/* A safe point: acts on an abort (unless ignored) or a time-out as the `bailout` policy says; it
 * may not return. Output to and input from the client, however small, are safe points too, and so
 * are the calls here that change something, after they have done so: ot_ignore_user_abort,
 * ot_set_time_limit, ot_register_shutdown_function and ot_set_label. ot_finish_request, ot_on_news
 * and the calls that only ask always return. Returns true if there is
 * nothing to act on, false if the request should end and the policy leaves that to the application;
 * true without a request. */
bool ot_checkpoint(void);

/* A descriptor for poll() that becomes readable when the client has left; -1 without a request, or
 * if the kernel provides none. It belongs to the library: do not read from it or close it. */
int ot_abort_fd(void);

/* For interpreters: has `function(argument)` called when there is something for the request to look
 * at: its time limit is reached, or its client has left before the response was complete (not with
 * `abort_detection = write`, and not while the body is unread). It runs in the request's own
 * thread, in a signal handler: it may only do what is async-signal-safe, which of this library is
 * nothing, and is meant to set a flag that the interpreter's loop looks at, to call ot_checkpoint()
 * or ot_connection_status() there. Until one of them, or output or input, has taken note of the
 * news, `function` is called again: after 10 ms, then after twice the time up to 1 s. System calls
 * of the application may end early at these moments. One function for the process and all its
 * threads, from now on; NULL = none. Thread-safe; may be called before the first request and within
 * one. */
void ot_on_news(void (*function)(void *argument), void *argument);

/* A short text on what the request does now ("mail 340 of 1000"), shown to the operator. A text of
 * more than 127 bytes is cut and ends in "[...]"; control characters become spaces. NULL clears it,
 * and so does the request's end. A safe point: it may not return. */
void ot_set_label(const char *text);

/* ot_run may leave a handler without running C++ destructors, so a C++ program that calls it does
 * not compile. Call FCGX_Accept_r in a loop and ot_checkpoint() in it instead, or, if no object in
 * the handler needs its destructor, define OVERTIME_CXX_MAY_SKIP_DESTRUCTORS before the include. */
#if defined(__cplusplus) && !defined(OVERTIME_CXX_MAY_SKIP_DESTRUCTORS)
#define OT_RUN_REFUSED                                                                             \
    __attribute__((error("ot_run may leave a handler without running C++ destructors; "            \
                         "see overtime(3), C++")))
#else
#define OT_RUN_REFUSED
#endif

/* The accept loop: calls `handler` for each request until the worker is told to stop, or `handler`
 * returns a value other than 0. The bailout policy can leave a handler at a safe point, as
 * siglongjmp does: the functions in between do not return, so release what the handler acquires in
 * shutdown functions. May run in several threads at once, each with its own call.
 * Returns what `handler` returned, 0 when told to stop, -1 if accepting failed (errno says why). */
OT_RUN_REFUSED int ot_run(int (*handler)(struct FCGX_Request *request, void *argument),
                          void *argument);

#ifdef OVERTIME_SHORT_NAMES
#define finish_request             ot_finish_request
#define request_finished           ot_request_finished
#define connection_status          ot_connection_status
#define connection_aborted         ot_connection_aborted
#define ignore_user_abort          ot_ignore_user_abort
#define set_time_limit             ot_set_time_limit
#define register_shutdown_function ot_register_shutdown_function
#define checkpoint                 ot_checkpoint
#define abort_fd                   ot_abort_fd
#define set_label                  ot_set_label
#define on_news                    ot_on_news
#endif

#ifdef __cplusplus
}
#endif

#endif
