/* proc_activity.h: what /proc says about a worker without the library.
 *
 * Each answer holds for one moment: a process that waits may have a connection before the caller
 * acts. The process must be a child that is not reaped yet, or its number may be another's.
 */
#ifndef FPM_PROC_ACTIVITY_H
#define FPM_PROC_ACTIVITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum proc_activity {
    PROC_ACTIVITY_WAITING, /* every thread sleeps in accept() */
    PROC_ACTIVITY_BUSY,    /* every thread runs, or sleeps in something else that ends by itself */
    /* It waits for events, a child or another thread, which may mean either; or its threads differ;
     * or we may not read it, which needs the right to trace it. */
    PROC_ACTIVITY_UNKNOWN
};

/* About 3 us for one thread. */
enum proc_activity proc_activity_doing(pid_t pid);

/* The same, but a process that holds no socket except the `count` given ones is WAITING, too: even
 * if it waits for events, it is not inside a request. */
enum proc_activity proc_activity_between_requests(pid_t pid, const ino_t *given, size_t count);

/* A number that changes when the process accepts a connection, or reads by read(2): a process that
 * is stopped seems to be in the system call that it has just left. False if we may not look. */
bool proc_activity_mark(pid_t pid, uint64_t *mark);

/* The socket from which its only thread waits to read by read(2), as a number of the process's
 * descriptors, if it is none of the `count` given ones; -1 = it does something else, or we may not
 * look. */
int proc_activity_reads(pid_t pid, const ino_t *given, size_t count);

/* Is its only thread in its own code, in no system call? A signal interrupts none then. */
bool proc_activity_computes(pid_t pid);

/* Does its only thread wait for a child, as a shell does for the program that it runs? */
bool proc_activity_waits_for_child(pid_t pid);

/* Has the process reached its accept loop, as far as one look tells: does every thread sleep in
 * accept(), or does it hold a socket except the `count` given ones? False if we may not look. */
bool proc_activity_accepts(pid_t pid, const ino_t *given, size_t count);

/* Does the process hold this socket? False if it may not be read. */
bool proc_activity_holds(pid_t pid, ino_t socket);

/* Bytes of private memory. Needs no rights; about 1.5 us. Returns 0, or -1 with errno. */
int proc_activity_memory(pid_t pid, uint64_t *bytes);

#endif
