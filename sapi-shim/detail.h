/* detail.h: what a request's parameters and the head of its response say, for its line in the
 * access log.
 *
 * Borrows the parameters for as long as the request lasts. Decides nothing. Called by wire_fcgi.c.
 */
#ifndef OT_DETAIL_H
#define OT_DETAIL_H

#include "format.h"
#include "head.h"

#include <stdbool.h>

struct detail {
    char **params; /* NAME=VALUE, ends with NULL */
    struct head head;
};

/* Output that is on its way to the client. */
void detail_output(struct detail *detail, const char *bytes, size_t count, bool keep_head);

/* Fills in texts, content_length, and the status if `sent` says that there is a response; the
 * facts then borrow from `detail`. */
void detail_fill(struct detail *detail, bool sent, struct format_facts *facts);

/* Frees. */
void detail_end(struct detail *detail);

#endif
