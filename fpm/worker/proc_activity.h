/* proc_activity.h: what /proc tells of a process that does not speak for itself.
 *
 * Each answer is of one moment: what waits may have a connection before the caller acts. The
 * process must be a child that is not reaped yet, or its number may be another's. Decides nothing.
 */
#ifndef FPM_PROC_ACTIVITY_H
#define FPM_PROC_ACTIVITY_H

#include <stdint.h>
#include <sys/types.h>

enum proc_activity {
    PROC_ACTIVITY_WAITING, /* every thread sleeps in accept() */
    PROC_ACTIVITY_BUSY,    /* every thread runs, or sleeps in something else that ends by itself */
    PROC_ACTIVITY_UNKNOWN, /* it waits for events, for a child or another thread, which may mean
                            * either; threads differ; or we have no right to ask, which needs that
                            * to trace it */
};

/* About 3 us for one thread. */
enum proc_activity proc_activity_doing(pid_t pid);

/* The same, and PROC_ACTIVITY_WAITING also for a process that holds no socket but the `count` given
 * ones: an application that waits for events is then inside no request either. */
enum proc_activity proc_activity_between_requests(pid_t pid, const ino_t *given, size_t count);

/* Bytes of memory that it has to itself. Needs no rights; about 1.5 us. Returns 0, or -1 with
 * errno.
 */
int proc_activity_memory(pid_t pid, uint64_t *bytes);

#endif
