/* request_details.h: values for the access log from a request's parameters and its response's head.
 *
 * Borrows the parameters for as long as the request lasts. Decides nothing.
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

/* Reads output on its way to the client. */
void request_details_output(struct request_details *detail, const char *bytes, size_t count,
                            bool keep_head);

/* Sets texts, content_length and, if a response was `sent`, the status. The texts belong to
 * `detail` and its parameters. */
void request_details_fill(struct request_details *detail, bool sent,
                          struct log_format_input *input);

void request_details_end(struct request_details *detail);

#endif
