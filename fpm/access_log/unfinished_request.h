/* unfinished_request.h: what the access log says of a request whose worker died; pure.
 *
 * Decides which requests of a dead worker have no line yet, how they ended, and what their stamps
 * come to; what the worker wrote is not trusted. Called by access.
 */
#ifndef FPM_UNFINISHED_REQUEST_H
#define FPM_UNFINISHED_REQUEST_H

#include "sapi-shim/access_log/log_format.h"
#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stdint.h>

struct unfinished_request {
    const char *pool;
    int32_t pid, parent;
    int status;   /* of wait(2), -1 unknown */
    bool asked;   /* the manager had told it to go */
    int64_t now;  /* ns of CLOCK_MONOTONIC, as the stamps of the record */
    int64_t wall; /* ns of CLOCK_REALTIME, at the same moment */
};

/* What the facts borrow besides. */
struct unfinished_request_texts {
    const struct ot_record *record;
    char content_length[24];
};

/* Has the present request of this record no line yet? */
bool unfinished_request_is_unlogged(const struct ot_record *record);

/* What is known of it. The facts borrow from all three. */
struct log_format_input unfinished_request_describe(const struct ot_record *record,
                                                    const struct unfinished_request *death,
                                                    struct unfinished_request_texts *texts);

#endif
