/* client.h: asks the manager through its control socket.
 *
 * One line, one answer (control_proto.h). Prints only answers.
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
    CLIENT_SOON,     /* the answer must come within 30 s */
    CLIENT_LATE,     /* the answer may take as long as the slowest worker's work */
    CLIENT_ACCEPTED, /* only the verdict counts; it must come within 30 s */
    CLIENT_GONE      /* wait until the manager has ended */
};

/* These return an exit status, with a sentence or several lines in `error` unless it is 0. */

/* Writes the answer to standard output as it comes. */
int client_show(const char *socket, const struct client_words *words, enum client_patience patience,
                char *error, size_t size);

/* Returns the answer as a text in *answer, which the caller frees. */
int client_fetch(const char *socket, const struct client_words *words, char **answer, char *error,
                 size_t size);

/* Writes an object to standard output, as one line, and drops it. */
void client_print(json_t *object);

#endif
