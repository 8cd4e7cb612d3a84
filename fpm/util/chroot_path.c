/* chroot_path.c: see chroot_path.h. */
#include "fpm/util/chroot_path.h"

#include "fpm/util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* For kernels and seccomp filters without openat2: joins the two paths, which is wrong only for
 * absolute symbolic links. */
static int chroot_path_open_joined(const char *root, const char *path)
{
    char *joined = NULL;
    if (asprintf(&joined, "%s/%s", root, path) < 0) {
        errno = ENOMEM;
        return -1;
    }
    int fd = open(joined, O_PATH | O_CLOEXEC);
    int saved = errno;
    free(joined);
    errno = saved;
    return fd;
}

/* Returns an O_PATH descriptor, or -1 with errno. */
static int chroot_path_open(const char *root, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    if (root == NULL)
        return open(path, O_PATH | O_CLOEXEC);
    int top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return -1;
    int fd = (int)syscall(SYS_openat2, top, path, &how, sizeof how);
    fd_close(&top);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        fd = chroot_path_open_joined(root, path);
    return fd;
}

/* As chroot_path_open, with the status of the file. */
static int chroot_path_look(const char *root, const char *path, struct stat *status)
{
    int fd = chroot_path_open(root, path);
    if (fd >= 0 && fstat(fd, status) != 0)
        fd_close(&fd);
    return fd;
}

int chroot_path_folder(const char *root, const char *path)
{
    struct stat status;
    int fd = chroot_path_look(root, path, &status);
    if (fd < 0)
        return errno;
    fd_close(&fd);
    return S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
}

int chroot_path_runnable(const char *root, const char *path)
{
    struct stat status;
    char self[64];
    int fd = chroot_path_look(root, path, &status);
    if (fd < 0)
        return errno;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    int result = S_ISDIR(status.st_mode)                            ? EISDIR
                 : faccessat(AT_FDCWD, self, X_OK, AT_EACCESS) == 0 ? 0
                                                                    : errno;
    /* Without /proc this cannot be checked; exec decides when the worker starts. */
    if (result == ENOENT)
        result = 0;
    fd_close(&fd);
    return result;
}
