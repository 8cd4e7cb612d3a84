/* statm.h: how much memory a process has to itself, as its line in /proc tells. Pure; for the
 * library and the manager, which read the line in their own ways. */
#ifndef OT_STATM_H
#define OT_STATM_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes of private memory: what a line of /proc/PID/statm calls resident, without what it calls
 * shared (files and shared memory). False if it is no such line. */
bool statm_private(const char *line, uint64_t page_size, uint64_t *bytes);

#endif
