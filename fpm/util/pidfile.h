/* pidfile.h: the file that holds the manager's process number, locked while the manager lives.
 *
 * The lock, not the number, tells whether another manager is alive: numbers are used again. Called
 * by main.
 */
#ifndef FPM_PIDFILE_H
#define FPM_PIDFILE_H

#include <stddef.h>

struct pidfile {
    char *path;
    int fd; /* open and locked while it is ours, else -1 */
};

#define PIDFILE_NONE ((struct pidfile){.fd = -1})

/* Does a living manager hold this file? Returns 0 if not, -1 with a sentence if so. */
int pidfile_check(const char *path, char *error, size_t size);

/* Writes the file, whole or not at all. Returns 0, or -1 with a sentence. */
int pidfile_write(struct pidfile *pidfile, const char *path, char *error, size_t size);

/* Removes it if it is still the one written here. */
void pidfile_remove(struct pidfile *pidfile);

#endif
