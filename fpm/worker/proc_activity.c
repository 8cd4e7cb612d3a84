/* proc_activity.c: see proc_activity.h. */
#include "fpm/worker/proc_activity.h"

#include "fpm/util/fd.h"
#include "sapi-shim/util/procfs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PROC_ACTIVITY_FILES_MAX = 512,  /* descriptors that are looked at, of one process */
    PROC_ACTIVITY_THREADS_MAX = 256 /* with more, the answer is UNKNOWN */
};

/* System calls in which a process may be idle or busy. Not every machine has all. */
static const long proc_activity_ambiguous[] = {
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
static ssize_t proc_activity_read(int folder, const char *path, char *text, size_t size)
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
static enum proc_activity proc_activity_thread(const char *line)
{
    char *end = NULL;
    long call = strtol(line, &end, 10);
    if (end == line)
        return strncmp(line, "running", 7) == 0 ? PROC_ACTIVITY_BUSY : PROC_ACTIVITY_UNKNOWN;
#ifdef SYS_accept
    if (call == SYS_accept)
        return PROC_ACTIVITY_WAITING;
#endif
    if (call == SYS_accept4)
        return PROC_ACTIVITY_WAITING;
    for (size_t i = 0; i < sizeof proc_activity_ambiguous / sizeof proc_activity_ambiguous[0]; i++)
        if (call == proc_activity_ambiguous[i])
            return PROC_ACTIVITY_UNKNOWN;
    return PROC_ACTIVITY_BUSY;
}

/* What all threads do, or unknown if they differ. */
static enum proc_activity proc_activity_threads(DIR *tasks)
{
    enum proc_activity all = PROC_ACTIVITY_UNKNOWN;
    unsigned count = 0;
    const struct dirent *entry;
    while ((entry = readdir(tasks)) != NULL) {
        char path[sizeof entry->d_name + sizeof "/syscall"];
        char line[256];
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        (void)snprintf(path, sizeof path, "%s/syscall", entry->d_name);
        ssize_t n = proc_activity_read(dirfd(tasks), path, line, sizeof line);
        if (n < 0 && (errno == ENOENT || errno == ESRCH))
            continue; /* the thread has ended */
        enum proc_activity one = n > 0 ? proc_activity_thread(line) : PROC_ACTIVITY_UNKNOWN;
        if (one == PROC_ACTIVITY_UNKNOWN || (count > 0 && one != all) ||
            count == PROC_ACTIVITY_THREADS_MAX)
            return PROC_ACTIVITY_UNKNOWN;
        all = one;
        count++;
    }
    return all;
}

/* The socket that a descriptor is, 0 = none. Only the link is read: to ask for the file itself may
 * mean to wait for whoever serves it. */
static ino_t proc_activity_socket(int folder, const char *name)
{
    char text[64], *end = NULL;
    static const char prefix[] = "socket:[";
    ssize_t length = readlinkat(folder, name, text, sizeof text - 1);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    if (strncmp(text, prefix, sizeof prefix - 1) != 0)
        return 0;
    ino_t number = (ino_t)strtoull(text + sizeof prefix - 1, &end, 10);
    return *end == ']' ? number : 0;
}

/* Has the process a socket that is (`among`) one of the given ones, or is none of them? `unknown`
 * is the answer if it may not be read. One with too many descriptors for a look is taken for busy:
 * it has others. Kernels from 6.2 on say how many there are without a look at each. */
static bool proc_activity_has_socket(pid_t pid, const ino_t *given, size_t count, bool among,
                                     bool unknown)
{
    char path[64];
    struct stat status;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return unknown;
    bool has = false;
    bool many = fstat(dirfd(folder), &status) == 0 && status.st_size > PROC_ACTIVITY_FILES_MAX;
    for (unsigned i = 0; !many && !has; i++) {
        const struct dirent *entry = readdir(folder);
        if (entry == NULL)
            break;
        many = i >= PROC_ACTIVITY_FILES_MAX;
        ino_t number = proc_activity_socket(dirfd(folder), entry->d_name);
        bool is_given = false;
        for (size_t k = 0; k < count && !is_given; k++)
            is_given = number == given[k];
        has = number != 0 && is_given == among;
    }
    (void)closedir(folder);
    return many ? !among : has;
}

/* Without a connection a process is not inside a request, whatever it waits for. */
static bool proc_activity_has_connection(pid_t pid, const ino_t *given, size_t count)
{
    return proc_activity_has_socket(pid, given, count, false, true);
}

bool proc_activity_holds(pid_t pid, ino_t socket)
{
    return proc_activity_has_socket(pid, &socket, 1, true, false);
}

enum proc_activity proc_activity_between_requests(pid_t pid, const ino_t *given, size_t count)
{
    enum proc_activity doing = proc_activity_doing(pid);
    if (doing != PROC_ACTIVITY_WAITING && !proc_activity_has_connection(pid, given, count))
        return PROC_ACTIVITY_WAITING;
    return doing;
}

enum proc_activity proc_activity_doing(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return PROC_ACTIVITY_UNKNOWN;
    enum proc_activity all = proc_activity_threads(tasks);
    (void)closedir(tasks);
    return all;
}

/* The system call of the first thread and its first argument. False if it is in none. */
static bool proc_activity_call(pid_t pid, long *call, unsigned long *argument)
{
    char path[64], line[256], *end = NULL;
    (void)snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
    if (proc_activity_read(AT_FDCWD, path, line, sizeof line) <= 0)
        return false;
    *call = strtol(line, &end, 10);
    *argument = strtoul(end, NULL, 16);
    return end != line;
}

static bool proc_activity_has_one_thread(pid_t pid)
{
    char path[64];
    struct stat tasks;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    return stat(path, &tasks) == 0 && tasks.st_nlink == 3;
}

bool proc_activity_waits_for_child(pid_t pid)
{
    long call;
    unsigned long first;
    return proc_activity_call(pid, &call, &first) && (call == SYS_wait4 || call == SYS_waitid);
}

int proc_activity_reads(pid_t pid, const ino_t *given, size_t count)
{
    char path[64];
    long call;
    unsigned long number;
    struct stat status;
    bool reads =
        proc_activity_call(pid, &call, &number) &&
        (call == SYS_read || call == SYS_readv || call == SYS_recvfrom || call == SYS_recvmsg);
    if (!reads || number > INT_MAX || !proc_activity_has_one_thread(pid))
        return -1;
    (void)snprintf(path, sizeof path, "/proc/%d/fd/%lu", (int)pid, number);
    if (stat(path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return -1;
    for (size_t i = 0; i < count; i++)
        if (status.st_ino == given[i])
            return -1;
    return (int)number;
}

bool proc_activity_mark(pid_t pid, uint64_t *mark)
{
    static const char bytes_read[] = "rchar:";
    char path[64], text[512];
    (void)snprintf(path, sizeof path, "/proc/%d/io", (int)pid);
    if (proc_activity_read(AT_FDCWD, path, text, sizeof text) <= 0 ||
        strncmp(text, bytes_read, strlen(bytes_read)) != 0)
        return false;
    *mark = strtoull(text + strlen(bytes_read), NULL, 10);
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    const struct dirent *entry;
    if (folder == NULL)
        return false;
    while ((entry = readdir(folder)) != NULL) {
        struct stat status;
        if (fstatat(dirfd(folder), entry->d_name, &status, 0) == 0 && S_ISSOCK(status.st_mode))
            *mark += status.st_ino;
    }
    (void)closedir(folder);
    return true;
}

bool proc_activity_computes(pid_t pid)
{
    long call;
    unsigned long first;
    return proc_activity_call(pid, &call, &first) && call == -1 &&
           proc_activity_has_one_thread(pid);
}

bool proc_activity_accepts(pid_t pid, const ino_t *given, size_t count)
{
    char path[64];
    if (proc_activity_doing(pid) == PROC_ACTIVITY_WAITING)
        return true;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    return access(path, R_OK | X_OK) == 0 && proc_activity_has_connection(pid, given, count);
}

int proc_activity_memory(pid_t pid, uint64_t *bytes)
{
    char path[64], line[256];
    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    if (proc_activity_read(AT_FDCWD, path, line, sizeof line) < 0)
        return -1;
    if (procfs_private(line, (uint64_t)sysconf(_SC_PAGESIZE), bytes))
        return 0;
    errno = EINVAL;
    return -1;
}
