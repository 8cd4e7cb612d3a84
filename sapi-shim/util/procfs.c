/* procfs.c: see procfs.h. */
#include "sapi-shim/util/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PROCFS_LINE = 1024, /* bytes; a line has less than 500 */
    PROCFS_UTIME = 14,  /* places in the line, from 1 on, as in proc(5) */
    PROCFS_STIME = 15,
    PROCFS_RSS = 24
};

/* The program's name may hold blanks and brackets: the numbers follow the last bracket. */
int procfs_parse(const char *line, long ticks, long page_size, int64_t *cpu_ms, int64_t *memory)
{
    const char *at = strrchr(line, ')');
    long long numbers[PROCFS_RSS + 1] = {0};
    if (at == NULL || ticks <= 0)
        return -1;
    at++;
    for (int place = 3; place <= PROCFS_RSS; place++) {
        int used = 0;
        if (place == 3 ? sscanf(at, " %*c%n", &used) < 0 || used == 0
                       : sscanf(at, "%lld%n", &numbers[place], &used) != 1)
            return -1;
        at += used;
    }
    *cpu_ms = (numbers[PROCFS_UTIME] + numbers[PROCFS_STIME]) * 1000 / ticks;
    *memory = numbers[PROCFS_RSS] * page_size;
    return 0;
}

ssize_t procfs_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n;
}

int procfs_usage(int32_t pid, int64_t *cpu_ms, int64_t *memory)
{
    char path[32], line[PROCFS_LINE];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (procfs_read(path, line, sizeof line) <= 0)
        return -1;
    return procfs_parse(line, sysconf(_SC_CLK_TCK), sysconf(_SC_PAGESIZE), cpu_ms, memory);
}

bool procfs_waits_for_lock(int32_t tid)
{
    char path[48], line[PROCFS_LINE];
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)tid);
    return procfs_read(path, line, sizeof line) > 0 && strtol(line, NULL, 10) == SYS_futex;
}

bool procfs_private(const char *line, uint64_t page_size, uint64_t *bytes)
{
    unsigned long long pages[3]; /* size, resident, shared */
    for (int i = 0; i < 3; i++) {
        char *end = NULL;
        errno = 0;
        pages[i] = strtoull(line, &end, 10);
        if (end == line || errno != 0 || (*end != ' ' && *end != '\n' && *end != '\0'))
            return false;
        line = end;
    }
    *bytes = pages[1] > pages[2] ? (pages[1] - pages[2]) * page_size : 0;
    return true;
}
