/* request_overrides.h: settings that the web server makes for one request, with the parameters
 * OVERTIME_VALUE and OVERTIME_ADMIN_VALUE.
 *
 * Pure. A text counts as a whole or not at all: one bad line invalidates it.
 */
#ifndef OT_REQUEST_OVERRIDES_H
#define OT_REQUEST_OVERRIDES_H

#include "sapi-shim/contract.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum request_overrides_name {
    REQUEST_OVERRIDES_IGNORE_USER_ABORT = 1 << 0,
    REQUEST_OVERRIDES_MAX_EXECUTION_TIME = 1 << 1,
    REQUEST_OVERRIDES_POST_RESPONSE_TIME_LIMIT = 1 << 2,
    REQUEST_OVERRIDES_BAILOUT = 1 << 3,
};

struct request_overrides {
    unsigned set; /* enum request_overrides_name: the fields that are set */
    bool ignore_user_abort;
    enum ot_bailout bailout;
    int64_t max_execution_time;       /* ms, 0 = no limit */
    int64_t post_response_time_limit; /* ms, 0 = no limit */
};

/* Reads "name=value" lines, separated by newlines or ';', and adds them to *overrides. On a bad
 * text returns false with the reason in `error` and leaves *overrides unchanged. */
bool request_overrides_parse(const char *text, struct request_overrides *overrides, char *error,
                             size_t size);

#endif
