/* fd.h: small deeds on file descriptors: close and forget, flags, no holes at 0, 1 and 2.
 *
 * Decides nothing and logs nothing. Everybody may call it.
 */
#ifndef FPM_FD_H
#define FPM_FD_H

#include <stdbool.h>

/* Closes *fd if it is one, and forgets it: *fd becomes -1. errno stays. */
void fd_close(int *fd);

/* Makes 0, 1 and 2 open (to /dev/null where they were not). Returns 0, or -1 with errno. */
int fd_fill_standard(void);

/* Points 0, 1 and 2 to /dev/null. Returns 0, or -1 with errno. */
int fd_null_standard(void);

/* Marks every descriptor from `first` on close-on-exec. Async-signal-safe. */
void fd_cloexec_from(int first);

#endif
