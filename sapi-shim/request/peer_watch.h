/* peer_watch.h: learns that a client has left while the application is silent.
 *
 * Two means, both per thread: a descriptor for the application's own poll loop, and a signal that
 * the kernel sends to the thread. Decides nothing.
 */
#ifndef OT_PEER_WATCH_H
#define OT_PEER_WATCH_H

#include <stdbool.h>

/* A descriptor that becomes readable once the peer of `fd` has left; -1 if none can be had. It is
 * the same one for the whole request. With `input_complete` any further input makes it readable
 * too: that is an abort record, or is read away at the next check. */
int peer_watch_descriptor(int fd, bool input_complete);

/* Makes the descriptor readable although the peer has not left. */
void peer_watch_raise(void);

/* Stops watching: the connection leaves the request, or the request ends. `fd` may be -1. */
void peer_watch_stop(int fd);

/* True if the peer has left. Async-signal-safe. */
bool peer_watch_gone(int fd);

/* Has the kernel send `signal` to the thread when something happens on the connection; false if it
 * refuses. peer_watch_disarm ends that. Async-signal-safe. */
bool peer_watch_arm(int fd, int signal);
void peer_watch_disarm(int fd);

/* The calling thread ends, or the process is a forked child. */
void peer_watch_thread_end(void);

#endif
