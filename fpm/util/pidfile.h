/* pidfile.h: the file that holds the manager's process number, locked while the manager runs.
 *
 * The lock, not the number, shows whether another manager runs: process numbers are reused.
 */
#ifndef FPM_PIDFILE_H
#define FPM_PIDFILE_H

#include <stddef.h>

struct pidfile {
    char *path;
    int fd; /* open and locked; -1 = none */
};

#define PIDFILE_NONE ((struct pidfile){.fd = -1})

/* Returns 0, or -1 with a sentence if a running manager holds this file. */
int pidfile_check(const char *path, char *error, size_t size);

/* Writes the file by rename, whole or not at all. Returns 0, or -1 with a sentence. */
int pidfile_write(struct pidfile *pidfile, const char *path, char *error, size_t size);

/* Removes the file if it is still the one written by pidfile_write. */
void pidfile_remove(struct pidfile *pidfile);

#endif
