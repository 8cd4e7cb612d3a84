/* daemonize.h: goes to the background, while the parent waits for the result of the start.
 *
 * Must be called once, before there is an event loop.
 */
#ifndef FPM_DAEMONIZE_H
#define FPM_DAEMONIZE_H

#include <stddef.h>

struct daemonize {
    int fd; /* to the waiting parent; -1 = none */
};

#define DAEMONIZE_NONE ((struct daemonize){.fd = -1})

/* Returns 0 in a new process with a session of its own, without a terminal, in the root folder. The
 * calling process exits with the status that daemonize_report passes on, or with 70 if the new
 * process exits without. Returns -1 with a sentence. */
int daemonize(struct daemonize *daemon, char *error, size_t size);

/* Passes the exit status of the start to the parent. With 0 the parent exits, and standard input,
 * output and error go to /dev/null; otherwise it waits for this process to exit. */
void daemonize_report(struct daemonize *daemon, int status);

#endif
