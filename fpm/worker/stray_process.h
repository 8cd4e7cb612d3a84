/* stray_process.h: names in the log what workers have left behind in sessions of their own.
 *
 * Such a process was made a daemon on purpose: it belongs to no worker, and is not stopped. It
 * matters if it holds a pool's socket, as it may answer requests, or a connection of a client.
 */
#ifndef FPM_STRAY_PROCESS_H
#define FPM_STRAY_PROCESS_H

/* At the end of a worker of the pool: logs each such process once, and once more if it holds the
 * pool's listening socket or one of its connections. Reads /proc within bounds; with many children
 * not at each call. */
void stray_process_look(const char *pool, int listen_fd);

#endif
