/* process_limits.h: limits, priority and privacy of the manager's own process, and the path of its
 * program.
 */
#ifndef FPM_PROCESS_LIMITS_H
#define FPM_PROCESS_LIMITS_H

#include "fpm/config/directive.h"

#include <sys/resource.h>

/* Sets `rlimit_files`, `rlimit_core` and `process.priority` of [global]. Without `rlimit_files` it
 * raises the soft limit to the hard one, since every worker costs the manager descriptors. Unless
 * `rlimit_core` asks for core files, no other process of the manager's user may trace it or read
 * its memory from then on. A failure is logged as a warning. */
void process_limits_prepare(const struct config_global *global);

/* The limit of open files of workers whose pool sets none: as the manager was started, or
 * `rlimit_files` of [global]. */
struct rlimit process_limits_worker_files(void);

/* The absolute path of the program by the first word of its command line, as an upgrade runs the
 * file that is there then; or, if that is not this program, the path of the file that runs. The
 * caller frees it. NULL if neither is known. */
char *process_limits_program(const char *word);

/* Before process_limits_prepare: sets the limit of open files that the manager
 * was first started with. The raised limit stays, which the open descriptors may need. */
void process_limits_adopt(const struct rlimit *files);

#endif
