/* log.c: see log.h. */
#include "fpm/log.h"

#include "fpm/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Where lines go, and what could not go there. */
struct log_target {
    int fd;
    bool socket; /* written with send(), which can refuse to wait */
    bool torn;   /* the last line was written in part */
    int error;   /* why lines were lost, last time */
    unsigned long lost;
};

static struct {
    char path[PATH_MAX]; /* "" = standard error */
    enum log_level level;
    enum log_level mirror;
    struct log_target main;
    struct log_target stderr_copy;
} log_state = {
    .level = LOG_LEVEL_NOTICE,
    .mirror = LOG_LEVEL_NONE,
    .main = {.fd = STDERR_FILENO},
    .stderr_copy = {.fd = STDERR_FILENO},
};

static const char *const log_names[] = {
    [LOG_LEVEL_DEBUG] = "DEBUG", [LOG_LEVEL_NOTICE] = "NOTICE", [LOG_LEVEL_WARNING] = "WARNING",
    [LOG_LEVEL_ERROR] = "ERROR", [LOG_LEVEL_ALERT] = "ALERT",
};

bool log_is_stderr(const char *path)
{
    return path == NULL || *path == '\0' || strcmp(path, "stderr") == 0 ||
           strcmp(path, "/dev/stderr") == 0;
}

/* Standard error is shared with whoever started us, so it is not made non-blocking: a description
 * of our own is, where the kernel gives one. */
static struct log_target log_stderr_target(void)
{
    struct log_target target = {.fd = STDERR_FILENO};
    struct stat status;
    if (fstat(STDERR_FILENO, &status) != 0)
        return target;
    target.socket = S_ISSOCK(status.st_mode);
    if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
        int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (fd >= 0)
            target.fd = fd;
    }
    return target;
}

static int log_file_target(const char *path, struct log_target *target, char *error, size_t size)
{
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = open(path, flags, 0640);
    if (fd < 0) {
        snprintf(error, size, "cannot open the log %s: %s; check `error_log`", path,
                 strerror(errno));
        return -1;
    }
    *target = (struct log_target){.fd = fd};
    return 0;
}

static void log_target_replace(struct log_target *old, struct log_target *next)
{
    next->lost = old->lost;
    next->error = old->error;
    if (old->fd != STDERR_FILENO)
        fd_close(&old->fd);
    *old = *next;
}

int log_open(const char *path, char *error, size_t size)
{
    struct log_target next;
    if (log_is_stderr(path)) {
        next = log_stderr_target();
        log_state.path[0] = '\0';
    } else if (strlen(path) >= sizeof log_state.path) {
        snprintf(error, size, "the path of the log is too long; check `error_log`");
        return -1;
    } else {
        if (log_file_target(path, &next, error, size) != 0)
            return -1;
        memmove(log_state.path, path, strlen(path) + 1);
    }
    log_target_replace(&log_state.main, &next);
    return 0;
}

int log_reopen(char *error, size_t size)
{
    return log_open(log_state.path, error, size);
}

void log_level_set(enum log_level level)
{
    log_state.level = level;
}

void log_mirror(enum log_level level)
{
    log_state.mirror = level;
}

/* One attempt, whole or not at all where the kernel allows. A pipe or a terminal that is full would
 * block a plain write, so it is asked first. */
static ssize_t log_attempt(struct log_target *target, const char *text, size_t size)
{
    if (target->socket)
        return send(target->fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    struct pollfd room = {.fd = target->fd, .events = POLLOUT};
    if (poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0) {
        errno = room.revents & (POLLERR | POLLHUP) ? EPIPE : EAGAIN;
        return -1;
    }
    return write(target->fd, text, size);
}

static bool log_put(struct log_target *target, const char *text, size_t size)
{
    ssize_t done;
    do
        done = log_attempt(target, text, size);
    while (done < 0 && errno == EINTR);
    if (done >= 0 && (size_t)done == size)
        return true;
    target->error = done < 0 ? errno : ENOSPC;
    if (done > 0)
        target->torn = true;
    return false;
}

static size_t log_stamp(char *line, size_t size, enum log_level level)
{
    struct timespec now;
    struct tm local;
    char day[32];
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || localtime_r(&now.tv_sec, &local) == NULL ||
        strftime(day, sizeof day, "%d-%b-%Y %H:%M:%S", &local) == 0)
        return 0;
    int length =
        snprintf(line, size, "[%s.%03ld] %s: ", day, now.tv_nsec / 1000000, log_names[level]);
    return length < 0 ? 0 : (size_t)length;
}

