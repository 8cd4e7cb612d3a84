/* status_handler.h: answers requests for the status and the ping without the application.
 *
 * Decides by `pm.status_path` and `ping.path` which requests these are, and by the query which
 * format to use, and composes the response. Sends nothing. Costs one check of a
 * pointer per request if neither is set.
 */
#ifndef OT_STATUS_HANDLER_H
#define OT_STATUS_HANDLER_H

#include "sapi-shim/status/status.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    STATUS_HANDLER_BOARDS = 16 /* at most so many generations are shown */
};

/* Values of `pm.status_path`, `ping.path` and `ping.response`; a path "" is not answered. */
struct status_handler_paths {
    const char *status;
    const char *ping;
    const char *response;
};

/* Answers requests from these scoreboards (status_open) from now on, the current generation's
 * first. `listen_fd` is the pool's socket, -1 = unknown. `alone` NULL: by the paths of the first
 * one, and other requests are for the application. Otherwise by these paths, and other requests get
 * a 404. Called once, before the first request. */
void status_handler_open(const struct status_source *sources, size_t count, int listen_fd,
                         const struct status_handler_paths *alone);

/* Are status or ping configured? */
bool status_handler_active(void);

/* Composes the response (CGI) to a request with these parameters (NAME=VALUE, ends with NULL); the
 * caller frees it. False if the request is for the application, or without memory. */
bool status_handler_compose(char *const *params, char **response, size_t *size);

/* In a forked child: answers no requests any more. */
void status_handler_after_fork(void);

#endif
