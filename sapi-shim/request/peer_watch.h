/* peer_watch.h: news of a client that leaves while the application is silent.
 *
 * Two means, both per thread: a descriptor for the application's own poll loop, and a signal from
 * the kernel to the thread. Decides nothing; request.c says when.
 */
#ifndef OT_PEER_WATCH_H
#define OT_PEER_WATCH_H

#include <stdbool.h>

/* A descriptor that is readable once the peer of `fd` has left; -1 if none can be had. The same for
 * the whole request. With the input complete, whatever still comes makes it readable too: it is an
 * abort record, or read away at the next look. */
int peer_watch_descriptor(int fd, bool input_complete);

/* Makes the descriptor readable for another reason than the peer's leaving. */
void peer_watch_raise(void);

/* Stops watching: the connection leaves the request, or the request its thread. `fd` may be -1. */
void peer_watch_stop(int fd);

/* Looks whether the peer has left. Async-signal-safe. */
bool peer_watch_gone(int fd);

/* Has the thread get `signal` when something happens on the connection; and no longer.
 * Async-signal-safe. False if the kernel refuses. */
bool peer_watch_arm(int fd, int signal);
void peer_watch_disarm(int fd);

/* The calling thread ends; or the process is a forked child. */
void peer_watch_thread_end(void);

#endif
