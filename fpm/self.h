/* self.h: what the manager does to its own process when it starts: limits, priority, privacy.
 *
 * Decides nothing about workers but which limit of open files they begin with. Called by main, and
 * by spec for that limit.
 */
#ifndef FPM_SELF_H
#define FPM_SELF_H

#include "fpm/directive.h"

#include <sys/resource.h>

/* Sets `rlimit_files`, `rlimit_core` and `process.priority` of [global]. Without `rlimit_files` the
 * soft limit rises to the hard one, since every worker costs the manager descriptors. Unless
 * `rlimit_core` asks for core files, no other process of the manager's user may trace it or read
 * its memory from then on. What cannot be had is logged as a warning. */
void self_prepare(const struct conf_global *global);

/* The limit of open files of workers whose pool sets none: as the manager was started, or
 * `rlimit_files` of [global]. */
struct rlimit self_worker_files(void);

/* The absolute path of the program as it was called by its first word, the caller's to free: what
 * stands there later is what an upgrade runs. Called by the wrong name it is the path of the file
 * that runs now. NULL if neither is known. */
char *self_program(const char *word);

/* The limit of open files that the manager was started with, as the program whose place this one
 * has taken by exec has found it: the raised limit stays, for the descriptors that are open may be
 * more than the other allows. Before self_prepare. */
void self_inherit(const struct rlimit *files);

#endif
