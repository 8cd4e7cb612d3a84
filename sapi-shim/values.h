/* values.h: policies that the web server sets for one request: the parameters OVERTIME_VALUE and
 * OVERTIME_ADMIN_VALUE.
 *
 * Pure. A text is taken whole or not at all: one bad line and nothing of it counts. Called by
 * wire_fcgi.c for each request that carries one.
 */
#ifndef OT_VALUES_H
#define OT_VALUES_H

#include "contract.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum values_name {
    VALUES_IGNORE_USER_ABORT = 1 << 0,
    VALUES_MAX_EXECUTION_TIME = 1 << 1,
    VALUES_POST_RESPONSE_TIME_LIMIT = 1 << 2,
    VALUES_BAILOUT = 1 << 3,
};

struct values {
    unsigned set; /* enum values_name: these fields count */
    bool ignore_user_abort;
    enum ot_bailout bailout;
    int64_t max_execution_time;       /* ms, 0 = no limit */
    int64_t post_response_time_limit; /* ms, 0 = no limit */
};

/* Reads "name=value" lines, separated by newlines or ';', and adds them to *values. On a bad text
 * returns false with the reason in `error` and leaves *values alone. */
bool values_parse(const char *text, struct values *values, char *error, size_t size);

#endif