/* Ends a torn line and tells what was lost, before the next line is written. */
static bool log_recover(struct log_target *target)
{
    if (target->lost == 0)
        return true;
    char line[256];
    size_t used = 0;
    if (target->torn)
        line[used++] = '\n';
    used += log_stamp(line + used, sizeof line - used, LOG_LEVEL_WARNING);
    int more = snprintf(line + used, sizeof line - used, "log: %lu line%s lost: %s\n", target->lost,
                        target->lost == 1 ? " was" : "s were", strerror(target->error));
    if (more < 0 || !log_put(target, line, used + (size_t)more))
        return false;
    target->lost = 0;
    target->torn = false;
    return true;
}

static void log_line(struct log_target *target, const char *line, size_t size)
{
    if (!log_recover(target) || !log_put(target, line, size))
        target->lost++;
}

static void log_deliver(enum log_level level, const char *line, size_t size)
{
    int saved = errno;
    log_line(&log_state.main, line, size);
    if (level >= log_state.mirror && log_state.path[0] != '\0')
        log_line(&log_state.stderr_copy, line, size);
    errno = saved;
}

static void log_write(enum log_level level, const char *format, va_list arguments)
{
    if (level < log_state.level || level >= LOG_LEVEL_NONE)
        return;
    static char line[LOG_MESSAGE_MAX + 128];
    size_t used = log_stamp(line, sizeof line, level);
    int wanted = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
    if (wanted < 0)
        return;
    size_t room = sizeof line - used - 2;
    if ((size_t)wanted > room) {
        used += room;
        for (size_t dot = used - 3; dot < used; dot++)
            line[dot] = '.';
    } else {
        used += (size_t)wanted;
    }
    line[used++] = '\n';
    log_deliver(level, line, used);
}

#define LOG_FORWARD(level)                                                                         \
    do {                                                                                           \
        va_list arguments;                                                                         \
        va_start(arguments, format);                                                               \
        log_write(level, format, arguments);                                                       \
        va_end(arguments);                                                                         \
    } while (0)

void log_debug(const char *format, ...)
{
    LOG_FORWARD(LOG_LEVEL_DEBUG);
}

void log_notice(const char *format, ...)
{
    LOG_FORWARD(LOG_LEVEL_NOTICE);
}

void log_warning(const char *format, ...)
{
    LOG_FORWARD(LOG_LEVEL_WARNING);
}

void log_error(const char *format, ...)
{
    LOG_FORWARD(LOG_LEVEL_ERROR);
}

void log_alert(const char *format, ...)
{
    LOG_FORWARD(LOG_LEVEL_ALERT);
}

void log_at(enum log_level level, const char *format, ...)
{
    LOG_FORWARD(level);
}

void log_raw(enum log_level level, const char *text)
{
    if (level < log_state.level || level >= LOG_LEVEL_NONE)
        return;
    static char line[LOG_MESSAGE_MAX];
    int size = snprintf(line, sizeof line, "%.*s\n", LOG_MESSAGE_MAX - 2, text);
    if (size > 0)
        log_deliver(level, line, (size_t)size);
}

bool log_episode_begin(struct log_episode *episode)
{
    bool begins = !episode->on;
    episode->on = true;
    return begins;
}

bool log_episode_end(struct log_episode *episode)
{
    bool ends = episode->on;
    episode->on = false;
    return ends;
}
