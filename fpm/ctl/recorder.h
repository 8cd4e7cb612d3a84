/* recorder.h: `overtimectl record`: samples the status into a file, for overtime-plot and others.
 *
 * One JSON object a line, complete by itself, put behind what the file has. Asks the manager by one
 * call for each; when there is none, that is a line as well.
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

/* The line for the manager's status, or for none (NULL) with the reason; it ends with a newline and
 * is the caller's to free. NULL: `status` makes no sense, or no memory. Pure. */
char *recorder_line(int64_t time_ms, const char *status, const char *reason);

#endif
