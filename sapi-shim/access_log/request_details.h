/* request_details.h: what a request's parameters and the head of its response say, for its line in
 * the access log.
 *
 * Borrows the parameters for as long as the request lasts. Decides nothing. Called by libfcgi.c.
 */
#ifndef OT_REQUEST_DETAILS_H
#define OT_REQUEST_DETAILS_H

#include "sapi-shim/access_log/log_format.h"
#include "sapi-shim/protocol/cgi_head.h"

#include <stdbool.h>

struct request_details {
    char **params; /* NAME=VALUE, ends with NULL */
    struct cgi_head head;
};

/* Output that is on its way to the client. */
void request_details_output(struct request_details *detail, const char *bytes, size_t count,
                            bool keep_head);

/* Fills in texts, content_length, and the status if `sent` says that there is a response; the
 * input then borrow from `detail`. */
void request_details_fill(struct request_details *detail, bool sent,
                          struct log_format_input *input);

/* Frees. */
void request_details_end(struct request_details *detail);

#endif
