/* status_php.h: the status in the terms of PHP-FPM's status page, for its exporters and dashboards.
 *
 * Pure.
 */
#ifndef OT_STATUS_PHP_H
#define OT_STATUS_PHP_H

#include "sapi-shim/status/status.h"
#include "sapi-shim/util/locale_free.h"

enum status_php_type {
    STATUS_PHP_NUMBER,
    STATUS_PHP_TEXT,
    STATUS_PHP_DATE,   /* a number: seconds of CLOCK_REALTIME */
    STATUS_PHP_DECIMAL /* a text: a number with a fraction */
};

enum {
    STATUS_PHP_FIELDS = 13
};

/* A worker in PHP-FPM's order; an unknown value is 0 or "-". */
struct status_php {
    struct {
        const char *name;
        enum status_php_type type;
        int64_t number;
        const char *text;
    } fields[STATUS_PHP_FIELDS];
    char cpu[LOCALE_FREE_MAX];
};

/* The strings are those of *worker and of *php. */
void status_php_worker(const struct status_worker *worker, struct status_php *php);

/* The number of a row of status_pool_fields in PHP-FPM's unit: seconds, not milliseconds. */
int64_t status_php_number(const struct status_field *field, const struct status_pool *pool);

#endif
