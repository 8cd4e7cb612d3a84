/* status_php.h: the status as PHP-FPM's status page words it, for its exporters and dashboards.
 *
 * Pure.
 */
#ifndef OT_STATUS_PHP_H
#define OT_STATUS_PHP_H

#include "sapi-shim/status/status.h"

/* A worker in PHP-FPM's terms, in which an unknown value is 0 or "-". */
struct status_php {
    const char *state; /* "Idle", "Running", ... */
    int64_t requests;
    int64_t duration; /* us: of the present request, else of the last */
    const char *method;
    const char *uri;
    int64_t content_length;
    const char *user;
    int64_t cpu;    /* hundredths of a percent of one processor, mean since the start */
    int64_t memory; /* bytes, of the process */
};

/* The strings are the worker's. */
struct status_php status_php(const struct status_worker *worker);

/* The number of a row of status_pool_fields in PHP-FPM's unit: seconds, not milliseconds. */
int64_t status_php_number(const struct status_field *field, const struct status_pool *pool);

#endif
