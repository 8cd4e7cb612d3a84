/* procfs.h: processor time and memory of a process, from its files in /proc.
 *
 * Needs no rights, only a /proc that shows the process. Decides nothing; never on the way of a
 * request, but for the pure procfs_private().
 */
#ifndef OT_PROCFS_H
#define OT_PROCFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Processor time since the start (user and system, ms) and resident memory (bytes). Returns 0, or
 * -1 with both as they were. */
int procfs_usage(int32_t pid, int64_t *cpu_ms, int64_t *memory);

/* The same from a line of /proc/PID/stat; `ticks` a second. Pure. */
int procfs_parse(const char *line, long ticks, long page_size, int64_t *cpu_ms, int64_t *memory);

/* Reads the begin of a file, as a text. Returns its length, -1 with errno. */
ssize_t procfs_read(const char *path, char *text, size_t size);

/* Does this thread of the calling process wait for a mutex or the like? */
bool procfs_waits_for_lock(int32_t tid);

/* Bytes of private memory from a line of /proc/PID/statm: resident, but not shared with files or
 * other processes. False if the line is malformed. Pure. */
bool procfs_private(const char *line, uint64_t page_size, uint64_t *bytes);

#endif
