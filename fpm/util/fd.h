/* fd.h: helpers for file descriptors. Logs nothing. */
#ifndef FPM_FD_H
#define FPM_FD_H

#include <stdbool.h>
#include <sys/types.h>

enum {
    /* Descriptors that starting workers leave free: for clients of the control socket, files that
     * are read meanwhile, and those that a child holds between fork and exec. */
    FD_RESERVED = 16
};

/* Closes *fd unless it is -1, and sets it to -1. errno is unchanged. */
void fd_close(int *fd);

/* How many descriptors this process may have, INT_MAX = any number. */
int fd_limit(void);

/* Is this descriptor, which was just opened, one of the last FD_RESERVED? */
bool fd_is_reserved(int fd);

/* Opens /dev/null as 0, 1 and 2 where these are closed. Returns 0, or -1 with errno. */
int fd_fill_standard(void);

/* Points 0, 1 and 2 to /dev/null. Returns 0, or -1 with errno. */
int fd_null_standard(void);

/* The descriptor that a file's name stands for: "stdout", "stderr", and these or a number in /dev/,
 * /dev/fd/ and /proc/self/fd/. -1 if it is another name. */
int fd_named(const char *path);

/* Group and mode of the log files that fd_open_log makes from now on; gid (gid_t)-1: the manager's.
 * What is set explicitly (a group, and the mode with `mode_set`) is given to existing files of
 * ours, too. Before the first call: 0640. */
void fd_set_log_files(gid_t gid, mode_t mode, bool mode_set);

/* Opens a log for appending, close-on-exec, and without waiting where that is possible; a name of a
 * descriptor (fd_named) means that descriptor, which may be a socket, or belong to another user.
 * Returns -1 with errno. */
int fd_open_log(const char *path);

/* Marks every descriptor from `first` on close-on-exec. Async-signal-safe. */
void fd_cloexec_from(int first);

#endif
