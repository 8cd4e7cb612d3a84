/* ctl_link.h: asks the manager through its control socket.
 *
 * One line, one answer (control_proto.h). Prints nothing but an answer that it is to show. Called
 * by the verbs of overtimectl.
 */
#ifndef FPM_CTL_LINK_H
#define FPM_CTL_LINK_H

#include <stdbool.h>
#include <stddef.h>

/* What a line to the manager shall say. */
struct ctl_link_words {
    const char *verb;
    const char *switches[4]; /* CONTROL_JSON and others, up to the first NULL */
    int argc;
    char *const *argv;
};

enum ctl_link_patience {
    CTL_LINK_SOON,     /* the answer has to come within half a minute */
    CTL_LINK_LATE,     /* it takes as long as the work of the slowest worker */
    CTL_LINK_ACCEPTED, /* only whether it is accepted counts */
    CTL_LINK_GONE      /* as long as the manager lives */
};

/* These return an exit status, not 0 with a sentence in `error`, or several lines. */

/* Writes the answer to standard output as it comes. */
int ctl_link_show(const char *socket, const struct ctl_link_words *words,
                  enum ctl_link_patience patience, char *error, size_t size);

/* The answer as a text, which is the caller's to free. */
int ctl_link_fetch(const char *socket, const struct ctl_link_words *words, char **answer,
                   char *error, size_t size);

#endif
