/* fd.c: see fd.h. */
#include "fpm/util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <unistd.h>

/* On kernels without close_range(CLOSE_RANGE_CLOEXEC): descriptors below this are marked one by
 * one. */
enum {
    FD_MARK_LIMIT = 65536
};

void fd_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
    errno = saved;
}

int fd_fill_standard(void)
{
    for (;;) {
        int fd = open("/dev/null", O_RDWR);
        if (fd < 0)
            return -1;
        if (fd > STDERR_FILENO)
            return close(fd);
    }
}

int fd_null_standard(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return -1;
    int failed = 0;
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        failed |= dup2(null, fd) < 0;
    fd_close(&null);
    return failed ? -1 : 0;
}

void fd_cloexec_from(int first)
{
    if (close_range((unsigned)first, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    for (int fd = first; fd < FD_MARK_LIMIT; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0)
            (void)fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
    }
}
