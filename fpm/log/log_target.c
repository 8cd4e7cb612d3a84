/* log_target.c: see log_target.h. */
#include "fpm/log/log_target.h"

#include "fpm/util/fd.h"
#include "fpm/util/untrusted_io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert(sizeof((struct log_target *)0)->path == sizeof((struct sockaddr_un *)0)->sun_path,
               "a target's path fits a socket address");

/* ---- opening ---- */

static bool log_target_is_journal(const struct stat *status)
{
    char name[64];
    const char *journal = getenv("JOURNAL_STREAM");
    snprintf(name, sizeof name, "%ju:%ju", (uintmax_t)status->st_dev, (uintmax_t)status->st_ino);
    return journal != NULL && strcmp(journal, name) == 0;
}

/* Standard error is shared with the process that started us, so it must stay blocking. If the
 * kernel allows it, we open it anew, as a non-blocking file description of our own. */
void log_target_stderr(struct log_target *target)
{
    struct stat status;
    *target = (struct log_target){.kind = LOG_TARGET_STDERR, .fd = STDERR_FILENO};
    if (fstat(STDERR_FILENO, &status) != 0)
        return;
    target->journal = log_target_is_journal(&status);
    target->socket = S_ISSOCK(status.st_mode);
    if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode))
        return;
    int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    target->shared = fd < 0;
    if (fd >= 0)
        target->fd = fd;
}

int log_target_file(struct log_target *target, const char *path)
{
    struct stat status;
    int fd = fd_open_log(path);
    if (fd < 0)
        return -1;
    *target = (struct log_target){.kind = LOG_TARGET_FILE, .fd = fd};
    if (fstat(fd, &status) == 0) {
        target->journal = log_target_is_journal(&status);
        target->socket = S_ISSOCK(status.st_mode);
        target->shared = !S_ISREG(status.st_mode) && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
    }
    return 0;
}

int log_target_syslog(struct log_target *target, const char *path)
{
    struct log_target next = {.kind = LOG_TARGET_SYSLOG, .socket = true};
    int length = snprintf(next.path, sizeof next.path, "%s", path);
    if (length < 0 || (size_t)length >= sizeof next.path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    next.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (next.fd < 0)
        return -1;
    *target = next;
    return 0;
}

void log_target_close(struct log_target *target)
{
    if (target->fd != STDERR_FILENO)
        fd_close(&target->fd);
    *target = LOG_TARGET_CLOSED;
}

/* ---- writing ---- */

/* Writes all, or returns -1; *done is the number of bytes written. */
static int log_target_write(const struct log_target *target, const char *text, size_t size,
                            size_t *done)
{
    for (*done = 0; *done < size;) {
        size_t left = size - *done;
        ssize_t more = target->socket   ? untrusted_io_send(target->fd, text + *done, left)
                       : target->shared ? untrusted_io_write_shared(target->fd, text + *done, left)
                                        : untrusted_io_write_own(target->fd, text + *done, left);
        if (more < 0 && errno == EINTR)
            continue;
        if (more == 0)
            errno = ENOSPC;
        if (more <= 0)
            return -1;
        *done += (size_t)more;
    }
    return 0;
}

int log_target_put(struct log_target *target, const char *line, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t done;
    if (target->torn && log_target_write(target, "\n", 1, &done) != 0)
        return -1;
    int result = log_target_write(target, line, size, &done);
    /* The system log takes a whole datagram or none. It may have stopped, restarted, or never run:
     * then connects anew. */
    if (result != 0 && target->kind == LOG_TARGET_SYSLOG &&
        (errno == ENOTCONN || errno == ECONNREFUSED || errno == ECONNRESET ||
         errno == EDESTADDRREQ)) {
        memcpy(address.sun_path, target->path, sizeof address.sun_path);
        if (connect(target->fd, (const struct sockaddr *)&address, sizeof address) == 0)
            result = log_target_write(target, line, size, &done);
    }
    target->torn = result != 0 && done > 0;
    return result;
}
