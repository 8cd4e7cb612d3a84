/* client.h: asks the manager through its control socket.
 *
 * One line, one answer (control_proto.h). Prints nothing but answers.
 */
#ifndef FPM_CLIENT_H
#define FPM_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* A line to the manager. */
struct client_words {
    const char *verb;
    const char *switches[4]; /* CONTROL_JSON and others, up to the first NULL */
    int argc;
    char *const *argv;
};

enum client_patience {
    CLIENT_SOON,     /* the answer must come within half a minute */
    CLIENT_LATE,     /* it takes as long as the work of the slowest worker */
    CLIENT_ACCEPTED, /* only the verdict counts; it must come within half a minute */
    CLIENT_GONE      /* wait until the manager is gone */
};

/* These return an exit status, with a sentence or several lines in `error` unless it is 0. */

/* Writes the answer to standard output as it comes. */
int client_show(const char *socket, const struct client_words *words, enum client_patience patience,
                char *error, size_t size);

/* The answer as a text, which is the caller's to free. */
int client_fetch(const char *socket, const struct client_words *words, char **answer, char *error,
                 size_t size);

/* Writes an object to standard output, as one line, and drops it. */
void client_print(json_t *object);

#endif
