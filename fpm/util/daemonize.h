/* daemonize.h: to the background, with the parent waiting for how the start went.
 *
 * Called by main, once, before there is a loop.
 */
#ifndef FPM_DAEMONIZE_H
#define FPM_DAEMONIZE_H

#include <stddef.h>

struct daemonize {
    int fd; /* to the waiting parent; -1 = nobody waits */
};

#define DAEMONIZE_NONE ((struct daemonize){.fd = -1})

/* Returns 0 in a process with a session of its own, without a terminal, in the root folder. The
 * process that was called exits when the start is decided, with the status told, or 70 if the new
 * process ends without a word. Returns -1 with a sentence. */
int detach(struct daemonize *detach, char *error, size_t size);

/* Tells the parent the exit status of the start. With 0 the parent ends, and standard input, output
 * and error are let go; with another it waits for this process to end. */
void daemonize_tell(struct daemonize *detach, int status);

#endif
