/* fd.h: helpers for file descriptors. Logs nothing. */
#ifndef FPM_FD_H
#define FPM_FD_H

#include <stdbool.h>

/* Closes *fd unless it is -1, and sets it to -1. errno is unchanged. */
void fd_close(int *fd);

/* Opens /dev/null as 0, 1 and 2 where these are closed. Returns 0, or -1 with errno. */
int fd_fill_standard(void);

/* Points 0, 1 and 2 to /dev/null. Returns 0, or -1 with errno. */
int fd_null_standard(void);

/* Marks every descriptor from `first` on close-on-exec. Async-signal-safe. */
void fd_cloexec_from(int first);

#endif
