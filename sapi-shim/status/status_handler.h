/* status_handler.h: the requests that are answered without the application: status and ping.
 *
 * Decides by `pm.status_path` and `ping.path` of the scoreboard which requests these are, and by
 * the query which format is asked for, and composes the response. Sends nothing. Costs one look at
 * a pointer per request where neither is set.
 */
#ifndef OT_STATUS_HANDLER_H
#define OT_STATUS_HANDLER_H

#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stddef.h>

/* A mapped scoreboard. */
struct status_handler_board {
    const struct ot_board *board;
    size_t size;
};

enum {
    STATUS_HANDLER_BOARDS = 16 /* generations that are shown at the most */
};

/* From now on requests are answered from these, the current generation's first. `listen_fd` is the
 * pool's socket, -1 = not at hand. With `alone` there is no application behind, and what is no such
 * request is answered that it was not found. Once, before the first request. */
void status_handler_open(const struct status_handler_board *boards, size_t count, int listen_fd,
                         bool alone);

/* Is there anything to answer? */
bool status_handler_active(void);

/* A request with these parameters (NAME=VALUE, ends with NULL): if it is one of ours, its response
 * as CGI has it, the caller's to free. False if it is the application's, or without memory. */
bool status_handler_compose(char *const *params, char **response, size_t *size);

/* In a forked child: the application's own requests are none of ours. */
void status_handler_after_fork(void);

#endif
