/* blackbox.c: see blackbox.h. */
#include "fpm/blackbox.h"

#include "fpm/fd.h"
#include "sapi-shim/statm.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    BLACKBOX_THREADS_MAX = 256 /* more are not looked at */
};

/* System calls in which a process may be idle as well as busy. Not every machine has all. */
static const long blackbox_ambiguous[] = {
#ifdef SYS_poll
    SYS_poll,
#endif
#ifdef SYS_select
    SYS_select,
#endif
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
#ifdef SYS_pause
    SYS_pause,
#endif
#ifdef SYS_io_uring_enter
    SYS_io_uring_enter,
#endif
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
    SYS_ppoll,          SYS_pselect6, SYS_epoll_pwait,     SYS_futex,
    SYS_wait4,          SYS_waitid,   SYS_rt_sigtimedwait, SYS_rt_sigsuspend,
};

/* Reads a small file whole. Returns its length, or -1 with errno. */
static ssize_t blackbox_read(int folder, const char *path, char *text, size_t size)
{
    int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, size - 1);
    fd_close(&fd);
    text[n > 0 ? n : 0] = '\0';
    return n;
}

/* A line of /proc/PID/syscall begins with the number of the call, -1 when it sleeps outside of one,
 * or "running". */
static enum blackbox blackbox_thread(const char *line)
{
    char *end = NULL;
    long call = strtol(line, &end, 10);
    if (end == line)
        return strncmp(line, "running", 7) == 0 ? BLACKBOX_BUSY : BLACKBOX_UNKNOWN;
#ifdef SYS_accept
    if (call == SYS_accept)
        return BLACKBOX_WAITING;
#endif
    if (call == SYS_accept4)
        return BLACKBOX_WAITING;
    for (size_t i = 0; i < sizeof blackbox_ambiguous / sizeof blackbox_ambiguous[0]; i++)
        if (call == blackbox_ambiguous[i])
            return BLACKBOX_UNKNOWN;
    return BLACKBOX_BUSY;
}

/* All threads in the same way, or unknown. */
static enum blackbox blackbox_threads(DIR *tasks)
{
    enum blackbox all = BLACKBOX_UNKNOWN;
    unsigned count = 0;
    const struct dirent *entry;
    while ((entry = readdir(tasks)) != NULL) {
        char path[sizeof entry->d_name + sizeof "/syscall"];
        char line[256];
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        (void)snprintf(path, sizeof path, "%s/syscall", entry->d_name);
        ssize_t n = blackbox_read(dirfd(tasks), path, line, sizeof line);
        if (n < 0 && (errno == ENOENT || errno == ESRCH))
            continue; /* the thread has ended */
        enum blackbox one = n > 0 ? blackbox_thread(line) : BLACKBOX_UNKNOWN;
        if (one == BLACKBOX_UNKNOWN || (count > 0 && one != all) || count == BLACKBOX_THREADS_MAX)
            return BLACKBOX_UNKNOWN;
        all = one;
        count++;
    }
    return all;
}

/* Does the process hold a socket besides those that it was given? Without one it is inside no
 * request, whatever it sleeps in. */
static bool blackbox_has_connection(pid_t pid, const ino_t *given, size_t count)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    bool has = folder == NULL; /* we cannot tell */
    const struct dirent *entry;
    while (!has && (entry = readdir(folder)) != NULL) {
        struct stat status;
        if (fstatat(dirfd(folder), entry->d_name, &status, 0) != 0 || !S_ISSOCK(status.st_mode))
            continue;
        has = true;
        for (size_t i = 0; i < count && has; i++)
            has = status.st_ino != given[i];
    }
    if (folder != NULL)
        (void)closedir(folder);
    return has;
}

enum blackbox blackbox_between_requests(pid_t pid, const ino_t *given, size_t count)
{
    enum blackbox doing = blackbox_doing(pid);
    if (doing != BLACKBOX_WAITING && !blackbox_has_connection(pid, given, count))
        return BLACKBOX_WAITING;
    return doing;
}

enum blackbox blackbox_doing(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return BLACKBOX_UNKNOWN;
    enum blackbox all = blackbox_threads(tasks);
    (void)closedir(tasks);
    return all;
}

int blackbox_memory(pid_t pid, uint64_t *bytes)
{
    char path[64], line[256];
    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    if (blackbox_read(AT_FDCWD, path, line, sizeof line) < 0)
        return -1;
    if (statm_private(line, (uint64_t)sysconf(_SC_PAGESIZE), bytes))
        return 0;
    errno = EINVAL;
    return -1;
}
