/* fd.c: see fd.h. */
#include "fpm/util/fd.h"

#include "fpm/util/safe_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
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

int fd_limit(void)
{
    struct rlimit files;
    return getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < INT_MAX ? (int)files.rlim_cur
                                                                             : INT_MAX;
}

bool fd_is_reserved(int fd)
{
    return fd >= fd_limit() - FD_RESERVED;
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

int fd_named(const char *path)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    const char *name = strncmp(path, "/dev/std", 8) == 0 ? path + 5 : path;
    if (strcmp(name, "stdout") == 0)
        return STDOUT_FILENO;
    if (strcmp(name, "stderr") == 0)
        return STDERR_FILENO;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        size_t length = strlen(folders[i]);
        const char *digits = path + length;
        if (strncmp(path, folders[i], length) == 0 && *digits != '\0' && strlen(digits) <= 6 &&
            strspn(digits, "0123456789") == strlen(digits))
            return (int)strtol(digits, NULL, 10);
    }
    return -1;
}

static struct {
    gid_t gid;
    mode_t mode;
    bool mode_set;
} fd_log_files = {.gid = (gid_t)-1, .mode = 0640};

void fd_set_log_files(gid_t gid, mode_t mode, bool mode_set)
{
    fd_log_files.gid = gid;
    fd_log_files.mode = mode;
    fd_log_files.mode_set = mode_set;
}

/* By descriptor, and only a file that the manager's user owns: another user may have made it in a
 * folder of his own. */
static int fd_own_log(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return -1;
    if (!S_ISREG(status.st_mode) || status.st_uid != geteuid())
        return 0;
    if (fd_log_files.gid != (gid_t)-1 && status.st_gid != fd_log_files.gid &&
        fchown(fd, (uid_t)-1, fd_log_files.gid) != 0)
        return -1;
    if (fd_log_files.mode_set && (status.st_mode & 07777) != fd_log_files.mode)
        return fchmod(fd, fd_log_files.mode);
    return 0;
}

int fd_open_log(const char *path)
{
    int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int named = fd_named(path);
    struct stat status;
    char link[64];
    if (named < 0) {
        int file = safe_path_open(path, flags | O_CREAT, fd_log_files.mode);
        if (file >= 0 && fd_own_log(file) != 0)
            fd_close(&file);
        return file;
    }
    int how = fcntl(named, F_GETFL);
    if (how < 0 || fstat(named, &status) != 0)
        return -1;
    if ((how & O_ACCMODE) == O_RDONLY) {
        errno = EBADF;
        return -1;
    }

    /* A description of our own never blocks, if the kernel gives one. */
    int fd = -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", named);
    if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode))
        fd = open(link, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd >= 0 ? fd : fcntl(named, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
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
