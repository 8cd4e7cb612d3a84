/* format.h: what a line of the access log says: `access.format`, compiled once, and the facts of a
 * request put into it; pure.
 *
 * The one table of codes gives the check of the configuration, the line and the manual. Called by
 * access.c in a worker, and by the manager for the configuration and for the lines of dead workers.
 */
#ifndef OT_FORMAT_H
#define OT_FORMAT_H

#include "contract.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In place of a format: one JSON object a line, with keys of fixed names. */
#define FORMAT_JSON "json"

enum {
    FORMAT_MAX = 1024 /* bytes of a format */
};

/* How a request ended. */
enum format_outcome {
    FORMAT_OK,
    FORMAT_ABORTED, /* its client left before the response was complete */
    FORMAT_TIMEOUT, /* it reached its time limit */
    FORMAT_KILLED,  /* its worker was made to go */
    FORMAT_CRASHED, /* its worker went by itself */
    FORMAT_DROPPED, /* it never reached the application */
    FORMAT_OUTCOMES
};

/* Found out only for formats that ask for it. */
enum format_need {
    FORMAT_NEEDS_CPU = 1,
    FORMAT_NEEDS_MEMORY = 2,
    FORMAT_NEEDS_HEAD = 4,
};

#define FORMAT_UNKNOWN (-1)

/* What is known of one request. Texts that are NULL and numbers that are FORMAT_UNKNOWN (a status
 * of 0) show as a dash, or as null. */
struct format_facts {
    const char *pool;
    int64_t pid, parent;
    const char *method;
    const char *uri;   /* REQUEST_URI with its query, or SCRIPT_NAME */
    const char *query; /* NULL: what follows the question mark of `uri` */
    const char *script;
    const char *remote;
    const char *user;
    const char *label;
    /* Other parameters and fields of the response's head. NULL functions know none. The first
     * returns a terminated text or NULL, the second sets *length. `name` is not terminated. */
    const char *(*param)(const void *context, const char *name, size_t name_length);
    const char *(*field)(const void *context, const char *name, size_t name_length, size_t *length);
    const void *context;
    enum format_outcome outcome;
    unsigned bits;                           /* enum ot_status_bits */
    unsigned status;                         /* of HTTP */
    int64_t content_length, sent, discarded; /* bytes */
    int64_t began, ended;                    /* ns of CLOCK_REALTIME */
    int64_t duration;                        /* ns, and so are the next three */
    int64_t answer;                          /* until the response was complete */
    int64_t post_response;
    int64_t shutdown;
    int64_t cpu_user, cpu_system; /* ns */
    int64_t memory;               /* bytes, the peak of the process */
};

struct format;

/* Compiles; NULL with the end of a sentence ("has %x, which is no code; ..."). */
struct format *format_compile(const char *text, char *error, size_t size);
void format_free(struct format **format);

/* enum format_need */
unsigned format_needs(const struct format *format);

/* Writes the line, without its newline, and returns its length, which is at most
 * OT_ACCESS_LINE_MAX: fields that are too long for it are cut and marked. `out` has that room. */
size_t format_line(const struct format *format, const struct format_facts *facts, char *out);

/* Has the operator asked for no line? `paths` is a list of `count` texts, each with its NUL, one
 * behind the other. */
bool format_suppresses(const char *paths, size_t size, const struct format_facts *facts);

const char *format_outcome_name(enum format_outcome outcome);

/* Names and meanings of the codes, for the manual: NULL behind the last. */
struct format_code_help {
    const char *code; /* "%d" */
    const char *in;   /* what may stand in braces, or "" */
    const char *help;
};
const struct format_code_help *format_help(void);

#endif
