/* recorder.h: `overtimectl record`: samples the status into a file, for overtime-plot and others.
 *
 * Appends one JSON object a line, complete by itself. Asks the manager by one call for each; if
 * there is no manager, the line says so.
 */
#ifndef FPM_RECORDER_H
#define FPM_RECORDER_H

#include "fpm/ctl/options.h"

#include <stddef.h>
#include <stdint.h>

/* For the verb's help. */
extern const char recorder_more[];

/* Returns an exit status, and has said why on standard error. */
int recorder_run(const struct options *call);

/* The line for the manager's status, or for none (NULL) with the reason; it ends with a newline,
 * and the caller frees it. NULL: `status` is not valid, or no memory. Pure. */
char *recorder_line(int64_t time_ms, const char *status, const char *reason);

#endif
