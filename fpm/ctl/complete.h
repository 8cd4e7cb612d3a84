/* complete.h: what may stand at the cursor of a command line: for the shells.
 *
 * The files of packaging/completion call `overtimectl __complete WORD...` with the words behind the
 * program up to the one at the cursor, which may be empty. Each line of the answer is a word, or a
 * word, a tab and its description; ":files" stands for the names of files. Pools and processes are
 * asked of the manager, and without one there are none. Called by overtimectl.
 */
#ifndef FPM_COMPLETE_H
#define FPM_COMPLETE_H

#include "fpm/ctl/options.h"

#define COMPLETE_WORD "__complete"

/* Prints the words. Returns an exit status. */
int complete(const struct ctl_tables *tables, int argc, char **argv);

#endif
