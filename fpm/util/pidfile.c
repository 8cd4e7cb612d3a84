/* pidfile.c: see pidfile.h. */
#include "fpm/util/pidfile.h"

#include "fpm/util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int pidfile_check(const char *path, char *error, size_t size)
{
    char number[24] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return 0;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ssize_t got = held ? read(fd, number, sizeof number - 1) : 0;
    fd_close(&fd);
    if (!held)
        return 0;
    number[got > 0 ? got : 0] = '\0';
    number[strcspn(number, "\n")] = '\0';
    snprintf(error, size,
             "another manager is already running: process %s holds %s; stop it first, or give "
             "this one its own `pid`",
             *number != '\0' ? number : "unknown", path);
    return -1;
}

static int pidfile_fill(int fd)
{
    char text[24];
    int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || fchmod(fd, 0644) != 0)
        return -1;
    ssize_t done = write(fd, text, (size_t)length);
    if (done >= 0 && done < length)
        errno = ENOSPC;
    return done == length ? 0 : -1;
}

int pidfile_write(struct pidfile *pidfile, const char *path, char *error, size_t size)
{
    char *draft = NULL;
    *pidfile = PIDFILE_NONE;
    pidfile->path = strdup(path);
    if (pidfile->path == NULL || asprintf(&draft, "%s.XXXXXX", path) < 0) {
        snprintf(error, size, "out of memory");
        return -1;
    }
    pidfile->fd = mkostemp(draft, O_CLOEXEC);
    if (pidfile->fd < 0 || pidfile_fill(pidfile->fd) != 0 || rename(draft, path) != 0) {
        snprintf(error, size, "cannot write the pid file %s: %s; check `pid`", path,
                 strerror(errno));
        if (pidfile->fd >= 0)
            (void)unlink(draft);
        fd_close(&pidfile->fd);
        free(draft);
        return -1;
    }
    free(draft);
    return 0;
}

void pidfile_remove(struct pidfile *pidfile)
{
    struct stat ours, there;
    if (pidfile->fd >= 0 && fstat(pidfile->fd, &ours) == 0 && lstat(pidfile->path, &there) == 0 &&
        ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
        (void)unlink(pidfile->path);
    fd_close(&pidfile->fd);
    free(pidfile->path);
    *pidfile = PIDFILE_NONE;
}
