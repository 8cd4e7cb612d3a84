/* procfs.h: what /proc says a process has cost so far.
 *
 * Needs no rights, but a /proc that shows the process. Decides nothing; called
 * by status.c for those who show it, never on a request's way.
 */
#ifndef OT_PROCFS_H
#define OT_PROCFS_H

#include <stdint.h>

/* Processor time since its start (user and system, ms) and resident memory (bytes). Returns 0, or
 * -1 with both as they were. */
int procfs_usage(int32_t pid, int64_t *cpu_ms, int64_t *memory);

/* The same from a line of /proc/PID/stat; `ticks` a second. Pure. */
int procfs_parse(const char *line, long ticks, long page_size, int64_t *cpu_ms, int64_t *memory);

#endif
