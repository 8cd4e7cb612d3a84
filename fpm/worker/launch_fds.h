/* launch_fds.h: low descriptors for what a child is given, so that it need not copy all others.
 *
 * A child that begins with the manager's table of descriptors (CLONE_FILES) can take the low end of
 * it for its own (close_range with CLOSE_RANGE_UNSHARE) in a time that does not grow with the
 * manager's descriptors, of which there are some for each worker. Called by launch, and by main
 * while there are few of them.
 */
#ifndef FPM_LAUNCH_FDS_H
#define FPM_LAUNCH_FDS_H

#include <stdbool.h>

enum {
    LAUNCH_FDS_SIZE = 10 /* descriptors that a child can be given */
};

/* Keeps the low descriptors, close-on-exec, clear of those that the contract names. Does nothing
 * where the kernel cannot do this, or does it wrongly, and where few descriptors are allowed. */
void launch_fds_reserve(void);

/* Are they there? */
bool launch_fds_ready(void);

/* Puts descriptors (-1 = none) low: `fds` becomes their new numbers. Returns the number that all of
 * them are below, or 0 with `fds` as they were. */
unsigned launch_fds_fill(int *fds, int count);

/* Forgets what was put there: a copy that stayed would keep a worker's pipes open. */
void launch_fds_empty(void);

#endif
