/* client.h: asks the manager through its control socket.
 *
 * One line, one answer (control_proto.h). Prints nothing but an answer that it is to show. Called
 * by the commands of overtimectl.
 */
#ifndef FPM_CLIENT_H
#define FPM_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

/* What a line to the manager shall say. */
struct client_words {
    const char *verb;
    const char *switches[4]; /* CONTROL_JSON and others, up to the first NULL */
    int argc;
    char *const *argv;
};

enum client_patience {
    CLIENT_SOON,     /* the answer has to come within half a minute */
    CLIENT_LATE,     /* it takes as long as the work of the slowest worker */
    CLIENT_ACCEPTED, /* only whether it is accepted counts */
    CLIENT_GONE      /* as long as the manager lives */
};

/* These return an exit status, not 0 with a sentence in `error`, or several lines. */

/* Writes the answer to standard output as it comes. */
int client_show(const char *socket, const struct client_words *words, enum client_patience patience,
                char *error, size_t size);

/* The answer as a text, which is the caller's to free. */
int client_fetch(const char *socket, const struct client_words *words, char **answer, char *error,
                 size_t size);

#endif
