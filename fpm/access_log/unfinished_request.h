/* unfinished_request.h: the access log's line about a request whose worker died; pure.
 *
 * Decides which requests of a dead worker have no line yet, how they ended, and how long they took.
 * It does not trust what the worker wrote.
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
    int status;          /* of wait(2), -1 = unknown */
    bool stop_requested; /* by the manager */
    int64_t now;         /* ns of CLOCK_MONOTONIC, as the stamps of the record */
    int64_t wall;        /* ns of CLOCK_REALTIME, at the same moment */
};

/* Texts that the description borrows. */
struct unfinished_request_texts {
    const struct ot_record *record;
    char content_length[24];
};

/* Has the last request of this record no line yet? */
bool unfinished_request_is_unlogged(const struct ot_record *record);

/* Describes the request, as far as it is known. The result borrows from all three. */
struct log_format_input unfinished_request_describe(const struct ot_record *record,
                                                    const struct unfinished_request *request,
                                                    struct unfinished_request_texts *texts);

#endif
