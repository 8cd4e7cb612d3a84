/* process_limits.h: what the manager does to its own process when it starts: limits, priority,
 * privacy.
 *
 * Decides nothing about workers but which limit of open files they begin with. Called by main, and
 * by spec for that limit.
 */
#ifndef FPM_PROCESS_LIMITS_H
#define FPM_PROCESS_LIMITS_H

#include "fpm/config/directive.h"

#include <sys/resource.h>

/* Sets `rlimit_files`, `rlimit_core` and `process.priority` of [global]. Without `rlimit_files` the
 * soft limit rises to the hard one, since every worker costs the manager descriptors. Unless
 * `rlimit_core` asks for core files, no other process of the manager's user may trace it or read
 * its memory from then on. What cannot be had is logged as a warning. */
void process_limits_prepare(const struct config_global *global);

/* The limit of open files of workers whose pool sets none: as the manager was started, or
 * `rlimit_files` of [global]. */
struct rlimit process_limits_worker_files(void);

/* The absolute path of the program as it was called by its first word, the caller's to free: what
 * stands there later is what an upgrade runs. Called by the wrong name it is the path of the file
 * that runs now. NULL if neither is known. */
char *process_limits_program(const char *word);

/* The limit of open files that the manager was started with, as the program whose place this one
 * has taken by exec has found it: the raised limit stays, for the descriptors that are open may be
 * more than the other allows. Before process_limits_prepare. */
void process_limits_inherit(const struct rlimit *files);

#endif
