/* pidfile.c: see pidfile.h. */
#include "fpm/util/pidfile.h"

#include "fpm/util/fd.h"
#include "fpm/util/safe_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Only a process that may write the file can hold this lock, and others may read it: a lock of
 * theirs is none of a manager. It belongs to the open file, and so survives fork and exec. */
static struct flock pidfile_lock(short kind)
{
    return (struct flock){.l_type = kind, .l_whence = SEEK_SET};
}

int pidfile_check(const char *path, char *error, size_t size)
{
    char number[24] = "";
    struct stat status;
    struct flock held = pidfile_lock(F_RDLCK);
    int fd = safe_path_open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0)
        return 0;
    bool ours = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                (status.st_uid == 0 || status.st_uid == geteuid()) &&
                fcntl(fd, F_OFD_GETLK, &held) == 0 && held.l_type == F_WRLCK;
    ssize_t got = ours ? read(fd, number, sizeof number - 1) : 0;
    fd_close(&fd);
    if (!ours)
        return 0;
    number[got > 0 ? got : 0] = '\0';
    number[strcspn(number, "\n")] = '\0';
    snprintf(error, size,
             "another manager is already running: process %s holds %s; stop it first, or give "
             "this one its own `pid`",
             *number != '\0' ? number : "unknown", path);
    return -1;
}

/* The lock is taken before others may open the file. */
static int pidfile_fill(int fd)
{
    char text[24];
    struct flock lock = pidfile_lock(F_WRLCK);
    int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0 || fchmod(fd, 0644) != 0)
        return -1;
    ssize_t done = write(fd, text, (size_t)length);
    if (done >= 0 && done < length)
        errno = ENOSPC;
    return done == length ? 0 : -1;
}

int pidfile_write(struct pidfile *pidfile, const char *path, char *error, size_t size)
{
    char name[NAME_MAX + 1], draft[NAME_MAX + 64];
    *pidfile = PIDFILE_NONE;
    pidfile->path = strdup(path);
    if (pidfile->path == NULL) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    int folder = safe_path_folder(path, name);
    snprintf(draft, sizeof draft, "/proc/self/fd/%d/%s.XXXXXX", folder, name);
    if (folder >= 0)
        pidfile->fd = mkostemp(draft, O_CLOEXEC);
    const char *base = strrchr(draft, '/') + 1;
    if (pidfile->fd < 0 || pidfile_fill(pidfile->fd) != 0 ||
        renameat(folder, base, folder, name) != 0) {
        snprintf(error, size, "cannot write the pid file %s: %s; check `pid`", path,
                 safe_path_reason(errno));
        if (pidfile->fd >= 0)
            (void)unlinkat(folder, base, 0);
        fd_close(&pidfile->fd);
        fd_close(&folder);
        return -1;
    }
    fd_close(&folder);
    return 0;
}

void pidfile_remove(struct pidfile *pidfile)
{
    char name[NAME_MAX + 1];
    struct stat ours, there;
    int folder = pidfile->fd >= 0 ? safe_path_folder(pidfile->path, name) : -1;
    if (folder >= 0 && fstat(pidfile->fd, &ours) == 0 &&
        fstatat(folder, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_dev == there.st_dev &&
        ours.st_ino == there.st_ino)
        (void)unlinkat(folder, name, 0);
    fd_close(&folder);
    fd_close(&pidfile->fd);
    free(pidfile->path);
    *pidfile = PIDFILE_NONE;
}
